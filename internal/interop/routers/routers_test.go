package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func TestClosedWindow(t *testing.T) {
	each(t, func(k *rig) {
		status, _, body := k.do("GET", "/orders/7")
		require.Equal(t, 200, status)
		require.Equal(t, "order 7\n", body)
		status, _, body = k.do("POST", "/orders")
		require.Equal(t, 200, status, body)
		served := k.service.served.Load()
		require.EqualValues(t, 2, served)

		k.begin("closed")
		for _, request := range []string{"GET /orders/7", "HEAD /orders/7", "POST /orders", "GET /orders/events", "GET /orders/socket"} {
			method, path, _ := strings.Cut(request, " ")
			if method == "HEAD" && strings.Contains(k.t.Name(), "group_true") {
				continue // routers treat HEAD differently
			}
			status, header, body := k.do(method, path)
			require.Equal(t, 503, status, request)
			require.NotEmpty(t, header.Get("Retry-After"), request)
			require.Equal(t, "no-store", header.Get("Cache-Control"), request)
			if method == "HEAD" {
				require.Empty(t, body)
				continue
			}
			var problem struct{ Detail, Window string }
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.NoError(t, json.Unmarshal([]byte(body), &problem), "one answer and no other: %s", body)
			require.Equal(t, "Back soon.", problem.Detail)
			require.Equal(t, "upgrade", problem.Window)
		}
		require.Equal(t, served, k.service.served.Load(), "what is refused is not served")

		status, _, body = k.do("GET", "/version")
		require.Equal(t, 200, status)
		require.Contains(t, body, `"version"`)
		status, _, _ = k.do("GET", "/nothing")
		require.Equal(t, 404, status)
	})
}

func TestReadOnlyWindow(t *testing.T) {
	each(t, func(k *rig) {
		k.begin("read-only")
		status, _, _ := k.do("GET", "/orders/7")
		require.Equal(t, 200, status)
		status, header, _ := k.do("POST", "/orders")
		require.Equal(t, 503, status)
		require.NotEmpty(t, header.Get("Retry-After"))
		require.EqualValues(t, 1, k.service.served.Load())
	})
}

// In front of a router the guard sees every way to write a path, before the router
// redirects, cleans or does not find it.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	for name, build := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(s *service) http.Handler { return build(s, false) })
			k.begin("closed")
			for _, path := range []string{"/orders", "/orders/", "//orders/7", "/orders//7", "/x/../orders/7", "/x/%2e%2e/orders/7", "/orders%2F7", "/%6frders/7", "/orders/7?x=/y"} {
				_, _, res := k.raw("GET " + path + " HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
				require.Equal(t, 503, res.StatusCode, path)
			}
			require.Zero(t, k.service.served.Load())
		})
	}
}

func TestRoutesAreOnSpans(t *testing.T) {
	each(t, func(k *rig) {
		k.do("GET", "/orders/7")
		k.do("GET", "/version")
		k.do("GET", "/nothing/7")
		k.begin("closed")
		k.do("POST", "/orders")

		order := map[string]string{"chi": "/orders/{id}", "gin": "/orders/:id", "echo": "/orders/:id"}[k.router()]
		spans := k.ended()
		require.Contains(t, spans, "GET "+order)
		require.Equal(t, order, attribute(spans["GET "+order], "http.route"))
		require.Equal(t, "/version", attribute(spans["GET /version"], "http.route"))
		require.Contains(t, spans, "GET", "what no route was found for has none")
		require.Empty(t, attribute(spans["GET"], "http.route"))
		require.Equal(t, "404", attribute(spans["GET"], "http.response.status_code"))
		require.NotContains(t, k.logs.String(), "request failed", "a refusal was meant")
	})
}

// The first event comes while the handler still runs: flushing gets through.
func TestEventsAreFlushed(t *testing.T) {
	each(t, func(k *rig) {
		res := k.events()
		lines := bufio.NewScanner(res.Body)
		require.True(t, lines.Scan(), lines.Err())
		require.Equal(t, "data: 1 orders", lines.Text())
		require.InDelta(t, 1, k.service.guard.Stats()["in_flight"], 0)
		require.NoError(t, res.Body.Close()) // the client goes
		k.begin("closed")
		rep, err := k.service.guard.Drain(t.Context(), "upgrade")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
}

// A window ends the events, and asks new clients to come back.
func TestWindowEndsEvents(t *testing.T) {
	each(t, func(k *rig) {
		res := k.events()
		k.begin("closed")
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err, "the answer ends well, so that an EventSource comes back")
		require.Contains(t, string(body), "data: 1 orders\n")
		rep, err := k.service.guard.Drain(t.Context(), "upgrade")
		require.NoError(t, err)
		require.True(t, rep.Quiet)

		res = k.events()
		body, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), "event: maintenance\n")
		require.Contains(t, string(body), "retry: ")
	})
}

func TestSocketsAreTakenOver(t *testing.T) {
	each(t, func(k *rig) {
		const upgrade = "GET /orders/socket HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: parrot\r\n\r\n"
		_, r, res := k.raw(upgrade + "Polly") // bytes that are sent with the upgrade must not be lost
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		said := make([]byte, 5)
		_, err := io.ReadFull(r, said)
		require.NoError(t, err)
		require.Equal(t, "Polly", string(said))
		require.InDelta(t, 1, k.service.guard.Stats()["in_flight"], 0, "it counts as long as it is open")

		k.begin("closed")
		_, err = r.ReadByte()
		require.ErrorIs(t, err, io.EOF, "the window has closed it")
		rep, err := k.service.guard.Drain(t.Context(), "upgrade")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		_, _, res = k.raw(upgrade)
		require.Equal(t, 503, res.StatusCode)
	})
}

func TestPanicsAreRecorded(t *testing.T) {
	each(t, func(k *rig) {
		status, header, body := k.do("GET", "/orders/panic")
		require.Equal(t, 500, status)
		require.Equal(t, "application/problem+json", header.Get("Content-Type"))
		require.NotContains(t, body, "too many")
		require.Zero(t, k.service.guard.Stats()["in_flight"], "what has panicked is over")

		span := k.ended()["GET /orders/panic"]
		require.NotNil(t, span)
		require.Equal(t, codes.Error, span.Status().Code)
		require.Equal(t, "500", attribute(span, "http.response.status_code"))
		require.Contains(t, k.logs.String(), "an order too many")
		require.Contains(t, k.logs.String(), "stack=")
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), "127.0.0.1:0", "mux", "windows.yaml", false), `no router "mux"`)
	text, err := os.ReadFile("windows.yaml")
	require.NoError(t, err)
	_, err = schedule.Parse("windows.yaml", text)
	require.NoError(t, err)
}
