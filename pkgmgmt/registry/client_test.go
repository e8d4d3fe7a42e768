package registry_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// TestClientAsksBeforeItUploads: a client without permission is refused before it sends the
// zip.
func TestClientAsksBeforeItUploads(t *testing.T) {
	t.Parallel()
	reg := fresh(t, func(o *registry.Options) { o.Authorize = nil })
	read := int64(0)
	_, client := over(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		r.Body = struct {
			io.Reader
			io.Closer
		}{readerFunc(func(p []byte) (int, error) {
			n, err := body.Read(p)
			read += int64(n)
			return n, err
		}), body}
		reg.ServeHTTP(w, r)
	}))
	client.HTTP.Transport.(*http.Transport).ExpectContinueTimeout = 1 << 40 // the server answers first, however slow
	name, _ := large(t, "corp.example/lib@v1.0.0", 8<<20)
	_, err := client.PublishZip(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.0"}, name, nil)
	require.Equal(t, http.StatusForbidden, refusal(t, err).Status)
	require.Equal(t, "authorize", refusal(t, err).Rule)
	require.Zero(t, read)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestClientFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, client := over(t, served(t))
	at := func(path, version string) module.Version { return module.Version{Path: path, Version: version} }
	dir := t.TempDir()
	_, err := client.Publish(ctx, dir, "v1.0.0", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("go 1.24\n"), 0o600))
	_, err = client.Publish(ctx, dir, "v1.0.0", nil)
	require.ErrorContains(t, err, "has no module line")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module corp.example/lib\n"), 0o600))
	_, err = client.Publish(ctx, dir, "v2.0.0", nil)
	require.ErrorContains(t, err, "should be v0 or v1, not v2")
	_, err = client.PublishZip(ctx, at("corp.example/lib", "v1.0.0"), filepath.Join(dir, "none.zip"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = client.PublishZip(ctx, at("corp.example/lib", "v1.7.0"), filepath.Join(dir, "go.mod"), nil)
	require.Equal(t, "zip", refusal(t, err).Rule)
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = client.PublishZip(ctx, at("corp.example/lib", "v1.7.0"), empty, nil)
	require.Equal(t, "zip", refusal(t, err).Rule)

	require.Error(t, client.Yank(ctx, at("corp.example/../x", "v1.0.0"), "x"))
	require.Error(t, client.Yank(ctx, at("corp.example/lib", "v1/../.."), "x"))
	_, err = client.Record(ctx, at("corp.example/lib", "a/b"))
	require.Error(t, err)
	require.Error(t, (&registry.Client{URL: "http://a b"}).Yank(ctx, at("corp.example/lib", "v1.0.0"), "x"))

	// An answer that does not come from a registry is an error.
	for body, contentType := range map[string]string{"<html>": "text/html", "{": "application/problem+json", "null": "application/json"} {
		_, other := over(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if r.Method == http.MethodPut {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = io.WriteString(w, body)
		}))
		require.Equal(t, http.StatusTeapot, refusal(t, other.Yank(ctx, at("corp.example/lib", "v1.0.0"), "x")).Status)
		_, err := other.Record(ctx, at("corp.example/lib", "v1.0.0"))
		if body == "null" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "the answer is not that of a registry")
	}
	require.Equal(t, "422 Unprocessable Entity: no\n\ta\n\tb", (&registry.Refusal{Status: 422, Detail: "no", Details: []string{"a", "b"}}).Error())
}

func TestClientBelowAPrefix(t *testing.T) {
	t.Parallel()
	reg := served(t)
	server := httptest.NewServer(http.StripPrefix("/modules/go", reg))
	t.Cleanup(server.Close)
	client := &registry.Client{URL: server.URL + "/modules/go/", HTTP: server.Client()}
	rec, err := client.Record(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.0"})
	require.NoError(t, err)
	require.Equal(t, "v1.0.0", rec.Version)
}

func TestEdit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	reg := served(t)
	_, client := over(t, reg)
	content := get(reg, "/corp.example/lib/@v/v1.1.0.zip").Body.Len()

	_, err := client.Edit(ctx, "corp.example/lib/v2", registry.Deprecate(" use corp.example/kit "), nil)
	require.ErrorContains(t, err, "no release: the latest version v2.0.0-rc.1 is a prerelease", "Edit would publish it as a release")
	put(t, reg, http.StatusCreated, "corp.example/lib/v2@v2.0.0", lib(t, "corp.example/lib/v2@v2.0.0", "x"))
	published, err := client.Edit(ctx, "corp.example/lib/v2", registry.Deprecate(" use corp.example/kit "), nil)
	require.NoError(t, err)
	require.Equal(t, "v2.0.1", published.Version)
	require.Equal(t, "// Deprecated: use corp.example/kit\nmodule corp.example/lib/v2\n\ngo 1.24\n", get(reg, "/corp.example/lib/v2/@v/v2.0.1.mod").Body.String())
	published, err = client.Edit(ctx, "corp.example/lib/v2", registry.Deprecate("use another"), nil)
	require.NoError(t, err)
	require.Equal(t, "// Deprecated: use another\nmodule corp.example/lib/v2\n\ngo 1.24\n", get(reg, "/corp.example/lib/v2/@v/"+published.Version+".mod").Body.String())

	published, err = client.Edit(ctx, "corp.example/lib", registry.Retract("v1.0.0", "v1.1.1", "all of it"), nil)
	require.NoError(t, err)
	require.Equal(t, "v1.1.1", published.Version)
	require.InDelta(t, content, get(reg, "/corp.example/lib/@v/v1.1.1.zip").Body.Len(), 200)

	for name, edit := range map[string]func(*modfile.File) error{
		"the message of a deprecation must be one line": registry.Deprecate("a\nb"),
		"the reason of a retraction must be one line":   registry.Retract("v1.0.0", "v1.0.0", "a\nb"),
		"stop":               func(*modfile.File) error { return errors.New("stop") },
		"invalid":            registry.Retract("v1", "v2", "x"),
		"replace directives": func(f *modfile.File) error { return f.AddReplace("a.example/x", "", "../x", "") },
	} {
		_, err := client.Edit(ctx, "corp.example/lib", edit, nil)
		require.ErrorContains(t, err, name)
	}
	_, err = client.Edit(ctx, "corp.example/none", registry.Deprecate("x"), nil)
	require.Equal(t, http.StatusNotFound, refusal(t, err).Status)
	put(t, reg, http.StatusCreated, "corp.example/young@v0.0.0-20260102030405-abcdefabcdef", lib(t, "corp.example/young@v0.0.0-20260102030405-abcdefabcdef", "x"))
	_, err = client.Edit(ctx, "corp.example/young", registry.Deprecate("x"), nil)
	require.ErrorContains(t, err, "corp.example/young: no versions in the registry")
	require.True(t, strings.HasPrefix(published.Sum, "h1:"))
}
