package jsonlogic

// add sums what the arguments' texts begin with.
func add(args []*node) operation {
	return gives(func(s *Scope) value {
		sum := 0.0
		for _, a := range args {
			sum += s.leadingNumber(a.eval(s))
		}
		return value{kind: number, num: sum}
	})
}

// multiply gives a single argument as it is, whatever it is.
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

// subtract of one argument is its negation.
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
