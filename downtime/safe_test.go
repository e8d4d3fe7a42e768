package downtime_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// Methods are safe by their specifications. Unregistered methods write.
func TestSafeMethods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, newSource(windows(window("w", 0, time.Hour, ", mode: read-only"))), nil).Handler(ok)
		for method, code := range map[string]int{
			"GET": 200, "HEAD": 200, "OPTIONS": 200, "TRACE": 200, "QUERY": 200, "PROPFIND": 200, "REPORT": 200, "SEARCH": 200,
			"POST": 503, "PUT": 503, "DELETE": 503, "PATCH": 503, "CONNECT": 503, "MKCOL": 503, "LOCK": 503, "PROPPATCH": 503,
			"FROB": 503, "query": 503, "Get": 503, "QUERYX": 503,
		} {
			require.Equal(t, code, get(h, method, "/x").Code, method)
		}
	})
}

// The usual paths of probes and scrapes pass by default, with and without a slash at the end.
func TestDefaultPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""))), nil)
		h := g.Handler(ok)
		for _, target := range []string{
			"/metrics", "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "/robots.txt",
			"/healthz", "/livez", "/readyz", "/startupz", "/readiness", "/liveness", "/health/started", "/healthz/ready",
			"/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness", "/actuator/prometheus",
			"/q/health", "/q/health/live", "/q/health/ready", "/q/health/started", "/q/metrics", "/-/healthy", "/-/ready",
			"/healthz/", "/metrics/", "/actuator/health/", "/q/health/live/",
		} {
			require.Equal(t, 200, get(h, "GET", target).Code, target)
			require.Equal(t, 200, get(h, "HEAD", target).Code, target)
			require.Equal(t, 503, get(h, "POST", target).Code, target)
		}
		for _, target := range []string{
			"/", "/healthz//", "/healthz/x", "/metricsx", "/Metrics", "/%6detrics", "/x/../metrics", "/x/metrics", "/metrics;v=1", "/metrics%2f",
			"/.well-known/acme-challenge/", "/.well-known/acme-challenge/a/b", "/.well-known/acme-challenge/..", "/actuator/env", "/actuator", "/q",
		} {
			require.Equal(t, 503, get(h, "GET", target).Code, target)
		}
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)

		own := open(t, newSource(windows(window("w", 0, time.Hour, ""))), &downtime.Options{Pass: []string{"GET /a", "/b/{$}", "/{$}", "/{x}/c"}}).Handler(ok)
		for target, code := range map[string]int{"/a": 200, "/a/": 503, "/b": 503, "/b/": 200, "/": 200, "/d": 503, "/d/c": 200} {
			require.Equal(t, code, get(own, "GET", target).Code, target)
		}
	})
}
