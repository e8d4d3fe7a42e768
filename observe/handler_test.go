package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/upkeep-go/upkeep/observe"
)

const (
	serverDuration = "http.server.request.duration"
	streams        = "upkeep.http.server.streams"
	serverActive   = "http.server.active_requests"
)

func handler(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func panics(value any) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(value) })
}

// rewrap is a middleware as they are: it replaces the request's context.
func rewrap(next http.Handler) http.Handler {
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

func TestHandlerObservesARequest(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "req-1", observe.RequestID(r.Context()))
		_, _ = io.WriteString(w, "hello")
	})
	srv := k.server(k.obs.Handler(rewrap(observe.Route(mux))), false)
	req, err := http.NewRequest("GET", srv.URL+"/users/42?token=secret", nil)
	require.NoError(t, err)
	req.Header.Set("X-Request-Id", "req-1")
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()

	require.Equal(t, "hello", string(body))
	require.Equal(t, "req-1", resp.Header.Get("X-Request-Id"))
	span := k.span()
	sc := span.SpanContext()
	require.Equal(t, "00-"+sc.TraceID().String()+"-"+sc.SpanID().String()+"-01", resp.Header.Get("traceresponse"))
	require.Equal(t, "GET /users/{id}", span.Name())
	require.Equal(t, trace.SpanKindServer, span.SpanKind())
	require.Equal(t, codes.Unset, span.Status().Code)
	for key, want := range map[string]string{
		"http.request.method": "GET", "http.route": "/users/{id}", "url.path": "/users/42", "url.scheme": "http",
		"server.address": "127.0.0.1", "network.protocol.version": "1.1", "http.response.status_code": "200",
		"http.response.body.size": "5", "upkeep.request.id": "req-1", "user_agent.original": "Go-http-client/1.1",
		"network.peer.address": "127.0.0.1", "error.type": "", "url.query": "",
	} {
		require.Equal(t, want, attr(span, key), key)
	}
	require.Equal(t, map[string]int64{
		"http.request.method=GET,http.response.status_code=200,http.route=/users/{id},network.protocol.version=1.1,url.scheme=http": 1,
	}, k.points(serverDuration))
	require.Equal(t, map[string]int64{"http.request.method=GET,url.scheme=http": 0}, k.points(serverActive))
	require.Empty(t, k.logs.String(), "a request that succeeds writes no record")
}

func TestHandlerHTTP2(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	srv := k.server(k.obs.Handler(handler(204)), true)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()
	require.Equal(t, 2, resp.ProtoMajor)
	require.NotEmpty(t, resp.Header.Get("X-Request-Id"))
	require.Equal(t, map[string]int64{
		"http.request.method=GET,http.response.status_code=204,network.protocol.version=2,url.scheme=https": 1,
	}, k.points(serverDuration))
}

func TestHandlerActiveRequests(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		require.Equal(t, map[string]int64{"http.request.method=PUT,url.scheme=http": 1}, k.points(serverActive))
		require.Equal(t, 1.0, k.obs.Stats()["requests_active"])
	})), "PUT", "/")
	require.Equal(t, map[string]int64{"http.request.method=PUT,url.scheme=http": 0}, k.points(serverActive))
	require.NoError(t, k.obs.Close())
	require.Empty(t, k.points(serverActive), "a closed observer reports none")
}

func TestHandlerPanic(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			mux := http.NewServeMux()
			mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("ETag", `"x"`)
				panic(errors.New("the secret broke"))
			})
			srv := k.server(k.obs.Handler(rewrap(observe.Route(mux))), http2)
			resp, err := srv.Client().Get(srv.URL + "/users/42")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			k.stop()

			id := resp.Header.Get("X-Request-Id")
			require.Equal(t, 500, resp.StatusCode)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
			require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
			require.Empty(t, resp.Header.Get("ETag"))
			require.JSONEq(t, `{"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"`+id+`"}`, string(body))

			span := k.span()
			require.Equal(t, codes.Error, span.Status().Code)
			require.Equal(t, "panic: the secret broke", span.Status().Description)
			require.Equal(t, "*errors.errorString", attr(span, "error.type"))
			require.Equal(t, "500", attr(span, "http.response.status_code"))

			line := k.logs.line(t)
			require.Equal(t, "request failed", line["msg"])
			require.Equal(t, "panic: the secret broke", line["error"])
			require.Equal(t, id, line["request_id"])
			require.Equal(t, span.SpanContext().TraceID().String(), line["trace_id"])
			require.Contains(t, line["stack"], "TestHandlerPanic")
			require.NotContains(t, line["stack"], "newPanicError")

			events := k.events.named("http.server.request.exception")
			require.Len(t, events, 1)
			require.Equal(t, "*errors.errorString", events[0]["exception.type"])
			require.Equal(t, "panic: the secret broke", events[0]["exception.message"])
			require.Contains(t, events[0]["exception.stacktrace"], "TestHandlerPanic")
			require.Equal(t, span.SpanContext().TraceID().String(), events[0]["trace"])
			require.Equal(t, 1.0, k.obs.Stats()["panics"])
		})
	}
}

func TestHandlerPanicHasRoute(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	mux := http.NewServeMux()
	mux.Handle("POST /pay/{id}", panics("boom"))
	k.serve(k.obs.Handler(rewrap(observe.Route(mux))), "POST", "/pay/1")
	require.Equal(t, "POST /pay/{id}", k.span().Name())
	require.Equal(t, "/pay/{id}", attr(k.span(), "http.route"))
	require.Equal(t, map[string]int64{
		"error.type=string,http.request.method=POST,http.response.status_code=500,http.route=/pay/{id},network.protocol.version=1.1,url.scheme=http": 1,
	}, k.points(serverDuration))
	require.Equal(t, "/pay/{id}", k.logs.line(t)["route"])
}

func TestHandlerPanicForABrowser(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	h := k.obs.Handler(panics("boom"))
	w := k.serve(h, "GET", "/", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8", "X-Request-Id", "req-7")
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "<code>req-7</code>")
	w = k.serve(h, "GET", "/", "Accept", "application/json, text/html")
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	w = k.serve(h, "HEAD", "/")
	require.Equal(t, 500, w.Code)
	require.Empty(t, w.Body.String())
}

func TestHandlerPanicAfterTheResponseBegan(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic("boom")
			})), http2)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.Error(t, err, "half an answer must not look whole")
			require.Equal(t, "half", string(body))
			require.NoError(t, resp.Body.Close())
			k.stop()
			require.Equal(t, codes.Error, k.span().Status().Code)
			require.Equal(t, "string", attr(k.span(), "error.type"))
			require.Equal(t, "200", attr(k.span(), "http.response.status_code"), "what was sent")
			require.Contains(t, k.logs.line(t)["stack"], "TestHandlerPanicAfterTheResponseBegan")
		})
	}
}

func TestHandlerRepanic(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.Repanic = true })
	value := errors.New("boom")
	w := httptest.NewRecorder()
	require.PanicsWithValue(t, value, func() {
		k.obs.Handler(panics(value)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	})
	require.Zero(t, w.Body.Len(), "the answer is for whoever recovers")
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, map[string]int64{
		"error.type=*errors.errorString,http.request.method=GET,http.response.status_code=500,network.protocol.version=1.1,url.scheme=http": 1,
	}, k.points(serverDuration))
	require.Contains(t, k.logs.line(t)["stack"], "observe_test")
}

func TestHandlerAbort(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		k.serve(k.obs.Handler(panics(http.ErrAbortHandler)), "GET", "/")
	})
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, map[string]int64{
		"error.type=http.ErrAbortHandler,http.request.method=GET,network.protocol.version=1.1,url.scheme=http": 1,
	}, k.points(serverDuration), "no status was sent")
	require.Empty(t, k.logs.String())
	require.Zero(t, k.obs.Stats()["panics"])
}

func TestHandlerUncomparablePanic(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	w := k.serve(k.obs.Handler(panics([]int{1})), "GET", "/")
	require.Equal(t, 500, w.Code)
	require.Equal(t, "[]int", attr(k.span(), "error.type"))
}

func TestHandlerStatus500Fails(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	w := k.serve(k.obs.Handler(handler(503)), "GET", "/x?q=secret")
	require.Equal(t, 503, w.Code)
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, "503", attr(k.span(), "error.type"))
	line := k.logs.line(t)
	require.Equal(t, "ERROR", line["level"])
	require.Equal(t, 503.0, line["status"])
	require.Equal(t, "/x", line["path"])
	require.NotContains(t, k.logs.String(), "secret")
	require.Empty(t, k.events.named("http.server.request.exception"), "a status is no exception")

	k.serve(k.obs.Handler(handler(404)), "GET", "/x")
	require.Len(t, k.logs.lines(t), 1, "the client's errors are not ours")
	require.Equal(t, 1.0, k.obs.Stats()["requests_failed"])
}

func TestHandlerRefusalIsNoFailure(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	refuse := func(fail bool) http.Handler {
		return k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(503)
			if fail {
				observe.Fail(r.Context(), declined{})
			}
		}))
	}
	k.serve(refuse(false), "GET", "/x")
	require.Equal(t, codes.Error, k.span().Status().Code, "as any 503")
	require.Equal(t, "503", attr(k.span(), "error.type"))
	require.Empty(t, k.logs.lines(t))
	require.Equal(t, 1.0, k.obs.Stats()["requests_refused"])
	require.Equal(t, 0.0, k.obs.Stats()["requests_failed"])

	k.serve(refuse(true), "GET", "/x")
	require.Len(t, k.logs.lines(t), 1, "a request failed if Fail was called, for any answer")
	require.Equal(t, 1.0, k.obs.Stats()["requests_failed"])
}

type declined struct{}

func (declined) Error() string     { return "card declined" }
func (declined) ErrorType() string { return "card_declined" }

func TestFail(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		observe.Fail(r.Context(), nil)
		observe.Fail(r.Context(), declined{})
		observe.Fail(r.Context(), errors.New("a later one"))
	})), "POST", "/graphql")
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, "card declined", k.span().Status().Description)
	require.Equal(t, map[string]int64{
		"error.type=card_declined,http.request.method=POST,http.response.status_code=200,network.protocol.version=1.1,url.scheme=http": 1,
	}, k.points(serverDuration))
	require.Equal(t, "card declined", k.logs.line(t)["error"])
	require.Equal(t, 200.0, k.logs.line(t)["status"])
	require.Len(t, k.events.named("http.server.request.exception"), 1)

	observe.Fail(context.Background(), errors.New("nowhere")) // no request: no effect, no panic
}

func TestHandlerIDs(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	h := k.obs.Handler(handler(200))
	for _, id := range []string{"a", "0", "req-1", "018f4a4e-7d3e-7b7a-9c39-3f1f2b0d7f11", "A.b_c-d", strings.Repeat("x", 128)} {
		require.Equal(t, id, k.serve(h, "GET", "/", "X-Request-Id", id).Header().Get("X-Request-Id"))
	}
	require.Zero(t, k.obs.Stats()["ids_replaced"])
	hostile := []string{
		"", " ", "-x", "..", "a b", "a\nb: c", "a\r\nSet-Cookie: x", "<script>", `"`, "a/b", "a,b", "é", "\xff", "a\x00",
		strings.Repeat("x", 129), strings.Repeat("x", 1<<20), "${jndi:x}",
	}
	for _, id := range hostile {
		got := k.serve(h, "GET", "/", "X-Request-Id", id).Header()["X-Request-Id"]
		require.Len(t, got, 1)
		require.Regexp(t, `^[0-9A-HJKMNP-TV-Z]{26}$`, got[0])
	}
	got := k.serve(h, "GET", "/", "X-Request-Id", "one", "X-Request-Id", "two").Header().Get("X-Request-Id")
	require.Len(t, got, 26, "of two ids neither")
	require.Equal(t, float64(len(hostile)+1), k.obs.Stats()["ids_replaced"])
	first, second := k.serve(h, "GET", "/").Header().Get("X-Request-Id"), k.serve(h, "GET", "/").Header().Get("X-Request-Id")
	require.NotEqual(t, first, second)
	require.Equal(t, float64(len(hostile)+1), k.obs.Stats()["ids_replaced"], "a missing id is made, not replaced")
}

func TestHandlerHostileRequestMakesNoLabel(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	h := k.obs.Handler(handler(200))
	for _, method := range []string{"HACK", "get", "X" + strings.Repeat("Y", 5000)} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = method
		r.URL.Path = "/\xff\xfe" + strings.Repeat("z", 5000)
		r.Host = "evil\xff.example"
		r.RemoteAddr = "\xff"
		r.ProtoMajor, r.ProtoMinor = 1, 7
		r.Header["User-Agent"] = []string{"\xff" + strings.Repeat("é", 5000)}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.Equal(t, map[string]int64{
		"http.request.method=_OTHER,http.response.status_code=200,url.scheme=http": 3,
	}, k.points(serverDuration))
	span := k.spans.Ended()[0]
	require.Equal(t, "HTTP", span.Name())
	require.Equal(t, "HACK", attr(span, "http.request.method_original"))
	for _, span := range k.spans.Ended() {
		for _, kv := range span.Attributes() {
			text := kv.Value.String()
			require.LessOrEqual(t, len(text), 1024, kv.Key)
			require.True(t, strings.ToValidUTF8(text, "") == text, "%s is not valid UTF-8", kv.Key)
		}
	}
}

func TestHandlerTraceContext(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	seen := func(member *string) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			*member = baggage.FromContext(r.Context()).Member("tenant").Value()
		})
	}
	var tenant string
	k := newRig(t, nil)
	k.serve(k.obs.Handler(seen(&tenant)), "GET", "/", "Traceparent", parent, "Baggage", "tenant=acme")
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", k.span().SpanContext().TraceID().String())
	require.Equal(t, "b7ad6b7169203331", k.span().Parent().SpanID().String())
	require.Equal(t, "acme", tenant)

	k = newRig(t, func(o *observe.Options) { o.Public = true })
	w := k.serve(k.obs.Handler(seen(&tenant)), "GET", "/", "Traceparent", parent, "Baggage", "tenant=acme")
	span := k.span()
	require.NotEqual(t, "0af7651916cd43dd8448eb211c80319c", span.SpanContext().TraceID().String())
	require.False(t, span.Parent().IsValid())
	require.Len(t, span.Links(), 1)
	require.Equal(t, "b7ad6b7169203331", span.Links()[0].SpanContext.SpanID().String())
	require.Empty(t, tenant)
	require.Contains(t, w.Header().Get("traceresponse"), span.SpanContext().TraceID().String())

	k.serve(k.obs.Handler(seen(&tenant)), "GET", "/", "Traceparent", "00-zz-\xff")
	require.Empty(t, k.spans.Ended()[1].Links())

	// It is also refused if a handler outside has read the headers before.
	inner := k.obs.Handler(seen(&tenant))
	k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
		inner.ServeHTTP(w, r.WithContext(p.Extract(r.Context(), propagation.HeaderCarrier(r.Header))))
	}), "GET", "/", "Traceparent", parent, "Baggage", "tenant=acme")
	require.False(t, k.spans.Ended()[2].Parent().IsValid())
	require.Len(t, k.spans.Ended()[2].Links(), 1)
	require.Empty(t, tenant)
}

func TestHandlerJoinSpan(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.JoinSpan = true })
	mux := http.NewServeMux()
	mux.Handle("GET /pay/{id}", panics("boom"))
	inner := k.obs.Handler(rewrap(observe.Route(mux)))
	var pattern string
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := k.tracers.Tracer("otelhttp").Start(r.Context(), "GET")
		defer span.End()
		r = r.WithContext(ctx)
		inner.ServeHTTP(w, r)
		pattern = r.Pattern
	})
	w := k.serve(outer, "GET", "/pay/1")
	require.Equal(t, 500, w.Code)
	span := k.span()
	require.Equal(t, "GET /pay/{id}", span.Name())
	require.Equal(t, "/pay/{id}", attr(span, "http.route"))
	require.Equal(t, w.Header().Get("X-Request-Id"), attr(span, "upkeep.request.id"))
	require.Equal(t, codes.Error, span.Status().Code)
	require.Empty(t, k.points(serverDuration))
	require.Empty(t, k.points(serverActive))
	require.Equal(t, "/pay/{id}", k.logs.line(t)["route"])
	require.Equal(t, "/pay/{id}", pattern, "for the metric of who is outside")

	k.serve(inner, "GET", "/nowhere") // no span to join: none is made
	require.Len(t, k.spans.Ended(), 1)
}

func TestHandlerInHandler(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(rewrap(k.obs.Handler(handler(200)))), "GET", "/")
	require.Len(t, k.spans.Ended(), 1)
	require.Equal(t, 1.0, k.obs.Stats()["requests"])

	other := newRig(t, nil)
	w := k.serve(k.obs.Handler(other.obs.Handler(handler(200))), "GET", "/")
	require.Equal(t, w.Header().Get("X-Request-Id"), attr(other.span(), "upkeep.request.id"))
	require.Equal(t, w.Header().Get("X-Request-Id"), attr(k.spans.Ended()[1], "upkeep.request.id"))
}

func TestHandlerClientGone(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	began := make(chan struct{})
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		w.WriteHeader(http.StatusBadGateway)
	})), false)
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	require.NoError(t, err)
	go func() { <-began; cancel() }()
	_, err = srv.Client().Do(req)
	require.ErrorIs(t, err, context.Canceled)
	k.stop()
	require.Empty(t, k.logs.String())
	require.Equal(t, []string{"client_gone", ""}, []string{attr(k.span(), "error.type"), attr(k.span(), "http.response.status_code")})
	require.Equal(t, codes.Unset, k.span().Status().Code)
}

func TestHandlerTimeout(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow/{id}", func(http.ResponseWriter, *http.Request) { <-release })
	w := k.serve(k.obs.Handler(http.TimeoutHandler(observe.Route(mux), 20*time.Millisecond, "late")), "GET", "/slow/1")
	close(release)
	require.Equal(t, 503, w.Code)
	require.Equal(t, "/slow/{id}", attr(k.span(), "http.route"), "known although the mux has not returned")
}

func TestFailWithARecoveredPanic(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	w := k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			observe.Fail(r.Context(), &observe.PanicError{Value: recover(), Stack: debug.Stack()})
			w.WriteHeader(400)
		}()
		panic(errors.New("boom"))
	})), "GET", "/")
	require.Equal(t, 400, w.Code)
	require.Equal(t, "panic: boom", k.logs.line(t)["error"])
	require.Contains(t, k.logs.line(t)["stack"], "TestFailWithARecoveredPanic")
	require.Equal(t, "*errors.errorString", attr(k.span(), "error.type"))
	require.Equal(t, 1.0, k.obs.Stats()["panics"])
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestFailWithATypedNil(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		observe.Fail(r.Context(), (*nilError)(nil))
	})), "GET", "/")
	require.Equal(t, "*observe_test.nilError", attr(k.span(), "error.type"))
	require.Equal(t, "request failed", k.logs.line(t)["msg"])
	require.Zero(t, k.obs.Stats()["telemetry_panics"])
}

// Without an SDK the only trace is the caller's, which the answer must not claim.
func TestHandlerWithoutSDK(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.TracerProvider = tracenoop.NewTracerProvider() })
	w := k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "observe req-1", strings.SplitN(fmt.Sprint(r.Context()), ".With", 2)[0])
		w.WriteHeader(500)
	})), "GET", "/", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id", "req-1")
	require.Empty(t, w.Header().Get("traceresponse"))
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", k.logs.line(t)["trace_id"])
}

// A provider that breaks must not break requests.
func TestHandlerSurvivesBrokenTelemetry(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) {
		o.Propagator = brokenPropagator{o.Propagator}
		o.Route = func(*http.Request) string { panic("route") }
	})
	w := k.serve(k.obs.Handler(handler(500)), "GET", "/")
	require.Equal(t, 500, w.Code)
	require.NotEmpty(t, w.Header().Get("X-Request-Id"))
	require.Equal(t, 2.0, k.obs.Stats()["telemetry_panics"])
	require.Equal(t, "request failed", k.logs.line(t)["msg"])
	require.NoError(t, k.obs.Do(context.Background(), "job", func(context.Context) error { return nil }))
}

// Objects of more than 512 bytes that hold pointers cost the allocator more.
func TestStateIsSmall(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, int(observe.StateSize), 512)
}

// Semconv has the size of a response in a span by opting in only.
func TestHandlerResponseSize(t *testing.T) {
	t.Parallel()
	for _, opted := range []bool{false, true} {
		k := newRig(t, func(o *observe.Options) { o.ResponseSize = opted })
		k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })), "GET", "/")
		want := ""
		if opted {
			want = "5"
		}
		require.Equal(t, want, attr(k.span(), "http.response.body.size"))
	}
}

// What the application sets on its request reaches the request that Handler was given, so
// an access log outside sees the same as without us, and package http removes the files of
// forms.
func TestHandlerHandsTheRequestBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic("boom") }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(o *observe.Options) { o.DebugToken = debugToken() })
			mux := http.NewServeMux()
			mux.HandleFunc("POST /carts/{cart}", func(_ http.ResponseWriter, r *http.Request) {
				require.NoError(t, r.ParseMultipartForm(1<<10))
				require.Empty(t, r.Header.Get("Upkeep-Debug"))
				r.RemoteAddr, r.Host, r.Method = "192.0.2.7:1", "other.example", "PUT"
				end()
			})
			body := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n" + strings.Repeat("x", 1<<20) + "\r\n--b--\r\n"
			r := httptest.NewRequest("POST", "/carts/7", strings.NewReader(body))
			r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			r.Header.Set("Upkeep-Debug", "x")
			ctx, given := r.Context(), r.Body
			k.obs.Handler(observe.Route(mux)).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, []string{"POST /carts/{cart}", "7", "192.0.2.7:1", "other.example", "PUT"},
				[]string{r.Pattern, r.PathValue("cart"), r.RemoteAddr, r.Host, r.Method})
			require.NotNil(t, r.MultipartForm)
			require.NoError(t, r.MultipartForm.RemoveAll())
			require.Equal(t, ctx, r.Context())
			require.Equal(t, given, r.Body)
			require.Equal(t, "x", r.Header.Get("Upkeep-Debug"))
		})
	}
}
