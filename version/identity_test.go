package version_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

const (
	revisionA = "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678"
	revisionB = "d4e5f60718293a4b5c6d7e8f90123456789abcde"
	secret    = "hunter2-s3cret"
)

// shopBuild is the build info of a clean release, with all that a build
// machine may record.
func shopBuild() *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Path:      "example.com/shop/cmd/shop",
		Main:      debug.Module{Path: "example.com/shop", Version: "v1.4.2", Sum: "h1:main="},
		Deps: []*debug.Module{
			{Path: "example.com/b", Version: "v0.3.0", Replace: &debug.Module{Path: "../b"}},
			{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a="},
		},
		Settings: []debug.BuildSetting{
			{Key: "-buildmode", Value: "exe"},
			{Key: "-ldflags", Value: "-X main.password=" + secret},
			{Key: "-gcflags", Value: "-I /home/" + secret},
			{Key: "-pgo", Value: "/home/" + secret + "/default.pgo"},
			{Key: "CGO_LDFLAGS", Value: "-L/home/" + secret},
			{Key: "-tags", Value: "netgo,osusergo"},
			{Key: "GOARCH", Value: "amd64"},
			{Key: "GOOS", Value: "linux"},
			{Key: "vcs", Value: "git"},
			{Key: "vcs.revision", Value: revisionA},
			{Key: "vcs.time", Value: "2026-11-20T11:20:00Z"},
			{Key: "vcs.modified", Value: "false"},
		},
	}
}

// with changes a setting, or adds it.
func with(bi *debug.BuildInfo, key, value string) *debug.BuildInfo {
	for i, s := range bi.Settings {
		if s.Key == key {
			bi.Settings[i].Value = value
			return bi
		}
	}
	bi.Settings = append(bi.Settings, debug.BuildSetting{Key: key, Value: value})
	return bi
}

// stamped changes the version that the toolchain recorded.
func stamped(bi *debug.BuildInfo, v string) *debug.BuildInfo {
	bi.Main.Version = v
	return bi
}

// conflictFields lists the fields in conflict, in order.
func conflictFields(info version.Info) []string {
	fields := []string{}
	for _, c := range info.Conflicts {
		fields = append(fields, c.Field)
	}
	return fields
}

func TestFromBuildInfoTellsARelease(t *testing.T) {
	t.Parallel()
	info := version.FromBuildInfo(shopBuild(), nil)
	require.Equal(t, version.Info{
		Name:          "shop",
		Version:       "v1.4.2",
		Kind:          version.KindRelease,
		Revision:      revisionA,
		Time:          time.Date(2026, 11, 20, 11, 20, 0, 0, time.UTC),
		Package:       "example.com/shop/cmd/shop",
		Module:        "example.com/shop",
		ModuleVersion: "v1.4.2",
		ModuleSum:     "h1:main=",
		GoVersion:     "go1.26.8",
		Platform:      "linux/amd64",
		Deps: []version.Module{
			{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a="},
			{Path: "example.com/b", Version: "v0.3.0", Replace: &version.Module{Path: "../b"}},
		},
		Settings: map[string]string{
			"-buildmode": "exe", "-tags": "netgo,osusergo", "GOARCH": "amd64", "GOOS": "linux",
			"vcs": "git", "vcs.revision": revisionA, "vcs.time": "2026-11-20T11:20:00Z", "vcs.modified": "false",
		},
		Origins: map[string]version.Origin{
			"name": version.OriginBuildInfo, "version": version.OriginBuildInfo, "dirty": version.OriginBuildInfo,
			"revision": version.OriginBuildInfo, "time": version.OriginBuildInfo, "environment": version.OriginUnknown,
			"package": version.OriginBuildInfo, "module": version.OriginBuildInfo, "moduleVersion": version.OriginBuildInfo,
			"moduleSum": version.OriginBuildInfo, "goVersion": version.OriginBuildInfo, "platform": version.OriginBuildInfo,
			"deps": version.OriginBuildInfo, "settings": version.OriginBuildInfo,
		},
	}, info)
}

func TestFromBuildInfoOfNothingIsUnknown(t *testing.T) {
	t.Parallel()
	for _, bi := range []*debug.BuildInfo{nil, {}} {
		info := version.FromBuildInfo(bi, nil)
		require.Equal(t, version.KindUnknown, info.Kind)
		require.Empty(t, info.Name)
		require.Empty(t, info.Conflicts)
		for _, field := range []string{"name", "version", "revision", "time", "dirty", "module", "goVersion", "platform"} {
			require.Equal(t, version.OriginUnknown, info.Origins[field], field)
		}
		require.Equal(t, "unknown unknown", info.String())
		require.Empty(t, info.Attributes())
		require.Equal(t, "unknown", info.UserAgent())
	}
	require.Nil(t, version.FromBuildInfo(nil, nil).Deps, "not known")
	require.NotNil(t, version.FromBuildInfo(&debug.BuildInfo{}, nil).Deps, "none")
	require.NotPanics(t, func() {
		version.FromBuildInfo(&debug.BuildInfo{Deps: []*debug.Module{nil, {}}}, nil)
	})
}

func TestFromBuildInfoReadsNoEnvironment(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "store")
	t.Setenv("SERVICE_VERSION", "v9.9.9")
	info := version.FromBuildInfo(stamped(shopBuild(), "(devel)"), nil)
	require.Equal(t, "shop", info.Name)
	require.Equal(t, "(devel)", info.Version)

	info = version.New(nil)
	require.Equal(t, "store", info.Name)
	info = version.New(&version.Options{Getenv: noEnv})
	require.NotEqual(t, "store", info.Name)
}

func TestOrderPerField(t *testing.T) {
	t.Parallel()
	const link = "github.com/upkeep-go/upkeep/version."
	linkerFlags := "-s -X " + link + "version=v2.0.0 -X=" + link + "revision=" + revisionB + " '-X' '" + link + "time=2026-10-01T00:00:00Z' -X main.password=" + secret
	full := env("SERVICE_VERSION", "v3.0.0", "OTEL_SERVICE_NAME", "store",
		"OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=staging,vcs.ref.head.revision=ffff,service.version=v4.0.0")
	options := version.Options{
		Name: "till", Version: "v1.0.0", Revision: "cccc", Time: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC),
		Environment: "test", Getenv: full,
	}

	all := version.FromBuildInfo(with(shopBuild(), "-ldflags", linkerFlags), &options)
	require.Equal(t, "till v1.0.0 (cccc, 2026-09-01T00:00:00Z, go1.26.8, linux/amd64)", all.String())
	require.Equal(t, "test", all.Environment)
	for _, field := range []string{"name", "version", "revision", "time", "environment"} {
		require.Equal(t, version.OriginOptions, all.Origins[field], field)
	}
	require.Equal(t, []string{
		"name", "environment", "version", "version", "version", "revision", "revision", "revision", "time", "time",
	}, conflictFields(all), "%v", all.Conflicts)

	linker := version.FromBuildInfo(with(shopBuild(), "-ldflags", linkerFlags), &version.Options{Getenv: full})
	require.Equal(t, "store v2.0.0 (d4e5f6071829, 2026-10-01T00:00:00Z, go1.26.8, linux/amd64)", linker.String())
	require.Equal(t, "staging", linker.Environment)
	require.Equal(t, version.OriginEnvironment, linker.Origins["name"])
	require.Equal(t, version.OriginLinker, linker.Origins["version"])
	require.Equal(t, version.OriginLinker, linker.Origins["revision"])
	require.Equal(t, version.OriginLinker, linker.Origins["time"])
	require.Equal(t, `version: the linker says "v2.0.0", the build info says "v1.4.2"`, linker.Conflicts[0].String())

	built := version.FromBuildInfo(shopBuild(), &version.Options{Getenv: full})
	require.Equal(t, "v1.4.2", built.Version)
	require.Equal(t, version.OriginBuildInfo, built.Origins["version"])

	devel := version.FromBuildInfo(stamped(shopBuild(), "(devel)"), &version.Options{Getenv: full})
	require.Equal(t, "v3.0.0", devel.Version, "(devel) is no knowledge")
	require.Equal(t, version.OriginEnvironment, devel.Origins["version"])

	none := version.FromBuildInfo(nil, &version.Options{Getenv: env("OTEL_RESOURCE_ATTRIBUTES", "service.version=v4.0.0,vcs.ref.head.revision=ffff")})
	require.Equal(t, "v4.0.0", none.Version)
	require.Equal(t, "ffff", none.Revision)
	require.Equal(t, version.OriginEnvironment, none.Origins["revision"])
}

func TestLinkerVariablesInRecordedFlags(t *testing.T) {
	t.Parallel()
	const v = "github.com/upkeep-go/upkeep/version.version="
	for flags, want := range map[string]string{
		"-X " + v + "v2.0.0":                          "v2.0.0",
		"--X=" + v + "v2.0.0 -s":                      "v2.0.0",
		`-X "` + v + `release 7"`:                     "release 7",
		"-X " + v + "v2.0.0 -X " + v + "v2.0.1":       "v2.0.1",
		"all=-X " + v + "v2.0.0":                      "v2.0.0",
		"-X " + v:                                     "v1.4.2",
		"-X " + v + "unknown":                         "v1.4.2",
		"-X":                                          "v1.4.2",
		"-X '" + v + "v2.0.0":                         "v1.4.2",
		"-X example.com/" + v + "v2.0.0":              "v1.4.2",
		"-X " + strings.TrimSuffix(v, "=") + "s=v2":   "v1.4.2",
		"-extldflags '-X " + v + "v2.0.0' -s -w -X x": "v1.4.2",
		"": "v1.4.2",
	} {
		info := version.FromBuildInfo(with(shopBuild(), "-ldflags", flags), nil)
		require.Equal(t, want, info.Version, flags)
	}
}

func TestLinkerTime(t *testing.T) {
	t.Parallel()
	const v = "-X github.com/upkeep-go/upkeep/version.time="
	want := time.Date(2026, 11, 20, 11, 20, 0, 0, time.UTC)
	for text, conflicts := range map[string][]string{
		"2026-11-20T12:20:00+01:00": {},
		"1795173600":                {},
		"2026-11-20T11:20:00.7Z":    {},
		"yesterday":                 {"time"},
		"99999999999999999":         {"time"},
		"2026-11-20":                {"time"},
	} {
		info := version.FromBuildInfo(with(shopBuild(), "-ldflags", v+text), nil)
		require.Equal(t, want, info.Time, text)
		require.Equal(t, conflicts, conflictFields(info), text)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	const link = "-X github.com/upkeep-go/upkeep/version."
	for name, c := range map[string]struct {
		bi   *debug.BuildInfo
		opts *version.Options
		want []string
	}{
		"none":                          {shopBuild(), nil, []string{}},
		"same version without v":        {with(shopBuild(), "-ldflags", link+"version=1.4.2"), nil, []string{}},
		"build number beside a release": {with(shopBuild(), "-ldflags", link+"version=build-4711"), nil, []string{}},
		"linker against build info":     {with(shopBuild(), "-ldflags", link+"version=v1.4.3"), nil, []string{"version"}},
		"shallow clone sees no tag": {with(stamped(shopBuild(), "v0.0.0-20261120112000-a1b2c3d4e5f6"),
			"-ldflags", link+"version=v1.4.2"), nil, []string{}},
		"not the tagged commit": {with(stamped(shopBuild(), "v1.4.3-0.20261120112000-a1b2c3d4e5f6"),
			"-ldflags", link+"version=v1.4.2"), nil, []string{"version"}},
		"short revision":     {with(shopBuild(), "-ldflags", link+"revision=a1b2c3d"), nil, []string{}},
		"another revision":   {with(shopBuild(), "-ldflags", link+"revision=d4e5f60"), nil, []string{"revision"}},
		"another time":       {with(shopBuild(), "-ldflags", link+"time=2026-11-21T00:00:00Z"), nil, []string{"time"}},
		"outer repository":   {stamped(shopBuild(), "(devel)"), nil, []string{"revision"}},
		"devel, no revision": {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, nil, []string{}},
		"clean version of a modified tree": {with(with(stamped(shopBuild(), "v1.4.2+dirty"), "vcs.modified", "true"),
			"-ldflags", link+"version=v1.4.2"), nil, []string{"dirty"}},
		"dirty version":           {with(stamped(shopBuild(), "v1.4.2+dirty"), "vcs.modified", "true"), nil, []string{}},
		"environment's version":   {shopBuild(), &version.Options{Getenv: env("SERVICE_VERSION", "v1.4.1")}, []string{"version"}},
		"name on the dashboards":  {shopBuild(), &version.Options{Name: "till", Getenv: env("OTEL_SERVICE_NAME", "shop")}, []string{"name"}},
		"malformed attributes":    {shopBuild(), &version.Options{Getenv: env("OTEL_RESOURCE_ATTRIBUTES", "nonsense")}, []string{"environment"}},
		"what cannot be shown":    {shopBuild(), &version.Options{Name: "sh\x1b[31mop"}, []string{"name"}},
		"longer than can be kept": {shopBuild(), &version.Options{Version: strings.Repeat("v", 300)}, []string{"version"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info := version.FromBuildInfo(c.bi, c.opts)
			require.Equal(t, c.want, conflictFields(info), "%v", info.Conflicts)
		})
	}
}

func TestPseudoVersionTellsRevisionAndTime(t *testing.T) {
	t.Parallel()
	// "go install path@main" records it like this, without a repository.
	info := version.FromBuildInfo(&debug.BuildInfo{
		Path: "example.com/shop/v2",
		Main: debug.Module{Path: "example.com/shop/v2", Version: "v2.0.1-0.20261120112000-a1b2c3d4e5f6", Sum: "h1:x="},
	}, nil)
	require.Equal(t, version.KindPseudo, info.Kind)
	require.Equal(t, "shop", info.Name)
	require.Equal(t, "a1b2c3d4e5f6", info.Revision)
	require.Equal(t, time.Date(2026, 11, 20, 11, 20, 0, 0, time.UTC), info.Time)
	require.Equal(t, version.OriginUnknown, info.Origins["dirty"])
	require.Empty(t, info.Conflicts)
}

func TestNameOfPackage(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"example.com/shop":         "shop",
		"example.com/shop/v2":      "shop",
		"example.com/shop/v1":      "v1",
		"example.com/shop/cmd/web": "web",
		"shop":                     "shop",
		"v2":                       "v2",
		"command-line-arguments":   "",
		"":                         "",
	} {
		info := version.FromBuildInfo(&debug.BuildInfo{Path: path}, nil)
		require.Equal(t, want, info.Name, path)
		require.Equal(t, path == "command-line-arguments" || path == "", info.Package == "", path)
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]version.Kind{
		"":                                     version.KindUnknown,
		"unknown":                              version.KindUnknown,
		"(devel)":                              version.KindDevel,
		"dev":                                  version.KindDevel,
		"v1.4.2":                               version.KindRelease,
		"1.4.2":                                version.KindRelease,
		"v1.4.2+dirty":                         version.KindRelease,
		"v2.0.0+incompatible":                  version.KindRelease,
		"v999.0.0":                             version.KindRelease,
		"26.11.20":                             version.KindRelease, // looks like SemVer
		"v1.5.0-rc.1":                          version.KindPrerelease,
		"1.5.0-rc.1+build.7":                   version.KindPrerelease,
		"v0.0.0-20261120112000-a1b2c3d4e5f6":   version.KindPseudo,
		"v1.4.3-0.20261120112000-a1b2c3d4e5f6": version.KindPseudo,
		"1.4.3-0.20261120112000-a1b2c3d4e5f6":  version.KindPseudo,
		"v1.4.3-rc.1.0.20261120112000-a1b2c3d4e5f6+dirty": version.KindPseudo,
		"v1":                      version.KindOther,
		"v1.4":                    version.KindOther,
		"1.4.2.7":                 version.KindOther,
		"v01.4.2":                 version.KindOther,
		"vv1.4.2":                 version.KindOther,
		"4711":                    version.KindOther,
		"build-4711":              version.KindOther,
		"2026.11.20":              version.KindOther,
		"v2026.11.20":             version.KindOther,
		"2026.01.05":              version.KindOther,
		"20261120.1.0":            version.KindOther,
		"latest":                  version.KindOther,
		"v1.4.2-3-ga1b2c3d":       version.KindOther,
		"v1.4.2-3-ga1b2c3d-dirty": version.KindOther,
		"v1.4.2-dirty":            version.KindOther,
		revisionA:                 version.KindOther,
		"v1.4.2\n":                version.KindOther,
	} {
		require.Equal(t, want, version.KindOf(v), v)
	}
}

func TestGitDescribeIsDirty(t *testing.T) {
	t.Parallel()
	info := version.FromBuildInfo(nil, &version.Options{Version: "v1.4.2-3-ga1b2c3d-dirty"})
	require.True(t, info.Dirty)
	require.Equal(t, version.OriginOptions, info.Origins["dirty"])
}

func TestCurrentSharesNothing(t *testing.T) {
	t.Parallel()
	want := version.Current()
	spoilt := version.Current()
	require.NotEmpty(t, spoilt.Settings)
	spoilt.Name = "spoilt"
	for key := range spoilt.Settings {
		spoilt.Settings[key] = "spoilt"
	}
	for key := range spoilt.Origins {
		spoilt.Origins[key] = "spoilt"
	}
	for i := range spoilt.Deps {
		spoilt.Deps[i].Path = "spoilt"
		if spoilt.Deps[i].Replace != nil {
			spoilt.Deps[i].Replace.Path = "spoilt"
		}
	}
	require.Equal(t, want, version.Current())
	require.Equal(t, runtime.Version(), want.GoVersion)
	require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, want.Platform)
}

func TestFromBuildInfoKeepsNothingOfItsArgument(t *testing.T) {
	t.Parallel()
	bi := shopBuild()
	info := version.FromBuildInfo(bi, nil)
	want := version.FromBuildInfo(shopBuild(), nil)
	for _, d := range bi.Deps {
		d.Path = "spoilt"
		if d.Replace != nil {
			d.Replace.Path = "spoilt"
		}
	}
	require.Equal(t, want, info)
}
