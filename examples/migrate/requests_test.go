package migrate

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/observe"
)

func orders() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.PathValue("id")) })
	mux.HandleFunc("GET /broken", func(http.ResponseWriter, *http.Request) { panic(errors.New("no stock")) })
	return mux
}

// spansOf returns the server spans of one request.
func spansOf(t *testing.T, target string, build func(*sdktrace.TracerProvider) (http.Handler, error)) (names, requestIDs []string) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	h, err := build(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	require.NoError(t, err)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
		for _, attr := range span.Attributes() {
			if attr.Key == "upkeep.request.id" {
				requestIDs = append(requestIDs, attr.Value.String())
			}
		}
	}
	return names, requestIDs
}

func TestOtelhttp(t *testing.T) {
	for name, c := range map[string]struct {
		build func(*sdktrace.TracerProvider) (http.Handler, error)
		ids   int
	}{
		"before": {func(p *sdktrace.TracerProvider) (http.Handler, error) { return otelhttpBefore(p, orders()), nil }, 0},
		"after":  {func(p *sdktrace.TracerProvider) (http.Handler, error) { return otelhttpAfter(p, orders()) }, 1},
		"beside": {func(p *sdktrace.TracerProvider) (http.Handler, error) { return besideOtelhttp(p, orders()) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			names, ids := spansOf(t, "/orders/7", c.build)
			require.Equal(t, []string{"GET /orders/{id}"}, names, "one span, named by the route")
			require.Len(t, ids, c.ids)
		})
	}
}

func TestSlogHTTP(t *testing.T) {
	get := func(h http.Handler, target string) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	var before, after bytes.Buffer
	get(slogHTTPBefore(slog.NewTextHandler(&before, nil), orders()), "/orders/7")
	require.Equal(t, 1, strings.Count(before.String(), "\n"), before.String())

	h, err := slogHTTPAfter(slog.NewTextHandler(&after, nil), orders())
	require.NoError(t, err)
	get(h, "/orders/7")
	require.Contains(t, after.String(), `msg="request served" method=GET route=/orders/{id} path=/orders/7 status=200`)
	require.Equal(t, 1, strings.Count(after.String(), "\n"), after.String())
	after.Reset()
	get(h, "/broken")
	require.Contains(t, after.String(), `msg="request failed"`)
	require.Contains(t, after.String(), `error="panic: no stock"`)
	require.Equal(t, 1, strings.Count(after.String(), "\n"), after.String())
}

func TestRouters(t *testing.T) {
	guardOf := func(start time.Time) *downtime.Guard {
		guard, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", []byte(`windows: [{id: w, start: `+start.UTC().Format(time.RFC3339)+`, duration: 1h, scope: {paths: ["/**"]}}]`)), nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = guard.Close() })
		return guard
	}
	open, closed := guardOf(time.Now().Add(24*time.Hour)), guardOf(time.Now().Add(-time.Minute))
	for name, c := range map[string]struct {
		router http.Handler
		span   string
	}{
		"chi":  {chiRouter(), "GET /orders/{id}"},
		"gin":  {ginRouter(), "GET /orders/:id"},
		"echo": {echoRouter(), "GET /orders/:id"},
	} {
		t.Run(name, func(t *testing.T) {
			names, ids := spansOf(t, "/orders/7", func(p *sdktrace.TracerProvider) (http.Handler, error) {
				obs, err := observe.New(&observe.Options{TracerProvider: p})
				return around(obs, open, c.router), err
			})
			require.Equal(t, []string{c.span}, names)
			require.Len(t, ids, 1)
			obs, err := observe.New(nil)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			around(obs, closed, c.router).ServeHTTP(w, httptest.NewRequest("GET", "/orders/7", nil))
			require.Equal(t, 503, w.Code)
		})
	}

	t.Run("connect", func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		opts := connectOptions
		opts.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
		obs, err := observe.New(&opts)
		require.NoError(t, err)
		call := func(guard *downtime.Guard) (string, error) {
			server := httptest.NewServer(around(obs, guard, connectRouter()))
			defer server.Close()
			client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](server.Client(), server.URL+"/orders.v1.Orders/Get")
			resp, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("7")))
			if err != nil {
				return "", err
			}
			return resp.Msg.GetValue(), nil
		}
		id, err := call(open)
		require.NoError(t, err)
		require.Equal(t, "7", id)
		require.Equal(t, "POST /orders.v1.Orders/Get", recorder.Ended()[0].Name())
		_, err = call(closed)
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "a window is unavailable")
	})
}

// Each block of Go or YAML in the guides is in a file of this folder, word for word.
func TestGuidesCompile(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	documents, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	var sources []string
	for _, name := range append(files, documents...) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		if !strings.HasSuffix(name, "_test.go") {
			sources = append(sources, string(data))
		}
	}
	for _, guide := range []string{"README.md", "telemetry.md", "routers.md"} {
		data, err := os.ReadFile(guide)
		require.NoError(t, err)
		blocks := 0
		for _, language := range []string{"go", "yaml"} {
			for _, rest := range strings.Split(string(data), "```"+language+"\n")[1:] {
				block, _, _ := strings.Cut(rest, "```")
				found := false
				for _, source := range sources {
					found = found || strings.Contains(source, block)
				}
				require.True(t, found, "in %s, and in no file that is compiled:\n%s", guide, block)
				blocks++
			}
		}
		require.Greater(t, blocks, 3, guide)
		require.Contains(t, string(data), "## When not to ", guide)
	}
}
