package jsonlogic

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

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
