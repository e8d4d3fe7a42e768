package registry_test

import (
	"archive/zip"
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestMain(m *testing.M) {
	child()
	goleak.VerifyTestMain(m)
}

// anyone allows every action.
func anyone(*http.Request, registry.Action) (who string, err error) { return "", nil }

// quiet returns options for corp.example that allow every action and log nothing.
func quiet() *registry.Options {
	return &registry.Options{Private: []string{"corp.example"}, Authorize: anyone, Logger: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, store registry.Store, opts *registry.Options) *registry.Registry {
	t.Helper()
	reg, err := registry.New(store, opts)
	require.NoError(t, err)
	return reg
}

// fresh returns a registry over a new folder.
func fresh(t testing.TB, change ...func(*registry.Options)) *registry.Registry {
	t.Helper()
	opts := quiet()
	for _, c := range change {
		c(opts)
	}
	return open(t, registry.Dir(t.TempDir()), opts)
}

// ask sends a request and returns the complete answer.
func ask(h http.Handler, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, path, nil, headers...)
}

// archive makes a zip of files, given as names and contents. An "@" at the start of a name is
// replaced by the prefix that the version's files must have.
func archive(t testing.TB, at string, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		part, err := w.Create(strings.Replace(files[i], "@/", at+"/", 1))
		require.NoError(t, err)
		_, err = io.WriteString(part, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// lib returns the zip of a small valid module with the given content.
func lib(t testing.TB, at, content string) []byte {
	t.Helper()
	path, _, _ := strings.Cut(at, "@")
	return archive(t, at, "@/go.mod", "module "+path+"\n\ngo 1.24\n", "@/lib.go", "package lib\n\nconst Content = \""+content+"\"\n")
}

// put publishes a zip and requires the status.
func put(t testing.TB, h http.Handler, status int, at string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	path, version, _ := strings.Cut(at, "@")
	w := ask(h, http.MethodPut, "/"+path+"/@v/"+version+".zip", bytes.NewReader(body))
	require.Equal(t, status, w.Code, "%s: %s", at, w.Body)
	return w
}

// askPath sends a path that httptest.NewRequest would refuse.
func askPath(h http.Handler, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	r.URL.Path, _, _ = strings.Cut(decoded, "?")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func at(path, version string) module.Version { return module.Version{Path: path, Version: version} }
