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
