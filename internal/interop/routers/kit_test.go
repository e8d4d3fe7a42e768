package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/observe"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	goleak.VerifyTestMain(m)
}

// document is a windows document that a test changes.
type document struct {
	mu      sync.Mutex
	text    string
	changed chan struct{}
}

func (d *document) Name() string { return "windows.yaml" }

func (d *document) Load(context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []byte(d.text), nil
}

func (d *document) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.changed:
			changed()
		}
	}
}

// rig is the service on one of the routers, over a real network, with its telemetry.
type rig struct {
	t       *testing.T
	service *service
	windows *document
	spans   *tracetest.SpanRecorder
	logs    *logs
	srv     *httptest.Server
	serving sync.WaitGroup
}

// each runs a test on all routers, with the guard in front of them and around the group.
func each(t *testing.T, test func(*rig)) {
	t.Parallel()
	for name, build := range routers {
		for _, group := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, group %t", name, group), func(t *testing.T) {
				t.Parallel()
				test(newRig(t, func(s *service) http.Handler { return build(s, group) }))
			})
		}
	}
}

func newRig(t *testing.T, build func(*service) http.Handler) *rig {
	k := &rig{
		t: t, windows: &document{text: "windows: []", changed: make(chan struct{})},
		spans: tracetest.NewSpanRecorder(), logs: &logs{},
	}
	guard, err := downtime.Open(t.Context(), k.windows, &downtime.Options{
		Pass: pass(), StreamJitter: -1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, guard.Close()) })
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(k.spans))
	obs, err := observe.New(&observe.Options{TracerProvider: tracers, Log: slog.NewTextHandler(k.logs, nil)})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, obs.Close())
		require.NoError(t, tracers.Shutdown(context.Background()))
	})
	k.service = &service{guard: guard, obs: obs}
	h := build(k.service)
	k.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.serving.Add(1)
		defer k.serving.Done()
		h.ServeHTTP(w, r)
	}))
	k.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	k.srv.Start()
	t.Cleanup(k.stop)
	return k
}

// stop ends the server; then all spans have ended.
func (k *rig) stop() {
	k.srv.Client().CloseIdleConnections()
	k.srv.Close()
	k.serving.Wait()
}

// begin begins a window over the orders, and waits until the guard has it.
func (k *rig) begin(mode string) {
	k.windows.mu.Lock()
	k.windows.text = fmt.Sprintf(`windows: [{id: upgrade, start: %q, duration: 1h, mode: %s, scope: {paths: ["/orders/**"]}, message: Back soon.}]`,
		time.Now().Add(-time.Second).UTC().Format(time.RFC3339), mode)
	k.windows.mu.Unlock()
	k.windows.changed <- struct{}{}
	require.Eventually(k.t, func() bool {
		rep, err := k.service.guard.Report("upgrade")
		return err == nil && rep.Phase >= schedule.PhaseDraining
	}, time.Minute, time.Millisecond)
}

func (k *rig) do(method, path string) (int, http.Header, string) {
	k.t.Helper()
	r, err := http.NewRequestWithContext(k.t.Context(), method, k.srv.URL+path, nil)
	require.NoError(k.t, err)
	res, err := k.srv.Client().Do(r)
	require.NoError(k.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(k.t, err)
	return res.StatusCode, res.Header, string(body)
}

// events asks for events, as an EventSource does.
func (k *rig) events() *http.Response {
	k.t.Helper()
	r, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, k.srv.URL+"/orders/events", nil)
	require.NoError(k.t, err)
	r.Header.Set("Accept", "text/event-stream")
	res, err := k.srv.Client().Do(r)
	require.NoError(k.t, err)
	k.t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(k.t, 200, res.StatusCode)
	require.Equal(k.t, "text/event-stream", res.Header.Get("Content-Type"))
	return res
}

// raw sends a request literally, and returns the response with its connection.
func (k *rig) raw(request string) (net.Conn, *bufio.Reader, *http.Response) {
	k.t.Helper()
	conn, err := net.Dial("tcp", k.srv.Listener.Addr().String())
	require.NoError(k.t, err)
	k.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, request)
	require.NoError(k.t, err)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	require.NoError(k.t, err)
	k.t.Cleanup(func() { _ = res.Body.Close() })
	return conn, r, res
}

// ended returns the spans of all requests by name.
func (k *rig) ended() map[string]sdktrace.ReadOnlySpan {
	k.stop()
	spans := map[string]sdktrace.ReadOnlySpan{}
	for _, span := range k.spans.Ended() {
		spans[span.Name()] = span
	}
	return spans
}

func attribute(span sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range span.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// router is chi, gin or echo.
func (k *rig) router() string {
	_, name, _ := strings.Cut(k.t.Name(), "/")
	name, _, _ = strings.Cut(name, ",")
	return name
}
