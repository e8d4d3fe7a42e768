package interop_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// A served is one handler, and what a client gets from it wherever it is mounted.
type served struct {
	name  string // folder, type and function; TestEveryHandlerIsWalked compares it with the source
	build func(*testing.T) http.Handler

	// asks are sent to the prefix; a path is what follows the prefix and its slash.
	asks []ask

	// links counts the links of the page at the prefix, all of which must answer 200.
	links int
}

type ask struct {
	method, path, contentType, body string
	status                          int
	contains                        string
}

var handlers = []served{
	{
		name:  "version.Handler",
		build: func(*testing.T) http.Handler { return version.Handler(version.Info{Version: "v1.2.3"}, nil) },
		asks:  []ask{{status: 200, contains: "v1.2.3"}},
	},
	{
		name: "version/history.Collector",
		build: func(t *testing.T) http.Handler {
			c, err := history.NewCollector(&entries{}, &history.CollectorOptions{Authorize: anyone})
			require.NoError(t, err)
			return c
		},
		asks: []ask{{
			method: "POST", contentType: "application/x-ndjson", status: 200, contains: `"accepted":1`,
			body: `{"id":"e1","kind":"noted","time":"2026-11-20T11:20:00Z","event":{"kind":"flag","subject":"express"}}` + "\n",
		}},
	},
	{
		name: "pkgmgmt/sbom.Handler",
		build: func(*testing.T) http.Handler {
			return sbom.Handler(&debug.BuildInfo{Path: "shop.example/shop", Main: debug.Module{Path: "shop.example/shop", Version: "v1.2.3"}}, nil)
		},
		asks: []ask{{status: 200, contains: "CycloneDX"}},
	},
	{
		name: "downtime/status.Handler",
		build: func(t *testing.T) http.Handler {
			h, err := status.Handler(guard(t), &status.Options{Authorize: anyone})
			require.NoError(t, err)
			return h
		},
		asks:  append(maintenance(), ask{path: "status.json", status: 200, contains: "db-upgrade"}),
		links: 4,
	},
	{
		name: "downtime/status.PublicHandler",
		build: func(t *testing.T) http.Handler {
			h, err := status.PublicHandler(guard(t), nil)
			require.NoError(t, err)
			return h
		},
		asks:  maintenance(),
		links: 3,
	},
	{
		name:  "downtime.Guard.BypassHandler",
		build: func(t *testing.T) http.Handler { return guard(t).BypassHandler() },
		asks: []ask{
			{status: 200, contains: "<form"},
			{method: "POST", contentType: "application/x-www-form-urlencoded", body: "token=x", status: 403, contains: "refused"},
			{method: "POST", contentType: "application/x-www-form-urlencoded", body: "leave=1", status: 200, contains: "<form"},
		},
	},
	{
		name: "observe/capture.Handler",
		build: func(t *testing.T) http.Handler {
			store, err := capture.NewDir(t.TempDir(), nil)
			require.NoError(t, err)
			b := &capture.Bundle{Log: capture.Log{Details: capture.Details{Schema: 1, RequestID: "ticket-4711", Route: "/carts/{cart}"}}}
			redactor, err := capture.NewRedactor(&capture.Redaction{Key: make([]byte, 32)})
			require.NoError(t, err)
			require.NoError(t, redactor.Redact(b))
			data, err := b.Encode()
			require.NoError(t, err)
			require.NoError(t, store.Put(t.Context(), capture.NewName(time.Now()), data))
			h, err := capture.Handler(store, &capture.HandlerOptions{Authorize: anyone})
			require.NoError(t, err)
			return h
		},
		asks:  []ask{{status: 200, contains: "ticket-4711"}, {path: "?request=ticket-4711", status: 200, contains: "ticket-4711"}},
		links: 1,
	},
}

func maintenance() []ask {
	return []ask{
		{status: 200, contains: "Database upgrade"},
		{path: "calendar.ics", status: 200, contains: "BEGIN:VEVENT"},
		{path: "upcoming.json", status: 200, contains: "Database upgrade"},
		{path: "active.json", status: 200, contains: "scheduled_maintenances"},
		{path: "api/v2/scheduled-maintenances/upcoming.json", status: 200, contains: "Database upgrade"},
		{path: "scheduled-maintenances.json", status: 200, contains: "Database upgrade"},
		{path: "summary.json", status: 200, contains: "Database upgrade"},
		{path: "api/v2/status.json", status: 200, contains: "indicator"},
		{path: "nothing.json", status: 404},
	}
}

func anyone(*http.Request) (string, error) { return "ann", nil }

// entries drops what is appended.
type entries struct{}

func (*entries) Append(context.Context, ...history.Entry) error { return nil }

func guard(t *testing.T) *downtime.Guard {
	t.Helper()
	document := "windows: [{id: db-upgrade, title: Database upgrade, start: " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + ", duration: 2h, announce: 24h}]"
	g, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", []byte(document)), &downtime.Options{
		Logger: slog.New(slog.DiscardHandler),
		Bypass: &downtime.Bypass{Keys: map[string]ed25519.PublicKey{"a": make(ed25519.PublicKey, ed25519.PublicKeySize)}, Audience: "shop"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// mounts are the ways to mount a handler. Each returns the whole server, and whether it
// answers at the prefix without a slash at its end.
var mounts = []struct {
	name  string
	mount func(prefix string, h http.Handler) (server http.Handler, bare bool)
}{
	{"below a prefix", func(prefix string, h http.Handler) (http.Handler, bool) {
		return mux(prefix, h), true
	}},
	{"with the prefix stripped", func(prefix string, h http.Handler) (http.Handler, bool) {
		return mux(prefix, http.StripPrefix(prefix, h)), true
	}},
	{"with the prefix and its slash stripped", func(prefix string, h http.Handler) (http.Handler, bool) {
		return mux(prefix, http.StripPrefix(prefix+"/", h)), false
	}},
	{"behind a proxy that strips another prefix", func(prefix string, h http.Handler) (http.Handler, bool) {
		inner := mux(prefix, h)
		proxy := &httputil.ReverseProxy{
			Transport: transport{inner},
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "inner.example"}) },
		}
		return mux("/edge"+prefix, http.StripPrefix("/edge", proxy)), prefix != ""
	}},
}

// mux serves h at the prefix and everything below it.
func mux(prefix string, h http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle(prefix+"/", h)
	if prefix != "" {
		m.Handle(prefix, h)
	}
	return m
}

// transport sends requests to a handler as a server would get them.
type transport struct{ h http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.h.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

var link = regexp.MustCompile(`<a [^>]*href="([^"]*)"`)

// elsewhere are the handlers that are not walked: their protocols fix their paths.
var elsewhere = []string{"pkgmgmt/registry.Registry", "flags/ofrep.NewHandler"}

// TestEveryHandlerIsWalked finds the handlers in the lists of exported names: types with
// ServeHTTP, and functions that return an http.Handler and take none.
func TestEveryHandlerIsWalked(t *testing.T) {
	t.Parallel()
	walked := slices.Clone(elsewhere)
	for _, s := range handlers {
		walked = append(walked, s.name)
	}
	lists, err := filepath.Glob(filepath.Join("..", "layers", "testdata", "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, lists)
	method := regexp.MustCompile(`^func (?:\(\w+ \*?(\w+)\) )?(\w+)\((.*)\) (\([^()]+\)|[^()]+)$`)
	var found []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		require.NoError(t, err)
		folder := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(list), ".txt"), "_", "/")
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if typ, ok := strings.CutSuffix(line, ") ServeHTTP(w http.ResponseWriter, r *http.Request)"); ok {
				found = append(found, folder+"."+typ[strings.LastIndexAny(typ, " *")+1:])
			}
			m := method.FindStringSubmatch(line)
			if m == nil || strings.Contains(m[3], "http.Handler") || m[4] != "http.Handler" && !strings.HasPrefix(m[4], "(http.Handler,") {
				continue
			}
			if m[1] != "" {
				m[1] += "."
			}
			found = append(found, folder+"."+m[1]+m[2])
		}
	}
	require.ElementsMatch(t, found, walked)
}

// TestEveryHandlerWorksUnderAnyPrefix walks all handlers of the five packages, except the
// module registry and OFREP, whose protocols fix their paths. Each is mounted in several ways,
// at a prefix with and without a slash at its end, and is asked as a browser would: redirects
// and links are followed, and none leaves the prefix.
func TestEveryHandlerWorksUnderAnyPrefix(t *testing.T) {
	t.Parallel()
	for _, s := range handlers {
		for _, m := range mounts {
			for _, prefix := range []string{"", "/x", "/-/ops/v2", "/v1.2", "/café"} {
				t.Run(s.name+"/"+m.name+"/"+strings.TrimPrefix(prefix, "/"), func(t *testing.T) {
					t.Parallel()
					server, bare := m.mount(prefix, s.build(t))
					base := (&url.URL{Scheme: "http", Host: "shop.example", Path: prefix}).String()
					if strings.HasPrefix(m.name, "behind") {
						base = (&url.URL{Scheme: "http", Host: "shop.example", Path: "/edge" + prefix}).String()
					}
					c := &browser{t: t, client: &http.Client{Transport: transport{server}}, base: base}
					c.walk(s, base+"/")
					if bare && prefix != "" {
						c.walk(s, base)
					}
				})
			}
		}
	}
}

// A browser asks a handler that is mounted at base.
type browser struct {
	t      *testing.T
	client *http.Client
	base   string
}

// walk sends the asks to the prefix as written, and follows the links of its page.
func (b *browser) walk(s served, at string) {
	b.t.Helper()
	for _, a := range s.asks {
		target := at
		switch {
		case strings.HasPrefix(a.path, "?"):
			target += a.path
		case a.path != "":
			target = b.base + "/" + a.path
		}
		resp, body := b.send(a, target)
		place := a.method + " " + target
		require.Equal(b.t, a.status, resp.StatusCode, place)
		require.True(b.t, strings.Contains(body, a.contains), "%s: %q is not in the answer", place, a.contains) // without the whole page
	}
	if s.links == 0 {
		return
	}
	page, body := b.send(ask{}, at)
	found := link.FindAllStringSubmatch(body, -1)
	require.Len(b.t, found, s.links, at)
	for _, f := range found {
		target, err := page.Request.URL.Parse(strings.ReplaceAll(f[1], "&amp;", "&"))
		require.NoError(b.t, err)
		resp, body := b.send(ask{}, target.String())
		require.Equal(b.t, 200, resp.StatusCode, "the link %q at %s", f[1], page.Request.URL)
		require.NotEmpty(b.t, body)
		require.NotContains(b.t, resp.Header.Get("Content-Type"), "text/html", "the link %q at %s leads to the page itself", f[1], page.Request.URL)
	}
}

func (b *browser) send(a ask, target string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), a.method, target, strings.NewReader(a.body))
	require.NoError(b.t, err)
	r.Header.Set("Accept", "text/html,application/json;q=0.9,*/*;q=0.8")
	if a.contentType != "" {
		r.Header.Set("Content-Type", a.contentType)
	}
	resp, err := b.client.Do(r)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	at := resp.Request.URL.String()
	require.True(b.t, at == b.base || strings.HasPrefix(at, b.base+"/") || strings.HasPrefix(at, b.base+"?"), "%s leaves %s", at, b.base)
	return resp, string(body)
}
