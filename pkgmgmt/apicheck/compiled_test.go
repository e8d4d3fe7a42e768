package apicheck_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

// compiles reports whether a consumer, the source of a package, compiles against a module in
// a folder. The compiler is what decides what is compatible.
func compiles(t *testing.T, module apicheck.Module, consumer string) bool {
	t.Helper()
	dir := t.TempDir()
	mod := "module consumer.example\n\ngo 1.26\n\nrequire corp.example/lib v0.0.0\n\nreplace corp.example/lib => " + module.Dir + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "consumer.go"), []byte(consumer), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOSUMDB=off")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return err == nil
}

// TestCompiledConsumers has changes that a consumer feels, and those that none can. What
// does not compile any more needs a new major version.
func TestCompiledConsumers(t *testing.T) {
	t.Parallel()
	needGo(t)
	for _, c := range compiled {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, c.archive)
			require.True(t, compiles(t, old, c.consumer), "the consumer must compile before")
			breaks := !compiles(t, new, c.consumer)
			require.Equal(t, c.want == apicheck.BumpMajor, breaks, "the compiler decides")
			v, err := checker(t, &apicheck.Options{Platforms: []string{"linux/amd64"}}).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, c.want, v.Bump, "%s", v)
			for _, line := range c.lines {
				require.Contains(t, lines(v), line)
			}
		})
	}
}

var compiled = []struct {
	name, archive, consumer string
	want                    apicheck.Bump
	lines                   []string
}{
	{
		name: "a type parameter asks for more", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\nfunc Keys[T any](...T) {}\n-- new/lib.go --\npackage lib\nfunc Keys[T comparable](...T) {}\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.Keys([]int{}) }\n",
	},
}
