package observe

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/observe/capture"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
)

// FlagHook returns a hook that emits the flag evaluations of a request or job as log events
// "feature_flag.evaluation" by semconv v1.43.0: one for each distinct key, variant and error of
// a request, up to 64, then counted as flags_dropped; outside of a request, one for each
// evaluation. The same evaluations are in the log record of a request that failed, and on its
// span as the attributes "upkeep.flag." and the flag's key, with the variant.
//
// An event has the key, provider, variant, reason, error.type and error message, and
// feature_flag.set.id and feature_flag.version if the flag's metadata has flagSetId and
// version. It never has any part of the evaluation context, such as the targeting key. It has
// the value only if there is no variant and the value is a bool, number or string. Texts pass
// Options.RedactFlag and are cut to 256 bytes. Failures and panics while recording do
// not affect the evaluation.
//
// For flags in Options.GuardedFlags the metric upkeep.flag.request.duration has one
// measurement for each that a request saw, in seconds, with feature_flag.key,
// feature_flag.result.variant and upkeep.response.status_class: "2xx" and so on, "failed" for a
// failure without a 5xx, "none" when nothing was sent. Of several variants the first counts.
// Without a variant a bool is "true" or "false", and an evaluation that failed "_ERROR"; other
// values, and variants beyond 16 of a flag, are "_OTHER".
func (o *Observer) FlagHook() openfeature.Hook { return flagHook{obs: &o.core} }

// RecordFlag records an evaluation that did not pass an OpenFeature client, such as one by a
// handle bound to its provider, as [Observer.FlagHook] would. It does nothing if ctx belongs to
// no request or job.
func RecordFlag(ctx context.Context, provider string, details openfeature.InterfaceEvaluationDetails) {
	if st := stateFrom(ctx); st != nil {
		details.Value = flagValue(details.Value)
		st.rec.keepFlag(provider, "", kindOfFlag(details.Value), &details)
		st.obs.recordFlag(ctx, provider, &details)
	}
}

type flagHook struct {
	openfeature.UnimplementedHook
	obs *core
}

// Finally is the one stage that sees every evaluation, failed ones too.
func (h flagHook) Finally(ctx context.Context, hook openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	if details.FlagKey == "" {
		details.FlagKey = hook.FlagKey()
	}
	if rec := recordingFrom(ctx); rec != nil {
		rec.keepFlag(hook.ProviderMetadata().Name, hook.EvaluationContext().TargetingKey(), capture.FlagType(hook.FlagType().String()), &details)
	}
	h.obs.recordFlag(ctx, hook.ProviderMetadata().Name, &details)
}

// redactFlag is Options.RedactFlag, which may be missing or broken; then a text is
// rather lost than shown.
func (o *core) redactFlag(key, text string) (redacted string) {
	if o.opts.RedactFlag == nil || text == "" {
		return cleantext.Cut(text, maxText)
	}
	defer func() {
		if recover() != nil {
			o.counts.telemetryPanics.Add(1)
			redacted = ""
		}
	}()
	return cleantext.Cut(o.opts.RedactFlag(key, text), maxText)
}

func (o *core) recordFlag(ctx context.Context, provider string, d *openfeature.InterfaceEvaluationDetails) {
	defer o.counts.shield()
	e := newEvaluation(d)
	st := stateFrom(ctx)
	if st != nil && st.obs != o {
		st = nil
	}
	if st != nil && st.saw(&e) {
		return
	}
	e.shown = e.value
	if text, ok := e.value.(string); ok {
		if e.shown = o.redactFlag(e.key, text); e.shown == "" && text != "" {
			e.shown = nil
		}
	}
	if st != nil {
		if !st.remember(&e) {
			return
		}
		if st.span.IsRecording() {
			st.span.SetAttributes(e.spanAttr())
		}
	}
	if !o.events.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityInfo, EventName: eventFlag}) {
		return
	}
	now := time.Now()
	var r log.Record
	r.SetEventName(eventFlag)
	r.SetTimestamp(now)
	r.SetObservedTimestamp(now)
	r.SetSeverity(log.SeverityInfo)
	r.AddAttributes(
		keyFlag.String(cleantext.Cut(d.FlagKey, maxText)),
		keyFlagProvider.String(cleantext.Cut(provider, maxText)),
		keyFlagReason.String(cleantext.Cut(strings.ToLower(cmp.Or(string(d.Reason), "unknown")), maxText)),
	)
	if e.shown != nil {
		r.AddAttributes(anyAttr(keyFlagValue, e.shown))
	} else if e.variant != "" {
		r.AddAttributes(keyFlagVariant.String(cleantext.Cut(e.variant, maxText)))
	}
	if d.Reason == openfeature.ErrorReason || d.ErrorCode != "" {
		code := cmp.Or(d.ErrorCode, openfeature.GeneralCode)
		r.AddAttributes(keyErrorType.String(cleantext.Cut(strings.ToLower(string(code)), maxText)))
		if message := o.redactFlag(e.key, cleantext.URLs(d.ErrorMessage)); message != "" {
			r.AddAttributes(keyFlagError.String(message))
			if o.opts.OldFlagErrors {
				r.AddAttributes(keyOldFlagError.String(message))
			}
		}
	}
	// The metadata names are those of OpenFeature's specification, appendix D.
	addMetadata(&r, keyFlagSet, d.FlagMetadata["flagSetId"])
	addMetadata(&r, keyFlagVersion, d.FlagMetadata["version"])
	o.events.Emit(ctx, r)
	o.counts.flagEvents.Add(1)
}

func addMetadata(r *log.Record, key attribute.Key, value any) {
	if s, ok := value.(string); ok && s != "" {
		r.AddAttributes(key.String(cleantext.Cut(s, maxText)))
	}
}

// saw reports whether an evaluation like e is remembered.
func (st *state) saw(e *evaluation) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.ContainsFunc(st.flags, e.same)
}

// remember remembers e and reports whether it is new and there was room for it.
func (st *state) remember(e *evaluation) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if slices.ContainsFunc(st.flags, e.same) {
		return false
	}
	if i := slices.Index(st.obs.opts.GuardedFlags, e.key); i >= 0 && !st.job {
		if st.guarded == nil {
			st.guarded = new([maxGuarded]string)
		}
		if st.guarded[i] == "" {
			st.guarded[i] = e.label()
		}
	}
	if len(st.flags) >= maxFlags {
		st.obs.counts.flagsDropped.Add(1)
		return false
	}
	st.flags = append(st.flags, *e)
	return true
}

func kindOfFlag(value any) capture.FlagType {
	switch value.(type) {
	case bool:
		return capture.FlagTypeBool
	case string:
		return capture.FlagTypeString
	case float64:
		return capture.FlagTypeFloat
	case int64:
		return capture.FlagTypeInt
	}
	return capture.FlagTypeObject
}
