package observe_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/upkeep-go/upkeep/observe"
)

// gauges collects the metrics anew and returns the gauges.
func (k *rig) gauges() map[string]float64 {
	k.t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(k.t, k.reader.Collect(context.Background(), &rm))
	all := map[string]float64{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if g, ok := m.Data.(metricdata.Gauge[float64]); ok && len(g.DataPoints) > 0 {
				require.Len(k.t, g.DataPoints, 1)
				all[m.Name] = g.DataPoints[0].Value
			}
		}
	}
	return all
}

func TestGauges(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	stats := map[string]float64{"stale": 0, "age_seconds": 1.5}
	require.NoError(t, k.obs.Gauges("flags", func() map[string]float64 { return stats }))
	broken := false
	require.NoError(t, k.obs.Gauges("upkeep.downtime", func() map[string]float64 {
		if broken {
			panic("boom")
		}
		return map[string]float64{"in_flight": 3}
	}))
	require.Equal(t, map[string]float64{"flags.stale": 0, "flags.age_seconds": 1.5, "upkeep.downtime.in_flight": 3}, k.gauges())

	stats = map[string]float64{"age_seconds": math.NaN(), "stale": math.Inf(1), "new": 1}
	broken = true
	require.Empty(t, k.gauges())
	require.Equal(t, 1.0, k.obs.Stats()["gauges_dropped"])
	require.Equal(t, 1.0, k.obs.Stats()["telemetry_panics"])
	stats = map[string]float64{"stale": 1}
	broken = false
	require.Equal(t, map[string]float64{"flags.stale": 1, "upkeep.downtime.in_flight": 3}, k.gauges(), "a panic costs one collection")

	require.NoError(t, k.obs.Close())
	require.Empty(t, k.gauges())
	require.ErrorContains(t, k.obs.Gauges("late", func() map[string]float64 { return stats }), "closed")
	require.Empty(t, k.gauges())
}

// TestGaugesDescriptions: a statistic of this module is described by what it means.
func TestGaugesDescriptions(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.NoError(t, k.obs.Gauges("own", k.obs.Stats))
	require.NoError(t, k.obs.Gauges("pool", poolStats))
	var rm metricdata.ResourceMetrics
	require.NoError(t, k.reader.Collect(context.Background(), &rm))
	described := map[string]string{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			described[m.Name] = m.Description
		}
	}
	require.Equal(t, "Requests that run now. From observe.(*Observer).Stats.", described["own.requests_active"])
	require.Equal(t, `The value "idle" that observe_test.poolStats returns.`, described["pool.idle"])
}

func poolStats() map[string]float64 { return map[string]float64{"idle": 1} }

func TestGaugesErrors(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	with := func(keys ...string) func() map[string]float64 {
		stats := map[string]float64{}
		for _, key := range keys {
			stats[key] = 1
		}
		return func() map[string]float64 { return stats }
	}
	for name, stats := range map[string]func() map[string]float64{
		"":                       with("a"),
		"1st":                    with("a"),
		"a b":                    with("a"),
		"ünder":                  with("a"),
		"none":                   nil,
		"panics":                 func() map[string]float64 { panic("boom") },
		"key":                    with("a b"),
		"empty":                  with(""),
		strings.Repeat("x", 255): with("a"),
		"e\x00":                  with(),
	} {
		err := k.obs.Gauges(name, stats)
		require.ErrorContains(t, err, fmt.Sprintf("observe: gauges %q: ", name))
	}
	require.NoError(t, k.obs.Gauges("flags", with("a")))
	require.ErrorContains(t, k.obs.Gauges("flags", with("b")), "already")
	many := make([]string, 499)
	for i := range many {
		many[i] = fmt.Sprintf("n%d", i)
	}
	require.ErrorContains(t, k.obs.Gauges("many", with(append(many, "one-too-many")...)), "more than 500")
	require.NoError(t, k.obs.Gauges("many", with(many...)))
	require.Len(t, k.gauges(), 500)

	var panicked *observe.PanicError
	require.ErrorAs(t, k.obs.Gauges("panics", func() map[string]float64 { panic("boom") }), &panicked)
}
