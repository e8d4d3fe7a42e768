package jsonlogic

import (
	"fmt"
	"strconv"
	"strings"
)

// A compiler compiles the values of one rule to nodes.
type compiler struct {
	operators         map[string]Operator
	predicates        map[string]Predicate
	maxDepth, maxSize int
	dialect           Dialect
	refused           engines // engines that refuse the rule, whatever the data
	trial             Scope
	interpreted       bool // the JavaScript core interprets this part; it compiles everything except an if without an else
	loops             int  // enclosing loops
	depth             int  // present depth; lists and operations count
	deepest           int  // largest depth so far
}

func (c *compiler) compile(tree any, at *place) (*node, error) {
	n, err := c.node(tree, at)
	if err == nil && n.size > c.maxSize {
		return nil, &Error{Err: fmt.Errorf("%w: at most %d operations and values", ErrTooLarge, c.maxSize)}
	}
	return n, err
}

func (c *compiler) node(tree any, at *place) (*node, error) {
	switch tree := tree.(type) {
	case []any:
		return c.list(tree, at)
	case map[string]any:
		if len(tree) != 1 {
			n := literal(toValue(tree))
			n.mixed = len(tree) > 1
			return n, nil
		}
		for name, arg := range tree {
			return c.operation(name, arg, at.down(name))
		}
	case *Rule:
		if tree == nil {
			break
		}
		if err := c.enter(tree.depth); err != nil {
			return nil, err
		}
		c.depth -= tree.depth
		c.refused |= tree.refused
		return tree.reference(), nil
	}
	return literal(toValue(tree)), nil
}

// enter descends by levels of nesting. Its error is without path, because the path would be as long as
// the rule is deep.
func (c *compiler) enter(levels int) error {
	c.depth += levels
	c.deepest = max(c.deepest, c.depth)
	if c.depth > c.maxDepth {
		return &Error{Err: fmt.Errorf("%w: at most %d", ErrTooDeep, c.maxDepth)}
	}
	return nil
}

func (c *compiler) list(tree []any, at *place) (*node, error) {
	if err := c.enter(1); err != nil {
		return nil, err
	}
	defer func() { c.depth-- }()
	n := &node{list: true, size: 1}
	if !isFlat(tree) {
		args, err := c.all(tree, at)
		if err != nil {
			return nil, err
		}
		n.size = sizeOf(args)
		for _, arg := range args {
			if arg.constant == nil {
				n.args, n.operation = args, listed(args)
				n.folds, n.foldsLooped = folds("", args, false), folds("", args, true)
				n.last = lastVariable(n)
				return n, nil
			}
		}
		// The elements may be constant results of operations.
		plain := make([]any, len(args))
		for i, arg := range args {
			plain[i] = arg.constant.result()
			n.mixed = n.mixed || arg.mixed
		}
		tree = plain
	}
	v := value{kind: list, ref: tree}
	n.constant, n.operation = &v, always(&v)
	n.fixed, n.folds, n.foldsLooped = true, true, true
	if len(tree) > fewMembers {
		n.members = &members{list: tree}
	}
	return n, nil
}

// isFlat reports whether a list has only elements that cannot be rules. Long lists usually do.
func isFlat(tree []any) bool {
	for _, item := range tree {
		switch item.(type) {
		case nil, bool, float64, string:
		default:
			return false
		}
	}
	return true
}

func listed(args []*node) operation {
	return gives(func(s *Scope) value {
		items := make([]any, len(args))
		for i, arg := range args {
			items[i] = arg.eval(s).result()
		}
		return value{kind: list, ref: items}
	})
}

func sizeOf(args []*node) int {
	size := 1
	for _, arg := range args {
		size += arg.size
	}
	return size
}

// reference returns the node that other rules use for this rule. They all share it, so sharing
// needs no memory. Each evaluation of the node costs the rule's size in steps, because small rules
// that refer to each other can require more operations than can ever be evaluated.
func (r *Rule) reference() *node {
	r.once.Do(func() { r.shared = refer(r.root) })
	return r.shared
}

func refer(root *node) *node {
	if root.constant != nil || root.field != "" || root.shared != nil {
		return root // as cheap as the reference itself
	}
	n := *root
	n.shared, n.size = root, 1
	if !root.list {
		n.operation = charged(root.operation, root.size)
		return &n
	}
	// An operator may evaluate the elements of a list one by one.
	n.args = make([]*node, len(root.args))
	for i, arg := range root.args {
		n.args[i] = refer(arg)
	}
	n.operation = charged(listed(n.args), 1+len(n.args))
	return &n
}

// charged is an operation that costs this many steps at each evaluation.
func charged(of operation, steps int) operation {
	return operation{
		func(s *Scope) value {
			if !s.spend(steps) {
				return value{}
			}
			return of.eval(s)
		},
		func(s *Scope) bool { return s.spend(steps) && of.test(s) },
		func(s *Scope) any {
			if !s.spend(steps) {
				return nil
			}
			return of.plain(s)
		},
	}
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
	if err := c.enter(1); err != nil {
		return nil, err
	}
	defer func() { c.depth-- }()
	n := &node{name: name}
	trees, listed := arg.([]any)
	if n.bare = !listed; n.bare { // {"var": "x"} is {"var": ["x"]}
		trees = []any{arg}
	}
	var err error
	if n.of, n.custom, err = c.operator(name, n.bare); err != nil {
		return nil, &Error{at.pointer(), err}
	}
	n.args = make([]*node, len(trees))
	interpreted := c.interpreted
	c.interpreted = interpreted || listed && len(trees) < 3 && (name == "if" || name == "?:")
	defer func() { c.interpreted = interpreted }()
	for i, tree := range trees {
		place, body := at, i == 1 && loops[name]
		if listed {
			place = at.down(strconv.Itoa(i))
		}
		if body {
			c.loops++
		}
		if n.args[i], err = c.compile(tree, place); err != nil {
			return nil, err
		}
		if body {
			c.loops--
		}
	}
	n.size = sizeOf(n.args)
	if n.operation, err = n.of(n.args); err != nil {
		return nil, &Error{at.pointer(), err}
	}
	if name == "var" {
		n.field = fieldOf(n.args)
	}
	n.folds, n.foldsLooped = !n.custom && folds(name, n.args, false), !n.custom && folds(name, n.args, true)
	n.last = lastVariable(n)
	return n, nil
}

var loops = map[string]bool{"map": true, "filter": true, "reduce": true, "all": true, "some": true, "none": true}

// operator returns the function that makes an operator's operation from its arguments.
func (c *compiler) operator(name string, bare bool) (of func(args []*node) (operation, error), isCustom bool, err error) {
	plain, isStandard := operators[name]
	own, differs := flagdOperators[name]
	if differs = differs && c.dialect == DialectFlagd; differs && own == nil {
		isStandard = false
	}
	custom, isCustom := c.operators[name]
	predicate, isPredicate := c.predicates[name]
	switch {
	case isStandard && (isCustom || isPredicate):
		return nil, false, fmt.Errorf("%q is a standard operator and cannot be replaced", name)
	case isCustom && isPredicate:
		return nil, false, fmt.Errorf("%q is among both Operators and Predicates", name)
	case isCustom:
		of = custom.instance
	case isPredicate:
		of = predicate.instance
	case !isStandard:
		return nil, false, fmt.Errorf("%w %q", ErrUnknownOperator, name)
	case differs:
		interpreted := c.interpreted
		return func(args []*node) (operation, error) { return own(operands{name, args, bare, interpreted}), nil }, false, nil
	default:
		return standard(plain), false, nil
	}
	if c.dialect == DialectFlagd {
		of = flagdCustom(name, of, bare, c.loops > 0)
	}
	return of, true, nil
}

// A place is a place in the rule; nil is the top.
type place struct {
	up   *place
	step string
}

func (p *place) down(step string) *place { return &place{p, step} }

func (p *place) pointer() string {
	if p == nil {
		return ""
	}
	return p.up.pointer() + "/" + escape.Replace(p.step)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")
