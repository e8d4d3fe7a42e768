package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// inJob runs fn in a job that fails when fail is set.
func inJob(t testing.TB, obs *observe.Observer, fail bool, fn func(ctx context.Context)) {
	t.Helper()
	broke := errors.New("broke")
	err := obs.Do(context.Background(), "job", func(ctx context.Context) error {
		fn(ctx)
		if fail {
			return broke
		}
		return nil
	})
	if fail {
		require.Equal(t, broke, err)
	} else {
		require.NoError(t, err)
	}
}

func TestTailOfAFailedRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		logger := k.obs.Logger().With("service", "shop").WithGroup("cart")
		var fail bool
		mux := http.NewServeMux()
		mux.HandleFunc("/pay", func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			logger.DebugContext(ctx, "first", "items", 3)
			time.Sleep(time.Second)
			logger.InfoContext(ctx, "at once")
			time.Sleep(time.Second)
			inner, span := k.tracers.Tracer("t").Start(ctx, "inner")
			logger.DebugContext(inner, "second")
			span.End()
			logger.Log(ctx, slog.LevelDebug-1, "below the tail")
			if fail {
				w.WriteHeader(500)
			}
		})
		service := k.obs.Handler(observe.Route(mux))
		k.serve(service, "GET", "/pay")
		require.Len(t, k.logs.lines(t), 1, "nobody wants to know")

		fail = true
		start := time.Now()
		k.serve(service, "GET", "/pay", "X-Request-Id", "req-1")
		lines := k.logs.lines(t)[1:]
		spans := k.spans.Ended()[2:]
		require.Len(t, lines, 4)
		span := func(i int) string { return spans[i].SpanContext().SpanID().String() }
		for i, want := range []struct {
			msg, level, span string
			after            time.Duration
			tail             any
			cart             map[string]any
		}{
			{"at once", "INFO", span(1), time.Second, nil, nil},
			{"first", "DEBUG", span(1), 0, true, map[string]any{"items": 3.0}},
			{"second", "DEBUG", span(0), 2 * time.Second, true, nil},
			{"request failed", "ERROR", span(1), 2 * time.Second, nil, nil},
		} {
			line := lines[i]
			require.Equal(t, want.msg, line["msg"])
			require.Equal(t, want.level, line["level"])
			require.Equal(t, want.tail, line["tail"])
			require.Equal(t, "req-1", line["request_id"])
			require.Equal(t, want.span, line["span_id"])
			require.Equal(t, spans[1].SpanContext().TraceID().String(), line["trace_id"])
			at, err := time.Parse(time.RFC3339Nano, line["time"].(string))
			require.NoError(t, err)
			require.True(t, start.Add(want.after).Equal(at), want.msg)
			if i < 3 {
				require.Equal(t, "shop", line["service"])
			}
			if want.cart != nil {
				require.Equal(t, want.cart, line["cart"])
			}
		}
		stats := k.obs.Stats()
		require.Equal(t, []float64{2, 0, 0, 0}, []float64{
			stats["tail_written"], stats["tail_dropped"], stats["tail_late"], stats["tail_bytes"],
		})
	})
}

// The tail is written for every reason to report a request.
func TestTailTriggers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  bool
	}{
		"ok":      {func(http.ResponseWriter, *http.Request) {}, false},
		"404":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, false},
		"refused": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "1"); w.WriteHeader(503) }, false},
		"aborted": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		"503":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, true},
		"panic":   {func(http.ResponseWriter, *http.Request) { panic("boom") }, true},
		"Fail":    {func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), errors.New("broke")) }, true},
		"slow":    {func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newRig(t, func(o *observe.Options) { o.Slow = time.Second })
				h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					k.obs.Logger().DebugContext(r.Context(), "kept")
					c.serve(w, r)
				}))
				for range 5 { // the limiter lets three of them through
					func() {
						defer func() { _ = recover() }()
						k.serve(h, "GET", "/")
					}()
				}
				want := 0
				if c.want {
					want = 3
				}
				require.Equal(t, want, strings.Count(k.logs.String(), `"msg":"kept"`))
				require.Zero(t, k.obs.Stats()["tail_bytes"])
			})
		})
	}
}

// bridge is a handler like otelslog's: it converts a record by the kinds of its values, and
// takes the trace from the context.
type bridge struct {
	out   *[]map[string]any
	attrs map[string]any
	path  []string
}

func (h bridge) Enabled(context.Context, slog.Level) bool { return true }

func (h bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = h.add(attrs...)
	return h
}

func (h bridge) WithGroup(name string) slog.Handler {
	if name != "" {
		h.path = append(h.path[:len(h.path):len(h.path)], name)
	}
	return h
}

func (h bridge) Handle(_ context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	m := h.add(attrs...)
	m["msg"], m["level"] = r.Message, r.Level.String()
	if !r.Time.IsZero() {
		m["time"] = r.Time.String()
	}
	*h.out = append(*h.out, m)
	return nil
}

func (h bridge) add(attrs ...slog.Attr) map[string]any {
	all := deepCopy(h.attrs)
	into := all
	if len(attrs) > 0 {
		for _, name := range h.path {
			if _, ok := into[name]; !ok {
				into[name] = map[string]any{}
			}
			into = into[name].(map[string]any)
		}
	}
	addTo(into, attrs)
	return all
}

func addTo(m map[string]any, attrs []slog.Attr) {
	for _, a := range attrs {
		v := a.Value.Resolve()
		switch {
		case a.Equal(slog.Attr{}):
		case v.Kind() == slog.KindGroup && a.Key == "":
			addTo(m, v.Group())
		case v.Kind() == slog.KindGroup:
			inside := map[string]any{}
			if addTo(inside, v.Group()); len(inside) > 0 {
				m[a.Key] = inside
			}
		default:
			m[a.Key] = v.Any()
		}
	}
}

func deepCopy(m map[string]any) map[string]any {
	c := map[string]any{}
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			v = deepCopy(inner)
		}
		c[k] = v
	}
	return c
}

// parseText reads one line of a slog.TextHandler, with values without spaces.
func parseText(t *testing.T, line string) map[string]any {
	m := map[string]any{}
	for field := range strings.FieldsSeq(line) {
		key, value, ok := strings.Cut(field, "=")
		require.True(t, ok, field)
		path, at := strings.Split(key, "."), m
		for _, name := range path[:len(path)-1] {
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			at = at[name].(map[string]any)
		}
		at[path[len(path)-1]] = value
	}
	return m
}

// Records that waited pass slog's own test, with each handler.
func TestTailConforms(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	var bridged []map[string]any
	for name, c := range map[string]struct {
		handler func() slog.Handler
		result  func(t *testing.T) map[string]any
	}{
		"JSON": {
			func() slog.Handler { return slog.NewJSONHandler(&buf, nil) },
			func(t *testing.T) (m map[string]any) {
				require.NoError(t, json.Unmarshal([]byte(withoutJob(buf.String())), &m))
				return m
			},
		},
		"text": {
			func() slog.Handler { return slog.NewTextHandler(&buf, nil) },
			func(t *testing.T) map[string]any { return parseText(t, withoutJob(buf.String())) },
		},
		"bridge": {
			func() slog.Handler { return bridge{out: &bridged} },
			func(t *testing.T) map[string]any {
				require.Len(t, bridged, 2, "the record of the job is the second")
				return bridged[0]
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			end := make(chan bool)
			var job sync.WaitGroup
			slogtest.Run(t, func(t *testing.T) slog.Handler {
				buf.Reset()
				bridged = nil
				k := newRig(t, func(o *observe.Options) { o.Log, o.Level = c.handler(), slog.LevelError })
				started := make(chan context.Context)
				job.Go(func() {
					inJob(t, k.obs, true, func(ctx context.Context) {
						started <- ctx
						<-end
					})
				})
				return withContext{k.obs.LogHandler(), <-started}
			}, func(t *testing.T) map[string]any {
				require.Zero(t, buf.Len()+len(bridged))
				end <- true
				job.Wait()
				m := c.result(t)
				require.Contains(t, []any{true, "true"}, m["tail"])
				require.NotEmpty(t, m["request_id"])
				require.NotEmpty(t, m["trace_id"])
				return m
			})
		})
	}
}

type valuer struct{ v any }

func (v valuer) LogValue() slog.Value {
	if f, ok := v.v.(func() slog.Value); ok {
		return f()
	}
	return slog.AnyValue(v.v)
}

type marshaler struct{ f func() string }

func (m marshaler) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, m.f()), nil }
func (m marshaler) MarshalText() ([]byte, error) { return []byte(m.f()), nil }

// A record that is written late is the same as one that is written at once.
func TestTailValues(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("X", 5400)
	values := []any{
		nil, true, false, 0, -1, math.MinInt64, uint64(math.MaxUint64), 0.5, math.Inf(1), 1e300, "", "text \"quoted\"\n", "\xff",
		time.Second, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, zone), time.Unix(1e9, 7),
		time.Time{},
		errors.New("an error"), fmt.Errorf("wrapped: %w", io.EOF), []byte("bytes"), net.IPv4(10, 0, 0, 1),
		[]int{1, 2},
		map[string]any{"b": 1, "a": []string{"<x>"}},
		struct {
			A int
			b string
		}{1, "x"},
		&struct{ A *int }{}, json.Number("12"), json.RawMessage(`{"raw":[1]}`),
		marshaler{func() string { return "m" }},
		valuer{"resolved"},
		valuer{valuer{7}},
		valuer{func() slog.Value { return slog.GroupValue(slog.Int("in", 1), slog.Any("v", valuer{2})) }},
		slog.GroupValue(), slog.GroupValue(slog.Group("deep", slog.Group("er", slog.Bool("x", true)))), slog.LevelWarn, new(int) == nil,
	}
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, &slog.HandlerOptions{AddSource: true}) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, &slog.HandlerOptions{AddSource: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				line := func(kept bool, log func(context.Context, *slog.Logger)) string {
					var buf bytes.Buffer
					k := newRig(t, func(o *observe.Options) {
						o.Log = handler(&buf)
						if kept {
							o.Level = slog.LevelError
						}
					})
					inJob(t, k.obs, true, func(ctx context.Context) { log(ctx, k.obs.Logger()) })
					for _, id := range []string{"request_id", "trace_id", "span_id"} {
						before, after, ok := strings.Cut(withoutJob(buf.String()), id)
						require.True(t, ok)
						i := strings.IndexAny(after, " ,}\n")
						rest := after[i:]
						buf.Reset()
						buf.WriteString(before + rest)
					}
					return buf.String()
				}
				for i, v := range values {
					log := func(ctx context.Context, l *slog.Logger) {
						l = l.With("with", v, slog.Group("", slog.Any("inline", v))).WithGroup("g").With("inside", v).WithGroup("h")
						l.InfoContext(ctx, "message", "v", v, slog.Group("group", "v", v))
					}
					now := line(false, log)
					late := line(true, log)
					mark := map[string]string{"JSON": `,"tail":true`, "text": " tail=true"}[name]
					require.Equal(t, 1, strings.Count(late, mark))
					require.Equal(t, now, strings.Replace(late, mark, "", 1), "%d: %T", i, v)
				}
			})
		})
	}
}

// A value is what it was when it was logged, and may be changed while the tail waits.
func TestTailRendersOnArrival(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	m := map[string]int{"n": 1}
	calls := 0
	v := valuer{func() slog.Value { calls++; return slog.IntValue(calls) }}
	inJob(t, k.obs, true, func(ctx context.Context) {
		k.obs.Logger().WithGroup("g").With("with", m).DebugContext(ctx, "kept", "map", m, "valuer", v)
		m["n"] = 2
		require.Equal(t, 1, calls)
	})
	require.Equal(t, map[string]any{"with": map[string]any{"n": 1.0}, "map": map[string]any{"n": 1.0}, "valuer": 1.0}, k.logs.kept(t)[0]["g"])
	require.Equal(t, 1, calls)
}

func TestTailSurvivesHostileValues(t *testing.T) {
	t.Parallel()
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	var endless func() slog.Value
	endless = func() slog.Value { return slog.GroupValue(slog.Any("again", valuer{endless})) }
	for name, v := range map[string]any{
		"cyclic": cyclic, "endless": valuer{endless}, "chan": make(chan int), "func": func() {},
		"panics":         valuer{func() slog.Value { panic("boom") }},
		"panics as JSON": marshaler{func() string { panic("boom") }},
		"nil error":      (*net.OpError)(nil), "huge": strings.Repeat("é", 1<<20), "huge slice": make([]int, 1<<16),
		"wide": valuer{func() slog.Value { return slog.GroupValue(make([]slog.Attr, 10000)...) }},
		"wider": valuer{func() slog.Value {
			attrs := make([]slog.Attr, 10000)
			for i := range attrs {
				attrs[i] = slog.Int("n", i)
			}
			return slog.GroupValue(attrs...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			inJob(t, k.obs, true, func(ctx context.Context) {
				logger := k.obs.Logger()
				if name != "endless" && name != "cyclic" { // slog's own JSONHandler does not survive those
					logger = logger.With("with", v)
				}
				logger.DebugContext(ctx, "kept", "v", v, "after", 1)
				require.LessOrEqual(t, k.obs.Stats()["tail_bytes"], 4096.0)
			})
			line := k.logs.kept(t)[0]
			require.Equal(t, "kept", line["msg"])
			require.Equal(t, 1.0, line["after"])
			if name == "wider" {
				require.Equal(t, 2.0, line["attrs_left"])
			}
		})
	}
}

func TestTailCutsRecords(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	long := strings.Repeat("x", 10000)
	inJob(t, k.obs, true, func(ctx context.Context) {
		k.obs.Logger().DebugContext(ctx, long, "a", long, "b", long, "c", long, "d", 1)
		groups := k.obs.Logger()
		for range 500 {
			groups = groups.WithGroup("group")
		}
		groups.DebugContext(ctx, "under too many groups")
	})
	line := k.logs.kept(t)[0]
	require.Len(t, k.logs.kept(t), 1)
	require.Len(t, line["msg"], 1024)
	require.Len(t, line["a"], 1024)
	require.Len(t, line["b"], 1024)
	require.NotContains(t, line, "c")
	require.Equal(t, 1.0, line["d"])
	require.Equal(t, 1.0, line["attrs_left"])
	require.Equal(t, 1.0, k.logs.lines(t)[1]["tail_dropped"])
}

func TestTailOfOneRequestIsBounded(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 1000 {
			k.obs.Logger().DebugContext(r.Context(), "kept", "i", i, "text", strings.Repeat("x", 100))
			require.LessOrEqual(t, k.obs.Stats()["tail_bytes"], float64(20<<10))
		}
		w.WriteHeader(500)
	})), "GET", "/")
	lines := k.logs.lines(t)
	n := len(lines) - 1
	require.InDelta(t, 120, n, 30)
	for i, line := range lines[:n] {
		require.Equal(t, float64(1000-n+i), line["i"], "the newest stay, in order")
	}
	require.Equal(t, float64(1000-n), lines[n]["tail_dropped"])
	require.Equal(t, float64(1000-n), k.obs.Stats()["tail_dropped"])
}

// Records without room count as dropped only if the request is reported. Other requests drop
// theirs anyway.
func TestTailDroppedIsOfThoseThatAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testTailDropped)
}

func testTailDropped(t *testing.T) {
	k := newRig(t, nil)
	var serve func(ctx context.Context)
	var fail bool
	h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve(r.Context())
		if fail {
			w.WriteHeader(500)
		}
	}))
	groups := k.obs.Logger()
	for range 500 {
		groups = groups.WithGroup("group")
	}
	many := func(ctx context.Context) {
		for range 1000 {
			k.obs.Logger().DebugContext(ctx, "kept", "text", strings.Repeat("x", 100))
		}
		groups.DebugContext(ctx, "under too many groups")
	}
	inAJob := func(ctx context.Context) {
		require.NoError(t, k.obs.Do(ctx, "outer", func(ctx context.Context) error {
			return k.obs.Do(ctx, "inner", func(ctx context.Context) error {
				many(ctx)
				return nil
			})
		}))
	}
	for _, serve = range []func(context.Context){many, inAJob} {
		k.serve(h, "GET", "/")
	}
	inJob(t, k.obs, false, many)
	require.Zero(t, k.obs.Stats()["tail_dropped"])
	require.NoError(t, k.obs.Health().Err())
	require.Empty(t, k.obs.Health().Dropped)

	fail = true
	lost := 0.0
	for _, serve = range []func(context.Context){many, inAJob, func(ctx context.Context) { groups.DebugContext(ctx, "under too many groups") }} {
		before := len(k.logs.lines(t))
		time.Sleep(time.Second) // so that each has a record
		k.serve(h, "GET", "/")
		lines := k.logs.lines(t)[before:]
		dropped, ok := lines[len(lines)-1]["tail_dropped"].(float64)
		require.True(t, ok)
		if len(lines) > 1 {
			require.Equal(t, 1001.0, float64(len(lines)-1)+dropped, "each is written or said to be dropped")
		} else {
			require.Equal(t, 1.0, dropped)
		}
		lost += dropped
		require.Equal(t, lost, k.obs.Stats()["tail_dropped"])
	}
	require.Equal(t, observe.StatusDegraded, k.obs.Health().Status)

	serve = many
	k.serve(h, "GET", "/")
	require.Equal(t, 1.0, k.obs.Stats()["details_suppressed"])
	require.Equal(t, lost, k.obs.Stats()["tail_dropped"], "a request that may not be reported has lost all its records, and they are counted")
}

// Each record of a request that is reported is written or counted, at any time.
func TestTailCountsEachRecord(t *testing.T) {
	t.Parallel()
	for range 20 {
		k := newRig(t, nil)
		groups := k.obs.Logger()
		for range 500 {
			groups = groups.WithGroup("group")
		}
		const goroutines, each = 8, 100
		var all sync.WaitGroup
		started := make(chan bool)
		inJob(t, k.obs, true, func(ctx context.Context) {
			for range goroutines {
				all.Go(func() {
					for i := range each {
						switch i {
						case each / 4:
							started <- true
						case each / 2:
							groups.DebugContext(ctx, "under too many groups")
							continue
						}
						k.obs.Logger().DebugContext(ctx, "kept", "text", strings.Repeat("x", 100))
					}
				})
			}
			for range goroutines {
				<-started
			}
		})
		all.Wait()
		stats := k.obs.Stats()
		require.Equal(t, goroutines*each, len(k.logs.kept(t))+int(stats["tail_dropped"]+stats["tail_late"]))
		require.Zero(t, stats["tail_bytes"])
	}
}

// TestTailsOfAllRequestsAreBounded opens more requests than the budget has room for.
func TestTailsOfAllRequestsAreBounded(t *testing.T) {
	t.Parallel()
	const requests = 1200 // of 20 KiB each: 23 MiB, where 16 MiB is the bound
	k := newRig(t, nil)
	mux := http.NewServeMux()
	var logged, done sync.WaitGroup
	end := make([]chan int, requests)
	serve := func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.Header.Get("X-Request-Id"))
		require.NoError(t, err)
		for n := range 150 {
			k.obs.Logger().DebugContext(r.Context(), "kept", "n", n, "text", strings.Repeat("x", 100))
		}
		logged.Done()
		w.WriteHeader(<-end[i])
	}
	mux.HandleFunc("/first", serve)
	mux.HandleFunc("/", serve)
	service := k.obs.Handler(observe.Route(mux))
	start := func(i int, path string) {
		end[i] = make(chan int, 1)
		logged.Add(1)
		done.Go(func() { k.serve(service, "GET", path, "X-Request-Id", fmt.Sprint(i)) })
		logged.Wait()
	}
	start(0, "/first")
	for i := 1; i < requests; i++ {
		start(i, "/")
	}
	require.LessOrEqual(t, k.obs.Stats()["tail_bytes"], float64(16<<20))
	require.Greater(t, k.obs.Stats()["tail_bytes"], float64(15<<20))
	for i := range requests {
		switch i {
		case 0, 100, requests - 1:
			end[i] <- 500 + i%3
		default:
			end[i] <- 200
		}
	}
	done.Wait()
	kept := map[any]int{}
	lost := 0.0
	for _, line := range k.logs.lines(t) {
		if line["tail"] == true {
			kept[line["request_id"]]++
		} else if n, ok := line["tail_dropped"].(float64); ok {
			lost += n
		}
	}
	require.GreaterOrEqual(t, lost, 150.0)
	require.Equal(t, lost, k.obs.Stats()["tail_dropped"], "what gave way of those that ended well is no loss")
	require.Greater(t, kept["0"], 100, "the first of a route stays")
	require.Zero(t, kept["100"], "the oldest give way")
	require.Greater(t, kept[fmt.Sprint(requests-1)], 100)
	require.Zero(t, k.obs.Stats()["tail_bytes"])
}

// Records that goroutines log after their request are written if it was reported, and
// otherwise counted.
func TestTailAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]bool{"reported": true, "quiet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			var left context.Context
			inJob(t, k.obs, fail, func(ctx context.Context) { left = ctx })
			for range 1000 {
				k.obs.Logger().DebugContext(left, "late", "text", strings.Repeat("x", 100))
			}
			k.obs.Logger().InfoContext(left, "at once")
			lines := k.logs.kept(t)
			atOnce := lines[len(lines)-1]
			require.Equal(t, []any{"at once", nil, nil}, []any{atOnce["msg"], atOnce["tail"], atOnce["late"]})
			if !fail {
				require.Len(t, lines, 1)
				require.Equal(t, 1000.0, k.obs.Stats()["tail_late"])
				return
			}
			require.InDelta(t, 150, len(lines), 30, "as many as a tail has room for")
			require.Equal(t, []any{true, true}, []any{lines[0]["tail"], lines[0]["late"]})
			require.Equal(t, float64(1000-(len(lines)-1)), k.obs.Stats()["tail_late"])
		})
	}
}

// A job inside a request hands its records on when it ends well.
func TestTailOfAJobInARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		logger := k.obs.Logger()
		k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			logger.DebugContext(r.Context(), "1 before")
			_ = k.obs.Do(r.Context(), "outer", func(ctx context.Context) error {
				time.Sleep(time.Second)
				logger.DebugContext(ctx, "2 in a job")
				return k.obs.Do(ctx, "inner", func(inner context.Context) error {
					time.Sleep(time.Second)
					logger.DebugContext(inner, "3 in a job in a job")
					time.Sleep(time.Second)
					logger.DebugContext(ctx, "4 beside it")
					return nil
				})
			})
			_ = k.obs.Do(r.Context(), "failing", func(ctx context.Context) error {
				time.Sleep(time.Second)
				logger.DebugContext(ctx, "0 written at once by the job")
				return errors.New("broke")
			})
			time.Sleep(time.Second)
			logger.DebugContext(r.Context(), "5 after")
			w.WriteHeader(500)
		})), "GET", "/")
		var messages []any
		spans := map[any]any{}
		for _, line := range k.logs.lines(t) {
			messages = append(messages, line["msg"])
			spans[line["msg"]] = line["span_id"]
		}
		require.Equal(t, []any{
			"0 written at once by the job", "job failed", "1 before", "2 in a job", "3 in a job in a job", "4 beside it", "5 after", "request failed",
		}, messages)
		require.Equal(t, spans["2 in a job"], spans["4 beside it"])
		require.NotEqual(t, spans["2 in a job"], spans["3 in a job in a job"])
		require.NotEqual(t, spans["1 before"], spans["2 in a job"])
		require.Equal(t, spans["1 before"], spans["request failed"])
		require.Zero(t, k.obs.Stats()["tail_bytes"])
	})
}

// The record of a job says what was not reported before: in full, or at all.
func TestTailOfAJobSaysWhatWasSuppressed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		for i := range 6 {
			if i == 5 {
				time.Sleep(time.Minute)
			}
			inJob(t, k.obs, true, func(ctx context.Context) {
				k.obs.Logger().DebugContext(ctx, "one")
				k.obs.Logger().DebugContext(ctx, "two")
			})
		}
		lines := k.logs.lines(t)
		require.Len(t, lines, 10)
		require.Equal(t, "job failed", lines[2]["msg"])
		require.Equal(t, []any{"job failed", 4.0, 2.0}, []any{lines[9]["msg"], lines[9]["repeated"], lines[9]["suppressed"]})
	})
}

// Levels may change while requests run.
func TestTailLevels(t *testing.T) {
	t.Parallel()
	var level, tail slog.LevelVar
	var buf logBuffer
	k := newRig(t, func(o *observe.Options) {
		// A MultiHandler looks at the levels of its handlers again.
		o.Log = slog.NewMultiHandler(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Level, o.TailLevel = &level, &tail
	})
	inJob(t, k.obs, true, func(ctx context.Context) {
		logger, h := k.obs.Logger(), k.obs.LogHandler()
		level.Set(slog.LevelWarn)
		require.True(t, h.Enabled(ctx, slog.LevelInfo))
		require.False(t, h.Enabled(context.Background(), slog.LevelInfo))
		require.False(t, h.Enabled(ctx, slog.LevelDebug))
		logger.InfoContext(ctx, "kept")
		logger.DebugContext(ctx, "neither")
		tail.Set(slog.LevelDebug)
		logger.DebugContext(ctx, "kept too")
		level.Set(slog.LevelDebug)
		logger.DebugContext(ctx, "written")
		level.Set(slog.LevelError)
		tail.Set(slog.Level(math.MaxInt))
		logger.WarnContext(ctx, "off")
	})
	var messages []any
	for _, line := range buf.lines(t) {
		messages = append(messages, line["msg"])
	}
	require.Equal(t, []any{"written", "kept", "kept too", "job failed"}, messages)

	_, err := observe.New(&observe.Options{Log: k.obs.LogHandler(), Level: slog.LevelInfo})
	require.ErrorContains(t, err, "Options.Level")
}

// A broken tracer does not lose records or leak memory.
func TestTailSurvivesBrokenTelemetry(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.TracerProvider = brokenTracers{} })
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.obs.Logger().DebugContext(r.Context(), "kept")
		w.WriteHeader(500)
	})), "GET", "/")
	inJob(t, k.obs, true, func(ctx context.Context) { k.obs.Logger().DebugContext(ctx, "kept") })
	lines := k.logs.lines(t)
	require.Len(t, lines, 4)
	require.Equal(t, "request failed", lines[1]["msg"])
	require.Equal(t, "job failed", lines[3]["msg"])
	require.Zero(t, k.obs.Stats()["tail_bytes"])
	require.NotZero(t, k.obs.Stats()["telemetry_panics"])
}

// panicLog panics when it writes what waited.
type panicLog struct{ slog.Handler }

func (panicLog) Handle(context.Context, slog.Record) error { panic("disk") }

func TestTailSurvivesABrokenHandler(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.Log = panicLog{o.Log} })
	w := k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.obs.Logger().DebugContext(r.Context(), "kept")
		k.obs.Logger().DebugContext(r.Context(), "kept")
		w.WriteHeader(500)
	})), "GET", "/")
	require.Equal(t, 500, w.Code)
	require.Equal(t, 3.0, k.obs.Stats()["telemetry_panics"])
	require.Zero(t, k.obs.Stats()["tail_bytes"])
}

// Many goroutines log into many requests, and some of these end meanwhile.
func TestTailFromManyGoroutines(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	var all, requests sync.WaitGroup
	const perGoroutine = 50
	contexts := make(chan context.Context)
	for range 100 {
		all.Go(func() {
			ctx := <-contexts
			for i := range perGoroutine {
				k.obs.Logger().DebugContext(ctx, "kept", "i", i, "map", map[string]int{"i": i})
				if i%10 == 0 {
					_ = k.obs.Do(ctx, "inner", func(ctx context.Context) error {
						k.obs.Logger().DebugContext(ctx, "kept inside")
						return nil
					})
				}
			}
		})
	}
	for i := range 20 {
		requests.Go(func() {
			inJob(t, k.obs, i%2 == 0, func(ctx context.Context) {
				for range 5 {
					contexts <- ctx
				}
				runtime.Gosched()
			})
		})
	}
	requests.Wait()
	all.Wait()
	k.logs.lines(t) // are all whole
	require.Zero(t, k.obs.Stats()["tail_bytes"])
	stats := k.obs.Stats()
	require.LessOrEqual(t, stats["tail_written"]+stats["tail_dropped"]+stats["tail_late"], 100.0*(perGoroutine+perGoroutine/10))
}

// What the tails of 10,000 open requests take is what is stated, and some more for
// the requests themselves.
func TestTailMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes memory")
	}
	opts := noopOptions()
	obs, err := observe.New(opts)
	require.NoError(t, err)
	const requests = 10000
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	measure := func(log bool) int64 {
		before := heap()
		release := make(chan struct{})
		var started, ended sync.WaitGroup
		started.Add(requests)
		for range requests {
			ended.Go(func() {
				_ = obs.Do(context.Background(), "job", func(ctx context.Context) error {
					if log {
						for range 40 {
							obs.Logger().DebugContext(ctx, "kept", "text", strings.Repeat("x", 500))
						}
					}
					started.Done()
					<-release
					return nil
				})
			})
		}
		started.Wait()
		took := heap() - before
		close(release)
		ended.Wait()
		return took
	}
	quiet := measure(false)
	loud := measure(true)
	require.InDelta(t, 16<<20, loud-quiet, 5<<20)
	require.Zero(t, obs.Stats()["tail_bytes"])
}
