package layers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

// TestCompatibility holds each version in .github/COMPATIBILITY.md to a go.mod file: the lowest
// versions to the modules that users import, the others to the module that the row names. The
// first table has all OpenFeature, OpenTelemetry API and gRPC modules that users' programs get.
func TestCompatibility(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	data, err := os.ReadFile(filepath.Join(root, ".github", "COMPATIBILITY.md"))
	require.NoError(t, err)
	lowest, tested, found := strings.Cut(string(data), "| tested with |")
	require.True(t, found)

	main, guard := goMod(t, root), goMod(t, filepath.Join(root, "downtime", "grpcguard"))
	needed := map[string]string{}
	for _, cells := range rows(lowest, 3) {
		if cells[0] == "Go" {
			for _, mod := range []*modfile.File{main, guard} {
				require.Equal(t, cells[2]+".0", mod.Go.Version)
			}
			continue
		}
		needed[strings.Trim(cells[1], "`")] = cells[2]
	}
	want := map[string]string{}
	for _, mod := range []*modfile.File{main, guard} {
		for _, req := range mod.Require {
			path := req.Mod.Path
			isAPI := strings.HasPrefix(path, otel) && !strings.Contains(path, "/sdk")
			if !req.Indirect && (isAPI || path == openfeature || path == "google.golang.org/grpc") {
				want[path] = req.Mod.Version
			}
		}
	}
	require.Equal(t, want, needed)

	all := rows(tested, 4)
	require.Greater(t, len(all), 5)
	for _, cells := range all {
		path, dir := strings.Trim(cells[1], "`"), strings.Trim(cells[3], "`")
		versions := map[string]string{}
		for _, req := range goMod(t, filepath.Join(root, filepath.FromSlash(dir))).Require {
			if !req.Indirect {
				versions[req.Mod.Path] = req.Mod.Version
			}
		}
		require.Equal(t, versions[path], cells[2], "%s in %s", path, dir)
	}
}

// rows returns the cells of a table's rows in Markdown, without its head.
func rows(text string, columns int) (all [][]string) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == columns && strings.HasPrefix(line, "| ") && cells[1] != "module" {
			all = append(all, cells)
		}
	}
	return all
}

func goMod(t *testing.T, dir string) *modfile.File {
	t.Helper()
	name := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	mod, err := modfile.Parse(name, data, nil)
	require.NoError(t, err)
	return mod
}
