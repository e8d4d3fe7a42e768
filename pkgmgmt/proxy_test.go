package pkgmgmt_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// publish writes a version of a module to a folder with the layout of a module proxy.
func publish(t testing.TB, root, path, version string, at time.Time, files map[string]string) {
	t.Helper()
	source := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(text), 0o600))
	}
	escaped, err := module.EscapePath(path)
	require.NoError(t, err)
	dir := filepath.Join(root, filepath.FromSlash(escaped), "@v")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	require.NoError(t, err)
	require.NoError(t, modzip.CreateFromDir(f, module.Version{Path: path, Version: version}, source))
	require.NoError(t, f.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, version+".mod"), []byte(files["go.mod"]), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, version+".info"), fmt.Appendf(nil, `{"Version":%q,"Time":%q}`, version, at.Format(time.RFC3339)), 0o600))
	list, err := os.OpenFile(filepath.Join(dir, "list"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(t, err)
	_, err = fmt.Fprintln(list, version)
	require.NoError(t, err)
	require.NoError(t, list.Close())
}

// serve serves such a folder and records the requests.
func serve(t testing.TB, root string) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	files := http.FileServer(http.Dir(root))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		all := paths
		paths = nil
		return all
	}
}

func client(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	lib := func(mod string) map[string]string { return map[string]string{"go.mod": mod, "lib.go": "package lib\n"} }
	publish(t, root, "corp.example/Lib", "v1.0.0", day(1), lib("module corp.example/Lib\n"))
	publish(t, root, "corp.example/Lib", "v1.9.0", day(2), lib("module corp.example/Lib\n"))
	publish(t, root, "corp.example/Lib", "v1.10.0", day(3), lib("module corp.example/Lib\n"))
	publish(t, root, "corp.example/Lib", "v1.11.0", day(4), lib("// Deprecated: use\n// something else\nmodule corp.example/Lib\n\nretract (\n\t// by mistake\n\tv1.11.0\n\t[v1.0.0, v1.1.0]\n)\n\nunknown directive\n"))
	publish(t, root, "corp.example/Lib", "v1.12.0-rc.1", day(5), lib("module corp.example/Lib\n"))
	publish(t, root, "corp.example/early", "v0.1.0-alpha.2", day(5), lib("module corp.example/early\n"))
	publish(t, root, "corp.example/early", "v0.1.0-alpha.10", day(6), lib("module corp.example/early\n"))
	publish(t, root, "corp.example/large", "v0.1.0", day(1), lib("module corp.example/large\n"))
	publish(t, root, "corp.example/large", "v3.0.0+incompatible", day(2), map[string]string{"x.go": "package x\n"})
	const pseudo = "v0.0.0-20260107000000-abcdefabcdef"
	publish(t, root, "corp.example/pseudo", pseudo, day(7), lib("module corp.example/pseudo\n"))
	dir := filepath.Join(root, "corp.example", "pseudo")
	require.NoError(t, os.Remove(filepath.Join(dir, "@v", "list")))
	data, err := os.ReadFile(filepath.Join(dir, "@v", pseudo+".info"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "@latest"), data, 0o600))

	url, asked := serve(t, root)
	p, err := pkgmgmt.NewProxy(url+"/", &pkgmgmt.ProxyOptions{HTTP: client(t)})
	require.NoError(t, err)
	for _, c := range []struct {
		path, version string
		want          pkgmgmt.Status
	}{
		{"corp.example/Lib", "v1.10.0", pkgmgmt.Status{Time: day(3), Latest: "v1.10.0", LatestTime: day(3), Deprecated: "use\nsomething else"}},
		{"corp.example/Lib", "v1.9.0", pkgmgmt.Status{Time: day(2), Latest: "v1.10.0", LatestTime: day(3), Deprecated: "use\nsomething else"}},
		{"corp.example/Lib", "v1.11.0", pkgmgmt.Status{Time: day(4), Latest: "v1.10.0", LatestTime: day(3), Deprecated: "use\nsomething else", Retracted: "by mistake"}},
		{"corp.example/Lib", "v1.0.0", pkgmgmt.Status{Time: day(1), Latest: "v1.10.0", LatestTime: day(3), Deprecated: "use\nsomething else", Retracted: "retracted by module author"}},
		{"corp.example/early", "v0.1.0-alpha.2", pkgmgmt.Status{Time: day(5), Latest: "v0.1.0-alpha.10", LatestTime: day(6)}},
		{"corp.example/large", "v0.1.0", pkgmgmt.Status{Time: day(1), Latest: "v0.1.0", LatestTime: day(1)}},
		{"corp.example/large", "v3.0.0+incompatible", pkgmgmt.Status{Time: day(2), Latest: "v3.0.0+incompatible", LatestTime: day(2)}},
		{"corp.example/pseudo", pseudo, pkgmgmt.Status{Time: day(7), Latest: pseudo, LatestTime: day(7)}},
	} {
		st, err := p.Status(t.Context(), c.path, c.version)
		require.NoError(t, err)
		require.Equal(t, c.want, st, "%s %s", c.path, c.version)
	}
	asked()
	_, err = p.Status(t.Context(), "corp.example/Lib", "v1.10.0")
	require.NoError(t, err)
	require.Empty(t, asked(), "answers are kept")

	for range 2 {
		_, err = p.Status(t.Context(), "corp.example/nothing", "v1.0.0")
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	require.Equal(t, []string{"/corp.example/nothing/@v/v1.0.0.info"}, asked())
	for _, c := range [][2]string{{"../../etc/passwd", "v1.0.0"}, {"corp.example/x", "v1/../../x"}, {"corp.example/x", "latest"}, {"", ""}, {"corp.example/x y", "v1.0.0"}} {
		_, err = p.Status(t.Context(), c[0], c[1])
		require.Error(t, err)
	}
	require.Empty(t, asked(), "a path that is none was asked for")

	some, err := pkgmgmt.NewProxy(url, &pkgmgmt.ProxyOptions{HTTP: client(t), Modules: []string{"corp.example/none/...", "corp.example/large"}, Sums: true})
	require.NoError(t, err)
	st, err := some.Status(t.Context(), "corp.example/early", "v0.1.0-alpha.2")
	require.NoError(t, err)
	require.Zero(t, st)
	require.Empty(t, asked(), "it is told of modules that it is not asked about")
	st, err = some.Status(t.Context(), "corp.example/large", "v0.1.0")
	require.NoError(t, err)
	require.Regexp(t, `^h1:[A-Za-z0-9+/]{43}=$`, st.Sum)
}

func TestProxyForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			requests++
			body := `{"Version":"v1.0.0"}`
			switch {
			case strings.HasSuffix(r.URL.Path, "/list"):
				body = "v1.0.0\nnonsense v1\nv1\n\n"
			case strings.HasSuffix(r.URL.Path, ".mod"):
				body = "module a.example/x\n"
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})
		p, err := pkgmgmt.NewProxy("https://proxy.example", &pkgmgmt.ProxyOptions{HTTP: &http.Client{Transport: transport}, Keep: time.Minute})
		require.NoError(t, err)
		for _, want := range []int{3, 3, 6} {
			st, err := p.Status(t.Context(), "a.example/x", "v1.0.0")
			require.NoError(t, err)
			require.Equal(t, "v1.0.0", st.Latest)
			require.Equal(t, want, requests)
			time.Sleep(40 * time.Second)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHostileProxies(t *testing.T) {
	t.Parallel()
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	valid := func(path string, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, path):
				h(w, r)
			case strings.HasSuffix(r.URL.Path, "/list"):
				_, _ = io.WriteString(w, "v1.0.0\n")
			case strings.HasSuffix(r.URL.Path, ".mod"):
				_, _ = io.WriteString(w, "module a.example/x\n")
			default:
				_, _ = io.WriteString(w, `{"Version":"v1.0.0"}`)
			}
		}
	}
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"an endless .info": {valid(".info", endless), "larger than 65536 bytes"},
		"an endless list":  {valid("/list", endless), "larger than 4194304 bytes"},
		"an endless .mod":  {valid(".mod", endless), "larger than"},
		"an endless zip": {valid(".zip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			endless(w, r)
		}), ""},
		"no zip":             {valid(".zip", say("PK")), "zip: not a valid zip file"},
		"no .info":           {valid(".info", say("{")), "the .info file"},
		"an empty .info":     {valid(".info", say("{}")), "the .info file has no version"},
		"no go.mod":          {valid(".mod", say("module (")), "go.mod"},
		"an error":           {valid(".info", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), "the registry answers 418 I'm a teapot"},
		"redirects in round": {valid(".info", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }), "stopped after 10 redirects"},
		"a slow one":         {valid(".info", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(c.h)
			t.Cleanup(s.Close)
			timeout := 10 * time.Second
			if name == "a slow one" {
				timeout = 50 * time.Millisecond
			}
			p, err := pkgmgmt.NewProxy(strings.Replace(s.URL, "://", "://user:secret@", 1), &pkgmgmt.ProxyOptions{HTTP: client(t), Timeout: timeout, Sums: strings.HasSuffix(name, "zip")})
			require.NoError(t, err)
			_, err = p.Status(t.Context(), "a.example/x", "v1.0.0")
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
			require.NotErrorIs(t, err, fs.ErrNotExist)
		})
	}

	// A request frees its place at the end, and waiting for a place ends with the context.
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hold <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	p, err := pkgmgmt.NewProxy(s.URL, &pkgmgmt.ProxyOptions{HTTP: client(t), Concurrency: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			_, err := p.Status(ctx, "a.example/x", "v1.0.0")
			require.ErrorIs(t, err, context.Canceled)
		})
	}
	<-hold
	cancel()
	busy.Wait()
}

func TestNewProxyFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url  string
		opts *pkgmgmt.ProxyOptions
	}{
		{"", nil},
		{"direct", nil},
		{"file:///x", nil},
		{"https://", nil},
		{"https://user:secret@[", nil},
		{"https://proxy.example", &pkgmgmt.ProxyOptions{Timeout: -1}},
		{"https://proxy.example", &pkgmgmt.ProxyOptions{Keep: -1}},
		{"https://proxy.example", &pkgmgmt.ProxyOptions{Concurrency: -1}},
		{"https://proxy.example", &pkgmgmt.ProxyOptions{Modules: []string{"a b"}}},
	} {
		_, err := pkgmgmt.NewProxy(c.url, c.opts)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := pkgmgmt.NewProxy("https://proxy.example", nil)
	require.NoError(t, err)
}
