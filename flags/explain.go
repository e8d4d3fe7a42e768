package flags

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// An Explanation explains the value of a flag for one evaluation context. It can be encoded as
// JSON. It contains the attributes that the rule read, and so the user's data: restrict who may
// see it.
type Explanation struct {
	Flag      string                `json:"flag"`
	Value     any                   `json:"value"` // nil where the caller's default is used
	Variant   string                `json:"variant,omitempty"`
	Reason    openfeature.Reason    `json:"reason"`
	ErrorCode openfeature.ErrorCode `json:"errorCode,omitempty"`
	Error     string                `json:"error,omitempty"`
	Why       string                `json:"why"`                // a sentence for people
	Document  string                `json:"document,omitempty"` // revision of the document
	Rule      *jsonlogic.Trace      `json:"rule,omitempty"`     // the rule's evaluation; nil if no rule ran
}

// Explain evaluates a flag and explains its value: "why did this user get this variant?" The
// rule's trace has each operator with its inputs and its result, and for fractional the hash, the
// bucket and the weights. References to $evaluators are resolved in it. Explain takes many times
// as long as an evaluation and is not counted as one.
func (p *Provider) Explain(ctx context.Context, key string, attrs Attributes) Explanation {
	e := Explanation{Flag: key, Document: p.Revision()}
	set := p.current.Load()
	f := set.flag(key)
	if f == nil {
		d := resolve(ctx, p, key, nil, attrs, asAny) // not ready, or not found
		e.fail(d.ResolutionDetail())
		return e
	}
	var v *variant
	var failed *openfeature.ResolutionError
	_, overrides := overridden(ctx, key)
	if f.rule == nil || f.fault != nil || f.disabled || overrides && p.opts.AllowOverrides {
		v, e.Reason, failed = p.choose(ctx, f, attrs)
	} else {
		var result any
		var err error
		result, e.Rule, err = f.rule.Explain(&evalContext{flag: f, attrs: attrs, static: p.static})
		v, e.Reason, failed = f.decide(result, err)
	}
	if failed != nil {
		e.fail(openfeature.ProviderResolutionDetail{Reason: e.Reason, ResolutionError: *failed}.ResolutionDetail())
		return e
	}
	if v != nil {
		e.Variant, e.Value = v.name, clone(v.value)
	}
	e.Why = why(f, v, e.Reason)
	return e
}

func (e *Explanation) fail(d openfeature.ResolutionDetail) {
	e.Reason, e.ErrorCode, e.Error = d.Reason, d.ErrorCode, d.ErrorMessage
	e.Why = d.ErrorMessage + ": the code's default is used"
}

func why(f *flag, v *variant, reason openfeature.Reason) string {
	switch {
	case reason == openfeature.DisabledReason:
		return "the flag is disabled: the code's default is used"
	case reason == ReasonOverride:
		return fmt.Sprintf("the context overrides it with %q", v.name)
	case reason == openfeature.StaticReason:
		return fmt.Sprintf("there is no rule: the default variant %q is used", v.name)
	case reason == openfeature.TargetingMatchReason:
		return fmt.Sprintf("the rule gives %q", v.name)
	case f.rule == nil:
		return "there are no rule and no default variant: the code's default is used"
	case v == nil:
		return "the rule gives null, and there is no default variant: the code's default is used"
	}
	return fmt.Sprintf("the rule gives null: the default variant %q is used", v.name)
}

// String formats the explanation for people, in several lines.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", e.Flag)
	if e.Variant != "" {
		fmt.Fprintf(&b, "%v, ", e.Value)
	}
	fmt.Fprintf(&b, "%s (%s)", e.Why, e.Reason)
	if e.Rule != nil {
		for line := range strings.Lines(e.Rule.String()) {
			b.WriteString("\n  " + strings.TrimSuffix(line, "\n"))
		}
	}
	return b.String()
}
