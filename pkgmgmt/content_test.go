package pkgmgmt_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

func TestManyRowsOfOneModule(t *testing.T) {
	for _, n := range []int{100000} {
		var b strings.Builder
		b.WriteString("go\tgo1.26\npath\tx.example/x\nmod\tx.example/x\tv1.0.0\t\n")
		for range n {
			b.WriteString("dep\ta.example/x\tv1.0.0\th1:a=\n")
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/x-go-buildinfo")
			w.Write([]byte(b.String()))
		}))
		f, err := pkgmgmt.NewFleet([]pkgmgmt.Target{{Service: "s", URL: s.URL}}, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		r := f.Collect(ctx)
		require.Len(t, r.Rows, n)
		require.Less(t, time.Since(start), 30*time.Second)
		cancel()
		s.Close()
	}
}

func TestFleetForks(t *testing.T) {
	bi := func(v string) *debug.BuildInfo {
		return &debug.BuildInfo{Path: "x.example/shop", Main: debug.Module{Path: "x.example/shop", Version: "v1.0.0"}, Deps: []*debug.Module{{Path: "a.example/lib", Version: "v1.0.0", Replace: &debug.Module{Path: "a.example/fork", Version: v, Sum: "h1:" + v}}}}
	}
	f, err := pkgmgmt.NewFleet([]pkgmgmt.Target{{Service: "shop", BuildInfo: bi("v1.0.0")}, {Service: "till", BuildInfo: bi("v1.9.0")}}, nil)
	require.NoError(t, err)
	r := f.Collect(t.Context())
	require.Equal(t, pkgmgmt.FleetVerdictSkewed, r.Worst())
}

func TestWhyAVersionIsBlocked(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(403)
		fmt.Fprintln(w, "a.example/lib@v1.0.0 is blocked: steals keys")
	}))
	defer s.Close()
	p, err := pkgmgmt.NewProxy(s.URL, &pkgmgmt.ProxyOptions{HTTP: s.Client()})
	require.NoError(t, err)
	pol, err := pkgmgmt.ParsePolicy("p", []byte("rules: []"))
	require.NoError(t, err)
	v := pol.CheckWith(t.Context(), &debug.BuildInfo{Main: debug.Module{Path: "x"}, Deps: []*debug.Module{{Path: "a.example/lib", Version: "v1.0.0"}}}, p)
	require.Contains(t, fmt.Sprint(v), "steals keys")
}

func TestBehindByAnUnknownTime(t *testing.T) {
	pol, err := pkgmgmt.ParsePolicy("p", []byte("rules: [{module: ..., maxBehind: 30d}]"))
	require.NoError(t, err)
	v := pol.CheckWith(t.Context(), &debug.BuildInfo{Main: debug.Module{Path: "x"}, Deps: []*debug.Module{{Path: "a.example/lib", Version: "v1.0.0"}}}, knows(func(string, string) (pkgmgmt.Status, error) {
		return pkgmgmt.Status{Time: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), Latest: "v1.9.0"}, nil
	}))
	require.NotEmpty(t, v)
}
