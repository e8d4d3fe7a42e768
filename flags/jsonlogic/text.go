package jsonlogic

import (
	"math"
	"unicode/utf8"
)

// cat joins its arguments' texts, as JavaScript's Array.join would.
func cat(args []*node) operation {
	return gives(func(s *Scope) value {
		var b []byte
		for _, a := range args {
			var ok bool
			if b, ok = s.join(b, a.eval(s)); !ok {
				return value{}
			}
		}
		return value{kind: text, str: string(b)}
	})
}

// substr is {"substr": [text, start, length]}, in characters. A negative start counts
// from the end, a negative length leaves so many off the end.
func substr(args []*node) operation {
	source, start, length := arg(args, 0), arg(args, 1), arg(args, 2)
	return gives(func(s *Scope) value {
		t := s.read(s.text(source.eval(s)))
		n := float64(utf8.RuneCountInString(t))
		from := truncate(s.number(start.eval(s)))
		if from < 0 {
			from = max(from+n, 0)
		}
		from = min(from, n)
		rest := n - from
		if l := length.eval(s); l.kind != undefined {
			take := s.number(l)
			if take < 0 {
				take += rest
			}
			rest = min(max(truncate(take), 0), rest)
		}
		t = t[offset(t, int(from)):]
		return value{kind: text, str: t[:offset(t, int(rest))]}
	})
}

// truncate is JavaScript's ToIntegerOrInfinity.
func truncate(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return math.Trunc(f)
}

// offset is where the character n of s begins.
func offset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
