package flags

import (
	"context"
	"sync/atomic"

	"github.com/open-feature/go-sdk/openfeature"
)

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
			h.p.count(f, f.standard, 0)
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
