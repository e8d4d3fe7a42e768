package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
)

// FlagHook returns a hook that tells OpenTelemetry which flags a request or job
// saw, as log events "feature_flag.evaluation" by semconv v1.43.0: once for each
// distinct key, variant and error of a request, 64 at most, then counted as
// flags_dropped; outside of a request, each evaluation. The same evaluations stand
// in the log record of a request that failed, and on its span as an attribute each:
// "upkeep.flag." and the flag's key, with the variant. Semconv has no name for those,
// and its own namespace is not for others to add to.
//
// An event has the key, provider, variant, reason, error.type and error message,
// and feature_flag.set.id and feature_flag.version when the flag's metadata has
// flagSetId and version. It never has the targeting key or any other part of the
// evaluation context. The value is there only when there is no variant and it is a
// bool, number or string; texts are cut to 256 bytes, and pass Options.RedactFlag
// first. Nothing that goes wrong here reaches the evaluation.
//
// Of flags in Options.GuardedFlags the metric upkeep.flag.request.duration has one
// measurement for each that a request saw, in seconds, with feature_flag.key,
// feature_flag.result.variant and upkeep.response.status_class: "2xx" and so on,
// "failed" for a failure without a 5xx, "none" when nothing was sent. So which flag
// broke it is one query. Of a request that saw several variants of a flag the first
// counts. Without a variant a bool tells "true" or "false", and an evaluation that
// failed "_ERROR"; other values, and variants beyond 16 of a flag, are "_OTHER".
func (o *Observer) FlagHook() openfeature.Hook { return flagHook{obs: o} }

// RecordFlag tells of an evaluation that did not pass an OpenFeature client, such
// as one by a handle bound to its provider, as [Observer.FlagHook] would: same
// event, same deduplication. The observer is that of the request or job that ctx
// belongs to; without one RecordFlag does nothing.
func RecordFlag(ctx context.Context, provider string, details openfeature.InterfaceEvaluationDetails) {
	if st := stateFrom(ctx); st != nil {
		details.Value = flagValue(details.Value)
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
	shown        any // the value as it is recorded
}

func (e *evaluation) same(other *evaluation) bool {
	return e.key == other.key && e.variant == other.variant && e.code == other.code && e.value == other.value
}

func newEvaluation(d *openfeature.InterfaceEvaluationDetails) evaluation {
	e := evaluation{key: d.FlagKey, variant: d.Variant, code: d.ErrorCode}
	if e.variant != "" {
		return e
	}
	switch v := flagValue(d.Value).(type) {
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

// flagValue makes an int64 or float64, as OpenFeature's clients have them, of a number of
// any other type.
func flagValue(value any) any {
	switch v := value.(type) {
	case int:
		return int64(v)
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint:
		return flagUint(uint64(v))
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return flagUint(v)
	case float32:
		return float64(v)
	}
	return value
}

func flagUint(v uint64) any {
	if v > math.MaxInt64 {
		return float64(v)
	}
	return int64(v)
}

// attr is the evaluation as it stands in a log record.
func (e evaluation) attr() slog.Attr {
	switch {
	case e.variant != "":
		return slog.String(e.key, e.variant)
	case e.shown != nil:
		return slog.Any(e.key, e.shown)
	}
	return slog.String(e.key, strings.ToLower(string(e.code)))
}

// label is the evaluation as it stands in a metric.
func (e evaluation) label() string {
	switch {
	case e.variant != "":
		return clip(e.variant, maxText)
	case e.code != "":
		return "_ERROR"
	}
	if on, ok := e.value.(bool); ok {
		return strconv.FormatBool(on)
	}
	return other
}

// spanAttr is the evaluation as it stands on a span.
func (e evaluation) spanAttr() attribute.KeyValue {
	key := attribute.Key(prefixFlag + clip(e.key, maxText))
	switch v := e.shown.(type) {
	case bool:
		return key.Bool(v)
	case int64:
		return key.Int64(v)
	case float64:
		return key.Float64(v)
	case string:
		return key.String(v)
	}
	if e.variant != "" {
		return key.String(clip(e.variant, maxText))
	}
	return key.String(clip(strings.ToLower(string(e.code)), maxText))
}

// redactFlag is Options.RedactFlag, which may be missing or broken; then a text is
// rather lost than shown.
func (o *Observer) redactFlag(key, text string) (redacted string) {
	if o.redact == nil || text == "" {
		return clip(text, maxText)
	}
	defer func() {
		if recover() != nil {
			o.counts.telemetryPanics.Add(1)
			redacted = ""
		}
	}()
	return clip(o.redact(key, text), maxText)
}

func (o *Observer) recordFlag(ctx context.Context, provider string, d *openfeature.InterfaceEvaluationDetails) {
	defer o.shield()
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
	var r log.Record
	r.SetEventName(eventFlag)
	r.SetSeverity(log.SeverityInfo)
	r.AddAttributes(
		keyFlag.String(clip(d.FlagKey, maxText)),
		keyFlagProvider.String(clip(provider, maxText)),
		keyFlagReason.String(flagReason(d.Reason)),
	)
	switch v := e.shown.(type) {
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
		r.AddAttributes(keyFlagValue.String(v))
	}
	if d.Reason == openfeature.ErrorReason || d.ErrorCode != "" {
		code := d.ErrorCode
		if code == "" {
			code = openfeature.GeneralCode
		}
		r.AddAttributes(keyErrorType.String(clip(strings.ToLower(string(code)), maxText)))
		if message := o.redactFlag(e.key, d.ErrorMessage); message != "" {
			r.AddAttributes(keyFlagError.String(message))
			if o.oldFlagErrors {
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

// saw reports whether an evaluation like e is remembered.
func (st *state) saw(e *evaluation) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.sawLocked(e)
}

func (st *state) sawLocked(e *evaluation) bool {
	for i := range st.flags {
		if st.flags[i].same(e) {
			return true
		}
	}
	return false
}

// remember remembers e and reports whether it is new and there was room for it.
func (st *state) remember(e *evaluation) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.sawLocked(e) {
		return false
	}
	if i := slices.Index(st.obs.guarded.keys, e.key); i >= 0 && !st.job {
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

// guardedFlags measures requests by the variants that they saw.
type guardedFlags struct {
	keys     []string
	duration metric.Float64Histogram
	series   series[flagKey]

	mu       sync.Mutex
	variants []map[string]bool // known ones of each key
}

// take takes the keys that Options give.
func (g *guardedFlags) take(keys []string) error {
	var errs []error
	if len(keys) > maxGuarded {
		errs = append(errs, fmt.Errorf("observe: Options.GuardedFlags has at most %d flags, got %d", maxGuarded, len(keys)))
	}
	for i, key := range keys {
		if key == "" || clip(key, maxText) != key || slices.Contains(keys[:i], key) {
			errs = append(errs, fmt.Errorf("observe: Options.GuardedFlags[%d]: %q is empty, too long or there twice", i, key))
		}
		g.variants = append(g.variants, map[string]bool{})
	}
	g.keys = slices.Clone(keys)
	return errors.Join(errs...)
}

func (g *guardedFlags) init(meter metric.Meter, counts *counts) error {
	if len(g.keys) == 0 {
		return nil
	}
	g.series.folded = &counts.seriesFolded
	var err error
	g.duration, err = meter.Float64Histogram(metricFlagDuration, metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests by the variant of a flag that they saw."),
		metric.WithExplicitBucketBoundaries(requestBuckets...))
	if err != nil {
		return fmt.Errorf("observe: metric %s: %w", metricFlagDuration, err)
	}
	return nil
}

// known folds variants beyond maxVariants of flag i.
func (g *guardedFlags) known(i int, variant string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	variants := g.variants[i]
	switch {
	case variants[variant]:
	case len(variants) >= maxVariants:
		return other
	default:
		variants[variant] = true
	}
	return variant
}

// measureFlags records the guarded flags that the request saw.
func (st *state) measureFlags(out *outcome) {
	g := &st.obs.guarded
	if len(g.keys) == 0 {
		return
	}
	st.mu.Lock()
	seen := st.guarded
	st.guarded = nil // an evaluation after the end counts no more, but is not in the way
	st.mu.Unlock()
	if seen == nil {
		return
	}
	class := statusClass(out.status, st.why)
	for i, variant := range seen {
		if variant != "" {
			key := flagKey{flag: g.keys[i], variant: g.known(i, variant), class: class}
			g.duration.Record(st.ctx, out.duration.Seconds(), g.series.options(key)...)
		}
	}
}

func statusClass(status int32, why reason) string {
	switch {
	case status >= 500:
		return "5xx"
	case why >= failed:
		return "failed"
	case status >= 100:
		return [...]string{"1xx", "2xx", "3xx", "4xx"}[status/100-1]
	}
	return "none"
}

type flagKey struct{ flag, variant, class string }

func (k flagKey) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{keyFlag.String(k.flag), keyFlagVariant.String(k.variant), keyStatusClass.String(k.class)}
}

func (k flagKey) fold() flagKey {
	k.variant = other
	return k
}
