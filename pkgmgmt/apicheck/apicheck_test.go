package apicheck_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

func TestMain(m *testing.M) {
	apicheck.Main()
	goleak.VerifyTestMain(m)
}

// needGo skips tests that start many go commands in short runs.
func needGo(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the go command")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
}

// folders writes the files of an archive below a new folder.
func folders(t testing.TB, archive string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(root, filepath.FromSlash(f.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, f.Data, 0o600))
	}
	return root
}

// pair returns the modules in the folders old and new of an archive. It adds a missing go.mod.
func pair(t testing.TB, archive string) (old, new apicheck.Module) {
	t.Helper()
	root := folders(t, archive)
	for _, side := range []string{"old", "new"} {
		name := filepath.Join(root, side, "go.mod")
		if _, err := os.Stat(name); err != nil {
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
			require.NoError(t, os.WriteFile(name, []byte("module corp.example/lib\n\ngo 1.21\n"), 0o600))
		}
	}
	return apicheck.Module{Dir: filepath.Join(root, "old")}, apicheck.Module{Dir: filepath.Join(root, "new")}
}

func checker(t testing.TB, opts *apicheck.Options) *apicheck.Checker {
	t.Helper()
	c, err := apicheck.New(opts)
	require.NoError(t, err)
	return c
}

// lines returns the changes as the verdict prints them, and its problems.
func lines(v apicheck.Verdict) []string {
	var all []string
	for _, c := range v.Changes {
		mark := "- "
		if c.Compatible {
			mark = "+ "
		}
		all = append(all, mark+c.String())
	}
	return append(all, v.Problems...)
}

func TestCompare(t *testing.T) {
	t.Parallel()
	needGo(t)
	for _, c := range []struct {
		name, archive string
		opts          *apicheck.Options
		want          apicheck.Bump
		lines         []string
	}{
		{
			name: "bodies, comments and what is internal do not count", want: apicheck.BumpPatch,
			archive: `
-- old/lib.go --
package lib
func F() int { return 1 }
func f() {}
-- old/internal/x/x.go --
package x
const Old = 1
-- old/cmd/tool/main.go --
package main
func Old() {}
-- old/lib_test.go --
package lib
func Old() {}
-- old/testdata/t.go --
package t
func Old() {}
-- new/lib.go --
// Package lib has a comment.
package lib
func F() int { undefined(); return "which does not even compile" }
-- new/main.go --
//go:build ignore
package main
`,
		},
		{
			name: "additions", want: apicheck.BumpMinor,
			archive: `
-- old/lib.go --
package lib
-- new/lib.go --
package lib
func F() {}
-- new/sub/sub.go --
package sub
`,
			lines: []string{"+ F: added", "+ package corp.example/lib/sub: added"},
		},
		{
			name: "each incompatible change is named", want: apicheck.BumpMajor,
			archive: `
-- old/lib.go --
package lib
type T struct{ A, B int }
func F(int) {}
func G() {}
const C = 1
type I interface{ M() }
-- old/sub/sub.go --
package sub
func F() {}
-- new/lib.go --
package lib
type T struct{ A string }
func F(int, ...string) {}
const C = 2
type I interface{ M(); N() }
func H() {}
`,
			lines: []string{
				"- C: value changed from 1 to 2",
				"- F: changed from func(int) to func(int, ...string)",
				"- G: removed",
				"- I.N: added",
				"- T.A: changed from int to string",
				"- T.B: removed",
				"- package corp.example/lib/sub: removed",
				"+ H: added",
			},
		},
		{
			name: "a changed file for another platform is judged there", want: apicheck.BumpMajor,
			archive: `
-- old/lib.go --
package lib
-- old/lib_windows.go --
package lib
func Handle() {}
-- old/lib_plan9.go --
package lib
func Same() {}
-- new/lib.go --
package lib
-- new/lib_windows.go --
package lib
-- new/lib_darwin.go --
package lib
func Added() {}
-- new/lib_plan9.go --
package lib
func Same() {}
`,
			lines: []string{"- Handle: removed (on windows/amd64)", "+ Added: added (on darwin/arm64)"},
		},
		{
			name: "a changed file for a platform that is not given is judged there", want: apicheck.BumpMajor,
			archive: `
-- old/lib.go --
package lib
-- old/lib_plan9.go --
package lib
func Removed() {}
-- new/lib.go --
package lib
func Added() {}
-- new/lib_plan9.go --
package lib
`,
			lines: []string{"- Removed: removed (on plan9/amd64)", "+ Added: added"},
		},
		{
			name: "cgo is not run, and what needs it is judged by its declarations", want: apicheck.BumpMinor,
			archive: `
-- old/lib.go --
package lib
-- new/lib.go --
package lib
-- new/c.go --
package lib
// #cgo LDFLAGS: -Wl,--evil
import "C"
func FromC() {}
`,
			lines: []string{"+ FromC: added (on linux/amd64 with cgo)"},
		},
		{
			name: "what needs a tag is no part of the API; what excludes one is", want: apicheck.BumpMinor,
			archive: `
-- old/lib.go --
package lib
-- old/mock.go --
//go:build testtools
package lib
func Mock() {}
-- new/lib.go --
package lib
-- new/mock.go --
//go:build testtools && linux
package lib
-- new/default.go --
//go:build !testtools
package lib
func Default() {}
`,
			lines: []string{"+ Default: added"},
		},
		{
			name: "a constraint on the version of Go", want: apicheck.BumpMinor,
			archive: `
-- old/lib.go --
package lib
-- new/lib.go --
package lib
-- new/next.go --
//go:build go1.999
package lib
func Next() {}
`,
			lines: []string{"+ Next: added (on linux/amd64 with go1.999)"},
		},
		{
			name: "excluded packages are told", want: apicheck.BumpPatch,
			opts: &apicheck.Options{Exclude: []apicheck.Exclusion{{Packages: "corp.example/lib/exp/...", Reason: "experiments"}}},
			archive: `
-- old/lib.go --
package lib
-- old/exp/exp.go --
package exp
func F() {}
-- old/exp/exp_plan9.go --
package exp
func F() {}
-- new/lib.go --
package lib
-- new/exp/exp.go --
package exp
-- new/exp/exp_plan9.go --
package exp
`,
		},
		{
			name: "the replace directives of a library do not count", want: apicheck.BumpUnknown,
			archive: `
-- old/lib.go --
package lib
-- new/go.mod --
module corp.example/lib
go 1.21
require corp.example/dep v1.0.0
replace corp.example/dep => ./dep
-- new/lib.go --
package lib
import "corp.example/dep"
type T = dep.T
-- new/dep/dep.go --
package dep
type T int
`,
			lines: []string{
				"corp.example/dep: corp.example/dep@v1.0.0: reading file://new-proxy/corp.example/dep/@v/v1.0.0.zip: no such file or directory",
				"corp.example/lib: lib.go:2:8: could not import corp.example/dep",
			},
		},
		{
			name: "type errors", want: apicheck.BumpUnknown,
			archive: `
-- old/lib.go --
package lib
-- new/lib.go --
package lib
type T undefined
func F() undefined2
`,
			lines: []string{
				"corp.example/lib: lib.go:2:8: undefined: undefined",
				"corp.example/lib: lib.go:3:10: undefined: undefined2",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, c.archive)
			v, err := checker(t, c.opts).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, c.want, v.Bump, "%s", v)
			if c.want == apicheck.BumpUnknown && len(v.Problems) > 0 {
				// The go command adds more text.
				require.Len(t, v.Problems, len(c.lines), "%s", v)
				for i, want := range c.lines {
					require.Contains(t, v.Problems[i], want)
				}
				return
			}
			require.Equal(t, c.lines, lines(v))
			if c.opts != nil {
				require.Equal(t, []apicheck.Exclusion{{Packages: "corp.example/lib/exp", Reason: "experiments"}}, v.Excluded)
			}
		})
	}
}

// TestDependencies has a type of another module in the API. The module comes from a proxy.
func TestDependencies(t *testing.T) {
	t.Parallel()
	needGo(t)
	old, new := pair(t, `
-- old/go.mod --
module corp.example/lib
go 1.21
require corp.example/dep v1.0.0
-- old/lib.go --
package lib
import "corp.example/dep"
func F() dep.T { panic(0) }
-- new/go.mod --
module corp.example/lib
go 1.21
require corp.example/dep/v2 v2.0.0
-- new/lib.go --
package lib
import "corp.example/dep/v2"
func F() dep.T { panic(0) }
`)
	deps := folders(t, `
-- one/go.mod --
module corp.example/dep
-- one/dep.go --
package dep
type T int
-- two/go.mod --
module corp.example/dep/v2
-- two/dep.go --
package dep
type T int
`)
	proxy := t.TempDir()
	require.NoError(t, apicheck.Publish(apicheck.Module{Version: "v1.0.0", Dir: filepath.Join(deps, "one")}, proxy))
	require.NoError(t, apicheck.Publish(apicheck.Module{Version: "v2.0.0", Dir: filepath.Join(deps, "two")}, proxy))
	old.Proxy, new.Proxy = "file://"+filepath.ToSlash(proxy), "file://"+filepath.ToSlash(proxy)
	v, err := apicheck.Compare(t.Context(), old, new)
	require.NoError(t, err)
	require.Equal(t, apicheck.BumpMajor, v.Bump)
	require.Equal(t, []string{"- F: changed from func() corp.example/dep.T to func() corp.example/dep/v2.T"}, lines(v))
}

// TestKnownTruths compares releases of two public modules.
func TestKnownTruths(t *testing.T) {
	t.Parallel()
	needGo(t)
	proxy := environmentProxy(t)
	for _, c := range []struct {
		path, old, new           string
		want                     apicheck.Bump
		incompatible, compatible int
		holds                    string
	}{
		{"github.com/Masterminds/semver/v3", "v3.4.0", "v3.5.0", apicheck.BumpMinor, 0, 6, "MaxVersionLen: added"},
		{"github.com/open-feature/go-sdk", "v1.17.2", "v1.20.0", apicheck.BumpMajor, 18, 7, "./openfeature.GetApiInstance: removed"},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			for _, version := range []string{c.old, c.new} {
				if out, err := exec.CommandContext(t.Context(), "go", "mod", "download", c.path+"@"+version).CombinedOutput(); err != nil {
					t.Skipf("%s@%s is not to be had here: %s", c.path, version, out)
				}
			}
			v, err := apicheck.Compare(t.Context(), apicheck.Module{Path: c.path, Version: c.old, Proxy: proxy}, apicheck.Module{Path: c.path, Version: c.new, Proxy: proxy})
			require.NoError(t, err)
			require.Equal(t, c.want, v.Bump, "%s", v)
			require.Len(t, v.Incompatible(), c.incompatible, "%s", v)
			require.Len(t, v.Changes, c.incompatible+c.compatible, "%s", v)
			require.Contains(t, v.String(), c.holds)
		})
	}
}

// environmentProxy returns the module cache of this machine and the proxies of GOPROXY.
func environmentProxy(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOMODCACHE", "GOPROXY").Output()
	require.NoError(t, err)
	var env struct{ GOMODCACHE, GOPROXY string }
	require.NoError(t, json.Unmarshal(out, &env))
	proxy := "file://" + filepath.ToSlash(filepath.Join(env.GOMODCACHE, "cache", "download"))
	for p := range strings.FieldsFuncSeq(env.GOPROXY, func(r rune) bool { return r == ',' || r == '|' }) {
		if p != "direct" && p != "off" {
			proxy += "," + p
		}
	}
	return proxy
}

func TestZip(t *testing.T) {
	t.Parallel()
	needGo(t)
	old, new := pair(t, `
-- old/lib.go --
package lib
func F() {}
-- new/lib.go --
package lib
`)
	tree := t.TempDir()
	var zips []apicheck.Module
	for version, m := range map[string]apicheck.Module{"v1.0.0": old, "v1.1.0": new} {
		m.Version = version
		require.NoError(t, apicheck.Publish(m, tree))
		zips = append(zips, apicheck.Module{Path: "corp.example/lib", Version: version, Zip: filepath.Join(tree, "corp.example", "lib", "@v", version+".zip")})
	}
	if zips[0].Version != "v1.0.0" {
		zips[0], zips[1] = zips[1], zips[0]
	}
	v, err := apicheck.Compare(t.Context(), zips[0], zips[1])
	require.NoError(t, err)
	require.Equal(t, []string{"- F: removed"}, lines(v))

	// One version with two contents, which only a registry refuses.
	v, err = apicheck.Compare(t.Context(), zips[0], apicheck.Module{Path: "corp.example/lib", Version: "v1.0.0", Dir: new.Dir})
	require.NoError(t, err)
	require.Equal(t, []string{"- F: removed"}, lines(v))

	var fault *apicheck.ModuleError
	broken := filepath.Join(tree, "broken.zip")
	require.NoError(t, os.WriteFile(broken, []byte("PK no zip"), 0o600))
	_, err = apicheck.Compare(t.Context(), zips[0], apicheck.Module{Path: "corp.example/lib", Version: "v1.1.0", Zip: broken})
	require.ErrorAs(t, err, &fault)
	zips[1].Version = "v1.2.0" // its files have another version in their names
	_, err = apicheck.Compare(t.Context(), zips[0], zips[1])
	require.ErrorAs(t, err, &fault)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	dir := folders(t, "-- go.mod --\nmodule corp.example/lib\n")
	good := apicheck.Module{Dir: dir}
	for want, m := range map[string]apicheck.Module{
		"apicheck: the module: malformed module path \"\": empty string":                                                {},
		"apicheck: corp.example/lib@v1: the version is not canonical":                                                   {Path: "corp.example/lib", Version: "v1", Proxy: "https://proxy.example"},
		"apicheck: corp.example/lib@v1.0.0: needs a zip, a folder or a proxy":                                           {Path: "corp.example/lib", Version: "v1.0.0"},
		"apicheck: corp.example/lib@v1.0.0: a proxy must be an http, https or file URL":                                 {Path: "corp.example/lib", Version: "v1.0.0", Proxy: "https://proxy.example,direct"},
		"apicheck: corp.example/lib@v1.0.0: has both a zip and a folder":                                                {Path: "corp.example/lib", Version: "v1.0.0", Zip: "x.zip", Dir: dir},
		"apicheck: corp.example/lib/v2@v2.999999999.999999999: is to be compared with corp.example/lib, another module": {Path: "corp.example/lib/v2", Dir: dir},
	} {
		_, err := apicheck.Compare(t.Context(), good, m)
		var fault *apicheck.ModuleError
		require.ErrorAs(t, err, &fault)
		require.EqualError(t, err, want)
	}
	_, err := apicheck.Compare(t.Context(), apicheck.Module{Dir: filepath.Join(dir, "missing")}, good)
	require.ErrorIs(t, err, os.ErrNotExist)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = apicheck.Compare(ctx, good, apicheck.Module{Dir: dir, Version: "v1.0.0"})
	require.ErrorIs(t, err, context.Canceled)

	_, err = checker(t, &apicheck.Options{Go: "no-such-go"}).Compare(t.Context(), good, apicheck.Module{Dir: dir, Version: "v1.0.0"})
	require.ErrorIs(t, err, exec.ErrNotFound)

	_, err = apicheck.New(&apicheck.Options{Timeout: -1, Memory: 1, Platforms: []string{"linux", "a/b/c", "../x/y"}, Exclude: []apicheck.Exclusion{{Packages: "x"}}})
	require.EqualError(t, err, `apicheck: Timeout: must not be negative, got -1ns
Memory: must be at least 256 MiB, got 1 bytes
Platforms[0]: must be as linux/amd64, got "linux"
Platforms[1]: must be as linux/amd64, got "a/b/c"
Platforms[2]: must be as linux/amd64, got "../x/y"
Exclude[0]: must have packages and a reason`)
	_, err = apicheck.New(&apicheck.Options{Platforms: []string{}})
	require.Error(t, err)
}

// TestHostileModules has modules that would block or kill the process, or use up its memory,
// without a worker.
func TestHostileModules(t *testing.T) {
	t.Parallel()
	needGo(t)
	double := func(b *strings.Builder, n int, format string) {
		for i := range n {
			b.WriteString(strings.NewReplacer("A", "a"+number(i), "B", "a"+number(i+1)).Replace(format) + "\n")
		}
	}
	var bomb, slow, deep, cycle strings.Builder
	bomb.WriteString("package lib\nconst a000 = \"0123456789abcdef\"\n")
	double(&bomb, 60, "const B = A + A")
	bomb.WriteString("const Len = len(a060)\n")
	slow.WriteString("package lib\nimport \"unsafe\"\ntype a000 struct{ x, y byte }\n")
	double(&slow, 60, "type B struct{ x, y A; z struct{ v, w A } }")
	slow.WriteString("const Size = unsafe.Sizeof(a060{})\n")
	deep.WriteString("package lib\nvar V " + strings.Repeat("[]", 200_000) + "int\n")
	cycle.WriteString("package lib\ntype T[P any] struct{ f *T[T[P]] }\ntype A interface{ B }\ntype B interface{ A }\ntype S struct{ s S }\n")
	for _, c := range []struct {
		name, source string
		opts         apicheck.Options
		holds        string
	}{
		{"memory", bomb.String(), apicheck.Options{Memory: 512 << 20}, "more than 512 MiB of memory"},
		{"time", slow.String(), apicheck.Options{Timeout: 4 * time.Second}, "took longer than 4s"},
		{"depth", deep.String(), apicheck.Options{}, "v1.999999999.999999999: corp.example/lib"}, // or, with the race detector's stacks, memory
		{"types that hold themselves", cycle.String(), apicheck.Options{}, "invalid recursive type"},
		{"no Go", "package lib\x00\xff{{{", apicheck.Options{}, "corp.example/lib"},
		{"a large file", "package lib\nvar V = []int{" + strings.Repeat("1,", 10_000_000) + "}\n", apicheck.Options{Memory: 256 << 20}, "more than 256 MiB of memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, "-- old/lib.go --\npackage lib\n-- new/lib.go --\n"+c.source)
			v, err := checker(t, &c.opts).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, apicheck.BumpUnknown, v.Bump)
			if c.name != "depth" || !strings.Contains(v.String(), "of memory") {
				require.Contains(t, v.String(), c.holds)
			}
			require.Less(t, len(v.String()), 20*5<<10)
		})
	}
	for name, c := range map[string]struct{ archive, holds string }{
		"packages that import each other":  {"-- new/a/a.go --\npackage a\nimport _ \"corp.example/lib/b\"\n-- new/b/b.go --\npackage b\nimport _ \"corp.example/lib/a\"\n", "import cycle"},
		"a version of Go that is not here": {"-- new/go.mod --\nmodule corp.example/lib\n\ngo 1.999\n\ntoolchain go1.999.1\n-- new/lib.go --\npackage lib\n", "requires go >= 1.999"},
		"another module inside":            {"-- new/go.mod --\nmodule corp.example/other\n-- new/lib.go --\npackage lib\n", "corp.example/other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, "-- old/lib.go --\npackage lib\n"+c.archive)
			new.Path, new.Version = "corp.example/lib", "v1.1.0"
			v, err := apicheck.Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, apicheck.BumpUnknown, v.Bump, "%s", v)
			require.Contains(t, v.String(), c.holds)
		})
	}
}

func number(i int) string {
	return string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)})
}

// TestNothingIsRun tries every way for a module to make a Go toolchain run its code. Each would
// create a file.
func TestNothingIsRun(t *testing.T) {
	t.Parallel()
	needGo(t)
	traces := t.TempDir()
	touch := func(name string) string { return "touch " + filepath.Join(traces, name) }
	old, new := pair(t, `
-- old/lib.go --
package lib
-- new/go.mod --
module corp.example/lib
go 1.24
toolchain go1.24.99
tool corp.example/lib/cmd/evil
-- new/lib.go --
package lib
//go:generate `+touch("generate")+`
import "os"
func init() { os.WriteFile("`+filepath.Join(traces, "init")+`", nil, 0o600) }
var V = func() int { os.WriteFile("`+filepath.Join(traces, "var")+`", nil, 0o600); return 0 }()
-- new/lib_test.go --
package lib
import "testing"
func TestMain(*testing.M) { panic(0) }
-- new/cmd/evil/main.go --
package main
func main() { panic(0) }
-- new/c/c.go --
package c
/*
#cgo CFLAGS: -fplugin=`+filepath.Join(traces, "evil.so")+`
#cgo pkg-config: --define-variable=x=`+traces+`
*/
import "C"
-- new/asm/asm.s --
#include "`+filepath.Join(traces, "missing.h")+`"
TEXT nonsense
-- new/asm/asm.go --
package asm
-- new/swig/s.swig --
%insert(begin) %{ nonsense %}
-- new/swig/s.go --
package swig
-- new/.git/config --
[core]
	fsmonitor = "`+touch("git")+`"
-- new/go.work --
go 1.999
-- new/vendor/modules.txt --
# nonsense
-- new/default.pgo --
nonsense
`)
	v, err := apicheck.Compare(t.Context(), old, new)
	require.NoError(t, err)
	require.Equal(t, apicheck.BumpMinor, v.Bump)
	require.Contains(t, lines(v), "+ package corp.example/lib/c: added (on linux/amd64 with cgo)")
	left, err := os.ReadDir(traces)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestTheEnvironmentStaysOutside has an environment that would run commands or use the network.
func TestTheEnvironmentStaysOutside(t *testing.T) {
	needGo(t)
	command, err := exec.LookPath("go")
	require.NoError(t, err)
	var asked atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(true)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	script := []byte("#!/bin/sh\ntouch " + filepath.Join(dir, "trace") + "\n")
	for _, name := range []string{"gopackagesdriver", "git", "gcc", "go1.999", "evil"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), script, 0o700))
	}
	for name, value := range map[string]string{
		"GOPROXY": s.URL + ",direct", "GOSUMDB": "sum.golang.org " + s.URL, "GOFLAGS": "-toolexec=" + filepath.Join(dir, "evil"), "GOPACKAGESDRIVER": filepath.Join(dir, "evil"),
		"GOTOOLCHAIN": "path", "CGO_ENABLED": "1", "CC": filepath.Join(dir, "evil"), "PATH": dir + string(filepath.ListSeparator) + os.Getenv("PATH"),
	} {
		t.Setenv(name, value)
	}
	old, new := pair(t, "-- old/lib.go --\npackage lib\n-- new/go.mod --\nmodule corp.example/lib\ngo 1.21\nrequire corp.example/dep v1.0.0\n-- new/lib.go --\npackage lib\nimport _ \"corp.example/dep\"\n")
	v, err := checker(t, &apicheck.Options{Go: command}).Compare(t.Context(), old, new)
	require.NoError(t, err)
	require.Equal(t, apicheck.BumpUnknown, v.Bump)
	require.Contains(t, v.String(), "corp.example/dep")
	require.False(t, asked.Load(), "an address that was not given was asked")
	require.NoFileExists(t, filepath.Join(dir, "trace"))
}

func TestCompareIsCancelled(t *testing.T) {
	t.Parallel()
	needGo(t)
	var slow strings.Builder
	slow.WriteString("package lib\nimport \"unsafe\"\ntype a000 [2]byte\n")
	for i := range 60 {
		slow.WriteString("type a" + number(i+1) + " struct{ x, y a" + number(i) + " }\n")
	}
	slow.WriteString("const Size = unsafe.Sizeof(a060{})\n")
	old, new := pair(t, "-- old/lib.go --\npackage lib\n-- new/lib.go --\n"+slow.String())
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(2*time.Second, func() { cancel(errors.New("enough")) })
	defer timer.Stop()
	_, err := apicheck.Compare(ctx, old, new)
	require.ErrorIs(t, err, context.Canceled)
}

func TestVerdictText(t *testing.T) {
	t.Parallel()
	v := apicheck.Verdict{
		Bump:     apicheck.BumpMajor,
		Changes:  []apicheck.Change{{Message: "F: removed", Platform: "plan9/386"}, {Message: "G: added", Compatible: true}},
		Excluded: []apicheck.Exclusion{{Packages: "a.example/x", Reason: "why"}},
	}
	require.Equal(t, "major: 1 incompatible and 1 compatible changes\n  - F: removed (on plan9/386)\n  + G: added\n  excluded: a.example/x (why)", v.String())
	text, err := json.Marshal(v)
	require.NoError(t, err)
	require.JSONEq(t, `{"bump":"major","changes":[{"message":"F: removed","compatible":false,"platform":"plan9/386"},{"message":"G: added","compatible":true}],"excluded":[{"packages":"a.example/x","reason":"why"}]}`, string(text))
	var back apicheck.Verdict
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, v, back)
	require.Error(t, json.Unmarshal([]byte(`{"bump":"huge"}`), &back))
	enough, _ := apicheck.Enough("a.example/x", "v1.0.0", "v9.0.0", apicheck.Verdict{}.Bump)
	require.False(t, enough, "who forgets to judge has not judged")
}

func TestEnough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, old, version string
		bump               apicheck.Bump
		advice             string // empty: enough
	}{
		{"a.example/x", "v1.2.3", "v1.2.4", apicheck.BumpPatch, ""},
		{"a.example/x", "v1.2.3", "v1.3.0", apicheck.BumpMinor, ""},
		{"a.example/x", "v1.2.3", "v1.3.0-rc.1", apicheck.BumpMinor, ""},
		{"a.example/x", "v1.9.3", "v1.9.4", apicheck.BumpMinor, "publish it as v1.10.0"},
		{"a.example/x", "v1.2.3", "v1.9.0", apicheck.BumpMajor, "keep the old API, or publish v2.0.0 as the new module a.example/x/v2"},
		{"a.example/x/v9", "v9.2.3", "v9.9.0", apicheck.BumpMajor, "keep the old API, or publish v10.0.0 as the new module a.example/x/v10"},
		{"gopkg.in/x.v2", "v2.2.3", "v2.9.0", apicheck.BumpMajor, "keep the old API, or publish v3.0.0 as the new module gopkg.in/x.v3"},
		{"a.example/x", "v2.2.3+incompatible", "v3.0.0+incompatible", apicheck.BumpMajor, ""},
		{"a.example/x", "v0.2.3", "v0.2.4", apicheck.BumpMinor, ""},
		{"a.example/x", "v0.2.3", "v0.2.4", apicheck.BumpMajor, "publish it as v0.3.0"},
		{"a.example/x", "v0.2.3", "v0.3.0", apicheck.BumpMajor, ""},
		{"a.example/x", "v0.2.3", "v1.0.0", apicheck.BumpMajor, ""},
		{"a.example/x", "v0.2.3", "v1.0.0", apicheck.BumpUnknown, "make the module load as its users load it, or override with a reason"},
		{"a.example/x", "v0.2.3", "v1.0.0", "huge", "make the module load as its users load it, or override with a reason"},
		{"a.example/x", "", "v1.0.0", apicheck.BumpPatch, `cannot compare "" and "v1.0.0": both must be versions`},
	} {
		ok, advice := apicheck.Enough(c.path, c.old, c.version, c.bump)
		require.Equal(t, c.advice, advice, "%+v", c)
		require.Equal(t, c.advice == "", ok, "%+v", c)
	}
}
