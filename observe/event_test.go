package observe_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

func TestWideEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve   http.HandlerFunc
		level   string
		message string
		rate    any
	}{
		"served":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }, "INFO", "request served", 1.0},
		"missing": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "INFO", "request served", 1.0},
		"refused": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "1"); w.WriteHeader(503) }, "INFO", "request refused", 1.0},
		"aborted": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "INFO", "request aborted", 1.0},
		"slow":    {func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }, "WARN", "request slow", nil},
		"failed":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "ERROR", "request failed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newRig(t, func(o *observe.Options) { o.WideEvent, o.Slow = 1, time.Second })
				mux := http.NewServeMux()
				mux.HandleFunc("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
					observe.RecordFlag(r.Context(), "upkeep", details("color", "red", "warm"))
					c.serve(w, r)
				})
				func() {
					defer func() { _ = recover() }()
					k.serve(k.obs.Handler(observe.Route(mux)), "GET", "/users/42", "X-Request-Id", "req-1")
				}()
				line := k.logs.line(t)
				require.Equal(t, []any{c.level, c.message, c.rate}, []any{line["level"], line["msg"], line["sample_rate"]})
				require.Equal(t, []any{"GET", "/users/{id}", "/users/42", "req-1"}, []any{line["method"], line["route"], line["path"], line["request_id"]})
				require.Equal(t, map[string]any{"color": "warm"}, line["flags"])
				require.Contains(t, line, "duration")
				if name == "served" {
					require.Equal(t, []any{200.0, 5.0}, []any{line["status"], line["bytes"]})
				}
			})
		})
	}
}

func TestWideEventIsSampled(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.WideEvent = 0.25 })
	h := k.obs.Handler(handler(200))
	for range 4000 {
		k.serve(h, "GET", "/")
	}
	lines := k.logs.lines(t)
	require.InDelta(t, 1000, len(lines), 200) // seven standard deviations
	require.Equal(t, 0.25, lines[0]["sample_rate"])
}

// The request's own record is written or not; it is never kept.
func TestWideEventBelowTheLevel(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.WideEvent, o.Level = 1, slog.Level(12) })
	k.serve(k.obs.Handler(handler(200)), "GET", "/")
	k.serve(k.obs.Handler(handler(500)), "GET", "/")
	inJob(t, k.obs, true, func(ctx context.Context) { observe.Fail(ctx, errors.New("broke")) })
	require.Empty(t, k.logs.String())
	require.Zero(t, k.obs.Stats()["tail_late"])
}

func TestWideEventOptions(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{-0.1, 1.1, math.NaN()} {
		_, err := observe.New(&observe.Options{WideEvent: share})
		require.ErrorContains(t, err, "Options.WideEvent")
	}
}
