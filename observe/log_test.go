package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// withContext gives every record the context of a request, because slogtest does not.
type withContext struct {
	slog.Handler
	ctx context.Context
}

func (h withContext) Enabled(_ context.Context, level slog.Level) bool {
	return h.Handler.Enabled(h.ctx, level)
}

func (h withContext) Handle(_ context.Context, r slog.Record) error {
	return h.Handler.Handle(h.ctx, r)
}

func (h withContext) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withContext{h.Handler.WithAttrs(attrs), h.ctx}
}

func (h withContext) WithGroup(name string) slog.Handler {
	return withContext{h.Handler.WithGroup(name), h.ctx}
}

func TestLogHandlerConforms(t *testing.T) {
	t.Parallel()
	inContext := func(t *testing.T, obs *observe.Observer, request bool) context.Context {
		if !request {
			return context.Background()
		}
		var ctx context.Context
		require.NoError(t, obs.Do(context.Background(), "job", func(c context.Context) error { ctx = c; return nil }))
		return ctx
	}
	for name, request := range map[string]bool{"no request": false, "request": true} {
		t.Run("JSON, "+name, func(t *testing.T) {
			var buf bytes.Buffer
			slogtest.Run(t, func(t *testing.T) slog.Handler {
				buf.Reset()
				k := newRig(t, func(o *observe.Options) { o.Log = slog.NewJSONHandler(&buf, nil) })
				return withContext{k.obs.LogHandler(), inContext(t, k.obs, request)}
			}, func(t *testing.T) map[string]any {
				var m map[string]any
				require.NoError(t, json.Unmarshal(buf.Bytes(), &m))
				if request {
					require.NotEmpty(t, m["request_id"])
					require.NotEmpty(t, m["trace_id"])
					require.NotEmpty(t, m["span_id"])
				}
				return m
			})
		})
		t.Run("text, "+name, func(t *testing.T) {
			var buf bytes.Buffer
			slogtest.Run(t, func(t *testing.T) slog.Handler {
				buf.Reset()
				k := newRig(t, func(o *observe.Options) { o.Log = slog.NewTextHandler(&buf, nil) })
				return withContext{k.obs.LogHandler(), inContext(t, k.obs, request)}
			}, func(t *testing.T) map[string]any {
				return parseText(t, buf.String())
			})
		})
	}
}

func TestLogHandlerIDsAtTheTop(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	logger := k.obs.Logger().With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").With("c", 3)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		logger.InfoContext(ctx, "in", "d", 4)
		logger.WithGroup("empty").InfoContext(ctx, "in")
		return nil
	}))
	lines := k.logs.lines(t)
	span := k.span().SpanContext()
	for i, want := range []map[string]any{
		{"a": 1.0, "g": map[string]any{"b": 2.0, "h": map[string]any{"c": 3.0, "d": 4.0}}},
		{"a": 1.0, "g": map[string]any{"b": 2.0, "h": map[string]any{"c": 3.0}}},
	} {
		want["request_id"] = attr(k.span(), "upkeep.request.id")
		want["trace_id"], want["span_id"] = span.TraceID().String(), span.SpanID().String()
		want["msg"], want["level"], want["time"] = "in", "INFO", lines[i]["time"]
		require.Equal(t, want, lines[i])
	}
}

func TestLogHandlerSharesNothing(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	base := k.obs.Logger().WithGroup("g").With("a", 1)
	one, two := base.With("b", "one"), base.With("b", "two")
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		one.InfoContext(ctx, "")
		two.InfoContext(ctx, "")
		return nil
	}))
	require.Equal(t, "one", k.logs.lines(t)[0]["g"].(map[string]any)["b"])
	require.Equal(t, "two", k.logs.lines(t)[1]["g"].(map[string]any)["b"])
}

func TestLogHandlerTellsTheNearestSpan(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		inner, span := k.tracers.Tracer("t").Start(ctx, "inner")
		defer span.End()
		k.obs.Logger().InfoContext(inner, "inner")
		k.obs.Logger().InfoContext(ctx, "outer")
		return nil
	}))
	lines := k.logs.lines(t)
	require.Equal(t, k.spans.Ended()[0].SpanContext().SpanID().String(), lines[0]["span_id"])
	require.Equal(t, k.spans.Ended()[1].SpanContext().SpanID().String(), lines[1]["span_id"])
	require.Equal(t, lines[0]["request_id"], lines[1]["request_id"])

	// A span without a request, and neither.
	k = newRig(t, nil)
	ctx, span := k.tracers.Tracer("t").Start(context.Background(), "alone")
	defer span.End()
	k.obs.Logger().InfoContext(ctx, "span")
	k.obs.Logger().Info("nothing")
	lines = k.logs.lines(t)
	require.Equal(t, trace.SpanContextFromContext(ctx).TraceID().String(), lines[0]["trace_id"])
	require.NotContains(t, lines[0], "request_id")
	require.NotContains(t, lines[1], "trace_id")

	// A request without a span, as without an SDK.
	var buf bytes.Buffer
	opts := noopOptions()
	opts.Log = slog.NewTextHandler(&buf, nil)
	obs, err := observe.New(opts)
	require.NoError(t, err)
	require.NoError(t, obs.Do(context.Background(), "job", func(ctx context.Context) error {
		obs.Logger().InfoContext(ctx, "x")
		return nil
	}))
	require.Contains(t, buf.String(), "request_id=")
	require.NotContains(t, buf.String(), "trace_id=")
}

func TestLogHandlerNoDuplicates(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	again, err := observe.New(&observe.Options{Log: k.obs.LogHandler()})
	require.NoError(t, err)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		again.Logger().InfoContext(ctx, "wrapped twice")
		k.obs.Logger().InfoContext(ctx, "own", "request_id", "mine")
		k.obs.Logger().With("trace_id", "mine").InfoContext(ctx, "own")
		k.obs.Logger().WithGroup("g").InfoContext(ctx, "own", "span_id", "mine")
		return nil
	}))
	for line := range strings.Lines(k.logs.String()) {
		for _, key := range []string{`"request_id":`, `"trace_id":`} {
			require.Equal(t, 1, strings.Count(line, key), line)
		}
	}
	lines := k.logs.lines(t)
	require.Equal(t, "mine", lines[1]["request_id"])
	require.Equal(t, "mine", lines[2]["trace_id"])
	require.Equal(t, map[string]any{"span_id": "mine"}, lines[3]["g"])
	require.Len(t, lines[3]["span_id"], 16)
}

func TestLogHandlerLevel(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) {
		o.Log = slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})
	})
	require.False(t, k.obs.LogHandler().Enabled(context.Background(), slog.LevelInfo))
	require.True(t, k.obs.LogHandler().WithGroup("g").Enabled(context.Background(), slog.LevelWarn))
}

// Not parallel: slog's and log's defaults are the process's.
func TestLogDefaultHandler(t *testing.T) {
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	require.Equal(t, "*slog.defaultHandler", strings.TrimSpace(typeOf(before.Handler())), "another test changed the default")
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})

	for _, h := range []slog.Handler{before.Handler(), before.With("a", 1).Handler()} {
		_, err := observe.New(&observe.Options{Log: h})
		require.ErrorIs(t, err, observe.ErrDefaultHandler)
	}

	var buf bytes.Buffer
	log.SetOutput(&buf)
	obs, err := observe.New(nil)
	require.NoError(t, err)
	slog.SetDefault(obs.Logger())
	within(t, func() {
		slog.Info("by slog")
		log.Print("by log")
	})
	require.Contains(t, buf.String(), "by slog")
	require.Contains(t, buf.String(), "by log")

	// slog's own again, while package log still writes to a slog handler.
	slog.SetDefault(before)
	stderr := os.Stderr
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	os.Stderr = null
	defer func() { os.Stderr = stderr; null.Close() }()
	obs, err = observe.New(nil)
	require.NoError(t, err)
	slog.SetDefault(obs.Logger())
	within(t, func() {
		slog.Info("by slog")
		log.Print("by log")
	})
}

func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("deadlock")
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, err := observe.New(&observe.Options{Public: true, JoinSpan: true})
	require.ErrorContains(t, err, "Options.Public")
	for _, host := range []string{"", ".", "http://x", "x:80", "*.x", "user@x", "a b"} {
		_, err := observe.New(&observe.Options{InternalHosts: []string{"fine.example", host}})
		require.ErrorContains(t, err, "Options.InternalHosts[1]", host)
	}
	require.False(t, errors.Is(err, observe.ErrDefaultHandler))

	// All faults are reported together.
	_, err = observe.New(&observe.Options{
		Public: true, JoinSpan: true, Slow: -1, WideEvent: 2, InternalHosts: []string{"a b", "fine.example", "c:1"},
		GuardedFlags: []string{"x", "x", ""}, DebugToken: &observe.DebugToken{Header: "a b", PerSecond: -1, Hosts: []string{"*"}},
		Captures: &shelf{}, Capture: observe.CaptureOptions{MaxBody: -1, Redact: &capture.Redaction{JSON: []string{"x"}}},
		Log: newRig(t, nil).obs.LogHandler(), Level: slog.LevelInfo,
	})
	for _, want := range []string{
		"Options.Public", "Options.Slow", "Options.WideEvent", "Options.InternalHosts[0]", "Options.InternalHosts[2]",
		"Options.GuardedFlags[1]", "Options.GuardedFlags[2]", "Options.DebugToken: keys", "Options.DebugToken.Header", "Options.DebugToken.PerSecond",
		"Options.DebugToken.Hosts[0]", "Options.Capture.MaxBody", "Options.Capture.Redact", "Options.Level",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "fine.example")
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	obs, err := observe.New(noopOptions())
	require.NoError(t, err)
	require.NoError(t, obs.Close())
	require.NoError(t, obs.Close())
}
