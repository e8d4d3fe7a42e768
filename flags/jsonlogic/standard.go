package jsonlogic

import "math"

// operators are the standard ones. Each turns its compiled arguments into the
// functions that evaluate it.
var operators = map[string]func(args []*node) operation{
	"var":          variable,
	"missing":      missing,
	"missing_some": missingSome,

	"if":  branch,
	"?:":  branch,
	"and": until(false),
	"or":  until(true),
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

// log gives its argument to [Options.Log], if there is one, and to the rule.
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
