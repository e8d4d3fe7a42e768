package jsonlogic

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
