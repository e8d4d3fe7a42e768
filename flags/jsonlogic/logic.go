package jsonlogic

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// branch is if: condition, result, condition, result, …, otherwise.
func branch(args []*node) operation {
	otherwise := nullNode
	if len(args)%2 == 1 {
		otherwise = args[len(args)-1]
	}
	chosen := func(s *Scope) *node {
		for i := 0; i+1 < len(args); i += 2 {
			if args[i].test(s) {
				return args[i+1]
			}
		}
		return otherwise
	}
	return operation{
		func(s *Scope) value { return chosen(s).eval(s) },
		func(s *Scope) bool { return chosen(s).test(s) },
		func(s *Scope) any { return chosen(s).plain(s) },
	}
}

// and gives the first argument that is false, else the last.
func and(args []*node) operation {
	o := gives(func(s *Scope) value {
		last := value{kind: undefined}
		for _, a := range args {
			if last = a.eval(s); !last.truth() {
				break
			}
		}
		return last
	})
	o.test = func(s *Scope) bool {
		for _, a := range args {
			if !a.test(s) {
				return false
			}
		}
		return len(args) > 0
	}
	return o
}

// or gives the first argument that is true, else the last.
func or(args []*node) operation {
	o := gives(func(s *Scope) value {
		last := value{kind: undefined}
		for _, a := range args {
			if last = a.eval(s); last.truth() {
				break
			}
		}
		return last
	})
	o.test = func(s *Scope) bool {
		for _, a := range args {
			if a.test(s) {
				return true
			}
		}
		return false
	}
	return o
}

func not(args []*node) operation {
	a := arg(args, 0)
	return decides(func(s *Scope) bool { return !a.test(s) })
}

func notNot(args []*node) operation {
	a := arg(args, 0)
	return decides(func(s *Scope) bool { return a.test(s) })
}

// A comparison of any two values, and what it is of the two usual kinds.
type comparison struct {
	holds    func(s *Scope, a, b value) bool
	numbers  numbers
	equality bool // of texts it is what numbers says of equal ones and of others
}

// numbers is whether a comparison of two numbers holds: one, by how they stand.
type numbers struct{ less, equal, greater, unordered bool }

var notEqual = numbers{less: true, greater: true, unordered: true}

func (n numbers) hold(a, b float64) bool {
	switch {
	case a < b:
		return n.less
	case a == b:
		return n.equal
	case a > b:
		return n.greater
	}
	return n.unordered
}

func compare(c comparison) func([]*node) operation {
	return func(args []*node) operation {
		a, b := arg(args, 0), arg(args, 1)
		if a.field != "" && b.constant != nil {
			// The usual rule: {">=": [{"var": "age"}, 18]}.
			name, with := a.field, *b.constant
			switch {
			case with.kind == number:
				return decides(func(s *Scope) bool {
					v := s.field(name)
					if f, ok := v.(float64); ok {
						return c.numbers.hold(f, with.num)
					}
					return c.holds(s, toValue(v), with)
				})
			case with.kind == text && c.equality && len(with.str) < bytesPerStep:
				return decides(func(s *Scope) bool {
					v := s.field(name)
					if str, ok := v.(string); ok {
						return (str == with.str) == c.numbers.equal
					}
					return c.holds(s, toValue(v), with)
				})
			}
		}
		return decides(func(s *Scope) bool {
			x := a.eval(s)
			return c.holds(s, x, b.eval(s))
		})
	}
}

// between takes a third argument: a < b < c.
func between(c comparison) func([]*node) operation {
	two := compare(c)
	return func(args []*node) operation {
		if len(args) < 3 {
			return two(args)
		}
		low, middle, high := args[0], args[1], args[2]
		return decides(func(s *Scope) bool {
			x, y := low.eval(s), middle.eval(s)
			if !c.holds(s, x, y) {
				return false
			}
			z := high.eval(s)
			return z.kind == undefined || c.holds(s, y, z)
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

// same says whether two lists or objects are one, as JavaScript compares them.
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

func less(s *Scope, a, b value) bool {
	if a.kind == number && b.kind == number {
		return a.num < b.num
	}
	a, b = s.primitive(a), s.primitive(b)
	if a.kind == text && b.kind == text {
		return compareUTF16(s.read(a.str), b.str) < 0
	}
	return s.number(a) < s.number(b)
}

func lessOrEqual(s *Scope, a, b value) bool {
	if a.kind == number && b.kind == number {
		return a.num <= b.num
	}
	a, b = s.primitive(a), s.primitive(b)
	if a.kind == text && b.kind == text {
		return compareUTF16(s.read(a.str), b.str) <= 0
	}
	return s.number(a) <= s.number(b)
}

// compareUTF16 orders texts by their UTF-16 code units, as JavaScript does. That is
// the order of bytes but for characters beyond U+FFFF, whose surrogates come before
// U+E000.
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
	if x == y { // bytes that are no UTF-8
		return strings.Compare(a[i:], b[i:])
	}
	return int(x) - int(y)
}
