package jsonlogic

import (
	"fmt"
	"strconv"
	"strings"
)

// A node is a compiled rule. Its functions never panic and report failure in their
// scope.
type node struct {
	operation
	name     string  // of the operator; empty: data or a list
	constant *value  // not nil: eval always gives this
	list     bool    // written as a list, of args
	field    string  // not empty: the member of that name, by Scope.field
	args     []*node // elements of a list, or arguments of an operation
	size     int     // nodes in all, this one counted: what evaluating it costs at most
}

// An operation evaluates a node in one of three ways, of which two spare the making
// of a value that nobody needs.
type operation struct {
	eval  func(s *Scope) value // to go on with
	test  func(s *Scope) bool  // for its truth alone
	plain func(s *Scope) any   // for code that is not of this package
}

// gives is an operation of any result.
func gives(eval func(s *Scope) value) operation {
	return operation{
		eval,
		func(s *Scope) bool { return eval(s).truth() },
		func(s *Scope) any { return s.give(eval(s)) },
	}
}

// decides is an operation that is true or false.
func decides(test func(s *Scope) bool) operation {
	return operation{
		func(s *Scope) value { return boolean(test(s)) },
		test,
		func(s *Scope) any { return test(s) },
	}
}

func always(v value) operation {
	holds, plain := v.truth(), v.result()
	return operation{
		func(*Scope) value { return v },
		func(*Scope) bool { return holds },
		func(*Scope) any { return plain },
	}
}

func literal(v value) *node { return &node{operation: always(v), constant: &v, size: 1} }

type compiler struct {
	opts    *Options
	depth   int  // that is left
	explain bool // compile to what records its evaluation in the scope's tracer
}

func (c *compiler) compile(tree any, at *place) (*node, error) {
	n, err := c.node(tree, at)
	if err == nil && c.explain {
		n = n.traced(at)
	}
	return n, err
}

func (c *compiler) node(tree any, at *place) (*node, error) {
	switch tree := tree.(type) {
	case []any:
		return c.list(tree, at)
	case map[string]any:
		if len(tree) != 1 {
			return literal(toValue(tree)), nil
		}
		for name, arg := range tree {
			return c.operation(name, arg, at.down(name))
		}
	}
	return literal(toValue(tree)), nil
}

// down enters a list or an operation. The error names no path: it would be as long
// as the rule is deep.
func (c *compiler) down() error {
	if c.depth--; c.depth < 0 {
		return &Error{Err: fmt.Errorf("%w: at most %d", ErrTooDeep, c.opts.maxDepth())}
	}
	return nil
}

func (c *compiler) list(tree []any, at *place) (*node, error) {
	if err := c.down(); err != nil {
		return nil, err
	}
	defer func() { c.depth++ }()
	args, err := c.all(tree, at)
	if err != nil {
		return nil, err
	}
	n := &node{list: true, args: args, size: 1}
	constant := true
	for _, arg := range args {
		n.size += arg.size
		constant = constant && arg.constant != nil
	}
	if constant {
		v := toValue(tree)
		n.constant, n.operation = &v, always(v)
		return n, nil
	}
	n.operation = gives(func(s *Scope) value {
		items := make([]any, len(args))
		for i, arg := range args {
			items[i] = arg.eval(s).result()
		}
		return value{kind: list, ref: items}
	})
	return n, nil
}

func (c *compiler) all(trees []any, at *place) ([]*node, error) {
	nodes := make([]*node, len(trees))
	for i, tree := range trees {
		var err error
		if nodes[i], err = c.compile(tree, at.down(strconv.Itoa(i))); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (c *compiler) operation(name string, arg any, at *place) (*node, error) {
	if err := c.down(); err != nil {
		return nil, err
	}
	defer func() { c.depth++ }()
	standard, isStandard := operators[name]
	custom, isCustom := c.opts.Operators[name]
	predicate, isPredicate := c.opts.Predicates[name]
	switch {
	case isStandard && (isCustom || isPredicate):
		return nil, &Error{at.pointer(), fmt.Errorf("%q is a standard operator and cannot be replaced", name)}
	case isCustom && isPredicate:
		return nil, &Error{at.pointer(), fmt.Errorf("%q is among both Operators and Predicates", name)}
	case !isStandard && !isCustom && !isPredicate:
		return nil, &Error{at.pointer(), fmt.Errorf("%w %q", ErrUnknownOperator, name)}
	}
	args, err := c.arguments(arg, at)
	if err != nil {
		return nil, err
	}
	n := &node{name: name, args: args, size: 1}
	for _, arg := range args {
		n.size += arg.size
	}
	if isStandard {
		if c.explain {
			args = unfolded(args)
		}
		n.operation = standard(args)
		if name == "var" {
			n.field = fieldOf(args)
		}
		return n, nil
	}
	if isPredicate {
		test, err := predicate(asArgs(args))
		if err != nil {
			return nil, &Error{at.pointer(), err}
		}
		n.operation = predicateOperation(test)
		return n, nil
	}
	f, err := custom(asArgs(args))
	if err != nil {
		return nil, &Error{at.pointer(), err}
	}
	n.operation = customOperation(f)
	return n, nil
}

// arguments compiles what stands under an operator: {"var": "x"} is {"var": ["x"]}.
func (c *compiler) arguments(arg any, at *place) ([]*node, error) {
	if trees, ok := arg.([]any); ok {
		return c.all(trees, at)
	}
	n, err := c.compile(arg, at)
	return []*node{n}, err
}

func customOperation(f Func) operation {
	call := func(s *Scope) any {
		if s.err != nil {
			return nil
		}
		v, err := f(s)
		if err != nil {
			s.fail(err)
			return nil
		}
		return v
	}
	return operation{
		func(s *Scope) value { return toValue(call(s)) },
		func(s *Scope) bool {
			if s.err != nil {
				return false
			}
			v, err := f(s)
			if b, ok := v.(bool); ok && err == nil {
				return b
			}
			if err != nil {
				s.fail(err)
				return false
			}
			return toValue(v).truth()
		},
		func(s *Scope) any { return s.plain(call(s)) },
	}
}

func predicateOperation(test func(s *Scope) (holds, ok bool)) operation {
	return operation{
		func(s *Scope) value {
			if holds, ok := test(s); ok {
				return boolean(holds)
			}
			return value{}
		},
		func(s *Scope) bool {
			holds, ok := test(s)
			return holds && ok
		},
		func(s *Scope) any {
			if holds, ok := test(s); ok {
				return holds
			}
			return nil
		},
	}
}

// A place is where in the rule something stands; nil is the top.
type place struct {
	up   *place
	step string
}

func (p *place) down(step string) *place { return &place{p, step} }

// pointer writes the place as a JSON pointer.
func (p *place) pointer() string { return string(p.appendTo(nil)) }

func (p *place) appendTo(b []byte) []byte {
	if p == nil {
		return b
	}
	return append(append(p.up.appendTo(b), '/'), escape.Replace(p.step)...)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")
