package observe_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/stretchr/testify/require"
	logapi "go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// sink is a response that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

func noopOptions() *observe.Options {
	return &observe.Options{
		Log:            slog.DiscardHandler,
		TracerProvider: tracenoop.NewTracerProvider(),
		MeterProvider:  metricnoop.NewMeterProvider(),
		LoggerProvider: lognoop.NewLoggerProvider(),
	}
}

func benchmarkHandler(b *testing.B, h http.Handler) {
	r := httptest.NewRequest("GET", "http://shop.example/users/42", nil)
	r.Header.Set("User-Agent", "bench")
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func BenchmarkHandler(b *testing.B) {
	serve := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", serve)
	observer := func(b *testing.B, opts *observe.Options) *observe.Observer {
		obs, err := observe.New(opts)
		require.NoError(b, err)
		b.Cleanup(func() { _ = obs.Close() })
		return obs
	}
	sdk := func(b *testing.B, sampler sdktrace.Sampler) *observe.Options {
		opts := noopOptions()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(discard{}))
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
		b.Cleanup(func() { _ = tp.Shutdown(context.Background()); _ = mp.Shutdown(context.Background()) })
		opts.TracerProvider, opts.MeterProvider = tp, mp
		return opts
	}
	b.Run("bare", func(b *testing.B) { benchmarkHandler(b, serve) })
	b.Run("bare mux", func(b *testing.B) { benchmarkHandler(b, mux) })
	b.Run("noop", func(b *testing.B) { benchmarkHandler(b, observer(b, noopOptions()).Handler(serve)) })
	b.Run("noop with Route", func(b *testing.B) {
		benchmarkHandler(b, observer(b, noopOptions()).Handler(observe.Route(mux)))
	})
	b.Run("never sampled", func(b *testing.B) {
		benchmarkHandler(b, observer(b, sdk(b, sdktrace.NeverSample())).Handler(serve))
	})
	b.Run("always sampled", func(b *testing.B) {
		benchmarkHandler(b, observer(b, sdk(b, sdktrace.AlwaysSample())).Handler(serve))
	})
	b.Run("always sampled with Route", func(b *testing.B) {
		benchmarkHandler(b, observer(b, sdk(b, sdktrace.AlwaysSample())).Handler(observe.Route(mux)))
	})
}

// BenchmarkCapture is what a request that ends well pays for Options.Captures.
func BenchmarkCapture(b *testing.B) {
	body := []byte(`{"mail":"ann@shop.example","items":["` + strings.Repeat("tea\",\"", 200) + `"]}`)
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(body[:500])
	})
	header := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Type", "Cookie", "Referer", "Traceparent", "User-Agent", "X-Forwarded-For",
	} {
		header.Set(name, "some value of a usual length")
	}
	for _, method := range []string{"GET", "POST"} {
		for name, store := range map[string]capture.Store{"off": nil, "on": nowhere{}} {
			b.Run(method+" "+name, func(b *testing.B) {
				opts := noopOptions()
				opts.Captures = store
				obs, err := observe.New(opts)
				require.NoError(b, err)
				b.Cleanup(func() { _ = obs.Close() })
				h := obs.Handler(serve)
				r := httptest.NewRequest(method, "http://shop.example/users/42", nil)
				r.Header = header
				reader := bytes.NewReader(body)
				w := &sink{header: http.Header{}}
				b.ReportAllocs()
				for b.Loop() {
					if method == "POST" {
						reader.Reset(body)
						r.Body = io.NopCloser(reader)
					}
					h.ServeHTTP(w, r)
				}
			})
		}
	}
}

// nowhere is a store that keeps nothing.
type nowhere struct{}

func (nowhere) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
func (nowhere) Put(context.Context, string, []byte) error { return nil }
func (nowhere) Remove(context.Context, string) error      { return fs.ErrNotExist }

type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

func BenchmarkLog(b *testing.B) {
	plain := slog.New(slog.NewJSONHandler(io.Discard, nil))
	opts := noopOptions()
	opts.Log = plain.Handler()
	opts.TracerProvider = sdktrace.NewTracerProvider()
	obs, err := observe.New(opts)
	require.NoError(b, err)
	log := func(ctx context.Context, l *slog.Logger) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.LogAttrs(ctx, slog.LevelInfo, "message", slog.Int("a", 1), slog.String("b", "two"))
			}
		}
	}
	b.Run("plain", log(context.Background(), plain))
	b.Run("no request", log(context.Background(), obs.Logger()))
	front := slog.New(frontEnd{slog.DiscardHandler})
	five := func(ctx context.Context, l *slog.Logger) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.LogAttrs(ctx, slog.LevelDebug, "charged the card", slog.Int("items", 3), slog.String("currency", "EUR"),
					slog.Duration("took", 1234567), slog.Bool("again", false), slog.Float64("sum", 12.5))
			}
		}
	}
	b.Run("front end", five(context.Background(), front))
	_ = obs.Do(context.Background(), "bench", func(ctx context.Context) error {
		b.Run("request", log(ctx, obs.Logger()))
		b.Run("request in group", log(ctx, obs.Logger().WithGroup("g")))
		b.Run("kept", five(ctx, obs.Logger()))
		b.Run("kept in group", five(ctx, obs.Logger().With("service", "shop").WithGroup("cart").With("cart", 7)))
		b.Run("kept, inner context", five(context.WithValue(ctx, frontEnd{}, 1), obs.Logger()))
		b.Run("disabled", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				obs.Logger().Log(ctx, slog.LevelDebug-1, "message")
			}
		})
		b.Run("disabled, debug on", func(b *testing.B) {
			opts := noopOptions()
			opts.DebugToken = debugToken()
			obs, err := observe.New(opts)
			require.NoError(b, err)
			_ = obs.Do(context.Background(), "bench", func(ctx context.Context) error {
				b.ReportAllocs()
				for b.Loop() {
					obs.Logger().Log(ctx, slog.LevelDebug-1, "message")
				}
				return nil
			})
		})
		return nil
	})
}

// frontEnd is the least that a handler can do: what remains is package slog's own.
type frontEnd struct{ slog.Handler }

func (frontEnd) Enabled(context.Context, slog.Level) bool  { return true }
func (frontEnd) Handle(context.Context, slog.Record) error { return nil }

func BenchmarkFlagHook(b *testing.B) {
	opts := noopOptions()
	opts.LoggerProvider = enabledLogs{}
	obs, err := observe.New(opts)
	require.NoError(b, err)
	for name, hook := range map[string]openfeature.Hook{"no hook": nil, "noop hook": openfeature.UnimplementedHook{}, "FlagHook": obs.FlagHook()} {
		b.Run(name, func(b *testing.B) {
			provider := memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
				"new-checkout": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true}},
			})
			api := isolated.NewAPI()
			b.Cleanup(func() { require.NoError(b, api.Shutdown(context.Background())) })
			require.NoError(b, api.SetProviderAndWait(context.Background(), provider))
			client := api.NewClient()
			if hook != nil {
				client.AddHooks(hook)
			}
			_ = obs.Do(context.Background(), "bench", func(ctx context.Context) error {
				b.ReportAllocs()
				for b.Loop() {
					_ = client.Boolean(ctx, "new-checkout", false, openfeature.EvaluationContext{})
				}
				return nil
			})
		})
	}
}

type enabledLogs struct{ lognoop.LoggerProvider }

func (enabledLogs) Logger(string, ...logapi.LoggerOption) logapi.Logger { return enabledLogger{} }

type enabledLogger struct{ lognoop.Logger }

func (enabledLogger) Enabled(context.Context, logapi.EnabledParameters) bool { return true }

// BenchmarkTail is a whole job with ten records that are dropped, alone and on two
// goroutines: what they share must not make them wait.
func BenchmarkTail(b *testing.B) {
	obs, err := observe.New(noopOptions())
	require.NoError(b, err)
	job := func(ctx context.Context) error {
		for range 10 {
			obs.Logger().LogAttrs(ctx, slog.LevelDebug, "charged the card", slog.Int("items", 3), slog.String("currency", "EUR"))
		}
		return nil
	}
	for _, goroutines := range []int{1, 2} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			b.ReportAllocs()
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for range b.N {
						_ = obs.Do(context.Background(), "job", job)
					}
				})
			}
			all.Wait()
		})
	}
}
