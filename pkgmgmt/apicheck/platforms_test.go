package apicheck_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// TestFilesThatDoNotLoad changes files that no platform of the options compiles.
func TestFilesThatDoNotLoad(t *testing.T) {
	t.Parallel()
	needGo(t)
	cases := []struct {
		name     string
		file     string
		old, new string // Empty means that the file is missing.
		rest     string // another file of both versions
		want     apicheck.Bump
		lines    []string
	}{
		{name: "a comment", file: "lib_freebsd.go", old: "package lib\nfunc F() {}\n", new: "// Package lib is here.\npackage lib\n// F is here.\nfunc F() {}\n", want: apicheck.BumpPatch},
		{name: "a comment for js", file: "lib_js.go", old: "package lib\nfunc F() {}\n", new: "package lib\nfunc F() {} // F\n", want: apicheck.BumpPatch},
		{name: "a comment for 386", file: "lib_386.go", old: "package lib\nconst Word = 32\n", new: "package lib\n\n/* Word */ const Word = 32\n", want: apicheck.BumpPatch},
		{name: "a body and names of parameters", file: "lib_plan9.go", old: "package lib\nfunc F(a, b int) (err error) { return }\n", new: "package lib\nfunc F(x int, y int) error { return nil }\n", want: apicheck.BumpPatch},
		{name: "layout", file: "lib_wasip1.go", old: "package lib\ntype T struct { A int; B, C string }\nfunc F(\n\ta int,\n) {}\n", new: "package lib\ntype T struct {\n\tA int\n\tB, C string\n}\nfunc F(a int) {}\n", want: apicheck.BumpPatch},
		{name: "an unexported function", file: "lib_solaris.go", old: "package lib\nfunc f() {}\n", new: "package lib\nfunc f(int) {}\nfunc g() {}\n", want: apicheck.BumpPatch},
		{name: "the body of a function in a variable", file: "lib_aix.go", old: "package lib\nvar F = func() int { return 1 }\n", new: "package lib\nvar F = func() int { return 2 }\n", want: apicheck.BumpPatch},
		{name: "something is added", file: "lib_openbsd.go", old: "package lib\n", new: "package lib\nfunc F() {}\n", want: apicheck.BumpMinor, lines: []string{"+ F: added (on openbsd/amd64)"}},
		{name: "a file is added", file: "lib_s390x.go", new: "package lib\nfunc F() {}\nfunc g() {}\n", want: apicheck.BumpMinor, lines: []string{"+ F: added (on linux/s390x)"}},
		{name: "something is removed", file: "lib_android.go", old: "package lib\nfunc F() {}\n", new: "package lib\n", want: apicheck.BumpMajor, lines: []string{"- F: removed (on android/arm64)"}},
		{name: "a file is removed", file: "lib_ios.go", old: "package lib\nfunc F() {}\n", want: apicheck.BumpMajor, lines: []string{"- F: removed (on ios/arm64)"}},
		{name: "another type", file: "lib_riscv64.go", old: "package lib\nfunc F(int) {}\n", new: "package lib\nfunc F(string) {}\n", want: apicheck.BumpMajor, lines: []string{"- F: changed from func(int) to func(string) (on linux/riscv64)"}},
		{name: "an alias for the same type", file: "lib_netbsd.go", old: "package lib\nfunc F(interface{}) {}\n", new: "package lib\nfunc F(any) {}\n", want: apicheck.BumpPatch},
		{name: "an unexported type that is shown", file: "lib_dragonfly.go", old: "package lib\ntype t struct{ A int }\nfunc F() (x t) { return }\n", new: "package lib\ntype t struct{}\nfunc F() (x t) { return }\n", want: apicheck.BumpMajor},
		{name: "an unexported function that a variable shows", file: "lib_illumos.go", rest: "//go:build illumos\n\npackage lib\nvar V = f()\n", old: "package lib\nfunc f() (i int) { return }\n", new: "package lib\nfunc f() (s string) { return }\n", want: apicheck.BumpMajor},
		{name: "an unexported constant that an array shows", file: "lib_loong64.go", rest: "//go:build loong64\n\npackage lib\nvar V [size]byte\n", old: "package lib\nconst size = 1\n", new: "package lib\nconst size = 2\n", want: apicheck.BumpMajor},

		{name: "a comment for an old Go", file: "old.go", old: "//go:build !go1.18\n\npackage lib\nfunc F() {}\n", new: "//go:build !go1.18\n\n// Package lib is here.\npackage lib\nfunc F() {}\n", want: apicheck.BumpPatch},
		{name: "a body for an old Go", file: "old.go", old: "//go:build !go1.18\n\npackage lib\nfunc F() { }\n", new: "//go:build !go1.18\n\npackage lib\nfunc F() { println() }\n", want: apicheck.BumpPatch},
		{name: "a removal for an old Go", file: "old.go", old: "//go:build !go1.18\n\npackage lib\nfunc F() { }\n", new: "//go:build !go1.18\n\npackage lib\n", want: apicheck.BumpMajor, lines: []string{"- F: removed (on linux/amd64 with go1.17)"}},
		{
			name: "a change for an old Go", file: "old.go", old: "//go:build !go1.18\n\npackage lib\nfunc F(int) { }\n", new: "//go:build !go1.18\n\npackage lib\nfunc F(string) {}\n", want: apicheck.BumpUnknown,
			lines: []string{"F has changed, and no build for linux/amd64 with go1.17 loads here: compile its users there, then override with a reason, or leave the package out with Options.Exclude"},
		},
		{name: "the value of a version for an old Go", file: "old.go", old: "//go:build !go1.18\n\npackage lib\nconst Version = \"1.0.0\"\n", new: "//go:build !go1.18\n\npackage lib\nconst Version = \"1.0.1\"\n", want: apicheck.BumpPatch},
		{name: "a comment for the race detector", file: "race.go", old: "//go:build race\n\npackage lib\nconst Race = true\n", new: "//go:build race\n\npackage lib\n\nconst Race = true // really\n", want: apicheck.BumpPatch},
		{name: "a removal for gccgo", file: "gccgo.go", old: "//go:build gccgo && arm64\n\npackage lib\nfunc F() {}\n", new: "//go:build gccgo && arm64\n\npackage lib\n", want: apicheck.BumpMajor, lines: []string{"- F: removed (on darwin/arm64 with gccgo)"}},

		{name: "a body with cgo", file: "c.go", old: "package lib\nimport \"C\"\nfunc F() int { return 1 }\n", new: "package lib\nimport \"C\"\nfunc F() int { return int(C.f()) }\n", want: apicheck.BumpPatch},
		{name: "the preamble of cgo", file: "c.go", old: "package lib\n// int f();\nimport \"C\"\nfunc F() int { return 1 }\n", new: "package lib\n// int g();\nimport \"C\"\nfunc F() int { return 1 }\n", want: apicheck.BumpPatch},
		{name: "a signature with cgo", file: "c.go", old: "package lib\nimport \"C\"\nfunc F() int { return 1 }\n", new: "package lib\nimport \"C\"\nfunc F() int64 { return 1 }\n", want: apicheck.BumpMajor, lines: []string{"- F: changed from func() int to func() int64 (on linux/amd64 with cgo)"}},
		{name: "the standard library with cgo", file: "c.go", old: "package lib\nimport \"C\"\nimport \"net/http\"\nfunc F() *http.Client { return nil }\n", new: "package lib\nimport \"C\"\nimport \"net/http\"\nfunc F() *http.Server { return nil }\n", want: apicheck.BumpMajor},
		{name: "a pointer to a type of C", file: "c.go", old: "package lib\n// struct s { int a; };\nimport \"C\"\ntype T struct { p *C.struct_s }\nfunc (T) Do() {}\n", new: "package lib\n// struct s { long a; };\nimport \"C\"\ntype T struct { p *C.struct_s }\nfunc (T) Do() {}\n", want: apicheck.BumpPatch},
		{name: "a constant of C that stays", file: "c.go", old: "package lib\n// #define A 1 // one\nimport \"C\"\nconst A = 2 * C.A\n", new: "package lib\n// #define A 1\n// #define B 2\n// int f(int);\nimport \"C\"\nconst A = 2 * C.A\n", want: apicheck.BumpPatch},
		{
			name: "a constant of C that changes", file: "c.go", old: "package lib\n// #define A B\n// #define B 1\nimport \"C\"\nconst A = 2 * C.A\n", new: "package lib\n// #define A B\n// #define B 2\nimport \"C\"\nconst A = 2 * C.A\n", want: apicheck.BumpUnknown,
			lines: []string{"A has changed, and its type or value is that of C: compile its users with cgo, then override with a reason, or leave the package out with Options.Exclude"},
		},
		{
			name: "an enumeration of C that changes", file: "c.go", old: "package lib\n// enum { A };\nimport \"C\"\nconst A = C.A\n", new: "package lib\n// enum { Z, A };\nimport \"C\"\nconst A = C.A\n", want: apicheck.BumpUnknown,
			lines: []string{"A has changed, and its type or value is that of C: compile its users with cgo, then override with a reason, or leave the package out with Options.Exclude"},
		},
		{
			name: "a struct of C that changes", file: "c.go", old: "package lib\n// typedef struct { int X; } s;\nimport \"C\"\ntype T C.s\n", new: "package lib\n// typedef struct { long X; } s;\nimport \"C\"\ntype T C.s\n", want: apicheck.BumpUnknown,
			lines: []string{"T has changed, and its type or value is that of C: compile its users with cgo, then override with a reason, or leave the package out with Options.Exclude"},
		},
		{
			name: "a type of C", file: "c.go", old: "package lib\n// #include <stdint.h>\nimport \"C\"\nfunc F() (i C.int) { return }\n", new: "package lib\n// #include <stdint.h>\nimport \"C\"\nfunc F() (i C.long) { return }\n", want: apicheck.BumpUnknown,
			lines: []string{"F has changed, and its type or value is that of C: compile its users with cgo, then override with a reason, or leave the package out with Options.Exclude"},
		},
		{
			name: "a type of C whose declaration changes", file: "c.go", old: "package lib\n// typedef int t;\nimport \"C\"\ntype T C.t\n", new: "package lib\n// typedef long t;\nimport \"C\"\ntype T C.t\n", want: apicheck.BumpUnknown,
			lines: []string{"T has changed, and its type or value is that of C: compile its users with cgo, then override with a reason, or leave the package out with Options.Exclude"},
		},
	}
	// Each case is a package of one module. Cases with the same verdict are compared at once.
	for _, want := range []apicheck.Bump{apicheck.BumpPatch, apicheck.BumpMinor, apicheck.BumpMajor, apicheck.BumpUnknown} {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			archive := ""
			for i, c := range cases {
				if c.want != want {
					continue
				}
				for side, text := range map[string]string{"old": c.old, "new": c.new} {
					dir := fmt.Sprintf("%s/p%d/", side, i)
					archive += "-- " + dir + "doc.go --\npackage lib\n"
					if c.rest != "" {
						archive += "-- " + dir + "rest.go --\n" + c.rest
					}
					if text != "" {
						archive += "-- " + dir + c.file + " --\n" + text
					}
				}
			}
			old, new := pair(t, archive)
			v, err := checker(t, &apicheck.Options{Platforms: []string{"linux/amd64"}}).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, want, v.Bump, "%s", v)
			for i, c := range cases {
				if c.want != want {
					continue
				}
				place := fmt.Sprintf("./p%d.", i)
				if want == apicheck.BumpUnknown {
					require.Contains(t, v.Problems, place+c.lines[0], c.name)
					continue
				}
				require.Equal(t, want, bumpOf(v, fmt.Sprintf("p%d", i)), "%s: %s", c.name, v)
				for _, line := range c.lines {
					require.Contains(t, lines(v), line[:2]+place+line[2:], c.name)
				}
			}
		})
	}
}

// bumpOf returns the bump of a verdict for one package and the internal packages below it.
func bumpOf(v apicheck.Verdict, dir string) apicheck.Bump {
	bump := apicheck.BumpPatch
	for _, c := range v.Changes {
		switch {
		case !strings.HasPrefix(c.Message, "./"+dir+".") && !strings.HasPrefix(c.Message, "./"+dir+"/") && !strings.HasPrefix(c.Message, "package corp.example/lib/"+dir+":") && !strings.HasPrefix(c.Message, "package corp.example/lib/"+dir+"/"):
		case !c.Compatible:
			return apicheck.BumpMajor
		default:
			bump = apicheck.BumpMinor
		}
	}
	return bump
}

// TestMovesBetweenFiles moves a function between files. The platforms that lose it decide.
func TestMovesBetweenFiles(t *testing.T) {
	t.Parallel()
	needGo(t)
	const declared = "package lib\nfunc F() {}\n"
	for _, c := range []struct {
		name, archive string
		want          apicheck.Bump
		lines         []string
	}{
		{"to one platform", "-- old/lib.go --\n" + declared + "-- new/lib.go --\npackage lib\n-- new/lib_linux.go --\n" + declared, apicheck.BumpMajor, []string{"- F: removed (on windows/amd64)"}},
		{"to every platform", "-- old/lib.go --\npackage lib\n-- old/lib_freebsd.go --\n" + declared + "-- new/lib.go --\n" + declared, apicheck.BumpMinor, []string{"+ F: added"}},
		{"away from one of two", "-- old/lib.go --\npackage lib\n-- old/bsd.go --\n//go:build freebsd || openbsd\n\n" + declared + "-- new/lib.go --\npackage lib\n-- new/lib_openbsd.go --\n" + declared, apicheck.BumpMajor, []string{"- F: removed (on freebsd/amd64)"}},
		{"between two files of one", "-- old/lib.go --\npackage lib\n-- old/a_netbsd.go --\n" + declared + "-- new/lib.go --\npackage lib\n-- new/b_netbsd.go --\n" + declared, apicheck.BumpPatch, nil},
		{"out of a package that only one has", "-- old/lib.go --\npackage lib\n-- old/sub/sub_plan9.go --\npackage sub\n-- new/lib.go --\npackage lib\n", apicheck.BumpMajor, []string{"- package corp.example/lib/sub: removed (on plan9/amd64)"}},
		{
			"in an internal package that only one shows",
			"-- old/lib.go --\npackage lib\n-- old/lib_plan9.go --\npackage lib\nimport \"corp.example/lib/internal/in\"\ntype T = in.T\n-- old/internal/in/in.go --\npackage in\ntype T struct{ A int }\n" +
				"-- new/lib.go --\npackage lib\n-- new/lib_plan9.go --\npackage lib\nimport \"corp.example/lib/internal/in\"\ntype T = in.T\n-- new/internal/in/in.go --\npackage in\ntype T struct{ B int }\n",
			apicheck.BumpMajor,
			[]string{"- ./internal/in.T.A: removed (on plan9/amd64)"},
		},
		{
			"in an internal package that nothing shows",
			"-- old/lib.go --\npackage lib\n-- old/internal/in/in_plan9.go --\npackage in\ntype T struct{ A int }\n-- new/lib.go --\npackage lib\n-- new/internal/in/in_plan9.go --\npackage in\n",
			apicheck.BumpPatch, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, c.archive)
			v, err := checker(t, nil).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, c.want, v.Bump, "%s", v)
			for _, line := range c.lines {
				require.Contains(t, lines(v), line)
			}
		})
	}
}

// TestConstants changes excluded constants.
func TestConstants(t *testing.T) {
	t.Parallel()
	needGo(t)
	free := []apicheck.Exclusion{{Packages: "corp.example/lib/...", Constants: []string{"Build", "Level"}, Reason: "they change with each build"}}
	cases := []struct {
		name     string
		old, new string
		exclude  bool
		want     apicheck.Bump
		lines    []string
		excluded []string
	}{
		{name: "a version", old: "const Version = \"1.0.0\"", new: "const Version = \"1.0.1\"", want: apicheck.BumpPatch},
		{name: "the version of a client", old: "const ClientVersion, APIVersion = \"1.0.0\", 3", new: "const ClientVersion, APIVersion = \"1.0.1\", 4", want: apicheck.BumpPatch},
		{name: "a version of another kind", old: "const Version = \"1\"", new: "const Version = 1", want: apicheck.BumpMajor},
		{name: "a version with a type", old: "type V int\nconst Version V = 1", new: "type V int\nconst Version V = 2", want: apicheck.BumpMajor, lines: []string{"- Version: value changed from 1 to 2"}},
		{name: "a version is removed", old: "const Version = \"1.0.0\"", new: "", want: apicheck.BumpMajor, lines: []string{"- Version: removed"}},
		{name: "a version becomes a variable", old: "const Version = \"1.0.0\"", new: "var Version = \"1.0.0\"", want: apicheck.BumpMajor},
		{name: "not a version", old: "const Versions = 1", new: "const Versions = 2", want: apicheck.BumpMajor, lines: []string{"- Versions: value changed from 1 to 2"}},
		{
			name: "excluded ones", old: "const Build = \"a\"\nconst Level int8 = 1\nconst Other = 1", new: "const Build = \"b\"\nconst Level int16 = 1\nconst Other = 1", exclude: true, want: apicheck.BumpPatch,
			excluded: []string{"Build", "Level"},
		},
		{
			name: "only they are", old: "const Build = \"a\"\nconst Other = 1\nfunc F() {}", new: "const Build = \"b\"\nconst Other = 2", exclude: true, want: apicheck.BumpMajor, lines: []string{"- F: removed", "- Other: value changed from 1 to 2"},
			excluded: []string{"Build"},
		},
		{name: "an excluded one is removed", old: "const Build = \"a\"", new: "", exclude: true, want: apicheck.BumpMajor, lines: []string{"- Build: removed"}},
		{name: "an excluded one becomes a variable", old: "const Build = \"a\"", new: "var Build = \"a\"", exclude: true, want: apicheck.BumpMajor, lines: []string{"- Build: changed from const to var"}},
	}
	for _, excluding := range []bool{false, true} {
		archive := "-- old/doc.go --\npackage lib\n-- new/doc.go --\npackage lib\n"
		var want []apicheck.Exclusion
		for i, c := range cases {
			if c.exclude == excluding {
				archive += fmt.Sprintf("-- old/p%d/p.go --\npackage p\n%s\n-- new/p%[1]d/p.go --\npackage p\n%[3]s\n", i, c.old, c.new)
				if c.excluded != nil {
					want = append(want, apicheck.Exclusion{Packages: fmt.Sprintf("corp.example/lib/p%d", i), Constants: c.excluded, Reason: "they change with each build"})
				}
			}
		}
		opts := &apicheck.Options{Platforms: []string{"linux/amd64"}}
		if excluding {
			opts.Exclude = free
		}
		old, new := pair(t, archive)
		v, err := checker(t, opts).Compare(t.Context(), old, new)
		require.NoError(t, err)
		slices.SortFunc(want, func(a, b apicheck.Exclusion) int { return strings.Compare(a.Packages, b.Packages) })
		require.Equal(t, want, v.Excluded)
		for i, c := range cases {
			if c.exclude != excluding {
				continue
			}
			require.Equal(t, c.want, bumpOf(v, fmt.Sprintf("p%d", i)), "%s: %s", c.name, v)
			for _, line := range c.lines {
				require.Contains(t, lines(v), fmt.Sprintf("%s./p%d.%s", line[:2], i, line[2:]), c.name)
			}
		}
	}
	_, err := apicheck.New(&apicheck.Options{Exclude: []apicheck.Exclusion{{Packages: "x", Reason: "y", Constants: []string{"a b", "low"}}}})
	require.EqualError(t, err, "apicheck: Exclude[0].Constants[0]: must be an exported name, got \"a b\"\nExclude[0].Constants[1]: must be an exported name, got \"low\"")
}

// TestTextsAreSteady compares modules that cannot be judged twice: the texts are the same, without
// temporary folders and addresses.
func TestTextsAreSteady(t *testing.T) {
	t.Parallel()
	needGo(t)
	gate, err := apicheck.Gate(nil)
	require.NoError(t, err)
	lib := func(version string, files proxytest.Files) proxytest.Module {
		files["go.mod"] = "module corp.example/lib\n\ngo 1.24\n\nrequire (\n\topen.example/a v1.0.0\n\topen.example/b v1.0.0\n\topen.example/c v1.0.0\n)\n"
		return proxytest.Module{Path: "corp.example/lib", Version: version, Files: files}
	}
	p := proxytest.Start(t, &registry.Options{Gate: gate}, lib("v1.0.0", proxytest.Files{"lib.go": "package lib\n"}))
	first := ""
	for range testsize.Pick(2, 3, 20) {
		err := p.Publish(t.Context(), lib("v1.0.1", proxytest.Files{"lib.go": "package lib\nimport (\n_ \"open.example/a\"\n_ \"open.example/b\"\n_ \"open.example/c\"\n)\n"}))
		var refusal *registry.Refusal
		require.ErrorAs(t, err, &refusal)
		text := refusal.Detail + "\n" + strings.Join(refusal.Details, "\n")
		require.Contains(t, text, "GateOptions.Upstream")
		require.Contains(t, text, "open.example/a@v1.0.0")
		require.NotContains(t, text, "127.0.0.1")
		require.NotContains(t, text, "apicheck-")
		if first == "" {
			first = text
		}
		require.Equal(t, first, text)
	}
}

// TestGateWithoutGo: Gate returns an error if the go command is missing.
func TestGateWithoutGo(t *testing.T) {
	t.Parallel()
	_, err := apicheck.Gate(&apicheck.GateOptions{Options: apicheck.Options{Go: "no-such-go"}})
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.EqualError(t, err, `apicheck: Go: exec: "no-such-go": executable file not found in $PATH`)
}

// TestYankedBase: a yanked release has users, so a release is compared with it.
func TestYankedBase(t *testing.T) {
	t.Parallel()
	needGo(t)
	gate, err := apicheck.Gate(nil)
	require.NoError(t, err)
	lib := func(version, source string) proxytest.Module {
		return proxytest.Module{Path: "corp.example/lib", Version: version, Files: proxytest.Files{"lib.go": "package lib\n" + source}}
	}
	p := proxytest.Start(t, &registry.Options{Gate: gate}, lib("v1.0.0", ""), lib("v1.1.0", "func F() {}\n"))
	err = p.Client.Yank(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.1.0"}, "it is slow")
	require.NoError(t, err)
	err = p.Publish(t.Context(), lib("v1.1.1", ""))
	var refusal *registry.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, http.StatusUnprocessableEntity, refusal.Status)
	require.Contains(t, refusal.Detail, "v1.1.1 is not enough for 1 incompatible changes since v1.1.0")
	require.Equal(t, []string{"F: removed"}, refusal.Details)
}
