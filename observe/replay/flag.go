package replay

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// FlagClient is a client of an OpenFeature API that only this case has, so tests may run
// at once. Flags have the values, variants, reasons and errors that they had for the
// request, for its targeting keys; those that it did not ask for are not found, so they have
// the code's default.
//
// Values other than booleans are pseudonyms unless the redaction allowed the flag.
func (c *Case) FlagClient() openfeature.IClient { return c.client }

type provider struct{ c *Case }

func (p provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: "replay"} }
func (p provider) Hooks() []openfeature.Hook      { return nil }

// find returns the evaluation of a flag, the one for the targeting key if there are
// several, and notes that it is read.
func (p provider) find(key string, flat openfeature.FlattenedContext) *capture.Flag {
	targeting, _ := flat[openfeature.TargetingKey].(string)
	flags, found := p.c.Bundle.Log.Details.Flags, -1
	for i := range flags {
		f := &flags[i]
		if f.Key != key {
			continue
		}
		exact := f.Targeting == targeting || p.c.redactor != nil && f.Targeting == p.c.redactor.Pseudonym(targeting)
		if exact || found < 0 {
			found = i
		}
		if exact {
			break
		}
	}
	if found < 0 {
		return nil
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.flagsRead[found] = true
	return &flags[found]
}

func evaluate[T any](p provider, key string, fallback T, flat openfeature.FlattenedContext) (T, openfeature.ProviderResolutionDetail) {
	fail := func(code openfeature.ErrorCode, format string, args ...any) (T, openfeature.ProviderResolutionDetail) {
		return fallback, openfeature.ProviderResolutionDetail{ResolutionError: resolutionError(code, fmt.Sprintf(format, args...)), Reason: openfeature.ErrorReason}
	}
	f := p.find(key, flat)
	if f == nil {
		say := p.c.remark
		if p.c.Bundle.Log.Details.Dropped.Flags > 0 {
			say = p.c.lack
		}
		say("flag %q was not evaluated when the request was recorded: it has the code's default", key)
		return fail(openfeature.FlagNotFoundCode, "the bundle has no flag %q", key)
	}
	if f.ErrorCode != "" {
		return fail(openfeature.ErrorCode(f.ErrorCode), "%s", f.ErrorText)
	}
	value := fallback
	if err := json.Unmarshal(f.Value, &value); err != nil {
		return fail(openfeature.TypeMismatchCode, "flag %q is %s in the bundle", key, f.Type)
	}
	return value, openfeature.ProviderResolutionDetail{Variant: f.Variant, Reason: openfeature.Reason(f.Reason)}
}

func resolutionError(code openfeature.ErrorCode, text string) openfeature.ResolutionError {
	switch code {
	case openfeature.FlagNotFoundCode:
		return openfeature.NewFlagNotFoundResolutionError(text)
	case openfeature.TypeMismatchCode:
		return openfeature.NewTypeMismatchResolutionError(text)
	case openfeature.ParseErrorCode:
		return openfeature.NewParseErrorResolutionError(text)
	case openfeature.TargetingKeyMissingCode:
		return openfeature.NewTargetingKeyMissingResolutionError(text)
	case openfeature.InvalidContextCode:
		return openfeature.NewInvalidContextResolutionError(text)
	case openfeature.ProviderNotReadyCode:
		return openfeature.NewProviderNotReadyResolutionError(text)
	}
	return openfeature.NewGeneralResolutionError(text)
}

func (p provider) BooleanEvaluation(_ context.Context, flag string, fallback bool, flat openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	value, detail := evaluate(p, flag, fallback, flat)
	return openfeature.BoolResolutionDetail{Value: value, ProviderResolutionDetail: detail}
}

func (p provider) StringEvaluation(_ context.Context, flag string, fallback string, flat openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	value, detail := evaluate(p, flag, fallback, flat)
	return openfeature.StringResolutionDetail{Value: value, ProviderResolutionDetail: detail}
}

func (p provider) FloatEvaluation(_ context.Context, flag string, fallback float64, flat openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	value, detail := evaluate(p, flag, fallback, flat)
	return openfeature.FloatResolutionDetail{Value: value, ProviderResolutionDetail: detail}
}

func (p provider) IntEvaluation(_ context.Context, flag string, fallback int64, flat openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	value, detail := evaluate(p, flag, fallback, flat)
	return openfeature.IntResolutionDetail{Value: value, ProviderResolutionDetail: detail}
}

func (p provider) ObjectEvaluation(_ context.Context, flag string, fallback any, flat openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	value, detail := evaluate(p, flag, fallback, flat)
	return openfeature.InterfaceResolutionDetail{Value: value, ProviderResolutionDetail: detail}
}
