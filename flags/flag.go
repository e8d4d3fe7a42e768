package flags

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/open-feature/go-sdk/openfeature"
)

// A Flag is a flag as the code declares it: its key, its type, and the default for every error.
// It is made by [Bool], [String], [Int], [Float] or [Object], usually once in a package variable.
// It is stateless.
type Flag[T any] struct {
	key          string
	defaultValue T
	kind         openfeature.Type
	fromClient   func(client openfeature.IClient, ctx context.Context, key string, defaultValue T, evalCtx openfeature.EvaluationContext, options ...openfeature.Option) T
	fromValue    func(any) (T, bool)
}

// Bool declares a flag whose variants are booleans.
func Bool(key string, defaultValue bool) Flag[bool] {
	return Flag[bool]{key, defaultValue, openfeature.Boolean, openfeature.IClient.Boolean, as[bool]}
}

// String declares a flag whose variants are strings.
func String(key, defaultValue string) Flag[string] {
	return Flag[string]{key, defaultValue, openfeature.String, openfeature.IClient.String, as[string]}
}

// Int declares a flag whose variants are whole numbers within ±(2^53−1).
func Int(key string, defaultValue int64) Flag[int64] {
	return Flag[int64]{key, defaultValue, openfeature.Int, openfeature.IClient.Int, asInt}
}

// Float declares a flag whose variants are numbers.
func Float(key string, defaultValue float64) Flag[float64] {
	return Flag[float64]{key, defaultValue, openfeature.Float, openfeature.IClient.Float, as[float64]}
}

// Object declares a flag whose variants are maps or lists, decoded into a T as encoding/json
// does: a struct or a map[string]any. A variant that cannot be decoded gives the default.
func Object[T any](key string, defaultValue T) Flag[T] {
	return Flag[T]{
		key, defaultValue, openfeature.Object,
		func(client openfeature.IClient, ctx context.Context, key string, defaultValue T, evalCtx openfeature.EvaluationContext, _ ...openfeature.Option) T {
			value, err := client.ObjectValue(ctx, key, nil, evalCtx)
			if v, ok := decode[T](value); err == nil && ok {
				return v
			}
			return defaultValue
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

// Key returns the flag's key in the document.
func (f Flag[T]) Key() string { return f.key }

func (f Flag[T]) accepts(value any) bool {
	_, ok := f.fromValue(value)
	return ok
}

func (f Flag[T]) typeName() string { return f.kind.String() }

// Is pairs the flag with a value for a test: flagtest.With takes it.
func (f Flag[T]) Is(value T) Setting { return Setting{f, value} }

// A Setting is a flag with the value that a test gives it. [Flag.Is] makes it.
type Setting struct {
	Flag  Declared
	Value any
}

// Value evaluates the flag with an OpenFeature client, whatever its provider. Hooks run, and
// OpenFeature's global and transaction contexts apply. On any error Value returns the declared
// default.
func (f Flag[T]) Value(ctx context.Context, client openfeature.IClient, evalCtx openfeature.EvaluationContext) T {
	return f.fromClient(client, ctx, f.key, f.defaultValue, evalCtx)
}

// Bind makes a handle that evaluates the flag on p directly. That is many times faster than
// through OpenFeature and does less: no hook runs, and the rule sees only the given attributes
// and [Options.Static]. Overrides apply where they are allowed, and [Options.OnEvaluation] is
// called.
func (f Flag[T]) Bind(p *Provider) Handle[T] { return Handle[T]{f, p, new(atomic.Pointer[lookup])} }

// A Handle is a flag bound to a provider by [Flag.Bind]. Any number of goroutines may use it.
type Handle[T any] struct {
	flag Flag[T]
	p    *Provider
	at   *atomic.Pointer[lookup]
}

// A lookup is the result of a handle's last look-up.
type lookup struct {
	set  *flagSet
	flag *flag
}

// Value evaluates the flag. On any error it returns the declared default.
func (h Handle[T]) Value(ctx context.Context, attrs Attributes) T {
	if f := h.find(); f != nil && f.isStatic() && !h.p.watched {
		if value, ok := h.flag.fromValue(f.defaultVariant.value); ok {
			h.p.count(f, f.defaultVariant)
			return value
		}
	}
	d := resolve(ctx, h.p, h.flag.key, h.flag.defaultValue, attrs, h.flag.fromValue)
	if onEvaluation := h.p.opts.OnEvaluation; onEvaluation != nil {
		details := openfeature.InterfaceEvaluationDetails{Value: d.Value}
		details.FlagKey, details.FlagType, details.ResolutionDetail = h.flag.key, h.flag.kind, d.ResolutionDetail()
		onEvaluation(ctx, h.p.opts.Name, details)
	}
	return d.Value
}

// find looks the key up once for each document.
func (h Handle[T]) find() *flag {
	set := h.p.current.Load()
	if at := h.at.Load(); at != nil && at.set == set {
		return at.flag
	}
	f := set.flag(h.flag.key)
	h.at.Store(&lookup{set, f})
	return f
}
