package capture_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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

func everyone(*http.Request) (string, error) { return "ann", nil }

func handler(t *testing.T, store capture.Store, authorize func(*http.Request) (string, error)) http.Handler {
	t.Helper()
	h, err := capture.Handler(store, &capture.HandlerOptions{Authorize: authorize})
	require.NoError(t, err)
	return h
}

func TestHandlerDenies(t *testing.T) {
	t.Parallel()
	s := newDir(t, t.TempDir(), nil)
	name := put(t, s, time.Now(), "x")
	for _, authorize := range []func(*http.Request) (string, error){nil, func(*http.Request) (string, error) { return "ann", errors.New("no operator") }} {
		for _, path := range []string{"/", "/" + name, "/x", "/captures/"} {
			w := get(handler(t, s, authorize), "GET", path)
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.JSONEq(t, `{"type":"about:blank","title":"Forbidden","status":403}`, w.Body.String())
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
	w := get(handler(t, s, everyone), "DELETE", "/"+name)
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

func TestHandlerLists(t *testing.T) {
	t.Parallel()
	s := newDir(t, t.TempDir(), nil)
	h := handler(t, s, everyone)
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

	w := get(handler(t, brokenStore{s}, everyone), "GET", "/")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "pipe")
	w = get(handler(t, brokenStore{s}, everyone), "GET", "/"+name)
	require.Equal(t, http.StatusInternalServerError, w.Code)
}

func TestHandlerServes(t *testing.T) {
	t.Parallel()
	s := newDir(t, t.TempDir(), nil)
	h := handler(t, s, everyone)
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

// The handler is found, and its links lead back to it, wherever it is mounted.
func TestHandlerUnderAnyPrefix(t *testing.T) {
	t.Parallel()
	s := newDir(t, t.TempDir(), nil)
	name := put(t, s, time.Now(), "bundle")
	h := handler(t, s, everyone)
	for _, prefix := range []string{"", "/captures", "/ops/captures_2"} {
		for _, strip := range []bool{false, true} {
			mounted := http.Handler(h)
			if strip {
				mounted = http.StripPrefix(prefix, h)
			}
			for _, asked := range []string{prefix, prefix + "/"} {
				if asked == "" {
					continue
				}
				page := get(mounted, "GET", asked, "Accept", "text/html")
				if !strings.HasSuffix(asked, "/") {
					require.Equal(t, http.StatusPermanentRedirect, page.Code, asked)
					from, err := url.Parse(asked)
					require.NoError(t, err)
					to, err := from.Parse(page.Header().Get("Location"))
					require.NoError(t, err)
					asked = to.Path
					page = get(mounted, "GET", asked, "Accept", "text/html")
				}
				require.Equal(t, http.StatusOK, page.Code, asked)
				_, rest, ok := strings.Cut(page.Body.String(), `<a href="`)
				require.True(t, ok)
				link, _, _ := strings.Cut(rest, `"`)
				at, err := url.Parse("http://x" + asked)
				require.NoError(t, err)
				target, err := at.Parse(link)
				require.NoError(t, err)
				require.Equal(t, prefix+"/"+name, target.Path)
				require.Equal(t, "bundle", get(mounted, "GET", target.Path).Body.String())
			}
		}
	}
	_, err := capture.Handler(nil, nil)
	require.ErrorContains(t, err, "nil")
	closed, err := capture.Handler(s, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, get(closed, "GET", "/").Code)
}
