package registry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

func serveR(t *testing.T, h http.Handler) *registry.Client {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &registry.Client{URL: s.URL, HTTP: s.Client()}
}

func TestDeprecateBeginsAParagraph(t *testing.T) {
	at := "corp.example/lib@v1.0.0"
	reg := fresh(t)
	put(t, reg, 201, at, archive(t, at, "@/go.mod", "// Module lib does things.\nmodule corp.example/lib\n\ngo 1.24\n", "@/lib.go", "package lib\n"))
	c := serveR(t, reg)
	_, err := c.Edit(t.Context(), "corp.example/lib", registry.Deprecate("use kit"), nil)
	require.NoError(t, err)
	mod := get(reg, "/corp.example/lib/@v/v1.0.1.mod").Body.String()
	f, err := modfile.Parse("go.mod", []byte(mod), nil)
	require.NoError(t, err)
	require.Equal(t, "use kit", f.Module.Deprecated, mod)
}

func TestDeprecateTakesBackASuffix(t *testing.T) {
	f, err := modfile.Parse("go.mod", []byte("module corp.example/lib // Deprecated: old\n"), nil)
	require.NoError(t, err)
	require.Equal(t, "old", f.Module.Deprecated)
	require.NoError(t, registry.Deprecate("")(f))
	data, _ := f.Format()
	f, _ = modfile.Parse("go.mod", data, nil)
	require.Equal(t, "", f.Module.Deprecated, string(data))
}

func TestEditAboveWhatIsNotListed(t *testing.T) {
	for _, how := range []string{"yank", "block"} {
		t.Run(how, func(t *testing.T) {
			reg := fresh(t)
			put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
			put(t, reg, 201, "corp.example/lib@v1.0.1", lib(t, "corp.example/lib@v1.0.1", "b"))
			c := serveR(t, reg)
			m := module.Version{Path: "corp.example/lib", Version: "v1.0.1"}
			if how == "yank" {
				require.NoError(t, c.Yank(t.Context(), m, "bad"))
			} else {
				require.NoError(t, c.Block(t.Context(), m, "bad"))
			}
			_, err := c.Edit(t.Context(), "corp.example/lib", registry.Retract("v1.0.1", "v1.0.1", "bad"), nil)
			require.NoError(t, err)
		})
	}
}

func TestALoginPageIsNoSuccess(t *testing.T) {
	c := serveR(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<html>log in"))
			return
		}
		http.Redirect(w, r, "/login", http.StatusFound)
	}))
	require.Error(t, c.Block(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.1"}, "evil"))
}

// TestEditWithoutARelease: Edit must not turn a prerelease into a release.
func TestEditWithoutARelease(t *testing.T) {
	reg := fresh(t)
	c := serveR(t, reg)
	for _, version := range []string{"v1.0.0-rc.1", "v2.0.0-0.beta"} {
		path := "corp.example/lib"
		if version[1] == '2' {
			path += "/v2"
		}
		put(t, reg, 201, path+"@"+version, lib(t, path+"@"+version, "a"))
		_, err := c.Edit(t.Context(), path, registry.Deprecate("use kit"), nil)
		require.EqualError(t, err, path+": no release: the latest version "+version+" is a prerelease, and Edit would publish it as a release")
		require.Equal(t, version+"\n", get(reg, "/"+path+"/@v/list").Body.String())
	}
	put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	put(t, reg, 201, "corp.example/lib@v1.1.0-rc.1", lib(t, "corp.example/lib@v1.1.0-rc.1", "a"))
	published, err := c.Edit(t.Context(), "corp.example/lib", registry.Deprecate("use kit"), nil)
	require.NoError(t, err)
	require.Equal(t, "v1.0.1", published.Version, "a prerelease above the release is ignored")
}

// TestRetractOfNothing: an empty interval, or an interval with invalid versions.
func TestRetractOfNothing(t *testing.T) {
	reg := fresh(t)
	put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	c := serveR(t, reg)
	for _, ends := range [][2]string{{"v1.2.3", "v1.2.0"}, {"v1.10.0", "v1.9.0"}, {"v1.0.0", "v1.0.0-rc.1"}, {"v1.0", "v1.1"}, {"", ""}, {"v1.0.0", "latest"}, {"1.0.0", "1.1.0"}} {
		_, err := c.Edit(t.Context(), "corp.example/lib", registry.Retract(ends[0], ends[1], "bad"), nil)
		require.ErrorContains(t, err, "retraction: ", ends)
	}
	require.Equal(t, "v1.0.0\n", get(reg, "/corp.example/lib/@v/list").Body.String())
}

// TestEditKeepsWhatItDoesNotKnow edits a go.mod for a later Go.
func TestEditKeepsWhatItDoesNotKnow(t *testing.T) {
	reg := fresh(t)
	at := "corp.example/lib@v1.0.0"
	put(t, reg, 201, at, archive(t, at, "@/go.mod", "module corp.example/lib\n\ngo 1.24\n\nfuture (\n\tthing v1\n)\n", "@/lib.go", "package lib\n"))
	_, err := serveR(t, reg).Edit(t.Context(), "corp.example/lib", registry.Retract("v1.0.0", "v1.0.0", "bad"), nil)
	require.NoError(t, err)
	mod := get(reg, "/corp.example/lib/@v/v1.0.1.mod").Body.String()
	require.Contains(t, mod, "future thing v1")
	require.Contains(t, mod, "retract v1.0.0")
}
