package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/upkeep-go/upkeep/observe"
)

// A request fails behind a flag. Its answer, its span and its log record carry the
// same id, and the record says which variant the request saw.
func Example() {
	provider := memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"new-checkout": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true, "off": false}},
	})
	flags := isolated.NewAPI()
	defer flags.Shutdown(context.Background())
	if err := flags.SetProviderAndWait(context.Background(), provider); err != nil {
		fmt.Println(err)
		return
	}

	obs, err := observe.New(&observe.Options{
		Log:            slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: steady}),
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(printSpans{})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer obs.Close()
	flags.AddHooks(obs.FlagHook())
	client := flags.NewClient()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /carts/{cart}/checkout", func(w http.ResponseWriter, r *http.Request) {
		if client.Boolean(r.Context(), "new-checkout", false, openfeature.EvaluationContext{}) {
			items := r.URL.Query()["item"]
			fmt.Fprintln(w, "paying for", items[0]) // the bug
		}
	})
	service := obs.Handler(observe.Route(mux))

	r := httptest.NewRequest("POST", "/carts/7/checkout", nil)
	r.Header.Set("X-Request-Id", "ticket-4711")
	w := httptest.NewRecorder()
	service.ServeHTTP(w, r)
	fmt.Println("answer:", w.Code, w.Body)
	// Output:
	// span: POST /carts/{cart}/checkout Error "panic: runtime error: index out of range [0] with length 0"
	//   http.route=/carts/{cart}/checkout
	//   http.response.status_code=500
	//   error.type=runtime.boundsError
	//   upkeep.request.id=ticket-4711
	// level=ERROR msg="request failed" method=POST route=/carts/{cart}/checkout path=/carts/7/checkout status=500 bytes=95 error="panic: runtime error: index out of range [0] with length 0" flags.new-checkout=on request_id=ticket-4711
	// answer: 500 {"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"ticket-4711"}
}

func ExampleRoute() {
	obs := example(nil)
	defer obs.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	// Middlewares between Handler and Route may do what they like with the request.
	auth := func(next http.Handler) http.Handler {
		type user struct{}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), user{}, "ann")))
		})
	}
	service := obs.Handler(auth(observe.Route(mux)))

	service.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/42", nil))
	// Output:
	// span: GET /users/{id} Unset ""
	//   http.route=/users/{id}
	//   http.response.status_code=200
}

func ExampleObserver_Do() {
	obs := example(nil)
	defer obs.Close()

	err := obs.Do(context.Background(), "consume orders", func(ctx context.Context) error {
		obs.Logger().InfoContext(ctx, "in the job", "has id", observe.RequestID(ctx) != "")
		var orders []string
		_ = orders[0]
		return nil
	})
	var panicked *observe.PanicError
	fmt.Println(errors.As(err, &panicked), err)
	// Output:
	// level=INFO msg="in the job" "has id"=true
	// span: consume orders Error "panic: runtime error: index out of range [0] with length 0"
	//   error.type=runtime.boundsError
	// level=ERROR msg="job failed" job="consume orders" error="panic: runtime error: index out of range [0] with length 0"
	// true panic: runtime error: index out of range [0] with length 0
}

func ExampleFail() {
	obs := example(nil)
	defer obs.Close()

	graphql := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		observe.Fail(r.Context(), errors.New("resolver price: no such currency"))
		io.WriteString(w, `{"errors":[{"message":"price is not available"}]}`) // with status 200
	})
	obs.Handler(graphql).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/graphql", nil))
	// Output:
	// span: POST Error "resolver price: no such currency"
	//   http.response.status_code=200
	//   error.type=*errors.errorString
	// level=ERROR msg="request failed" method=POST path=/graphql status=200 bytes=49 error="resolver price: no such currency"
}

func ExampleObserver_LogHandler() {
	obs, err := observe.New(&observe.Options{
		Log: slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: steady}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer obs.Close()
	logger := slog.New(obs.LogHandler()).WithGroup("cart")

	service := obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		logger.InfoContext(r.Context(), "priced", "items", 3)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "ticket-4711")
	service.ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// level=INFO msg=priced cart.items=3 request_id=ticket-4711
}

func ExampleObserver_FlagHook() {
	flags := isolated.NewAPI()
	defer flags.Shutdown(context.Background())
	err := flags.SetProviderAndWait(context.Background(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"banner": {State: memprovider.Enabled, DefaultVariant: "winter", Variants: map[string]any{"winter": "snow.png"}},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	obs := example(nil)
	defer obs.Close()
	client := flags.NewClient()
	client.AddHooks(obs.FlagHook())

	service := obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ann := openfeature.NewEvaluationContext("ann", nil)
		for range 3 { // one event all the same, and ann is not in it
			client.String(r.Context(), "banner", "", ann)
		}
	}))
	service.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	// Output:
	// event: feature_flag.evaluation
	//   feature_flag.key=banner
	//   feature_flag.provider.name=InMemoryProvider
	//   feature_flag.result.reason=static
	//   feature_flag.result.variant=winter
	// span: GET Unset ""
	//   http.response.status_code=200
}

// A bound flag handle skips OpenFeature's hooks; RecordFlag records its result.
func ExampleRecordFlag() {
	obs := example(nil)
	defer obs.Close()
	_ = obs.Do(context.Background(), "job", func(ctx context.Context) error {
		observe.RecordFlag(ctx, "upkeep", openfeature.InterfaceEvaluationDetails{
			Value: true,
			EvaluationDetails: openfeature.EvaluationDetails{
				FlagKey:          "new-checkout",
				ResolutionDetail: openfeature.ResolutionDetail{Variant: "on", Reason: openfeature.SplitReason},
			},
		})
		return nil
	})
	// Output:
	// event: feature_flag.evaluation
	//   feature_flag.key=new-checkout
	//   feature_flag.provider.name=upkeep
	//   feature_flag.result.reason=split
	//   feature_flag.result.variant=on
	// span: job Unset ""
}

// Two services, one trace and one id.
func ExampleObserver_Transport() {
	prices := example(nil)
	defer prices.Close()
	priceServer := httptest.NewServer(prices.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "price for %s, traced: %t", observe.RequestID(r.Context()), r.Header.Get("Traceparent") != "")
	})))

	shop := example(&observe.Options{InternalHosts: []string{"127.0.0.1"}})
	defer shop.Close()
	client := &http.Client{Transport: shop.Transport(&http.Transport{DisableKeepAlives: true})}
	service := shop.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), "GET", priceServer.URL, nil)
		if err != nil {
			observe.Fail(r.Context(), err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			observe.Fail(r.Context(), err)
			return
		}
		defer resp.Body.Close()
		priceServer.Close() // so that its span comes first
		io.Copy(w, resp.Body)
	}))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "ticket-4711")
	w := httptest.NewRecorder()
	service.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output:
	// span: GET Unset ""
	//   http.response.status_code=200
	//   upkeep.request.id=ticket-4711
	// span: GET Unset ""
	//   http.response.status_code=200
	// span: GET Unset ""
	//   http.response.status_code=200
	//   upkeep.request.id=ticket-4711
	// price for ticket-4711, traced: true
}

// example gives an observer that prints what it records.
func example(opts *observe.Options) *observe.Observer {
	if opts == nil {
		opts = &observe.Options{}
	}
	opts.Log = slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == "request_id" {
			return slog.Attr{}
		}
		return steady(groups, a)
	}})
	opts.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(printSpans{}))
	opts.LoggerProvider = sdklog.NewLoggerProvider(sdklog.WithProcessor(printEvents{}))
	opts.Propagator = propagation.TraceContext{}
	obs, err := observe.New(opts)
	if err != nil {
		panic(err)
	}
	return obs
}

// steady leaves out what differs from run to run.
func steady(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "duration", "stack", "trace_id", "span_id":
		return slog.Attr{}
	}
	return a
}

type printSpans struct{ discard }

func (printSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	fmt.Printf("span: %s %s %q\n", s.Name(), s.Status().Code, s.Status().Description)
	for _, key := range []string{"http.route", "http.response.status_code", "error.type", "upkeep.request.id"} {
		if value := attr(s, key); value != "" && (key != "upkeep.request.id" || value == "ticket-4711") {
			fmt.Printf("  %s=%s\n", key, value)
		}
	}
}

type printEvents struct{}

func (printEvents) OnEmit(_ context.Context, r *sdklog.Record) error {
	if r.EventName() == "feature_flag.evaluation" {
		fmt.Println("event:", r.EventName())
		r.WalkAttributes(func(kv attribute.KeyValue) bool {
			fmt.Printf("  %s=%s\n", kv.Key, kv.Value.String())
			return true
		})
	}
	return nil
}

func (printEvents) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (printEvents) Shutdown(context.Context) error                         { return nil }
func (printEvents) ForceFlush(context.Context) error                       { return nil }
