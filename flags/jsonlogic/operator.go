package jsonlogic

// An Operator compiles one use of a custom operator. It is called by [Compile], and
// again by [Rule.Explain], with the operator's arguments compiled; a single argument
// need not stand in a list. What it returns is called at each evaluation, perhaps by
// many goroutines at once. An error makes the rule invalid.
type Operator func(args []Arg) (Func, error)

// A Func gives the result of an operation. An error ends the evaluation of the
// rule. The result may be any Go value.
type Func func(s *Scope) (any, error)

// A Predicate compiles one use of a custom operator that is true, false or null, as an
// [Operator] does any other; it spares the making of a value that is only asked for
// its truth. What it returns is null where it is not ok.
type Predicate func(args []Arg) (test func(s *Scope) (holds, ok bool), err error)

// An Arg is the compiled argument of a custom operator.
type Arg struct{ n *node }

// Eval evaluates the argument, to what [Rule.Eval] would give for it.
func (a Arg) Eval(s *Scope) any { return a.n.plain(s) }

// Const returns the argument's value when it is the same for all data.
func (a Arg) Const() (value any, ok bool) {
	if a.n.constant == nil {
		return nil, false
	}
	return a.n.constant.result(), true
}

// Items returns the elements of an argument that was written as a list, so that an
// operator may evaluate the ones it needs; ok is false for any other argument.
func (a Arg) Items() (items []Arg, ok bool) {
	if !a.n.list {
		return nil, false
	}
	return asArgs(a.n.items()), true
}

// Field returns the name of the member that the argument is, where it is
// {"var": name}: an operator of texts can read it with [Scope.Text], which is sooner
// than to evaluate the argument.
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
