package ofrep_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

const (
	before = `flags: {banner: {variants: {"on": true, "off": false}, defaultVariant: "off"}}`
	after  = `flags: {banner: {variants: {"on": true, "off": false}, defaultVariant: "on"}}`
)

// A page is an event stream as its client sees it.
type page struct {
	*http.Response
	lines *bufio.Scanner
}

// connect opens an event stream and reads its first block.
func connect(t *testing.T, url string, header ...string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	p := &page{resp, bufio.NewScanner(resp.Body)}
	if resp.StatusCode == http.StatusOK {
		require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		require.Equal(t, "no", resp.Header.Get("X-Accel-Buffering"))
		require.Regexp(t, `^retry: [1-4]\d{3}\nid: [0-9a-f]{16}$`, p.block())
	}
	return p
}

// block reads up to the next empty line.
func (p *page) block() string {
	var lines []string
	for p.lines.Scan() && p.lines.Text() != "" {
		lines = append(lines, p.lines.Text())
	}
	return strings.Join(lines, "\n")
}

func refetch(revision string) string {
	return "id: " + revision + "\nevent: message\ndata: " + `{"type":"refetchEvaluation","etag":"` + revision + `"}`
}

func listen(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// streamOf returns the address in a bulk answer.
func streamOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	resp, err := http.Post(server.URL+bulk, "application/json", strings.NewReader(anyone))
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct {
		EventStreams []struct {
			Type     string
			Endpoint struct{ Origin, RequestURI string }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Len(t, answer.EventStreams, 1)
	require.Equal(t, "sse", answer.EventStreams[0].Type)
	require.Empty(t, answer.EventStreams[0].Endpoint.Origin, "the one where the client asks")
	return server.URL + answer.EventStreams[0].Endpoint.RequestURI
}

func TestStream(t *testing.T) {
	t.Parallel()
	src := newChanging(before)
	p := open(t, src)
	server := listen(t, newHandler(t, p, &ofrep.Options{Expose: everything}))
	first := p.Revision()
	address := streamOf(t, server)
	require.Equal(t, server.URL+events+"?after="+first, address)

	up := connect(t, address)
	src.set(after)
	told := up.block()
	second := p.Revision()
	require.Equal(t, refetch(second), told)
	require.NotEqual(t, first, second)

	// A change that happened while a client was not connected is sent when it connects.
	for _, c := range []struct {
		why, address, lastEventID string
		late                      bool
	}{
		{"an answer before the change", address, "", true},
		{"nothing is known of the client", server.URL + events, "", true},
		{"reconnected, saw the change", address, second, false},
		{"reconnected, did not", streamOf(t, server), first, true},
		{"an answer after the change", streamOf(t, server), "", false},
		{"hostile", address, "0\xff: data", true},
	} {
		client := connect(t, c.address, "Last-Event-ID", c.lastEventID)
		if !c.late {
			src.set(before) // this is then the first event
			require.Equal(t, refetch(first), client.block(), c.why)
			changed := p.Changed()
			src.set(after)
			<-changed
			continue
		}
		require.Equal(t, refetch(second), client.block(), c.why)
	}
}

// TestStreamOutlivesTimeouts checks that the server's timeouts for requests do not end streams.
func TestStreamOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			src := newChanging(before)
			p := open(t, src)
			server := httptest.NewUnstartedServer(newHandler(t, p, &ofrep.Options{Heartbeat: 300 * time.Millisecond}))
			// Long enough for a slow machine's handshake, which the timeouts also bound.
			server.Config.ReadTimeout, server.Config.WriteTimeout = 2*time.Second, 2*time.Second
			server.EnableHTTP2 = proto == "HTTP/2.0"
			server.StartTLS()
			defer server.Close()

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+events+"?after="+p.Revision(), nil)
			require.NoError(t, err)
			resp, err := server.Client().Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, proto, resp.Proto)
			client := &page{resp, bufio.NewScanner(resp.Body)}
			require.Contains(t, client.block(), "retry: ")
			for range 10 { // for half as long again
				require.Equal(t, ":", client.block())
			}
			src.set(after)
			told := ":"
			for told == ":" {
				told = client.block()
			}
			require.Equal(t, refetch(p.Revision()), told)
		})
	}
}

func TestStreamsAreCapped(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(before)))
	server := listen(t, newHandler(t, p, &ofrep.Options{MaxStreams: 2}))
	connect(t, server.URL+events)
	last := connect(t, server.URL+events)

	refused := connect(t, server.URL+events)
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	require.Equal(t, "10", refused.Header.Get("Retry-After"))
	require.Equal(t, "application/json", refused.Header.Get("Content-Type"))

	require.NoError(t, last.Body.Close())
	require.Eventually(t, func() bool {
		return connect(t, server.URL+events).StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond, "a place is free again when a client goes")
}

func TestStreamsOff(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(before)))
	h := newHandler(t, p, &ofrep.Options{Expose: everything, MaxStreams: -1})
	require.Equal(t, 404, do(h, http.MethodGet, events, nil).Code)
	require.NotContains(t, decode(t, post(h, bulk, anyone)), "eventStreams")
}

// TestStreamNeedsFlush checks that a middleware that hides the writer's Flush is noticed at once.
// Otherwise events would never arrive.
func TestStreamNeedsFlush(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(before)))
	h := newHandler(t, p, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(struct{ http.ResponseWriter }{w}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, events, nil))
	require.Equal(t, 500, w.Code)
	require.Equal(t, map[string]any{"errorDetails": "no event stream can be sent from here"}, decode(t, w))

	w = do(h, http.MethodHead, events, nil)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Empty(t, w.Body.String())
}

func TestStreamURL(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(before)))
	for address, streams := range map[string]string{
		"":                      `null`,
		"/flags/ofrep/events":   `[{"type": "sse", "endpoint": {"requestUri": "/flags/ofrep/events?after=REV"}}]`,
		"/events?token=t":       `[{"type": "sse", "endpoint": {"requestUri": "/events?token=t&after=REV"}}]`,
		"https://sse.example/e": `[{"type": "sse", "url": "https://sse.example/e?after=REV"}]`,
	} {
		h := newHandler(t, p, &ofrep.Options{StreamURL: func(r *http.Request) string {
			require.Equal(t, bulk, r.URL.Path)
			return address
		}})
		got, err := json.Marshal(decode(t, post(h, bulk, anyone))["eventStreams"])
		require.NoError(t, err)
		require.JSONEq(t, strings.ReplaceAll(streams, "REV", p.Revision()), string(got))
	}
}

func TestDoneEndsStreams(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(before)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := listen(t, newHandler(t, p, &ofrep.Options{Done: ctx.Done()}))
	client := connect(t, server.URL+events+"?after="+p.Revision())
	cancel()
	rest, err := io.ReadAll(client.Body)
	require.NoError(t, err, "ended, not cut")
	require.Empty(t, rest)
	require.NoError(t, server.Config.Shutdown(context.Background()))
}

// A recorder is a response that can be read while it is written.
type recorder struct {
	mu     sync.Mutex
	header http.Header
	text   strings.Builder
	fail   error
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) FlushError() error   { return nil }

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return 0, r.fail
	}
	return r.text.Write(b)
}

// take returns what was written since it was last called.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.text.Reset()
	return r.text.String()
}

// watch serves an event stream to the recorder within a bubble. The returned function lets time pass
// and returns what was written meanwhile.
func watch(t *testing.T, h http.Handler, address string) func(time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &recorder{header: http.Header{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, address, nil))
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func(d time.Duration) string {
		time.Sleep(d) // the bubble's clock
		synctest.Wait()
		return w.take()
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, flags.Bytes("flags.yaml", []byte(before)))
		wait := watch(t, newHandler(t, p, nil), events+"?after="+p.Revision())
		require.Regexp(t, `^retry: \d+\nid: `+p.Revision()+`\n\n$`, wait(0))
		require.Empty(t, wait(20*time.Second-1))
		require.Equal(t, ":\n\n", wait(1))
		require.Equal(t, ":\n\n:\n\n:\n\n", wait(time.Minute))
	})
}

func TestRepeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const loaded = time.Second // a change takes effect within this time
		src := newChanging(before)
		p := open(t, src)
		h := newHandler(t, p, &ofrep.Options{Heartbeat: 1000 * time.Hour, Repeat: time.Minute})
		first := refetch(p.Revision()) + "\n\n"
		wait := watch(t, h, events+"?after="+p.Revision())
		late := watch(t, h, events)
		once := watch(t, newHandler(t, p, &ofrep.Options{Heartbeat: 1000 * time.Hour, Repeat: -1}), events)
		require.NotContains(t, wait(0), "refetch")
		require.Contains(t, late(0), first)
		require.Contains(t, once(0), first)

		require.Empty(t, wait(59*time.Second))
		require.Empty(t, late(0))
		require.Empty(t, wait(time.Second))
		require.Equal(t, first, late(0), "for clients that asked a replica which had not seen the change")

		src.set(after)
		told := wait(loaded)
		second := refetch(p.Revision()) + "\n\n"
		require.Equal(t, second, told)
		require.Empty(t, wait(time.Minute-loaded))
		require.Equal(t, second, wait(loaded))
		require.Empty(t, wait(time.Hour), "and never more")

		// Each of several changes is sent, and the last one is repeated.
		src.set(before)
		require.Equal(t, first, wait(loaded))
		require.Empty(t, wait(30*time.Second))
		src.set(after)
		require.Equal(t, second, wait(loaded))
		require.Empty(t, wait(time.Minute-loaded))
		require.Equal(t, second, wait(loaded))

		// A document with the same flags is not a change.
		src.set(after + "\n# a comment")
		require.Empty(t, wait(time.Hour))

		require.Equal(t, second+first+second, once(0))
	})
}

// TestStreamToNobody checks that a stream whose client has gone ends at the next write.
func TestStreamToNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, flags.Bytes("flags.yaml", []byte(before)))
		h := newHandler(t, p, &ofrep.Options{Heartbeat: time.Minute})
		w := &recorder{header: http.Header{}}
		ended := make(chan time.Time)
		start := time.Now()
		go func() {
			h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, events, nil))
			ended <- time.Now()
		}()
		synctest.Wait()
		w.mu.Lock()
		w.fail = io.ErrClosedPipe
		w.mu.Unlock()
		require.Equal(t, 30*time.Second, (<-ended).Sub(start), "at the repetition, before the heartbeat")
	})
}
