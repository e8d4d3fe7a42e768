package observe_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// A stream is never slow and does not enter the histogram. It counts as active while it runs,
// and then by how it ended.
func TestStreams(t *testing.T) {
	t.Parallel()
	for name, declared := range map[string]string{
		"events": "text/event-stream", "with a parameter": "Text/Event-Stream; charset=utf-8", "pictures": "multipart/x-mixed-replace; boundary=b",
		"lines": "application/x-ndjson", "Connect": "application/connect+json", "Options.Stream": "text/plain",
	} {
		for end, do := range map[string]func(http.ResponseWriter, *http.Request){
			"done":   func(http.ResponseWriter, *http.Request) {},
			"failed": func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), errors.New("broke")) },
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					k := newRig(t, func(o *observe.Options) {
						o.Slow, o.GuardedFlags = time.Second, []string{"express"}
						o.Stream = func(r *http.Request) bool { return r.URL.Path == "/wait/1" }
					})
					mux := http.NewServeMux()
					path := "/events/1"
					if name == "Options.Stream" {
						path = "/wait/1"
					}
					mux.HandleFunc("GET "+path[:len(path)-1]+"{id}", func(w http.ResponseWriter, r *http.Request) {
						require.Equal(t, int64(0), k.points("upkeep.http.server.active_streams")[""])
						w.Header().Set("Content-Type", declared)
						_, _ = io.WriteString(w, "data: 1\n\n")
						require.Equal(t, int64(1), k.points("upkeep.http.server.active_streams")[""])
						require.Equal(t, 1.0, k.obs.Stats()["streams_active"])
						time.Sleep(time.Hour)
						do(w, r)
					})
					k.serve(k.obs.Handler(observe.Route(mux)), "GET", path)
					require.Empty(t, k.points(serverDuration))
					require.Empty(t, k.points("upkeep.flag.request.duration"))
					require.Equal(t, map[string]int64{
						"http.request.method=GET,http.response.status_code=200,http.route=" + path[:len(path)-1] + "{id},upkeep.stream.end=" + end: 1,
					}, k.points(streams))
					require.Equal(t, int64(0), k.points("upkeep.http.server.active_streams")[""])
					require.Equal(t, end, attr(k.span(), "upkeep.stream.end"))
					if end == "done" {
						require.Empty(t, k.logs.String(), "it is not slow")
					} else {
						require.Equal(t, []any{"request failed", "failed"}, []any{k.logs.line(t)["msg"], k.logs.line(t)["stream"]})
					}
				})
			})
		}
	}
}

// A stream whose client goes has ended as streams do.
func TestStreamWhoseClientGoes(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		observe.Fail(r.Context(), r.Context().Err())
	})), false)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	require.NoError(t, err)
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	cancel()
	require.NoError(t, resp.Body.Close())
	k.stop()
	require.Equal(t, map[string]int64{"http.request.method=GET,http.response.status_code=200,upkeep.stream.end=client_gone": 1}, k.points(streams))
	require.Empty(t, k.logs.String())
	stats := k.obs.Stats()
	require.Equal(t, []float64{1, 0, 1, 0}, []float64{stats["streams"], stats["streams_active"], stats["streams_gone"], stats["streams_failed"]})
}

// A response that waits for an event is a stream even if the event never comes. A broken
// Options.Stream names no streams.
func TestStreamWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, func(o *observe.Options) {
			o.Slow = time.Second
			o.Stream = func(r *http.Request) bool {
				if r.URL.Path == "/panic" {
					panic("stream")
				}
				return r.URL.Path == "/wait"
			}
		})
		h := k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) }))
		k.serve(h, "GET", "/wait")
		require.Empty(t, k.logs.String())
		require.Equal(t, map[string]int64{"http.request.method=GET,http.response.status_code=200,upkeep.stream.end=done": 1}, k.points(streams))
		k.serve(h, "GET", "/panic")
		require.Equal(t, "request slow", k.logs.line(t)["msg"])
		require.Equal(t, 1.0, k.obs.Stats()["telemetry_panics"])
	})
}
