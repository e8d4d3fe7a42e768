package downtime_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

func at(hour, minute int) time.Time { return time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC) }

func TestBeginCompleteExtend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc := windows(window("w", 2*time.Hour, time.Hour, ", announce: 1h"), window("other", 2*time.Hour, time.Hour, ", scope: {work: [x]}"))
		src := newSource(doc)
		g := open(t, src, nil)
		h := g.Handler(ok)
		heard := listen(t, g)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		later(90 * time.Minute)

		rep, err := g.Begin("w")
		require.NoError(t, err)
		require.Equal(t, at(1, 30), rep.Start.UTC())
		require.Equal(t, at(3, 0), rep.End.UTC(), "users were told so")
		require.True(t, rep.Local)
		require.True(t, rep.Quiet)
		require.Equal(t, "w: quiet (by times of this process only)", rep.String())
		require.Equal(t, 503, get(h, "GET", "/").Code)
		require.Equal(t, "w in progress", states(g))
		require.Contains(t, get(operators(t, g, status.Options{}), "GET", "/status.json").Body.String(), `"local": true`)
		rep, err = g.Report("other")
		require.NoError(t, err)
		require.False(t, rep.Local)
		_, err = g.Begin("w")
		require.ErrorIs(t, err, downtime.ErrBegun)

		_, err = g.Extend("w", at(1, 30))
		require.ErrorContains(t, err, "which is past")
		_, err = g.Extend("w", at(1, 0).AddDate(2, 0, 0))
		require.ErrorContains(t, err, "more than 366 days")
		rep, err = g.Extend("w", at(4, 0))
		require.NoError(t, err)
		require.Equal(t, at(4, 0), rep.End.UTC())
		require.True(t, rep.Quiet, "it is as quiet as before")

		src.set(doc+"# another revision\n", nil) // a reload keeps what was said
		later(100 * time.Minute)
		require.Equal(t, 503, get(h, "GET", "/").Code, "the document's end has passed")
		require.Equal(t, "w in progress", states(g))

		rep, err = g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseCompleted, rep.Phase)
		require.True(t, rep.Local)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		for _, command := range []func(string) (downtime.Report, error){g.Begin, g.Complete, func(id string) (downtime.Report, error) { return g.Extend(id, at(9, 0)) }} {
			_, err = command("w")
			require.ErrorIs(t, err, downtime.ErrEnded)
			_, err = command("unheard-of")
			require.ErrorIs(t, err, downtime.ErrUnknownWindow)
			_, err = command("")
			require.ErrorIs(t, err, downtime.ErrUnknownWindow)
		}
		var of []string
		for _, line := range heard() {
			if _, line, _ := cut(line); line[0] == 'w' {
				of = append(of, line)
			}
		}
		require.Equal(t, []string{
			"w: planned -> announced",
			"w: begins in 1h0m0s",
			"w: announced -> in progress, quiet after 0s (by times of this process only)",
			"w: in progress -> completed (by times of this process only)",
		}, of)
	})
}

func states(g *downtime.Guard) string {
	text := ""
	for _, w := range g.State().Windows {
		text += fmt.Sprintf("; %s %v", w.Window.ID, w.Phase)
	}
	return text[min(len(text), 2):]
}

func TestCommandsOutOfTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("far", 25*time.Hour, time.Hour, ""), window("shown", 50*time.Hour, time.Hour, ", announce: 3d, scope: {work: [x]}"))), nil)
		_, err := g.Begin("far")
		require.ErrorIs(t, err, downtime.ErrTooEarly)
		_, err = g.Complete("far")
		require.ErrorIs(t, err, downtime.ErrNotBegun)
		_, err = g.Extend("far", at(0, 0).Add(25*time.Hour))
		require.ErrorContains(t, err, "before its start")
		rep, err := g.Extend("far", at(0, 0).Add(28*time.Hour))
		require.NoError(t, err)
		require.Equal(t, at(0, 0).Add(28*time.Hour), rep.End.UTC())
		rep, err = g.Begin("shown")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseInProgress, rep.Phase)
		later(27 * time.Hour)
		rep, err = g.Report("far")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseInProgress, rep.Phase)
		require.NoError(t, g.Close())
		_, err = g.Complete("far")
		require.ErrorIs(t, err, downtime.ErrClosed)
	})
}

// What the document says later wins, each part for itself.
func TestTheDocumentWinsOverCommands(t *testing.T) {
	t.Parallel()
	line := "  - {id: w, start: 2000-01-01T02:00:00Z, duration: 1h%s}\n"
	actual := func(what string) string { return windows(fmt.Sprintf(line, ", actual: {"+what+"}")) }
	begin := func(t *testing.T) (*source, *downtime.Guard) {
		src := newSource(windows(fmt.Sprintf(line, "")))
		g := open(t, src, nil)
		later(time.Hour)
		_, err := g.Begin("w")
		require.NoError(t, err)
		_, err = g.Extend("w", at(5, 0))
		require.NoError(t, err)
		return src, g
	}
	synctest.Test(t, func(t *testing.T) { // another end: the begin stands
		src, g := begin(t)
		src.set(actual("until: 2000-01-01T04:00:00Z"), nil)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, []time.Time{at(1, 0), at(4, 0)}, []time.Time{rep.Start.UTC(), rep.End.UTC()})
		require.True(t, rep.Local)
	})
	synctest.Test(t, func(t *testing.T) { // another start: the extension stands
		src, g := begin(t)
		src.set(actual("begin: 2000-01-01T00:59:00Z"), nil)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, []time.Time{at(0, 59), at(5, 0)}, []time.Time{rep.Start.UTC(), rep.End.UTC()})
		require.True(t, rep.Quiet)
	})
	synctest.Test(t, func(t *testing.T) { // both
		src, g := begin(t)
		src.set(actual("begin: 2000-01-01T00:59:00Z, end: 2000-01-01T01:00:01Z"), nil)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseCompleted, rep.Phase)
		require.False(t, rep.Local)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
	})
	synctest.Test(t, func(t *testing.T) { // completed here, and then extended for all
		src, g := begin(t)
		_, err := g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
		src.set(actual("begin: 2000-01-01T00:59:00Z, until: 2000-01-01T04:00:00Z"), nil)
		require.Equal(t, 503, get(g.Handler(ok), "GET", "/").Code)
	})
	synctest.Test(t, func(t *testing.T) { // begun here, and gone from the document
		src, g := begin(t)
		src.set(windows(), nil)
		require.Equal(t, 503, get(g.Handler(ok), "GET", "/").Code)
		later(3 * time.Hour)
		require.Equal(t, 503, get(g.Handler(ok), "GET", "/").Code, "past the end that the document said")
		_, err := g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
		_, err = g.Report("w")
		require.ErrorIs(t, err, downtime.ErrUnknownWindow)
	})
	synctest.Test(t, func(t *testing.T) { // the same, on purpose
		src, g := begin(t)
		src.set(windows()+"allowShrink: true\n", nil)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
	})
}

// Of a window that repeats, one occurrence is begun and the next takes place as planned.
func TestCommandsOnAWindowThatRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(`  - {id: daily, start: "2000-01-01T02:00:00Z", duration: 1h, repeat: FREQ=DAILY, announce: 30h}`+"\n")), nil)
		heard := listen(t, g)
		later(time.Hour)
		_, err := g.Begin("daily")
		require.NoError(t, err)
		later(time.Minute)
		rep, err := g.Complete("daily")
		require.NoError(t, err)
		require.Equal(t, at(1, 1), rep.End.UTC())
		later(time.Minute)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
		later(time.Hour)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code, "though planned")
		later(24 * time.Hour)
		require.Equal(t, 503, get(g.Handler(ok), "GET", "/").Code)
		rep, err = g.Report("daily")
		require.NoError(t, err)
		require.False(t, rep.Local)
		var got []string
		for _, line := range heard() {
			if at, line, _ := cut(line); line[len(line)-1] != 's' || line[len("daily: "):][0] != 'b' {
				got = append(got, at+" "+line)
			}
		}
		require.Equal(t, []string{
			"0s daily: announced",
			"1h0m0s daily: announced -> in progress, quiet after 0s (by times of this process only)",
			"1h1m0s daily: in progress -> completed (by times of this process only)",
			"2h0m0s daily: planned -> announced", // the report is about the next occurrence once the planned start has passed
			"26h0m0s daily: announced -> in progress, quiet after 0s",
			"26h0m0s daily: planned -> announced",
		}, got)
	})
}
