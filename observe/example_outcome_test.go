package observe_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/upkeep-go/upkeep/observe"
)

// printed writes records as text, without what differs from run to run.
func printed() slog.Handler {
	return slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "time", "duration", "request_id", "bytes", "path":
			return slog.Attr{}
		}
		return a
	}})
}

// A GraphQL server answers with status 200 and errors in the body. That is a failure, but only
// at its own path.
func ExampleOptions_outcome() {
	obs, err := observe.New(&observe.Options{
		Log: printed(),
		Outcome: func(r *http.Request, resp *http.Response) error {
			if r.URL.Path != "/graphql" {
				return nil
			}
			return observe.OutcomeGraphQL(r, resp)
		},
		OutcomeBody: 4 << 10,
	})
	if err != nil {
		panic(err)
	}
	defer obs.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /graphql", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"errors":[{"message":"the cart is locked"}],"data":null}`)
	})
	h := obs.Handler(observe.Route(mux))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/graphql", strings.NewReader(`{"query":"{cart}"}`)))

	fmt.Println("failed:", obs.Stats()["requests_failed"])
	// Output:
	// level=ERROR msg="request failed" method=POST route=/graphql status=200 error="the GraphQL response has \"errors\""
	// failed: 1
}

// Behind a load balancer in 10.0.0.0/8 the span has the client's address, and what the client
// invents is ignored.
func ExampleOptions_trustedProxies() {
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	defer tracers.Shutdown(context.Background())
	obs, err := observe.New(&observe.Options{
		Log: slog.DiscardHandler, TracerProvider: tracers,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	defer obs.Close()

	r := httptest.NewRequest("GET", "http://inside:8080/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "127.0.0.1, 192.0.2.7") // the client sent the first
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Host", "shop.example")
	obs.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)

	for _, kv := range spans.Ended()[0].Attributes() {
		switch kv.Key {
		case "client.address", "url.scheme", "server.address", "network.peer.address":
			fmt.Println(kv.Key, kv.Value.String())
		}
	}
	// Output:
	// url.scheme https
	// server.address shop.example
	// network.peer.address 10.0.0.1
	// client.address 192.0.2.7
}

// A request that waits for an event is not slow, and no histogram counts its duration. Responses of type text/event-stream need no Options.Stream.
func ExampleOptions_stream() {
	obs, err := observe.New(&observe.Options{
		Log: printed(), Slow: time.Nanosecond,
		Stream: func(r *http.Request) bool { return r.URL.Path == "/changes" },
	})
	if err != nil {
		panic(err)
	}
	defer obs.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /changes", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "a change, at last")
		fmt.Println("active:", obs.Stats()["streams_active"])
	})
	mux.HandleFunc("GET /orders", func(http.ResponseWriter, *http.Request) {})
	h := obs.Handler(observe.Route(mux))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/changes", nil))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders", nil))

	fmt.Println("streams:", obs.Stats()["streams"])
	// Output:
	// active: 1
	// level=WARN msg="request slow" method=GET route=/orders status=200
	// streams: 1
}

// A router that keeps its template elsewhere writes it into the request by two lines, as its
// first middleware. Routers of chi need none.
func ExampleRoute_otherRouters() {
	obs, err := observe.New(&observe.Options{Log: printed(), WideEvent: 1})
	if err != nil {
		panic(err)
	}
	defer obs.Close()
	router := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "/orders/:id" // gin: c.Request.Pattern = c.FullPath()
		w.WriteHeader(http.StatusAccepted)
	})
	h := obs.Handler(observe.Route(router))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/7", nil))
	// Output:
	// level=INFO msg="request served" method=GET route=/orders/:id status=202 sample_rate=1
}
