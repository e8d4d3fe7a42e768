package jsonlogic

import (
	"strconv"
	"strings"
)

// operators are the standard ones. Each turns its compiled arguments into the
// function that evaluates it; a missing argument is undefined in JavaScript, which
// is null here.
var operators = map[string]func(args []*node) func(*Scope) value{
	"if":  branch,
	"?:":  branch,
	"and": and,
	"or":  or,
	"!":   not,
	"!!":  notNot,
	"==":  compare(looseEqual),
	"!=":  compare(func(a, b value) bool { return !looseEqual(a, b) }),
	"===": compare(strictEqual),
	"!==": compare(func(a, b value) bool { return !strictEqual(a, b) }),
	"<":   between(less),
	"<=":  between(lessOrEqual),
	">":   compare(func(a, b value) bool { return less(b, a) }),
	">=":  compare(func(a, b value) bool { return lessOrEqual(b, a) }),
	"in":  in,
	"cat": cat,
	"var": variable,
}

var null = literal(value{})

func arg(args []*node, i int) *node {
	if i < len(args) {
		return args[i]
	}
	return null
}

// branch is if: condition, result, condition, result, …, otherwise.
func branch(args []*node) func(*Scope) value {
	return func(s *Scope) value {
		i := 0
		for ; i+1 < len(args); i += 2 {
			if args[i].truth(s) {
				return args[i+1].eval(s)
			}
		}
		return arg(args, i).eval(s)
	}
}

// and gives the first argument that is false, else the last.
func and(args []*node) func(*Scope) value {
	return func(s *Scope) (last value) {
		for _, a := range args {
			if last = a.eval(s); !last.truth() {
				break
			}
		}
		return last
	}
}

// or gives the first argument that is true, else the last.
func or(args []*node) func(*Scope) value {
	return func(s *Scope) (last value) {
		for _, a := range args {
			if last = a.eval(s); last.truth() {
				break
			}
		}
		return last
	}
}

func not(args []*node) func(*Scope) value {
	a := arg(args, 0)
	return func(s *Scope) value { return boolean(!a.truth(s)) }
}

func notNot(args []*node) func(*Scope) value {
	a := arg(args, 0)
	return func(s *Scope) value { return boolean(a.truth(s)) }
}

func compare(holds func(a, b value) bool) func([]*node) func(*Scope) value {
	return func(args []*node) func(*Scope) value {
		a, b := arg(args, 0), arg(args, 1)
		return func(s *Scope) value { return boolean(holds(a.eval(s), b.eval(s))) }
	}
}

// between takes a third argument: a < b < c.
func between(holds func(a, b value) bool) func([]*node) func(*Scope) value {
	two := compare(holds)
	return func(args []*node) func(*Scope) value {
		if len(args) < 3 {
			return two(args)
		}
		a, b, c := args[0], args[1], args[2]
		return func(s *Scope) value {
			middle := b.eval(s)
			return boolean(holds(a.eval(s), middle) && holds(middle, c.eval(s)))
		}
	}
}

// in finds a text in a text or, by strict equality, an element in a list.
func in(args []*node) func(*Scope) value {
	needle, haystack := arg(args, 0), arg(args, 1)
	if haystack.constant != nil {
		if only := texts(haystack.constant); only != nil {
			// The usual rule: {"in": [{"var": "country"}, ["ES", "PT", …]]}.
			return func(s *Scope) value {
				v := needle.eval(s)
				return boolean(v.kind == text && only[v.str])
			}
		}
	}
	return func(s *Scope) value {
		n, h := needle.eval(s), haystack.eval(s)
		switch h.kind {
		case text:
			return boolean(strings.Contains(h.str, n.text()))
		case list:
			for i := range h.length() {
				if strictEqual(n, h.element(i)) {
					return boolean(true)
				}
			}
		}
		return boolean(false)
	}
}

// texts returns the set of a list that holds enough texts, and nothing else, for a
// set to be worth it.
func texts(v *value) map[string]bool {
	const worth = 4
	if v.kind != list || v.length() < worth {
		return nil
	}
	set := make(map[string]bool, v.length())
	for i := range v.length() {
		e := v.element(i)
		if e.kind != text {
			return nil
		}
		set[e.str] = true
	}
	return set
}

// cat joins its arguments' texts, as JavaScript's Array.join would.
func cat(args []*node) func(*Scope) value {
	return func(s *Scope) value {
		var b []byte
		for _, a := range args {
			b = a.eval(s).appendJoined(b)
		}
		return value{kind: text, str: string(b)}
	}
}

// variable walks the data: {"var": "a.b.0"}, {"var": ["a", default]}. The empty path
// is the data itself.
func variable(args []*node) func(*Scope) value {
	path, otherwise := arg(args, 0), arg(args, 1)
	if path.constant == nil {
		return func(s *Scope) value {
			return lookUp(s, splitPath(path.eval(s)), otherwise)
		}
	}
	names := splitPath(*path.constant)
	if len(names) == 1 {
		name := names[0]
		return func(s *Scope) value {
			if v, ok := member(s.data, name); ok {
				return toValue(v)
			}
			return otherwise.eval(s)
		}
	}
	return func(s *Scope) value { return lookUp(s, names, otherwise) }
}

func splitPath(path value) []string {
	switch path.kind {
	case nothing:
		return nil
	case number:
		return strings.Split(strconv.FormatFloat(path.num, 'f', -1, 64), ".")
	}
	p := path.text()
	if p == "" {
		return nil
	}
	return strings.Split(p, ".")
}

func lookUp(s *Scope, names []string, otherwise *node) value {
	at := s.data
	for _, name := range names {
		var ok bool
		if at, ok = member(at, name); !ok {
			return otherwise.eval(s)
		}
	}
	return toValue(at)
}
