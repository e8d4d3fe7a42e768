package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/upkeep-go/upkeep/observe"
)

const (
	parent      = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	parentSpan  = "b7ad6b7169203331"
)

// Expectations of facts. A fact must equal any other text.
const (
	none = "\x00none" // the fact is missing
	some = "\x00some" // the fact has any value
	has  = "\x00has " // the fact contains the rest of the text
)

func (seen facts) require(t *testing.T, want facts) {
	t.Helper()
	for name, value := range want {
		got, ok := seen[name]
		switch {
		case value == none:
			require.False(t, ok, "%s is %q and should not be\n%q", name, got, seen)
		case value == some:
			require.True(t, ok, "%s is missing\n%q", name, seen)
		case strings.HasPrefix(value, has):
			require.Contains(t, got, value[len(has):], "%s\n%q", name, seen)
		default:
			require.Equal(t, value, got, "%s\n%q", name, seen)
		}
	}
}

// A behaviour is one request with its expected facts behind each instrumentation.
type behaviour struct {
	name      string
	protocols []protocol // none: HTTP/1.1
	handler   func(k *rig, w http.ResponseWriter, r *http.Request)
	ask       func(k *rig, seen facts) // nil: GET /users/42
	options   func(*observe.Options)   // of ours
	around    wrap                     // of ours, when it is not behindOurs
	near      bool                     // theirs runs without the inner middleware
	ours      facts
	theirs    facts  // expected of otelhttp v0.72.0; nil if it lacks the feature
	wrong     string // the problem in words
}

var behaviours = []behaviour{
	{
		name:    "the route is known although a middleware replaces the context",
		handler: func(_ *rig, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		ours: facts{
			"span.name": "GET /users/{id}", "span.http.route": "/users/{id}", "metric.http.route": "/users/{id}",
			"metric.http.response.status_code": "200", "span.status": "Unset", "span.http.response.body.size": "5", "log": none,
			"answer.body": "hello", "answer.X-Request-Id": some, "answer.Traceresponse": has + "00-", "span.upkeep.request.id": some,
		},
		theirs: facts{"span.name": "GET", "span.http.route": none, "metric.http.route": none, "answer.X-Request-Id": none, "answer.Traceresponse": none},
		wrong:  "the route is lost everywhere",
	},
	{
		name:    "the route without such a middleware",
		around:  func(k *rig, mux http.Handler) http.Handler { return k.obs.Handler(observe.Route(mux)) },
		near:    true,
		handler: func(_ *rig, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		ours:    facts{"span.name": "GET /users/{id}", "span.http.route": "/users/{id}", "metric.http.route": "/users/{id}"},
		theirs:  facts{"span.name": "GET /users/{id}", "span.http.route": none, "metric.http.route": "/users/{id}"},
		wrong:   "the span lacks the attribute",
	},
	{
		name:    "a handler that panics",
		handler: func(*rig, http.ResponseWriter, *http.Request) { panic(errors.New("boom")) },
		ours: facts{
			"span.name": "GET /users/{id}", "span.status": "Error", "span.http.response.status_code": "500", "span.error.type": "*errors.errorString",
			"metric.count": "1", "metric.http.response.status_code": "500", "metric.http.route": "/users/{id}", "metric.error.type": "*errors.errorString",
			"answer.status": "500", "answer.Content-Type": "application/problem+json", "answer.body": has + `"request_id":"`,
			"log.records": "1", "log": has + "behaviour_test.go",
		},
		theirs: facts{
			"span.name": "GET", "span.status": "Unset", "span.http.response.status_code": none, "span.error.type": none,
			"metric.count": none, "answer": "cut", "log": none,
		},
		wrong: "no measurement, no error, no stack; the client gets no answer",
	},
	{
		name:    "a handler that aborts",
		handler: func(*rig, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		ours: facts{
			"answer": "cut", "span.status": "Error", "span.error.type": "http.ErrAbortHandler", "metric.count": "1",
			"metric.error.type": "http.ErrAbortHandler", "metric.http.response.status_code": none, "log": none,
		},
		theirs: facts{"answer": "cut", "span.status": "Unset", "metric.count": none},
		wrong:  "no measurement and no error",
	},
	{
		name:      "a status of 500",
		protocols: []protocol{http1, http2, h2c},
		handler:   func(_ *rig, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		ours: facts{
			"span.status": "Error", "span.error.type": "500", "metric.error.type": "500", "metric.http.response.status_code": "500",
			"log": has + "request failed", "answer.status": "500",
		},
		theirs: facts{"span.status": "Error", "span.http.response.status_code": "500", "metric.http.response.status_code": "500", "metric.error.type": none},
		wrong:  "the metric has no error.type",
	},
	{
		name: "a failure that the status does not show",
		handler: func(_ *rig, _ http.ResponseWriter, r *http.Request) {
			observe.Fail(r.Context(), errors.New("no price"))
		},
		ours: facts{"span.status": "Error", "metric.error.type": "*errors.errorString", "answer.status": "200", "log": has + "no price"},
	},
	{
		name: "a connection that is taken over",
		handler: func(k *rig, w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			require.NoError(k.t, err)
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: parrot\r\nConnection: Upgrade\r\n\r\nhi")
			_ = rw.Flush()
			_ = conn.Close()
		},
		ask: func(k *rig, seen facts) {
			k.raw(seen, "GET /users/42 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: parrot\r\n\r\n")
		},
		ours:   facts{"answer.raw": has + "\r\n\r\nhi", "span.http.response.status_code": "101", "span.status": "Unset", "metric.count": none},
		theirs: facts{"answer.raw": has + "\r\n\r\nhi", "span.http.response.status_code": "200"},
		wrong:  "it reports 200, which was not sent",
	},
	{
		name:      "a stream is flushed while the handler runs",
		protocols: []protocol{http1, http2, h2c},
		handler: func(k *rig, w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "first")
			w.(http.Flusher).Flush()
			require.NoError(k.t, http.NewResponseController(w).Flush())
			<-r.Context().Done() // the client has read it and goes
		},
		ask: func(k *rig, seen facts) {
			resp, err := k.srv.Client().Get(k.srv.URL + "/users/42")
			require.NoError(k.t, err)
			first := make([]byte, 5)
			_, err = io.ReadFull(resp.Body, first)
			require.NoError(k.t, err)
			seen["answer.first"] = string(first)
			_ = resp.Body.Close()
		},
		ours:   facts{"answer.first": "first", "metric.http.response.status_code": "200", "span.http.response.body.size": "5", "log": none},
		theirs: facts{"answer.first": "first", "metric.http.response.status_code": "200"},
	},
	{
		name: "a client that goes away",
		handler: func(_ *rig, w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush() // the ask goes on
			<-r.Context().Done()
			observe.Fail(r.Context(), r.Context().Err())
		},
		ask: func(k *rig, _ facts) {
			resp, err := k.srv.Client().Get(k.srv.URL + "/users/42")
			require.NoError(k.t, err)
			_ = resp.Body.Close()
		},
		ours: facts{"span.error.type": "client_gone", "span.status": "Unset", "log": "", "metric.error.type": "client_gone", "metric.count": "1"},
	},
	{
		name: "a file goes by ReadFrom",
		handler: func(k *rig, w http.ResponseWriter, _ *http.Request) {
			from, ok := w.(io.ReaderFrom)
			require.True(k.t, ok)
			_, err := from.ReadFrom(bytes.NewReader(make([]byte, 1<<20)))
			require.NoError(k.t, err)
		},
		ours:   facts{"span.http.response.body.size": "1048576", "metric.http.response.status_code": "200"},
		theirs: facts{"span.http.response.body.size": none, "metric.http.response.status_code": "200"},
		wrong:  "the size is lost",
	},
	{
		name:      "what comes before an answer, and what after",
		protocols: []protocol{http1, http2, h2c},
		handler: func(_ *rig, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Trailer", "Checksum")
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "body")
			w.Header().Set("Checksum", "abc")
		},
		ours:   facts{"answer.informational": "103", "answer.status": "202", "answer.trailer": "abc", "span.http.response.status_code": "202", "metric.http.response.status_code": "202"},
		theirs: facts{"answer.informational": "103", "answer.status": "202", "answer.trailer": "abc", "span.http.response.status_code": "202"},
	},
	{
		name:      "the protocol's version",
		protocols: []protocol{http2, h2c},
		handler:   func(*rig, http.ResponseWriter, *http.Request) {},
		ours:      facts{"answer.protocol": "HTTP/2.0", "span.network.protocol.version": "2", "span.name": "GET /users/{id}"},
		theirs:    facts{"answer.protocol": "HTTP/2.0", "span.network.protocol.version": "2.0"},
		wrong:     "semconv's version is 2",
	},
	{
		name:    "an unknown method",
		handler: func(*rig, http.ResponseWriter, *http.Request) {},
		ask:     func(k *rig, seen facts) { k.ask(seen, "HACK", "/users/42") },
		ours:    facts{"span.name": "HTTP", "span.http.request.method": "_OTHER", "metric.http.request.method": "_OTHER", "answer.status": "405"},
		theirs:  facts{"span.http.request.method": "_OTHER", "metric.http.request.method": "_OTHER"},
	},
	{
		name:    "the caller's trace goes on",
		handler: func(*rig, http.ResponseWriter, *http.Request) {},
		ask:     func(k *rig, seen facts) { k.ask(seen, "GET", "/users/42", "Traceparent", parent) },
		ours:    facts{"span.trace": parentTrace, "span.parent": parentSpan, "span.links": none, "answer.Traceresponse": has + parentTrace},
		theirs:  facts{"span.trace": parentTrace, "span.parent": parentSpan, "answer.Traceresponse": none},
	},
	{
		name:    "a stranger's trace is a link",
		options: func(o *observe.Options) { o.Public = true },
		handler: func(*rig, http.ResponseWriter, *http.Request) {},
		ask:     func(k *rig, seen facts) { k.ask(seen, "GET", "/users/42", "Traceparent", parent) },
		ours:    facts{"span.parent": none, "span.links": "1"},
	},
	{
		name:    "the id that the client chose",
		handler: func(k *rig, _ http.ResponseWriter, r *http.Request) { k.note("id", observe.RequestID(r.Context())) },
		ask:     func(k *rig, seen facts) { k.ask(seen, "GET", "/users/42", "X-Request-Id", "ticket-4711") },
		ours:    facts{"id": "ticket-4711", "answer.X-Request-Id": "ticket-4711", "span.upkeep.request.id": "ticket-4711"},
		theirs:  facts{"answer.X-Request-Id": none},
	},
	{
		name:    "inside of otelhttp its span is enriched",
		options: func(o *observe.Options) { o.JoinSpan = true },
		around:  func(k *rig, mux http.Handler) http.Handler { return behindTheirs(k, behindOurs(k, mux)) },
		handler: func(*rig, http.ResponseWriter, *http.Request) { panic("boom") },
		ours: facts{
			"span.name": "GET /users/{id}", "span.http.route": "/users/{id}", "span.status": "Error", "span.error.type": "string",
			"span.upkeep.request.id": some, "second.span.name": none, "metric.count": "1", "metric.http.response.status_code": "500", "answer.status": "500",
		},
	},
	{
		name: "a call to another service",
		handler: func(k *rig, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Inner") != "" {
				k.note("inner.traceparent", r.Header.Get("Traceparent"))
				return
			}
			out, err := http.NewRequestWithContext(r.Context(), "GET", k.srv.URL+"/users/43", nil)
			require.NoError(k.t, err)
			out.Header.Set("Inner", "yes")
			base := &http.Transport{DisableKeepAlives: true}
			var transport http.RoundTripper = k.obs.Transport(base)
			if observe.RequestID(r.Context()) == "" {
				transport = otelhttp.NewTransport(base, otelhttp.WithTracerProvider(k.tracers), otelhttp.WithMeterProvider(k.meters), otelhttp.WithPropagators(propagator))
			}
			resp, err := transport.RoundTrip(out)
			require.NoError(k.t, err)
			_, _ = io.Copy(w, resp.Body)
			require.NoError(k.t, resp.Body.Close())
		},
		ask:    func(k *rig, seen facts) { k.ask(seen, "GET", "/users/42", "Traceparent", parent) },
		ours:   facts{"inner.traceparent": has + parentTrace, "client.span.name": "GET", "client.span.trace": parentTrace, "client.metric.count": "1", "second.span.trace": parentTrace},
		theirs: facts{"inner.traceparent": has + parentTrace, "client.span.trace": parentTrace, "client.metric.count": "1"},
	},
	{
		name: "a job",
		handler: func(k *rig, _ http.ResponseWriter, r *http.Request) {
			err := k.obs.Do(r.Context(), "consume orders", func(context.Context) error { panic("boom") })
			require.ErrorContains(k.t, err, "boom")
		},
		ours: facts{
			"internal.span.name": "consume orders", "internal.span.status": "Error", "job.metric.count": "1", "job.metric.error.type": "string",
			"log": has + "job failed", "span.status": "Unset",
		},
	},
}

// TestBehaviours checks what package observe promises, and what otelhttp does, so that an upgrade
// of otelhttp that changes something fails the test.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	for _, b := range behaviours {
		protocols := b.protocols
		if protocols == nil {
			protocols = []protocol{http1}
		}
		run := func(name string, around wrap, options func(*observe.Options), want facts) {
			for _, p := range protocols {
				t.Run(b.name+"/"+string(p)+"/"+name, func(t *testing.T) {
					t.Parallel()
					k := newRig(t, options)
					mux := http.NewServeMux()
					mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) { b.handler(k, w, r) })
					k.serve(p, around(k, mux))
					seen := facts{}
					if b.ask != nil {
						b.ask(k, seen)
					} else {
						k.ask(seen, "GET", "/users/42")
					}
					k.telemetry(seen)
					seen.require(t, want)
				})
			}
		}
		around := b.around
		if around == nil {
			around = behindOurs
		}
		run("observe", around, b.options, b.ours)
		if b.theirs != nil {
			name, around := "otelhttp", wrap(behindTheirs)
			if b.wrong != "" {
				name += ": " + b.wrong
			}
			if b.near {
				around = nearTheirs
			}
			run(name, around, nil, b.theirs)
		}
	}
}
