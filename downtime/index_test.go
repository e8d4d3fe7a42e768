package downtime_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// randomScopes draws scopes of all shapes from few words, so that they have much in
// common with one another and with the requests.
func randomScopes(r *rand.Rand, n int) []downtime.Scope {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	list := func(most int, one func() string) (out []string) {
		for range r.IntN(most + 1) {
			out = append(out, one())
		}
		return out
	}
	path := func() string {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteString("/" + pick("a", "b", "c", "a", "b", "{x}", "**", "a%2Fb", "é", "a.b", "..a"))
		}
		switch end := pick("", "", "/", "/{$}", "/{rest...}", "/**"); {
		case b.Len() == 0 && end == "":
			return "/"
		default:
			return b.String() + end
		}
	}
	scopes := make([]downtime.Scope, n)
	for i := range scopes {
		s := &scopes[i]
		switch r.IntN(20) {
		case 0: // everything
		case 1:
			s.Work = []string{"import"}
		default:
			if r.IntN(4) > 0 {
				s.Paths = list(3, path)
			}
			s.Methods = list(1, func() string { return pick("GET", "POST", "HEAD") })
			if r.IntN(3) == 0 {
				s.Hosts = list(3, func() string { return pick("a.example", "*.example", "b.a.example", "*.a.example", "10.0.0.1", "::1") })
			}
		}
	}
	return scopes
}

// The index and asking each scope say the same, whatever is asked.
func TestTheIndexAgreesWithAskingEach(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	rounds := 1000
	if testing.Short() {
		rounds = 200
	}
	inside := 0
	for range rounds {
		scopes := randomScopes(r, 1+r.IntN(20))
		byIndex, byAsking := downtime.Matchers(scopes)
		for range 20 {
			var b strings.Builder
			for range r.IntN(5) {
				b.WriteString(pick("/", "/", "/", "/", "//", "/./", `\`, "/x/../", "%2f", "/;p/"))
				b.WriteString(pick("a", "b", "c", "d", "a", "b", "%61", "%2561", "a;v=1", "..", "", "é", "%2e%2e", "a%2fb", "%ff", "a.b"))
			}
			req := &http.Request{
				Method: pick("GET", "GET", "HEAD", "POST", "put", ""),
				Host:   pick("a.example", "A.example:80", "b.a.example.", "example", "10.0.0.1", "[::1]:8080", "::1", "", "x y"),
			}
			if u, err := url.ParseRequestURI(b.String()); err == nil {
				req.URL = u
			} else {
				req.URL = &url.URL{Path: b.String()} // what a wrapper can make
			}
			if r.IntN(8) == 0 {
				req.URL.Host = pick("a.example", "c.example", "?")
			}
			want := byAsking(req)
			require.Equal(t, want, byIndex(req), "%+v asked for %v %q (raw %q), host %q, url host %q",
				scopes, req.Method, req.URL.Path, req.URL.RawPath, req.Host, req.URL.Host)
			for _, in := range want {
				if in {
					inside++
				}
			}
		}
	}
	require.Greater(t, inside, rounds, "hardly anything was ever in a scope: nothing was tested")
}

// FuzzScopeIndex: no target and no host tells the index from asking each scope.
func FuzzScopeIndex(f *testing.F) {
	for _, target := range []string{
		"/a/b", "/", "/%61/b", "//a", "/x/../a/b", "/%2561", `/x\..\a`, "/a;v=1/b", "http://a.example/a", "/a%00/x", "*", "/a/", "/a//",
		"/" + strings.Repeat("%25", 8) + "61", "/b/a%2Fb", "/é",
	} {
		f.Add(target, "a.example", uint64(len(target)))
	}
	f.Add("/a", "::1", uint64(1))
	f.Fuzz(func(t *testing.T, target, host string, seed uint64) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			t.Skip("no request that a server would hand on")
		}
		r.Host = host
		byIndex, byAsking := downtime.Matchers(randomScopes(rand.New(rand.NewPCG(seed, 0)), 12))
		require.Equal(t, byAsking(r), byIndex(r), "%q (path %q, raw %q), host %q", target, r.URL.Path, r.URL.RawPath, host)
	})
}

// A guard with many scopes, more than it makes classes for beforehand and more than it
// keeps, refuses what is in each of them and nothing else.
func TestManyScopes(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 60 {
		lines = append(lines, window(fmt.Sprintf("p%d", i), -1e9, 1e12, fmt.Sprintf(`, mode: read-only, scope: {paths: ["/a%d/**", "/**/x%d"], hosts: ["h%d.example", both.example]}`, i, i, i)))
	}
	g := open(t, downtime.Bytes("w", []byte(windows(lines...))), nil)
	h := g.Handler(ok)
	code := func(method, host, target string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, nil)
		r.Host = host
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 200, code("POST", "h1.example", "/b"))
	require.Equal(t, 200, code("POST", "h1.example", "/a2"))
	for i := range 60 {
		own := fmt.Sprintf("h%d.example", i)
		require.Equal(t, 503, code("POST", own, fmt.Sprintf("/a%d/1", i)))
		require.Equal(t, 200, code("GET", own, fmt.Sprintf("/a%d/1", i)))
		require.Equal(t, 503, code("POST", own, fmt.Sprintf("/b/x%d", i)))
		require.Equal(t, 503, code("POST", "both.example", fmt.Sprintf("/a%d/x%d", i, (i+1)%60)), "in two")
		require.Equal(t, 200, code("POST", "other.example", fmt.Sprintf("/a%d/1", i)))
	}
	for i := range 60 {
		for j := range 60 { // each another class: more than are kept
			require.Equal(t, 503, code("POST", "both.example", fmt.Sprintf("/a%d/x%d", i, j)))
		}
	}
	require.InDelta(t, 0, g.Stats()["in_flight"], 0)
}

// A path is plain in whichever way it is looked at.
func TestPlainPaths(t *testing.T) {
	t.Parallel()
	check := func(path string) bool {
		fast, slow := downtime.IsPlain(path)
		require.Equal(t, slow, fast, "%q", path)
		return fast
	}
	plain := 0
	for _, base := range []string{"/", "/a", "/orders/1", "/orders/1/", "/orders/1/items/2/x", "/catalogue/some-longer_name.html/and~more"} {
		require.True(t, check(base), base)
		for i := range len(base) {
			for c := range 256 { // each byte in each place
				if check(base[:i] + string([]byte{byte(c)}) + base[i+1:]) {
					plain++
				}
				check(base[:i] + string([]byte{byte(c)}) + base[i:])
			}
		}
		for i := range len(base) - 1 {
			for _, two := range []string{"//", "/.", "./", "..", "\x80\x7f", "\xff/", "%/", "/\xaf"} {
				check(base[:i] + two + base[i+2:])
			}
		}
	}
	require.Positive(t, plain)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := []byte{'/'}
		for range r.IntN(40) {
			b = append(b, "/./abcdefgh%;\\\x00\x1f \x7f\x80\xc3\xff"[r.IntN(21)])
		}
		check(string(b))
	}
}
