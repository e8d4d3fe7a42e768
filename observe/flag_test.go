package observe_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

const flagEvent = "feature_flag.evaluation"

// flagClient is a client of its own API with obs' hook and a few flags.
func flagClient(t testing.TB, obs *observe.Observer) *openfeature.Client {
	t.Helper()
	api := isolated.NewAPI()
	t.Cleanup(func() { require.NoError(t, api.Shutdown(context.Background())) })
	flag := func(variants map[string]any) memprovider.InMemoryFlag {
		return memprovider.InMemoryFlag{State: memprovider.Enabled, DefaultVariant: "on", Variants: variants}
	}
	require.NoError(t, api.SetProviderAndWait(context.Background(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"new-checkout": flag(map[string]any{"on": true}),
		"color":        flag(map[string]any{"on": "red"}),
	})))
	client := api.NewClient()
	client.AddHooks(obs.FlagHook())
	return client
}

func TestFlagHook(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	client := flagClient(t, k.obs)
	user := openfeature.NewEvaluationContext("user-42", map[string]any{"email": "ann@example.com"})
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			require.True(t, client.Boolean(r.Context(), "new-checkout", false, user))
			require.Equal(t, "blue", client.String(r.Context(), "missing", "blue", user))
		}
		w.WriteHeader(500)
	})), "GET", "/")

	trace := k.span().SpanContext().TraceID().String()
	require.Equal(t, []map[string]string{
		{
			"severity": "INFO", "trace": trace, "feature_flag.key": "new-checkout", "feature_flag.provider.name": "InMemoryProvider",
			"feature_flag.result.reason": "static", "feature_flag.result.variant": "on",
		},
		{
			"severity": "INFO", "trace": trace, "feature_flag.key": "missing", "feature_flag.provider.name": "InMemoryProvider",
			"feature_flag.result.reason": "error", "feature_flag.result.value": "blue",
			"error.type": "flag_not_found", "feature_flag.error.message": "flag for key missing not found",
		},
	}, k.events.named(flagEvent))
	require.Equal(t, map[string]any{"new-checkout": "on", "missing": "blue"}, k.logs.line(t)["flags"])
	require.Equal(t, 2.0, k.obs.Stats()["flag_events"])
	require.NotContains(t, fmt.Sprint(k.events.records)+k.logs.String(), "user-42")
	require.NotContains(t, fmt.Sprint(k.events.records)+k.logs.String(), "ann@")

	// The next request, and no request at all.
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		client.Boolean(r.Context(), "new-checkout", false, user)
	})), "GET", "/")
	require.Len(t, k.events.named(flagEvent), 3)
	client.Boolean(context.Background(), "new-checkout", false, user)
	client.Boolean(context.Background(), "new-checkout", false, user)
	require.Len(t, k.events.named(flagEvent), 5)
}

func TestFlagHookAsksWhetherEventsAreWanted(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.events.off = true
	client := flagClient(t, k.obs)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		client.Boolean(ctx, "new-checkout", false, openfeature.EvaluationContext{})
		observe.Fail(ctx, errors.New("broke"))
		return nil
	}))
	require.Empty(t, k.events.records)
	require.Zero(t, k.obs.Stats()["flag_events"])
	require.Equal(t, map[string]any{"new-checkout": "on"}, k.logs.line(t)["flags"], "the record knows all the same")
}

func details(key string, value any, variant string) openfeature.InterfaceEvaluationDetails {
	return openfeature.InterfaceEvaluationDetails{Value: value, EvaluationDetails: openfeature.EvaluationDetails{
		FlagKey: key, ResolutionDetail: openfeature.ResolutionDetail{Variant: variant, Reason: openfeature.TargetingMatchReason},
	}}
}

func TestRecordFlag(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	long := strings.Repeat("é", 1000)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		d := details("color", "red", "warm")
		d.FlagMetadata = openfeature.FlagMetadata{"flagSetId": "shop", "version": "7", "owner": "ann"}
		for range 2 {
			observe.RecordFlag(ctx, "upkeep", d)
			observe.RecordFlag(ctx, "upkeep", details("object", map[string]any{"secret": 1}, ""))
			observe.RecordFlag(ctx, "upkeep", details("bool", true, ""))
			observe.RecordFlag(ctx, "upkeep", details("int", int64(3), ""))
			observe.RecordFlag(ctx, "upkeep", details("float", 2.5, ""))
			observe.RecordFlag(ctx, "upkeep", details("text", long, ""))
		}
		observe.RecordFlag(ctx, "upkeep", details("color", "blue", "cold"))
		return nil
	}))
	events := k.events.named(flagEvent)
	require.Len(t, events, 7)
	require.Equal(t, "shop", events[0]["feature_flag.set.id"])
	require.Equal(t, "7", events[0]["feature_flag.version"])
	require.Equal(t, "upkeep", events[0]["feature_flag.provider.name"])
	require.NotContains(t, fmt.Sprint(events[0]), "ann")
	require.NotContains(t, events[0], "feature_flag.result.value", "the variant says it")
	require.NotContains(t, events[1], "feature_flag.result.value")
	for i, want := range []string{"true", "3", "2.5", long[:256]} {
		require.Equal(t, want, events[2+i]["feature_flag.result.value"])
	}
	require.Equal(t, "cold", events[6]["feature_flag.result.variant"])

	observe.RecordFlag(context.Background(), "upkeep", details("color", "red", "warm")) // nowhere to go
	require.Len(t, k.events.named(flagEvent), 7)
}

// A number is a number, whatever its type.
func TestFlagNumbers(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	values := []any{
		1, int8(-1), int16(2), int32(3), int64(4), uint(5), uint8(6), uint16(7), uint32(8), uint64(9), uint64(math.MaxUint64),
		float32(0.5), 2.5,
	}
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for i, v := range values {
			observe.RecordFlag(r.Context(), "upkeep", details(fmt.Sprint("flag", i), v, ""))
		}
		observe.RecordFlag(r.Context(), "upkeep", details("flag0", int64(1), "")) // the same one
		k.obs.FlagHook().Finally(r.Context(), openfeature.HookContext{}, details("object", 7, ""), openfeature.HookHints{})
		observe.Fail(r.Context(), errors.New("broke"))
	})), "GET", "/")
	want := []string{"1", "-1", "2", "3", "4", "5", "6", "7", "8", "9", "1.8446744073709552e+19", "0.5", "2.5", "7"}
	var got []string
	for _, event := range k.events.named(flagEvent) {
		got = append(got, event["feature_flag.result.value"])
	}
	require.Equal(t, want, got)
	flags := s.bundle(t, k).Log.Details.Flags
	require.Len(t, flags, len(want))
	for i, f := range flags[:len(values)] {
		require.Equal(t, i < 10, f.Type == "int", f)
		require.Equal(t, i >= 10, f.Type == "float", f)
	}
}

func TestFlagsAreBounded(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		for i := range 100 {
			observe.RecordFlag(ctx, "upkeep", details(fmt.Sprint("flag", i), true, "on"))
		}
		observe.RecordFlag(ctx, "upkeep", details("nan", math.NaN(), "")) // equals nothing
		return nil
	}))
	require.Len(t, k.events.named(flagEvent), 64)
	require.Equal(t, 37.0, k.obs.Stats()["flags_dropped"])
}

func TestFlagsOnTheSpan(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		for range 2 {
			observe.RecordFlag(ctx, "upkeep", details("color", "red", "warm"))
			observe.RecordFlag(ctx, "upkeep", details("key", true, ""))
			observe.RecordFlag(ctx, "upkeep", details("float", 2.5, ""))
			observe.RecordFlag(ctx, "upkeep", details("int", int64(2), ""))
			observe.RecordFlag(ctx, "upkeep", details(strings.Repeat("\xff", 1000), "x", "on"))
		}
		for i := range 100 {
			observe.RecordFlag(ctx, "upkeep", details(fmt.Sprint("flag", i), true, "on"))
		}
		return nil
	}))
	for key, want := range map[string]string{"color": "warm", "key": "true", "float": "2.5", "int": "2", "flag0": "on", "flag99": ""} {
		require.Equal(t, want, attr(k.span(), "upkeep.flag."+key))
	}
	for _, kv := range k.span().Attributes() {
		require.LessOrEqual(t, len(kv.Key), 300)
		require.True(t, utf8.ValidString(string(kv.Key)))
	}
	require.Len(t, k.span().Attributes(), 2+64, "job name and id beside the flags")
}

func TestRedactFlag(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) {
		o.OldFlagErrors = true
		o.RedactFlag = func(key, text string) string {
			switch key {
			case "panics":
				panic("boom")
			case "empty":
				return ""
			case "long":
				return strings.Repeat("x", 1000)
			}
			return strings.ReplaceAll(text, "secret", "***")
		}
	})
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		for _, key := range []string{"text", "panics", "empty", "long"} {
			d := details(key, "a secret", "")
			d.ErrorCode, d.ErrorMessage = openfeature.GeneralCode, "no secret"
			for range 2 {
				observe.RecordFlag(ctx, "upkeep", d)
			}
		}
		observe.RecordFlag(ctx, "upkeep", details("text", "another secret", ""))
		observe.Fail(ctx, errors.New("broke"))
		return nil
	}))
	events := k.events.named(flagEvent)
	require.Len(t, events, 5)
	require.Equal(t, []string{"a ***", "no ***", "no ***"}, []string{
		events[0]["feature_flag.result.value"], events[0]["feature_flag.error.message"], events[0]["error.message"],
	})
	for _, e := range events[1:3] {
		require.NotContains(t, e, "feature_flag.result.value")
		require.NotContains(t, e, "feature_flag.error.message")
	}
	require.Len(t, events[3]["feature_flag.result.value"], 256)
	require.NotContains(t, fmt.Sprint(k.span().Attributes())+k.logs.String()+fmt.Sprint(events), "secret")
	require.Equal(t, 2.0, k.obs.Stats()["telemetry_panics"])
}

const flagDuration = "upkeep.flag.request.duration"

func TestGuardedFlags(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.GuardedFlags = []string{"new-checkout", "color", "plain", "broken"} })
	serve := func(status int, saw ...openfeature.InterfaceEvaluationDetails) {
		k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, d := range saw {
				observe.RecordFlag(r.Context(), "upkeep", d)
				observe.RecordFlag(r.Context(), "upkeep", d)
			}
			switch status {
			case 0:
				observe.Fail(r.Context(), errors.New("broke"))
			case -1:
				panic("boom")
			default:
				w.WriteHeader(status)
			}
		})), "GET", "/")
	}
	broken := details("broken", true, "")
	broken.ErrorCode = openfeature.GeneralCode
	serve(200, details("new-checkout", true, "on"), details("color", "x", "warm"), details("color", "y", "cold"), details("other", true, "on"))
	serve(404, details("new-checkout", true, "on"))
	serve(500, details("new-checkout", true, "on"))
	serve(-1, details("new-checkout", true, "on"))
	serve(0, details("new-checkout", false, "off"))
	serve(302, details("plain", true, ""), broken)
	serve(200, details("plain", "text", ""))
	serve(200)
	_ = k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		observe.RecordFlag(ctx, "upkeep", details("new-checkout", true, "on"))
		return nil
	})
	point := func(key, variant, class string) string {
		return "feature_flag.key=" + key + ",feature_flag.result.variant=" + variant + ",upkeep.response.status_class=" + class
	}
	require.Equal(t, map[string]int64{
		point("new-checkout", "on", "2xx"):     1,
		point("color", "warm", "2xx"):          1,
		point("new-checkout", "on", "4xx"):     1,
		point("new-checkout", "on", "5xx"):     2,
		point("new-checkout", "off", "failed"): 1,
		point("plain", "true", "3xx"):          1,
		point("broken", "_ERROR", "3xx"):       1,
		point("plain", "_OTHER", "2xx"):        1,
	}, k.points(flagDuration))
}

func TestGuardedFlagsAreBounded(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.GuardedFlags = []string{"color"} })
	for i := range 100 {
		k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for n := range 100 { // more than are remembered
				observe.RecordFlag(r.Context(), "upkeep", details(fmt.Sprint("flag", n), true, "on"))
			}
			observe.RecordFlag(r.Context(), "upkeep", details("color", "x", fmt.Sprint("variant", i)))
		})), "GET", "/")
	}
	points := k.points(flagDuration)
	require.Len(t, points, 17)
	require.Equal(t, int64(84), points["feature_flag.key=color,feature_flag.result.variant=_OTHER,upkeep.response.status_class=2xx"])

	for _, keys := range [][]string{{""}, {"a", "a"}, {strings.Repeat("x", 300)}, {"\xff"}, {"1", "2", "3", "4", "5", "6", "7", "8", "9"}} {
		_, err := observe.New(&observe.Options{GuardedFlags: keys})
		require.ErrorContains(t, err, "Options.GuardedFlags")
	}
}
