package ofrep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func everything(string) bool { return true }

func open(t testing.TB, src flags.Source) *flags.Provider {
	t.Helper()
	p, err := flags.Open(t.Context(), src, &flags.Options{Logger: quiet, Static: flags.Attributes{"region": "eu"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func newHandler(t testing.TB, p *flags.Provider, opts *ofrep.Options) http.Handler {
	t.Helper()
	h, err := ofrep.NewHandler(p, opts)
	require.NoError(t, err)
	return h
}

// serve opens the document and exposes all its flags.
func serve(t testing.TB, doc string) http.Handler {
	t.Helper()
	return newHandler(t, open(t, flags.Bytes("flags.yaml", []byte(doc))), &ofrep.Options{Expose: everything})
}

const (
	bulk   = "/ofrep/v1/evaluate/flags"
	events = "/ofrep/v1/events"
)

// post sends a body as JSON. header has further headers in pairs.
func post(h http.Handler, path, body string, header ...string) *httptest.ResponseRecorder {
	return do(h, http.MethodPost, path, strings.NewReader(body), append([]string{"Content-Type", "application/json"}, header...)...)
}

func do(h http.Handler, method, path string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// decode reads an answer, which must be JSON and declared as JSON.
func decode(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	var m map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &m), w.Body.String())
	return m
}

// changing is a source whose document can be changed, and which is watched.
type changing struct {
	mu   sync.Mutex
	data []byte
	bell chan struct{}
}

func newChanging(doc string) *changing {
	return &changing{data: []byte(doc), bell: make(chan struct{}, 1)}
}

func (c *changing) Load(context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.data), nil
}

func (c *changing) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-c.bell:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *changing) set(doc string) {
	c.mu.Lock()
	c.data = []byte(doc)
	c.mu.Unlock()
	c.bell <- struct{}{}
}
