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

	"==":  compare(looseEqual),
	"!=":  compare(func(s *Scope, a, b value) bool { return !looseEqual(s, a, b) }),
	"===": compare(strictEqual),
	"!==": compare(func(s *Scope, a, b value) bool { return !strictEqual(s, a, b) }),
	"<":   between(less),
	"<=":  between(lessOrEqual),
	">":   compare(func(s *Scope, a, b value) bool { return less(s, b, a) }),
	">=":  compare(func(s *Scope, a, b value) bool { return lessOrEqual(s, b, a) }),

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

func compare(holds func(s *Scope, a, b value) bool) func([]*node) operation {
	return func(args []*node) operation {
		a, b := arg(args, 0), arg(args, 1)
		return decides(func(s *Scope) bool {
			x := a.eval(s)
			return holds(s, x, b.eval(s))
		})
	}
}

// between takes a third argument: a < b < c.
func between(holds func(s *Scope, a, b value) bool) func([]*node) operation {
	two := compare(holds)
	return func(args []*node) operation {
		if len(args) < 3 {
			return two(args)
		}
		a, b, c := args[0], args[1], args[2]
		return decides(func(s *Scope) bool {
			x, y := a.eval(s), b.eval(s)
			if !holds(s, x, y) {
				return false
			}
			z := c.eval(s)
			return z.kind == undefined || holds(s, y, z)
		})
	}
}

// log gives its argument to [Options.Log], if there is one, and to the rule.
func log(args []*node) operation {
	a := arg(args, 0)
	return gives(func(s *Scope) value {
		v := a.eval(s)
		if hook := s.rule.opts.Log; hook != nil && s.err == nil {
			if given := s.give(v); s.err == nil {
				hook(given)
			}
		}
		return v
	})
}
