package jsonlogic

import (
	"math"
	"unicode/utf8"
)

// operators are the standard operators. Each makes an operation from compiled arguments.
var operators = map[string]func(args []*node) operation{
	"var":          variable,
	"missing":      missing,
	"missing_some": missingSome,

	"if":  branch,
	"?:":  branch,
	"and": andOr(false),
	"or":  andOr(true),
	"!":   not,
	"!!":  notNot,

	"==":  compare(looseEqual, func(a, b float64) bool { return a == b }),
	"!=":  compare(comparison(looseEqual).negated(), func(a, b float64) bool { return a != b }),
	"===": compare(strictEqual, func(a, b float64) bool { return a == b }),
	"!==": compare(comparison(strictEqual).negated(), func(a, b float64) bool { return a != b }),
	"<":   between(ordered(false), func(a, b float64) bool { return a < b }),
	"<=":  between(ordered(true), func(a, b float64) bool { return a <= b }),
	">":   compare(ordered(false).swapped(), func(a, b float64) bool { return a > b }),
	">=":  compare(ordered(true).swapped(), func(a, b float64) bool { return a >= b }),

	"+":   add,
	"-":   subtract,
	"*":   multiply,
	"/":   arithmetic(func(a, b float64) float64 { return a / b }),
	"%":   arithmetic(math.Mod),
	"min": extreme(func(a, b float64) float64 { return min(a, b) }, math.Inf(1)),
	"max": extreme(func(a, b float64) float64 { return max(a, b) }, math.Inf(-1)),

	"map":    mapped,
	"filter": filter,
	"reduce": reduce,
	"all":    quantifier(false, func(found bool, n int) bool { return !found && n > 0 }),
	"some":   quantifier(true, func(found bool, _ int) bool { return found }),
	"none":   quantifier(true, func(found bool, _ int) bool { return !found }),
	"merge":  merge,
	"in":     in,

	"cat":    cat,
	"substr": substr,

	"log": log,
}

// log passes its argument to [Options.Log] and returns it.
func log(args []*node) operation {
	a := arg(args, 0)
	return gives(func(s *Scope) value {
		v := a.eval(s)
		if hook := s.bounds.log; hook != nil && s.err == nil {
			if given := s.give(v); s.err == nil {
				hook(given)
			}
		}
		return v
	})
}

func add(args []*node) operation {
	return gives(func(s *Scope) value {
		sum := 0.0
		for _, a := range args {
			sum += s.leadingNumber(a.eval(s))
		}
		return value{kind: number, num: sum}
	})
}

// multiply returns a single argument unchanged, whatever its type.
func multiply(args []*node) operation {
	if len(args) == 1 {
		return args[0].operation
	}
	return gives(func(s *Scope) value {
		product := 1.0
		for _, a := range args {
			product *= s.leadingNumber(a.eval(s))
		}
		return value{kind: number, num: product}
	})
}

// subtract negates a single argument.
func subtract(args []*node) operation {
	a, b := arg(args, 0), arg(args, 1)
	return gives(func(s *Scope) value {
		x := s.number(a.eval(s))
		y := b.eval(s)
		if y.kind == undefined {
			return value{kind: number, num: -x}
		}
		return value{kind: number, num: x - s.number(y)}
	})
}

func arithmetic(f func(a, b float64) float64) func(args []*node) operation {
	return func(args []*node) operation {
		a, b := arg(args, 0), arg(args, 1)
		return gives(func(s *Scope) value {
			x := s.number(a.eval(s))
			return value{kind: number, num: f(x, s.number(b.eval(s)))}
		})
	}
}

func extreme(of func(a, b float64) float64, none float64) func(args []*node) operation {
	return func(args []*node) operation {
		return gives(func(s *Scope) value {
			most := none
			for _, a := range args {
				most = of(most, s.number(a.eval(s)))
			}
			return value{kind: number, num: most}
		})
	}
}

// cat joins its arguments as JavaScript's Array.join does.
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

// substr is {"substr": [text, start, length]}, in characters. A negative start counts from the end.
// A negative length removes that many characters from the end.
func substr(args []*node) operation {
	source, start, length := arg(args, 0), arg(args, 1), arg(args, 2)
	return gives(func(s *Scope) value {
		v, from := source.eval(s), start.eval(s)
		return s.substr(v, from, length.eval(s))
	})
}

func (s *Scope) substr(source, start, length value) value {
	t := s.read(s.text(source))
	n := float64(utf8.RuneCountInString(t))
	from := truncate(s.number(start))
	if from < 0 {
		from = max(from+n, 0)
	}
	from = min(from, n)
	rest := n - from
	if length.kind != undefined {
		take := s.number(length)
		if take < 0 {
			take += rest
		}
		rest = min(max(truncate(take), 0), rest)
	}
	t = t[offset(t, int(from)):]
	return value{kind: text, str: t[:offset(t, int(rest))]}
}

// truncate is JavaScript's ToIntegerOrInfinity.
func truncate(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return math.Trunc(f)
}

// offset returns the byte offset of character n of s.
func offset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
