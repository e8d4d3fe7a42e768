package status_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // for machines without a tz database

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

var quiet = slog.New(slog.DiscardHandler)

// source is a source whose document a test changes.
type source struct {
	mu   sync.Mutex
	text string
	err  error
	bell chan struct{}
}

func newSource(text string) *source { return &source{text: text, bell: make(chan struct{}, 1)} }

func (s *source) Name() string { return "windows.yaml" }

func (s *source) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.text), s.err
}

func (s *source) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.bell:
			changed()
		}
	}
}

// set changes the document and, in a bubble, waits until the guard has loaded it.
func (s *source) set(text string, err error) {
	s.mu.Lock()
	s.text, s.err = text, err
	s.mu.Unlock()
	s.bell <- struct{}{}
	time.Sleep(time.Second)
	synctest.Wait()
}

// window returns a line of a document: a window that starts after the given time from now.
func window(id string, in, duration time.Duration, more string) string {
	return fmt.Sprintf("  - {id: %s, start: %q, duration: %v%s}\n",
		id, time.Now().Add(in).UTC().Format(time.RFC3339Nano), duration, more)
}

func windows(lines ...string) string {
	if len(lines) == 0 {
		return "windows: []\n"
	}
	return "windows:\n" + strings.Join(lines, "")
}

func open(t testing.TB, src downtime.Source, opts *downtime.Options) *downtime.Guard {
	if opts == nil {
		opts = &downtime.Options{}
	}
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	g, err := downtime.Open(t.Context(), src, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func get(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// later lets time pass and waits until the guard has reacted.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func submatches(text, pattern string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

func parse(t testing.TB, doc string) *schedule.Schedule {
	s, err := schedule.Parse("windows.yaml", []byte(doc))
	require.NoError(t, err)
	return s
}

func instant(t testing.TB, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

// operators returns the operators' handler, open to everyone.
func operators(t testing.TB, g *downtime.Guard, opts status.Options) http.Handler {
	opts.Authorize = func(*http.Request) (string, error) { return "", nil }
	h, err := status.Handler(g, &opts)
	require.NoError(t, err)
	return h
}

// users returns the users' handler.
func users(t testing.TB, g *downtime.Guard, opts status.Options) http.Handler {
	h, err := status.PublicHandler(g, &opts)
	require.NoError(t, err)
	return h
}
