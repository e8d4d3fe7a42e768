package jsonlogic

import (
	"fmt"
	"strconv"
	"strings"
)

// A compiler turns the values of a rule into nodes.
type compiler struct {
	operators         map[string]Operator
	predicates        map[string]Predicate
	maxDepth, maxSize int
	depth             int // of what is being compiled, lists and operations counted
	deepest           int // that depth was
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
			break
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
		return tree.reference(), nil
	}
	return literal(toValue(tree)), nil
}

// enter goes down by levels of nesting. The error names no path: it would be as long as
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
				return n, nil
			}
		}
		// A constant's elements may be constants that are operations no longer.
		plain := make([]any, len(args))
		for i, arg := range args {
			plain[i] = arg.constant.result()
		}
		tree = plain
	}
	v := value{kind: list, ref: tree}
	n.constant, n.operation = &v, always(&v)
	if len(tree) > fewMembers {
		n.members = &members{list: tree}
	}
	return n, nil
}

// isFlat says whether a list holds nothing that could be a rule, as the long ones do.
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

// reference is the node for the places where the rule stands in others. All of them share it,
// so that sharing takes no room. Each evaluation of it takes the rule's size in steps: rules
// that refer to rules can be small and still mean more operations than anybody can evaluate.
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

// charged is an operation that takes so many steps at each evaluation.
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
	standard, isStandard := operators[name]
	custom, isCustom := c.operators[name]
	predicate, isPredicate := c.predicates[name]
	switch {
	case isStandard && (isCustom || isPredicate):
		return nil, &Error{at.pointer(), fmt.Errorf("%q is a standard operator and cannot be replaced", name)}
	case isCustom && isPredicate:
		return nil, &Error{at.pointer(), fmt.Errorf("%q is among both Operators and Predicates", name)}
	case isCustom:
		n.custom = custom.instance
	case isPredicate:
		n.custom = predicate.instance
	case !isStandard:
		return nil, &Error{at.pointer(), fmt.Errorf("%w %q", ErrUnknownOperator, name)}
	}
	var err error
	if trees, ok := arg.([]any); ok {
		n.args, err = c.all(trees, at)
	} else { // {"var": "x"} is {"var": ["x"]}
		n.bare, n.args = true, make([]*node, 1)
		n.args[0], err = c.compile(arg, at)
	}
	if err != nil {
		return nil, err
	}
	n.size = sizeOf(n.args)
	if isStandard {
		n.operation = standard(n.args)
		if name == "var" {
			n.field = fieldOf(n.args)
		}
		return n, nil
	}
	if n.operation, err = n.custom(n.args); err != nil {
		return nil, &Error{at.pointer(), err}
	}
	return n, nil
}

// A place is where in the rule something stands; nil is the top.
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
