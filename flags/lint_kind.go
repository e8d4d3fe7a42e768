package flags

import (
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/document"
)

// kinds is a set of JSON types that a value can have.
type kinds uint8

const (
	nullKind kinds = 1 << iota
	boolKind
	numberKind
	textKind
	listKind
	objectKind

	anyKind = nullKind | boolKind | numberKind | textKind | listKind | objectKind
)

// String formats the kinds for an error text.
func (k kinds) String() string {
	if k == anyKind {
		return "a value"
	}
	var names []string
	for i, name := range []string{"null", "a boolean", "a number", "a string", "a list", "an object"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// kindsOf returns the types that a rule can give.
func (l *linter) kindsOf(n *document.Node, depth int) kinds {
	switch {
	case depth > document.MaxDepth:
		return anyKind
	case n.Kind == document.Map && !isOperation(n):
		return objectKind
	case n.Kind != document.Map:
		return 1 << n.Kind
	}
	if name, ok := reference(n); ok {
		m := l.evaluators[name]
		if m == nil {
			return anyKind
		}
		if !m.hasKinds {
			m.hasKinds = true // set first: an evaluator that refers to itself can give anything
			m.kinds = l.kindsOf(m.rule, depth+1)
		}
		return m.kinds
	}
	operator, args := operation(n)
	if gives := operators[operator].gives; gives != 0 {
		return gives
	}
	switch operator {
	case "var":
		switch {
		case l.loops == 0 && l.isTimestamp(n):
			return numberKind
		case l.loops == 0 && l.isVariable(n, "$flagd.flagKey"):
			return textKind
		}
	case "if", "?:", "and", "or":
		var all kinds
		for i, arg := range args {
			if operator == "and" || operator == "or" || i%2 == 1 || i == len(args)-1 {
				all |= l.kindsOf(arg, depth+1)
			}
		}
		if len(args)%2 == 0 && (operator == "if" || operator == "?:") {
			all |= nullKind
		}
		return all
	}
	return anyKind
}

// isFixed reports whether a rule gives the same for everybody.
func (l *linter) isFixed(n *document.Node, depth int) bool {
	switch {
	case depth > document.MaxDepth:
		return false
	case n.Kind == document.List:
		return !slices.ContainsFunc(n.Items, func(item *document.Node) bool { return !l.isFixed(item, depth+1) })
	case !isOperation(n):
		return true
	}
	if name, ok := reference(n); ok {
		m := l.evaluators[name]
		if m == nil {
			return false
		}
		if !m.hasFixed {
			m.hasFixed = true // set first: an evaluator that refers to itself is not fixed
			m.fixed = l.isFixed(m.rule, depth+1)
		}
		return m.fixed
	}
	switch operator, args := operation(n); operator {
	case "var":
		return l.loops == 0 && l.isVariable(n, "$flagd.flagKey")
	case "missing", "missing_some", "fractional", "log":
		return false
	default:
		if _, known := operators[operator]; !known {
			return false
		}
		for _, arg := range args {
			if !l.isFixed(arg, depth+1) {
				return false
			}
		}
		return len(args) > 0
	}
}
