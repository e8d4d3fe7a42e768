package compat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
)

func TestStages(t *testing.T) {
	t.Parallel()
	rule := compat.Rule{
		Minimum: "v1.4.0", Block: []string{"v1.4.3"}, Reason: "orders lose their currency", Link: "https://example.com/upgrade",
		Deprecation: time.Date(2023, 6, 30, 23, 59, 59, 0, time.UTC), // the example of RFC 9745
		Sunset:      time.Date(2024, 7, 1, 1, 59, 59, 0, time.FixedZone("", 2*60*60)),
	}

	p := policy(t, rule) // no stage is StageObserve
	w := ask(p, "shop/v1.3.0")
	require.Equal(t, "served", w.Body.String())
	require.Equal(t, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, w.Header())
	require.Equal(t, 1.0, p.Stats()["observed"])

	rule.Stage = compat.StageWarn
	p = policy(t, rule)
	w = ask(p, "shop/v1.3.0")
	require.Equal(t, "served", w.Body.String())
	require.Equal(t, http.Header{
		"Content-Type":     {"text/plain; charset=utf-8"},
		"Deprecation":      {"@1688169599"},
		"Sunset":           {"Sun, 30 Jun 2024 23:59:59 GMT"},
		"Link":             {`<https://example.com/upgrade>; rel="deprecation sunset"`},
		"Version-Required": {">=1.4.0, not v1.4.3"},
		"Vary":             {"User-Agent"},
	}, w.Header())
	require.Equal(t, 1.0, p.Stats()["warned"])
	require.NotContains(t, ask(p, "shop/v1.4.0").Header(), "Deprecation")

	rule.Stage = compat.StageEnforce
	p = policy(t, rule)
	w = ask(p, "shop/v1.4.3")
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, http.Header{
		"Content-Type":           {"application/problem+json"},
		"Content-Length":         {fmt.Sprint(w.Body.Len())},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
		"Link":                   {`<https://example.com/upgrade>; rel="help"`},
		"Version-Required":       {">=1.4.0, not v1.4.3"},
		"Vary":                   {"User-Agent"},
	}, w.Header())
	var problem map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
	require.Equal(t, map[string]any{
		"type": "about:blank", "title": "Bad Request", "status": 400.0,
		"detail": "shop v1.4.3 is blocked; needed is >=1.4.0, not v1.4.3: orders lose their currency",
		"peer":   "shop", "version": "v1.4.3", "required": ">=1.4.0, not v1.4.3", "link": "https://example.com/upgrade",
	}, problem)
	require.Equal(t, 1.0, p.Stats()["refused"])
	require.Contains(t, w.Body.String(), ">=1.4.0", "readable, not \\u003e")
	require.Equal(t, "served", ask(p, "shop/v1.4.4").Body.String())
	require.Equal(t, map[string]float64{"fit": 1, "unknown": 0, "missing": 0, "observed": 0, "warned": 0, "refused": 1, "judged": 2, "unlogged": 0}, p.Stats())
}

func TestWarnWithoutDates(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{"": "", "/upgrade": `</upgrade>; rel="help"`} {
		w := ask(policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageWarn, Link: link}), "shop/v1.3.0")
		require.Equal(t, want, w.Header().Get("Link"))
		require.Equal(t, ">=1.4.0", w.Header().Get(compat.RequiredHeader))
		require.NotContains(t, w.Header(), "Deprecation")
		require.NotContains(t, w.Header(), "Sunset")
	}
	w := ask(policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageWarn, Sunset: time.Unix(0, 0), Link: "/upgrade"}), "shop/v1.3.0")
	require.Equal(t, `</upgrade>; rel="sunset"`, w.Header().Get("Link"))
	require.Equal(t, "Thu, 01 Jan 1970 00:00:00 GMT", w.Header().Get("Sunset"))
}

// TestWarningKeepsOtherHeaders: Vary and Link are lists that others write too.
func TestWarningKeepsOtherHeaders(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageWarn, Link: "/upgrade"})
	h := compat.Require(p)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Vary"][1] = "changed by the handler"
		w.Header()[compat.RequiredHeader][0] = "changed by the handler"
	}))
	for range 2 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", "shop/v1.3.0")
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Accept")
		w.Header().Set("Link", "</style.css>; rel=preload")
		h.ServeHTTP(w, r)
		require.Equal(t, []string{"Accept", "changed by the handler"}, w.Header()["Vary"])
		require.Equal(t, []string{"</style.css>; rel=preload", `</upgrade>; rel="help"`}, w.Header()["Link"])
	}
	require.Equal(t, ">=1.4.0", ask(p, "shop/v1.3.0").Header().Get(compat.RequiredHeader), "what a handler changes is its own")
}

func TestTheHighestStageCounts(t *testing.T) {
	t.Parallel()
	p := policy(t,
		compat.Rule{Minimum: "v1.6.0", Stage: compat.StageWarn, Reason: "first"},
		compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce, Reason: "second"},
		compat.Rule{Minimum: "v1.5.0", Stage: compat.StageEnforce, Reason: "third"},
		compat.Rule{Require: "<3", Stage: compat.StageObserve},
	)
	for version, want := range map[string]string{
		"v1.3.0": "compat: shop v1.3.0 does not satisfy >=1.4.0: second",
		"v1.4.0": "compat: shop v1.4.0 does not satisfy >=1.5.0: third",
		"v1.5.0": "compat: shop v1.5.0 does not satisfy >=1.6.0: first",
		"v3.0.0": "compat: shop v3.0.0 does not satisfy <3",
	} {
		require.EqualError(t, p.CheckClient("shop/"+version), want)
	}
	require.NoError(t, p.CheckClient("shop/v1.6.0"))
	require.Zero(t, p.Stats()["judged"], "checks are not counted")
}

func TestPeers(t *testing.T) {
	t.Parallel()
	p, err := compat.New(compat.Rules{
		Default: []compat.Rule{{Minimum: "v2.0.0", Stage: compat.StageEnforce}},
		Peers: map[string][]compat.Rule{
			"shop": {{Minimum: "v1.4.0", Stage: compat.StageEnforce}},
			"ops":  {},
		},
	}, &compat.Options{Logger: quiet})
	require.NoError(t, err)
	for agent, code := range map[string]int{
		"shop/v1.4.0":                   200,
		"shop/v1.3.0":                   400,
		"Shop/v1.4.0":                   400, // upper and lower case differ
		"ops/v0.1.0":                    200,
		"ops":                           200,
		"other/v1.9.0":                  400,
		"other/v2.0.0":                  200,
		"okhttp/1.0.0 shop/v1.4.0":      200,
		"(shop/v1.4.0) other/v1.0.0":    400,
		"Go-http-client/1.1":            200, // not a version
		"Mozilla/5.0 (X11) Firefox/1.0": 200,
	} {
		require.Equal(t, code, ask(p, agent).Code, agent)
	}
}

func TestMissingPassesUnlessStrict(t *testing.T) {
	t.Parallel()
	lenient := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce})
	strict := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce, Strict: true})
	onlyStrict := policy(t, compat.Rule{Strict: true, Stage: compat.StageEnforce})
	warning := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce}, compat.Rule{Strict: true, Stage: compat.StageWarn})
	for _, c := range []struct {
		agents []string
		stat   string
		why    string
	}{
		{nil, "missing", "the peer has no version"},
		{[]string{}, "missing", "the peer has no version"},
		{[]string{""}, "missing", "the peer has no version"},
		{[]string{"", "shop/v1.4.0"}, "missing", "the peer has no version"}, // the first line counts
		{[]string{"shop"}, "missing", "shop has no version"},
		{[]string{"\x00"}, "unknown", "the peer sends no readable name or version"},
		{[]string{strings.Repeat("x", compat.MaxHeader+1)}, "unknown", "the peer sends a longer header than is read"},
		{[]string{"shop/devel"}, "unknown", "shop devel is a development build without a version"},
	} {
		before := lenient.Stats()[c.stat]
		require.Equal(t, 200, ask(lenient, c.agents...).Code)
		require.Equal(t, before+1, lenient.Stats()[c.stat], "%q", c.agents)
		for _, p := range []*compat.Policy{strict, onlyStrict} {
			w := ask(p, c.agents...)
			require.Equal(t, 400, w.Code)
			require.Contains(t, w.Body.String(), `"detail":"`+c.why)
		}
		w := ask(warning, c.agents...)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "a version that can be compared", w.Header().Get(compat.RequiredHeader))
	}
	require.Equal(t, 200, ask(onlyStrict, "shop/v0.1.0").Code)
	require.Equal(t, 400, ask(warning, "shop/v0.1.0").Code)

	// Nothing is asked of those that no rule names.
	p, err := compat.New(compat.Rules{Peers: map[string][]compat.Rule{"shop": {{Strict: true, Stage: compat.StageEnforce}}}}, nil)
	require.NoError(t, err)
	require.Equal(t, 200, ask(p).Code)
	require.Equal(t, 200, ask(p, "curl/8").Code)
	require.Equal(t, 1.0, p.Stats()["missing"])
	require.Equal(t, 1.0, p.Stats()["fit"])
}

func TestHeaderOfOnesOwn(t *testing.T) {
	t.Parallel()
	p, err := compat.New(compat.Rules{Header: "x-client-version", Default: []compat.Rule{{Minimum: "v1.4.0", Stage: compat.StageEnforce}}}, &compat.Options{Logger: quiet})
	require.NoError(t, err)
	for value, code := range map[string]int{"v1.3.0": 400, "v1.4.0": 200, "shop/v1.3.0": 400, "shop": 200} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", "shop/v0.0.1")
		r.Header.Set("X-Client-Version", value)
		w := httptest.NewRecorder()
		compat.Require(p)(http.NotFoundHandler()).ServeHTTP(w, r)
		if code == 200 {
			require.Equal(t, 404, w.Code, value)
			continue
		}
		require.Equal(t, code, w.Code, value)
		require.Equal(t, "X-Client-Version", w.Header().Get("Vary"))
	}
}

// TestOverARealConnection has both sides send what package version sends.
func TestOverARealConnection(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce})
	server := httptest.NewServer(compat.Require(p)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()
	for v, code := range map[string]int{"v1.4.0": 200, "v1.3.0": 400, "(devel)": 200} {
		client := &http.Client{Transport: version.Transport(version.Info{Name: "shop", Version: v}, server.Client().Transport)}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL, strings.NewReader("body"))
			require.NoError(t, err)
			response, err := client.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, code, response.StatusCode)
		}
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce})
	require.Equal(t, 200, ask(p, "shop/v1.4.3").Code)
	require.Error(t, p.SetRules(compat.Rules{}))
	require.Equal(t, 200, ask(p, "shop/v1.4.3").Code)
	require.NoError(t, p.SetRules(compat.Rules{Default: []compat.Rule{{Block: []string{"v1.4.3"}, Stage: compat.StageEnforce}}}))
	require.Equal(t, 400, ask(p, "shop/v1.4.3").Code, "what was judged before counts no more")
	require.Equal(t, 200, ask(p, "shop/v1.3.0").Code)
	require.Equal(t, 3.0, p.Stats()["fit"])
}

// TestTheTableCannotBeFilled sends many more versions than there are places.
func TestTheTableCannotBeFilled(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce})
	h := compat.Require(p)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var group sync.WaitGroup
	const clients, each = 4, 5000
	for c := range clients {
		group.Go(func() {
			for i := range each {
				for agent, code := range map[string]int{fmt.Sprintf("evil/v1.%d.%d", i, c): 200, "shop/v1.3.0": 400, "shop/v1.4.0": 200} {
					if strings.HasPrefix(agent, "evil/") && i < 4 {
						code = 400
					}
					r := httptest.NewRequest(http.MethodGet, "/", nil)
					r.Header["User-Agent"] = []string{agent}
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if w.Code != code {
						t.Errorf("%s: %d", agent, w.Code)
					}
				}
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, p.Kept(), compat.Places)
	require.Greater(t, p.Kept(), compat.Places*9/10)

	// A peer that returns is cached again, however many others came in between.
	ask(p, "shop/v1.4.0")
	before := p.Stats()["judged"]
	ask(p, "shop/v1.4.0")
	require.Equal(t, before, p.Stats()["judged"])
	ask(p, strings.Repeat("x", 1<<20))
	require.Equal(t, before, p.Stats()["judged"], "what is too long is neither judged nor kept")
}

func TestLogOncePerVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		lines := func() []string {
			text := strings.TrimSuffix(log.String(), "\n")
			log.Reset()
			if text == "" {
				return nil
			}
			return strings.Split(text, "\n")
		}
		p, err := compat.New(compat.Rules{
			Default: []compat.Rule{{Minimum: "v1.4.0", Strict: true}},
			Peers:   map[string][]compat.Rule{"shop": {{Minimum: "v1.4.0", Stage: compat.StageWarn}}},
		}, &compat.Options{Logger: logger})
		require.NoError(t, err)
		for range 3 {
			ask(p, "shop/v1.3.0")
			ask(p, "shop/v1.3.0 (elsewhere)") // another header, the same version
			ask(p, "shop/v1.4.0")
			ask(p, "\x1b[31mevil")
			ask(p)
		}
		require.Equal(t, []string{
			`level=WARN msg="a client does not fit" peer=shop version=v1.3.0 stage=warn why="does not satisfy >=1.4.0" required=">=1.4.0"`,
			`level=INFO msg="a client does not fit" peer="" version="" stage=observe why="sends no readable name or version" required=">=1.4.0"`,
		}, lines(), "one without a readable version counts as one version, whatever it sends")

		for i := range compat.MaxTold {
			ask(p, fmt.Sprintf("evil/v0.0.%d", i))
		}
		require.Len(t, lines(), compat.MaxTold-2)
		require.Equal(t, 2.0, p.Stats()["unlogged"])
		ask(p, "shop/v1.2.0")
		time.Sleep(time.Hour - 1)
		ask(p, "shop/v1.2.0")
		require.Empty(t, lines())
		time.Sleep(time.Nanosecond)
		ask(p, "shop/v1.2.0")
		ask(p, "shop/v1.2.0")
		require.Len(t, lines(), 1, "it was not forgotten, only late")
		require.Equal(t, 4.0, p.Stats()["unlogged"])

		require.NoError(t, p.SetRules(compat.Rules{Default: []compat.Rule{{Minimum: "v1.4.0", Stage: compat.StageEnforce}}}))
		ask(p, "shop/v1.2.0")
		require.Len(t, lines(), 1, "another stage is news")
	})
}

// TestDefaultLogger is not parallel, because the default logger is one for all.
func TestDefaultLogger(t *testing.T) {
	var text bytes.Buffer
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(writer) // SetDefault has turned package log to itself
		log.SetFlags(flags)
	}()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	p, err := compat.New(compat.Rules{Default: []compat.Rule{{Minimum: "v1.4.0"}}}, nil)
	require.NoError(t, err)
	ask(p, "shop/v1.3.0")
	require.Contains(t, text.String(), "version=v1.3.0")
}

func TestRequireNil(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { compat.Require(nil) })
	require.Panics(t, func() { compat.Expect(nil) })
}

func TestRequireAllocatesNothing(t *testing.T) {
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce}, compat.Rule{Minimum: "v1.5.0"})
	h := compat.Require(p)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, agents := range [][]string{{"shop/v1.5.0"}, {"shop/v1.4.0"}, {"shop/devel"}, {"\xff"}, {strings.Repeat("x", 1000)}, nil} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["User-Agent"] = agents
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), "%q", agents)
	}
}
