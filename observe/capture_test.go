package observe_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// shelf is a store in memory. Its Put may be made to wait, fail or panic.
type shelf struct {
	mu    sync.Mutex
	files map[string][]byte
	put   func(ctx context.Context) error
}

func (s *shelf) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
func (s *shelf) Remove(context.Context, string) error { return fs.ErrNotExist }

func (s *shelf) Put(ctx context.Context, name string, data []byte) error {
	if s.put != nil {
		if err := s.put(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	s.files[name] = data
	return nil
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.files)
}

// bundle closes the observer, which writes what waits, and returns the one bundle.
func (s *shelf) bundle(t *testing.T, k *rig) *capture.Bundle {
	t.Helper()
	require.NoError(t, k.obs.Close())
	require.Equal(t, 1, s.count())
	for name, data := range s.files {
		b, err := capture.Parse(name, data)
		require.NoError(t, err)
		return b
	}
	panic("unreachable")
}

// open allows all that can be allowed, so that tests see what was recorded.
func openRules() *capture.Redaction {
	return &capture.Redaction{
		Key: []byte("0123456789abcdef"), Headers: []string{"Content-Type", "X-Tenant", "X-Answer", "X-Price", "Accept"}, Fields: []string{"q", "cart", "user", "group.user", "n"},
		JSON: []string{"$"}, URLs: []string{"127.0.0.1/prices"}, Flags: []string{"limits", "notice"}, Values: []string{"v"}, Words: true,
	}
}

func captureRig(t *testing.T, change func(*observe.Options)) (*rig, *shelf) {
	t.Helper()
	s := &shelf{}
	k := newRig(t, func(o *observe.Options) {
		o.Captures, o.Capture = s, observe.CaptureOptions{Redact: openRules(), Build: "shop v1"}
		if change != nil {
			change(o)
		}
	})
	return k, s
}

// A bundle has all that a request was made of.
func TestCapture(t *testing.T) {
	t.Parallel()
	prices := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Price", r.URL.Query().Get("q"))
		fmt.Fprintf(w, `{"sent":%q}`, body)
	}))
	defer prices.Close()
	k, s := captureRig(t, nil)
	client := &http.Client{Transport: k.obs.Transport(&http.Transport{DisableKeepAlives: true})}
	flags := isolated.NewAPI()
	defer func() { require.NoError(t, flags.Shutdown(context.Background())) }()
	require.NoError(t, flags.SetProviderAndWait(t.Context(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"new-checkout": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true}},
		"limits":       {State: memprovider.Enabled, DefaultVariant: "all", Variants: map[string]any{"all": map[string]any{"items": 3}}},
	})))
	evaluator := flags.NewClient()
	evaluator.AddHooks(k.obs.FlagHook())

	mux := http.NewServeMux()
	mux.HandleFunc("POST /carts/{cart}", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		log := k.obs.Logger().With("user", "ann")
		log.DebugContext(ctx, "began")
		ann := openfeature.NewEvaluationContext("ann", nil)
		for range 2 {
			evaluator.Boolean(ctx, "new-checkout", false, ann)
		}
		evaluator.Object(ctx, "limits", nil, ann)
		evaluator.String(ctx, "missing", "none", ann)
		body, _ := io.ReadAll(r.Body)
		for i, method := range []string{"POST", "PUT"} {
			var sent io.Reader = bytes.NewReader(body)
			if i == 1 {
				sent = io.MultiReader(sent) // no second copy of it can be had
			}
			req, _ := http.NewRequestWithContext(ctx, method, prices.URL+"/prices?q=tea", sent)
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:1/", nil)
		if _, err := client.Do(req); err == nil {
			t.Error("port 1 answers")
		}
		_, _ = observe.Value(ctx, "v", func(context.Context) (int, error) { return 42, nil })
		log.WithGroup("group").WarnContext(ctx, "going", "user", "bob", "n", 1.5, "d", time.Second, "at", time.Unix(0, 0), "any", map[string]int{"n": 1}, slog.Group("g", "n", 2))
		w.Header().Set("X-Answer", "42")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(502)
		w.Header().Set("X-Answer", "too late")
		_, _ = io.WriteString(w, "broken")
	})
	srv := k.server(k.obs.Handler(observe.Route(mux)), false)
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/carts/7?q=x", strings.NewReader(`{"item": "tea"}`))
	require.NoError(t, err)
	for name, value := range map[string]string{"Content-Type": "application/json", "X-Tenant": "acme", "X-Request-Id": "ticket-4711-4711-4711", "Authorization": "Bearer secret"} {
		req.Header.Set(name, value)
	}
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()

	b := s.bundle(t, k)
	d := b.Log.Details
	require.Equal(t, "ticket-4711-4711-4711", d.RequestID)
	require.Equal(t, k.spans.Ended()[0].SpanContext().TraceID().String(), d.TraceID)
	require.Equal(t, []any{1, "/carts/{cart}", capture.ReasonFailed, 502, "shop v1", runtime.Version()}, []any{d.Schema, d.Route, d.Reason, d.Status, d.Build, d.Go})
	require.Zero(t, d.Dropped)

	require.Len(t, b.Log.Entries, 4)
	in := b.Log.Entries[0]
	require.Equal(t, "POST", in.Request.Method)
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/carts/7\?q=x$`, in.Request.URL)
	require.Equal(t, "HTTP/1.1", in.Request.HTTPVersion)
	require.Contains(t, in.Request.Headers, har.NameValue{Name: "X-Tenant", Value: "acme"})
	require.JSONEq(t, `{"item":"tea"}`, in.Request.PostData.Text)
	require.Equal(t, &capture.Body{Kind: capture.KindJSON, Bytes: 15}, in.Exchange.RequestBody)
	require.Equal(t, 502, in.Response.Status)
	require.Contains(t, in.Response.Headers, har.NameValue{Name: "X-Answer", Value: "42"})
	require.Equal(t, int64(6), in.Response.Content.Size)
	require.Positive(t, in.Time)
	require.WithinDuration(t, time.Now(), in.Started, time.Minute)
	for i, method := range []string{"POST", "PUT"} {
		out := b.Log.Entries[1+i]
		require.Equal(t, method, out.Request.Method)
		require.Regexp(t, `^http://127\.0\.0\.1:\d+/prices\?q=tea$`, out.Request.URL)
		require.Equal(t, `{"item": "tea"}`, out.Request.PostData.Text)
		require.Equal(t, 200, out.Response.Status)
		require.Contains(t, out.Response.Headers, har.NameValue{Name: "X-Price", Value: "tea"})
		require.JSONEq(t, `{"sent":"{\"item\": \"tea\"}"}`, out.Response.Content.Text)
		require.False(t, out.Exchange.Incomplete)
	}
	refused := b.Log.Entries[3]
	require.Zero(t, refused.Response.Status)
	require.NotEmpty(t, refused.Exchange.Error)
	require.Equal(t, "connection refused", refused.Exchange.Error[len(refused.Exchange.Error)-1])

	require.Equal(t, []capture.Value{{Name: "v", Result: json.RawMessage("42")}}, d.Values)
	require.Len(t, d.Flags, 3)
	require.Equal(t, []string{"new-checkout", "bool", "true", "on", "STATIC", "InMemoryProvider"},
		[]string{d.Flags[0].Key, string(d.Flags[0].Type), string(d.Flags[0].Value), d.Flags[0].Variant, d.Flags[0].Reason, d.Flags[0].Provider})
	require.Regexp(t, `^[a-z]{3}$`, d.Flags[0].Targeting)
	require.JSONEq(t, `{"items":3}`, string(d.Flags[1].Value))
	require.Equal(t, []string{"missing", "string", "FLAG_NOT_FOUND"}, []string{d.Flags[2].Key, string(d.Flags[2].Type), d.Flags[2].ErrorCode})

	require.Len(t, d.Logs, 2)
	require.Equal(t, []string{"DEBUG", "began", `{"user":"ann"}`}, []string{d.Logs[0].Level, d.Logs[0].Message, compact(t, d.Logs[0].Attrs)})
	require.Regexp(t, `^\S+TestCapture\S+ capture_test\.go:\d+$`, d.Logs[0].Source)
	require.Equal(t, "WARN", d.Logs[1].Level)
	require.Regexp(t, `^\{"user":"ann","group":\{"user":"bob","n":\d\.\d,"d":"\w+","at":"[^"]+","any":\{"n":\d\},"g":\{"n":\d\}\}\}$`, compact(t, d.Logs[1].Attrs))

	line := k.logs.lines(t)
	require.Equal(t, "request failed", line[len(line)-1]["msg"])
	_, known := s.files[line[len(line)-1]["capture"].(string)]
	require.True(t, known, "the record says which bundle")
	stats := k.obs.Stats()
	require.Equal(t, []float64{1, 0, 0, 0, 0}, []float64{
		stats["captures_written"], stats["captures_dropped"], stats["captures_failed"], stats["captures_queued"], stats["captures_queued_bytes"],
	})
	require.Zero(t, observe.Held(k.obs))
}

func compact(t *testing.T, data json.RawMessage) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, data))
	return b.String()
}

func TestCaptureOfAPanic(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _ = []int(nil)[len(t.Name())-1000] })), "GET", "/")
	b := s.bundle(t, k)
	d := b.Log.Details
	require.Equal(t, capture.ReasonPanicked, d.Reason)
	require.Equal(t, "runtime.boundsError", d.Panic.Type)
	require.True(t, d.Panic.Runtime)
	require.Regexp(t, `^runtime error: index out of range \[-\d{3}\]$`, d.Panic.Text)
	require.Contains(t, d.Panic.Stack, "TestCaptureOfAPanic")
	require.Equal(t, 500, b.Log.Entries[0].Response.Status)
	require.Contains(t, b.Log.Entries[0].Response.Content.Text, d.RequestID)
}

// The answer to a panic is ours and not data: it stays readable without any rule.
func TestCaptureOfTheAnswerToAPanic(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"*/*":       `^\{"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"[0-9A-Z]{26}"\}$`,
		"text/html": `^<!doctype html><title>Internal Server Error</title>.*please give this id: <code>[0-9A-Z]{26}</code></p>\n$`,
	} {
		k, s := captureRig(t, func(o *observe.Options) { o.Capture.Redact = nil })
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("for ann") })).ServeHTTP(httptest.NewRecorder(), r)
		require.Regexp(t, want, s.bundle(t, k).Log.Entries[0].Response.Content.Text)
	}
}

// How readable a struct is in a bundle is up to the log handler.
func TestCaptureOfAStructThatIsLogged(t *testing.T) {
	t.Parallel()
	for want, log := range map[string]slog.Handler{
		`^\{"row":\{"Name":"[a-z]{3}"\}\}$`:        slog.NewJSONHandler(io.Discard, nil),
		`^\{"row":"\{[A-Z][a-z]{3}:[a-z]{3}\}"\}$`: slog.NewTextHandler(io.Discard, nil),
	} {
		k, s := captureRig(t, func(o *observe.Options) { o.Capture.Redact, o.Log = nil, log })
		k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			k.obs.Logger().DebugContext(r.Context(), "read", "row", struct{ Name string }{"ann"})
			panic("for ann")
		})), "GET", "/")
		attrs := string(s.bundle(t, k).Log.Details.Logs[0].Attrs)
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, []byte(attrs)))
		require.Regexp(t, want, compact.String())
		require.Equal(t, strings.Contains(want, `"Name"`), strings.Contains(attrs, "Name"))
	}
}

func TestCaptureOfFail(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		observe.Fail(r.Context(), fmt.Errorf("reading row: %w", errors.Join(sql.ErrNoRows, io.EOF)))
	})), "GET", "/")
	e := s.bundle(t, k).Log.Details.Error
	require.Equal(t, "*errors.joinError", e.Type)
	require.Equal(t, []string{"sql: no rows in result set", "EOF"}, e.Texts[2:])
}

// Of what ends well nothing is written, and nothing is kept.
func TestNoCaptureOfWhatEndsWell(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, func(o *observe.Options) { o.Slow = time.Hour })
	h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		k.obs.Logger().InfoContext(r.Context(), "well")
	}))
	for range 20 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 100_000))))
		require.Equal(t, 100_000, w.Body.Len())
	}
	require.NoError(t, k.obs.Close())
	require.Zero(t, s.count())
	require.Zero(t, observe.Held(k.obs))
}

func TestCaptureOfASlowRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, s := captureRig(t, func(o *observe.Options) { o.Slow = time.Second })
		k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })), "GET", "/")
		b := s.bundle(t, k)
		require.Equal(t, capture.ReasonSlow, b.Log.Details.Reason)
		require.Equal(t, 1000.0, b.Log.Entries[0].Time)
	})
}

// Who debugs a request gets its bundle too, and in it no token.
func TestCaptureOfARequestThatIsDebugged(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, func(o *observe.Options) {
		o.DebugToken = debugToken()
		o.DebugToken.Hosts = []string{"127.0.0.1"}
		o.Capture.Redact.Headers = []string{"Upkeep-Debug"}
	})
	token := mint(t, jwt.MapClaims{"route": "/pay"})
	handedOn := ""
	client := &http.Client{Transport: k.obs.Transport(transport(func(r *http.Request) (*http.Response, error) {
		handedOn = r.Header.Get("Upkeep-Debug")
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	}))}
	mux := http.NewServeMux()
	mux.HandleFunc("/pay", func(_ http.ResponseWriter, r *http.Request) {
		k.obs.Logger().DebugContext(r.Context(), "inside")
		req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://127.0.0.1/", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	})
	k.serve(k.obs.Handler(observe.Route(mux)), "GET", "/pay", "Upkeep-Debug", token)
	require.Equal(t, token, handedOn)
	b := s.bundle(t, k)
	require.Equal(t, capture.ReasonAsked, b.Log.Details.Reason)
	require.Len(t, b.Log.Details.Logs, 1)
	require.Len(t, b.Log.Entries, 2)
	for _, data := range s.files {
		require.NotContains(t, string(data), token)
	}
}

// Bodies without end, either way, are passed on whole and kept to a bound.
func TestCaptureBoundsBodies(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, func(o *observe.Options) { o.Capture.MaxBody = 1000; o.Capture.Redact = nil })
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 50_000), 0o600))
	var read, written atomic.Int64
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		read.Store(n)
		f, err := os.Open(file)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(500)
		_, _ = io.WriteString(w, "head:")
		n, err = io.Copy(w, f) // by ReadFrom
		if err != nil {
			t.Error(err)
		}
		written.Store(n)
	})), false)
	resp, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(strings.Repeat("ab ", 1<<20)))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()
	require.Equal(t, "head:"+strings.Repeat("0123456789", 50_000), string(body))
	require.Equal(t, int64(3<<20), read.Load())
	require.Equal(t, int64(500_000), written.Load())

	e := s.bundle(t, k).Log.Entries[0]
	require.Equal(t, &capture.Body{Kind: capture.KindText, Bytes: 3 << 20, Truncated: true}, e.Exchange.RequestBody)
	require.Len(t, e.Request.PostData.Text, 1000)
	require.Equal(t, &capture.Body{Kind: capture.KindText, Bytes: 500_005, Truncated: true}, e.Exchange.ResponseBody)
	require.Len(t, e.Response.Content.Text, 1000)
	require.Equal(t, int64(500_005), e.Response.Content.Size)
}

// The bound of a request is less than that of all its bodies together.
func TestCaptureBoundsRequests(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, func(o *observe.Options) { o.Capture.MaxBody = 4096 })
	answer := &http.Client{Transport: k.obs.Transport(transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(strings.Repeat("x", 4096)))}, nil
	}))}
	var most int64
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://127.0.0.1/", nil)
			resp, err := answer.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			_, _ = observe.Value(r.Context(), "v", func(context.Context) (string, error) { return strings.Repeat("y", 3000), nil })
		}
		for i := range 300 {
			_, _ = observe.Value(r.Context(), fmt.Sprint("n", i), func(context.Context) (int, error) { return 1, nil })
		}
		most = observe.Held(k.obs)
		w.WriteHeader(500)
	})), "GET", "/")
	b := s.bundle(t, k)
	require.LessOrEqual(t, most, int64(16*4096))
	require.Len(t, b.Log.Entries, 65)
	require.Len(t, b.Log.Details.Values, 256)
	require.Equal(t, capture.Dropped{Exchanges: 36, Values: 144}, b.Log.Details.Dropped)
	require.Contains(t, string(b.Log.Details.Values[0].Result), "yyy")
	require.Equal(t, "there was no room", b.Log.Details.Values[99].Unrecordable)
	require.False(t, b.Log.Entries[1].Exchange.ResponseBody.Truncated)
	require.True(t, b.Log.Entries[64].Exchange.ResponseBody.Truncated)
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Many short bodies fit where few long ones do.
func TestCaptureOfManyShortBodies(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	client := &http.Client{Transport: k.obs.Transport(transport(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body) // as a transport sends it
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`"` + r.URL.RawQuery + `"`))}, nil
	}))}
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 64 {
			req, _ := http.NewRequestWithContext(r.Context(), "POST", fmt.Sprint("http://127.0.0.1/prices?q=", i), strings.NewReader("{}"))
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		w.WriteHeader(500)
	})), "GET", "/")
	b := s.bundle(t, k)
	require.Len(t, b.Log.Entries, 65)
	for i, e := range b.Log.Entries[1:] {
		require.Equal(t, fmt.Sprintf(`"q=%d"`, i), e.Response.Content.Text)
		require.Equal(t, int64(2), e.Exchange.RequestBody.Bytes)
	}
}

// What the handler leaves behind goes on, and changes no bundle.
func TestCaptureIsDoneWithTheHandler(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	left, over, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	client := &http.Client{Transport: k.obs.Transport(transport(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("early "), strings.NewReader("late")))}, nil
	}))}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("early"), strings.NewReader("late")))
	r.Header.Set("Content-Type", "application/json")
	k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1/", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		buf := make([]byte, 6)
		_, _ = resp.Body.Read(buf)
		_, _ = r.Body.Read(buf)
		go func() {
			defer close(over)
			_, _ = observe.Value(ctx, "v", func(context.Context) (int, error) {
				close(left)
				<-goOn
				return 1, nil
			})
			_, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			_, _ = io.ReadAll(r.Body)
			_, _ = w.Write([]byte("late"))
			k.obs.Logger().WarnContext(ctx, "late")
			_, _ = observe.Value(ctx, "late", func(context.Context) (int, error) { return 1, nil })
			observe.RecordFlag(ctx, "x", openfeature.InterfaceEvaluationDetails{Value: true})
		}()
		<-left
		w.WriteHeader(500)
		_, _ = w.Write([]byte("early"))
	})).ServeHTTP(w, r)
	close(goOn)
	<-over
	b := s.bundle(t, k)
	require.Equal(t, int64(5), b.Log.Entries[0].Exchange.RequestBody.Bytes)
	require.True(t, b.Log.Entries[0].Exchange.RequestBody.Unread)
	require.Equal(t, int64(5), b.Log.Entries[0].Exchange.ResponseBody.Bytes)
	require.True(t, b.Log.Entries[1].Exchange.Incomplete)
	require.Equal(t, int64(6), b.Log.Entries[1].Exchange.ResponseBody.Bytes)
	require.Equal(t, []capture.Value{{Name: "v", Unrecordable: "it did not return"}}, b.Log.Details.Values)
	require.Empty(t, b.Log.Details.Flags)
	require.Empty(t, b.Log.Details.Logs)
}

// A field of a log record is named with all groups that it is in.
func TestCaptureFieldsInGroups(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, func(o *observe.Options) {
		o.Capture.Redact = &capture.Redaction{Key: []byte("0123456789abcdef"), Fields: []string{"page", "wg.cart.sku"}}
	})
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cart := slog.Group("cart", "sku", "green tea", "page", "checkout")
		k.obs.Logger().WithGroup("wg").DebugContext(r.Context(), "kept", "page", "checkout", cart)
		observe.Fail(r.Context(), errors.New("broke"))
	})), "GET", "/")
	logs := s.bundle(t, k).Log.Details.Logs
	require.Len(t, logs, 1)
	require.Contains(t, string(logs[0].Attrs), "green tea")
	require.NotContains(t, string(logs[0].Attrs), "checkout")
}

func TestCaptureOfAHijack(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nraw")
		_ = conn.Close()
		observe.Fail(r.Context(), errors.New("after the hijack"))
	})), false)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "raw", string(body))
	k.stop()
	e := s.bundle(t, k).Log.Entries[0]
	require.Zero(t, e.Response.Status)
	require.Nil(t, e.Exchange.ResponseBody)
}

// badJSON fails to become JSON in its own way.
type badJSON struct{ how string }

func (b *badJSON) MarshalJSON() ([]byte, error) { return []byte(b.how), errors.New("no JSON today") }

func TestValueIsRecorded(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, func(o *observe.Options) { o.Capture.MaxBody = 100 })
	_ = k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		n, err := observe.Value(ctx, "v", func(context.Context) (int, error) { return 1, nil })
		if n != 1 || err != nil {
			t.Error("Value changes what fn returns")
		}
		_, err = observe.Value(ctx, "v", func(context.Context) (*int, error) { return nil, sql.ErrNoRows })
		if err != sql.ErrNoRows {
			t.Error("Value changes the error that fn returns")
		}
		_, _ = observe.Value(ctx, "w", func(context.Context) (chan int, error) { return nil, nil })
		_, _ = observe.Value(ctx, "w", func(context.Context) (*badJSON, error) { return nil, nil }) // panics
		_, _ = observe.Value(ctx, "w", func(context.Context) (*badJSON, error) { return &badJSON{}, nil })
		_, _ = observe.Value(ctx, "w", func(context.Context) (string, error) { return strings.Repeat("x", 100), nil })
		_ = k.obs.Do(ctx, "job", func(ctx context.Context) error {
			_, err := observe.Value(ctx, "v", func(context.Context) (string, error) { return "of a job", nil })
			return err
		})
		func() {
			defer func() { _ = recover() }()
			_, _ = observe.Value(ctx, "w", func(context.Context) (int, error) { panic("not ours") })
		}()
		w.WriteHeader(500)
	})), "GET", "/")
	values := s.bundle(t, k).Log.Details.Values
	for i, want := range []capture.Value{
		{Name: "v", Result: json.RawMessage("1")},
		{Name: "v", Ordinal: 1, Error: []string{"sql: no rows in result set"}},
		{Name: "w", Unrecordable: "unsupported type"},
		{Name: "w", Ordinal: 1, Result: json.RawMessage("null")},
		{Name: "w", Ordinal: 2, Unrecordable: "no JSON today"},
		{Name: "w", Ordinal: 3, Unrecordable: "bytes are too many"},
		{Name: "v", Ordinal: 2, Result: json.RawMessage(`"of a job"`)},
		{Name: "w", Ordinal: 4, Unrecordable: "it did not return"},
	} {
		require.Contains(t, values[i].Unrecordable, want.Unrecordable)
		want.Unrecordable = values[i].Unrecordable
		require.Equal(t, want, values[i])
	}
}

func TestValueOutsideOfARequest(t *testing.T) {
	t.Parallel()
	n, err := observe.Value(context.Background(), "v", func(context.Context) (int, error) { return 7, io.EOF })
	require.Equal(t, 7, n)
	require.Equal(t, io.EOF, err)
}

// Requests do not wait for a store that hangs. The bundles that wait are bounded, and Close
// gives up on it.
func TestCaptureWithAStalledDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan struct{})
		k, s := captureRig(t, nil)
		s.put = func(context.Context) error { <-dead; return nil } // and does not look at its context
		h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			observe.Fail(r.Context(), errors.New("broken"))
		}))
		began := time.Now()
		for i := range 3000 {
			if i%10 == 0 {
				time.Sleep(time.Second) // the limiter lets ten through
			}
			mux := http.NewServeMux()
			mux.Handle(fmt.Sprintf("POST /%d", i), h)
			k.obs.Handler(observe.Route(mux)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", fmt.Sprint("/", i), strings.NewReader("body")))
		}
		require.Equal(t, 300*time.Second, time.Since(began), "nobody waited")
		stats := k.obs.Stats()
		require.Equal(t, 257.0, stats["captures_queued"])
		require.Equal(t, stats["details"], stats["captures_queued"]+stats["captures_dropped"])
		require.Greater(t, stats["captures_dropped"], 100.0)
		require.Zero(t, observe.Held(k.obs))

		began = time.Now()
		require.ErrorContains(t, k.obs.Close(), "257 captures were not written and are lost, because *observe_test.shelf does not return: 20000101T")
		require.Equal(t, 6*time.Second, time.Since(began))
		dropped := stats["captures_dropped"] + 257
		counted := func() []float64 {
			stats := k.obs.Stats()
			return []float64{
				stats["captures_dropped"], stats["captures_queued"], stats["captures_queued_bytes"], stats["captures_failed"], stats["captures_written"],
			}
		}
		require.Equal(t, []float64{dropped, 0, 0, 0, 0}, counted(), "what Close gives up is dropped")
		require.ErrorContains(t, k.obs.Health().Err(), "captures_dropped")
		k.serve(h, "POST", "/")
		dropped++
		require.Equal(t, dropped, k.obs.Stats()["captures_dropped"], "none is taken after Close")
		close(dead)
		synctest.Wait()
		require.Equal(t, []float64{dropped, 0, 0, 0, 0}, counted(), "and once")
	})
}

// A store that returns when its context ends has still lost the bundles that wait.
func TestCloseSaysWhatASlowStoreHasLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, s := captureRig(t, nil)
		s.put = func(ctx context.Context) error { // two get through
			timer := time.NewTimer(2 * time.Second)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for i := range 15 {
			time.Sleep(time.Millisecond)
			mux := http.NewServeMux()
			mux.Handle(fmt.Sprintf("GET /%d", i), handler(500))
			if i == 9 {
				time.Sleep(time.Second)
			}
			k.serve(k.obs.Handler(observe.Route(mux)), "GET", fmt.Sprint("/", i))
		}
		err := k.obs.Close()
		stats := k.obs.Stats()
		lost := int(stats["captures_failed"])
		require.Equal(t, 15, lost+s.count())
		require.Greater(t, lost, 10)
		require.ErrorContains(t, err, fmt.Sprintf("%d captures were not written and are lost, because *observe_test.shelf took too long: 20000101T", lost))
		require.ErrorContains(t, err, fmt.Sprintf(" and %d more", lost-10))
		require.Zero(t, stats["captures_dropped"])
		require.NoError(t, k.obs.Close(), "once is enough")
	})
}

func TestCaptureBytesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		k, s := captureRig(t, func(o *observe.Options) { o.Capture.MaxBody = 1 << 20 })
		s.put = func(context.Context) error { <-goOn; return nil }
		body := strings.Repeat("x", 1<<20)
		for i := range 60 {
			if i%10 == 0 {
				time.Sleep(time.Second)
			}
			mux := http.NewServeMux()
			mux.HandleFunc(fmt.Sprintf("POST /%d", i), func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(500)
			})
			r := httptest.NewRequest("POST", fmt.Sprint("/", i), strings.NewReader(body))
			r.Header.Set("Content-Type", "image/png")
			k.obs.Handler(observe.Route(mux)).ServeHTTP(httptest.NewRecorder(), r)
			require.LessOrEqual(t, k.obs.Stats()["captures_queued_bytes"], float64(32<<20))
		}
		require.Less(t, k.obs.Stats()["captures_queued"], 40.0)
		require.Greater(t, k.obs.Stats()["captures_queued"], 10.0)
		close(goOn)
		require.NoError(t, k.obs.Close())
		require.Zero(t, k.obs.Stats()["captures_queued_bytes"])
	})
}

// A store that fails or panics is logged once a minute.
func TestCaptureWithABrokenDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, s := captureRig(t, nil)
		n := 0
		s.put = func(context.Context) error {
			if n++; n%2 == 0 {
				panic("broken store")
			}
			return fs.ErrPermission
		}
		for i := range 20 {
			failing(k, fmt.Sprint("/", i), 500)
			time.Sleep(10 * time.Second)
		}
		stats := k.obs.Stats()
		require.Equal(t, 20.0, stats["captures_failed"])
		require.Zero(t, stats["captures_queued"])
		var logged []string
		for _, line := range k.logs.lines(t) {
			if line["msg"] == "a capture was not written" {
				logged = append(logged, fmt.Sprint(line["error"]))
			}
		}
		require.Equal(t, []string{"permission denied", "permission denied", "permission denied", "permission denied"}, logged)
	})
}

// sweeping counts how often it is asked to delete what is old.
type sweeping struct {
	shelf
	swept atomic.Int64
}

func (s *sweeping) Sweep(context.Context) error {
	if s.swept.Add(1)%2 == 0 {
		panic("cannot sweep")
	}
	return nil
}

func TestCapturesAreSweptEachHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sweeping{}
		k := newRig(t, func(o *observe.Options) { o.Captures = s })
		time.Sleep(3*time.Hour + time.Minute)
		require.Equal(t, int64(3), s.swept.Load())
		require.Contains(t, k.logs.String(), "old captures were not deleted")
	})
}

func TestCaptureOptionsMustMakeSense(t *testing.T) {
	t.Parallel()
	for _, o := range []observe.CaptureOptions{{MaxBody: -1}, {MaxBody: 2 << 20}, {Redact: &capture.Redaction{JSON: []string{"x"}}}} {
		_, err := observe.New(&observe.Options{Captures: &shelf{}, Capture: o})
		require.ErrorContains(t, err, "observe: Options.Capture.")
	}
}

// Many requests run at once, and some fail: each of these has a bundle of its own.
func TestCaptureOfManyAtOnce(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			body := fmt.Sprintf(`{"n":"%s"}`, strings.Repeat(fmt.Sprint(i%10), 5000))
			mux := http.NewServeMux()
			mux.HandleFunc(fmt.Sprintf("POST /%d", i), func(w http.ResponseWriter, r *http.Request) {
				got, _ := io.ReadAll(r.Body)
				w.Header().Set("Content-Type", "application/json")
				if i%2 == 0 {
					w.WriteHeader(500)
				}
				_, _ = w.Write(got)
			})
			r := httptest.NewRequest("POST", fmt.Sprint("/", i), strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			k.obs.Handler(observe.Route(mux)).ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	all.Wait()
	require.NoError(t, k.obs.Close())
	require.Equal(t, 10, s.count())
	for name, data := range s.files {
		b, err := capture.Parse(name, data)
		require.NoError(t, err)
		e := b.Log.Entries[0]
		n := strings.TrimPrefix(b.Log.Details.Route, "/")
		want := fmt.Sprintf(`{"n":"%s"}`, strings.Repeat(n[len(n)-1:], 5000))
		require.Equal(t, want, e.Request.PostData.Text)
		require.Equal(t, want, e.Response.Content.Text)
	}
}

// The bundle has the body that is sent. GetBody is for sending again: it may return the only
// body, or wait.
func TestCaptureNeverCallsGetBody(t *testing.T) {
	t.Parallel()
	received := make(chan string, 1)
	prices := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- string(body)
	}))
	defer prices.Close()
	k, s := captureRig(t, nil)
	client := &http.Client{Transport: k.obs.Transport(&http.Transport{DisableKeepAlives: true})}
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, sender := io.Pipe()
		go func() {
			_, _ = io.WriteString(sender, `{"tea":1}`)
			_ = sender.Close()
		}()
		req, err := http.NewRequestWithContext(r.Context(), "POST", prices.URL+"/prices", body)
		require.NoError(t, err)
		req.GetBody = func() (io.ReadCloser, error) {
			t.Error("GetBody is called")
			return body, nil
		}
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		w.WriteHeader(500)
	})), "GET", "/")
	require.Equal(t, `{"tea":1}`, <-received)
	require.Equal(t, `{"tea":1}`, s.bundle(t, k).Log.Entries[1].Request.PostData.Text)
}

// A body that the base sends once more is recorded once.
func TestCaptureOfABodySentAgain(t *testing.T) {
	t.Parallel()
	k, s := captureRig(t, nil)
	again := k.obs.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		_, _ = io.CopyN(io.Discard, r.Body, 3)
		body, err := r.GetBody()
		require.NoError(t, err)
		sent, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Equal(t, `{"tea":1}`, string(sent))
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
	}))
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), "POST", "http://prices.example/prices", strings.NewReader(`{"tea":1}`))
		require.NoError(t, err)
		_, err = again.RoundTrip(req)
		require.NoError(t, err)
		w.WriteHeader(500)
	})), "GET", "/")
	require.Equal(t, `{"tea":1}`, s.bundle(t, k).Log.Entries[1].Request.PostData.Text)
}
