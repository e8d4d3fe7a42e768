package jsonlogic

import "strings"

// A node is a compiled rule. Its functions never panic. They report a failure in their scope.
type node struct {
	operation
	name        string   // the operator; empty means data or a list
	constant    *value   // if not nil, eval always gives it
	mixed       bool     // a constant that contains an object with several fields
	fixed       bool     // eval always gives the same; a traced node has constant nil and is still fixed
	list        bool     // written as a list, of args
	folds       bool     // dialect of flagd: eval does not depend on data
	foldsLooped bool     // folds, if inside a loop
	bare        bool     // the operator's only argument is not written as a list
	field       string   // if not empty, the node reads this field with Scope.field
	last        *node    // dialect of flagd: the last variable that is evaluated with the node
	args        []*node  // elements of a list that is not constant, or arguments of an operation
	size        int      // upper bound of the cost: the number of nodes, itself included; a constant list and a shared rule count as one
	shared      *node    // if not nil, the root of the shared rule that this node refers to
	members     *members // of a constant list that is not short

	// of makes the operation; Explain calls it again. custom means a custom operator.
	of     func(args []*node) (operation, error)
	custom bool

	// elements makes the nodes of a list's elements, for a trace.
	elements func() []*node
}

func (n *node) items() []*node {
	switch {
	case n.elements != nil:
		return n.elements()
	case n.constant == nil:
		return n.args
	}
	items := make([]*node, n.constant.length())
	for i := range items {
		items[i] = literal(n.constant.element(i))
	}
	return items
}

// An operation evaluates a node in one of three ways. test and plain exist because they need not
// make a value.
type operation struct {
	eval  func(s *Scope) value // for use in this package
	test  func(s *Scope) bool  // only its truth
	plain func(s *Scope) any   // for code outside this package
}

func gives(eval func(s *Scope) value) operation {
	return operation{
		eval,
		func(s *Scope) bool { return s.truth(eval(s)) },
		func(s *Scope) any { return s.give(eval(s)) },
	}
}

func decides(test func(s *Scope) bool) operation {
	return operation{
		func(s *Scope) value { return boolean(test(s)) },
		test,
		func(s *Scope) any { return test(s) },
	}
}

func always(v *value) operation {
	return operation{
		func(*Scope) value { return *v },
		func(s *Scope) bool { return s.truth(*v) },
		func(*Scope) any { return v.result() },
	}
}

func literal(v value) *node {
	return &node{operation: always(&v), constant: &v, fixed: true, folds: true, foldsLooped: true, size: 1}
}

var (
	nullNode      = literal(value{})
	undefinedNode = literal(value{kind: undefined})
)

// arg returns an argument; a missing one is undefined, as in JavaScript.
func arg(args []*node, i int) *node {
	if i < len(args) {
		return args[i]
	}
	return undefinedNode
}

// fieldOf returns the name in {"var": name} if the name is not a path and there is no
// default. It is empty for anything else.
func fieldOf(args []*node) string {
	if len(args) != 1 || args[0].constant == nil || args[0].constant.kind != text {
		return ""
	}
	name := args[0].constant.str
	if name == "" || name[0] == '$' || len(name) >= bytesPerStep || strings.Contains(name, ".") {
		return ""
	}
	return name
}
