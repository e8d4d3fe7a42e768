package observe_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// fullDisk is a log handler that cannot write.
type fullDisk struct{ slog.Handler }

func (fullDisk) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (fullDisk) Handle(context.Context, slog.Record) error        { return errors.New("no space left") }

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, func(o *observe.Options) {
			o.Log = fullDisk{slog.DiscardHandler}
			o.Propagator = brokenPropagator{}
		})
		h := k.obs.Health()
		require.Equal(t, observe.Health{Status: observe.StatusOK, Queued: map[string]int64{"tail_bytes": 0}}, h)
		require.NoError(t, h.Err())
		require.Empty(t, k.obs.Problems())
		require.Equal(t, "ok", h.String())

		require.NoError(t, k.obs.SetLevel("sql", slog.LevelDebug, time.Hour))
		k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			k.obs.Logger().DebugContext(r.Context(), "kept")
			require.Equal(t, int64(44), k.obs.Health().Queued["tail_bytes"])
			k.obs.Logger().InfoContext(r.Context(), "lost")
		})), "GET", "/")
		k.obs.Logger().Info("lost, too")

		h = k.obs.Health()
		require.Equal(t, observe.StatusDegraded, h.Status)
		require.Len(t, h.Failed, 2)
		require.Equal(t, "telemetry_panics", h.Failed[0].Name)
		require.Equal(t, int64(1), h.Failed[0].Count)
		require.True(t, time.Now().Equal(h.Failed[0].Last))
		require.Equal(t, "log_errors", h.Failed[1].Name)
		require.Equal(t, int64(2), h.Failed[1].Count)
		require.Empty(t, h.Dropped)
		require.Equal(t, []observe.LoggerLevel{{Logger: "sql", Level: slog.LevelDebug, Until: time.Now().Add(time.Hour)}}, h.Levels)
		require.Len(t, k.obs.Problems(), strings.Count(h.Err().Error(), ";")+1)
		require.ErrorContains(t, k.obs.Problems()[0], "telemetry_panics 1")
		require.EqualError(t, h.Err(), "observe: degraded: telemetry_panics 1 (panics of providers, propagators, log handlers and hooks); "+
			"log_errors 2 (records that the wrapped log handler could not write)")
		require.Equal(t, "degraded\n"+
			"failed telemetry_panics: 1, last 2000-01-01T00:00:00Z: panics of providers, propagators, log handlers and hooks\n"+
			"failed log_errors: 2, last 2000-01-01T00:00:00Z: records that the wrapped log handler could not write\n"+
			"level of sql: DEBUG until 2000-01-01T01:00:00Z", h.String())
		text, err := json.Marshal(h)
		require.NoError(t, err)
		require.Contains(t, string(text), `"status":"degraded"`)
		require.Contains(t, string(text), `"levels":[{"logger":"sql","level":"DEBUG","until":"`)

		time.Sleep(5 * time.Minute)
		h = k.obs.Health()
		require.Equal(t, observe.StatusOK, h.Status, "losses of long ago are listed and do not degrade")
		require.Len(t, h.Failed, 2)
		require.NoError(t, h.Err())

		time.Sleep(time.Hour)
		require.Empty(t, k.obs.Health().Levels)
	})
}

// Limits that do what they are there for do not alarm.
func TestHealthMeantLosses(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	for range 20 {
		k.serve(k.obs.Handler(handler(500)), "GET", "/")
	}
	h := k.obs.Health()
	require.Equal(t, observe.StatusOK, h.Status)
	require.Equal(t, "details_suppressed", h.Dropped[0].Name)
	require.True(t, h.Dropped[0].Meant)
	require.Equal(t, k.obs.Stats()["details_suppressed"], float64(h.Dropped[0].Count))
}

func TestHealthMetrics(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.Propagator = brokenPropagator{} })
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		k.obs.Logger().DebugContext(r.Context(), "kept")
		require.Equal(t, map[string]int64{"upkeep.observe.what=tail_bytes": 44}, k.points("upkeep.observe.queued"))
	})), "GET", "/")
	require.Equal(t, map[string]int64{"upkeep.observe.what=tail_bytes": 0}, k.points("upkeep.observe.queued"))
	require.Equal(t, int64(1), k.points("upkeep.observe.failed")["upkeep.observe.what=telemetry_panics"])
	dropped := k.points("upkeep.observe.dropped")
	require.Contains(t, dropped, "upkeep.observe.what=tail_dropped")
	for name := range dropped {
		require.Contains(t, k.obs.Stats(), name[len("upkeep.observe.what="):])
	}
	require.NoError(t, k.obs.Close())
	require.NoError(t, k.obs.Close())
	for _, name := range []string{"upkeep.observe.queued", "upkeep.observe.failed", "upkeep.observe.dropped", serverActive} {
		require.Empty(t, k.points(name))
	}
}
