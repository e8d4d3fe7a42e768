package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A strict store fails the test for names that the contract of Store excludes.
type strict struct {
	t *testing.T
	registry.Store
}

func (s strict) check(name string) {
	s.t.Helper()
	require.True(s.t, fs.ValidPath(name), "%q", name)
	path, file, ok := strings.Cut(name, "/@v/")
	if public, allowed := strings.CutSuffix(name, "/@allowed"); allowed {
		path, file = public, "allowed"
		require.NotEqual(s.t, "corp.example", public)
		require.False(s.t, strings.HasPrefix(public, "corp.example/"), "%q", name)
	} else {
		require.True(s.t, ok, "%q", name)
		require.True(s.t, path == "corp.example" || strings.HasPrefix(path, "corp.example/"), "%q", name)
	}
	require.NotContains(s.t, file, "/")
	require.Equal(s.t, strings.ToLower(name), name, "names must differ in more than case")
	for _, element := range strings.Split(name, "/") {
		require.False(s.t, strings.HasPrefix(element, "."), "%q", name)
		require.Less(s.t, len(element), 255, "%q", name)
	}
	_, err := module.UnescapePath(path)
	require.NoError(s.t, err)
}

func (s strict) Open(ctx context.Context, name string) (registry.File, error) {
	s.check(name)
	return s.Store.Open(ctx, name)
}

func (s strict) Create(ctx context.Context, name string, content io.Reader) error {
	s.check(name)
	return s.Store.Create(ctx, name, content)
}

func (s strict) Update(ctx context.Context, name string, edit func([]byte) ([]byte, error)) error {
	s.check(name)
	return s.Store.Update(ctx, name, edit)
}

// FuzzPath sends requests with any path and method.
func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"/corp.example/lib/@v/list", "/corp.example/lib/@latest", "/corp.example/!lib/v2/@v/v2.0.0-!r!c.1.info", "/corp.example/lib/@v/v1.0.0.zip", "/corp.example/lib/@v/stable.info",
		"/corp.example/lib/@channel/stable", "/corp.example/lib/@channels", "/corp.example/lib/@yank/v1.0.0", "/corp.example/lib/@block/v1.0.0", "/corp.example/lib/@record/v1.0.0",
		"/other.example/x/@v/master.info", "/corp.example/../x/@v/list", "/corp.example/lib/@v/../list", "//@v/list", "/corp.example/lib/@v/v0.0.0-20260102030405-abcdefabcdef.mod", "/corp.example/\x00/@v/list", "/@/@/@v",
		"/!corp.example/lib/@v/list", "/other.example/x/@v/v2.0.0+incompatible.zip", "/other.example/x/@v/a%23b.info", "/sumdb/sum.golang.org/supported", "/sumdb/sum.golang.org/latest",
		"/sumdb/sum.golang.org/lookup/other.example/!x@v1.0.0", "/sumdb/sum.golang.org/lookup/!corp.example/x@v1.0.0", "/sumdb/a.example/db/tile/8/0/x001/067.p/3", "/sumdb/../tile/8/0/001",
		"/other.example/x/@allow/v2.0.0+incompatible", "/corp.example/x/@allow/v1.0.0", "/other.example/x/@allowed", "/other.example/x/@allow/main",
	} {
		f.Add("GET", path, "v1.0.0", "reason")
		f.Add("PUT", path, "v1.0.0", "")
		f.Add("DELETE", path, "../x", "reason\n")
	}
	f.Fuzz(func(t *testing.T, method, path, version, reason string) {
		opts := quiet()
		opts.Upstream = &registry.Upstream{URL: "https://proxy.example/go", Dir: t.TempDir(), HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			to := r.URL.EscapedPath()
			require.True(t, strings.HasPrefix(to, "/go/"), to)
			require.Empty(t, r.URL.RawQuery)
			names := strings.ReplaceAll(strings.ToLower(to), "!", "")
			for _, before := range []string{"/go/", "/sumdb/", "/lookup/"} {
				require.NotContains(t, names, before+"corp.example/")
				require.NotContains(t, names, before+"corp.example@")
			}
			require.NotContains(t, strings.Split(to, "/"), "..")
			require.NotContains(t, to, "//")
			return nil, errors.New("no network")
		})}}
		reg := open(t, strict{t, registry.Dir(t.TempDir())}, opts)
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader("no zip"))
		r.Method, r.URL.Path = method, path
		q := r.URL.Query()
		q.Set("version", version)
		q.Set("reason", reason)
		r.URL.RawQuery = q.Encode()
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadGateway:
			require.Contains(t, []string{"GET", "HEAD"}, method)
		case http.StatusNotFound, http.StatusMethodNotAllowed:
		case http.StatusUnprocessableEntity:
			require.NotContains(t, []string{"GET", "HEAD"}, method)
		case http.StatusOK: // allowances of a public module
			require.Contains(t, path, "/@allow")
		default:
			t.Fatalf("%s %q: %d %s", method, path, w.Code, w.Body)
		}
	})
}

// FuzzZip publishes any bytes.
func FuzzZip(f *testing.F) {
	const at = "corp.example/lib@v1.0.0"
	sound := lib(f, at, "x")
	f.Add(sound)
	f.Add(sound[:len(sound)-1])
	f.Add(zip64(sound))
	f.Add(damaged(f, sound))
	f.Add(special(f, at, "module corp.example/lib\n", fs.ModeSymlink))
	f.Add(lying(f, at, "module corp.example/lib\n", 10, 20))
	f.Add(archive(f, at, "@/go.mod", "module corp.example/lib\nreplace x.example/x => ../x\n", "@/../x", "x"))
	f.Add(archive(f, at, "@/go.mod", "module corp.example/lib\n\nretract v1.0.0 // x\n", "@/", "", "@/dir/", ""))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, body []byte) {
		dir := t.TempDir()
		reg := open(t, strict{t, registry.Dir(dir)}, quiet())
		w := ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(body))
		if w.Code != http.StatusCreated {
			require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
			require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@v/list").Code)
			return
		}
		got := get(reg, "/corp.example/lib/@v/v1.0.0.zip")
		require.Equal(t, body, got.Body.Bytes())
		name := filepath.Join(dir, "got.zip")
		require.NoError(t, os.WriteFile(name, body, 0o600))
		m := module.Version{Path: "corp.example/lib", Version: "v1.0.0"}
		_, err := zip.CheckZip(m, name)
		require.NoError(t, err)
		require.NoError(t, zip.Unzip(filepath.Join(dir, "unzipped"), m, name), "the go command must be able to unpack every published zip")
		sum, err := dirhash.HashZip(name, dirhash.Hash1)
		require.NoError(t, err)
		require.Equal(t, `"`+sum+`"`, got.Header().Get("ETag"))
		require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/v1.0.0.mod").Code)
		require.Equal(t, http.StatusOK, ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(body)).Code)
	})
}
