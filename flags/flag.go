package flags

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/open-feature/go-sdk/openfeature"
)

// A Flag is a flag as the code knows it: its key, its type, and the value that
// stands in for whatever goes wrong. It is made by [Bool], [String], [Int], [Float] or
// [Object], once, usually in a package variable; it holds no state.
type Flag[T any] struct {
	key        string
	otherwise  T
	kind       openfeature.Type
	fromClient func(client openfeature.IClient, ctx context.Context, key string, otherwise T, evalCtx openfeature.EvaluationContext, options ...openfeature.Option) T
	fromValue  func(any) (T, bool)
}

// Bool declares a flag that is on or off.
func Bool(key string, otherwise bool) Flag[bool] {
	return Flag[bool]{key, otherwise, openfeature.Boolean, openfeature.IClient.Boolean, as[bool]}
}

// String declares a flag that is a text.
func String(key, otherwise string) Flag[string] {
	return Flag[string]{key, otherwise, openfeature.String, openfeature.IClient.String, as[string]}
}

// Int declares a flag that is a whole number within ±(2^53−1).
func Int(key string, otherwise int64) Flag[int64] {
	return Flag[int64]{key, otherwise, openfeature.Int, openfeature.IClient.Int, asInt}
}

// Float declares a flag that is a number.
func Float(key string, otherwise float64) Flag[float64] {
	return Flag[float64]{key, otherwise, openfeature.Float, openfeature.IClient.Float, as[float64]}
}

// Object declares a flag that is a map or a list, read into a T as encoding/json
// would: a struct, a map[string]any. A variant that cannot be read into a T counts
// as missing.
func Object[T any](key string, otherwise T) Flag[T] {
	return Flag[T]{
		key, otherwise, openfeature.Object,
		func(client openfeature.IClient, ctx context.Context, key string, otherwise T, evalCtx openfeature.EvaluationContext, _ ...openfeature.Option) T {
			value, err := client.ObjectValue(ctx, key, nil, evalCtx)
			if v, ok := decode[T](value); err == nil && ok {
				return v
			}
			return otherwise
		},
		func(value any) (T, bool) {
			object, _ := asObject(value)
			return decode[T](object)
		},
	}
}

func decode[T any](value any) (v T, ok bool) {
	if v, ok = value.(T); ok || value == nil {
		return v, ok
	}
	text, err := json.Marshal(value)
	return v, err == nil && json.Unmarshal(text, &v) == nil
}

// Key is the flag's key in the document.
func (f Flag[T]) Key() string { return f.key }

func (f Flag[T]) accepts(value any) bool {
	_, ok := f.fromValue(value)
	return ok
}

func (f Flag[T]) typeName() string { return f.kind.String() }

// Is pairs the flag with a value, for the tests of code that asks it: flagtest.With.
func (f Flag[T]) Is(value T) Setting { return Setting{f, value} }

// A Setting is a flag with the value that a test gives it. [Flag.Is] makes it.
type Setting struct {
	Flag  Declared
	Value any
}

// Value asks an OpenFeature client, whatever its provider: hooks run, and the global
// and the transaction's contexts count. What goes wrong gives the declared default.
func (f Flag[T]) Value(ctx context.Context, client openfeature.IClient, evalCtx openfeature.EvaluationContext) T {
	return f.fromClient(client, ctx, f.key, f.otherwise, evalCtx)
}

// Bind asks p directly. That is many times faster than through OpenFeature and does
// less: no hook runs, and of contexts there is only the attributes that are given,
// under [Options.Static]. Overrides count where they are allowed, and
// [Options.OnEvaluation] is told.
func (f Flag[T]) Bind(p *Provider) Handle[T] { return Handle[T]{f, p, new(atomic.Pointer[lookup])} }

// A Handle is a flag bound to a provider by [Flag.Bind]. It may be used by any
// number of goroutines.
type Handle[T any] struct {
	flag Flag[T]
	p    *Provider
	at   *atomic.Pointer[lookup]
}

// A lookup is where a handle found its flag last.
type lookup struct {
	set  *flagSet
	flag *flag
}

// Value evaluates the flag. What goes wrong gives the declared default.
func (h Handle[T]) Value(ctx context.Context, attrs Attributes) T {
	if f := h.find(); f != nil && f.isStatic() && !h.p.watched {
		if value, ok := h.flag.fromValue(f.standard.value); ok {
			h.p.count(f, f.standard)
			return value
		}
	}
	d := resolve(ctx, h.p, h.flag.key, h.flag.otherwise, attrs, h.flag.fromValue)
	if tell := h.p.opts.OnEvaluation; tell != nil {
		details := openfeature.InterfaceEvaluationDetails{Value: d.Value}
		details.FlagKey, details.FlagType, details.ResolutionDetail = h.flag.key, h.flag.kind, d.ResolutionDetail()
		tell(ctx, h.p.opts.Name, details)
	}
	return d.Value
}

// find returns the flag without looking its key up again in the same document.
func (h Handle[T]) find() *flag {
	set := h.p.current.Load()
	if at := h.at.Load(); at != nil && at.set == set {
		return at.flag
	}
	f := set.flag(h.flag.key)
	h.at.Store(&lookup{set, f})
	return f
}
