package schedule_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// read returns the request that a server reads from the wire.
func read(t testing.TB, method, target, host string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	require.NoError(t, err, target)
	return r
}

func TestScopePaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		in, out []string
	}{
		{"/orders", []string{"/orders", "/orders/"}, []string{"/", "/orders/1", "/ordersx", "/Orders", "/order"}},
		{"/orders/", []string{"/orders", "/orders/", "/orders/1", "/orders/1/2"}, []string{"/", "/ordersx", "/x/orders"}},
		{"/orders/{$}", []string{"/orders/", "/orders"}, []string{"/orders/1"}},
		{"/orders/{id}", []string{"/orders/1", "/orders/1/", "/orders/a%2Fb", "/%6frders/a%2Fb"}, []string{"/orders", "/orders/1/2"}},
		{"/orders/{id}/items", []string{"/orders/1/items"}, []string{"/orders/items", "/orders/1/2/items"}},
		{"/orders/{rest...}", []string{"/orders", "/orders/", "/orders/1/2"}, []string{"/ordersx"}},
		{"/**", []string{"/", "/x", "*", "/x/y"}, nil},
		{"/", []string{"/", "/x"}, nil},
		{"/{$}", []string{"/", "//", "/.", "/x/.."}, []string{"/x"}},
		{"/**/export", []string{"/export", "/a/export", "/a/b/export", "/a/export/export"}, []string{"/export/a", "/a/exports"}},
		{"/a/**/b/**/c", []string{"/a/b/c", "/a/x/b/y/z/c", "/a/b/b/c/c"}, []string{"/a/c/b", "/a/b", "/b/c"}},
		{"/caf%C3%A9", []string{"/caf%C3%A9", "/café"}, []string{"/cafe"}},
		{"/orders/**", []string{
			"/orders", "/orders/", "/orders/1", "/orders/1?x=/y", "/orders?x",
			"/%6frders/1", "/%6Frders", "/orders%2F1", "/orders%2f1", // encoded letters and slashes
			"/%256frders/1", "/orders%252F1", "/%25256frders/1", // decoded twice and thrice on the way
			"//orders/1", "///orders", "/.//orders/1", "/./orders/1", "/x/../orders/1", "/x/y/../../orders", "/x//../orders",
			"/x/%2e%2e/orders/1", "/x/.%2e/orders/1", "/x/%252e%252e/orders", "/%2e/orders", "/../orders/1", "/..%2forders/1",
			"/orders/../catalogue", // a router that does not clean takes it for orders
			`/\orders/1`, `/x\..\orders/1`, "/%5corders/1", "/%5Corders", "/x%5c..%5corders",
			"/orders;v=1/1", "/orders;v=1", "/x/..;/orders/1", "/orders%3bv=1/1", "/;/orders/1", "/x;/../orders",
			"/orders%00/1", "/x%00", "/%0aorders", "/x%7f", // invalid in a path
			"/x/%c0%af", "/%ff", // not UTF-8
			"http://shop.example/orders/1", "http://shop.example//orders/1", "http:orders/1", // absolute-form
			"/%25252525256f",                    // encoded too many times
			"/%62" + strings.Repeat("/x", 2000), // too long to try every reading
		}, []string{
			"/", "/catalogue", "/ordersx/1", "/order", "/x/orders", "/Orders/1", "/catalogue/orders",
			"/catalogue%20x", "/%63atalogue", "/catalogue;v=1", "/x/./y", "/.well-known/x", "/100%25", "/caf%C3%A9/x", "//catalogue", "/a%2Fb",
			"http://orders/catalogue", "*",
		}},
	} {
		has := schedule.Matcher(schedule.Scope{Paths: []string{c.pattern}})
		for _, target := range c.in {
			require.True(t, has(read(t, "GET", target, "shop.example")), "%s has %q", c.pattern, target)
		}
		for _, target := range c.out {
			require.False(t, has(read(t, "GET", target, "shop.example")), "%s has not %q", c.pattern, target)
		}
	}
	// A client cannot send these, but middleware can make them.
	has := schedule.Matcher(schedule.Scope{Paths: []string{"/orders/**"}})
	require.True(t, has(&http.Request{URL: &url.URL{Path: "orders/1"}}))
	require.False(t, has(&http.Request{URL: &url.URL{}}))
	require.True(t, has(&http.Request{URL: &url.URL{Path: "/x", RawPath: "/orders/1"}}))
	require.True(t, schedule.Matcher(schedule.Scope{Paths: []string{"/{$}"}})(&http.Request{URL: &url.URL{}}))
	require.True(t, has(&http.Request{Method: "CONNECT", URL: &url.URL{Host: "x:1", Opaque: "x:1"}}))
}

func TestScopePatternsRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"", "orders", "GET /orders", "shop.example/orders", "/orders/*", "/orders*", "/a/***", "//", "/a//b", "/./a", "/a/../b",
		"/{", "/{}", "/{a", "/a}", "/{a}b", "/{1a}", "/{a...}/b", "/{$}/b", "/{a-b}", "/a%", "/a%zz", "/a%ff", "/a?b", "/a#b",
		`/a\b`, "/a;b", "/a\x00", "/a\n",
	} {
		require.Error(t, schedule.CheckPattern(p), p)
	}
}

func TestScopeHosts(t *testing.T) {
	t.Parallel()
	has := schedule.Matcher(schedule.Scope{Hosts: []string{"shop.example", "*.b.example", "2001:db8::1", "10.0.0.1"}})
	for _, h := range []string{
		"shop.example", "SHOP.example", "shop.example:8080", "shop.example.", "shop.example.:80", "shop.example:",
		"a.b.example", "x.A.B.example:1", "[2001:db8::1]", "[2001:DB8:0::1]:443", "10.0.0.1:80", "[::ffff:10.0.0.1]",
		"", ":80", "a b", "shop..example", "[::1", "2001:db8::1", "é.example", "x/y", // invalid, so in doubt
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = h
		require.True(t, has(r), "%q", h)
	}
	for _, h := range []string{"example", "b.example", "xb.example", "notshop.example", "shop.example.evil", "[2001:db8::2]", "10.0.0.2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = h
		require.False(t, has(r), "%q", h)
	}
	require.True(t, has(read(t, "GET", "http://shop.example/x", "other.example")), "absolute-form wins over Host")
	r := httptest.NewRequest("GET", "/", nil)
	r.Host, r.URL.Host = "other.example", "shop.example"
	require.True(t, has(r))
}

func TestScopeMethodsAndLists(t *testing.T) {
	t.Parallel()
	request := func(method, host, target string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Method, r.Host = method, host
		return r
	}
	get := schedule.Matcher(schedule.Scope{Methods: []string{"GET"}})
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "": true, "get": true, "POST": false} {
		require.Equal(t, want, get(request(method, "h", "/")), method)
	}
	head := schedule.Matcher(schedule.Scope{Methods: []string{"HEAD"}})
	require.False(t, head(request("GET", "h", "/")))

	all := schedule.Matcher(schedule.Scope{Methods: []string{"POST"}, Hosts: []string{"h"}, Paths: []string{"/orders/**"}, Work: []string{"w"}})
	require.True(t, all(request("POST", "h", "/orders/1")))
	require.False(t, all(request("GET", "h", "/orders/1")))
	require.False(t, all(request("POST", "i", "/orders/1")))
	require.False(t, all(request("POST", "h", "/x")))

	require.False(t, schedule.Matcher(schedule.Scope{Work: []string{"*"}})(request("GET", "h", "/")), "work alone has no requests")
	require.True(t, schedule.Matcher(schedule.Scope{})(request("GET", "h", "/")), "the empty scope has everything")
}

// FuzzScopePath searches for a target that some router sends to the orders but the scope does
// not cover.
func FuzzScopePath(f *testing.F) {
	for _, target := range []string{
		"/orders/1", "/orders%2F1", "/%6frders/1", "//orders", "/x/../orders/1", "/x/%2e%2e/orders", "/%256frders/1", `/x\..\orders`,
		"/orders;v=1/1", "/x/..;/orders/1", "http://h/orders/1", "/orders%00/x", "/orders/../x", "*", "/orders/%2e%2e/%2e%2e/x", "/a%2f..%2forders",
	} {
		f.Add(target)
	}
	below := schedule.Matcher(schedule.Scope{Paths: []string{"/orders/**"}})
	single := schedule.Matcher(schedule.Scope{Paths: []string{"/orders/{id}"}})

	mux := http.NewServeMux()
	mux.HandleFunc("/orders/{rest...}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/orders", func(http.ResponseWriter, *http.Request) {})
	one := http.NewServeMux()
	one.HandleFunc("/orders/{id}", func(http.ResponseWriter, *http.Request) {})

	isOrders := func(p string) bool { return p == "/orders" || strings.HasPrefix(p, "/orders/") }
	naive := map[string]func(*http.Request) bool{
		"the mux":      func(r *http.Request) bool { _, p := mux.Handler(r); return p != "" },
		"a prefix":     func(r *http.Request) bool { return isOrders(r.URL.Path) },
		"the raw path": func(r *http.Request) bool { return isOrders(r.URL.EscapedPath()) },
		"clean":        func(r *http.Request) bool { return isOrders(path.Clean("/" + r.URL.Path)) },
		"clean, raw":   func(r *http.Request) bool { return isOrders(path.Clean("/" + r.URL.EscapedPath())) },
		"clean, then decode": func(r *http.Request) bool {
			p, err := url.PathUnescape(path.Clean("/" + r.URL.EscapedPath()))
			return err == nil && isOrders(p)
		},
		"decode twice": func(r *http.Request) bool {
			p, err := url.PathUnescape(r.URL.Path)
			return err == nil && (isOrders(p) || isOrders(path.Clean("/"+p)))
		},
		"backslashes": func(r *http.Request) bool {
			return isOrders(path.Clean("/" + strings.ReplaceAll(r.URL.Path, `\`, "/")))
		},
		"parameters": func(r *http.Request) bool {
			parts := strings.Split(r.URL.Path, "/")
			for i, p := range parts {
				parts[i], _, _ = strings.Cut(p, ";")
			}
			p := strings.Join(parts, "/")
			return isOrders(p) || isOrders(path.Clean("/"+p))
		},
		"resolved as a reference": func(r *http.Request) bool {
			u := (&url.URL{Scheme: "http", Host: "h", Path: "/"}).ResolveReference(r.URL)
			return isOrders(u.Path)
		},
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			t.Skip("no request that a server would hand on")
		}
		for name, routes := range naive {
			if routes(r) && !below(r) {
				t.Fatalf("%q (path %q, raw %q): %s takes it for orders, the scope does not", target, r.URL.Path, r.URL.RawPath, name)
			}
		}
		if _, p := one.Handler(r); p != "" && !single(r) {
			t.Fatalf("%q (path %q, raw %q): the mux takes it for one order, the scope does not", target, r.URL.Path, r.URL.RawPath)
		}
	})
}

// FuzzScopePattern checks that every accepted pattern works in the matcher.
func FuzzScopePattern(f *testing.F) {
	for _, p := range []string{"/orders/**", "/{a}/{b...}", "/{$}", "/**/x/**", "/a%2Fb", "/é"} {
		f.Add(p, "/orders/a/b%2Fc/../x")
	}
	f.Fuzz(func(t *testing.T, pattern, target string) {
		if schedule.CheckPattern(pattern) != nil {
			t.Skip("no pattern")
		}
		has := schedule.Matcher(schedule.Scope{Paths: []string{pattern}})
		if u, err := url.ParseRequestURI(target); err == nil {
			has(&http.Request{Method: "GET", URL: u})
		}
		// A pattern without wildcards matches itself.
		if !strings.ContainsAny(pattern, "{*") {
			if u, err := url.ParseRequestURI(pattern); err == nil && !has(&http.Request{Method: "GET", URL: u}) {
				t.Fatalf("%q does not have itself", pattern)
			}
		}
	})
}

func TestHostThatIsNone(t *testing.T) {
	t.Parallel()
	has := schedule.Matcher(schedule.Scope{Hosts: []string{"shop.example"}})
	for _, host := range []string{"shop.example..", "shop.example..:80", "other.example.."} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		require.True(t, has(r), host)
	}
}

// A path with the most readings at each decoding is in doubt before it costs megabytes.
func TestCostlyPath(t *testing.T) {
	has := schedule.Matcher(schedule.Scope{Paths: []string{"/orders/**"}})
	r := httptest.NewRequest("GET", "/%252561"+strings.Repeat(";//./", 400), nil)
	require.True(t, has(r))
	const times = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		has(r)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/times, uint64(300<<10))
}

// BenchmarkHostilePath measures the most expensive paths, which have an oddity for every way of
// reading: the longest path that is not in doubt, and a path that is in doubt after the most work
// that the bounds allow.
func BenchmarkHostilePath(b *testing.B) {
	has := schedule.Matcher(schedule.Scope{Paths: []string{"/orders/**", "/a/{b}/**/c"}})
	hostile := func(n int) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawPath = strings.Repeat(`/..%252F;%5C`, n)
		r.URL.Path = strings.Repeat(`/..%2F;\`, n)
		return r
	}
	n := 1
	for !has(hostile(n + 1)) { // a path in doubt is in every scope
		n++
	}
	require.Greater(b, n, 50, "long enough to be expensive")
	for name, r := range map[string]*http.Request{"longest": hostile(n), "in doubt": hostile(n + 1)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				has(r)
			}
		})
	}
}
