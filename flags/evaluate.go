package flags

import (
	"context"
	"errors"
	"strconv"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// resolve evaluates one flag for one accessor; as gives a variant's value in the
// accessor's type, or false. It allocates only where it fails, unless the flag's rule
// has to.
func resolve[T any](ctx context.Context, p *Provider, key string, otherwise T, attrs map[string]any, as func(any) (T, bool)) openfeature.GenericResolutionDetail[T] {
	d := openfeature.GenericResolutionDetail[T]{Value: otherwise}
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

// count notes an evaluation; a nil variant is the caller's default.
func (p *Provider) count(f *flag, v *variant) {
	switch {
	case p.opts.WithoutUsage:
	case v != nil:
		v.counter.note()
	default:
		f.unnamed.note()
	}
}

func (f *flag) isStatic() bool {
	return f.rule == nil && f.standard != nil && !f.disabled && f.fault == nil
}

// refer keeps what an evaluation returns within registers: an error has six words, and
// is seldom.
func refer(err openfeature.ResolutionError) *openfeature.ResolutionError { return &err }

func (p *Provider) choose(ctx context.Context, f *flag, attrs map[string]any) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError) {
	if p.opts.AllowOverrides && f.fault == nil && !f.disabled {
		if name, ok := overridden(ctx, f.key); ok {
			if v := f.variant(name); v != nil {
				return v, ReasonOverride, nil
			}
			return nil, openfeature.ErrorReason, refer(openfeature.NewGeneralResolutionError("flag " + strconv.Quote(f.key) + " is overridden by " + strconv.Quote(name) + ", which is not a variant"))
		}
	}
	return f.evaluate(ctx, attrs, p.static)
}

// Evaluate evaluates a flag whatever its type, for those who do not know which it
// has, such as a page or a protocol that shows flags. The value is a bool, string,
// float64, []any or map[string]any; it is nil where a caller's default stands in. An
// error is told by ErrorCode.
func (p *Provider) Evaluate(ctx context.Context, key string, attrs Attributes) openfeature.InterfaceEvaluationDetails {
	d := resolve(ctx, p, key, nil, attrs, asAny)
	details := openfeature.InterfaceEvaluationDetails{Value: d.Value}
	details.FlagKey, details.FlagType, details.ResolutionDetail = key, typeOf(d.Value), d.ResolutionDetail()
	return details
}

// evaluate chooses the variant. A nil variant, without an error, is the caller's
// default.
func (f *flag) evaluate(ctx context.Context, attrs, static map[string]any) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError) {
	switch {
	case f.fault != nil:
		return nil, openfeature.ErrorReason, refer(openfeature.NewParseErrorResolutionError(f.fault.Error()))
	case f.disabled:
		return nil, openfeature.DisabledReason, nil
	case f.rule == nil && f.standard == nil:
		return nil, openfeature.DefaultReason, nil
	case f.rule == nil:
		return f.standard, openfeature.StaticReason, nil
	}
	c, _ := contexts.Get().(*evalContext)
	c.flag, c.attrs, c.static = f, attrs, static
	result, err := f.rule.EvalIn(&c.scope, c)
	keyless := c.keyless
	c.flag, c.attrs, c.static, c.keyless = nil, nil, nil, false
	contexts.Put(c)
	if keyless && requiresTargetingKey(ctx) {
		return nil, openfeature.ErrorReason, refer(openfeature.NewTargetingKeyMissingResolutionError("the rule of flag " + strconv.Quote(f.key) + " buckets by the targetingKey, and the context has none"))
	}
	return f.decide(result, err)
}

func (f *flag) decide(result any, err error) (*variant, openfeature.Reason, *openfeature.ResolutionError) {
	var name string
	switch result := result.(type) {
	case nil:
		if bound := (*jsonlogic.Error)(nil); errors.As(err, &bound) {
			return f.failed("was ended: " + bound.Err.Error())
		}
		if err != nil {
			return nil, openfeature.ErrorReason, refer(openfeature.NewParseErrorResolutionError(err.Error()))
		}
		return f.standard, openfeature.DefaultReason, nil
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
	return nil, openfeature.ErrorReason, refer(openfeature.NewGeneralResolutionError("the rule of flag " + strconv.Quote(f.key) + " " + how))
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

// BooleanEvaluation implements openfeature.FeatureProvider. The metadata in what this
// and its siblings return is shared and must not be changed.
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

// IntEvaluation implements openfeature.FeatureProvider. A variant that is not a whole
// number within ±(2^53−1), which a float64 could not tell from its neighbour, is a
// type mismatch; nothing is truncated.
func (p *Provider) IntEvaluation(ctx context.Context, flag string, defaultValue int64, flatCtx openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, asInt)
}

// ObjectEvaluation implements openfeature.FeatureProvider. The value is a
// map[string]any or []any of the caller's own.
func (p *Provider) ObjectEvaluation(ctx context.Context, flag string, defaultValue any, flatCtx openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flatCtx, asObject)
}

// An evalContext is what a rule sees: $flagd, the static attributes, and the
// evaluation context.
// Get implements jsonlogic.Object.
// Fields implements jsonlogic.Fielder. No member but $flagd stands elsewhere, unless
// static attributes have a say.
// targetingKey returns the targeting key, false when it is missing, empty or no text.
// A flagdContext is the member $flagd.
// Get implements jsonlogic.Object.
type requireKey struct{}

// RequireTargetingKey makes an evaluation with the context that is returned answer
// TARGETING_KEY_MISSING where the rule buckets by a targeting key that is missing or empty:
// where it reaches a fractional operation without a bucketing value of its own. Without it such
// an operation gives null, as in flagd.
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

// An override is one of a chain, the latest first.
type override struct {
	flag, variant string
	earlier       *override
}

// WithOverride makes the flag give the variant in whatever is evaluated with the
// context that is returned: in a test, or to look at what is still dark. It is
// honoured only by providers with [Options.AllowOverrides], which keeps it out of
// production, and never for a disabled flag. A variant that the flag does not have is a
// GENERAL error.
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
