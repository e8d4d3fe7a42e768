package version_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

// wholesome holds for every Info that this package gives out, whatever it
// was made of.
func wholesome(t *testing.T, info version.Info) {
	t.Helper()
	data, err := json.Marshal(info)
	require.NoError(t, err)
	var again version.Info
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, info, again, "JSON loses nothing")

	for _, text := range []string{info.String(), string(info.Kind), version.Diff(version.Info{}, info).Version.New} {
		require.True(t, utf8.ValidString(text))
		require.Negative(t, strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
	}
	require.True(t, version.Diff(info, info).Empty())
	require.Regexp(t, product, info.UserAgent())
	for _, attr := range info.Attributes() {
		require.LessOrEqual(t, len(attr.Value.AsString()), 256)
	}

	bi, err := debug.ParseBuildInfo(info.BuildInfo().String())
	require.NoError(t, err, "%s", info.BuildInfo())
	want := info.BuildInfo()
	bi.GoVersion = want.GoVersion // which it does not read
	require.Equal(t, want.String(), bi.String())
	for _, s := range bi.Settings {
		require.NotContains(t, s.Key, "flags")
		require.NotContains(t, s.Key, "FLAGS")
	}

	h := version.Handler(info, at(version.LevelFull))
	for _, accept := range []string{"application/json", "text/plain", "text/x-go-buildinfo"} {
		w := ask(h, "GET", "Accept", accept)
		require.Equal(t, http.StatusOK, w.Code)
		require.True(t, utf8.Valid(w.Body.Bytes()))
	}
}

var product = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]{1,128}(/[-!#$%&'*+.^_`|~0-9A-Za-z]{1,128})?$")

func FuzzParse(f *testing.F) {
	full, err := json.Marshal(shop())
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte(goVersionM()))
	f.Add([]byte(shopBuild().String()))
	f.Add([]byte(`{"Main":{"Path":"a","Version":"v1"},"Deps":[null,{"Path":"b","Replace":{"Path":"c"}}]}`))
	f.Add([]byte(`{"version":"v1.2.3\n","time":"2026-11-20T11:20:00+25:00","deps":[{"path":" "}]}`))
	f.Add([]byte("path\ta\nbuild\t-ldflags=\"-X github.com/upkeep-go/upkeep/version.time=9999999999\"\n"))
	f.Add([]byte("x: go1.26.8\n\tpath\tcommand-line-arguments\n\tbuild\tDefaultGODEBUG=`a b`\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := version.Parse("fuzz", data)
		if err != nil {
			require.NotEmpty(t, err.Error())
			require.Zero(t, info)
			return
		}
		wholesome(t, info)
	})
}

// FuzzParseBuildInfo compares with the standard library: what Parse accepts as
// text, debug.ParseBuildInfo reads alike.
func FuzzParseBuildInfo(f *testing.F) {
	f.Add(shopBuild().String())
	f.Add("path\ta\nmod\tb\tv1\t\n=>\tc\t\t\nbuild\t\"GO=OS\"=`x y`\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") || strings.Contains(text, "\r") || strings.Contains(text, "\n\t") || strings.HasPrefix(text, "\t") {
			t.Skip("not in the format of BuildInfo.String")
		}
		info, err := version.Parse("fuzz", []byte(text))
		if err != nil {
			return
		}
		bi, err := debug.ParseBuildInfo(text)
		if err != nil {
			return // stricter about what needs quotes and columns of replacements
		}
		want := version.FromBuildInfo(bi, nil)
		want.GoVersion, want.Origins["goVersion"] = info.GoVersion, info.Origins["goVersion"]
		want.Conflicts, info.Conflicts = nil, nil
		require.Equal(t, want, info)
	})
}

func FuzzOptionsAndEnvironment(f *testing.F) {
	f.Add("shop", "v1.4.2", revisionA, "OTEL", "service.name=shop,x=%zz", "-X github.com/upkeep-go/upkeep/version.version='a b'")
	f.Add("\r\nX-Evil: 1", "\xff\xfe", "\u202e", "", "service.name=%0d%0a", "all=-X=")
	f.Fuzz(func(t *testing.T, name, v, revision, otelName, attributes, ldflags string) {
		bi := with(shopBuild(), "-ldflags", ldflags)
		bi.Deps = append(bi.Deps, dep(name, v, revision))
		info := version.FromBuildInfo(stamped(bi, v), &version.Options{
			Name: name, Version: v, Revision: revision, Environment: name,
			Getenv: env("OTEL_SERVICE_NAME", otelName, "OTEL_RESOURCE_ATTRIBUTES", attributes, "SERVICE_VERSION", revision),
		})
		wholesome(t, info)
		if v := info.Version; v != "" {
			if _, err := info.Semver(); err != nil {
				require.ErrorIs(t, err, version.ErrNoSemver)
			}
		}
	})
}

func FuzzHandler(f *testing.F) {
	f.Add("GET", "text/plain;q=0.5, */*", `"abc"`, "r1")
	f.Add("HEAD", "text/x-go-buildinfo;;q=,", "W/*", "\x1b\n")
	f.Fuzz(func(t *testing.T, method, accept, match, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method = method
		r.Header["Accept"] = []string{accept}
		r.Header["If-None-Match"] = []string{match}
		w := httptest.NewRecorder()
		version.Handler(shop(), &version.HandlerOptions{
			Sections: map[string]func() string{value: func() string { return value }},
		}).ServeHTTP(w, r)
		require.Contains(t, []int{200, 304, 405, 406}, w.Code)
		if w.Code == 200 && method == http.MethodGet && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
			_, err := version.Parse("answer", w.Body.Bytes())
			require.NoError(t, err)
		}
	})
}
