package sbom_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop returns the build information of a service with one module of each kind.
func shop() *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.1 X:nodwarf5",
		Path:      "corp.example/shop/cmd/shop",
		Main:      debug.Module{Path: "corp.example/shop", Version: "v1.4.2", Sum: "h1:main="},
		Deps: []*debug.Module{
			{Path: "github.com/Masterminds/semver/v3", Version: "v3.5.0", Sum: "h1:a="},
			{Path: "github.com/docker/docker", Version: "v28.0.0+incompatible", Sum: "h1:b="},
			{Path: "corp.example/money", Version: "v1.0.0", Replace: &debug.Module{Path: "corp.example/fork", Version: "v1.0.1", Sum: "h1:c="}},
			{Path: "corp.example/log", Version: "v1.0.0", Replace: &debug.Module{Path: "/home/mary/log", Version: "(devel)"}},
			nil,
		},
		Settings: []debug.BuildSetting{
			{Key: "-ldflags", Value: "-X main.password=secret"},
			{Key: "CGO_CFLAGS", Value: "-I/home/mary"},
			{Key: "GOOS", Value: "linux"},
			{Key: "GOAMD64", Value: "v3"},
			{Key: "GOPRIVATE", Value: "corp.example"},
			{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
			{Key: "vcs.modified", Value: "false"},
		},
	}
}

func write(t testing.TB, bi *debug.BuildInfo, opts *sbom.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, sbom.Write(&b, bi, opts))
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	t.Parallel()
	got := write(t, shop(), &sbom.Options{Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))})
	golden := filepath.Join("testdata", "shop.json")
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	for _, hidden := range []string{"secret", "/home/mary", "GOPRIVATE", `"hashes"`} {
		require.NotContains(t, string(got), hidden)
	}
}

func TestTheSameBuildGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	one := write(t, shop(), nil)
	other := shop()
	slices.Reverse(other.Deps)
	require.Equal(t, string(one), string(write(t, other, nil)))
	serial := func(bi *debug.BuildInfo, opts *sbom.Options) string {
		bom, err := sbom.New(bi, opts)
		require.NoError(t, err)
		require.Regexp(t, `^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, bom.SerialNumber)
		return bom.SerialNumber
	}
	other.Deps[4].Sum = "h1:other="
	require.NotEqual(t, serial(shop(), nil), serial(other, nil))
	require.NotEqual(t, serial(shop(), nil), serial(shop(), &sbom.Options{Version: "v2"}))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	bom, err := sbom.New(shop(), &sbom.Options{Name: "storefront", Version: "2026.1"})
	require.NoError(t, err)
	require.Equal(t, "storefront", bom.Metadata.Component.Name)
	require.Equal(t, "2026.1", bom.Metadata.Component.Version)
	require.Equal(t, "pkg:golang/corp.example/shop@v1.4.2#cmd/shop", bom.Metadata.Component.PackageURL)
	require.Empty(t, bom.Metadata.Timestamp)
}

// TestRepositories checks paths that determine the repository, and paths that do not.
func TestRepositories(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"github.com/Masterminds/semver/v3":        "https://github.com/Masterminds/semver",
		"github.com/aws/aws-sdk-go-v2/service/s3": "https://github.com/aws/aws-sdk-go-v2",
		"gitlab.com/owner/repo/v2":                "https://gitlab.com/owner/repo",
		"gitlab.com/group/sub/repo":               "",
		"bitbucket.org/owner/repo":                "https://bitbucket.org/owner/repo",
		"git.sr.ht/~owner/repo":                   "https://git.sr.ht/~owner/repo",
		"gopkg.in/yaml.v3":                        "https://github.com/go-yaml/yaml",
		"gopkg.in/natefinch/lumberjack.v2":        "https://github.com/natefinch/lumberjack",
		"golang.org/x/crypto":                     "https://go.googlesource.com/crypto",
		"golang.org/x/tools/gopls":                "https://go.googlesource.com/tools",
		"corp.example/log":                        "",
		"github.com/owner":                        "",
		"github.com/owner/../../evil":             "",
		"github.com/own er/x\"y":                  "",
		"github.com/owner/repo?token=x":           "",
	} {
		bom, err := sbom.New(&debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Path: path}, Deps: []*debug.Module{{Path: path, Version: "v1.0.0"}}}, nil)
		require.NoError(t, err)
		components := append(*bom.Components, *bom.Metadata.Component)
		for _, c := range components {
			expected := want
			if c.Name == "stdlib" {
				expected = "https://go.googlesource.com/go"
			}
			if expected == "" {
				require.Nil(t, c.ExternalReferences, path)
				continue
			}
			require.Equal(t, []cyclonedx.ExternalReference{{Type: cyclonedx.ERTypeVCS, URL: expected}}, *c.ExternalReferences, path)
		}
	}
	// The replacement is compiled. The name of a folder is not shown.
	bom, err := sbom.New(&debug.BuildInfo{Main: debug.Module{Path: "x"}, Deps: []*debug.Module{
		{Path: "github.com/a/b", Version: "v1.0.0", Replace: &debug.Module{Path: "github.com/fork/b", Version: "v1.0.1"}},
		{Path: "github.com/c/d", Version: "v1.0.0", Replace: &debug.Module{Path: "../d"}},
	}}, nil)
	require.NoError(t, err)
	for _, c := range *bom.Components {
		switch {
		case c.Name == "github.com/fork/b":
			require.Equal(t, "https://github.com/fork/b", (*c.ExternalReferences)[0].URL)
		case c.Name == "github.com/c/d":
			require.Nil(t, c.ExternalReferences)
		}
	}
}

func TestNoModules(t *testing.T) {
	t.Parallel()
	own, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	for _, bi := range []*debug.BuildInfo{nil, {Path: "command-line-arguments"}, own} {
		_, err := sbom.New(bi, nil)
		require.ErrorIs(t, err, sbom.ErrNoModules)
		w := httptest.NewRecorder()
		sbom.Handler(bi, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Contains(t, w.Body.String(), "has no modules")
	}
	_, err := sbom.New(&debug.BuildInfo{Path: "corp.example/plain", Main: debug.Module{Path: "corp.example/plain"}}, nil)
	require.NoError(t, err, "a program of the standard library alone")
}

func TestHandler(t *testing.T) {
	t.Parallel()
	h := sbom.Handler(shop(), nil)
	ask := func(method string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/sbom", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := ask(http.MethodGet)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/vnd.cyclonedx+json; version=1.6", w.Header().Get("Content-Type"))
	require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, string(write(t, shop(), nil)), w.Body.String())
	var bom cyclonedx.BOM
	require.NoError(t, cyclonedx.NewBOMDecoder(w.Body, cyclonedx.BOMFileFormatJSON).Decode(&bom))
	require.Len(t, *bom.Components, 5)
	require.Equal(t, http.StatusNotModified, ask(http.MethodGet, "If-None-Match", w.Header().Get("ETag")).Code)
	require.Empty(t, ask(http.MethodHead).Body.String())
	refused := ask(http.MethodPost)
	require.Equal(t, http.StatusMethodNotAllowed, refused.Code)
	require.Equal(t, "GET, HEAD", refused.Header().Get("Allow"))
	require.Equal(t, "application/problem+json", refused.Header().Get("Content-Type"))
}

func FuzzNew(f *testing.F) {
	bi := shop()
	bi.Deps = bi.Deps[:4] // String does not accept nil
	f.Add(bi.String())
	f.Add("path\tx\nmod\tx\t(devel)\t\ndep\ta b/ü\tv1@%\n=>\t./x\t\n")
	f.Add("path\tx\ndep\ta\tv1\ndep\ta\tv1\n")
	f.Add("dep\t\t`\xecv\n")
	f.Fuzz(func(t *testing.T, text string) {
		bi, err := debug.ParseBuildInfo(text)
		if err != nil {
			return
		}
		bom, err := sbom.New(bi, nil)
		if err != nil {
			require.ErrorIs(t, err, sbom.ErrNoModules)
			return
		}
		refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
		for _, c := range *bom.Components {
			require.False(t, refs[c.BOMRef], "two components are %s", c.BOMRef)
			refs[c.BOMRef] = true
			require.Regexp(t, `^(pkg:golang/[A-Za-z0-9._~%/-]+(@[A-Za-z0-9._~%-]+)?(#[A-Za-z0-9._~%/-]+)?)?$`, c.PackageURL)
		}
		require.True(t, json.Valid(write(t, bi, nil)))
	})
}
