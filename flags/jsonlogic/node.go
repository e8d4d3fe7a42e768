package jsonlogic

import "strings"

// A node is a compiled rule. Its functions never panic and report failure in their
// scope.
type node struct {
	operation
	name        string   // of the operator; empty: data or a list
	constant    *value   // not nil: eval always gives this
	mixed       bool     // a constant with an object of several members in it
	fixed       bool     // eval always gives the same; a node that is traced has no constant
	list        bool     // written as a list, of args
	folds       bool     // in the dialect of flagd: eval depends on no data
	foldsLooped bool     // the same inside of a loop
	bare        bool     // the operator's only argument, not written as a list
	field       string   // not empty: the member of that name, by Scope.field
	last        *node    // in the dialect of flagd: the last variable that is evaluated with it
	args        []*node  // elements of a list, but of a constant one; or arguments of an operation
	size        int      // what evaluating it costs at most: its nodes, this one counted, a constant list and a shared rule as one
	shared      *node    // not nil: the root of the shared rule that this node refers to
	members     *members // of a constant list that is not short

	// of makes the operation, for Explain to make it anew. Custom says that the operator is.
	of     func(args []*node) (operation, error)
	custom bool

	// elements makes the nodes of a list's elements for a trace.
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

// An operation evaluates a node in one of three ways, of which two spare the making
// of a value that nobody needs.
type operation struct {
	eval  func(s *Scope) value // to go on with
	test  func(s *Scope) bool  // for its truth alone
	plain func(s *Scope) any   // for code that is not of this package
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

// arg is an argument; one that is missing is undefined in JavaScript.
func arg(args []*node, i int) *node {
	if i < len(args) {
		return args[i]
	}
	return undefinedNode
}

// fieldOf is the name of a member that {"var": name} is, with neither path nor
// default; empty for any other.
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
