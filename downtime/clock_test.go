package downtime_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// A clock that is set back does not undo a phase that was emitted, and does not repeat events.
func TestTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	doc := `  - {id: w, start: "2000-01-01T02:00:00Z", duration: 1h, announce: 1h30m, cutoff: 5m}` + "\n"
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(doc)), nil)
		heard := listen(t, g)
		code := func() int { return get(g.Handler(ok), "GET", "/").Code }
		back := func(by time.Duration) { downtime.Tick(g, time.Now().Add(-by)) }

		later(time.Hour)
		require.Equal(t, []string{"30m0s w: planned -> announced", "1h0m0s w: begins in 1h0m0s"}, heard())
		back(40 * time.Minute)
		require.Equal(t, "w announced", states(g))
		later(5 * time.Second)
		require.Empty(t, heard())

		later(time.Hour)
		require.Equal(t, 503, code())
		require.Len(t, heard(), 3)
		for _, by := range []time.Duration{time.Nanosecond, time.Second, time.Minute, 90 * time.Minute, 100 * time.Hour} {
			back(by)
			require.Equal(t, 503, code(), by)
			rep, err := g.Report("w")
			require.NoError(t, err)
			require.True(t, rep.Quiet)
			later(1100 * time.Millisecond)
			require.Equal(t, 503, code(), by)
		}
		require.Empty(t, heard())

		later(55 * time.Minute)
		require.Equal(t, 503, code())
		later(5 * time.Minute)
		require.Equal(t, 200, code())
		require.Equal(t, []string{"3h0m0s w: in progress -> completed"}, heard())
		later(-time.Since(at(3, 0).Add(10 * time.Second)))
		for _, by := range []time.Duration{time.Nanosecond, 15 * time.Second, time.Minute} { // a little: over is over
			back(by)
			require.Equal(t, 200, code(), by)
		}
		require.Empty(t, heard())
		back(10 * time.Minute) // more: the window is on by the clock, and others go by it
		later(time.Second)
		require.Equal(t, 200, code())
		var again []string
		for _, line := range heard() {
			_, line, _ = cut(line)
			again = append(again, line)
		}
		require.Equal(t, []string{"w: completed -> in progress, quiet after 0s", "w: in progress -> completed"}, again)
	})
	synctest.Test(t, func(t *testing.T) { // while it drains
		g := open(t, newSource(windows(doc)), nil)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.NoError(t, err)
		later(2*time.Hour + time.Second)
		downtime.Tick(g, at(1, 59))
		_, err = g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.ErrorIs(t, err, downtime.ErrWindow)
		leave()
		rep, err := g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
	synctest.Test(t, func(t *testing.T) { // a new document says when, whatever the clock did
		src := newSource(windows(doc))
		g := open(t, src, nil)
		later(2*time.Hour + time.Second)
		downtime.Tick(g, at(1, 59))
		src.set(windows(`  - {id: w, start: "2000-01-01T02:00:00Z", duration: 1h, actual: {begin: "2000-01-01T02:30:00Z"}}`+"\n"), nil)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
	})
}

// A machine that sleeps, or a clock that is set forward, leaves out what passed
// meanwhile.
func TestTheClockJumpsForward(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		to    time.Duration
		code  int
		heard []string
	}{
		{95 * time.Minute, 200, []string{"w: planned -> announced", "w: begins in 25m0s"}},
		{3 * time.Hour, 503, []string{"w: planned -> draining"}},
		{100 * time.Hour, 200, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := open(t, newSource(windows(window("w", 2*time.Hour, 2*time.Hour, ", announce: 1h30m, scope: {paths: [/w]}"))), nil)
			finish := make(chan struct{})
			go get(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-finish })), "GET", "/w")
			synctest.Wait()
			heard := listen(t, g)
			later(10*time.Minute + time.Second/2)
			began := time.Now().Add(-10*time.Minute - time.Second/2)
			downtime.Tick(g, began.Add(c.to))
			require.Equal(t, c.code, get(g.Handler(ok), "GET", "/w").Code)
			var got []string
			for _, line := range heard() {
				_, line, _ = cut(line)
				got = append(got, line)
			}
			require.Equal(t, c.heard, got)
			close(finish)
		})
	}
}

// No timer is trusted for longer than a second, whatever there is to wait for.
func TestTheClockIsLookedAtEverySecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, lines := range [][]string{nil, {window("w", time.Hour, time.Hour, "")}, {window("w", 300*time.Hour, time.Hour, "")}, {window("w", 0, time.Hour, "")}} {
			g := open(t, newSource(windows(lines...)), nil)
			for _, at := range []time.Duration{0, 59*time.Minute + 30*time.Second, time.Hour - time.Millisecond, 10 * time.Hour} {
				pause := downtime.Pause(g, time.Now().Add(at))
				require.LessOrEqual(t, pause, time.Second, fmt.Sprint(lines, at))
				require.GreaterOrEqual(t, pause, time.Duration(0))
			}
		}
	})
}
