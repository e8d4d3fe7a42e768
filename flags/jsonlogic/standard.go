package jsonlogic

// operators are the standard ones. Each turns its compiled arguments into the
// functions that evaluate it.
var operators = map[string]func(args []*node) operation{
	"var":          variable,
	"missing":      missing,
	"missing_some": missingSome,

	"if":  branch,
	"?:":  branch,
	"and": and,
	"or":  or,
	"!":   not,
	"!!":  notNot,

	"==":  compare(comparison{looseEqual, numbers{equal: true}, true}),
	"!=":  compare(comparison{func(s *Scope, a, b value) bool { return !looseEqual(s, a, b) }, notEqual, true}),
	"===": compare(comparison{strictEqual, numbers{equal: true}, true}),
	"!==": compare(comparison{func(s *Scope, a, b value) bool { return !strictEqual(s, a, b) }, notEqual, true}),
	"<":   between(comparison{less, numbers{less: true}, false}),
	"<=":  between(comparison{lessOrEqual, numbers{less: true, equal: true}, false}),
	">":   compare(comparison{func(s *Scope, a, b value) bool { return less(s, b, a) }, numbers{greater: true}, false}),
	">=":  compare(comparison{func(s *Scope, a, b value) bool { return lessOrEqual(s, b, a) }, numbers{equal: true, greater: true}, false}),

	"+":   add,
	"-":   subtract,
	"*":   multiply,
	"/":   divide,
	"%":   remainder,
	"min": least,
	"max": greatest,

	"map":    mapped,
	"filter": filter,
	"reduce": reduce,
	"all":    all,
	"some":   some,
	"none":   none,
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
