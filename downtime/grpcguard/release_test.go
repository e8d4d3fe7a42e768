package grpcguard_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// TestImporters releases the current tree, as examples/release does, to a module proxy in a
// folder, and imports it from there. It must build without the replace in go.mod, which importers
// ignore.
func TestImporters(t *testing.T) {
	t.Parallel()
	const root, version = "github.com/upkeep-go/upkeep", "v0.999.0"
	const nested = root + "/downtime/grpcguard"
	proxy := t.TempDir()

	release := func(path, dir string, mod []byte) {
		to := filepath.Join(proxy, filepath.FromSlash(path), "@v")
		require.NoError(t, os.MkdirAll(to, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(to, version+".info"), fmt.Appendf(nil, `{"Version": %q}`, version), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(to, version+".mod"), mod, 0o644))
		zip, err := os.Create(filepath.Join(to, version+".zip"))
		require.NoError(t, err)
		require.NoError(t, modzip.CreateFromDir(zip, module.Version{Path: path, Version: version}, dir))
		require.NoError(t, zip.Close())
	}
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	require.NoError(t, err)
	release(root, filepath.Join("..", ".."), mod)

	mod, err = os.ReadFile("go.mod")
	require.NoError(t, err)
	file, err := modfile.Parse("go.mod", mod, nil)
	require.NoError(t, err)
	require.NoError(t, file.AddRequire(root, version))
	mod, err = file.Format()
	require.NoError(t, err)
	tagged := t.TempDir()
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range sources {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(tagged, name), data, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(tagged, "go.mod"), mod, 0o644))
	release(nested, tagged, mod)

	importer := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module importer\n\ngo 1.26.0\n\nrequire " + nested + " " + version + "\n",
		"main.go": "package main\n\nimport _ \"" + nested + "\"\n\nfunc main() {}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(importer, name), []byte(text), 0o644))
	}
	env := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	// Other modules come from the cache, which has them because this test was built.
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", ".")
	cmd.Dir = importer
	cmd.Env = append(os.Environ(),
		"GOPROXY=file://"+filepath.ToSlash(proxy)+",file://"+filepath.ToSlash(filepath.Join(env("GOMODCACHE"), "cache", "download"))+","+env("GOPROXY"),
		"GOMODCACHE="+t.TempDir(), "GOFLAGS=-mod=mod -modcacherw", "GOSUMDB=off", "GOWORK=off", "PWD="+importer)
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	require.NoError(t, err, told.String())
	require.Contains(t, string(out), root+" "+version+"\n")
	require.Contains(t, string(out), nested+" "+version+"\n")
}
