package replay_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// guarded is a service that has a token, a price and a stock to look at before it fails.
type guarded struct {
	flags  openfeature.IClient
	client *http.Client
	refuse int // the status of who has no token
	fixed  int // the status of what failed
	bare   bool
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.Header.Get("Authorization") != "Bearer of-ann" {
		w.WriteHeader(g.refuse)
		return
	}
	if g.bare {
		w.WriteHeader(g.fixed)
		return
	}
	stock, _ := observe.Value(ctx, "stock", func(context.Context) (int, error) { return -3, nil })
	g.flags.String(ctx, "notice", "", openfeature.EvaluationContext{})
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://prices.test/tea", nil)
	if resp, err := g.client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if stock < 0 && g.fixed == 0 {
		panic("sold what is not there")
	}
	w.WriteHeader(max(g.fixed, 200))
}

func guardedIncident(t *testing.T, rules capture.Redaction) string {
	t.Helper()
	p := newProduction(t, rules)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer of-ann")
	return p.capture(&guarded{flags: p.flags, client: p.client(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"cents":4}`) })}, r)
}

// A request that is turned away before it comes to the bug proves nothing.
func TestRunTellsThatARequestDidNotGetAsFar(t *testing.T) {
	t.Parallel()
	path := guardedIncident(t, capture.Redaction{JSON: []string{"$"}, Flags: []string{"notice"}, URLs: []string{"prices.test/{item}"}, Fields: []string{"item"}})
	prepare := func(r *http.Request) { r.Header.Set("Authorization", "Bearer of-ann") }
	for _, c := range []struct {
		opts  replay.Options
		serve guarded
		want  string // "": the test passes
		said  string
	}{
		{replay.Options{}, guarded{refuse: 401}, "did not get as far as it did then: status 500, panic: ", ", status 401 now, without asking for\n\t\tGET http://prices.test/tea\n\t\tobserve.Value(\"stock\"), the first\n\tOptions.Prepare puts back"},
		{replay.Options{}, guarded{refuse: 302}, "did not get as far", "status 302 now"},
		{replay.Options{}, guarded{refuse: 404}, "did not get as far", "status 404 now"},
		{replay.Options{}, guarded{refuse: 200}, "does not fail now, which proves nothing", "may depend on what is hidden or missing:\n\t\tof the request: header Authorization\n"},
		{replay.Options{Status: 401}, guarded{refuse: 401}, "does not fail now, which proves nothing", ""},
		{replay.Options{Status: 404}, guarded{refuse: 401}, "is not answered with status 404, by Options.Status: ", "status 401 now"},
		{replay.Options{Prepare: prepare}, guarded{refuse: 401}, "fails as it did then", ""},
		{replay.Options{Prepare: prepare}, guarded{fixed: 200}, "", "does not fail any more"},
		{replay.Options{Prepare: prepare}, guarded{fixed: 409}, "did not get as far", "If this is the right answer, Options.Status says so"},
		{replay.Options{Prepare: prepare, Status: 409}, guarded{fixed: 409}, "", "does not fail any more"},
		{replay.Options{Prepare: prepare}, guarded{fixed: 403}, "did not get as far", "status 403 now\n\tOptions.Prepare"},
		{replay.Options{Prepare: prepare}, guarded{fixed: 400, bare: true}, "did not get as far", "If this is the right answer, Options.Status says so"},
		{replay.Options{Prepare: prepare, Status: 400}, guarded{fixed: 400, bare: true}, "", "does not fail any more"},
		{replay.Options{Prepare: prepare, Status: 400}, guarded{fixed: 200}, "is not answered with status 400", ""},
	} {
		d := play(t, c.opts, path, func(rc *replay.Case) http.Handler {
			g := c.serve
			g.flags, g.client = rc.FlagClient(), rc.HTTPClient()
			return &g
		})
		require.Contains(t, d.said(), c.said)
		if c.want == "" {
			require.Empty(t, d.errors)
			continue
		}
		require.Len(t, d.errors, 1, d.said())
		require.Contains(t, d.errors[0], c.want)
		require.NotContains(t, d.said(), "does not fail any more")
	}
}

// A failure that depends on hidden data may not come again, and the message names these data.
func TestRunNamesWhatIsHidden(t *testing.T) {
	t.Parallel()
	path := guardedIncident(t, capture.Redaction{})
	prepare := func(r *http.Request) { r.Header.Set("Authorization", "Bearer of-ann") }
	for _, o := range []replay.Options{{Prepare: prepare}, {Prepare: prepare, Key: key}} {
		d := play(t, o, path, func(rc *replay.Case) http.Handler {
			return &guarded{flags: rc.FlagClient(), client: rc.HTTPClient(), fixed: 200}
		})
		require.Len(t, d.errors, 1)
		require.Regexp(t, `may depend on what is hidden or missing:\n\t\tof the answer to GET http://\S+: body\n\t\tthe result of observe\.Value\("stock"\), the first\n\t\tthe value of flag "notice"\n\tTo make it conclusive, run`, d.errors[0])
		require.NotContains(t, d.said(), "not asked for")
	}
}

// Without an Observer around it a handler has the id of then.
func TestRequestIDIsThatOfThen(t *testing.T) {
	t.Parallel()
	p := newProduction(t, capture.Redaction{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "order")
	path := p.capture(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), r)
	obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, obs.Close()) })
	for _, wrap := range []func(http.Handler) http.Handler{obs.Handler, func(h http.Handler) http.Handler { return h }} {
		replay.Run(t, path, func(*replay.Case) http.Handler {
			return wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if id := observe.RequestID(r.Context()); id != "order" {
					t.Errorf("the id is %q", id)
				}
			}))
		})
	}
}
