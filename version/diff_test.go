package version_test

import (
	"encoding/json"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

// program is a shop with these dependencies.
func program(v string, deps ...*debug.Module) version.Info {
	bi := stamped(shopBuild(), v)
	bi.Deps = deps
	return version.FromBuildInfo(bi, nil)
}

func dep(path, v, sum string) *debug.Module { return &debug.Module{Path: path, Version: v, Sum: sum} }

func replaced(m *debug.Module, path, v, sum string) *debug.Module {
	m.Replace = dep(path, v, sum)
	return m
}

func TestDiffOfEqualsIsEmpty(t *testing.T) {
	t.Parallel()
	for _, info := range []version.Info{{}, shop(), version.Current()} {
		d := version.Diff(info, info)
		require.True(t, d.Empty())
		require.Equal(t, "no change", d.String())
		require.Zero(t, d)
	}
}

func TestDiffOfModules(t *testing.T) {
	t.Parallel()
	const p = "example.com/dep"
	for name, c := range map[string]struct {
		old, new *debug.Module
		kind     version.ChangeKind
		text     string
	}{
		"added":           {nil, dep(p, "v1.0.0", "h1:a"), version.ChangeKindAdded, "dep v1.0.0 added"},
		"removed":         {dep(p, "v1.0.0", "h1:a"), nil, version.ChangeKindRemoved, "dep v1.0.0 removed"},
		"upgraded":        {dep(p, "v1.9.0", "h1:a"), dep(p, "v1.10.0", "h1:b"), version.ChangeKindUpgraded, "dep v1.9.0 → v1.10.0"},
		"downgraded":      {dep(p, "v1.10.0", "h1:a"), dep(p, "v1.9.0", "h1:b"), version.ChangeKindDowngraded, "dep v1.10.0 → v1.9.0 (downgraded)"},
		"from prerelease": {dep(p, "v1.0.0-rc.1", ""), dep(p, "v1.0.0", ""), version.ChangeKindUpgraded, "dep v1.0.0-rc.1 → v1.0.0"},
		"to pseudo":       {dep(p, "v1.0.0", ""), dep(p, "v1.0.1-0.20261120112000-a1b2c3d4e5f6", ""), version.ChangeKindUpgraded, "dep v1.0.0 → v1.0.1-0.20261120112000-a1b2c3d4e5f6"},
		"resummed":        {dep(p, "v1.0.0", "h1:a"), dep(p, "v1.0.0", "h1:b"), version.ChangeKindResummed, "dep v1.0.0 same version, other sum: h1:a → h1:b"},
		"vendored":        {dep(p, "v1.0.0", "h1:a"), dep(p, "v1.0.0", ""), "", "no change"},
		"replaced": {
			dep(p, "v1.0.0", "h1:a"), replaced(dep(p, "v1.0.0", ""), "../dep", "", ""),
			version.ChangeKindReplaced, "dep v1.0.0 → v1.0.0 (replaced by ../dep)",
		},
		"no longer replaced": {
			replaced(dep(p, "v1.0.0", ""), "example.com/fork", "v1.0.1", "h1:f"), dep(p, "v1.0.0", "h1:a"),
			version.ChangeKindReplaced, "dep v1.0.0 (replaced by example.com/fork v1.0.1) → v1.0.0",
		},
		"by another": {
			replaced(dep(p, "v1.0.0", ""), "../a", "", ""), replaced(dep(p, "v1.0.0", ""), "../b", "", ""),
			version.ChangeKindReplaced, "dep v1.0.0 (replaced by ../a) → v1.0.0 (replaced by ../b)",
		},
		"replacement upgraded": {
			replaced(dep(p, "v1.0.0", ""), "example.com/fork", "v1.0.1", "h1:f"), replaced(dep(p, "v1.0.0", ""), "example.com/fork", "v1.0.2", "h1:g"),
			version.ChangeKindUpgraded, "dep v1.0.0 (replaced by example.com/fork v1.0.1) → v1.0.0 (replaced by example.com/fork v1.0.2)",
		},
		"replacement resummed": {
			replaced(dep(p, "v1.0.0", ""), "example.com/fork", "v1.0.1", "h1:f"), replaced(dep(p, "v1.0.0", ""), "example.com/fork", "v1.0.1", "h1:g"),
			version.ChangeKindResummed, "dep v1.0.0 (replaced by example.com/fork v1.0.1) same version, other sum: h1:f → h1:g",
		},
		"replacement unchanged": {
			replaced(dep(p, "v1.0.0", ""), "../a", "", ""), replaced(dep(p, "v1.2.0", ""), "../a", "", ""),
			"", "no change",
		},
		"workspace": {dep(p, "v1.0.0", ""), dep(p, "(devel)", ""), version.ChangeKindChanged, "dep v1.0.0 → (devel)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := version.Diff(program("v1.4.2", c.old), program("v1.4.2", c.new))
			require.Equal(t, c.text, d.String())
			if c.kind == "" {
				require.Empty(t, d.Deps)
				return
			}
			require.Len(t, d.Deps, 1)
			require.Equal(t, c.kind, d.Deps[0].Kind)
			require.Equal(t, p, d.Deps[0].Path)
			require.Equal(t, c.old == nil, d.Deps[0].Old == nil)
			require.Equal(t, c.new == nil, d.Deps[0].New == nil)
		})
	}
}

func TestDiffOfVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		old, new string
		kind     version.ChangeKind
		text     string
	}{
		{"v1.4.2", "v1.4.3", version.ChangeKindUpgraded, "v1.4.2 → v1.4.3"},
		{"v1.4.2", "1.4.3", version.ChangeKindUpgraded, "v1.4.2 → 1.4.3"},
		{"v1.4.3", "v1.4.2", version.ChangeKindDowngraded, "v1.4.3 → v1.4.2 (downgraded)"},
		{"v1.4.2", "1.4.2", version.ChangeKindChanged, "v1.4.2 → 1.4.2"},
		{"2026.11.20", "2026.11.19", version.ChangeKindChanged, "2026.11.20 → 2026.11.19"},
		{"build-2", "build-1", version.ChangeKindChanged, "build-2 → build-1"},
		{"v1.4.2", "build-1", version.ChangeKindChanged, "v1.4.2 → build-1"},
		{"", "v1.4.2", version.ChangeKindChanged, "unknown → v1.4.2"},
		{"v1.4.2", "(devel)", version.ChangeKindChanged, "v1.4.2 → (devel)"},
	} {
		d := version.Diff(version.Info{Version: c.old}, version.Info{Version: c.new})
		require.Equal(t, version.Change{Kind: c.kind, Old: c.old, New: c.new}, d.Version)
		require.Equal(t, c.text, d.String())
	}
}

// everything is two programs that differ in all that Diff looks at.
func everything() (old, new version.Info) {
	old = version.FromBuildInfo(shopBuild(), &version.Options{Environment: "staging"})
	bi := with(with(with(shopBuild(), "vcs.revision", revisionB), "vcs.modified", "true"), "GOARCH", "arm64")
	bi = with(with(bi, "-race", "true"), "-tags", "netgo")
	bi.Settings = slices.DeleteFunc(bi.Settings, func(s debug.BuildSetting) bool { return s.Key == "-buildmode" })
	bi.GoVersion = "go1.26.9"
	bi.Path = "example.com/till"
	bi.Main = debug.Module{Path: "example.com/till", Version: "v1.5.0+dirty"}
	bi.Deps = []*debug.Module{
		dep("example.com/a", "v1.0.0", "h1:other="),
		dep("example.com/c/v2", "v2.0.0", "h1:c="),
		dep("github.com/Masterminds/semver/v3", "v3.5.0", "h1:s="),
		dep("gopkg.in/yaml.v3", "v3.0.1", "h1:y="),
		dep("other.org/c", "v1.0.0", "h1:o="),
	}
	return old, version.FromBuildInfo(bi, &version.Options{Environment: "production"})
}

func TestDiffGolden(t *testing.T) {
	t.Parallel()
	d := version.Diff(everything())
	golden(t, "diff.txt", d.String()+"\n")
	data, err := json.MarshalIndent(d, "", "  ")
	require.NoError(t, err)
	golden(t, "diff.json", string(data)+"\n")

	var read version.Changes
	require.NoError(t, json.Unmarshal(data, &read))
	require.Equal(t, d, read)
}

func TestDiffToldApartFromUnknown(t *testing.T) {
	t.Parallel()
	d := version.Diff(version.Info{Version: "v1"}, version.Info{Version: "v1", GoVersion: "go1.26.8", Deps: []version.Module{{Path: "a"}}})
	require.True(t, d.Empty())
	require.Equal(t, []string{"toolchain", "deps"}, d.NotCompared)
	require.Equal(t, "no change\nnot compared, only one side tells: toolchain, deps", d.String())

	d = version.Diff(version.Info{Revision: revisionA}, version.Info{Revision: revisionA[:7]})
	require.True(t, d.Empty(), "the same commit, shortened")
	d = version.Diff(version.Info{}, version.Info{Revision: revisionA})
	require.Equal(t, "rev unknown..a1b2c3d4e5f6", d.String())

	sum := version.Diff(version.Info{Module: "m", ModuleVersion: "v1.0.0", ModuleSum: "h1:a"}, version.Info{Module: "m", ModuleVersion: "v1.0.0", ModuleSum: "h1:b"})
	require.Equal(t, version.ChangeKindResummed, sum.Module.Kind)
	require.Equal(t, "module same version, other sum: h1:a → h1:b", sum.String())
}

func TestDiffOfUnsortedAndHostileInfo(t *testing.T) {
	t.Parallel()
	old := version.Info{Deps: []version.Module{{Path: "b", Version: "v1.0.0"}, {Path: "a", Version: "v1.0.0"}, {Path: ""}}}
	new := version.Info{Deps: []version.Module{{Path: "a", Version: "v1.0.0"}, {Path: "b", Version: "v1.0.1\x1b[2J"}}}
	d := version.Diff(old, new)
	require.Equal(t, "b v1.0.0 → v1.0.1\uFFFD[2J", d.String())
	require.Equal(t, "b", old.Deps[0].Path, "the argument is left as it was")
}

func TestDiffSharesNothing(t *testing.T) {
	t.Parallel()
	old, new := everything()
	d := version.Diff(old, new)
	for _, m := range d.Deps {
		for _, side := range []*version.Module{m.Old, m.New} {
			if side != nil {
				side.Version = "spoilt"
				if side.Replace != nil {
					side.Replace.Path = "spoilt"
				}
			}
		}
	}
	wantOld, wantNew := everything()
	require.Equal(t, wantOld, old)
	require.Equal(t, wantNew, new)
}
