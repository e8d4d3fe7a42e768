package observe_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

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
