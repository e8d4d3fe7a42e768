package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/upkeep-go/upkeep/version"
)

// local returns a server on a free port. The channel gets its URL when it listens.
func local() (*http.Server, <-chan string) {
	url := make(chan string, 1)
	return &http.Server{Addr: "127.0.0.1:0", ReadHeaderTimeout: 5 * time.Second, BaseContext: func(l net.Listener) context.Context {
		url <- "http://" + l.Addr().String()
		return context.Background()
	}}, url
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestService(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exporter := &exporter{}
	server, listening := local()
	operators, pages := local()
	var running sync.WaitGroup
	running.Go(func() { run(ctx, exporter, server, operators) })
	url, admin := <-listening, <-pages
	for _, c := range []struct {
		url    string
		status int
		holds  string
	}{
		{url + "/?user=ada", 200, "."},
		{url + "/nothing", 404, ""},
		{url + "/version", 404, ""},
		{admin + "/version", 200, `"version"`},
		{admin + "/maintenance/", 200, "move-house"},
	} {
		status, body := get(t, c.url)
		require.Equal(t, c.status, status, c.url)
		require.Contains(t, body, c.holds)
	}

	stop()
	running.Wait()
	require.True(t, exporter.closed)
	require.Contains(t, exporter.spans, "GET /{$}", "what waited was exported before the end")
	want := version.Current().Attributes()
	require.NotEmpty(t, want)
	for _, attr := range want {
		got, ok := exporter.resource.Value(attr.Key)
		require.True(t, ok, attr.Key)
		require.Equal(t, attr.Value, got, attr.Key)
	}
}

// An exporter keeps the names and the resource of spans.
type exporter struct {
	spans    []string
	resource attribute.Set
	closed   bool
}

func (e *exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		e.spans, e.resource = append(e.spans, s.Name()), *s.Resource().Set()
	}
	return nil
}

func (e *exporter) Shutdown(context.Context) error {
	e.closed = true
	return nil
}
