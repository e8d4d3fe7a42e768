package version_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

// goVersionM is what "go version -m" prints for shopBuild.
func goVersionM() string {
	bi := shopBuild()
	bi.GoVersion = ""
	return "bin/shop: go1.26.8\n\t" + strings.ReplaceAll(strings.TrimSuffix(bi.String(), "\n"), "\n", "\n\t") + "\n"
}

func TestParseReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	want := version.FromBuildInfo(shopBuild(), nil)
	asJSON, err := json.Marshal(want)
	require.NoError(t, err)
	goJSON, err := json.MarshalIndent(shopBuild(), "", "\t") // as go version -m -json
	require.NoError(t, err)
	for name, text := range map[string]string{
		"JSON":                    string(asJSON),
		"handler":                 ask(version.Handler(want, at(version.LevelFull)), "GET").Body.String(),
		"BuildInfo.String":        shopBuild().String(),
		"go version -m":           goVersionM(),
		"go version -m, Windows":  strings.ReplaceAll(goVersionM(), "\n", "\r\n"),
		"go version -m -json":     string(goJSON),
		"JSON with sections":      strings.Replace(string(asJSON), "{", `{"sections":{"flags":"r1"},"later":[1,{}],`, 1),
		"JSON with a wrong kind":  strings.Replace(string(asJSON), `"kind":"release"`, `"kind":"other"`, 1),
		"JSON with blanks around": "\n " + string(asJSON) + "\n",
	} {
		got, err := version.Parse(name, []byte(text))
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestParseOfAMinimalAnswer(t *testing.T) {
	t.Parallel()
	body := ask(version.Handler(shop(), nil), "GET").Body.Bytes()
	info, err := version.Parse("shop", body)
	require.NoError(t, err)
	require.Equal(t, "shop v1.4.2 (a1b2c3d4e5f6, 2026-11-20T11:20:00Z)", info.String())
	require.Nil(t, info.Deps, "not known is not none")
	require.Equal(t, version.OriginSnapshot, info.Origins["version"])
	require.Equal(t, version.OriginUnknown, info.Origins["deps"])
	require.Equal(t, []string{"dirty", "environment", "module", "toolchain", "platform", "deps", "settings"},
		version.Diff(info, shop()).NotCompared)

	standard, err := version.Parse("shop", ask(version.Handler(shop(), at(version.LevelStandard)), "GET").Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, []string{"deps", "settings"}, version.Diff(standard, shop()).NotCompared)
}

func TestInfoRoundTripsThroughJSON(t *testing.T) {
	t.Parallel()
	for _, want := range []version.Info{
		version.Current(),
		shop(),
		version.FromBuildInfo(nil, nil),
		version.FromBuildInfo(stamped(shopBuild(), "(devel)"), nil),
		version.FromBuildInfo(with(stamped(shopBuild(), "v1.4.2+dirty"), "vcs.modified", "true"), nil),
	} {
		data, err := json.Marshal(want)
		require.NoError(t, err)
		var got version.Info
		require.NoError(t, json.Unmarshal(data, &got))
		require.Equal(t, want, got)
	}
}

func TestParseTellsWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                                    {"s.json: is empty"},
		" \n\t":                               {"s.json: is empty"},
		"{}":                                  {`s.json:1: says no "version": it is no snapshot of a program`},
		"null":                                {`s.json:1: is not a line of build info: "null"`},
		`{"type":"about:blank","status":404}`: {`says no "version"`},
		"{\n \"version\": \"v1.4.2\",\n \"name\": \"sh": {"s.json:3:"},
		"{\"version\": \"v1\"} {}":                      {"s.json:1:19"},
		"{\n\"version\": 7,\n\"name\": [],\n\"time\": \"noon\",\n\"deps\": [{\"path\":1}],\n\"dirty\": \"no\"}": {
			"s.json:2:12: version: must not be a JSON number\n" +
				"s.json:3:9: name: must not be a JSON array\n" +
				"s.json:4:9: time: must be RFC 3339, got \"noon\"\n" +
				"s.json:5:9: deps: must not be a JSON number\n" +
				"s.json:6:10: dirty: must not be a JSON string",
		},
		`{"version":"v1","deps":[{"path":"a"},{"version":"v1"}]}`: {"s.json:1:24: deps: module 2 has no path"},
		`{"Main":{},"Deps":{}}`:                                   {"s.json:1:", "Deps: must not be a JSON object"},
		"<html>\n<p>404</p>\n":                                    {`s.json:1: is not a line of build info: "<html>"`, "s.json:2: "},
		"Error: no such page\n":                                   {`s.json:1: is not the start of build info: "Error: no such page"`},
		"path\ta\npath\tb\n":                                      {"s.json:2: a second path: more than one program"},
		"mod\ta\tv1\nmod\tb\tv1\n":                                {"s.json:2: a second mod: more than one program"},
		goVersionM() + goVersionM():                               {"s.json:20: is not a line"},
		"path\ta\ndep\tb\n":                                       {"s.json:2: a module has a path, a version and a sum, got 1 columns"},
		"path\ta\n=>\tb\tv1\t\n":                                  {"s.json:2: a replacement that follows no module"},
		"path\ta\nbuild\tGOOS\nbuild\t=x\nbuild\t\"x\nbuild\tx=\"y\n": {
			"s.json:2: a build setting without =", "s.json:3: a build setting without key", "s.json:4: a build setting with a key",
			"s.json:5: a build setting with a value",
		},
		"build\tGOOS=linux\n":           {"names neither a package nor a toolchain"},
		"path\ta\ndep\tb\tv1.2.3\th1:x": {"s.json:2: ends in the middle of a line"},
	} {
		_, err := version.Parse("s.json", []byte(text))
		require.Error(t, err, text)
		for _, part := range want {
			require.ErrorContains(t, err, part)
		}
		_, ok := errors.AsType[*version.SnapshotError](err)
		require.True(t, ok, text)
	}
}

func TestParseOfATruncatedSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	asJSON, err := json.MarshalIndent(shop(), "", "  ")
	require.NoError(t, err)
	for cut := range len(asJSON) {
		_, err := version.Parse("cut", asJSON[:cut])
		require.Error(t, err, "%s", asJSON[:cut])
	}
	text := goVersionM()
	for cut := range len(text) {
		if cut > 0 && text[cut-1] == '\n' {
			continue // whole lines, so a missing rest cannot be noticed
		}
		_, err := version.Parse("cut", []byte(text[:cut]))
		require.Error(t, err, text[:cut])
	}
}

func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	_, err := version.Parse("big", make([]byte, version.MaxSnapshot+1))
	require.ErrorIs(t, err, version.ErrTooLarge)
	fault, ok := errors.AsType[*version.SnapshotError](err)
	require.True(t, ok)
	require.Equal(t, "big", fault.Name)

	_, err = version.Parse("deep", []byte(`{"version":"v1","deps":`+strings.Repeat("[", version.MaxSnapshot/2)))
	require.Error(t, err)
	_, err = version.Parse("faults", []byte(strings.Repeat("x\n", version.MaxSnapshot/4)))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 4096)
}

func TestParseMakesHostileTextFitToShow(t *testing.T) {
	t.Parallel()
	info, err := version.Parse("hostile", []byte(`{"name":"sh\r\nX-Evil: 1\u001b[2J\u202e","version":"v1\n\u0000",
		"deps":[{"path":"a\tb","version":"v1\n","sum":"`+strings.Repeat("x", 10_000)+`","replace":{"path":"\u0007","replace":{"path":"deeper"}}}],
		"settings":{"-ldflags":"`+secret+`","GOOS":"li\nnux"},"origins":{"na\nme":"no\nwhere"},"conflicts":[{"field":"\n","reason":"\u001b"}]}`))
	require.NoError(t, err)
	data, err := json.Marshal(info)
	require.NoError(t, err)
	for _, out := range []string{string(data), info.String(), info.LogValue().String(), info.UserAgent(), info.BuildInfo().String()} {
		require.NotContains(t, out, secret)
		require.NotContains(t, out, "deeper")
		for _, bad := range []string{"\r", "\x1b", "\\u001b", "\\n", "\u202e", "\x00", strings.Repeat("x", 5000)} {
			require.NotContains(t, out, bad)
		}
	}
	require.Equal(t, "v1\uFFFD\uFFFD", info.Version)
	require.Len(t, strings.Split(strings.TrimSpace(info.BuildInfo().String()), "\n"), 4)
}

func TestReadFileOfThisTest(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	info, err := version.ReadFile(program)
	require.NoError(t, err)
	want := version.New(&version.Options{Getenv: noEnv})
	require.Equal(t, want, info)
	require.Equal(t, runtime.Version(), info.GoVersion)
}

func TestReadFileOfNoProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
		return path
	}
	_, err := version.ReadFile(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NotErrorIs(t, err, version.ErrNotGoProgram)

	program, err := os.Executable()
	require.NoError(t, err)
	whole, err := os.ReadFile(program)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"script":    "#!/bin/sh\necho hello\n",
		"empty":     "",
		"elf":       "\x7fELF\x02\x01\x01" + strings.Repeat("\xff", 100),
		"pe":        "MZ" + strings.Repeat("\xff", 100),
		"macho":     "\xcf\xfa\xed\xfe" + strings.Repeat("\xff", 100),
		"xcoff":     "\x01\xf7" + strings.Repeat("\xff", 100),
		"truncated": string(whole[:4096]),
	} {
		_, err := version.ReadFile(write(name, text))
		require.ErrorIs(t, err, version.ErrNotGoProgram, name)
	}
	_, err = version.ReadFile(dir)
	require.ErrorIs(t, err, version.ErrNotGoProgram)
	require.ErrorContains(t, err, "not a regular file")
}

func TestBuildInfoOfAnInfo(t *testing.T) {
	t.Parallel()
	bi := shop().BuildInfo()
	require.Equal(t, debug.Module{Path: "example.com/shop", Version: "v1.4.2", Sum: "h1:main="}, bi.Main)
	require.Equal(t, "go1.26.8", bi.GoVersion)
	require.NotContains(t, bi.String(), secret)
	require.Empty(t, version.Info{}.BuildInfo().String())
}
