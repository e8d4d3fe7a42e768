package jsonlogic

import (
	"fmt"
	"sync"
)

// A Rule is a compiled rule. Any number of goroutines may use it.
type Rule struct {
	root    *node
	depth   int
	refused engines // engines that refuse the rule, whatever the data
	bounds  *bounds

	once   sync.Once
	shared *node // see reference
}

// Eval evaluates the rule on data. The result is nil, a bool, a float64, a string, a []any, a
// map[string]any, or an [Object] of the data. Lists and maps of the data or of the rule are
// returned without a copy and must not be changed.
//
// The error is the error of a custom operator, unchanged, or an [*Error] with [ErrTooManySteps],
// [ErrTextTooLong], [ErrResultTooDeep] or [ErrInvalidArguments].
func (r *Rule) Eval(data any) (any, error) {
	s, _ := scopes.Get().(*Scope)
	result, err := r.EvalIn(s, data)
	scopes.Put(s)
	return result, err
}

// EvalIn is [Rule.Eval] with a scope of the caller, which may be new or used before, but not in
// use. It is for callers that keep a scope for each evaluation anyway: it saves taking one from
// a pool.
func (r *Rule) EvalIn(s *Scope, data any) (any, error) {
	s.bounds, s.left, s.refused = r.bounds, r.bounds.steps, r.refused
	s.enter(data)
	result := r.root.plain(s)
	err := s.err
	s.data, s.fields, s.bounds, s.err = nil, nil, nil, nil
	if err != nil {
		return nil, err
	}
	return result, nil
}

// A Scope is one evaluation in progress. Operators must not keep it.
type Scope struct {
	data    any
	fields  map[string]any // fields of data, except those called "$…"; nil means that data must be asked
	bounds  *bounds
	left    int     // steps left
	refused engines // engines that have refused something
	trial   bool    // the rule is being compiled
	muted   engines // engines that skip what is being evaluated
	err     error
	note    func(key string, v any) // adds to the trace of the operation; nil means no trace
}

// bounds are the limits of an evaluation, and the hook of the operator log.
type bounds struct {
	dialect     Dialect
	steps, text int
	log         func(any) // nil means no call
}

var scopes = sync.Pool{New: func() any { return new(Scope) }}

// Data returns the data of the rule. In the second argument of map, filter, all, some and none it
// is the element. In that of reduce it is an [Object] with the fields current and accumulator.
func (s *Scope) Data() any { return s.data }

// Var returns the top-level field called name; nil means null or missing.
func (s *Scope) Var(name string) any {
	v, _ := member(s.data, name)
	return s.plain(v)
}

// Text returns the top-level field called name, which [Arg.Field] returned. ok is false if it is
// not a string.
func (s *Scope) Text(name string) (text string, ok bool) {
	v := s.field(name)
	if text, ok = v.(string); ok {
		return text, true
	}
	return s.otherText(v)
}

func (s *Scope) otherText(v any) (string, bool) {
	w := toValue(v)
	return w.str, w.kind == text
}

// Explaining reports whether the evaluation is one of [Rule.Explain]. An operator asks before it
// computes something only for a note.
func (s *Scope) Explaining() bool { return s.note != nil }

// Note adds a detail to the trace of the custom operation that is being evaluated. Outside
// [Rule.Explain] it does null. value may be any Go value; it is copied.
func (s *Scope) Note(key string, value any) {
	if s.note != nil {
		s.note(key, value)
	}
}

// field returns a field whose name does not begin with "$"; nil means missing. It exists because
// most rules do little more than read fields.
func (s *Scope) field(name string) any {
	if s.fields != nil {
		return s.fields[name]
	}
	v, _ := member(s.data, name)
	return v
}

func (s *Scope) enter(v any) {
	s.data = v
	switch v := v.(type) {
	case map[string]any:
		s.fields = v
	case Fielder:
		s.fields = v.Fields()
	default:
		s.fields = nil
	}
}

func (s *Scope) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// bytesPerStep is the number of bytes of text that one step pays for.
const bytesPerStep = 64

// spend takes n steps. It returns false when the evaluation must stop.
func (s *Scope) spend(n int) bool {
	if s.err != nil {
		return false
	}
	if s.left -= n; s.left < 0 {
		s.fail(&Error{Err: fmt.Errorf("%w: at most %d", ErrTooManySteps, s.bounds.steps)})
		return false
	}
	return true
}

// read pays for reading a text. It returns an empty text when the evaluation must stop.
func (s *Scope) read(text string) string {
	if len(text) < bytesPerStep || s.spend(len(text)/bytesPerStep) {
		return text
	}
	return ""
}

// fits pays for the n bytes that were just appended to a text. It returns false when the
// evaluation must stop.
func (s *Scope) fits(text []byte, n int) bool {
	if most := s.bounds.text; len(text) > most {
		s.fail(&Error{Err: fmt.Errorf("%w: at most %d bytes", ErrTextTooLong, most)})
		return false
	}
	return s.spend(n / bytesPerStep)
}

// give converts a value for code outside this package. A list that a loop built may contain one
// part many times, so that it is small in memory but huge for code that walks it: reduce can
// double its accumulator at each step. So give walks it first and pays for it.
func (s *Scope) give(v value) any {
	if v.isReference() && s.left < s.bounds.steps && !s.walk(v.ref, 0) {
		return nil
	}
	return v.result()
}

func (s *Scope) walk(v any, depth int) bool {
	if depth > walkDepth {
		s.fail(&Error{Err: fmt.Errorf("%w: at most %d", ErrResultTooDeep, walkDepth)})
		return false
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if !s.spend(1) || !s.walk(item, depth+1) {
				return false
			}
		}
	case map[string]any:
		for _, item := range v {
			if !s.spend(1) || !s.walk(item, depth+1) {
				return false
			}
		}
	}
	return true
}

func (s *Scope) plain(v any) any {
	switch v.(type) {
	case nil, bool, string, float64:
		return v
	}
	return s.give(toValue(v))
}
