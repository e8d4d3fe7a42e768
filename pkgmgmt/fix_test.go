package pkgmgmt_test

import (
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// withGo returns the build information of a program with one module and a Go release.
func withGo(version string) *debug.BuildInfo {
	bi := *old
	bi.GoVersion = version
	return &bi
}

// TestGoItself: rules about Go use the names of vulnerability databases and of go.mod.
func TestGoItself(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"stdlib", "go"} {
		pol := parse(t, `rules: [{module: `+name+`, require: ">=1.26.2, !=1.27.0", reason: CVE-2026-1}]`)
		for version, want := range map[string]string{
			"go1.26.2": "", "go1.27.1": "", "go1.28": "", "go1.26.2 X:nodwarf5": "", "go1.26.3-corp": "",
			"go1.26.1":              name + " go1.26.1: does not satisfy >=1.26.2, !=1.27.0 (CVE-2026-1); to fix: build with a release of Go that satisfies >=1.26.2, !=1.27.0",
			"go1.27":                name + " go1.27: does not satisfy >=1.26.2, !=1.27.0 (CVE-2026-1); to fix: build with a release of Go that satisfies >=1.26.2, !=1.27.0",
			"go1.27rc2":             name + " go1.27rc2: is a prerelease of v1.27.0, which does not satisfy >=1.26.2, !=1.27.0 (CVE-2026-1); to fix: build with a release of Go that satisfies >=1.26.2, !=1.27.0",
			"devel go1.28-abcdef01": name + " devel go1.28-abcdef01: is no release of Go, so whether it satisfies >=1.26.2, !=1.27.0 cannot be decided (CVE-2026-1); to fix: build with a release of Go that satisfies >=1.26.2, !=1.27.0",
			"":                      name + ": is no release of Go, so whether it satisfies >=1.26.2, !=1.27.0 cannot be decided (CVE-2026-1); to fix: build with a release of Go that satisfies >=1.26.2, !=1.27.0",
		} {
			var wants []string
			if want != "" {
				wants = []string{want}
			}
			require.Equal(t, wants, texts(pol.Check(withGo(version))), version)
			require.Equal(t, wants, texts(pol.CheckWith(t.Context(), withGo(version), pkgmgmt.ModuleSources{})), version)
		}
		// A program without dependencies is built with Go as well.
		require.Len(t, pol.Check(&debug.BuildInfo{GoVersion: "go1.20.1", Path: "corp.example/x", Main: debug.Module{Path: "corp.example/x"}}), 1)
		f, err := pkgmgmt.NewFleet([]pkgmgmt.Target{{Service: "shop", BuildInfo: withGo("go1.26.1")}, {Service: "cart", BuildInfo: withGo("go1.26.2")}}, &pkgmgmt.FleetOptions{Policy: pol})
		require.NoError(t, err)
		report := f.Collect(t.Context())
		require.Contains(t, table(t, report), name+" go1.26.1: does not satisfy")
		require.Equal(t, pkgmgmt.FleetVerdictOutside, report.Worst())
		require.Len(t, report.Rows, 3, "two modules, and a Go that is outside of the policy")
	}
	// Patterns and allow lists are about modules, not about Go.
	require.Empty(t, parse(t, `{rules: [{module: "...", require: ">=0.1"}], allow: ["..."]}`).Check(withGo("devel")))
	require.Empty(t, parse(t, `allow: [a.example/x]`).Check(withGo("go1.26.1")))
	require.Equal(t, []string{"go go1.26.1: must not be used: gccgo only; to fix: build with gccgo"}, texts(parse(t, `rules: [{module: go, deny: gccgo only, replacement: gccgo}]`).Check(withGo("go1.26.1"))))
	require.Contains(t, texts(parse(t, `rules: [{module: stdlib, minAge: 3d}]`).CheckWith(t.Context(), withGo("go1.26.1"), pkgmgmt.ModuleSources{}))[0], "is of an age that no registry tells")
}

// TestFixes: a fix never names a version that is lower than the one in the build or that the
// policy refuses.
func TestFixes(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	const x = "a.example/x"
	for _, c := range []struct {
		name, policy, version, replace string
		status                         pkgmgmt.Status
		want                           string // the fix of the first violation
		not                            string // never in a fix
	}{
		{"the latest satisfies", `rules: [{module: a.example/x, require: ">=1.4"}]`, "v1.0.0", "", pkgmgmt.Status{Latest: "v1.9.0"}, "go get a.example/x@v1.9.0", "@latest"},
		{"the latest is unknown", `rules: [{module: a.example/x, require: ">=1.4"}]`, "v1.0.0", "", pkgmgmt.Status{Sum: "h1:x"}, "require a version of a.example/x that satisfies >=1.4", "@latest"},
		{"the latest does not satisfy", `rules: [{module: a.example/x, require: ">=2"}]`, "v1.0.0", "", pkgmgmt.Status{Latest: "v1.9.0"}, "require a version of a.example/x that satisfies >=2", "v1.9.0"},
		{"there are no releases", `rules: [{module: a.example/x, require: ">=0.1"}]`, "v0.0.0-20260102030405-abcdefabcdef", "", pkgmgmt.Status{Latest: "v0.0.0-20260202030405-abcdefabcdef"}, "require a version of a.example/x that satisfies >=0.1", "v0.0.0-20260202030405"},
		{"too high", `rules: [{module: a.example/x, require: "<2"}]`, "v2.0.0+incompatible", "", pkgmgmt.Status{Latest: "v1.9.0"}, "require a version of a.example/x that satisfies <2", "v1.9.0"},
		{"another rule", `rules: [{module: a.example/x, require: ">=1.4"}, {module: a.example/..., require: "!=1.9.0"}]`, "v1.0.0", "", pkgmgmt.Status{Latest: "v1.9.0"}, "require a version of a.example/x that satisfies >=1.4", "v1.9.0"},
		{"too young", `rules: [{module: a.example/x, require: ">=1.4", minAge: 3d}]`, "v1.0.0", "", pkgmgmt.Status{Time: time.Now().Add(-90 * day), Latest: "v1.9.0", LatestTime: time.Now().Add(-day)}, "require a version of a.example/x that satisfies >=1.4", "v1.9.0"},
		{"replaced", `rules: [{module: a.example/x, require: ">=4"}]`, "v1.0.0", "v3.3.0", pkgmgmt.Status{Latest: "v1.9.0"}, "let the replace directive of a.example/x in go.mod name a version of a.example/x that satisfies >=4", "go get"},
		{"replaced, and there is a later one", `rules: [{module: a.example/x, require: ">=4"}]`, "v1.0.0", "v3.3.0", pkgmgmt.Status{Latest: "v4.1.0"}, "let the replace directive of a.example/x in go.mod name a.example/x v4.1.0", "go get"},
		{"replaced upwards", `forbidReplace: true`, "v1.0.0", "v3.3.0", pkgmgmt.Status{Latest: "v1.9.0"}, "remove the replace directive of a.example/x from go.mod, and require v3.3.0", "v1.9.0"},
		{"replaced upwards by what may not be", `{forbidReplace: true, rules: [{module: a.example/x, require: "!=3.3.0"}]}`, "v1.0.0", "v3.3.0", pkgmgmt.Status{Latest: "v1.9.0"}, "remove the replace directive of a.example/x from go.mod, and require a version that satisfies !=3.3.0", "require v3.3.0"},
		{"replaced downwards", `forbidReplace: true`, "v1.4.0", "v1.3.0", pkgmgmt.Status{Latest: "v1.9.0"}, "remove the replace directive of a.example/x from go.mod", "go get"},
		{"retracted", `{}`, "v1.0.0", "", pkgmgmt.Status{Retracted: "bad", Latest: "v1.0.1"}, "go get a.example/x@v1.0.1", ""},
		{"the highest is retracted", `{}`, "v1.5.0", "", pkgmgmt.Status{Retracted: "bad", Latest: "v1.4.0"}, "require a version of a.example/x above v1.5.0 that the policy allows, once there is one", "v1.4.0"},
		{"all are retracted", `{}`, "v1.5.0", "", pkgmgmt.Status{Retracted: "bad"}, "require a version of a.example/x above v1.5.0 that the policy allows, once there is one", "@latest"},
		{"young", `rules: [{module: a.example/x, minAge: 3d}]`, "v1.5.0", "", pkgmgmt.Status{Time: time.Now().Add(-day), Latest: "v1.5.0", LatestTime: time.Now().Add(-day)}, "wait until " + time.Now().Add(2*day).UTC().Format(time.DateOnly), "older"},
		{"behind, and the latest is refused", `rules: [{module: a.example/x, maxBehind: 3d, require: "<1.9"}]`, "v1.5.0", "", pkgmgmt.Status{Time: time.Now().Add(-90 * day), Latest: "v1.9.0", LatestTime: time.Now().Add(-day)}, "require a version of a.example/x above v1.5.0 that the policy allows, once there is one", "@v1.9.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dep := &debug.Module{Path: x, Version: c.version}
			if c.replace != "" {
				dep.Replace = &debug.Module{Path: x, Version: c.replace}
			}
			bi := &debug.BuildInfo{Path: "shop", Main: debug.Module{Path: "shop"}, Deps: []*debug.Module{dep}}
			src := knows(func(string, string) (pkgmgmt.Status, error) { return c.status, nil })
			pol := parse(t, c.policy)
			violations := pol.CheckWith(t.Context(), bi, src)
			require.NotEmpty(t, violations)
			require.True(t, strings.HasPrefix(violations[0].Fix, c.want), "%s", violations[0].Fix)
			if c.not != "" {
				for _, v := range violations {
					require.NotContains(t, v.Fix, c.not)
				}
				for _, v := range pol.Check(bi) {
					require.NotContains(t, v.Fix, c.not)
					require.NotContains(t, v.Fix, "@latest")
				}
				f, err := pkgmgmt.NewFleet([]pkgmgmt.Target{{Service: "shop", BuildInfo: bi}}, &pkgmgmt.FleetOptions{Policy: pol, Registry: src})
				require.NoError(t, err)
				for _, row := range f.Collect(t.Context()).Rows {
					for _, finding := range row.Findings {
						require.NotContains(t, finding.Fix, c.not, finding.Reason)
					}
				}
			}
		})
	}
}

// TestSkewAndWhatIsNoRelease: a single replica with a pseudo-version or a prerelease is the one
// that is skewed.
func TestSkewAndWhatIsNoRelease(t *testing.T) {
	t.Parallel()
	const later, earlier = "v1.5.1-0.20260102030405-abcdefabcdef", "v1.4.1-0.20260102030405-abcdefabcdef"
	for _, c := range []struct {
		versions []string
		want     []string // reasons, "" for fine
		fix      string   // of the last
	}{
		{[]string{"v1.5.0", "v1.5.0", later}, []string{"", "", "is a pseudo-version, while s0 has v1.5.0"}, "let all services have one release, v1.5.0 or a later one"},
		{[]string{"v1.5.0", "v1.6.0-rc.1"}, []string{"", "is a prerelease, while s0 has v1.5.0"}, "let all services have one release, v1.5.0 or a later one"},
		{[]string{"v1.5.0", earlier}, []string{"", "is behind v1.5.0, which s0 has"}, "go get a.example/x@v1.5.0"},
		{[]string{"v1.5.0", later, "v1.4.0"}, []string{"", "is a pseudo-version, while s0 has v1.5.0", "is behind v1.5.0, which s0 has"}, "go get a.example/x@v1.5.0"},
		{[]string{later, earlier}, []string{"", "is behind " + later + ", which s0 has"}, "go get a.example/x@" + later},
		{[]string{"v1.5.0", "v1.5.0"}, []string{"", ""}, ""},
		{[]string{"v1.5.0", "v1.4.0"}, []string{"", "is behind v1.5.0, which s0 has"}, "go get a.example/x@v1.5.0"},
	} {
		var targets []pkgmgmt.Target
		for i, version := range c.versions {
			targets = append(targets, target("s"+string(rune('0'+i)), "", "a.example/x "+version))
		}
		got, fix := make([]string, len(targets)), ""
		for _, row := range fleet(t, nil, targets...).Collect(t.Context()).Rows {
			i := int(row.Service[1] - '0')
			for _, f := range row.Findings {
				got[i] = f.Reason
				if i == len(targets)-1 {
					fix = f.Fix
				}
			}
		}
		require.Equal(t, c.want, got, c.versions)
		require.Equal(t, c.fix, fix, c.versions)
	}

	// A fix never advises a version that the policy refuses. If there is a replace directive, the
	// fix is to change that.
	pol := parse(t, `rules: [{module: a.example/x, require: "!=1.5.0"}]`)
	report := fleet(t, &pkgmgmt.FleetOptions{Policy: pol}, target("s0", "", "a.example/x v1.5.0"), target("s1", "", "a.example/x v1.4.0")).Collect(t.Context())
	require.Equal(t, "v1.4.0", report.Rows[1].Version)
	require.Equal(t, "let all services have one version that the policy allows", report.Rows[1].Findings[0].Fix)
	replaced := target("s1", "", "a.example/x v1.0.0")
	replaced.BuildInfo.Deps[0].Replace = &debug.Module{Path: "a.example/x", Version: "v1.4.0"}
	report = fleet(t, nil, target("s0", "", "a.example/x v1.5.0"), replaced).Collect(t.Context())
	require.Contains(t, table(t, report), "let the replace directive of a.example/x in go.mod name a.example/x v1.5.0")
	require.NotContains(t, table(t, report), "go get")
}

// TestUnmatched finds rules that match no module, with their places.
func TestUnmatched(t *testing.T) {
	t.Parallel()
	pol := parse(t, `rules:
  - module: a.example/x
    deny: archived
  - module: a.exmaple/y
    require: ">=1"
  - module: b.example/...
    require: ">=1"
  - {module: stdlib, require: ">=1.26"}
  - {module: f.example/fork, deny: a fork}
allow:
  - a.example/...
  - c.example/z
`)
	replaced := withGo("go1.26.1")
	replaced.Deps = []*debug.Module{{Path: "a.example/z", Version: "v1.0.0", Replace: &debug.Module{Path: "f.example/fork", Version: "v1.0.0"}}}
	found := pol.Unmatched(withGo("go1.26.1"), replaced, nil)
	require.EqualError(t, found, `packages.yaml:4:5: rule "a.exmaple/y": matches no module
packages.yaml:6:5: rule "b.example/...": matches no module
packages.yaml:12:5: allow[1]: matches no module`)
	for _, f := range found {
		require.Equal(t, pkgmgmt.SeverityWarning, f.Severity)
	}
	require.Len(t, pol.Unmatched(), 7, "of no program everything")
	require.Empty(t, parse(t, `rules: [{module: "...", require: ">=0.1"}]`).Unmatched(old))
	require.Len(t, parse(t, `rules: [{module: "...", require: ">=0.1"}]`).Unmatched(&debug.BuildInfo{GoVersion: "go1.26"}), 1)
}
