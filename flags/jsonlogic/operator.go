package jsonlogic

// An Operator compiles one use of a custom operator. [Compile] calls it with the compiled
// arguments, and [Rule.Explain] calls it again. A single argument may be written without a list.
// The function that it returns is called at each evaluation, possibly by many goroutines at once.
// An error makes the rule invalid.
type Operator func(args []Arg) (Func, error)

// A Func returns the result of an operation, which may be any Go value. An error stops the
// evaluation of the rule.
type Func func(s *Scope) (any, error)

// A Predicate compiles one use of a custom operator that is true, false or null. It works like an
// [Operator] and is faster in a condition, because no value is made. ok false means null.
type Predicate func(args []Arg) (test func(s *Scope) (holds, ok bool), err error)

// An Arg is the compiled argument of a custom operator.
type Arg struct{ n *node }

// Eval evaluates the argument. The result has the types of [Rule.Eval].
func (a Arg) Eval(s *Scope) any { return a.n.plain(s) }

// Const returns the argument's value if it is the same for all data.
func (a Arg) Const() (value any, ok bool) {
	if a.n.constant == nil {
		return nil, false
	}
	return a.n.constant.result(), true
}

// Items returns the elements of an argument that is written as a list, so that an operator can
// evaluate only some of them. ok is false for any other argument.
func (a Arg) Items() (items []Arg, ok bool) {
	if !a.n.list {
		return nil, false
	}
	return asArgs(a.n.items()), true
}

// Field returns the name in an argument of the form {"var": name}. An operator on strings can read
// it with [Scope.Text], which is faster than to evaluate the argument.
func (a Arg) Field() (name string, ok bool) { return a.n.field, a.n.field != "" }

func asArgs(nodes []*node) []Arg {
	args := make([]Arg, len(nodes))
	for i, n := range nodes {
		args[i] = Arg{n}
	}
	return args
}

func (o Operator) instance(args []*node) (operation, error) {
	f, err := o(asArgs(args))
	if err != nil {
		return operation{}, err
	}
	call := func(s *Scope) any {
		if s.err != nil {
			return nil
		}
		v, err := f(s)
		if err != nil {
			s.fail(err)
			return nil
		}
		return v
	}
	of := gives(func(s *Scope) value { return toValue(call(s)) })
	of.plain = func(s *Scope) any { return s.plain(call(s)) }
	return of, nil
}

func (p Predicate) instance(args []*node) (operation, error) {
	test, err := p(asArgs(args))
	if err != nil {
		return operation{}, err
	}
	of := gives(func(s *Scope) value {
		if holds, ok := test(s); ok {
			return boolean(holds)
		}
		return value{}
	})
	of.test = func(s *Scope) bool {
		holds, ok := test(s)
		return holds && ok
	}
	return of, nil
}
