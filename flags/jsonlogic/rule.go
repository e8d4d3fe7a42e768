package jsonlogic

// A Rule is a compiled rule. It may be used by any number of goroutines.
type Rule struct {
	root   *node
	depth  int
	bounds *bounds
}

// Eval applies the rule to data. The result is nil, a bool, a float64, a string, a
// []any or a map[string]any, or an [Object] of the data; lists and maps that come
// from data or from the rule are shared with it, hold what it holds, and must not be
// changed.
//
// The error is one that a custom operator returned, as it is, or an [*Error] of
// [ErrTooManySteps], [ErrTextTooLong] or [ErrResultTooDeep].
func (r *Rule) Eval(data any) (any, error) {
	if r.root.constant != nil {
		return r.root.constant.result(), nil
	}
	s, _ := scopes.Get().(*Scope)
	result, err := r.EvalIn(s, data)
	scopes.Put(s)
	return result, err
}

// EvalIn is [Rule.Eval] in a scope of the caller's, which may be new or have been used,
// but not be in use. It is for callers that keep what an evaluation needs anyway, and
// spares Eval's looking for a scope.
func (r *Rule) EvalIn(s *Scope, data any) (any, error) {
	s.bounds, s.left = r.bounds, r.bounds.steps
	s.enter(data)
	result := r.root.plain(s)
	err := s.err
	s.data, s.fields, s.bounds, s.err = nil, nil, nil, nil
	if err != nil {
		return nil, err
	}
	return result, nil
}
