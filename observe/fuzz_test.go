package observe_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

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
	obs, err := observe.New(opts)
	require.NoError(f, err)
	h := obs.Handler(panics("boom"))
	f.Fuzz(func(t *testing.T, id string, html bool) {
		logged.Reset()
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
		h := obs.Handler(observe.Route(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Pattern = pattern
			w.WriteHeader(500)
		})))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
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
