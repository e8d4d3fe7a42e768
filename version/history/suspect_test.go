package history_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// An evening is a store to which changes are added at times of one day.
type evening struct {
	t     *testing.T
	store ledger
}

// add needs entries in the order of time.
func (e *evening) add(at string, entry history.Entry) {
	entry.ID, entry.Time = fmt.Sprint("e", len(e.store)), clock(at)
	entry = entry.Receive(entry.Time)
	entry.Seq = int64(len(e.store) + 1)
	e.store = append(e.store, entry)
}

func (e *evening) note(at string, event history.Event) {
	e.add(at, history.Entry{Kind: history.KindNoted, Event: &event})
}

func (e *evening) deploy(at, service, instance string, info version.Info) {
	e.add(at, history.Entry{Kind: history.KindStarted, Run: fmt.Sprint(service, instance, at), Every: 24 * time.Hour, Service: service, Environment: "production", Instance: instance, Version: info.Version, Info: &info})
}

func (e *evening) suspects(f history.Failure, opts *history.SuspectOptions) []history.Suspect {
	e.t.Helper()
	list, err := history.Suspects(e.t.Context(), e.store, f, opts)
	require.NoError(e.t, err)
	sum := 0.0
	for n, s := range list {
		require.False(e.t, math.IsNaN(s.Score))
		require.NotEmpty(e.t, s.Evidence)
		require.Equal(e.t, -1, strings.IndexFunc(s.Evidence, func(r rune) bool { return !unicode.IsPrint(r) }))
		if sum += s.Score; n > 0 {
			require.LessOrEqual(e.t, s.Score, list[n-1].Score)
		}
	}
	if len(list) > 0 {
		require.InDelta(e.t, 1, sum, 1e-6)
	}
	return list
}

// TestSuspectsFlag: a flag that was edited shortly before the failure looks guilty if it is
// compared with good requests from before the edit. Its share shows that it is innocent.
func TestSuspectsFlag(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	e.note("11:40", history.Event{Kind: "flag", Subject: "express", From: "off", To: "on", Actor: "ada", Service: "shop", Share: 0.05})
	e.note("11:58", history.Event{Kind: "flag", Subject: "banner", From: "off", To: "on", Service: "shop", Share: 0.5})
	e.note("11:59", history.Event{Kind: "failure", Subject: "POST /orders"})
	e.note("12:01", history.Event{Kind: "flag", Subject: "later"})
	list := e.suspects(history.Failure{
		Time: clock("12:00"), Service: "shop",
		Variants: map[string]history.Counts{
			"express=on": {Failed: 38, Good: 400}, "express=off": {Failed: 2, Good: 9600},
			"banner=on": {Failed: 21, Good: 300}, "banner=off": {Failed: 19, Good: 9700},
		},
	}, nil)
	require.Len(t, list, 2, "neither a failure nor a later change is a cause")
	require.Equal(t, "express", list[0].Event.Subject)
	require.Greater(t, list[0].Score, 0.9)
	require.Equal(t, "flag express (shop): off → on for 5 % of the users, by ada, 20 min before the failure; in the service that failed; 95 % of 40 failed requests had express on, the change reached 5 %", list[0].Evidence)
	require.Contains(t, list[1].Evidence, "52.5 % of 40 failed requests had banner on, the change reached 50 %")
	require.Contains(t, list[0].String(), "%  flag express (shop)")
}

// TestSuspectsWithoutShare: good requests can exonerate a change, but hardly accuse it.
func TestSuspectsWithoutShare(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	for _, flag := range []string{"often", "rarely"} {
		e.note("11:40", history.Event{Kind: "flag", Subject: flag, To: "on", Service: "shop"})
	}
	list := e.suspects(history.Failure{Time: clock("12:00"), Service: "shop", Variants: map[string]history.Counts{
		"often:on": {Failed: 38, Good: 400}, "often:off": {Failed: 2, Good: 9600},
		"rarely/on": {Failed: 2, Good: 400}, "rarely/off": {Failed: 38, Good: 9600},
	}}, nil)
	require.Equal(t, "often", list[0].Event.Subject)
	require.Contains(t, list[0].Evidence, "95 % of 40 failed requests had often on, as 4 % of the good ones")
}

// TestSuspectsPercent: without a share, a percentage in the text of the edit counts.
func TestSuspectsPercent(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{"5 %": "5 %", "on for 12.5% of beta": "12.5 %", "0 %": "", "v5%x": "", "250 %": "", "-5 %": ""} {
		e := &evening{t: t}
		e.note("11:40", history.Event{ID: "edit", Kind: "flag", Subject: "a", To: to, Service: "shop"})
		list := e.suspects(history.Failure{Time: clock("12:00"), Service: "shop", Variants: map[string]history.Counts{"a=on": {Failed: 40}, "a=off": {Failed: 1}}}, nil)
		require.Equal(t, "e0", list[0].Event.ID)
		if want == "" {
			require.NotContains(t, list[0].Evidence, "reached", to)
		} else {
			require.Contains(t, list[0].Evidence, "the change reached "+want, to)
		}
	}
}

// TestSuspectsBuild: a canary is accused by the requests of its instances. A later build contains
// the change of an earlier one.
func TestSuspectsBuild(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	for _, i := range []string{"a", "b", "c"} {
		e.deploy("08:00", "shop", i, build("v1.0.0"))
	}
	e.deploy("11:50", "shop", "a", build("v1.1.0"))
	f := history.Failure{Time: clock("12:00"), Service: "shop", Build: "1.1.0", Builds: map[string]history.Counts{"v1.1.0": {Failed: 30, Good: 100}, "v1.0.0": {Failed: 1, Good: 5000}}}
	list := e.suspects(f, nil)
	require.Equal(t, "v1.1.0", list[0].Change.To.Version)
	require.Contains(t, list[0].Evidence, "10 min before the failure; in the service that failed; 1.1.0 is the build that failed; 96.8 % of 31 failed requests had v1.1.0, the change reached 33.3 %")

	for _, i := range []string{"a", "b", "c"} {
		e.deploy("11:55", "shop", i, build("v1.2.0"))
	}
	f.Build, f.Builds = "v1.2.0", map[string]history.Counts{"v1.2.0": {Failed: 30, Good: 100}, "v1.0.0": {Good: 5000}}
	list = e.suspects(f, nil)
	require.Contains(t, list[0].Evidence, "100 % of 30 failed requests had v1.2.0, the change reached 100 %")
	require.Contains(t, list[1].Evidence, "the build that failed, v1.2.0, came later; 100 % of 30 failed requests had v1.1.0 or later, the change reached 100 %")

	// The old build fails, too.
	f.Build, f.Builds = "v1.0.0", map[string]history.Counts{"v1.2.0": {Failed: 3, Good: 3000}, "v1.0.0": {Failed: 30, Good: 100}}
	e.note("11:56", history.Event{Kind: "migration", Subject: "orders", Service: "shop"})
	list = e.suspects(f, nil)
	require.Equal(t, "migration", list[0].Event.Kind)
}

// TestSuspectsNoted has deployments that were only noted.
func TestSuspectsNoted(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	e.note("11:30", history.Event{Kind: "deployment", Service: "shop", From: "v1.0.0", To: "v1.1.0"})
	e.note("11:50", history.Event{Kind: "deployment", Service: "shop", From: "v1.1.0", To: "v1.2.0", Share: 0.1})
	e.note("11:58", history.Event{Kind: "deployment", Service: "till", From: "v1.0.0", To: "v1.1.0"})
	list := e.suspects(history.Failure{Time: clock("12:00"), Service: "shop", Builds: map[string]history.Counts{"v1.2.0": {Failed: 5, Good: 500}, "v1.1.0": {Failed: 45, Good: 4500}, "v1.0.0": {Good: 9000}}}, nil)
	require.Equal(t, "v1.1.0", list[0].Event.To)
	require.Equal(t, "shop", list[0].Event.Service)
	require.Contains(t, list[0].Evidence, "100 % of 50 failed requests had v1.1.0 or later")
}

// TestSuspectsStack: a changed module accuses a deployment if the stack has one of its packages.
func TestSuspectsStack(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	with := func(name, release, pay, payment string) version.Info {
		i := buildOf(name, release)
		i.Deps = []version.Module{{Path: "example.com/pay", Version: pay}, {Path: "example.com/payment", Version: payment}}
		return i
	}
	e.deploy("08:00", "shop", "a", with("shop", "v1.0.0", "v1.0.0", "v1.0.0"))
	e.deploy("11:00", "shop", "a", with("shop", "v1.1.0", "v1.1.0", "v1.0.0"))
	e.deploy("11:40", "shop", "a", with("shop", "v1.2.0", "v1.1.0", "v1.1.0"))
	f := history.Failure{Time: clock("12:00"), Service: "shop"}
	require.Equal(t, "v1.2.0", e.suspects(f, nil)[0].Change.To.Version)
	f.Stack = "goroutine 1 [running]:\nmy.example.com/payment.X()\nexample.com/pay/client.Charge(0x1)\n\t/src/client.go:7"
	list := e.suspects(f, nil)
	require.Equal(t, "v1.1.0", list[0].Change.To.Version)
	require.Contains(t, list[0].Evidence, "example.com/pay has changed and is in the stack trace")
	require.NotContains(t, list[1].Evidence, "stack trace")

	// The name of a service is in each of its stack traces.
	e.note("11:50", history.Event{Kind: "deploy", Subject: "client", Service: "shop"})
	e.note("11:51", history.Event{Kind: "module", Subject: "example.com/pay", Service: "shop"})
	list = e.suspects(f, nil)
	require.Equal(t, "module", list[0].Event.Kind)
	for _, s := range list[1:] {
		require.NotEqual(t, "client is in the stack trace", s.Evidence[strings.LastIndex(s.Evidence, "; ")+2:])
	}
}

// TestSuspectsPlaces ranks by service, region and environment.
func TestSuspectsPlaces(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	for n, service := range []string{"cellar", "till", "catalog", "shop", "front", "mail", ""} {
		e.note(fmt.Sprintf("11:5%d", n), history.Event{Kind: "config", Subject: "of " + service, Service: service})
	}
	opts := &history.SuspectOptions{Callers: map[string][]string{"shop": {"front"}, "catalog": {"shop"}, "till": {"catalog"}, "cellar": {"till"}, "mail": {"front"}}}
	evidence := ""
	for _, s := range e.suspects(history.Failure{Time: clock("12:00"), Service: "shop"}, opts) {
		evidence += s.Evidence + "\n"
	}
	for _, want := range []string{"in the service that failed", "; shop calls catalog\n", "shop calls till through other services", "front calls shop", "shop does not call mail"} {
		require.Contains(t, evidence, want)
	}
	require.Equal(t, "shop", e.suspects(history.Failure{Time: clock("12:00"), Service: "shop"}, opts)[0].Event.Service)

	e = &evening{t: t}
	for at, release := range []string{"v1.0.0", "v1.1.0"} {
		for _, region := range []string{"eu", "us"} {
			info := build(release)
			e.add([]string{"08:00", "11:50"}[at], history.Entry{Kind: history.KindStarted, Run: region + release, Service: "shop", Region: region, Environment: "production", Instance: region, Version: release, Info: &info})
		}
	}
	list := e.suspects(history.Failure{Time: clock("12:00"), Service: "shop", Regions: map[string]history.Counts{"eu": {Failed: 2, Good: 5000}, "us": {Failed: 38, Good: 5000}}}, nil)
	require.Equal(t, "us", list[0].Change.Region)
	require.Contains(t, list[0].Evidence, "95 % of 40 failed requests were in us, as 50 % of the good ones")

	e = &evening{t: t}
	for n, at := range []string{"08:00", "11:50"} {
		for _, env := range []string{"production", "staging"} {
			release := fmt.Sprint(env[:1], "-", n+1)
			e.add(at, history.Entry{Kind: history.KindStarted, Run: env + release, Service: "shop", Environment: env, Instance: env, Version: release})
		}
	}
	list = e.suspects(history.Failure{Time: clock("12:00"), Service: "shop", Build: "p-2"}, nil)
	require.Equal(t, "production", list[0].Change.Environment)
	require.Contains(t, list[len(list)-1].Evidence, "the build that failed does not run in staging")
}

func TestSuspectsErrors(t *testing.T) {
	t.Parallel()
	_, err := history.Suspects(t.Context(), &memory{}, history.Failure{}, nil)
	require.EqualError(t, err, "history: the failure has no time")
	list, err := history.Suspects(t.Context(), &memory{}, history.Failure{Time: time.Now()}, nil)
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = history.Suspects(t.Context(), &memory{fault: history.ErrSchema}, history.Failure{Time: time.Now()}, nil)
	require.ErrorIs(t, err, history.ErrSchema)
}

func TestIncident(t *testing.T) {
	t.Parallel()
	e := &evening{t: t}
	e.note("11:40", history.Event{Kind: "flag", Subject: "express|<b>", To: "on", Service: "shop", URL: "https://flags.example/(x)"})
	f := history.Failure{Time: clock("12:00"), Service: "shop", Build: "v1.0.0\x1b", Route: "POST /orders"}
	changes, err := history.Timeline(t.Context(), e.store, clock("11:00"), clock("12:00"))
	require.NoError(t, err)
	i := &history.Incident{Failure: f, Suspects: e.suspects(f, nil), Changes: changes}
	require.Equal(t, `POST /orders of shop v1.0.0� failed at 2026-01-05 12:00:00Z

suspects:
100 %  flag express|<b> (shop): on, 20 min before the failure; in the service that failed

timeline:
2026-01-05 11:40:00Z  flag express|<b> (shop): on`, i.String())
	require.Equal(t, `# POST /orders of shop v1.0.0� failed at 2026-01-05 12:00:00Z

## Suspects

| Score | Change | Evidence |
| ---: | --- | --- |
| 100 % | [flag express\|&lt;b&gt; (shop): on, 20 min before the failure](https://flags.example/%28x%29) | in the service that failed |

## Timeline

| Time (UTC) | What | Change |
| --- | --- | --- |
| 2026-01-05 11:40:00 | [flag express\|&lt;b&gt; (shop)](https://flags.example/%28x%29) | on |
`, i.Markdown())
	data, err := json.Marshal(i)
	require.NoError(t, err)
	require.Contains(t, string(data), `"suspects":[{"event":{`)
	require.NotContains(t, string(data), `"change"`+`:{"service":""`)
	empty := &history.Incident{Failure: history.Failure{Time: clock("12:00")}}
	require.Equal(t, "unknown failed at 2026-01-05 12:00:00Z\n\nsuspects:\nnothing has changed", empty.String())
	require.Contains(t, empty.Markdown(), "nothing has changed")
}

// FuzzSuspects ranks any history for any failure.
func FuzzSuspects(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add([]byte(s), []byte(`{"time":"2026-01-01T01:00:00Z","service":"shop","build":"v1.0.0","stack":"example.com/lib.X()","variants":{"a=on":{"failed":1,"good":2}},"builds":{"v1.0.0":{"failed":1},"v2.0.0":{"good":1}},"regions":{"":{"failed":-1}}}`), "shop", "till")
	}
	f.Fuzz(func(t *testing.T, lines, failure []byte, a, b string) {
		m := &memory{}
		_ = send(newCollector(t, m, nil), "ci", string(lines))
		var ranked history.Failure
		if json.Unmarshal(failure, &ranked) != nil {
			return
		}
		if ranked.Time.IsZero() {
			ranked.Time = time.Now().Add(time.Second)
		}
		e := &evening{t: t, store: m.all()}
		list := e.suspects(ranked, &history.SuspectOptions{Callers: map[string][]string{a: {b}, b: {ranked.Service, a}}})
		i := &history.Incident{Failure: ranked, Suspects: list}
		require.NotEmpty(t, i.String())
		for row := range strings.Lines(i.Markdown()) {
			require.Contains(t, "#|\n", row[:1])
		}
	})
}

// BenchmarkSuspects ranks the changes of a day with 10,000 entries.
func BenchmarkSuspects(b *testing.B) {
	s, _ := fileIn(b, nil)
	direct := &memory{}
	releases := make([]version.Info, 100)
	for n := range releases {
		releases[n] = big(fmt.Sprintf("v1.%d.0", n))
	}
	for n := range 10_000 {
		if n%4 == 0 {
			require.NoError(b, history.Note(b.Context(), direct, history.Event{Kind: "flag", Subject: fmt.Sprint("flag-", n), To: "on", Service: fmt.Sprint("shop-", n%7), Share: 0.5}))
			continue
		}
		require.NoError(b, history.Record(b.Context(), direct, releases[n/100], production(fmt.Sprint("pod-", n%7))))
	}
	require.NoError(b, s.Append(b.Context(), direct.entries...))
	f := history.Failure{Time: time.Now(), Service: "shop", Build: "v1.99.0", Route: "POST /orders", Stack: strings.Repeat("example.com/module/number0001.Call(...)\n", 500), Variants: map[string]history.Counts{}}
	for n := range 300 {
		f.Variants[fmt.Sprint("flag-", 4*n, "=on")] = history.Counts{Failed: n, Good: 100}
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := history.Suspects(b.Context(), s, f, nil)
		require.NoError(b, err)
	}
}
