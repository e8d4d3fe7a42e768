package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a copy of a flag document and returns its path.
func open(t *testing.T, document string) (*flags.Provider, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flags.yaml")
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	p, err := flags.Open(t.Context(), flags.File(file), &flags.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, file
}

func ownDocument(t *testing.T) string {
	t.Helper()
	document, err := os.ReadFile("flags.yaml")
	require.NoError(t, err)
	return string(document)
}

// listen serves a handler on loopback until the test ends, and then ends open streams.
func listen(t *testing.T, newHandler func(done <-chan struct{}) http.Handler) *httptest.Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(newHandler(ctx.Done()))
	t.Cleanup(func() {
		cancel()
		server.Close()
	})
	return server
}

func TestSite(t *testing.T) {
	p, _ := open(t, ownDocument(t))
	site, err := newSite(p, &ofrep.Options{})
	require.NoError(t, err)
	server := listen(t, func(<-chan struct{}) http.Handler { return site })

	resp, err := http.Get(server.URL)
	require.NoError(t, err)
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Contains(t, string(page), "OFREPWebProvider")

	resp, err = http.Post(server.URL+"/ofrep/v1/evaluate/flags", "application/json", strings.NewReader(`{"context": {"targetingKey": "visitor-1"}}`))
	require.NoError(t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(answer), `"value":"Welcome."`)
	require.NotContains(t, string(answer), "pricing-engine", "for the service alone")
}
