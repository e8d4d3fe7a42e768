package replay_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = []byte("a key that only the tests have")

// desk is a test that may fail without failing ours.
type desk struct {
	testing.TB
	mu           sync.Mutex
	logs, errors []string
	fatal        string
}

func (d *desk) Helper() {}

func (d *desk) Logf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logs = append(d.logs, fmt.Sprintf(format, args...))
}

func (d *desk) Errorf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors = append(d.errors, fmt.Sprintf(format, args...))
}

func (d *desk) Fatal(args ...any) {
	d.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

func (d *desk) Fatalf(format string, args ...any) { d.Fatal(fmt.Sprintf(format, args...)) }

func newDir(t *testing.T, path string, opts *capture.DirOptions) *capture.Dir {
	t.Helper()
	d, err := capture.NewDir(path, opts)
	require.NoError(t, err)
	return d
}

// play runs a replay and tells how its test ended.
func play(t *testing.T, o replay.Options, path string, build func(*replay.Case) http.Handler) *desk {
	t.Helper()
	d := &desk{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(d, path, build)
	}()
	<-done
	return d
}

func (d *desk) said() string { return strings.Join(append(d.errors, d.logs...), "\n") }

// production is a service whose requests are captured.
type production struct {
	t     *testing.T
	obs   *observe.Observer
	dir   string
	flags openfeature.IClient

	replayed *replay.Case // nil in production
}

func newProduction(t *testing.T, rules capture.Redaction) *production {
	t.Helper()
	p := &production{t: t, dir: t.TempDir()}
	rules.Key = key
	obs, err := observe.New(&observe.Options{
		Log: slog.DiscardHandler, Slow: 1, // so that each request is captured
		Captures: newDir(t, p.dir, nil), Capture: observe.CaptureOptions{Redact: &rules, Build: "shop v1"},
	})
	require.NoError(t, err)
	p.obs = obs
	t.Cleanup(func() { require.NoError(t, obs.Close()) })
	api := isolated.NewAPI()
	t.Cleanup(func() { require.NoError(t, api.Shutdown(context.Background())) })
	require.NoError(t, api.SetProviderAndWait(t.Context(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"express":  {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true, "off": false}, ContextEvaluator: evaluator(byUser)},
		"limits":   {State: memprovider.Enabled, DefaultVariant: "all", Variants: map[string]any{"all": map[string]any{"items": 3}}},
		"notice":   {State: memprovider.Enabled, DefaultVariant: "winter", Variants: map[string]any{"winter": "snow"}},
		"factor":   {State: memprovider.Enabled, DefaultVariant: "half", Variants: map[string]any{"half": 0.5}},
		"numbered": {State: memprovider.Enabled, DefaultVariant: "2", Variants: map[string]any{"2": true}},
		"most":     {State: memprovider.Enabled, DefaultVariant: "ten", Variants: map[string]any{"ten": int64(10)}},
	})))
	client := api.NewClient()
	client.AddHooks(obs.FlagHook())
	p.flags = client
	return p
}

func evaluator(f func(memprovider.InMemoryFlag, openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail)) memprovider.ContextEvaluator {
	return &f
}

// byUser turns a flag off for bob.
func byUser(f memprovider.InMemoryFlag, flat openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail) {
	if flat[openfeature.TargetingKey] == "bob" {
		return f.Variants["off"], openfeature.ProviderResolutionDetail{Variant: "off", Reason: openfeature.TargetingMatchReason}
	}
	return f.Variants["on"], openfeature.ProviderResolutionDetail{Variant: "on", Reason: openfeature.SplitReason}
}

func (p *production) flagClient() openfeature.IClient {
	if p.replayed != nil {
		return p.replayed.FlagClient()
	}
	return p.flags
}

// client calls others as production does.
func (p *production) client(others http.HandlerFunc) *http.Client {
	if p.replayed != nil {
		return p.replayed.HTTPClient()
	}
	return &http.Client{Transport: p.obs.Transport(local{others})}
}

// local serves without a network.
type local struct{ h http.Handler }

func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	l.h.ServeHTTP(w, r)
	if w.Header().Get("X-Test-Error") != "" {
		return nil, fmt.Errorf("%s: %w", w.Header().Get("X-Test-Error"), context.DeadlineExceeded)
	}
	resp := w.Result()
	if w.Header().Get("X-Test-Break") != "" {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return resp, nil
}

// capture serves a request and returns the file of its bundle.
func (p *production) capture(h http.Handler, r *http.Request) string {
	p.t.Helper()
	p.obs.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(p.t, p.obs.Close())
	files, err := filepath.Glob(filepath.Join(p.dir, "*.har"))
	require.NoError(p.t, err)
	require.Len(p.t, files, 1)
	return files[0]
}
