package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/sumdb/note"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A transport is an http.RoundTripper made of a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An origin is an upstream on loopback with modules below public.example and a checksum
// database.
type origin struct {
	*registry.Registry
	url, sumDB string
	client     *http.Client

	mu      sync.Mutex
	asked   map[string]int
	instead func(path string) http.Handler // a nil handler means the usual answer
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{asked: map[string]int{}}
	o.Registry = fresh(t, func(o *registry.Options) { o.Private = []string{"public.example"} })
	signer, verifier, err := note.GenerateKey(nil, "sums.example")
	require.NoError(t, err)
	o.sumDB = verifier
	db := sumdb.NewServer(sumdb.NewTestServer(signer, func(path, version string) ([]byte, error) {
		record, err := (&registry.Client{URL: o.url, HTTP: o.client}).Record(t.Context(), module.Version{Path: path, Version: version})
		if err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, "%s %s %s\n%[1]s %[2]s/go.mod %[4]s\n", path, version, record.Sum, record.GoModSum), nil
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/@record/") { // from the database above
			o.Registry.ServeHTTP(w, r)
			return
		}
		o.mu.Lock()
		o.asked[r.URL.Path]++
		instead := o.instead
		o.mu.Unlock()
		if instead != nil {
			if h := instead(r.URL.Path); h != nil {
				h.ServeHTTP(w, r)
				return
			}
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, "/sumdb/sums.example"); ok {
			if rest == "/supported" {
				return
			}
			r.URL.Path = rest
			db.ServeHTTP(w, r)
			return
		}
		o.Registry.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o.url, o.client = server.URL, server.Client()
	return o
}

func (o *origin) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

func (o *origin) paths() (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for path := range o.asked {
		all = append(all, path)
	}
	return all
}

// replace answers requests for a path, or for all paths if it is empty, with a handler. A nil
// handler restores the usual answers.
func (o *origin) replace(path string, h http.Handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.instead = func(asked string) http.Handler {
		if path == "" || asked == path {
			return h
		}
		return nil
	}
}

func text(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// publish adds a version of public.example/lib.
func (o *origin) publish(t testing.TB, version, content string) []byte {
	body := lib(t, "public.example/lib@"+version, content)
	put(t, o.Registry, http.StatusCreated, "public.example/lib@"+version, body)
	return body
}

// through returns a registry with the origin as its upstream, and the folder of its cache.
func (o *origin) through(t testing.TB, change ...func(*registry.Upstream)) (*registry.Registry, string) {
	t.Helper()
	up := &registry.Upstream{URL: o.url, HTTP: o.client, SumDB: o.sumDB, Fresh: time.Nanosecond}
	for _, c := range change {
		c(up)
	}
	dir := t.TempDir()
	opts := quiet()
	opts.Upstream = up
	return open(t, registry.Dir(dir), opts), filepath.Join(dir, ".upstream")
}

const libPath = "/public.example/lib/@v/"

func TestUpstreamOptions(t *testing.T) {
	t.Parallel()
	for want, up := range map[string]registry.Upstream{
		"URL: must be the http or https URL": {URL: "proxy.example"},
		"URL: must be the http or":           {URL: "https://user:secret@proxy.example,direct?x"},
		"must not be negative":               {URL: "https://proxy.example", Fresh: -1},
		"SumDB: must be sum.golang.org, off": {URL: "https://proxy.example", SumDB: "sums.example"},
		"SumDB: must not have a URL":         {URL: "https://proxy.example", SumDB: "sum.golang.org https://sum.golang.org"},
	} {
		opts := quiet()
		opts.Upstream = &up
		_, err := registry.New(registry.Dir("x"), opts)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: "https://proxy.example"}
	_, err := registry.New(plainStore{registry.Dir("x")}, opts)
	require.ErrorContains(t, err, "Dir: is required")
}

// A plainStore hides that a store is a Dir.
type plainStore struct{ registry.Store }

func TestUpstreamRead(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	zip := o.publish(t, "v1.0.0", "one")
	o.publish(t, "v1.1.0-rc.1", "two")
	put(t, o.Registry, http.StatusCreated, "public.example/!lib@v1.0.0", lib(t, "public.example/Lib@v1.0.0", "upper"))
	require.NoError(t, (&registry.Client{URL: o.url, HTTP: o.client}).SetChannel(t.Context(), at("public.example/lib", "v1.0.0"), "main", "x"))
	reg, _ := o.through(t)

	w := get(reg, libPath+"v1.0.0.zip")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, zip, w.Body.Bytes())
	require.Regexp(t, `^"h1:.{44}"$`, w.Header().Get("Etag"))
	require.Equal(t, "private, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
	require.Equal(t, http.StatusNotModified, get(reg, libPath+"v1.0.0.zip", "If-None-Match", w.Header().Get("Etag")).Code)
	require.Equal(t, "v1.0.0\nv1.1.0-rc.1\n", get(reg, libPath+"list").Body.String())
	require.Equal(t, "no-cache", get(reg, libPath+"list").Header().Get("Cache-Control"))
	require.Contains(t, get(reg, "/public.example/lib/@latest").Body.String(), `"Version":"v1.0.0"`)
	require.Contains(t, get(reg, libPath+"main.info").Body.String(), `"Version":"v1.0.0"`)
	require.Contains(t, get(reg, libPath+"v1.1.0-rc.1.info").Body.String(), `"Version":"v1.1.0-rc.1"`)
	require.Equal(t, "module public.example/lib\n\ngo 1.24\n", get(reg, libPath+"v1.0.0.mod").Body.String())
	require.Equal(t, http.StatusOK, get(reg, "/public.example/!lib/@v/v1.0.0.zip").Code)

	for path, status := range map[string]int{
		libPath + "v9.0.0.info": 404, libPath + "v9.0.0.mod": 404, libPath + "v9.0.0.zip": 404, "/public.example/none/@v/list": 404, "/public.example/none/@latest": 404,
		libPath + "main.zip": 404, libPath + "main.mod": 404, libPath + "v1.0.0.exe": 404, "/public.example/lib/@channels": 404, "/sumdb/sums.example/other": 404, "/sumdb/sums.example/tile/8/x": 404,
	} {
		require.Equal(t, status, get(reg, path).Code, path)
	}
	require.Equal(t, http.StatusNotFound, ask(reg, http.MethodPut, libPath+"v1.2.0.zip", bytes.NewReader(zip)).Code)

	// Versions are fetched once, other files again when they are not fresh.
	for range 3 {
		for _, name := range []string{"v1.0.0.zip", "v1.0.0.mod", "v1.1.0-rc.1.info", "list"} {
			require.Equal(t, http.StatusOK, get(reg, libPath+name).Code)
		}
	}
	require.Equal(t, []int{1, 1, 1}, []int{o.count(libPath + "v1.0.0.zip"), o.count(libPath + "v1.0.0.mod"), o.count(libPath + "v1.1.0-rc.1.info")})
	require.Equal(t, 5, o.count(libPath+"list"))
	reg, _ = o.through(t, func(up *registry.Upstream) { up.Fresh = time.Hour })
	for range 3 {
		require.Equal(t, http.StatusOK, get(reg, libPath+"list").Code)
		require.Equal(t, http.StatusNotFound, get(reg, "/public.example/other/@v/list").Code)
	}
	require.Equal(t, []int{6, 1}, []int{o.count(libPath + "list"), o.count("/public.example/other/@v/list")})
}

func TestUpstreamIsAuthorized(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.publish(t, "v1.0.0", "one")
	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: o.url, HTTP: o.client}
	opts.Authorize = registry.Basic(registry.User{Name: "ada", Secret: "x"})
	reg := open(t, registry.Dir(t.TempDir()), opts)
	for _, path := range []string{libPath + "list", "/sumdb/sums.example/latest"} {
		require.Equal(t, http.StatusUnauthorized, get(reg, path).Code)
		require.Equal(t, http.StatusOK, get(reg, path, "Authorization", "Basic YWRhOng=", "Cookie", "a=b").Code)
	}
}

// TestUpstreamCredentials: the upstream gets its own credentials and nothing of the client's
// request. Another host, after a redirect, does not get credentials.
func TestUpstreamCredentials(t *testing.T) {
	t.Parallel()
	var other atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other.Store(r.Header.Clone())
		io.WriteString(w, "v1.0.0\n")
	}))
	t.Cleanup(elsewhere.Close)
	var first atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Store(r.Header.Clone())
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	}))
	t.Cleanup(server.Close)
	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: strings.Replace(server.URL, "://", "://user:pass@", 1) + "/go/", HTTP: server.Client(), SumDB: "off"}
	reg := open(t, registry.Dir(t.TempDir()), opts)
	w := get(reg, libPath+"list", "Authorization", "Bearer secret", "X-Custom", "secret")
	require.Equal(t, "v1.0.0\n", w.Body.String())
	require.Equal(t, "Basic dXNlcjpwYXNz", first.Load().(http.Header).Get("Authorization"))
	for _, h := range []http.Header{first.Load().(http.Header), other.Load().(http.Header)} {
		require.Empty(t, h.Get("X-Custom"))
		require.NotContains(t, h.Get("Authorization"), "secret")
	}
	require.Empty(t, other.Load().(http.Header).Get("Authorization"))
}

// TestUpstreamNeverGetsPrivateNames has private names in every form that a path allows.
func TestUpstreamNeverGetsPrivateNames(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	opts := quiet()
	opts.Private = append(opts.Private, "git.example/org")
	opts.Upstream = &registry.Upstream{URL: o.url, HTTP: o.client}
	reg := open(t, registry.Dir(t.TempDir()), opts)
	for _, path := range []string{
		"/corp.example/secret/@v/list", "/!corp.example/secret/@v/list", "/!c!o!r!p.!example/secret/@latest", "/corp.!example/@v/list", "/corp.example/secret/@v/v1.0.0.zip", "/!corp.example/secret/@v/main.info",
		"/sumdb/sums.example/lookup/corp.example/secret@v1.0.0", "/sumdb/sums.example/lookup/!corp.example/secret@v1.0.0", "/sumdb/x/lookup/corp.example/secret@v1.0.0",
		"/sumdb/corp.example/secret/lookup/corp.example/secret@v1.0.0", "/sumdb/corp.example/secret/supported", "/sumdb/corp.example/latest",
		"/git.example/!org/secret/@v/list", "/git.example/!o!r!g/@latest", "/git.example/!org/secret/@v/v1.0.0.info", "/sumdb/x/lookup/git.example/!org/secret@v1.0.0",
	} {
		require.Equal(t, http.StatusNotFound, askPath(reg, http.MethodGet, path).Code, path)
	}
	require.Empty(t, o.paths())
	get(reg, "/git.example/organic/@v/list")
	require.Equal(t, []string{"/git.example/organic/@v/list"}, o.paths())
	require.Contains(t, get(reg, "/sumdb/sums.example/lookup/corp.example/secret@v1.0.0").Body.String(), "set GONOSUMDB")
}

// TestUpstreamOneFetch: many concurrent requests for one file share one fetch, and the fetch
// continues if the first client goes away.
func TestUpstreamOneFetch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	zip := o.publish(t, "v1.0.0", "one")
	reg, _ := o.through(t, func(up *registry.Upstream) { up.SumDB = "off" })
	begun, release := make(chan struct{}, 100), make(chan struct{})
	o.mu.Lock()
	o.instead = func(string) http.Handler {
		begun <- struct{}{}
		<-release
		return nil
	}
	o.mu.Unlock()
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		r := httptest.NewRequest(http.MethodGet, libPath+"v1.0.0.zip", nil).WithContext(ctx)
		reg.ServeHTTP(httptest.NewRecorder(), r)
	})
	<-begun
	leave()
	answers := make(chan *httptest.ResponseRecorder, 32)
	for range cap(answers) {
		wg.Go(func() { answers <- get(reg, libPath+"v1.0.0.zip") })
	}
	close(release)
	wg.Wait()
	for range cap(answers) {
		w := <-answers
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, zip, w.Body.Bytes())
	}
	require.Equal(t, 1, o.count(libPath+"v1.0.0.zip"))
}

// TestUpstreamBadAnswers: a bad answer is refused and never cached.
func TestUpstreamBadAnswers(t *testing.T) {
	t.Parallel()
	const page = "<html><body>Please log in</body></html>"
	good := lib(t, "public.example/lib@v1.0.0", "one")
	tampered := lib(t, "public.example/lib@v1.0.0", "evil")
	other := lib(t, "public.example/other@v1.0.0", "one")
	sized := func(length string, body []byte) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", length)
			w.Write(body)
		})
	}
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, c := range []struct {
		file   string
		answer http.Handler
		status int
		want   string
	}{
		{"list", text(200, page), 502, "which is not a version"},
		{"list", sized("99999999", nil), 502, "more than"},
		{"v1.0.0.info", text(200, page), 502, "not JSON"},
		{"v1.0.0.info", text(200, "null"), 502, `has the version ""`},
		{"v1.0.0.info", text(200, `{"Version":"v1.0.1","Time":"2026-01-02T03:04:05Z"}`), 502, `has the version "v1.0.1"`},
		{"v1.0.0.info", text(200, `{"Version":"v1.0.0"}`), 502, "has no time"},
		{"v1.0.0.info", text(200, strings.Repeat("x", 70_000)), 502, "more than"},
		{"main.info", text(200, `{"Version":"v2.0.0","Time":"2026-01-02T03:04:05Z"}`), 502, "invalid version"},
		{"v1.0.0.mod", text(200, page), 502, "no module line"},
		{"v1.0.0.mod", text(200, "module public.example/lib\n\ngo 1.25\n"), 502, "checksum mismatch"},
		{"v1.0.0.zip", text(200, page), 502, "not a zip file"},
		{"v1.0.0.zip", text(200, string(tampered)), 502, "checksum mismatch"},
		{"v1.0.0.zip", text(200, string(other)), 502, "the zip"},
		{"v1.0.0.zip", text(200, string(good[:len(good)-100])), 502, "the zip"},
		{"v1.0.0.zip", sized("999999999999", nil), 502, "more than"},
		{"v1.0.0.zip", sized(fmt.Sprint(len(good)+1), good), 502, "cannot be reached"},
		{"v1.0.0.zip", text(500, page), 502, "answered 500 Internal Server Error"},
		{"v1.0.0.zip", text(403, "no licence\nx"), 502, "answered 403 Forbidden: no licence"},
		{"v1.0.0.zip", http.RedirectHandler("/loop", http.StatusFound), 502, "cannot be reached"},
		{"list", hang, 504, "did not answer in time"},
		{"v1.0.0.info", hang, 504, "did not answer in time"},
	} {
		o := newOrigin(t)
		put(t, o.Registry, http.StatusCreated, "public.example/lib@v1.0.0", good)
		require.NoError(t, (&registry.Client{URL: o.url, HTTP: o.client}).SetChannel(t.Context(), at("public.example/lib", "v1.0.0"), "main", "x"))
		reg, cache := o.through(t, func(up *registry.Upstream) {
			up.Timeout = 20 * time.Second
			if c.status == 504 {
				up.Timeout = 50 * time.Millisecond
			}
		})
		o.mu.Lock()
		o.instead = func(path string) http.Handler {
			if path == libPath+c.file || path == "/loop" {
				return c.answer
			}
			return nil
		}
		o.mu.Unlock()
		w := get(reg, libPath+c.file)
		require.Equal(t, c.status, w.Code, "%s: %s", c.file, w.Body)
		require.Contains(t, w.Body.String(), c.want, c.file)
		require.NotContains(t, w.Body.String(), o.url)
		require.NoFileExists(t, filepath.Join(cache, "public.example", "lib", "@v", c.file))
		o.replace("", nil)
		if c.status == 504 {
			reg, _ = o.through(t)
		}
		w = get(reg, libPath+c.file)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", c.file, w.Body)
		if c.file == "v1.0.0.zip" {
			require.Equal(t, good, w.Body.Bytes())
		}
	}
}

// TestUpstreamWithoutSumDB: without a checksum database the first content of a version counts,
// also after it was removed from the cache.
func TestUpstreamWithoutSumDB(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	good := o.publish(t, "v1.0.0", "one")
	for _, db := range []string{"off", ""} { // the origin does not serve sum.golang.org
		reg, cache := o.through(t, func(up *registry.Upstream) { up.SumDB = db })
		require.Equal(t, good, get(reg, libPath+"v1.0.0.zip").Body.Bytes())
		require.Equal(t, http.StatusOK, get(reg, libPath+"v1.0.0.mod").Code)
		require.Equal(t, 2.0, reg.Stats()["upstream_unverified"])
		for _, file := range []string{"v1.0.0.zip", "v1.0.0.mod"} {
			require.NoError(t, os.Remove(filepath.Join(cache, "public.example", "lib", "@v", file)))
		}
		o.replace(libPath+"v1.0.0.zip", text(200, string(lib(t, "public.example/lib@v1.0.0", "evil"))))
		w := get(reg, libPath+"v1.0.0.zip")
		require.Equal(t, http.StatusBadGateway, w.Code)
		require.Contains(t, w.Body.String(), "checksum mismatch")
		o.replace(libPath+"v1.0.0.mod", text(200, "module public.example/lib\n\ngo 1.99\n"))
		require.Equal(t, http.StatusBadGateway, get(reg, libPath+"v1.0.0.mod").Code)
		o.replace("", nil)
		require.Equal(t, good, get(reg, libPath+"v1.0.0.zip").Body.Bytes())
	}
	// A database that is required and not served refuses every module.
	reg, _ := o.through(t)
	o.replace("/sumdb/sums.example/lookup/public.example/lib@v1.0.0", http.NotFoundHandler())
	w := get(reg, libPath+"v1.0.0.zip")
	require.Equal(t, http.StatusBadGateway, w.Code)
	require.Contains(t, w.Body.String(), "cannot be verified by the checksum database sums.example")
}

// TestUpstreamFails: without the upstream the cache answers.
func TestUpstreamFails(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	zip := o.publish(t, "v1.0.0", "one")
	reg, _ := o.through(t)
	paths := []string{libPath + "list", "/public.example/lib/@latest", libPath + "v1.0.0.info", libPath + "v1.0.0.mod", libPath + "v1.0.0.zip", "/sumdb/sums.example/supported", "/sumdb/sums.example/latest", "/sumdb/sums.example/lookup/public.example/lib@v1.0.0"}
	want := map[string]string{}
	for _, path := range paths {
		w := get(reg, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		want[path] = w.Body.String()
	}
	require.Equal(t, http.StatusNotFound, get(reg, "/public.example/@v/list").Code)
	require.Equal(t, string(zip), want[libPath+"v1.0.0.zip"])
	o.replace("", text(503, "down"))
	for range 2 {
		for _, path := range paths {
			w := get(reg, path)
			require.Equal(t, http.StatusOK, w.Code, path)
			require.Equal(t, want[path], w.Body.String(), path)
		}
		require.Equal(t, http.StatusNotFound, get(reg, "/public.example/@v/list").Code)
		w := get(reg, "/public.example/new/@v/list")
		require.Equal(t, http.StatusBadGateway, w.Code)
		require.Contains(t, w.Body.String(), "the upstream proxy answered 503 Service Unavailable: down")
	}
	require.Positive(t, reg.Stats()["upstream_stale"])
	// A module that the upstream removes is gone from lists, and its versions stay.
	o.replace("", text(410, "gone"))
	reg, _ = o.through(t)
	o.replace("", nil)
	require.Equal(t, http.StatusOK, get(reg, libPath+"list").Code)
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.0.0.zip").Code)
	o.replace("", text(410, "gone"))
	require.Equal(t, http.StatusNotFound, get(reg, libPath+"list").Code)
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.0.0.zip").Code)
	o.replace("", nil)
	require.Equal(t, http.StatusOK, get(reg, libPath+"list").Code)
}

// TestUpstreamDamagedCache: damaged files of the cache are fetched again, and refused if the
// upstream fails.
func TestUpstreamDamagedCache(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	zip := o.publish(t, "v1.0.0", "one")
	reg, cache := o.through(t)
	files := []string{"v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"}
	want := map[string]string{}
	for _, file := range files {
		want[file] = get(reg, libPath+file).Body.String()
	}
	require.Equal(t, string(zip), want["v1.0.0.zip"])
	for name, damage := range map[string]func(string) error{
		"halved": halve, "flipped": flip, "empty": func(path string) error { return os.Truncate(path, 0) }, "removed": os.Remove,
	} {
		for _, file := range append(files, "v1.0.0.modsum", "v1.0.0.zipsum") {
			path := filepath.Join(cache, "public.example", "lib", "@v", file)
			if name == "flipped" && file == "v1.0.0.info" {
				continue // a flipped byte may leave valid JSON
			}
			require.NoError(t, damage(path), "%s %s", name, file)
			broken := strings.TrimSuffix(file, "sum")
			o.replace("", text(503, "down"))
			fresh, _ := o.through(t, func(up *registry.Upstream) { up.Dir = cache }) // it has not read the files before
			require.Equal(t, http.StatusBadGateway, get(fresh, libPath+broken).Code, "%s %s", name, file)
			if broken == file {
				require.Equal(t, http.StatusBadGateway, get(reg, libPath+broken).Code, "%s %s", name, file)
			}
			o.replace("", nil)
			for _, file := range files {
				w := get(reg, libPath+file)
				require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", name, file, w.Body)
				require.Equal(t, want[file], w.Body.String())
			}
		}
	}
}

// TestUpstreamQuota: the cache stays below its bound, and the files that were used last stay.
func TestUpstreamQuota(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	zips := map[string][]byte{}
	for i := range 6 {
		at := fmt.Sprintf("public.example/big@v1.%d.0", i)
		zips[at] = sized(t, at, 100_000)
		put(t, o.Registry, http.StatusCreated, at, zips[at])
	}
	reg, cache := o.through(t, func(up *registry.Upstream) { up.MaxBytes, up.SumDB = 400_000, "off" })
	name := func(i int) string {
		return filepath.Join(cache, "public.example", "big", "@v", fmt.Sprintf("v1.%d.0.zip", i))
	}
	for i := range 6 {
		path := fmt.Sprintf("/public.example/big/@v/v1.%d.0.zip", i)
		require.Equal(t, zips[fmt.Sprintf("public.example/big@v1.%d.0", i)], get(reg, path).Body.Bytes())
		// The bound removes only files that were not used recently.
		used := time.Now().Add(time.Duration(i-100) * time.Minute)
		if i == 0 {
			used = time.Now().Add(-2 * time.Minute) // version 0 was used last
		}
		require.NoError(t, os.Chtimes(name(i), used, used))
	}
	require.LessOrEqual(t, reg.Stats()["upstream_cache_bytes"], 400_000.0)
	require.FileExists(t, name(0))
	require.NoFileExists(t, name(1))
	require.FileExists(t, name(5))
	require.FileExists(t, strings.TrimSuffix(name(1), "zip")+"zipsum")
	require.Equal(t, zips["public.example/big@v1.1.0"], get(reg, "/public.example/big/@v/v1.1.0.zip").Body.Bytes())

	// Another process counts the files that it finds.
	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: o.url, HTTP: o.client, SumDB: "off", Dir: cache, MaxBytes: 1}
	again := open(t, registry.Dir(t.TempDir()), opts)
	old := time.Now().Add(-time.Hour)
	for i := range 6 {
		_ = os.Chtimes(name(i), old, old)
	}
	require.Equal(t, http.StatusOK, get(again, "/public.example/big/@v/list").Code)
	for i := range 6 {
		require.NoFileExists(t, name(i))
	}
	require.Equal(t, zips["public.example/big@v1.2.0"], get(again, "/public.example/big/@v/v1.2.0.zip").Body.Bytes(), "a zip above the bound is served")
}

// fetchForever fetches versions through a registry and prints each.
func fetchForever(dir, from string) {
	reg, err := registry.New(registry.Dir(dir), func() *registry.Options {
		opts := quiet()
		opts.Upstream = &registry.Upstream{URL: from, SumDB: "off"}
		return opts
	}())
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		for _, end := range []string{".info", ".mod", ".zip"} {
			if w := get(reg, fmt.Sprintf("/public.example/big/@v/v1.%d.0%s", i, end)); w.Code != http.StatusOK {
				os.Exit(0)
			}
		}
		fmt.Println(i)
	}
}

// TestUpstreamKill kills a process while it fetches. Every file in the cache is complete.
func TestUpstreamKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	o := newOrigin(t)
	want := map[string][]byte{}
	for i := range 15 {
		at := fmt.Sprintf("public.example/big@v1.%d.0", i)
		want[at] = sized(t, at, 50_000)
		put(t, o.Registry, http.StatusCreated, at, want[at])
	}
	for round := range testsize.Pick(0, 2, 100) {
		dir := t.TempDir()
		cmd := run(t, "fetch", dir, o.url)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := 0
		buffer := make([]byte, 1)
		for lines <= round%12 {
			if _, err := out.Read(buffer); err != nil {
				break
			}
			if buffer[0] == '\n' {
				lines++
			}
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		opts := quiet()
		opts.Upstream = &registry.Upstream{URL: o.url, HTTP: o.client, SumDB: "off"}
		reg := open(t, registry.Dir(dir), opts)
		o.replace("", text(503, "down"))
		cached := 0
		for at, zip := range want {
			name := "/" + strings.Replace(at, "@", "/@v/", 1)
			if w := get(reg, name+".zip"); w.Code == http.StatusOK {
				cached++
				require.Equal(t, zip, w.Body.Bytes(), at)
			}
		}
		require.GreaterOrEqual(t, cached, min(lines, 1))
		o.replace("", nil)
		for at, zip := range want {
			require.Equal(t, zip, get(reg, "/"+strings.Replace(at, "@", "/@v/", 1)+".zip").Body.Bytes())
		}
	}
}

// TestUpstreamGoCommand runs many go commands at once through a registry with an upstream, with
// the checksum database, and then without the upstream.
func TestUpstreamGoCommand(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	put(t, o.Registry, http.StatusCreated, "public.example/!dep@v1.0.0", lib(t, "public.example/Dep@v1.0.0", "theirs"))
	put(t, o.Registry, http.StatusCreated, "public.example/lib@v1.0.0", archive(t, "public.example/lib@v1.0.0",
		"@/go.mod", "module public.example/lib\n\ngo 1.24\n\nrequire public.example/Dep v1.0.0\n", "@/lib.go", "package lib\n\nimport _ \"public.example/Dep\"\n"))
	reg, _ := o.through(t, func(up *registry.Upstream) { up.Fresh = time.Minute })
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", archive(t, "corp.example/lib@v1.0.0",
		"@/go.mod", "module corp.example/lib\n\ngo 1.24\n\nrequire public.example/lib v1.0.0\n", "@/lib.go", "package lib\n\nimport _ \"public.example/lib\"\n"))
	proxy, _ := over(t, reg)
	begin := func() *workshop {
		w := newWorkshop(t, proxy, "GOSUMDB="+o.sumDB, "GONOSUMDB=corp.example")
		w.write("main/main.go", "package main\n\nimport _ \"corp.example/lib\"\n\nfunc main() {}\n")
		return w
	}
	workshops := make([]*workshop, testsize.Pick(0, 4, 32))
	for i := range workshops {
		workshops[i] = begin()
	}
	begin() // skips the test without the go command
	var wg sync.WaitGroup
	for _, w := range workshops {
		wg.Go(func() {
			if out, err := w.run("get", "corp.example/lib@latest"); err != nil {
				t.Errorf("go get: %v: %s", err, out)
			}
			if out, err := w.run("build", "-o", os.DevNull, "."); err != nil {
				t.Errorf("go build: %v: %s", err, out)
			}
		})
	}
	wg.Wait()
	for path, n := range map[string]int{"/public.example/lib/@v/v1.0.0.zip": 1, "/public.example/!dep/@v/v1.0.0.zip": 1, "/public.example/!dep/@v/v1.0.0.mod": 1} {
		require.Equal(t, n, o.count(path), path)
	}
	for _, path := range o.paths() {
		require.NotContains(t, path, "corp.example")
	}

	// Without the upstream everything comes from the cache.
	o.replace("", text(503, "down"))
	w := begin()
	w.ok("get", "corp.example/lib@latest")
	w.ok("build", "-o", os.DevNull, ".")
	require.Equal(t, "v1.0.0", w.selected("public.example/lib"))

	// The go command prints why a tampered version is refused.
	o.replace("", nil)
	put(t, o.Registry, http.StatusCreated, "public.example/lib@v1.1.0", lib(t, "public.example/lib@v1.1.0", "good"))
	o.replace("/public.example/lib/@v/v1.1.0.zip", text(200, string(lib(t, "public.example/lib@v1.1.0", "evil"))))
	require.Contains(t, w.fails("mod", "download", "public.example/lib@v1.1.0"), "public.example/lib@v1.1.0: checksum mismatch: the upstream's content has h1:")
	o.replace("", nil)
	w.ok("mod", "download", "public.example/lib@v1.1.0")
}

// TestRecordedUpstream serves modules of this machine's module cache. The go command must compute
// the same sums as from the public proxy. If the cache has the records of sum.golang.org, the
// registry verifies the modules by the real database.
func TestRecordedUpstream(t *testing.T) {
	t.Parallel()
	modules := public(t, "golang.org/x/mod@v0.42.0", "github.com/stretchr/testify@v1.12.1")
	cache := filepath.Join(strings.TrimSpace(mustOutput(t, "go", "env", "GOMODCACHE")), "cache", "download")
	server := httptest.NewServer(http.FileServer(http.Dir(cache)))
	t.Cleanup(server.Close)
	databases := []string{"off"}
	if _, err := os.Stat(filepath.Join(cache, "sumdb", "sum.golang.org", "lookup", "golang.org", "x", "mod@v0.42.0")); err == nil {
		databases = append(databases, "sum.golang.org")
	}
	for _, db := range databases {
		opts := quiet()
		opts.Upstream = &registry.Upstream{URL: server.URL, HTTP: server.Client(), SumDB: db}
		reg := open(t, registry.Dir(t.TempDir()), opts)
		proxy, _ := over(t, reg)
		w := newWorkshop(t, proxy)
		if answer := get(reg, "/golang.org/x/mod/@v/v0.42.0.mod"); db != "off" && answer.Code == http.StatusBadGateway {
			t.Skipf("the module cache does not have all tiles of %s: %s", db, answer.Body)
		}
		for _, m := range modules {
			got := decodeDownloads(t, w.ok("mod", "download", "-json", m.Path+"@"+m.Version))[0]
			require.Equal(t, m.Sum, got.Sum, m.Path)
			require.Equal(t, m.GoModSum, got.GoModSum, m.Path)
		}
		require.Equal(t, db == "off", reg.Stats()["upstream_unverified"] > 0)
	}
}

// TestUpstreamAsFastAsAFileServer compares cached files with http.FileServer over the same tree.
func TestUpstreamAsFastAsAFileServer(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures")
	}
	o := newOrigin(t)
	put(t, o.Registry, http.StatusCreated, "public.example/lib@v1.0.0", sized(t, "public.example/lib@v1.0.0", 20_000))
	reg, cache := o.through(t, func(up *registry.Upstream) { up.Fresh = time.Hour })
	for _, file := range []string{"list", "v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"} {
		require.Equal(t, http.StatusOK, get(reg, libPath+file).Code)
		want := 0.9
		if file != "list" {
			want = 0.75 // 0.90 to 0.95 at rest
		}
		var ratio float64
		for range 10 {
			ratio = max(ratio, compare(t, []http.Handler{reg, http.FileServer(http.Dir(cache))}, libPath+file))
			if ratio >= want {
				break
			}
		}
		t.Logf("%s: %.2f of the throughput of http.FileServer", file, ratio)
		require.GreaterOrEqual(t, ratio, want, file)
	}
}

// FuzzUpstream has an upstream with any answer. An accepted answer is valid, and is the same
// when the upstream fails.
func FuzzUpstream(f *testing.F) {
	good := lib(f, "public.example/lib@v1.0.0", "one")
	for _, path := range []string{libPath + "list", "/public.example/lib/@latest", libPath + "main.info", libPath + "v1.0.0.info", libPath + "v1.0.0.mod", libPath + "v1.0.0.zip", "/sumdb/sums.example/latest", "/sumdb/sums.example/tile/8/0/000.p/1", "/sumdb/sums.example/lookup/public.example/lib@v1.0.0"} {
		for _, body := range []string{"", "<html>", "v1.0.0\nv1.1.0 2026-01-02\n", `{"Version":"v1.0.0","Time":"2026-01-02T03:04:05Z"}`, "module public.example/lib\n", string(good), "go.sum database tree\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— x\n", strings.Repeat("x", 32)} {
			f.Add(path, 200, []byte(body))
		}
		f.Add(path, 404, []byte("not found"))
		f.Add(path, 500, []byte("\x00\n"))
	}
	f.Fuzz(func(t *testing.T, path string, status int, body []byte) {
		if status < 200 || status > 999 {
			return
		}
		dir := t.TempDir()
		var down bool
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if down {
				return nil, io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
		})}
		opts := quiet()
		opts.Upstream = &registry.Upstream{URL: "https://proxy.example", HTTP: client, SumDB: "off"}
		w := askPath(open(t, registry.Dir(dir), opts), http.MethodGet, path)
		switch w.Code {
		case http.StatusOK:
		case http.StatusNotFound, http.StatusBadGateway, http.StatusUnprocessableEntity, http.StatusGatewayTimeout:
			require.NotContains(t, w.Body.String(), "proxy.example")
			return
		default:
			t.Fatalf("%q: %d %s", path, w.Code, w.Body)
		}
		if strings.HasSuffix(path, ".zip") {
			name := filepath.Join(dir, "got.zip")
			require.NoError(t, os.WriteFile(name, w.Body.Bytes(), 0o600))
			sum, err := dirhash.HashZip(name, dirhash.Hash1)
			require.NoError(t, err)
			require.Equal(t, `"`+sum+`"`, w.Header().Get("Etag"))
		}
		require.NotContains(t, w.Body.String(), "<html>")
		down = true
		again := askPath(open(t, registry.Dir(dir), opts), http.MethodGet, path)
		require.Equal(t, http.StatusOK, again.Code, "%q", path)
		require.Equal(t, w.Body.Bytes(), again.Body.Bytes())
	})
}

// A registry serves public modules as well: it fetches them from another proxy, verifies them
// by the checksum database, and caches them.
func ExampleUpstream() {
	dir, err := os.MkdirTemp("", "upkeep-example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // in a program: the URL of a public module proxy
		io.WriteString(w, "v1.0.0\nv1.1.0\n")
	}))
	reg, err := registry.New(registry.Dir(dir), &registry.Options{
		Private:  []string{"corp.example"},
		Upstream: &registry.Upstream{URL: public.URL, HTTP: public.Client()},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	list := func() {
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/public.example/lib/@v/list"}})
		fmt.Println(w.Code, strings.Fields(w.Body.String()))
	}
	list()
	public.Close()
	list() // from the cache
	// Output:
	// 200 [v1.0.0 v1.1.0]
	// 200 [v1.0.0 v1.1.0]
}
