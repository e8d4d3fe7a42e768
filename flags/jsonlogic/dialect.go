package jsonlogic

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// A Dialect is the behaviour of the standard operators where implementations of JsonLogic differ.
type Dialect int

const (
	// DialectStandard is JsonLogic as in its reference, json-logic-js.
	DialectStandard Dialect = iota

	// DialectFlagd is JsonLogic as in flagd. The package comment lists the differences.
	DialectFlagd
)

// String returns "standard" or "flagd".
func (d Dialect) String() string {
	switch d {
	case DialectStandard:
		return "standard"
	case DialectFlagd:
		return "flagd"
	}
	return strconv.Itoa(int(d))
}

// ErrInvalidArguments means that both of flagd's engines refuse an operation, such as 2 / null, in
// the dialect [DialectFlagd]. [Rule.Eval] and [Rule.Explain] return it, wrapped in an [*Error].
var ErrInvalidArguments = errors.New("invalid arguments")

// engines is a set of flagd's engines. They refuse different arguments. An evaluation fails only
// when both have refused something; until then it has the result of one of them.
type engines uint8

const (
	goCore engines = 1 << iota // github.com/open-feature/flagd/core
	jsCore                     // npm's @openfeature/flagd-core
	both   = goCore | jsCore
)

// refuse notes that these engines answer an error here.
func (s *Scope) refuse(by engines, operator string) {
	if s.refused |= by &^ s.muted; s.refused == both {
		s.fail(&Error{Err: fmt.Errorf("%q: %w", operator, ErrInvalidArguments)})
	}
}

// eager returns the JavaScript core during an evaluation: it skips arguments that an operation does
// not need, because it has evaluated them all when it compiled the rule.
func (s *Scope) eager() engines {
	if s.trial {
		return 0
	}
	return jsCore
}

// evalForRefusals evaluates arguments that the other engine skips, to find what this engine refuses in them.
func (s *Scope) evalForRefusals(other engines, args ...*node) {
	before := s.muted
	s.muted |= other
	for _, arg := range args {
		if !arg.fixed && s.err == nil {
			arg.eval(s)
		}
	}
	s.muted = before
}

// truth is the truth of a value. In the dialect of flagd an empty object is false.
func (s *Scope) truth(v value) bool {
	if v.kind == object && s.bounds.dialect == DialectFlagd {
		return v.hasMembers()
	}
	return v.truth()
}

func (v value) hasMembers() bool {
	switch ref := v.ref.(type) {
	case map[string]any:
		return len(ref) > 0
	case Object:
		return true
	}
	return v.members() > 0
}

// operands are the arguments of an operation as they are written.
type operands struct {
	name string
	args []*node
	bare bool // one argument that is not written as a list

	interpreted bool // the JavaScript core interprets the operation
}

// each visits the operands. A bare argument that evaluates to a list is the list of operands. each
// returns their number, and whether they are a list.
func (o operands) each(s *Scope, visit func(i int, v value)) (n int, listed bool) {
	if !o.bare {
		for i, a := range o.args {
			visit(i, a.eval(s))
		}
		return len(o.args), true
	}
	v := o.args[0].eval(s)
	if v.kind != list {
		visit(0, v)
		return 1, false
	}
	if n = v.length(); !s.spend(n) {
		return 0, true
	}
	for i := range n {
		visit(i, v.element(i))
	}
	return n, true
}

// unwrapped makes the operation for a bare argument: each evaluation applies the operator to the
// elements of the list that the argument evaluates to. The Go core refuses an argument that is not
// a list unless it fits.
func (o operands) unwrapped(of func(args []*node) (operation, error), fits func(v value) bool) operation {
	return gives(func(s *Scope) value {
		v := o.args[0].eval(s)
		args := []*node{literal(v)}
		if v.kind != list && !fits(v) {
			s.refuse(goCore, o.name)
		}
		if v.kind == list {
			if !s.spend(v.length()) {
				return value{}
			}
			args = make([]*node, v.length())
			for i := range args {
				args[i] = literal(v.element(i))
			}
		}
		made, err := of(args)
		if err != nil {
			s.fail(err)
			return value{}
		}
		return made.eval(s)
	})
}

func standard(of func(args []*node) operation) func(args []*node) (operation, error) {
	return func(args []*node) (operation, error) { return of(args), nil }
}

// folds reports whether the JavaScript core evaluates an operation when it compiles the rule. It
// then refuses the whole rule if it refuses the operation.
func folds(name string, args []*node, looped bool) bool {
	switch name {
	case "var":
		if !looped {
			return false
		}
	case "missing":
		return len(args) == 0
	case "missing_some":
		return false
	}
	for i, a := range args {
		switch {
		case loops[name] && i > 1:
		case looped || loops[name] && i == 1:
			if !a.foldsLooped {
				return false
			}
		case !a.folds:
			return false
		}
	}
	return true
}

// lastVariable returns the last variable that is always evaluated with an operation; nil means none.
func lastVariable(n *node) *node {
	switch {
	case n.folds || n.custom && n.bare:
		return nil
	case n.name == "var" && arg(n.args, 0).fixed:
		return n
	}
	args := n.args
	if loops[n.name] {
		args = args[:min(1, len(args))]
	}
	for _, arg := range slices.Backward(args) {
		if arg.last != nil {
			return arg.last
		}
	}
	return nil
}

// fold notes whether the JavaScript core refuses the rule. It evaluates the outermost operations
// that fold. Shared rules were checked when they were compiled.
func (c *compiler) fold(n *node) {
	switch {
	case c.dialect != DialectFlagd || c.refused&jsCore != 0 || n.shared != nil:
		return
	case n.fixed:
		if n.mixed {
			c.refused |= jsCore
		}
		return
	case n.folds && c.trial.spend(n.size):
		n.eval(&c.trial)
		c.refused |= c.trial.refused & jsCore
		c.trial.err, c.trial.refused = nil, 0
	}
	for i, arg := range n.args {
		if !n.folds && i >= compiled(n) {
			break
		}
		if c.fold(arg); n.name != "" && !n.custom {
			c.refused |= unfit(n, i)
		}
	}
	if n.name == "" || n.custom {
		return
	}
	switch {
	case loops[n.name] && (n.bare && n.name != "all" || len(n.args) < 2 && !n.folds), n.name == "missing_some" && n.bare,
		!n.bare && (n.name == "%" && len(n.args) < 2 || (n.name == "-" || n.name == "/") && len(n.args) == 0):
		c.refused |= jsCore
	}
}

// compiled returns the number of arguments of an operation that the JavaScript core compiles.
func compiled(n *node) int {
	switch n.name {
	case "!", "!!":
		return 1
	case "in", "map", "filter", "all", "some", "none":
		return 2
	case "reduce":
		return 3
	}
	return len(n.args)
}

// unfit returns jsCore if it refuses an argument of arithmetic when it compiles it.
func unfit(n *node, i int) engines {
	arg := n.args[i]
	switch n.name {
	case "+", "-", "*", "/", "%":
	default:
		return 0
	}
	switch {
	case n.bare && arg.constant == nil:
		return 0
	case arg.list:
		return jsCore
	case arg.constant == nil:
		return 0
	}
	v := *arg.constant
	if v.kind == object || v.kind == text && math.IsNaN(parseNumber(v.str)) || n.name == "/" && (i > 0 || len(n.args) == 1) && (v.kind == number && v.num == 0 || v.kind == text && parseNumber(v.str) == 0) {
		return jsCore
	}
	return 0
}
