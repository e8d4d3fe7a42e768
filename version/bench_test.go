package version_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

// bigBuild has as many dependencies as a service with a cloud client has.
func bigBuild(deps int, v string) *debug.BuildInfo {
	bi := shopBuild()
	bi.Deps = nil
	for i := range deps {
		bi.Deps = append(bi.Deps, dep(fmt.Sprintf("example.com/module/number%04d", i), v, "h1:oEhCmBYcYPTqLA2ZJ9eSeUNYQOBtVxP5W7Dkz8kRMoM="))
	}
	return bi
}

func BenchmarkCurrent(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		version.Current()
	}
}

func BenchmarkFromBuildInfo(b *testing.B) {
	for _, deps := range []int{10, 300} {
		b.Run(fmt.Sprint(deps, " deps"), func(b *testing.B) {
			bi := bigBuild(deps, "v1.0.0")
			b.ReportAllocs()
			for b.Loop() {
				version.FromBuildInfo(bi, nil)
			}
		})
	}
}

func BenchmarkDiff(b *testing.B) {
	for _, deps := range []int{10, 300} {
		b.Run(fmt.Sprint(deps, " deps, all upgraded"), func(b *testing.B) {
			old, new := version.FromBuildInfo(bigBuild(deps, "v1.0.0"), nil), version.FromBuildInfo(bigBuild(deps, "v1.0.1"), nil)
			b.ReportAllocs()
			for b.Loop() {
				version.Diff(old, new)
			}
		})
	}
	b.Run("two real programs", func(b *testing.B) {
		needToolchain(b)
		oldProgram, _ := buildWithSemver(b, "v3.4.0", semver340, "v1.4.1")
		newProgram, _ := buildWithSemver(b, "v3.5.0", semver350, "v1.4.2")
		old, err := version.ReadFile(oldProgram)
		require.NoError(b, err)
		new, err := version.ReadFile(newProgram)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			version.Diff(old, new)
		}
	})
}

func BenchmarkReadFile(b *testing.B) {
	program, err := os.Executable()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := version.ReadFile(program); err != nil {
			b.Fatal(err)
		}
	}
}

// discard is a response writer that costs nothing itself.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func BenchmarkHandler(b *testing.B) {
	for name, h := range map[string]http.Handler{
		"0 empty":    nothing,
		"1 cached":   version.Handler(shop(), nil),
		"2 full":     version.Handler(version.FromBuildInfo(bigBuild(300, "v1.0.0"), nil), at(version.LevelFull)),
		"3 sections": version.Handler(shop(), &version.HandlerOptions{Sections: map[string]func() string{"flags": func() string { return "r1" }, "windows": func() string { return "r2" }}}),
	} {
		for kind, headers := range map[string][]string{
			"JSON":         {},
			"text":         {"Accept", "text/plain"},
			"browser":      {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
			"not modified": {"If-None-Match", ask(h, "GET").Header().Get("ETag")},
		} {
			b.Run(name+", "+kind, func(b *testing.B) {
				r := httptest.NewRequest(http.MethodGet, "/version", nil)
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				w := &discard{make(http.Header, 8)}
				b.ReportAllocs()
				for b.Loop() {
					clear(w.header)
					h.ServeHTTP(w, r)
				}
			})
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for name, h := range map[string]http.Handler{
		"0 bare":        nothing,
		"1 no span":     version.Middleware(shop(), nil)(nothing),
		"2 with header": version.Middleware(shop(), &version.MiddlewareOptions{Header: "X-Version"})(nothing),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			w := &discard{make(http.Header, 8)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkTransport(b *testing.B) {
	transport := version.Transport(shop(), new(roundTrip))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		response, err := transport.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close()
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(bigBuild(300, "v1.0.0").String())
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := version.Parse("bench", text); err != nil {
			b.Fatal(err)
		}
	}
}
