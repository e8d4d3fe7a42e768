package jsonlogic

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

func branch(args []*node) operation {
	fallback := nullNode
	if len(args)%2 == 1 {
		fallback = args[len(args)-1]
	}
	chosen := func(s *Scope) *node {
		for i := 0; i+1 < len(args); i += 2 {
			if args[i].test(s) {
				return args[i+1]
			}
		}
		return fallback
	}
	return operation{
		func(s *Scope) value { return chosen(s).eval(s) },
		func(s *Scope) bool { return chosen(s).test(s) },
		func(s *Scope) any { return chosen(s).plain(s) },
	}
}

// andOr gives the first argument with that truth, else the last: true for or, false for and.
func andOr(truth bool) func(args []*node) operation {
	return func(args []*node) operation {
		o := gives(func(s *Scope) value {
			last := value{kind: undefined}
			for _, a := range args {
				if last = a.eval(s); s.truth(last) == truth {
					break
				}
			}
			return last
		})
		o.test = func(s *Scope) bool {
			for _, a := range args {
				if a.test(s) == truth {
					return truth
				}
			}
			return !truth && len(args) > 0
		}
		return o
	}
}

func not(args []*node) operation {
	a := arg(args, 0)
	return decides(func(s *Scope) bool { return !a.test(s) })
}

func notNot(args []*node) operation {
	a := arg(args, 0)
	return decides(func(s *Scope) bool { return a.test(s) })
}

// A comparison reports whether it holds for two values.
type comparison func(s *Scope, a, b value) bool

func (c comparison) negated() comparison {
	return func(s *Scope, a, b value) bool { return !c(s, a, b) }
}

func (c comparison) swapped() comparison {
	return func(s *Scope, a, b value) bool { return c(s, b, a) }
}

// compare makes an operator from a comparison, and from its faster form for numbers.
func compare(holds comparison, numbers func(a, b float64) bool) func([]*node) operation {
	return func(args []*node) operation {
		a, b := arg(args, 0), arg(args, 1)
		if a.field != "" && b.constant != nil && b.constant.kind == number {
			// The usual rule: {">=": [{"var": "age"}, 18]}.
			name, with := a.field, *b.constant
			return decides(func(s *Scope) bool {
				v := s.field(name)
				if f, ok := v.(float64); ok {
					return numbers(f, with.num)
				}
				return holds(s, toValue(v), with)
			})
		}
		return decides(func(s *Scope) bool {
			x := a.eval(s)
			return holds(s, x, b.eval(s))
		})
	}
}

// between accepts a third argument: a < b < c.
func between(holds comparison, numbers func(a, b float64) bool) func([]*node) operation {
	two := compare(holds, numbers)
	return func(args []*node) operation {
		if len(args) < 3 {
			return two(args)
		}
		low, middle, high := args[0], args[1], args[2]
		return decides(func(s *Scope) bool {
			x, y := low.eval(s), middle.eval(s)
			if !holds(s, x, y) {
				return false
			}
			z := high.eval(s)
			return z.kind == undefined || holds(s, y, z)
		})
	}
}

func strictEqual(s *Scope, a, b value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case truth, number:
		return a.num == b.num
	case text:
		return len(a.str) == len(b.str) && s.read(a.str) == b.str
	case list, object:
		return same(a.ref, b.ref)
	}
	return true
}

// same reports whether two lists or objects are identical, as in JavaScript.
func same(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != y.Kind() {
		return false
	}
	switch x.Kind() {
	case reflect.Slice:
		return x.Len() == y.Len() && x.Len() > 0 && x.UnsafePointer() == y.UnsafePointer()
	case reflect.Map, reflect.Pointer:
		return x.UnsafePointer() == y.UnsafePointer()
	}
	return false
}

func looseEqual(s *Scope, a, b value) bool {
	switch {
	case a.kind == b.kind:
		return strictEqual(s, a, b)
	case a.isNone() || b.isNone():
		return a.isNone() && b.isNone()
	case a.isReference() && b.isReference():
		return false
	}
	a, b = s.primitive(a), s.primitive(b)
	if a.kind == text && b.kind == text {
		return a.str == b.str
	}
	return s.number(a) == s.number(b)
}

// ordered is < or, with orEqual, <=.
func ordered(orEqual bool) comparison {
	return func(s *Scope, a, b value) bool {
		a, b = s.primitive(a), s.primitive(b)
		if a.kind == text && b.kind == text {
			c := compareUTF16(s.read(a.str), b.str)
			return c < 0 || orEqual && c == 0
		}
		x, y := s.number(a), s.number(b)
		return x < y || orEqual && x == y
	}
}

// compareUTF16 orders texts by their UTF-16 code units, as JavaScript does. That is the order of
// the bytes, except that characters beyond U+FFFF come before U+E000, as their surrogates do.
func compareUTF16(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	for i > 0 && !utf8.RuneStart(a[i]) {
		i--
	}
	x, _ := utf8.DecodeRuneInString(a[i:])
	y, _ := utf8.DecodeRuneInString(b[i:])
	if (x > 0xffff) != (y > 0xffff) {
		if x > 0xffff {
			x = 0xd800
		} else {
			y = 0xd800
		}
	}
	if x == y { // bytes that are not UTF-8
		return strings.Compare(a[i:], b[i:])
	}
	return int(x) - int(y)
}
