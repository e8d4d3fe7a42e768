package flags

import (
	"context"
	"errors"
	"strconv"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// resolve evaluates one flag for one accessor. as converts a variant's value to the accessor's
// type, or returns false. resolve allocates only on errors, unless the flag's rule allocates.
func resolve[T any](ctx context.Context, p *Provider, key string, defaultValue T, attrs map[string]any, as func(any) (T, bool)) openfeature.GenericResolutionDetail[T] {
	d := openfeature.GenericResolutionDetail[T]{Value: defaultValue}
	set := p.current.Load()
	if set == nil {
		d.Reason = openfeature.ErrorReason
		d.ResolutionError = openfeature.NewProviderNotReadyResolutionError("no flag document has been loaded yet")
		return d
	}
	f := set.flags[key]
	if f == nil {
		d.Reason = openfeature.ErrorReason
		d.ResolutionError = openfeature.NewFlagNotFoundResolutionError("there is no flag " + strconv.Quote(key))
		return d
	}
	d.FlagMetadata = f.metadata
	v, reason, failed := p.choose(ctx, f, attrs)
	d.Reason = reason
	if failed != nil {
		d.ResolutionError = *failed
		return d
	}
	p.count(f, v)
	if v == nil {
		return d
	}
	value, ok := as(v.value)
	if !ok {
		d.Reason = openfeature.ErrorReason
		d.ResolutionError = openfeature.NewTypeMismatchResolutionError("variant " + strconv.Quote(v.name) + " of flag " + strconv.Quote(key) + " has another type")
		return d
	}
	d.Value, d.Variant = value, v.name
	return d
}

// count counts an evaluation; a nil variant is the caller's default.
func (p *Provider) count(f *flag, v *variant) {
	switch {
	case p.opts.WithoutUsage:
	case v != nil:
		v.counter.count()
	default:
		f.withoutVariant.count()
	}
}

func (f *flag) isStatic() bool {
	return f.rule == nil && f.defaultVariant != nil && !f.disabled && f.fault == nil && !f.exposed
}

// errorPointer moves a rare error to the heap: as a value it has six words, and the result of an
// evaluation would no longer fit into registers.
func errorPointer(err openfeature.ResolutionError) *openfeature.ResolutionError { return &err }

func (p *Provider) choose(ctx context.Context, f *flag, attrs map[string]any) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError) {
	if p.opts.AllowOverrides && f.fault == nil && !f.disabled {
		if name, ok := overridden(ctx, f.key); ok {
			if v := f.variant(name); v != nil {
				return v, ReasonOverride, nil
			}
			return nil, openfeature.ErrorReason, errorPointer(openfeature.NewGeneralResolutionError("flag " + strconv.Quote(f.key) + " is overridden by " + strconv.Quote(name) + ", which is not a variant"))
		}
	}
	if f.exposed {
		if e := exposuresOf(ctx); e != nil {
			return f.expose(ctx, attrs, p.static, e)
		}
	}
	return f.evaluate(ctx, attrs, p.static)
}

// Evaluate evaluates a flag of any type, for callers that do not know the type, such as a page
// that shows flags. The value is a bool, string, float64, []any or map[string]any, and nil where
// the caller's default applies. ErrorCode is set on an error.
func (p *Provider) Evaluate(ctx context.Context, key string, attrs Attributes) openfeature.InterfaceEvaluationDetails {
	d := resolve(ctx, p, key, nil, attrs, asAny)
	details := openfeature.InterfaceEvaluationDetails{Value: d.Value}
	details.FlagKey, details.FlagType, details.ResolutionDetail = key, typeOf(d.Value), d.ResolutionDetail()
	return details
}

// evaluate chooses the variant. A nil variant without an error means the caller's default.
func (f *flag) evaluate(ctx context.Context, attrs, static map[string]any) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError) {
	switch {
	case f.fault != nil:
		return nil, openfeature.ErrorReason, errorPointer(openfeature.NewParseErrorResolutionError(f.fault.Error()))
	case f.disabled:
		return nil, openfeature.DisabledReason, nil
	case f.rule == nil && f.defaultVariant == nil:
		return nil, openfeature.DefaultReason, nil
	case f.rule == nil:
		return f.defaultVariant, openfeature.StaticReason, nil
	}
	c, _ := contexts.Get().(*evalContext)
	c.flag, c.attrs, c.static = f, attrs, static
	result, err := f.rule.EvalIn(&c.scope, c)
	keyless := c.keyless
	c.flag, c.attrs, c.static, c.keyless = nil, nil, nil, false
	contexts.Put(c)
	return f.conclude(ctx, keyless, result, err)
}

// conclude decides by the result of the rule. keyless means that the rule needed a targeting key.
func (f *flag) conclude(ctx context.Context, keyless bool, result any, err error) (*variant, openfeature.Reason, *openfeature.ResolutionError) {
	if keyless && requiresTargetingKey(ctx) {
		return nil, openfeature.ErrorReason, errorPointer(openfeature.NewTargetingKeyMissingResolutionError("the rule of flag " + strconv.Quote(f.key) + " buckets by the targetingKey, and the context has none"))
	}
	return f.decide(result, err)
}

func (f *flag) decide(result any, err error) (*variant, openfeature.Reason, *openfeature.ResolutionError) {
	var name string
	switch result := result.(type) {
	case nil:
		if bound := (*jsonlogic.Error)(nil); errors.As(err, &bound) {
			return f.failed("was stopped: " + bound.Err.Error())
		}
		if err != nil {
			return nil, openfeature.ErrorReason, errorPointer(openfeature.NewParseErrorResolutionError(err.Error()))
		}
		return f.defaultVariant, openfeature.DefaultReason, nil
	case string:
		name = result
	case bool:
		name = strconv.FormatBool(result)
	case float64:
		name = numberText(result)
	default:
		return f.failed("gives a list or an object, which names no variant")
	}
	if v := f.variant(name); v != nil {
		return v, openfeature.TargetingMatchReason, nil
	}
	return f.failed("gives " + strconv.Quote(name) + ", which is not a variant")
}

func (f *flag) failed(how string) (*variant, openfeature.Reason, *openfeature.ResolutionError) {
	return nil, openfeature.ErrorReason, errorPointer(openfeature.NewGeneralResolutionError("the rule of flag " + strconv.Quote(f.key) + " " + how))
}

func (f *flag) variant(name string) *variant {
	if f.few == nil {
		return f.variants[name]
	}
	for _, v := range f.few {
		if v.name == name {
			return v
		}
	}
	return nil
}

// BooleanEvaluation implements openfeature.FeatureProvider. The metadata that the evaluation
// methods return is shared and must not be changed.
func (p *Provider) BooleanEvaluation(ctx context.Context, flag string, defaultValue bool, flatCtx openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, as[bool])
}

// StringEvaluation implements openfeature.FeatureProvider.
func (p *Provider) StringEvaluation(ctx context.Context, flag, defaultValue string, flatCtx openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, as[string])
}

// FloatEvaluation implements openfeature.FeatureProvider.
func (p *Provider) FloatEvaluation(ctx context.Context, flag string, defaultValue float64, flatCtx openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, as[float64])
}

// IntEvaluation implements openfeature.FeatureProvider. A variant that is not a whole number
// within ±(2^53−1) is a type mismatch, because a float64 does not hold every integer beyond.
// Nothing is truncated.
func (p *Provider) IntEvaluation(ctx context.Context, flag string, defaultValue int64, flatCtx openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, asInt)
}

// ObjectEvaluation implements openfeature.FeatureProvider. The value is a map[string]any or
// []any. It is a copy, so the caller may change it.
func (p *Provider) ObjectEvaluation(ctx context.Context, flag string, defaultValue any, flatCtx openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, asObject)
}

type requireKey struct{}

// RequireTargetingKey returns a context in which an evaluation answers TARGETING_KEY_MISSING
// when its rule buckets by a targeting key that is missing or empty. A rule does so when it
// reaches a fractional operation without a bucketing value. Without RequireTargetingKey such an
// operation gives null, as in flagd.
func RequireTargetingKey(ctx context.Context) context.Context {
	return context.WithValue(ctx, requireKey{}, true)
}

func requiresTargetingKey(ctx context.Context) bool {
	required, _ := ctx.Value(requireKey{}).(bool)
	return required
}

// ReasonOverride is the reason of an evaluation that [WithOverride] decided.
const ReasonOverride openfeature.Reason = "OVERRIDE"

type overrideKey struct{}

// An override is an element of a linked list, the latest first.
type override struct {
	flag, variant string
	earlier       *override
}

// WithOverride returns a context in which the flag has the variant: for a test, or to try a dark
// feature. Only providers with [Options.AllowOverrides] honour it, which keeps it out of
// production. A disabled flag stays disabled. A variant that the flag does not have is a GENERAL
// error.
func WithOverride(ctx context.Context, key, variant string) context.Context {
	earlier, _ := ctx.Value(overrideKey{}).(*override)
	return context.WithValue(ctx, overrideKey{}, &override{key, variant, earlier})
}

func overridden(ctx context.Context, key string) (variant string, ok bool) {
	o, _ := ctx.Value(overrideKey{}).(*override)
	for ; o != nil; o = o.earlier {
		if o.flag == key {
			return o.variant, true
		}
	}
	return "", false
}
