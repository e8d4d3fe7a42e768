package downtime_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// exactly is Options with which Retry-After is the time to the end.
func exactly() *downtime.Options {
	return &downtime.Options{RetryJitter: -1, RetryMax: 1000 * time.Hour}
}

func retryAfter(t *testing.T, h http.Header) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	require.NoError(t, err)
	return time.Duration(seconds) * time.Second
}

// A chain is a document, and until when it keeps a request out, from when it was read.
type chain struct {
	windows        []string
	method, target string
	want           time.Duration
}

func chains() map[string]chain {
	const m = time.Minute
	a := func(more string) string { return window("a", m, 30*m, more) }
	every := func(id string, in, duration time.Duration, rule, more string) string {
		return window(id, in, duration, ", repeat: "+rule+more)
	}
	many := make([]string, 0, 500)
	for i := range 500 {
		many = append(many, window(fmt.Sprintf("w%d", i), 31*m, time.Hour, fmt.Sprintf(`, scope: {paths: ["/other/%d"]}`, i)))
	}
	chained := []string{a("")}
	for i := range 300 {
		chained = append(chained, window(fmt.Sprintf("c%d", i), (31+10*time.Duration(i))*m, 10*m, ""))
	}
	return map[string]chain{
		"one window":             {windows: []string{a("")}, want: 31 * m},
		"the issue's":            {windows: []string{a(""), window("b", 31*m, 180*m, ""), window("c", 0, 49*m, ", mode: announce")}, want: 211 * m},
		"in another order":       {windows: []string{window("c", 0, 49*m, ", mode: announce"), window("b", 31*m, 180*m, ""), a("")}, want: 211 * m},
		"overlapping":            {windows: []string{a(""), window("b", 20*m, 60*m, "")}, want: 80 * m},
		"inside of another":      {windows: []string{a(""), window("b", 10*m, 5*m, "")}, want: 31 * m},
		"both in progress":       {windows: []string{a(""), window("b", 0, 90*m, "")}, want: 90 * m},
		"with a gap of a minute": {windows: []string{a(""), window("b", 32*m, 60*m, "")}, want: 31 * m},
		"three, the last one of another zone": {windows: []string{
			a(""), window("c", 50*m, 60*m, ", timezone: Europe/Madrid"), window("b", 31*m, 20*m, ""),
		}, want: 110 * m},
		"rehearsals and announcements keep nobody out": {windows: []string{a(""), window("b", 31*m, 60*m, ", mode: rehearse"), window("c", 31*m, 60*m, ", mode: announce")}, want: 31 * m},
		"read-only keeps a write out":                  {windows: []string{a(""), window("b", 31*m, 60*m, ", mode: read-only")}, method: "POST", want: 91 * m},
		"and lets a read in":                           {windows: []string{a(""), window("b", 31*m, 60*m, ", mode: read-only")}, want: 31 * m},
		"first read-only, then closed":                 {windows: []string{a(", mode: read-only"), window("b", 31*m, 60*m, "")}, method: "POST", want: 91 * m},
		"a closed one over a read-only one":            {windows: []string{a(", mode: read-only"), window("b", m, 10*m, ""), window("c", 11*m, m, "")}, method: "POST", want: 31 * m},
		"another scope": {windows: []string{
			a(`, scope: {paths: ["/orders/**"]}`), window("b", 31*m, 60*m, `, scope: {paths: ["/invoices/**"]}`),
		}, target: "/orders/1", want: 31 * m},
		"a part of the scope, and the request in it": {windows: []string{
			a(`, scope: {paths: ["/**"]}`), window("b", 31*m, 60*m, `, scope: {paths: ["/orders/**"]}`),
		}, target: "/orders/1", want: 91 * m},
		"a part of the scope, and the request is not": {windows: []string{
			a(`, scope: {paths: ["/**"]}`), window("b", 31*m, 60*m, `, scope: {paths: ["/orders/**"]}`),
		}, target: "/news", want: 31 * m},
		"a chain by way of a scope that has not begun": {windows: []string{
			a(`, scope: {paths: ["/orders/**"]}`), window("b", 30*m, 60*m, `, scope: {methods: [GET]}`), window("c", 90*m, 60*m, `, scope: {paths: ["/orders/1"]}`),
		}, target: "/orders/1", want: 150 * m},
		"days later":         {windows: []string{a(""), window("b", 31*m, 100*time.Hour, ""), window("c", 100*time.Hour, 100*time.Hour, "")}, want: 200 * time.Hour},
		"occurrences of one": {windows: []string{every("a", m, 24*time.Hour, "FREQ=DAILY;COUNT=3", "")}, want: 72*time.Hour + m},
		"of one and another": {windows: []string{every("a", m, 12*time.Hour, "FREQ=DAILY;COUNT=3", ""), every("b", 12*time.Hour+m, 12*time.Hour, "FREQ=DAILY;COUNT=3", "")}, want: 72*time.Hour + m},
		"for ever":           {windows: []string{every("a", m, 24*time.Hour, "FREQ=DAILY", "")}, want: 2*m + 1000*time.Hour}, // RetryMax
		"behind many others": {windows: append(append([]string{a("")}, many...), window("z", 31*m, 60*m, "")), target: "/other/7", want: 91 * m},
		"three hundred":      {windows: chained, want: 3031 * m},
	}
}

// Each document is looked at two minutes after it was read, when window a has begun.
func TestRetryAfterIsTheEndOfTheChain(t *testing.T) {
	t.Parallel()
	for name := range chains() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := chains()[name] // by the clock of the bubble
				g := open(t, newSource(windows(c.windows...)), exactly())
				later(2 * time.Minute)
				w := get(g.Handler(ok), cmp.Or(c.method, "GET"), cmp.Or(c.target, "/"))
				require.Equal(t, 503, w.Code)
				require.Equal(t, c.want, time.Since(began)+retryAfter(t, w.Header()))
			})
		})
	}
}

func TestTheEndOfTheChainIsSaidEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("a", 0, 30*time.Minute, `, scope: {work: [import], paths: ["/**"]}`), window("b", 30*time.Minute, 30*time.Minute, ""))), exactly())
		h := g.Handler(ok)
		const end = "2000-01-01T01:00:00Z"

		w := get(h, "GET", "/")
		require.Equal(t, "3600", w.Header().Get("Retry-After"))
		var problem struct{ Window, Start, End string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
		require.Equal(t, struct{ Window, Start, End string }{"a", "2000-01-01T00:00:00Z", end}, problem)

		page := get(h, "GET", "/", "Accept", browser).Body.String()
		require.Contains(t, page, `http-equiv="refresh" content="3600"`)
		require.Contains(t, page, `<time datetime="`+end+`">`)
		require.Contains(t, page, `data-to="`+end+`"`)
		require.NotContains(t, page, "00:30")
		require.Contains(t, get(h, "GET", "/", "Accept", "text/plain").Body.String(), "01:00 UTC")
		events := get(h, "GET", "/", asEvents...).Body.String()
		require.True(t, strings.HasPrefix(events, "retry: 3600000\n"), events)

		until := func(err error) {
			t.Helper()
			var refused *downtime.UnavailableError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "a", refused.Window)
			require.InDelta(t, time.Hour, refused.RetryAfter, float64(time.Millisecond))
			require.Equal(t, end, refused.Until.UTC().Format(time.RFC3339))
		}
		_, err := g.Enter(t.Context(), downtime.Work{Name: "import"})
		until(err)
		_, _, err = g.EnterContext(t.Context(), downtime.Work{Name: "rpc", Request: httptest.NewRequest("POST", "/x", nil)})
		until(err)
		ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		_, err = g.EnterWait(ended, downtime.Work{Name: "import"})
		until(err)
		client := http.Client{Transport: downtime.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			return w.Result(), nil
		}))}
		_, err = client.Get("http://shop.example/")
		until(err)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The state of this process counts too: commands, an overrun, a cutoff and a bypass.
func TestTheChainAsItIsInThisProcess(t *testing.T) {
	t.Parallel()
	retry := func(t *testing.T, g *downtime.Guard) time.Duration {
		t.Helper()
		return retryAfter(t, get(g.Handler(ok), "GET", "/").Header())
	}
	t.Run("commands", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := open(t, newSource(windows(window("a", 0, 30*time.Minute, ""), window("b", 30*time.Minute, time.Hour, ""), window("c", 3*time.Hour, time.Hour, ""))), exactly())
			require.Equal(t, 90*time.Minute, retry(t, g))
			_, err := g.Extend("a", time.Now().Add(3*time.Hour))
			require.NoError(t, err)
			require.Equal(t, 4*time.Hour, retry(t, g), "the extended window reaches the next but one")
			_, err = g.Complete("a")
			require.NoError(t, err)
			require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
			_, err = g.Begin("b")
			require.NoError(t, err)
			require.Equal(t, 90*time.Minute, retry(t, g), "it ends when it was planned to")
			_, err = g.Complete("b")
			require.NoError(t, err)
			later(31 * time.Minute)
			require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
		})
	})
	t.Run("a window that is completed is no link", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := open(t, newSource(windows(window("a", 0, 30*time.Minute, ""), window("b", 0, time.Hour, ""))), exactly())
			require.Equal(t, time.Hour, retry(t, g))
			_, err := g.Complete("b")
			require.NoError(t, err)
			require.Equal(t, 30*time.Minute, retry(t, g))
		})
	})
	t.Run("overrun", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := open(t, newSource(windows(window("a", 0, 30*time.Minute, ""), window("b", 40*time.Minute, time.Hour, ""))), exactly())
			_, err := g.Drain(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, 30*time.Minute, retry(t, g), "as planned")
			later(30 * time.Minute)
			require.Equal(t, time.Minute, retry(t, g), "it may be over at any moment")
			later(9*time.Minute + 30*time.Second)
			require.Equal(t, time.Hour+30*time.Second, retry(t, g), "and then the next one has begun")
			later(time.Minute)
			require.Equal(t, time.Hour-30*time.Second, retry(t, g))
		})
	})
	t.Run("cutoff", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			opts := exactly()
			opts.Long = func(r *http.Request) bool { return r.URL.Path == "/long" }
			g := open(t, newSource(windows(window("a", 0, 30*time.Minute, ""), window("b", 40*time.Minute, time.Hour, ", cutoff: 10m"))), opts)
			require.Equal(t, 30*time.Minute, retry(t, g))
			long := func() time.Duration { return retryAfter(t, get(g.Handler(ok), "GET", "/long").Header()) }
			require.Equal(t, 100*time.Minute, long(), "the cutoff follows at once")
			later(35 * time.Minute)
			require.Equal(t, 65*time.Minute, long())
			require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
		})
	})
	t.Run("bypass", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g, _, _ := bypassing(t, newSource(windows(window("a", 0, 30*time.Minute, ""), window("w", 30*time.Minute, time.Hour, ""))), downtime.Bypass{}, *exactly())
			require.Equal(t, 90*time.Minute, retry(t, g))
			w := get(g.Handler(ok), "GET", "/", "Upkeep-Bypass", mint(t, nil))
			require.Equal(t, 30*time.Minute, retryAfter(t, w.Header()), "the window that it may bypass does not keep it out")
		})
	})
	t.Run("a stream that is ended", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			opts := exactly()
			opts.StreamJitter = -1
			g := open(t, newSource(windows(window("a", time.Minute, 30*time.Minute, ""), window("b", 31*time.Minute, time.Hour, ""))), opts)
			ctx, leave, err := g.EnterContext(t.Context(), downtime.Work{Name: "feed", Stream: true})
			require.NoError(t, err)
			defer leave()
			later(time.Minute)
			var refused *downtime.UnavailableError
			require.True(t, errors.As(context.Cause(ctx), &refused))
			require.Equal(t, 90*time.Minute, refused.RetryAfter)
		})
	})
}
