package jsonlogic

import (
	"fmt"
	"sync"
)

// A Rule is a compiled rule. It may be used by any number of goroutines.
type Rule struct {
	root    *node
	depth   int
	refused engines // that refuse it whatever the data
	bounds  *bounds

	once   sync.Once
	shared *node // see reference
}

// Eval applies the rule to data. The result is nil, a bool, a float64, a string, a
// []any or a map[string]any, or an [Object] of the data; lists and maps that come
// from data or from the rule are shared with it, hold what it holds, and must not be
// changed.
//
// The error is one that a custom operator returned, as it is, or an [*Error] of
// [ErrTooManySteps], [ErrTextTooLong] or [ErrResultTooDeep].
func (r *Rule) Eval(data any) (any, error) {
	s, _ := scopes.Get().(*Scope)
	result, err := r.EvalIn(s, data)
	scopes.Put(s)
	return result, err
}

// EvalIn is [Rule.Eval] in a scope of the caller's, which may be new or have been used,
// but not be in use. It is for callers that keep what an evaluation needs anyway, and
// spares Eval's looking for a scope.
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

// A Scope is one evaluation in progress. It must not be kept.
type Scope struct {
	data    any
	fields  map[string]any // members of data, but for those called "$…"; nil: only data knows
	bounds  *bounds
	left    int     // steps
	refused engines // that have refused something
	trial   bool    // it is no evaluation but the rule is being compiled
	deaf    engines // that leave out what is being evaluated
	err     error
	note    func(key string, v any) // adds to the trace of the operation; nil: nobody asked for it
}

// bounds are what limits an evaluation, and whom the operator log calls.
type bounds struct {
	dialect     Dialect
	steps, text int
	log         func(any) // nil: nobody
}

var scopes = sync.Pool{New: func() any { return new(Scope) }}

// Data is what the rule is applied to; in the second argument of map, filter, all,
// some and none it is the element, in that of reduce an [Object] with the members
// current and accumulator.
func (s *Scope) Data() any { return s.data }

// Var returns the value called name at the top of the data, nil means none.
func (s *Scope) Var(name string) any {
	v, _ := member(s.data, name)
	return s.plain(v)
}

// Text is the text called name at the top of the data, for the name that [Arg.Field]
// gives; false when it is none.
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

// Explaining says whether the evaluation is one of [Rule.Explain], and a note would be
// kept. An operator asks before it computes what it would only note.
func (s *Scope) Explaining() bool { return s.note != nil }

// Note adds a detail to the trace of the custom operation that is being evaluated,
// in an evaluation of [Rule.Explain]; in any other it does nothing. Value may be any
// Go value; it is kept as it is at that moment.
func (s *Scope) Note(key string, value any) {
	if s.note != nil {
		s.note(key, value)
	}
}

// field is the member of that name, which does not begin with "$"; nil when there is
// none. Most rules do little but look up fields.
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

// bytesPerStep is how much text may be read or built for one step.
const bytesPerStep = 64

// spend takes n of the steps that are left. It is false when the evaluation is to
// end.
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

// read pays for the reading of a text. There is no text any more when the evaluation
// is to end.
func (s *Scope) read(text string) string {
	if len(text) < bytesPerStep || s.spend(len(text)/bytesPerStep) {
		return text
	}
	return ""
}

// fits pays for a text, of which n bytes were just built, and says whether it may
// grow further.
func (s *Scope) fits(text []byte, n int) bool {
	if most := s.bounds.text; len(text) > most {
		s.fail(&Error{Err: fmt.Errorf("%w: at most %d bytes", ErrTextTooLong, most)})
		return false
	}
	return s.spend(n / bytesPerStep)
}

// give hands a value out to code that is not of this package. A list that a loop
// built can hold one part in many places, and be small here but without end for
// whoever walks it: reduce may double its accumulator at each step. So it is walked
// here first.
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
