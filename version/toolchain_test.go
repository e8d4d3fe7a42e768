package version_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"golang.org/x/mod/modfile"
)

// These tests build programs with the real toolchain from real repositories,
// because what it stamps is learnt by building, not by reading.

// goCommand is the go command of the toolchain that runs the tests.
func goCommand(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command: ", err)
	}
	return path
}

// needToolchain skips where programs cannot or should not be built.
func needToolchain(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs with the real toolchain")
	}
	goCommand(t)
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git: ", err)
	}
}

// commitTime is when every commit of these tests was made.
const commitTime = "2026-01-02T03:04:05Z"

// hermetic is an environment without the user's and the machine's settings of git and go.
// Caches and proxy are shared.
func hermetic(extra ...string) []string {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		switch {
		case strings.HasPrefix(name, "GIT_"), strings.HasPrefix(name, "OTEL_"), name == "SERVICE_VERSION":
		case name == "GOFLAGS", name == "GOWORK", name == "GOOS", name == "GOARCH", name == "GOEXPERIMENT":
		default:
			env = append(env, pair)
		}
	}
	env = append(env,
		// Given by the environment it overrides the file of "go env -w".
		"GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE="+commitTime,
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE="+commitTime,
	)
	return append(env, extra...)
}

// in runs a command in a directory and gives what it prints.
func in(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	out, err := try(t.Context(), dir, name, args...)
	require.NoError(t, err)
	return out
}

func try(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = hermetic("PWD=" + dir)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.Bytes(), fault.Bytes())
	}
	return strings.TrimSpace(out.String()), nil
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

const shopMain = `package main

import (
	"encoding/json"
	"os"

	"github.com/upkeep-go/upkeep/version"
)

var password string

func main() {
	if password == "never" {
		panic(password)
	}
	if err := json.NewEncoder(os.Stdout).Encode(version.Current()); err != nil {
		panic(err)
	}
}
`

// In a test, standard output belongs to the go command.
const shopMainTest = `package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/upkeep-go/upkeep/version"
)

func TestSay(t *testing.T) {
	data, err := json.Marshal(version.Current())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("said.json", data, 0o644); err != nil {
		t.Fatal(err)
	}
}
`

// writeShop writes the module example.com/shop, which uses this checkout.
func writeShop(t testing.TB, dir string) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", data, nil)
	require.NoError(t, err)
	// The same requirements, so that go.mod and go.sum stay as they are.
	require.NoError(t, mod.AddModuleStmt("example.com/shop"))
	require.NoError(t, mod.AddRequire("github.com/upkeep-go/upkeep", "v0.0.0-00010101000000-000000000000"))
	require.NoError(t, mod.AddReplace("github.com/upkeep-go/upkeep", "", root, ""))
	data, err = mod.Format()
	require.NoError(t, err)
	write(t, dir, "go.mod", string(data))
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	write(t, dir, "go.sum", string(sums))
	write(t, dir, "main.go", shopMain)
	write(t, dir, "main_test.go", shopMainTest)
	write(t, dir, ".gitignore", "/shop\n/said.json\n")
}

// commitAll makes a repository of the directory, or a further commit.
func commitAll(t testing.TB, dir string) (revision string) {
	t.Helper()
	in(t, dir, "git", "init", "-q")
	in(t, dir, "git", "add", "-A")
	in(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "work")
	return in(t, dir, "git", "rev-parse", "HEAD")
}

// parse reads what a program printed of itself.
func parse(t testing.TB, printed string) version.Info {
	t.Helper()
	info, err := version.Parse("printed", []byte(printed))
	require.NoError(t, err)
	return info
}

// built builds with these arguments, asks the file and the program, and wants
// both to say the same.
func built(t testing.TB, dir string, args ...string) version.Info {
	t.Helper()
	said, read := builtBoth(t, dir, args...)
	require.Equal(t, read, said, "the file and the running program disagree")
	return said
}

func builtBoth(t testing.TB, dir string, args ...string) (said, read version.Info) {
	t.Helper()
	in(t, dir, goCommand(t), append([]string{"build", "-o", "shop"}, args...)...)
	program := filepath.Join(dir, "shop")
	said = parse(t, in(t, dir, program))
	read, err := version.ReadFile(program)
	require.NoError(t, err)
	return said, read
}

func TestToolchain(t *testing.T) {
	needToolchain(t)
	if runtime.GOOS == "windows" {
		t.Skip("the programs are built without .exe")
	}
	when, err := time.Parse(time.RFC3339, commitTime)
	require.NoError(t, err)

	// The repository that the others are cloned from: v1.2.3, nothing after.
	origin := t.TempDir()
	writeShop(t, origin)
	revision := commitAll(t, origin)
	in(t, origin, "git", "tag", "v1.2.3")
	clone := func(t *testing.T, args ...string) string {
		dir := filepath.Join(t.TempDir(), "shop")
		in(t, origin, "git", append(append([]string{"clone", "-q"}, args...), "file://"+filepath.ToSlash(origin), dir)...)
		return dir
	}
	// plain is a copy without a repository.
	plain := func(t *testing.T) string {
		dir := t.TempDir()
		writeShop(t, dir)
		return dir
	}
	release := func(t *testing.T, info version.Info) {
		require.Equal(t, "shop", info.Name)
		require.Equal(t, "v1.2.3", info.Version)
		require.Equal(t, version.KindRelease, info.Kind)
		require.Equal(t, revision, info.Revision)
		require.Equal(t, when, info.Time)
		require.False(t, info.Dirty)
		require.Equal(t, version.OriginBuildInfo, info.Origins["version"])
		require.Equal(t, version.OriginBuildInfo, info.Origins["dirty"])
		require.Equal(t, "example.com/shop", info.Module)
		require.Equal(t, "example.com/shop", info.Package)
		require.Equal(t, runtime.Version(), info.GoVersion)
		require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, info.Platform)
		require.Empty(t, info.Conflicts)
	}
	devel := func(t *testing.T, info version.Info) {
		require.Equal(t, "shop", info.Name)
		require.Equal(t, "(devel)", info.Version)
		require.Equal(t, version.KindDevel, info.Kind)
		require.Empty(t, info.Revision)
		require.True(t, info.Time.IsZero())
		require.Equal(t, version.OriginUnknown, info.Origins["revision"])
		require.Equal(t, version.OriginUnknown, info.Origins["dirty"])
		require.Empty(t, info.Conflicts)
	}
	sums := func(info version.Info) (with, without int) {
		for _, m := range info.Deps {
			if m.Sum != "" {
				with++
			} else if m.Replace == nil {
				without++
			}
		}
		return with, without
	}

	for name, test := range map[string]func(t *testing.T){
		"tagged": func(t *testing.T) {
			info := built(t, clone(t), "-buildvcs=true")
			release(t, info)
			with, without := sums(info)
			require.Positive(t, with)
			require.Zero(t, without)
			require.Equal(t, "git", info.Settings["vcs"])
		},
		"stamped by default": func(t *testing.T) {
			release(t, built(t, clone(t)))
		},
		"after the tag": func(t *testing.T) {
			dir := clone(t)
			later := commitAll(t, dir)
			info := built(t, dir, "-buildvcs=true")
			require.Equal(t, version.KindPseudo, info.Kind)
			require.Equal(t, "v1.2.4-0.20260102030405-"+later[:12], info.Version)
			require.Equal(t, later, info.Revision)
			require.Empty(t, info.Conflicts)
		},
		"an untracked note": func(t *testing.T) {
			dir := clone(t)
			write(t, dir, "note.txt", "buy milk\n")
			info := built(t, dir, "-buildvcs=true")
			require.Equal(t, "v1.2.3+dirty", info.Version)
			require.True(t, info.Dirty)
			require.Equal(t, revision, info.Revision)
			require.Empty(t, info.Conflicts)
		},
		"not stamped": func(t *testing.T) {
			devel(t, built(t, clone(t), "-buildvcs=false"))
		},
		"no repository": func(t *testing.T) {
			devel(t, built(t, plain(t)))
		},
		"shallow clone": func(t *testing.T) {
			dir := clone(t)
			later := commitAll(t, dir)
			shallow := filepath.Join(t.TempDir(), "shop")
			in(t, dir, "git", "clone", "-q", "--depth=1", "file://"+filepath.ToSlash(dir), shallow)
			info := built(t, shallow, "-buildvcs=true")
			require.Equal(t, "v0.0.0-20260102030405-"+later[:12], info.Version)
			require.Equal(t, version.KindPseudo, info.Kind)
			require.Equal(t, later, info.Revision)
		},
		"worktree alone": func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "wt")
			in(t, clone(t), "git", "worktree", "add", "-q", "--detach", dir, "v1.2.3")
			devel(t, built(t, dir))
		},
		"worktree in another repository": func(t *testing.T) {
			outer := t.TempDir()
			write(t, outer, "README", "something else\n")
			outerRevision := commitAll(t, outer)
			in(t, outer, "git", "tag", "v9.9.9")
			inner := filepath.Join(outer, "shop")
			in(t, clone(t), "git", "worktree", "add", "-q", "--detach", inner, "v1.2.3")
			info := built(t, inner, "-buildvcs=true")
			require.Equal(t, "(devel)", info.Version)
			require.Equal(t, outerRevision, info.Revision, "the toolchain stamps the outer repository")
			require.NotEqual(t, revision, info.Revision)
			require.Equal(t, []string{"revision"}, conflictFields(info))
			require.Contains(t, info.Conflicts[0].Reason, "outer repository")
		},
		"worktree in its own repository": func(t *testing.T) {
			outer := clone(t)
			inner := filepath.Join(outer, "wt")
			in(t, outer, "git", "worktree", "add", "-q", "-b", "other", inner, "v1.2.3")
			later := commitAll(t, inner)
			info := built(t, inner, "-buildvcs=true")
			require.Equal(t, revision, info.Revision, "as the package comment says, the toolchain stamps the outer checkout")
			require.NotEqual(t, later, info.Revision)
			require.Equal(t, "v1.2.3+dirty", info.Version)
			require.Empty(t, info.Conflicts)

			link := "-X github.com/upkeep-go/upkeep/version."
			info = built(t, inner, "-buildvcs=true", "-ldflags", link+"version=v1.2.4 "+link+"revision="+later)
			require.Equal(t, later, info.Revision)
			require.Equal(t, []string{"version", "revision", "dirty"}, conflictFields(info))
		},
		"linker variables and a secret": func(t *testing.T) {
			const v = "github.com/upkeep-go/upkeep/version."
			said, read := builtBoth(t, clone(t), "-buildvcs=true", "-ldflags",
				"-X main.password="+secret+" -X "+v+"version=v1.2.4 -X '"+v+"revision=abcdef0' -X "+v+"time=2026-02-03T04:05:06Z")
			require.Equal(t, read, said)
			require.Equal(t, "v1.2.4", said.Version)
			require.Equal(t, "abcdef0", said.Revision)
			require.Equal(t, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), said.Time)
			require.Equal(t, "v1.2.3", said.ModuleVersion)
			for _, field := range []string{"version", "revision", "time"} {
				require.Equal(t, version.OriginLinker, said.Origins[field])
			}
			require.Equal(t, []string{"version", "revision", "time"}, conflictFields(said))
			for _, out := range []string{said.String(), said.LogValue().String(), said.BuildInfo().String()} {
				require.NotContains(t, out, secret)
			}
			data, err := json.Marshal(read)
			require.NoError(t, err)
			require.NotContains(t, string(data), secret)
			for _, accept := range []string{"application/json", "text/plain", "text/x-go-buildinfo"} {
				require.NotContains(t, ask(version.Handler(read, at(version.LevelFull)), "GET", "Accept", accept).Body.String(), secret)
			}
		},
		"linker variables with trimpath": func(t *testing.T) {
			said, read := builtBoth(t, plain(t), "-trimpath", "-ldflags", "-X github.com/upkeep-go/upkeep/version.version=v1.2.4")
			require.Equal(t, "v1.2.4", said.Version, "the program knows")
			require.Equal(t, version.OriginLinker, said.Origins["version"])
			require.Equal(t, "true", said.Settings["-trimpath"])
			require.Equal(t, "(devel)", read.Version, "its file does not tell")
			require.Empty(t, read.Conflicts)
		},
		"a list of files": func(t *testing.T) {
			info := built(t, clone(t), "main.go")
			require.Empty(t, info.Name, "command-line-arguments is no service name")
			require.Empty(t, info.Package)
			require.Empty(t, info.Version)
			require.Equal(t, version.KindUnknown, info.Kind)
			require.Empty(t, info.Revision)
			require.Equal(t, runtime.Version(), info.GoVersion)
			require.NotEmpty(t, info.Deps)
			require.Empty(t, info.Conflicts)
		},
		"go run": func(t *testing.T) {
			dir := clone(t)
			devel(t, parse(t, in(t, dir, goCommand(t), "run", ".")))
			release(t, parse(t, in(t, dir, goCommand(t), "run", "-buildvcs=true", ".")))
		},
		"go test": func(t *testing.T) {
			dir := clone(t)
			in(t, dir, goCommand(t), "test", "-count=1", ".")
			data, err := os.ReadFile(filepath.Join(dir, "said.json"))
			require.NoError(t, err)
			info := parse(t, string(data))
			require.Equal(t, "(devel)", info.Version)
			require.Equal(t, version.KindDevel, info.Kind)
			require.Empty(t, info.Revision)
			require.Equal(t, "example.com/shop", info.Module)
		},
		"vendored": func(t *testing.T) {
			dir := clone(t)
			in(t, dir, goCommand(t), "mod", "vendor")
			vendored := commitAll(t, dir)
			in(t, dir, "git", "tag", "v1.3.0")
			info := built(t, dir, "-buildvcs=true", "-mod=vendor")
			require.Equal(t, "v1.3.0", info.Version)
			require.Equal(t, vendored, info.Revision)
			require.False(t, info.Dirty)
			with, without := sums(info)
			require.Zero(t, with, "vendored modules have no sums")
			require.Positive(t, without)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// Two versions of a real module, with their checksums.
const (
	semver340 = "h1:Zog+i5UMtVoCU8oKka5P7i9q9HgrJeGzI9SA1Xbatp0="
	semver350 = "h1:kQceYJfbupGfZOKZQg0kou0DgAKhzDg2NZPAwZ/2OOE="
)

// buildWithSemver builds a program with a version of that module and gives
// the path of the program.
func buildWithSemver(t testing.TB, v, sum, tag string) (program, revision string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/shop\n\ngo 1.26\n\nrequire github.com/Masterminds/semver/v3 "+v+"\n")
	write(t, dir, "go.sum", "github.com/Masterminds/semver/v3 "+v+" "+sum+"\n"+
		"github.com/Masterminds/semver/v3 "+v+"/go.mod h1:4V+yj/TJE1HU9XfppCwVMZq3I84lprf4nC11bSS5beM=\n")
	write(t, dir, "main.go", "package main\n\nimport \"github.com/Masterminds/semver/v3\"\n\nfunc main() { println(semver.MustParse(\"1.2.3\").String()) }\n")
	write(t, dir, ".gitignore", "/shop\n")
	if out, err := try(t.Context(), dir, goCommand(t), "mod", "download"); err != nil {
		require.Empty(t, os.Getenv("CI"), "%s %v", out, err)
		t.Skip("no module proxy: ", err)
	}
	revision = commitAll(t, dir)
	in(t, dir, "git", "tag", tag)
	in(t, dir, goCommand(t), "build", "-buildvcs=true", "-o", "shop")
	return filepath.Join(dir, "shop"), revision
}

func TestDiffOfTwoRealPrograms(t *testing.T) {
	t.Parallel()
	needToolchain(t)
	oldProgram, oldRevision := buildWithSemver(t, "v3.4.0", semver340, "v1.4.1")
	newProgram, newRevision := buildWithSemver(t, "v3.5.0", semver350, "v1.4.2")
	old, err := version.ReadFile(oldProgram)
	require.NoError(t, err)
	new, err := version.ReadFile(newProgram)
	require.NoError(t, err)

	d := version.Diff(old, new)
	require.Equal(t, "v1.4.1 → v1.4.2\nsemver v3.4.0 → v3.5.0\nrev "+oldRevision[:12]+".."+newRevision[:12], d.String())
	require.Equal(t, []version.ModuleChange{{
		Path: "github.com/Masterminds/semver/v3",
		Kind: version.ChangeKindUpgraded,
		Old:  &version.Module{Path: "github.com/Masterminds/semver/v3", Version: "v3.4.0", Sum: semver340},
		New:  &version.Module{Path: "github.com/Masterminds/semver/v3", Version: "v3.5.0", Sum: semver350},
	}}, d.Deps)
	require.Equal(t, version.ChangeKindDowngraded, version.Diff(new, old).Deps[0].Kind)

	// What the go command prints of the file says the same as the file.
	for _, args := range [][]string{{"version", "-m"}, {"version", "-m", "-json"}} {
		out := in(t, filepath.Dir(newProgram), goCommand(t), append(args, newProgram)...) + "\n"
		parsed, err := version.Parse("go version", []byte(out))
		require.NoError(t, err)
		require.Equal(t, new, parsed)
	}
	// And the answer of a service is read by the standard library.
	body := ask(version.Handler(new, at(version.LevelFull)), "GET", "Accept", "text/x-go-buildinfo").Body.String()
	bi, err := debug.ParseBuildInfo(body)
	require.NoError(t, err)
	require.Equal(t, "v1.4.2", bi.Main.Version)
	require.Equal(t, []*debug.Module{{Path: "github.com/Masterminds/semver/v3", Version: "v3.5.0", Sum: semver350}}, bi.Deps)
}
