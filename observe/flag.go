package observe

import (
	"context"
	"log/slog"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
)

// FlagHook returns a hook that tells OpenTelemetry which flags a request or job
// saw, as log events "feature_flag.evaluation" by semconv v1.43.0: once for each
// distinct key, variant and error of a request, 64 at most, then counted as
// flags_dropped; outside of a request, each evaluation. The same evaluations stand
// in the log record of a request that failed.
//
// An event has the key, provider, variant, reason, error.type and error message,
// and feature_flag.set.id and feature_flag.version when the flag's metadata has
// flagSetId and version. It never has the targeting key or any other part of the
// evaluation context. The value is there only when there is no variant and it is a
// bool, number or string; texts are cut to 256 bytes. Nothing that goes wrong here
// reaches the evaluation.
func (o *Observer) FlagHook() openfeature.Hook { return flagHook{obs: o} }

// RecordFlag tells of an evaluation that did not pass an OpenFeature client, such
// as one by a handle bound to its provider, as [Observer.FlagHook] would: same
// event, same deduplication. The observer is that of the request or job that ctx
// belongs to; without one RecordFlag does nothing.
func RecordFlag(ctx context.Context, provider string, details openfeature.InterfaceEvaluationDetails) {
	if st := stateFrom(ctx); st != nil {
		st.rec.keepFlag(provider, "", kindOfFlag(details.Value), &details)
		st.obs.recordFlag(ctx, provider, &details)
	}
}

type flagHook struct {
	openfeature.UnimplementedHook
	obs *Observer
}

// Finally is the one stage that sees every evaluation, failed ones too.
func (h flagHook) Finally(ctx context.Context, hook openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	if details.FlagKey == "" {
		details.FlagKey = hook.FlagKey()
	}
	if rec := recordingFrom(ctx); rec != nil {
		rec.keepFlag(hook.ProviderMetadata().Name, hook.EvaluationContext().TargetingKey(), flagKind(hook.FlagType()), &details)
	}
	h.obs.recordFlag(ctx, hook.ProviderMetadata().Name, &details)
}

// An evaluation is what makes one flag evaluation differ from another. Its value
// is nil, a bool, an int64, a float64 or a string, so it can be compared.
type evaluation struct {
	key, variant string
	code         openfeature.ErrorCode
	value        any
}

func newEvaluation(d *openfeature.InterfaceEvaluationDetails) evaluation {
	e := evaluation{key: d.FlagKey, variant: d.Variant, code: d.ErrorCode}
	if e.variant != "" {
		return e
	}
	switch v := d.Value.(type) {
	case bool, int64, float64:
		e.value = v
	case string:
		if len(v) <= maxText {
			e.value = v
		} else {
			e.value = clip(v, maxText)
		}
	}
	return e
}

// attr is the evaluation as it stands in a log record.
func (e evaluation) attr() slog.Attr {
	switch {
	case e.variant != "":
		return slog.String(e.key, e.variant)
	case e.value != nil:
		return slog.Any(e.key, e.value)
	}
	return slog.String(e.key, strings.ToLower(string(e.code)))
}

func (o *Observer) recordFlag(ctx context.Context, provider string, d *openfeature.InterfaceEvaluationDetails) {
	defer o.shield()
	e := newEvaluation(d)
	if st := stateFrom(ctx); st != nil && st.obs == o && !st.firstSight(e) {
		return
	}
	if !o.events.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityInfo, EventName: eventFlag}) {
		return
	}
	var r log.Record
	r.SetEventName(eventFlag)
	r.SetSeverity(log.SeverityInfo)
	r.AddAttributes(
		keyFlag.String(clip(d.FlagKey, maxText)),
		keyFlagProvider.String(clip(provider, maxText)),
		keyFlagReason.String(flagReason(d.Reason)),
	)
	switch v := e.value.(type) {
	case nil:
		if e.variant != "" {
			r.AddAttributes(keyFlagVariant.String(clip(e.variant, maxText)))
		}
	case bool:
		r.AddAttributes(keyFlagValue.Bool(v))
	case int64:
		r.AddAttributes(keyFlagValue.Int64(v))
	case float64:
		r.AddAttributes(keyFlagValue.Float64(v))
	case string:
		r.AddAttributes(keyFlagValue.String(clip(v, maxText)))
	}
	if d.Reason == openfeature.ErrorReason || d.ErrorCode != "" {
		code := d.ErrorCode
		if code == "" {
			code = openfeature.GeneralCode
		}
		r.AddAttributes(keyErrorType.String(clip(strings.ToLower(string(code)), maxText)))
		if d.ErrorMessage != "" {
			r.AddAttributes(keyFlagError.String(clip(d.ErrorMessage, maxText)))
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
		r.AddAttributes(key.String(clip(s, maxText)))
	}
}

// flagReason spells a reason as semconv does.
func flagReason(reason openfeature.Reason) string {
	switch reason {
	case openfeature.StaticReason:
		return "static"
	case openfeature.TargetingMatchReason:
		return "targeting_match"
	case openfeature.SplitReason:
		return "split"
	case openfeature.DefaultReason:
		return "default"
	case "":
		return "unknown"
	}
	return clip(strings.ToLower(string(reason)), maxText)
}

// firstSight remembers e and reports whether it is new and there was room for it.
func (st *state) firstSight(e evaluation) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := range st.flags {
		if st.flags[i] == e {
			return false
		}
	}
	if len(st.flags) >= maxFlags {
		st.obs.counts.flagsDropped.Add(1)
		return false
	}
	st.flags = append(st.flags, e)
	return true
}
