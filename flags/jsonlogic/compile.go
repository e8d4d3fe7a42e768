package jsonlogic

import (
	"fmt"
	"math"
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
		return tree.root, nil
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
	n := &node{list: true, size: 1 + len(tree)}
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

// sizeOf is the size of a node with these arguments. It ends somewhere: shared rules may
// double it at each step.
func sizeOf(args []*node) int {
	const most = math.MaxInt32
	size := 1
	for _, arg := range args {
		size = min(size+arg.size, most)
	}
	return size
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
