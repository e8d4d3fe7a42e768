package capture_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
)

func get(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func everyone(*http.Request) bool { return true }

func TestHandlerDenies(t *testing.T) {
	t.Parallel()
	s := capture.Dir(t.TempDir(), nil)
	name := put(t, s, time.Now(), "x")
	for _, authorize := range []func(*http.Request) bool{nil, func(*http.Request) bool { return false }} {
		for _, path := range []string{"/", "/" + name, "/x", "/captures/"} {
			w := get(capture.Handler(s, authorize), "GET", path)
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.JSONEq(t, `{"type":"about:blank","title":"Forbidden","status":403}`, w.Body.String())
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
	w := get(capture.Handler(s, everyone), "DELETE", "/"+name)
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

func TestHandlerLists(t *testing.T) {
	t.Parallel()
	s := capture.Dir(t.TempDir(), nil)
	h := capture.Handler(s, everyone)
	require.JSONEq(t, `{"bundles":[]}`, get(h, "GET", "/").Body.String())
	text := encoded(t, newRedactor(t, capture.Redaction{}), checkout())
	name := put(t, s, time.Now(), text)
	put(t, s, time.Now().Add(time.Second), "x")

	for path, n := range map[string]int{"/": 2, "/captures/": 2, "/?request=01JABCDEFGHJKMNPQRSTVWXYZ0": 1, "/?request=x": 0} {
		var list struct{ Bundles []capture.Summary }
		require.NoError(t, json.Unmarshal(get(h, "GET", path).Body.Bytes(), &list))
		require.Len(t, list.Bundles, n)
	}
	page := get(h, "GET", "/", "Accept", "text/html,*/*")
	require.Equal(t, "text/html; charset=utf-8", page.Header().Get("Content-Type"))
	require.Contains(t, page.Body.String(), `<a href="`+name+`">`)
	require.Contains(t, page.Body.String(), "/carts/{cart}/checkout")
	require.Contains(t, page.Header().Get("Content-Security-Policy"), "default-src 'none'")

	w := get(capture.Handler(brokenStore{s}, everyone), "GET", "/")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "pipe")
	w = get(capture.Handler(brokenStore{s}, everyone), "GET", "/"+name)
	require.Equal(t, http.StatusInternalServerError, w.Code)
}

func TestHandlerServes(t *testing.T) {
	t.Parallel()
	s := capture.Dir(t.TempDir(), nil)
	h := capture.Handler(s, everyone)
	name := put(t, s, time.Now(), "bundle")
	for _, path := range []string{"/" + name, "/captures/" + name, "/a/../" + name} {
		w := get(h, "GET", path)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "bundle", w.Body.String())
		require.Equal(t, `attachment; filename="`+name+`"`, w.Header().Get("Content-Disposition"))
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
	w := get(h, "HEAD", "/"+name)
	require.Empty(t, w.Body.String())
	require.Equal(t, "6", w.Header().Get("Content-Length"))
	for _, path := range []string{"/x.har", "/..%2f..%2fetc%2fpasswd", "/" + capture.NewName(time.Now()), "/%00", "/" + name + "%00", "/..", "/.upkeep-x", "/" + name + ";x"} {
		require.Equal(t, http.StatusNotFound, get(h, "GET", path).Code, path)
	}
}
