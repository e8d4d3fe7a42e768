package pkgmgmt_test

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t testing.TB, text string) *pkgmgmt.Policy {
	t.Helper()
	pol, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(text))
	require.NoError(t, err)
	return pol
}

// built returns the build information of a service with the given modules, each
// "path version" or "path version => path version".
func built(modules ...string) *debug.BuildInfo {
	bi := &debug.BuildInfo{Path: "corp.example/shop", Main: debug.Module{Path: "corp.example/shop", Version: "v1.0.0"}}
	for _, m := range modules {
		left, right, replaced := strings.Cut(m, " => ")
		path, version, _ := strings.Cut(left, " ")
		dep := &debug.Module{Path: path, Version: version}
		if replaced {
			path, version, _ := strings.Cut(right, " ")
			dep.Replace = &debug.Module{Path: path, Version: version}
		}
		bi.Deps = append(bi.Deps, dep)
	}
	return bi
}

func texts(violations []pkgmgmt.Violation) []string {
	var all []string
	for _, v := range violations {
		all = append(all, v.String())
	}
	return all
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, policy string
		modules      []string
		want         []string
	}{
		{"an empty policy allows all", `{}`, []string{"a.example/x v1.0.0"}, nil},
		{
			"require", `rules: [{module: a.example/x, require: ">=1.4, !=1.6.0", reason: CVE-1}]`,
			[]string{"a.example/x v1.3.9", "a.example/x v1.6.0", "a.example/x v1.4.0", "a.example/x/v2 v2.0.0", "a.example/y v0.1.0"},
			[]string{
				"a.example/x v1.3.9: does not satisfy >=1.4, !=1.6.0 (CVE-1); to fix: require a version of a.example/x that satisfies >=1.4, !=1.6.0",
				"a.example/x v1.6.0: does not satisfy >=1.4, !=1.6.0 (CVE-1); to fix: require a version of a.example/x that satisfies >=1.4, !=1.6.0",
			},
		},
		{
			"deny", `rules: [{module: a.example/old, deny: archived, replacement: a.example/new}, {module: b.example/..., deny: no longer ours}]`,
			[]string{"a.example/old v1.0.0", "b.example v1.0.0", "b.example/x/y v1.0.0", "bb.example/x v1.0.0"},
			[]string{
				"a.example/old v1.0.0: must not be used: archived; to fix: remove the dependency on a.example/old; use a.example/new in its place",
				"b.example v1.0.0: must not be used: no longer ours; to fix: remove the dependency on b.example",
				"b.example/x/y v1.0.0: must not be used: no longer ours; to fix: remove the dependency on b.example/x/y",
			},
		},
		{
			"allow", `allow: [a.example/..., b.example/only]`,
			[]string{"a.example/x v1.0.0", "b.example/only v1.0.0", "b.example/other v1.0.0"},
			[]string{"b.example/other v1.0.0: is not on the list of allowed modules; to fix: remove the dependency on b.example/other, or have it added to the policy's allow list"},
		},
		{
			"an empty allow list allows nothing", `allow: []`,
			[]string{"a.example/x v1.0.0"},
			[]string{"a.example/x v1.0.0: is not on the list of allowed modules; to fix: remove the dependency on a.example/x, or have it added to the policy's allow list"},
		},
		{
			"replace", `forbidReplace: true`,
			[]string{"a.example/x v1.0.0 => ../x ", "a.example/y v1.0.0 => a.example/y v1.1.0"},
			[]string{
				"a.example/x: is replaced by the folder ../x; to fix: remove the replace directive of a.example/x from go.mod",
				"a.example/y v1.1.0: is replaced by a.example/y v1.1.0; to fix: remove the replace directive of a.example/y from go.mod, and require v1.1.0",
			},
		},
		{
			"a replaced version is the one that runs", `rules: [{module: a.example/x, require: ">=1.4"}]`,
			[]string{"a.example/x v1.0.0 => a.example/x v1.4.0", "a.example/x v1.5.0 => a.example/x v1.3.0"},
			[]string{"a.example/x v1.3.0: does not satisfy >=1.4; to fix: let the replace directive of a.example/x in go.mod name a version of a.example/x that satisfies >=1.4"},
		},
		{
			"a fork cannot be judged", `{rules: [{module: a.example/x, require: ">=1.4"}, {module: evil.example/..., deny: not ours}], allow: [a.example/...]}`,
			[]string{"a.example/x v1.5.0 => evil.example/x v9.0.0"},
			[]string{
				"evil.example/x v9.0.0: replaces a.example/x and is not on the list of allowed modules; to fix: remove the replace directive of a.example/x from go.mod",
				"evil.example/x v9.0.0: replaces a.example/x and must not be used: not ours; to fix: remove the replace directive of a.example/x from go.mod",
				"a.example/x v9.0.0: is replaced by evil.example/x v9.0.0, so whether it satisfies >=1.4 cannot be decided; to fix: remove the replace directive of a.example/x from go.mod",
			},
		},
		{
			"all rules hold", `rules: [{module: a.example/x, require: ">=1.4"}, {module: a.example/..., require: "<2"}]`,
			[]string{"a.example/x v1.3.0", "a.example/x v2.0.0+incompatible"},
			[]string{
				"a.example/x v1.3.0: does not satisfy >=1.4; to fix: require a version of a.example/x that satisfies >=1.4",
				"a.example/x v2.0.0+incompatible: does not satisfy <2; to fix: require a version of a.example/x that satisfies <2",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, texts(parse(t, c.policy).Check(built(c.modules...))))
		})
	}
}

// TestVersionsAsGoMeansThem has the verdict for each version. The remarks have the verdict of the
// constraint library alone.
func TestVersionsAsGoMeansThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		constraint, version string
		want                string // empty: allowed
	}{
		{">=1.4", "v1.4.0", ""},
		{">=1.4", "v1.5.0-rc.1", ""},                          // alone: refused, as every prerelease
		{">=1.4", "v1.4.1-0.20260102030405-abcdefabcdef", ""}, // alone: refused
		{">=1.4", "v1.4.0-rc.1", "does not satisfy >=1.4"},
		{">=1.4", "v1.4.0-0.20260102030405-abcdefabcdef", "does not satisfy >=1.4"},
		{">=1.4", "v0.0.0-20260102030405-abcdefabcdef", "does not satisfy >=1.4"},
		{"<2", "v2.0.0-rc.1", "is a prerelease of v2.0.0, which does not satisfy <2"}, // with prereleases included: allowed
		{"<2.0.0", "v2.0.0-0.20260102030405-abcdefabcdef", "is a pseudo-version of v2.0.0, which does not satisfy <2.0.0"},
		{"^1.4", "v2.0.0-rc.1", "does not satisfy ^1.4"},
		{"^1.4", "v1.9.0-rc.1", ""},
		{"!=1.6.0", "v1.6.0-rc.1", "is a prerelease of v1.6.0, which does not satisfy !=1.6.0"},
		{"<=2.0.0", "v2.0.0-rc.1", ""},
		{"1.x || >=2.2", "v2.3.0", ""},
		{"1.x || >=2.2", "v2.1.0", "does not satisfy 1.x || >=2.2"},
		{">=2", "v2.0.0+incompatible", ""},
		{">=1", "(devel)", `version "(devel)" cannot be compared`},
		{">=1", "", `version "" cannot be compared`},
		{">=1", "1.2", `version "1.2" cannot be compared`},
	} {
		violations := parse(t, fmt.Sprintf("rules: [{module: a.example/x, require: %q}]", c.constraint)).Check(built("a.example/x " + c.version))
		if c.want == "" {
			require.Empty(t, violations, "%s %s", c.constraint, c.version)
			continue
		}
		require.Len(t, violations, 1, "%s %s", c.constraint, c.version)
		require.Equal(t, c.want, violations[0].Reason, "%s %s", c.constraint, c.version)
		require.Equal(t, pkgmgmt.RuleRequire, violations[0].Rule)
		require.NotEmpty(t, violations[0].Fix)
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"a.example/x", []string{"a.example/x"}, []string{"a.example/x/v2", "a.example/xy", "a.example"}},
		{"a.example/x/...", []string{"a.example/x", "a.example/x/v2"}, []string{"a.example/xy", "a.example"}},
		{"a.example/x...", []string{"a.example/x", "a.example/xy", "a.example/x/v2"}, []string{"a.example/y"}},
		{".../x", []string{"a.example/x", "b.example/y/x"}, []string{"a.example/xy", "x"}},
		{"a.example/.../x/...", []string{"a.example/b/x/c", "a.example/b/c/x/y/z"}, []string{"a.example/x/y"}},
		{"...", []string{"anything"}, nil},
	} {
		pol := parse(t, fmt.Sprintf("allow: [%q]", c.pattern))
		for _, path := range c.yes {
			require.Empty(t, pol.Check(built(path+" v1.0.0")), "%s should match %s", c.pattern, path)
		}
		for _, path := range c.no {
			require.Len(t, pol.Check(built(path+" v1.0.0")), 1, "%s should not match %s", c.pattern, path)
		}
	}
}

func TestNothingToCheckIsTold(t *testing.T) {
	t.Parallel()
	pol := parse(t, `{}`)
	own, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	for want, bi := range map[string]*debug.BuildInfo{
		"there is no build information":                                        nil,
		"this test binary records no modules, so there is nothing to check":    own,
		"the build information names no modules, so there is nothing to check": {Path: "command-line-arguments"},
	} {
		violations := pol.Check(bi)
		require.Len(t, violations, 1)
		require.Equal(t, pkgmgmt.RuleUnverifiable, violations[0].Rule)
		require.Equal(t, want, violations[0].Reason)
	}
	require.Empty(t, pol.Check(built()), "a service of the standard library alone")
}

// TestRealBinary checks a program that the go command has built.
func TestRealBinary(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module shop.example/shop\n\ngo 1.26\n\nrequire github.com/Masterminds/semver/v3 v3.5.0\n\nrequire lib.example/lib v1.0.0\n\nreplace lib.example/lib => ./lib\n",
		"main.go":        "package main\n\nimport (\n\t\"github.com/Masterminds/semver/v3\"\n\t\"lib.example/lib\"\n)\n\nfunc main() { println(semver.MustParse(lib.Version).String()) }\n",
		"lib/go.mod":     "module lib.example/lib\n\ngo 1.26\n",
		"lib/version.go": "package lib\n\nconst Version = \"1.0.0\"\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	sums, err := os.ReadFile(filepath.Join("..", "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "shop", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	bi, err := buildinfo.ReadFile(filepath.Join(dir, "shop"))
	require.NoError(t, err)

	pol := parse(t, `{rules: [{module: github.com/Masterminds/semver/..., require: ">=3.6"}], forbidReplace: true}`)
	require.Equal(t, []string{
		"github.com/Masterminds/semver/v3 v3.5.0: does not satisfy >=3.6; to fix: require a version of github.com/Masterminds/semver/v3 that satisfies >=3.6",
		"lib.example/lib (devel): is replaced by the folder ./lib; to fix: remove the replace directive of lib.example/lib from go.mod",
	}, texts(pol.Check(bi)))
	require.Empty(t, parse(t, `{rules: [{module: github.com/Masterminds/semver/..., require: ">=3.5"}]}`).Check(bi))
}

func TestFaultsAreToldTogether(t *testing.T) {
	t.Parallel()
	_, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`rules:
  - module: a.example/x
    require: "at least 1.4"
  - module: a.example/../y
    deny: why
  - require: ">=1"
  - module: a.example/z
  - module: a.example/z
    require: ">=1"
    deny: both
  - {module: a.example/z, require: ">=1", replacement: b.example/z}
  - {module: a.example/z, deny: why, reason: twice}
  - {module: a.example/z, deny: "", owner: me}
  - 5
allow: {a: b}
forbidReplace: 1
allowed: []
`))
	require.EqualError(t, err, `packages.yaml:3:14: rule "a.example/x": require: improper constraint: "at least 1.4"
packages.yaml:4:13: rules[1].module: is not a module path or a pattern: "a.example/../y"
packages.yaml:6:5: rules[2].module: is required
packages.yaml:7:5: rule "a.example/z": must have require, minAge, maxBehind, deny or accept
packages.yaml:8:5: rule "a.example/z": must have only one of: require with minAge and maxBehind; deny; accept
packages.yaml:11:56: rule "a.example/z": replacement: goes with deny
packages.yaml:12:46: rule "a.example/z": reason: does not go with deny, which gives its reason itself
packages.yaml:13:33: rule "a.example/z": deny: must not be empty
packages.yaml:13:37: rule "a.example/z": unknown field "owner"
packages.yaml:14:5: rules[8]: must be a map, got a number
packages.yaml:15:8: allow: must be a list, got a map
packages.yaml:16:16: forbidReplace: must be true or false, got a number
packages.yaml:17:1: unknown field "allowed"`)
	var fault *pkgmgmt.Fault
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "require", fault.Field)
	require.Equal(t, 3, fault.Line)

	for text, want := range map[string]string{
		"":        "packages.yaml: the document is empty",
		"null":    "packages.yaml:1:1: the document is null",
		"[]":      "packages.yaml:1:1: must be a map, got a list",
		"a: b: c": "packages.yaml: mapping values are not allowed in this context",
	} {
		_, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(text))
		require.EqualError(t, err, want)
		require.ErrorAs(t, err, &fault)
	}

	_, err = pkgmgmt.ParsePolicy("packages.yaml", []byte(`rules:
  - {module: a.example/x, minAge: soon}
  - {module: a.example/x, minAge: -1h, maxBehind: 40000d}
  - {module: a.example/x, maxBehind: 99999999999d}
  - {module: a.example/x, minAge: 7}
  - {module: a.example/x, accept: [deprecated]}
  - {module: a.example/x, accept: [], reason: none}
  - {module: a.example/x, accept: [deny], reason: no}
  - {module: a.example/x, accept: [retracted], minAge: 1d, reason: both}
`))
	require.EqualError(t, err, `packages.yaml:2:35: rule "a.example/x": minAge: must be a duration such as "90m", "2h" or "3d", got "soon"
packages.yaml:3:35: rule "a.example/x": minAge: must be positive, got "-1h"
packages.yaml:3:51: rule "a.example/x": maxBehind: must be at most 36500d, got "40000d"
packages.yaml:4:38: rule "a.example/x": maxBehind: must be a duration such as "90m", "2h" or "3d", got "99999999999d"
packages.yaml:5:35: rule "a.example/x": minAge: must be a duration such as "90m", "2h" or "3d", got a number
packages.yaml:6:35: rule "a.example/x": accept: needs a reason
packages.yaml:7:35: rule "a.example/x": accept: must not be empty
packages.yaml:8:36: rule "a.example/x": accept[0]: must be deprecated or retracted, got "deny"
packages.yaml:9:5: rule "a.example/x": must have only one of: require with minAge and maxBehind; deny; accept`)

	_, err = pkgmgmt.ParsePolicy("p", []byte("rules: ["+strings.Repeat("1,", 100)+"]"))
	require.ErrorContains(t, err, "and 50 more")
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(`rules: [{module: a.example/..., require: ">=1.4, !=1.6.0 || ~2", reason: x}]`, "a.example/x", "v1.4.0")
	f.Add(`{"allow": ["..."], "forbidReplace": true}`, "...", "v0.0.0-20260102030405-abcdefabcdef")
	f.Add(`rules: [{module: a.example/x, minAge: 7d, maxBehind: 36h}, {module: a.example/x, accept: [deprecated, retracted], reason: z}]`, "a.example/x", "v1.0.0+incompatible")
	f.Add(`rules: [{module: a.example/x, deny: y, replacement: z}]`, "a.example/x", "(devel)")
	f.Fuzz(func(t *testing.T, text, path, version string) {
		pol, err := pkgmgmt.ParsePolicy("p", []byte(text))
		if err != nil {
			var fault *pkgmgmt.Fault
			require.ErrorAs(t, err, &fault)
			return
		}
		bi := built()
		bi.Deps = []*debug.Module{{Path: path, Version: version}, nil, {Path: path, Replace: &debug.Module{Path: version, Version: path}}}
		for _, v := range pol.Check(bi) {
			require.NotEmpty(t, v.Fix)
			require.NotEmpty(t, v.Reason)
		}
		known := pkgmgmt.Status{Time: time.Now(), Sum: version, Latest: path, LatestTime: time.Now().Add(time.Hour), Deprecated: version, Retracted: path}
		for _, v := range pol.CheckWith(t.Context(), bi, knows(func(string, string) (pkgmgmt.Status, error) { return known, nil })) {
			require.NotEmpty(t, v.Fix)
			require.NotEmpty(t, v.Reason)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	var policy strings.Builder
	var modules []string
	policy.WriteString("rules:\n")
	for i := range 300 {
		pattern := fmt.Sprintf("corp%d.example/lib", i)
		if i%3 == 0 {
			pattern += "/..."
		}
		fmt.Fprintf(&policy, "  - {module: %s, require: \">=1.4, !=1.6.0\"}\n", pattern)
		modules = append(modules, fmt.Sprintf("corp%d.example/lib v1.5.0", i))
	}
	pol, bi := parse(b, policy.String()), built(modules...)
	st := pkgmgmt.Status{Time: time.Now().Add(-time.Hour), Latest: "v1.5.0", LatestTime: time.Now().Add(-time.Hour)}
	reg := knows(func(string, string) (pkgmgmt.Status, error) { return st, nil })
	b.Run("with a registry", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v := pol.CheckWith(b.Context(), bi, reg); len(v) != 0 {
				b.Fatal(v)
			}
		}
	})
	b.Run("300 rules on 300 modules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v := pol.Check(bi); len(v) != 0 {
				b.Fatal(v)
			}
		}
	})
}
