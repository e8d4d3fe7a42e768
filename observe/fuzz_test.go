package observe_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/upkeep-go/upkeep/observe"
)

// FuzzRequestID: whatever the header says, the answer carries an id that is safe
// in headers, HTML, JSON and file names, and it is the client's only if that is.
func FuzzRequestID(f *testing.F) {
	for _, id := range []string{"", "a", "req-1", "..", "-x", "a\r\nb: c", "<b>", "\xff", strings.Repeat("x", 129), "A_b.c-9"} {
		f.Add(id, false)
		f.Add(id, true)
	}
	opts := noopOptions()
	var logged strings.Builder
	opts.Log = slog.NewJSONHandler(&logged, nil)
	f.Fuzz(func(t *testing.T, id string, html bool) {
		logged.Reset()
		obs, err := observe.New(opts)
		require.NoError(t, err)
		defer obs.Close()
		h := obs.Handler(panics("boom"))
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Request-Id"] = []string{id}
		if html {
			r.Header.Set("Accept", "text/html")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Header()["X-Request-Id"]
		require.Len(t, got, 1)
		require.Regexp(t, `\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\z`, got[0])
		if got[0] != id {
			require.Len(t, got[0], 26)
			require.NotRegexp(t, `\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\z`, id)
		}
		require.Contains(t, w.Body.String(), got[0])
		if !html {
			require.True(t, json.Valid(w.Body.Bytes()))
		}
		require.Contains(t, logged.String(), `"request_id":"`+got[0]+`"`)
	})
}

var wellFormedParent = regexp.MustCompile(`\A00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]\z`)

// FuzzTraceContext: whatever callers say of their traces, a request is served and has a
// trace; the caller's when that is well-formed and the handler is not public, and never
// when it is.
func FuzzTraceContext(f *testing.F) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, s := range []string{
		"", parent, parent + "-", "01" + parent[2:] + "-more", "ff" + parent[2:], strings.ToUpper(parent), parent[:54], parent[:53] + "ff",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "\xff\x00", " " + parent,
	} {
		f.Add(s, "vendor=value,other@x=1", "tenant=acme;p=1")
	}
	f.Add(parent, strings.Repeat("a=b,", 100), strings.Repeat("a=b,", 1000))
	f.Add(parent, "a=\xff", "=,;%zz, =")
	observer := func(public bool) *observe.Observer {
		opts := noopOptions()
		opts.Public = public
		opts.TracerProvider = sdktrace.NewTracerProvider()
		opts.Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
		obs, err := observe.New(opts)
		require.NoError(f, err)
		return obs
	}
	private, public := observer(false), observer(true)
	f.Fuzz(func(t *testing.T, traceparent, tracestate, baggages string) {
		for _, obs := range []*observe.Observer{private, public} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Traceparent"] = []string{traceparent}
			r.Header["Tracestate"] = []string{tracestate}
			r.Header["Baggage"] = []string{baggages}
			w := httptest.NewRecorder()
			var members int
			obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				members = baggage.FromContext(r.Context()).Len()
				w.WriteHeader(204)
			})).ServeHTTP(w, r)
			require.Equal(t, 204, w.Code)
			require.Regexp(t, `\A00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\z`, w.Header().Get("Traceresponse"))
			trace := w.Header().Get("Traceresponse")[3:35]
			said := wellFormedParent.FindStringSubmatch(traceparent)
			switch {
			case obs == public:
				require.NotContains(t, traceparent, trace)
				require.Zero(t, members)
			case said != nil && strings.Trim(said[1], "0") != "" && strings.Trim(said[2], "0") != "":
				require.Equal(t, said[1], trace)
			}
			require.Zero(t, obs.Stats()["telemetry_panics"])
		}
	})
}

// FuzzRoute: a route is the path of its pattern, valid and bounded, or nothing.
func FuzzRoute(f *testing.F) {
	for _, p := range []string{
		"", "/", "GET /", "GET\t/x/{id}", "h.example/x", "GET h.example/x/{rest...}", "/a b", "GET", "x y z/", " /", "\xff/\xff",
		"/{$}", "GET  /", "/" + strings.Repeat("x", 300), "/" + strings.Repeat("é", 200),
	} {
		f.Add(p)
	}
	opts := noopOptions()
	var routes []string
	opts.Log = routeLog{slog.NewTextHandler(io.Discard, nil), &routes}
	obs, err := observe.New(opts)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, pattern string) {
		routes = nil
		repeated := obs.Stats()["records_repeated"]
		h := obs.Handler(observe.Route(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Pattern = pattern
			w.WriteHeader(500)
		})))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if obs.Stats()["records_repeated"] > repeated {
			return // a record like it was written within the last second
		}
		if len(routes) == 0 {
			require.False(t, strings.HasPrefix(pattern, "/"), "%q has a path", pattern)
			return
		}
		route := routes[0]
		require.True(t, strings.HasPrefix(route, "/"))
		require.True(t, utf8.ValidString(route))
		require.LessOrEqual(t, len(route), 256)
		if utf8.ValidString(pattern) {
			require.Contains(t, pattern, route)
		}
	})
}

// attrsOf makes attributes of any kind out of bytes.
func attrsOf(data *[]byte, depth int) (attrs []slog.Attr) {
	take := func(n int) []byte {
		n = min(n, len(*data))
		b := (*data)[:n]
		*data = (*data)[n:]
		return b
	}
	number := func() uint64 {
		var b [8]byte
		copy(b[:], take(8))
		return binary.LittleEndian.Uint64(b[:])
	}
	// slog's own handlers do not agree about groups whose attributes all say nothing.
	more := slog.Int("n", 1)
	for len(*data) > 0 {
		kind := take(1)[0]
		if kind == 255 {
			break
		}
		key := string(take(int(kind) >> 5))
		var v slog.Value
		switch kind & 31 {
		case 0:
			v = slog.Int64Value(int64(number()))
		case 1:
			v = slog.Uint64Value(number())
		case 2:
			v = slog.Float64Value(math.Float64frombits(number()))
		case 3:
			v = slog.BoolValue(number()%2 == 0)
		case 4:
			v = slog.DurationValue(time.Duration(number()))
		case 5:
			v = slog.TimeValue(time.Unix(int64(number()%(1<<35)), int64(number()%1e9)))
		case 6:
			v = slog.TimeValue(time.Unix(int64(number()%(1<<35)), 0).In(time.FixedZone("", int(int16(number())))))
		case 7:
			v = slog.AnyValue(nil)
		case 8:
			v = slog.AnyValue(take(int(number() % 64)))
		case 9:
			v = slog.AnyValue(errors.New(string(take(int(number() % 64)))))
		case 10:
			v = slog.AnyValue(map[string]any{string(take(3)): number(), "list": []any{nil, true, string(take(5))}})
		case 11:
			v = slog.AnyValue(struct{ A, b any }{string(take(4)), 1})
		case 12:
			v = slog.AnyValue(valuer{string(take(4))})
		case 13:
			if depth < 4 {
				v = slog.GroupValue(append(attrsOf(data, depth+1), more)...)
			}
		case 14:
			if depth < 4 {
				inside := append(attrsOf(data, depth+1), more)
				v = slog.AnyValue(valuer{func() slog.Value { return slog.GroupValue(inside...) }})
			}
		default:
			v = slog.StringValue(string(take(int(kind))))
		}
		attrs = append(attrs, slog.Attr{Key: key, Value: v})
	}
	return attrs
}

// FuzzTail: a record that waited is the record that would have been written at once.
func FuzzTail(f *testing.F) {
	f.Add([]byte("message"), []byte{0x20, 'a', 1, 2, 3, 4, 5, 6, 7, 8, 0x2d, 'g', 0x2f, 'b', 'x', 'y', 255, 0x3f, 'c'}, byte(0))
	f.Add([]byte{}, []byte{13, 14, 12, 'a', 'b'}, byte(1))
	f.Add([]byte("\xff\n"), []byte{0x27, 'k', 0x46, 'k', 'k', 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x2a, 'm'}, byte(2))
	f.Add(make([]byte, 3000), make([]byte, 3000), byte(3))
	line := func(text, kept bool, log func(context.Context, *slog.Logger)) string {
		var buf strings.Builder
		opts := noopOptions()
		opts.Log = slog.NewJSONHandler(&buf, nil)
		if text {
			opts.Log = slog.NewTextHandler(&buf, nil)
		}
		if kept {
			opts.Level = slog.LevelError
		}
		obs, err := observe.New(opts)
		if err != nil {
			panic(err)
		}
		defer obs.Close()
		_ = obs.Do(context.Background(), "job", func(ctx context.Context) error {
			log(ctx, obs.Logger())
			return errors.New("broke")
		})
		return withoutJob(buf.String())
	}
	f.Fuzz(func(t *testing.T, message, data []byte, shape byte) {
		if bytes.Contains(message, []byte("job failed")) {
			t.Skip("withoutJob would take it out")
		}
		given := attrsOf(&data, 0)
		split := int(shape) % (len(given) + 1)
		at := time.Unix(1e9, 0)
		log := func(ctx context.Context, l *slog.Logger) {
			h := l.Handler().WithAttrs(given[:split])
			if shape&1 != 0 {
				h = h.WithGroup("g").WithAttrs(given[:split]).WithGroup("h")
			}
			if !h.Enabled(ctx, slog.LevelInfo) {
				panic("not enabled")
			}
			r := slog.NewRecord(at, slog.LevelInfo, string(message), 0)
			r.AddAttrs(given[split:]...)
			r.AddAttrs(slog.String("request_id", "id"))
			_ = h.Handle(ctx, r)
		}
		for _, text := range []bool{false, true} {
			late := line(text, true, log)
			if text {
				require.Equal(t, 1, strings.Count(late, "\n"))
			} else {
				require.True(t, json.Valid([]byte(late)), late)
			}
			now := line(text, false, log)
			if len(now) > 900 {
				continue // something may be cut
			}
			mark := `,"tail":true`
			if text {
				mark = " tail=true"
			}
			i := strings.LastIndex(late, mark)
			require.GreaterOrEqual(t, i, 0)
			late = late[:i] + late[i+len(mark):]
			require.Equal(t, withoutID(now), withoutID(late))
		}
	})
}

// withoutID takes out the ids that observers make.
func withoutID(line string) string {
	return regexp.MustCompile(`,"request_id":"[0-9A-Z]{26}"| request_id=[0-9A-Z]{26}`).ReplaceAllString(line, "")
}
