package page_test

import (
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/page"
)

func TestPageIsWholeAndEscapes(t *testing.T) {
	t.Parallel()
	body, err := page.Execute(page.Template("x", `<h1>{{.Name}}</h1>{{time .At}}`, nil), map[string]any{
		"Name": "<script>alert(1)</script>", "At": time.Date(2026, 12, 6, 2, 0, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	page.Page{Title: "</title><b>", Refresh: time.Minute, Body: body}.Write(w, httptest.NewRequest("GET", "/", nil), 200)
	text := w.Body.String()
	require.NotContains(t, text, "<script>alert")
	require.NotContains(t, text, "</title><b>")
	require.Contains(t, text, `<time datetime="2026-12-06T02:00:00Z">Sunday 6 December 2026, 02:00 UTC</time>`)
	require.Contains(t, text, `data-refresh="60"`)
	require.Contains(t, text, page.Style)
	require.Contains(t, text, page.Script)
	require.NotContains(t, text, "http://")
	h := w.Header()
	require.Equal(t, "no-store", h.Get("Cache-Control"))
	require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Contains(t, h.Get("Content-Security-Policy"), "form-action 'self'")

	w = httptest.NewRecorder()
	page.Page{Title: "x", Body: template.HTML("<p>")}.Write(w, httptest.NewRequest("HEAD", "/", nil), 404)
	require.Equal(t, 404, w.Code)
	require.Empty(t, w.Body.String())
}

func TestZoned(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 6, 2, 0, 5, 0, time.FixedZone("Atlantic/Some_Isle", 3600))
	require.Equal(t, "Sunday 6 December 2026, 02:00:05 Atlantic/Some Isle (UTC+01:00)", page.Zoned(at))
	require.Equal(t, "2026-12-06T01:00:05Z", page.Instant(at))
}

func TestProtect(t *testing.T) {
	t.Parallel()
	h := page.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	for _, c := range []struct {
		method, site string
		want         int
	}{{"POST", "cross-site", 403}, {"POST", "same-origin", 204}, {"GET", "cross-site", 204}, {"POST", "", 204}} {
		r := httptest.NewRequest(c.method, "/", nil)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, c.want, w.Code, "%v", c)
	}
}

// TestRouteUnderAnyPrefix follows redirects and links as a browser does, for a handler that is
// mounted in every way.
func TestRouteUnderAnyPrefix(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, redirect, ok := page.Route(r, "status.json", "api/v2/status.json")
		switch {
		case !ok:
			http.NotFound(w, r)
		case redirect:
			page.Redirect(w, r)
		default:
			_, _ = w.Write([]byte("route:" + route))
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/plain/", handler)
	mux.Handle("/plain", handler)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", handler))
	mux.Handle("/stripped", http.StripPrefix("/stripped", handler))
	mux.Handle("/deep/er/", http.StripPrefix("/deep/er/", handler))
	mux.Handle("/v1.2/", handler)
	mux.Handle("/v1.2", handler)
	server := httptest.NewServer(mux)
	defer server.Close()
	outer, err := url.Parse(server.URL)
	require.NoError(t, err)
	get := func(at *url.URL) (*url.URL, int, string) {
		res, err := http.Get(at.String())
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.Request.URL, res.StatusCode, string(body)
	}
	for _, prefix := range []string{"/", "/plain/", "/plain", "/stripped/", "/stripped", "/deep/er/", "/v1.2/", "/v1.2"} {
		at, code, body := get(outer.JoinPath(prefix))
		require.Equal(t, 200, code, prefix)
		require.Equal(t, "route:", body, prefix)
		for _, link := range []string{"status.json", "api/v2/status.json"} {
			next, err := at.Parse(link)
			require.NoError(t, err)
			_, code, body = get(next)
			require.Equal(t, 200, code, "%s from %s", link, prefix)
			require.Equal(t, "route:"+link, body, "%s from %s", link, prefix)
		}
		next, err := at.Parse("other.json")
		require.NoError(t, err)
		_, code, _ = get(next)
		require.Equal(t, 404, code)
	}
}
