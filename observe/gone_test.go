package observe_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/upkeep-go/upkeep/observe"
)

// leave serves h a request whose client goes when h has begun.
func leave(t *testing.T, k *rig, http2 bool, h http.HandlerFunc) {
	t.Helper()
	began := make(chan struct{})
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		h(w, r)
	})), http2)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	require.NoError(t, err)
	go func() { <-began; cancel() }()
	resp, err := srv.Client().Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	k.stop()
}

// A request whose client went away is not a success and not a failure, for any reaction of the
// handler.
func TestClientGone(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"502":          func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "upstream", http.StatusBadGateway) },
		"500":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"503":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"no answer":    func(http.ResponseWriter, *http.Request) {},
		"Fail":         func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), r.Context().Err()) },
		"another Fail": func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), errors.New("query: canceled")) },
		"abort":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"panic":        func(_ http.ResponseWriter, r *http.Request) { panic(fmt.Errorf("query: %w", r.Context().Err())) },
		"a job": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(504)
		},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", HTTP/2 ", http2), func(t *testing.T) {
				t.Parallel()
				store := &shelf{}
				k := newRig(t, func(o *observe.Options) {
					o.Captures, o.Slow, o.GuardedFlags = store, 1, []string{"express"}
				})
				leave(t, k, http2, func(w http.ResponseWriter, r *http.Request) {
					if name == "a job" {
						_ = k.obs.Do(r.Context(), "part", func(ctx context.Context) error { return fmt.Errorf("query: %w", ctx.Err()) })
					}
					h(w, r)
				})
				for point := range k.points(serverDuration) {
					require.Contains(t, point, "error.type=client_gone,")
					require.NotContains(t, point, "status_code")
				}
				require.Len(t, k.points(serverDuration), 1)
				require.Empty(t, k.logs.String())
				require.Empty(t, k.events.named("http.server.request.exception"))
				require.Empty(t, k.events.named("upkeep.job.exception"))
				spans := k.spans.Ended()
				require.Equal(t, codes.Unset, spans[len(spans)-1].Status().Code)
				stats := k.obs.Stats()
				require.Equal(t, []float64{1, 0, 0, 0}, []float64{stats["requests_gone"], stats["requests_failed"], stats["panics"], stats["jobs_failed"]})
				require.NoError(t, k.obs.Close())
				require.Zero(t, store.count())
			})
		}
	}
}

// What failed while the client was there has failed, although the client goes then. So has a
// handler that panics about something else.
func TestFailureBeforeTheClientWent(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]func(http.ResponseWriter, *http.Request, func()){
		"status": func(w http.ResponseWriter, _ *http.Request, leave func()) { w.WriteHeader(500); leave() },
		"Fail": func(_ http.ResponseWriter, r *http.Request, leave func()) {
			observe.Fail(r.Context(), errors.New("broke"))
			leave()
		},
		"panic": func(_ http.ResponseWriter, _ *http.Request, leave func()) { leave(); panic("a bug") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
			k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, cancel) })).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, "request failed", k.logs.line(t)["msg"])
			require.Equal(t, codes.Error, k.span().Status().Code)
			require.Zero(t, k.obs.Stats()["requests_gone"])
		})
	}
}

// A time-out of the service does not count as a client that went away.
func TestDeadlineIsNoClientThatWent(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.WriteHeader(504)
	})).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "request failed", k.logs.line(t)["msg"])
	require.Equal(t, "504", attr(k.span(), "http.response.status_code"))
}

// A client that ends its answer well and then goes was served.
func TestClientThatWentWhenItWasServed(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "all of it")
		cancel()
	})).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, map[string]int64{"http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1,url.scheme=http": 1}, k.points(serverDuration))
	require.Zero(t, k.obs.Stats()["requests_gone"])
}

// Package http cancels no context when a client goes while it sends its body.
func TestClientGoneWhileItSends(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"Content-Length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked":        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				observe.Fail(r.Context(), fmt.Errorf("reading the order: %w", err))
				http.Error(w, "cannot read", http.StatusInternalServerError)
			})), false)
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(conn, request)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			_, _ = io.ReadAll(conn)
			require.NoError(t, conn.Close())
			k.stop()
			require.Empty(t, k.logs.String())
			require.Equal(t, 1.0, k.obs.Stats()["requests_gone"])
		})
	}
}

// A handler that does not look at its errors is cut off, too.
func TestClientGoneWhileItReads(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	began := make(chan struct{})
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		close(began)
		<-r.Context().Done()
		for range 100 {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})), false)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-began
	_, err = bufio.NewReader(conn).ReadString('f')
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	k.stop()
	require.Len(t, k.points(serverDuration), 1)
	for point := range k.points(serverDuration) {
		require.Contains(t, point, "error.type=client_gone,http.request.method=GET,http.response.status_code=200,")
	}
}

// Debugging a request shows it whatever became of it.
func TestClientGoneIsSampled(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.WideEvent = 1 })
	leave(t, k, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	line := k.logs.line(t)
	require.Equal(t, []any{"INFO", "request canceled", true, nil}, []any{line["level"], line["msg"], line["canceled"], line["status"]})
}
