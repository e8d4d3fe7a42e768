package compat_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/upkeep-go/upkeep/version/compat"
)

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// BenchmarkRequire: on a known header at most 100 ns and no allocation.
func BenchmarkRequire(b *testing.B) {
	p := policy(b, compat.Rule{Minimum: "v1.4.0", Block: []string{"v1.4.3"}, Stage: compat.StageEnforce}, compat.Rule{Minimum: "v1.5.0"})
	h := compat.Require(p)(nothing)
	for name, agents := range map[string][]string{
		"0 known":    {"shop/v1.5.2"},
		"1 browser":  {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		"2 observed": {"shop/v1.4.2"},
		"3 missing":  nil,
		"4 too long": {strings.Repeat("x", 1<<16)},
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["User-Agent"] = agents
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
	b.Run("5 known, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["User-Agent"] = []string{"shop/v1.5.2"}
			w := httptest.NewRecorder()
			for pb.Next() {
				h.ServeHTTP(w, r)
			}
		})
	})
	b.Run("6 never seen", func(b *testing.B) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		w := httptest.NewRecorder()
		agents := make([]string, 1<<16)
		for i := range agents {
			agents[i] = fmt.Sprint("evil/v1.5.", i)
		}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			r.Header["User-Agent"] = agents[n%len(agents) : n%len(agents)+1]
			h.ServeHTTP(w, r)
			n++
		}
	})
}

// BenchmarkHeader is what the look-up alone costs: http.Header.Get has to see
// each time that the name is canonical, the map has not.
func BenchmarkHeader(b *testing.B) {
	header := http.Header{"User-Agent": {"shop/v1.5.2"}, "Accept": {"*/*"}}
	b.Run("map", func(b *testing.B) {
		for b.Loop() {
			_ = header["User-Agent"]
		}
	})
	b.Run("Get", func(b *testing.B) {
		for b.Loop() {
			_ = header.Get("User-Agent")
		}
	})
}

func BenchmarkWarnAndRefuse(b *testing.B) {
	for _, stage := range []compat.Stage{compat.StageWarn, compat.StageEnforce} {
		b.Run(string(stage), func(b *testing.B) {
			h := compat.Require(policy(b, compat.Rule{Minimum: "v1.4.0", Stage: stage, Link: "/upgrade"}))(nothing)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["User-Agent"] = []string{"shop/v1.3.0"}
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				clear(w.Header())
				w.Body.Reset()
				h.ServeHTTP(w, r)
			}
		})
	}
}
