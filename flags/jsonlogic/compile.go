package jsonlogic

import (
	"fmt"
	"strconv"
	"strings"
)

// A node is a compiled rule. eval never panics and reports failure in its scope.
type node struct {
	eval     func(s *Scope) value
	constant *value  // not nil: eval always gives this
	list     bool    // written as a list, of args
	args     []*node // elements of a list, or arguments of an operation
}

// truth evaluates a node for its truth alone.
func (n *node) truth(s *Scope) bool { return n.eval(s).truth() }

func literal(v value) *node {
	return &node{constant: &v, eval: func(*Scope) value { return v }}
}

type compiler struct {
	opts  *Options
	depth int // that is left
}

func (c *compiler) compile(tree any, path []string) (*node, error) {
	switch tree := tree.(type) {
	case []any:
		return c.list(tree, path)
	case map[string]any:
		if len(tree) != 1 {
			return literal(toValue(tree)), nil
		}
		for name, arg := range tree {
			return c.operation(name, arg, append(path, name))
		}
	}
	return literal(toValue(tree)), nil
}

// down enters a list or an operation. The error names no path: it would be as long
// as the rule is deep.
func (c *compiler) down() error {
	if c.depth--; c.depth < 0 {
		return fault(nil, fmt.Errorf("%w: at most %d", ErrTooDeep, c.opts.maxDepth()))
	}
	return nil
}

func (c *compiler) list(tree []any, path []string) (*node, error) {
	if err := c.down(); err != nil {
		return nil, err
	}
	defer func() { c.depth++ }()
	args, err := c.all(tree, path)
	if err != nil {
		return nil, err
	}
	n := &node{list: true, args: args}
	constant := true
	for _, arg := range args {
		constant = constant && arg.constant != nil
	}
	if constant {
		v := toValue(tree)
		n.constant = &v
		n.eval = func(*Scope) value { return v }
		return n, nil
	}
	n.eval = func(s *Scope) value {
		items := make([]any, len(args))
		for i, arg := range args {
			items[i] = arg.eval(s).result()
		}
		return value{kind: list, ref: items}
	}
	return n, nil
}

func (c *compiler) all(trees []any, path []string) ([]*node, error) {
	nodes := make([]*node, len(trees))
	for i, tree := range trees {
		var err error
		if nodes[i], err = c.compile(tree, append(path, strconv.Itoa(i))); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (c *compiler) operation(name string, arg any, path []string) (*node, error) {
	if err := c.down(); err != nil {
		return nil, err
	}
	defer func() { c.depth++ }()
	trees, ok := arg.([]any)
	if !ok {
		trees = []any{arg} // {"var": "x"} is {"var": ["x"]}
	}
	standard, isStandard := operators[name]
	custom, isCustom := c.opts.Operators[name]
	switch {
	case isStandard && isCustom:
		return nil, fault(path, fmt.Errorf("%q is a standard operator and cannot be replaced", name))
	case !isStandard && !isCustom:
		return nil, fault(path, fmt.Errorf("%w %q", ErrUnknownOperator, name))
	}
	args, err := c.all(trees, path)
	if err != nil {
		return nil, err
	}
	n := &node{args: args}
	if isStandard {
		n.eval = standard(args)
		return n, nil
	}
	f, err := custom(asArgs(args))
	if err != nil {
		return nil, fault(path, err)
	}
	n.eval = func(s *Scope) value {
		if s.err != nil {
			return value{}
		}
		v, err := f(s)
		if err != nil {
			s.fail(err)
			return value{}
		}
		return toValue(v)
	}
	return n, nil
}

// fault makes an Error of a place, written as a JSON pointer.
func fault(path []string, err error) *Error {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var pointer strings.Builder
	for _, step := range path {
		pointer.WriteByte('/')
		pointer.WriteString(escape.Replace(step))
	}
	return &Error{Path: pointer.String(), Err: err}
}
