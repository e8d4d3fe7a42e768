package flags

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

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
	v, reason, failed, chance := p.choose(ctx, f, attrs)
	d.Reason = reason
	if failed != nil {
		d.ResolutionError = *failed
		return d
	}
	p.count(f, v, chance)
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
func (p *Provider) count(f *flag, v *variant, chance uint32) {
	if !p.opts.WithoutUsage {
		f.usage.note(v, chance)
	}
}

// isStatic says whether the flag gives one variant, whatever the context.
func (f *flag) isStatic() bool {
	return f.rule == nil && f.standard != nil && !f.disabled && f.fault == nil
}

// refer keeps what an evaluation returns within registers: an error has six words, and
// is seldom.
func refer(err openfeature.ResolutionError) *openfeature.ResolutionError { return &err }

// choose evaluates a flag, or does what the context says instead. chance is for
// [usage.note].
func (p *Provider) choose(ctx context.Context, f *flag, attrs map[string]any) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError, chance uint32) {
	if p.opts.AllowOverrides && f.fault == nil && !f.disabled {
		if name, ok := overridden(ctx, f.key); ok {
			if v := f.variant(name); v != nil {
				return v, ReasonOverride, nil, 0
			}
			return nil, openfeature.ErrorReason, refer(openfeature.NewGeneralResolutionError("flag " + strconv.Quote(f.key) + " is overridden by " + strconv.Quote(name) + ", which is not a variant")), 0
		}
	}
	return f.evaluate(attrs, p.static)
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

func typeOf(v any) openfeature.Type {
	switch v.(type) {
	case bool:
		return openfeature.Boolean
	case string:
		return openfeature.String
	case float64:
		return openfeature.Float
	}
	return openfeature.Object
}

// evaluate chooses the variant. A nil variant, without an error, is the caller's
// default.
func (f *flag) evaluate(attrs, static map[string]any) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError, chance uint32) {
	switch {
	case f.fault != nil:
		return nil, openfeature.ErrorReason, refer(openfeature.NewParseErrorResolutionError(f.fault.Error())), 0
	case f.disabled:
		return nil, openfeature.DisabledReason, nil, 0
	case f.rule == nil && f.standard == nil:
		return nil, openfeature.DefaultReason, nil, 0
	case f.rule == nil:
		return f.standard, openfeature.StaticReason, nil, 0
	}
	c, _ := contexts.Get().(*evalContext)
	c.flag, c.attrs, c.static = f, attrs, static
	result, err := f.rule.EvalIn(&c.scope, c)
	chance = c.chance()
	c.flag, c.attrs, c.static = nil, nil, nil
	contexts.Put(c)
	v, reason, failed = f.decide(result, err)
	return v, reason, failed, chance
}

// decide turns the result of the flag's rule into a variant.
func (f *flag) decide(result any, err error) (*variant, openfeature.Reason, *openfeature.ResolutionError) {
	var name string
	switch result := result.(type) {
	case nil:
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
		return nil, openfeature.ErrorReason, refer(openfeature.NewGeneralResolutionError("the rule of flag " + strconv.Quote(f.key) + " gives a list or an object, which names no variant"))
	}
	v := f.variant(name)
	if v == nil {
		return nil, openfeature.ErrorReason, refer(openfeature.NewGeneralResolutionError("the rule of flag " + strconv.Quote(f.key) + " gives " + strconv.Quote(name) + ", which is not a variant"))
	}
	return v, openfeature.TargetingMatchReason, nil
}

// variant finds a variant by its name, nil when there is none.
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

// An evalContext is what a rule sees: $flagd, the static attributes, and the
// evaluation context.
type evalContext struct {
	flag   *flag
	attrs  map[string]any
	static map[string]any
	scope  jsonlogic.Scope
	room   [128]byte // for what is hashed
	random uint32    // of chance; never 0
}

var contexts = sync.Pool{New: func() any { return &evalContext{random: rand.Uint32() | 1} }}

// chance is a random number, never 0, for next to nothing: Marsaglia's xorshift, which is
// good enough to say which evaluations are counted.
func (c *evalContext) chance() uint32 {
	x := c.random
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	c.random = x
	return x
}

// Get implements jsonlogic.Object.
func (c *evalContext) Get(name string) (any, bool) {
	if name == "$flagd" {
		return (*flagdContext)(c), true
	}
	if len(c.static) > 0 {
		if v, ok := c.static[name]; ok {
			return v, true
		}
	}
	v, ok := c.attrs[name]
	return v, ok
}

// Fields implements jsonlogic.Fielder. No member but $flagd stands elsewhere, unless
// static attributes have a say.
func (c *evalContext) Fields() map[string]any {
	if len(c.static) > 0 {
		return nil
	}
	return c.attrs
}

// targetingKey returns the targeting key, false when it is missing, empty or no text.
func (c *evalContext) targetingKey() (string, bool) {
	v, _ := c.Get(openfeature.TargetingKey)
	key, ok := v.(string)
	return key, ok && key != ""
}

// A flagdContext is the member $flagd.
type flagdContext evalContext

// Get implements jsonlogic.Object.
func (c *flagdContext) Get(name string) (any, bool) {
	switch name {
	case "flagKey":
		return c.flag.keyValue, true
	case "timestamp":
		return float64(time.Now().Unix()), true
	}
	return nil, false
}

func asBool(v any) (bool, bool) {
	b, ok := v.(bool)
	return b, ok
}

func asString(v any) (string, bool) {
	s, ok := v.(string)
	return s, ok
}

func asFloat(v any) (float64, bool) {
	f, ok := v.(float64)
	return f, ok
}

// asInt accepts what an integer and a float64 both hold exactly.
func asInt(v any) (int64, bool) {
	const most = 1<<53 - 1
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > most {
		return 0, false
	}
	return int64(f), true
}

func asAny(v any) (any, bool) { return clone(v), true }

// asObject gives a copy: what a caller does to it must not change the flag.
func asObject(v any) (any, bool) {
	switch v.(type) {
	case map[string]any, []any:
		return clone(v), true
	}
	return nil, false
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		for key, item := range m {
			m[key] = clone(item)
		}
		return m
	case []any:
		list := slices.Clone(v)
		for i, item := range list {
			list[i] = clone(item)
		}
		return list
	}
	return v
}
