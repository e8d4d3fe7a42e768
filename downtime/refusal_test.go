package downtime_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// shut is a guard in the middle of a window about all.
func shut(t testing.TB, more string, opts *downtime.Options) *downtime.Guard {
	return open(t, downtime.Bytes("w", []byte(windows(window("w", -time.Minute, 300*time.Hour, more)))), opts)
}

// The refusal of a window that overruns says so. The time to come back is unknown, so it is soon.
func TestRefusalOfAnOverrun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), nil)
		h := g.Handler(ok)
		rep, err := g.Drain(t.Context(), "w") // and the work is not completed
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		later(time.Hour + time.Second)
		w := get(h, "GET", "/")
		require.Equal(t, 503, w.Code)
		seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, seconds, 60)
		require.LessOrEqual(t, seconds, 90)
		require.NotContains(t, w.Body.String(), `"end"`)
		require.Contains(t, w.Body.String(), `"start"`)
		for _, accept := range []string{browser, "text/plain"} {
			require.Contains(t, get(h, "GET", "/", "Accept", accept).Body.String(), "It takes longer than planned.")
		}
		_, err = g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, 200, get(h, "GET", "/").Code)
	})
}

func TestPageNeedsNothingButItself(t *testing.T) {
	t.Parallel()
	h := shut(t, `, title: "{reason} {retry} <b>", message: "{status}"`, &downtime.Options{StatusURL: "https://status.example/?a=1&b=2"}).Handler(ok)
	w := get(h, "GET", "/", "Accept", browser)
	page, csp := w.Body.String(), w.Header().Get("Content-Security-Policy")
	require.True(t, strings.HasPrefix(csp, "default-src 'none'; "), csp)
	require.NotContains(t, csp, "unsafe")
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		found := regexp.MustCompile("(?s)<"+tag+">(.*?)</"+tag+">").FindAllStringSubmatch(page, -1)
		require.Len(t, found, 1, tag)
		sum := sha256.Sum256([]byte(found[0][1]))
		require.Contains(t, csp, directive+" 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	require.NotRegexp(t, `(?i)\s(src|on[a-z]+|style)\s*=|url\(|@import|<(link|img|iframe|base)\b`, page)
	require.Equal(t, []string{"https://status.example/?a=1&amp;b=2"}, submatches(page, `href="([^"]*)"`))
	for _, want := range []string{`<html lang="en" data-now="`, `<main class="card">`, `<h1>{reason} {retry} &lt;b&gt;</h1>`, `<p class="message">{status}</p>`, `name="viewport"`, `prefers-color-scheme: dark`} {
		require.Contains(t, page, want)
	}
	now, err := time.Parse(time.RFC3339, submatches(page, `data-now="([^"]*)"`)[0])
	require.NoError(t, err)
	require.InDelta(t, 0, time.Since(now).Seconds(), 60)
	end, err := time.Parse(time.RFC3339, submatches(page, `data-to="([^"]*)"`)[0])
	require.NoError(t, err)
	require.InDelta(t, (300*time.Hour - time.Minute).Seconds(), end.Sub(now).Seconds(), 60)
}

func submatches(text, pattern string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestStatusURL(t *testing.T) {
	t.Parallel()
	const link = `<https://status.example/>; rel="status"`
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("orders", 2*time.Hour, time.Hour, `, announce: 1h, scope: {paths: ["/orders/**"]}`),
			window("ro", 2*time.Hour, time.Hour, `, announce: 1h, mode: read-only, scope: {paths: ["/stock/**"]}`),
			window("try", 2*time.Hour, time.Hour, `, announce: 1h, mode: rehearse, scope: {paths: ["/try/**"]}`))),
			&downtime.Options{StatusURL: "https://status.example/"})
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Link", `</style.css>; rel="preload"`)
		}))
		links := func(target string) []string { return get(h, "GET", target).Header()["Link"] }
		own := []string{`</style.css>; rel="preload"`}
		both := append([]string{link}, own...)
		require.Equal(t, own, links("/orders/1"))
		later(time.Hour)
		require.Equal(t, both, links("/orders/1"), "announced")
		require.Equal(t, own, links("/catalogue"), "not in its scope")
		require.Equal(t, own, links("/try/1"), "users are not told of rehearsals")
		later(time.Hour)
		require.Equal(t, both, links("/stock/1"), "what is read in a read-only window is told too")
		w := get(h, "GET", "/orders/1")
		require.Equal(t, 503, w.Code)
		require.Equal(t, []string{link}, w.Header()["Link"])
		require.Contains(t, w.Body.String(), `"status_url":"https://status.example/"`)
		require.Contains(t, get(h, "GET", "/orders/1", "Accept", "text/plain").Body.String(), "\nStatus: https://status.example/\n")
		later(time.Hour)
		require.Equal(t, own, links("/orders/1"), "over")
	})
	for url, fine := range map[string]bool{
		"/status": true, "http://x": true, "https://x/y?z#w": true, "status": false, "//x/y": false, "javascript:alert(1)": false,
		"https://x/>;rel=": false, "https://x/\r\nSet-Cookie:a=b": false, "https:///x": false, "https://x/\"": false, "mailto:a@b": false, "https://é/": false,
	} {
		g, err := downtime.Open(t.Context(), downtime.Bytes("w", []byte("windows: []")), &downtime.Options{StatusURL: url, Logger: quiet})
		if !fine {
			require.ErrorContains(t, err, "Options.StatusURL", url)
			continue
		}
		require.NoError(t, err, url)
		require.NoError(t, g.Close())
	}
}

// cors is a CORS middleware as applications have it: it answers preflights itself, adds
// headers for the origins that it knows, and has something to expose of its own.
func cors(origin string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Add("Vary", "Origin")
			if r.Header.Get("Origin") != origin {
				next.ServeHTTP(w, r)
				return
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Add("Vary", "Access-Control-Request-Method")
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			h.Set("Access-Control-Expose-Headers", "X-Request-Id")
			next.ServeHTTP(w, r)
		})
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const page = "https://shop.example"
	g := shut(t, `, scope: {paths: ["/orders/**"]}`, &downtime.Options{CORS: cors(page)})
	reached := 0
	h := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))

	w := get(h, "POST", "/orders/1", "Origin", page)
	require.Equal(t, 503, w.Code)
	require.Equal(t, page, w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, []string{"X-Request-Id, Retry-After"}, w.Header()["Access-Control-Expose-Headers"])
	require.Equal(t, []string{"Origin", "Accept"}, w.Header()["Vary"])
	require.NotEmpty(t, w.Header().Get("Retry-After"))

	preflight := []string{"Origin", page, "Access-Control-Request-Method", "POST"}
	w = get(h, "OPTIONS", "/orders/1", preflight...)
	require.Equal(t, 204, w.Code)
	require.Equal(t, "GET, POST", w.Header().Get("Access-Control-Allow-Methods"))
	require.Empty(t, w.Header().Get("Retry-After"))
	require.InDelta(t, 1, g.Stats()["refused"], 0, "a preflight is not counted")

	w = get(h, "GET", "/orders/1", "Origin", "https://evil.example")
	require.Equal(t, 503, w.Code)
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	require.Empty(t, w.Header().Get("Access-Control-Expose-Headers"))
	w = get(h, "OPTIONS", "/orders/1", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	require.Equal(t, 204, w.Code, "without what the browser looks for")
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, 503, get(h, "OPTIONS", "/orders/1", "Origin", page).Code, "no preflight")
	require.Zero(t, reached)
	require.Empty(t, get(h, "GET", "/catalogue", "Origin", page).Header().Get("Access-Control-Allow-Origin"), "what is let in is the application's")
	require.Equal(t, 1, reached)

	stream := get(h, "GET", "/orders/feed", "Origin", page, "Accept", "text/event-stream")
	require.Equal(t, 200, stream.Code)
	require.Equal(t, page, stream.Header().Get("Access-Control-Allow-Origin"))

	plain := shut(t, "", nil).Handler(ok)
	require.Equal(t, 503, get(plain, "OPTIONS", "/", preflight...).Code, "nobody there to answer it")
	outside := cors(page)(plain)
	require.Equal(t, []string{"X-Request-Id, Retry-After"}, get(outside, "GET", "/", "Origin", page).Header()["Access-Control-Expose-Headers"])
}

func TestExposedHeadersAreMerged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		exposed     []string
		credentials bool
		want        []string
	}{
		{nil, false, []string{"Retry-After"}},
		{[]string{"A", "B, C"}, false, []string{"A, B, C, Retry-After"}},
		{[]string{"A, retry-after"}, false, []string{"A, retry-after"}},
		{[]string{"*"}, false, []string{"*"}},
		{[]string{"*"}, true, []string{"*, Retry-After"}},
	} {
		h := shut(t, "", &downtime.Options{CORS: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", "*")
				w.Header()["Access-Control-Expose-Headers"] = slices.Clone(c.exposed)
				if c.credentials {
					w.Header().Set("Access-Control-Allow-Credentials", "true")
				}
				next.ServeHTTP(w, r)
			})
		}}).Handler(ok)
		require.Equal(t, c.want, get(h, "GET", "/").Header()["Access-Control-Expose-Headers"])
	}
}

// A middleware may hand on a request of its own making; the refusal stays one.
func TestCORSThatLosesTheContext(t *testing.T) {
	t.Parallel()
	h := shut(t, "", &downtime.Options{CORS: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(t.Context()))
		})
	}}).Handler(ok)
	w := get(h, "GET", "/")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestRefusalAsAnEventStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, time.Hour, `, message: "One\nTwo"`))), &downtime.Options{RetryJitter: -1})
		h := g.Handler(ok)
		for accept, want := range map[string]int{
			"text/event-stream": 200, "Text/Event-Stream": 200, "text/event-stream, */*": 200, "text/html;q=0.5, text/event-stream": 200,
			"application/json, text/event-stream": 503, "text/event-stream;q=0": 503, "text/*": 503, browser: 503,
		} {
			require.Equal(t, want, get(h, "GET", "/", "Accept", accept).Code, accept)
		}
		require.Equal(t, 503, get(h, "POST", "/", "Accept", "text/event-stream").Code)
		require.Equal(t, 503, get(h, "HEAD", "/", "Accept", "text/event-stream").Code)

		w := get(h, "GET", "/", "Accept", "text/event-stream")
		require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		lines := strings.Split(w.Body.String(), "\n")
		require.Len(t, lines, 5)
		require.Equal(t, []string{"retry: 3600000", "event: maintenance"}, lines[:2])
		require.Equal(t, []string{"", ""}, lines[3:])
		var problem struct{ Window, Detail, End string }
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(lines[2], "data: ")), &problem))
		require.Equal(t, "One\nTwo", problem.Detail)
		require.Equal(t, "2000-01-01T01:00:00Z", problem.End)
		require.InDelta(t, 7, g.Stats()["refused"], 4, "it is a refusal as others are")
	})
}

// request speaks HTTP/1.1 by hand, and returns all that the server says until it closes.
func request(t *testing.T, h http.Handler, head string) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, head)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

// The body of a refused request is not read: a client with 100-continue does not send it, and the guard
// does not wait for a large body.
func TestRefusalDoesNotReadTheBody(t *testing.T) {
	t.Parallel()
	h := shut(t, "", nil).Handler(ok)
	for _, head := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 100<<20),
	} {
		resp, body := request(t, h, head)
		require.Equal(t, 503, resp.StatusCode, head)
		require.True(t, resp.Close, "the connection ends, for the body would follow on it")
		require.Contains(t, body, `"status":503`)
	}
}

// The page of a refused POST does not reload itself, because a browser would do so with GET.
func TestThePageOfAPostDoesNotReloadItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, newSource(windows(window("w", 0, time.Hour, ", title: Orders"))), nil).Handler(ok)
		for method, reloads := range map[string]bool{"GET": true, "POST": false, "PUT": false, "DELETE": false, "QUERY": false, "get": false} {
			w := get(h, method, "/", "Accept", "text/html")
			require.Equal(t, 503, w.Code)
			require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			body := w.Body.String()
			require.Contains(t, body, "<h1>Orders</h1>")
			require.Contains(t, body, `data-now="2000-01-01T00:00:00Z"`)
			require.Equal(t, reloads, strings.Contains(body, `http-equiv="refresh"`), method)
			require.Equal(t, reloads, strings.Contains(body, "reloads itself"), method)
			require.Equal(t, !reloads, strings.Contains(body, "send it again"), method)
		}
		get, head := get(h, "GET", "/", "Accept", "text/html"), get(h, "HEAD", "/", "Accept", "text/html")
		require.Equal(t, get.Header().Get("Content-Length"), head.Header().Get("Content-Length"))
	})
}
