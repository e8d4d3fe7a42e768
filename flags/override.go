package flags

import (
	"context"

	"github.com/open-feature/go-sdk/openfeature"
)

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

// overridden returns the variant that the context asks for.
func overridden(ctx context.Context, key string) (variant string, ok bool) {
	o, _ := ctx.Value(overrideKey{}).(*override)
	for ; o != nil; o = o.earlier {
		if o.flag == key {
			return o.variant, true
		}
	}
	return "", false
}
