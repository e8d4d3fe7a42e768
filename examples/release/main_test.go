package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

func TestMain(m *testing.M) {
	apicheck.Main()
	os.Exit(m.Run())
}

const (
	rootPath   = "github.com/upkeep-go/upkeep"
	nestedPath = rootPath + "/downtime/grpcguard"
	nestedTag  = "downtime/grpcguard/"
)

// A copy is a clone of this repository without releases, whose remote is a bare repository.
type copied struct {
	*testing.T
	dir, remote string
}

func newCopy(t *testing.T) *copied {
	t.Helper()
	temp := t.TempDir()
	c := &copied{T: t, dir: filepath.Join(temp, "copy"), remote: filepath.Join(temp, "remote.git")}
	top := run(t, ".", "git", "rev-parse", "--show-toplevel")
	run(t, temp, "git", "clone", "--quiet", "--no-tags", top, "copy")
	run(t, temp, "git", "init", "--quiet", "--bare", "remote.git")
	c.git("checkout", "--quiet", "-B", "main")
	c.git("remote", "set-url", "origin", c.remote)
	c.git("config", "user.name", "Release")
	c.git("config", "user.email", "release@example.com")
	c.git("config", "commit.gpgsign", "false")
	c.git("config", "tag.gpgsign", "false")
	return c
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), dir, nil, name, args...)
	require.NoError(t, err)
	return out
}

func (c *copied) git(args ...string) string {
	c.Helper()
	return run(c.T, c.dir, "git", args...)
}

// write makes a file of the copy.
func (c *copied) write(name, text string) {
	c.Helper()
	require.NoError(c, os.WriteFile(filepath.Join(c.dir, filepath.FromSlash(name)), []byte(text), 0o600))
}

var today = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// changelog has a section for each version, of the day of the tests.
func (c *copied) changelog(versions ...string) {
	c.Helper()
	text := "# Changelog\n\n## [Unreleased]\n"
	for _, v := range versions {
		text += "\n## [" + v + "] - 2026-12-01\n\n- Something.\n"
	}
	c.write("CHANGELOG.md", text)
}

// commit commits all changes and pushes main.
func (c *copied) commit() {
	c.Helper()
	c.git("add", "--all")
	c.git("commit", "--quiet", "--message", "A change")
	c.git("push", "--quiet", "origin", "main")
}

// release runs a release of the copy, with the cheapest of the checks of the source.
func (c *copied) release(version string, push bool) (printed string, err error) {
	c.Helper()
	var out bytes.Buffer
	r := &release{version: version, dir: c.dir, remote: "origin", push: push, today: today, checks: sourceChecks[:1], out: &out}
	err = r.run(c.Context())
	require.Equal(c, 1, strings.Count(c.git("worktree", "list", "--porcelain"), "worktree "), "no work tree stays")
	return out.String(), err
}

func (c *copied) remoteTags() []string {
	return strings.Fields(run(c.T, c.remote, "git", "tag", "--list"))
}

// TestRelease plays two releases of a copy of this repository.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("it releases the repository several times")
	}
	t.Parallel()
	c := newCopy(t)
	c.write("version/extra.go", "package version\n\n// Extra is in the first release.\nfunc Extra() {}\n")
	c.changelog("0.1.0")
	c.commit()

	printed, err := c.release("v0.1.0", true)
	require.NoError(t, err)
	require.Equal(t, []string{nestedTag + "v0.1.0", "v0.1.0"}, c.remoteTags())
	require.Contains(t, printed, "tag v0.1.0 at")
	require.Equal(t, c.git("rev-parse", "HEAD"), c.git("rev-parse", "v0.1.0^{commit}"))
	require.Equal(t, c.git("rev-parse", "HEAD"), c.git("rev-parse", nestedTag+"v0.1.0~"), "beside main")
	require.Contains(t, c.git("show", "HEAD:downtime/grpcguard/go.mod"), "replace "+rootPath, "main is as it was")
	file, err := modfile.Parse("go.mod", []byte(c.git("show", nestedTag+"v0.1.0:downtime/grpcguard/go.mod")), nil)
	require.NoError(t, err)
	require.Empty(t, file.Replace)

	// What the go command says of the tagged module, with the root as a module proxy has it.
	c.git("checkout", "--quiet", nestedTag+"v0.1.0")
	r := &release{version: "v0.1.0", dir: c.dir, remote: "origin", out: &bytes.Buffer{}}
	require.NoError(t, r.open(t.Context()))
	work, err := r.newWorkshop(t.Context())
	require.NoError(t, err)
	defer work.close()
	require.NoError(t, work.publish(t.Context(), r.root, "v0.1.0", "v0.1.0"))
	listed, err := command(t.Context(), filepath.Join(c.dir, "downtime", "grpcguard"), work.env, "go", "list", "-m", rootPath)
	require.NoError(t, err)
	require.Equal(t, rootPath+" v0.1.0", listed)
	_, err = command(t.Context(), filepath.Join(c.dir, "downtime", "grpcguard"), append(work.env, "GOFLAGS=-mod=readonly -modcacherw -trimpath"), "go", "build", "./...")
	require.NoError(t, err, "its go.sum has the sums of the root")
	c.git("checkout", "--quiet", "main")

	// The API breaks, so v0.1.1 is refused.
	require.NoError(t, os.Remove(filepath.Join(c.dir, "version", "extra.go")))
	c.changelog("0.2.0", "0.1.1", "0.1.0")
	c.commit()
	_, err = c.release("v0.1.1", true)
	require.ErrorContains(t, err, "Extra: removed")
	require.ErrorContains(t, err, "v0.2.0")
	require.Len(t, c.remoteTags(), 2)
	require.Len(t, strings.Fields(c.git("tag", "--list")), 2)

	printed, err = c.release("v0.2.0", false)
	require.NoError(t, err)
	require.Contains(t, printed, rootPath+": the change of the API since v0.1.0 is major")
	require.Contains(t, printed, nestedPath+": the change of the API since v0.1.0 is patch")
	require.Contains(t, printed, "tag "+nestedTag+"v0.2.0 at")
	require.Contains(t, printed, "dry run")
	require.Len(t, c.remoteTags(), 2)
	require.Len(t, strings.Fields(c.git("tag", "--list")), 2)
}

// TestRefusals checks that faults are found before anything expensive begins.
func TestRefusals(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it clones the repository")
	}
	c := newCopy(t)
	c.changelog("0.3.1")
	c.commit()
	c.git("tag", "v0.3.0")
	c.git("tag", "v0.4.0-rc.1")

	for version, want := range map[string]string{
		"0.3.1":      `"0.3.1" is not a version such as v0.2.0`,
		"v0.3":       `"v0.3" is not a version`,
		"v0.4.0-rc1": `is not a version`,
		"v0.3.0":     "v0.3.0 is not higher than the last release, v0.3.0",
		"v0.2.9":     "not higher",
		"v0.5.0":     "v0.5.0 does not follow v0.3.0: the next version is one of v0.3.1, v0.4.0, v1.0.0",
		"v0.4.0":     `CHANGELOG.md has no section "## [0.4.0] - 2026-12-01"`,
	} {
		_, err := c.release(version, true)
		require.ErrorContains(t, err, want, version)
	}

	c.write("CHANGELOG.md", "# Changelog\n\n## [0.3.1] - 2026-11-30\n\n- Something.\n")
	_, err := c.release("v0.3.1", true)
	require.ErrorContains(t, err, "the working tree is not clean:\nM CHANGELOG.md", "all that is wrong is said at once")
	require.ErrorContains(t, err, `CHANGELOG.md has "## [0.3.1] - 2026-11-30", must be "## [0.3.1] - 2026-12-01"`)
	c.write("CHANGELOG.md", "# Changelog\n\n## [0.3.1] - 2026-12-01\n\n## [0.3.0] - 2026-11-01\n\n- Something.\n")
	_, err = c.release("v0.3.1", true)
	require.ErrorContains(t, err, "CHANGELOG.md says nothing about 0.3.1")

	c.changelog("0.3.1", "0.3.0")
	c.git("commit", "--quiet", "--all", "--message", "not pushed")
	_, err = c.release("v0.3.1", true)
	require.ErrorContains(t, err, "HEAD is not main of origin")

	c.git("push", "--quiet", "origin", "main")
	c.git("tag", nestedTag+"v0.3.1")
	_, err = c.release("v0.3.1", true)
	require.ErrorContains(t, err, "the tag "+nestedTag+"v0.3.1 exists already")
	c.git("tag", "-d", nestedTag+"v0.3.1")
	c.write("go.mod", c.git("show", "HEAD:go.mod")+"\n\nrequire golang.org/x/text v0.14.0\n")
	c.commit()
	_, err = c.release("v0.3.1", true)
	require.ErrorContains(t, err, "go mod tidy -diff")
	require.Empty(t, c.remoteTags())

	c.git("push", "--quiet", "origin", "v0.3.0")
	c.git("tag", "-d", "v0.3.0")
	_, err = c.release("v0.3.1", true)
	require.ErrorContains(t, err, "the tag of the last release, v0.3.0, is not in this clone: git fetch --tags")
}

// TestSourceChecksAreThoseOfCI finds each check in the script of CI.
func TestSourceChecksAreThoseOfCI(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", ".ci", "run"))
	require.NoError(t, err)
	script := strings.ReplaceAll(string(data), "tool gofumpt", "go tool -modfile=.ci/tools.mod gofumpt")
	for _, c := range sourceChecks {
		if line := strings.Join(c.args, " "); line != "go test ./internal/layers" { // a part of go test ./...
			require.Contains(t, script, line)
		}
	}
	require.DirExists(t, filepath.Join("..", "..", "internal", "layers"))
}
