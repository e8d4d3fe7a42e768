package proxytest_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConsumer builds a service from a shared module by the go command.
func TestConsumer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here")
	}
	greet := func(version, text string) proxytest.Module {
		return proxytest.Module{Path: "corp.example/greet", Version: version, Files: proxytest.Files{
			"greet.go": "package greet\n\nfunc Text() string { return \"" + text + "\" }\n",
		}}
	}
	p := proxytest.New(t, greet("v1.0.0", "hello"), greet("v1.1.0", "good morning"))
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module shop.example/shop\n\ngo 1.24\n",
		"main.go": "package main\n\nimport \"corp.example/greet\"\n\nfunc main() { println(greet.Text()) }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	command := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, p.Env()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	command("get", "corp.example/greet@v1.0.0")
	require.Equal(t, "hello\n", command("run", "."))
	require.Equal(t, "corp.example/greet v1.0.0 [v1.1.0]\n", command("list", "-m", "-u", "corp.example/greet"))

	// A version that is published during the test is available at once.
	require.NoError(t, p.Publish(t.Context(), greet("v1.2.0", "good evening")))
	command("get", "corp.example/greet@latest")
	require.Equal(t, "good evening\n", command("run", "."))

	// Other modules come from the machine's module cache. This one is there, because this test needs
	// it.
	out := command("list", "-m", "-f", "{{.Path}}", "github.com/stretchr/testify@v1.12.1")
	require.Equal(t, "github.com/stretchr/testify\n", out)
	for _, line := range p.Env() {
		if list, ok := strings.CutPrefix(line, "GOPROXY="); ok {
			require.NotContains(t, strings.ReplaceAll(list, p.URL, ""), "http")
			require.NotContains(t, list, "direct")
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	require.NoError(t, fstest.TestFS(proxytest.Files{"a.go": "package a\n", "b/c/d.txt": "d"}, "a.go", "b/c/d.txt"))
	p := proxytest.New(t,
		proxytest.Module{Path: "a.example/x/v2", Version: "v2.0.0", Files: os.DirFS("testdata/lib")},
		proxytest.Module{Path: "b.example/Y", Version: "v0.1.0-rc.1", Files: proxytest.Files{"go.mod": "module b.example/Y\n", "y.go": "package y\n"}},
	)
	for _, path := range []string{"/a.example/x/v2/@v/v2.0.0.zip", "/b.example/!y/@v/v0.1.0-rc.1.zip"} {
		res, err := p.Client.HTTP.Get(p.URL + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	require.ErrorContains(t, p.Publish(t.Context(), proxytest.Module{Path: "a.example/x", Version: "v1.0.0"}), "Module.Files is nil")
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t)
	err := p.Publish(t.Context(), proxytest.Module{Path: "corp.example/lib", Version: "v1.0.0", Files: proxytest.Files{"go.mod": "module corp.example/other\n"}})
	var refusal *registry.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "go.mod", refusal.Rule)
	require.ErrorContains(t, err, "proxytest: the registry at "+p.URL+": corp.example/lib@v1.0.0: 422 Unprocessable Entity: ")
	require.Equal(t, http.StatusUnprocessableEntity, refusal.Status)
}
