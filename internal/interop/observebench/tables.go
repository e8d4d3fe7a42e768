package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	contribotel "github.com/open-feature/go-sdk-contrib/hooks/open-telemetry/pkg"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// The contenders.
const (
	bare      = "bare handler"
	peer      = "otelhttp"
	ours      = "observe"
	oursRoute = "observe, and Route around a mux"
	bareMux   = "bare mux"
)

// A bench is all that is compared.
type bench struct {
	tables  []*table
	closers []func()
}

func newBench() (*bench, error) {
	b := new(bench)
	for _, add := range []func() error{b.addRequests, b.addCaptures, b.addLogs, b.addFlags} {
		if err := add(); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) onClose(f func()) { b.closers = append(b.closers, f) }

func (b *bench) close() {
	for _, f := range b.closers {
		f()
	}
}

// observer opens an observer. The bench closes it.
func (b *bench) observer(opts *observe.Options) (*observe.Observer, error) {
	obs, err := observe.New(opts)
	if err == nil {
		b.onClose(func() { _ = obs.Close() })
	}
	return obs, err
}

// A sink is a response writer that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// serving calls h with one request, over and over.
func serving(h http.Handler) func() {
	r := httptest.NewRequest("GET", "http://shop.example/users/42", nil)
	r.Header.Set("User-Agent", "bench")
	w := &sink{header: http.Header{}}
	return func() { h.ServeHTTP(w, r) }
}

var hello = []byte("hello")

func greet(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(hello) }

// providers receive telemetry.
type providers struct {
	name    string
	traces  trace.TracerProvider
	metrics metric.MeterProvider
}

func allProviders() []providers {
	sdk := func(name string, sampler sdktrace.Sampler) providers {
		return providers{
			name,
			sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(discard{})),
			sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
		}
	}
	return []providers{
		{"no-op providers", tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider()},
		sdk("never sampled, with metrics", sdktrace.NeverSample()),
		sdk("always sampled, with metrics", sdktrace.AlwaysSample()),
	}
}

// discard is an exporter that discards spans.
type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

var propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

func (b *bench) addRequests() error {
	serve := http.HandlerFunc(greet)
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", serve)
	for i, p := range allProviders() {
		obs, err := b.observer(&observe.Options{
			Log: slog.DiscardHandler, TracerProvider: p.traces, MeterProvider: p.metrics, LoggerProvider: lognoop.NewLoggerProvider(), Propagator: propagator,
		})
		if err != nil {
			return err
		}
		theirs := otelhttp.NewHandler(serve, "server",
			otelhttp.WithTracerProvider(p.traces), otelhttp.WithMeterProvider(p.metrics), otelhttp.WithPropagators(propagator))
		t := &table{title: "a request, " + p.name, contenders: []contender{
			{name: bare, call: serving(serve)},
			{name: peer, call: serving(theirs)},
			{name: ours, call: serving(obs.Handler(serve))},
			{name: bareMux, call: serving(mux)},
			{name: oursRoute, call: serving(obs.Handler(observe.Route(mux)))},
		}}
		switch i {
		case 0:
			t.goals = []goal{{"at most 1.2 µs and 6 allocations over the bare handler", ours, bare, above, value{ns: 1200, allocs: 6}}}
		case 2:
			t.goals = []goal{{"at most 0.55 of otelhttp's time and 22 allocations", ours, peer, partOf, value{ratio: 0.55, allocs: 22}}}
		}
		b.tables = append(b.tables, t)
	}
	return nil
}

const (
	uncaptured = "observe, captures off"
	captured   = "observe, captures on"
)

// addCaptures compares successful requests, which are not captured.
func (b *bench) addCaptures() error {
	p := allProviders()[2]
	t := &table{title: "a request that is not captured, with a body of 1 KiB, " + p.name, goals: []goal{
		{"at most 2 µs for captures being on", captured, uncaptured, above, value{ns: 2000, allocs: 100}},
	}}
	for _, name := range []string{uncaptured, captured} {
		var store capture.Store
		if name == captured {
			store = disk{}
		}
		obs, err := b.observer(&observe.Options{
			Log: slog.DiscardHandler, TracerProvider: p.traces, MeterProvider: p.metrics, LoggerProvider: lognoop.NewLoggerProvider(),
			Propagator: propagator, Captures: store,
		})
		if err != nil {
			return err
		}
		h := obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			greet(w, r)
		}))
		r := httptest.NewRequest("POST", "http://shop.example/checkout", nil)
		r.Header.Set("User-Agent", "bench")
		r.Header.Set("Content-Type", "application/json")
		body := strings.NewReader(body1K)
		w := &sink{header: http.Header{}}
		t.contenders = append(t.contenders, contender{name: name, call: func() {
			body.Reset(body1K)
			r.Body = io.NopCloser(body)
			h.ServeHTTP(w, r)
		}})
	}
	b.tables = append(b.tables, t)
	return nil
}

var body1K = strings.Repeat("{}", 512)

// frontEnd is a log handler that does nothing, so its cost is that of package slog.
type frontEnd struct{ slog.Handler }

func (frontEnd) Enabled(context.Context, slog.Level) bool  { return true }
func (frontEnd) Handle(context.Context, slog.Record) error { return nil }

// inRequest returns the context of a request that ends with the bench.
func (b *bench) inRequest(obs *observe.Observer) context.Context {
	found, end, ended := make(chan context.Context), make(chan struct{}), make(chan struct{})
	b.onClose(func() { close(end); <-ended })
	h := obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		found <- r.Context()
		<-end
	}))
	go func() {
		defer close(ended)
		h.ServeHTTP(&sink{header: http.Header{}}, httptest.NewRequest("GET", "/", nil))
	}()
	return <-found
}

const (
	front    = "slog's front end: a handler that does nothing"
	json     = "slog's JSON handler"
	kept     = "observe, kept until the request's end"
	written  = "observe, written with ids by slog's JSON handler"
	off      = "slog's JSON handler"
	offOurs  = "observe"
	disabled = slog.LevelDebug - 4
)

func (b *bench) addLogs() error {
	obs, err := b.observer(&observe.Options{
		Log: slog.NewJSONHandler(io.Discard, nil), TracerProvider: sdktrace.NewTracerProvider(),
		MeterProvider: metricnoop.NewMeterProvider(), LoggerProvider: lognoop.NewLoggerProvider(),
	})
	if err != nil {
		return err
	}
	ctx := b.inRequest(obs)
	five := func(l *slog.Logger, level slog.Level) func() {
		return func() {
			l.LogAttrs(ctx, level, "charged the card", slog.Int("items", 3), slog.String("currency", "EUR"),
				slog.Duration("took", 1234567), slog.Bool("again", false), slog.Float64("sum", 12.5))
		}
	}
	plain := slog.New(slog.NewJSONHandler(io.Discard, nil))
	b.tables = append(b.tables, []*table{
		{
			title: "a log record of five scalars, in a request",
			contenders: []contender{
				{name: front, call: five(slog.New(frontEnd{slog.DiscardHandler}), slog.LevelDebug)},
				{name: json, call: five(plain, slog.LevelInfo)},
				{name: kept, call: five(obs.Logger(), slog.LevelDebug)},
				{name: written, call: five(obs.Logger(), slog.LevelInfo)},
			},
			goals: []goal{{"at most 300 ns and one allocation over the front end", kept, front, above, value{ns: 300, allocs: 1}}},
		},
		{
			title: "a log record that is neither written nor kept, in a request",
			contenders: []contender{
				{name: off, call: func() { plain.Log(ctx, disabled, "charged the card") }},
				{name: offOurs, call: func() { obs.Logger().Log(ctx, disabled, "charged the card") }},
			},
			goals: []goal{{"at most 30 ns", offOurs, off, func(who, _ cost) value { return value{ns: who.best(), allocs: who.allocs} }, value{ns: 30}}},
		},
	}...)
	return nil
}

const (
	noHook  = "no hook"
	noop    = "a hook that does nothing"
	hook    = "observe.FlagHook"
	contrib = "open-telemetry hook of go-sdk-contrib"
)

// enabledLogs accepts events and discards them.
type enabledLogs struct{ lognoop.LoggerProvider }

func (enabledLogs) Logger(string, ...log.LoggerOption) log.Logger { return enabledLogger{} }

type enabledLogger struct{ lognoop.Logger }

func (enabledLogger) Enabled(context.Context, log.EnabledParameters) bool { return true }

func (b *bench) addFlags() error {
	obs, err := b.observer(&observe.Options{
		Log: slog.DiscardHandler, LoggerProvider: enabledLogs{}, MeterProvider: metricnoop.NewMeterProvider(),
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(discard{})),
	})
	if err != nil {
		return err
	}
	ctx := b.inRequest(obs)
	t := &table{title: "a flag evaluation that the request has made before", goals: []goal{
		{"at most 150 ns and no allocation over a hook that does nothing", hook, noop, above, value{ns: 150}},
	}}
	for _, c := range []struct {
		name string
		hook openfeature.Hook
	}{
		{noHook, nil},
		{noop, openfeature.UnimplementedHook{}},
		{hook, obs.FlagHook()},
		{contrib, contribotel.NewTracesHook()},
	} {
		api := isolated.NewAPI()
		b.onClose(func() { _ = api.Shutdown(context.Background()) })
		err := api.SetProviderAndWait(context.Background(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
			"new-checkout": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true}},
		}))
		if err != nil {
			return err
		}
		client := api.NewClient()
		if c.hook != nil {
			client.AddHooks(c.hook)
		}
		t.contenders = append(t.contenders, contender{name: c.name, call: func() {
			_ = client.Boolean(ctx, "new-checkout", false, openfeature.EvaluationContext{})
		}})
	}
	b.tables = append(b.tables, t)
	return nil
}
