package downtime_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

func TestEnterWait(t *testing.T) {
	t.Parallel()
	job := downtime.Work{Name: "job"}
	type result struct {
		leave func()
		err   error
		after time.Duration
	}
	wait := func(ctx context.Context, g *downtime.Guard) <-chan result {
		began, done := time.Now(), make(chan result, 1)
		go func() {
			leave, err := g.EnterWait(ctx, job)
			done <- result{leave, err, time.Since(began)}
		}()
		synctest.Wait()
		return done
	}
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""), window("next", time.Hour, time.Hour, ""))), nil)
		done := wait(t.Context(), g)
		later(time.Hour + 59*time.Minute)
		require.Empty(t, done, "one window follows the other")
		require.InDelta(t, 0, g.Stats()["refused"], 0)
		later(time.Minute)
		r := <-done
		require.NoError(t, r.err)
		require.Equal(t, 2*time.Hour, r.after)
		require.InDelta(t, 1, g.Stats()["in_flight"], 0)
		r.leave()
		r.leave()
		require.InDelta(t, 0, g.Stats()["in_flight"], 0)
		now := <-wait(t.Context(), g)
		require.NoError(t, now.err)
		require.Zero(t, now.after, "nothing refuses it")
		now.leave()
	})
	synctest.Test(t, func(t *testing.T) { // completed early
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""))), nil)
		done := wait(t.Context(), g)
		later(10 * time.Minute)
		_, err := g.Complete("w")
		require.NoError(t, err)
		r := <-done
		require.NoError(t, r.err)
		require.Equal(t, 10*time.Minute, r.after)
		r.leave()
	})
	synctest.Test(t, func(t *testing.T) { // by the document
		src := newSource(windows(window("w", 0, time.Hour, "")))
		g := open(t, src, nil)
		done := wait(t.Context(), g)
		src.set(windows(`  - {id: w, start: "2000-01-01T00:00:00Z", duration: 1h, actual: {end: 2000-01-01T00:00:01Z}}`+"\n"), nil)
		later(time.Minute)
		require.NoError(t, (<-done).err)
	})
	synctest.Test(t, func(t *testing.T) { // in vain
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""))), nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := wait(ctx, g)
		cancel(io.ErrUnexpectedEOF)
		r := <-done
		require.ErrorIs(t, r.err, io.ErrUnexpectedEOF)
		require.ErrorIs(t, r.err, downtime.ErrWindow)
		r.leave()
		_, err := g.EnterWait(ctx, job)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		_, err = g.EnterWait(t.Context(), downtime.Work{})
		require.ErrorContains(t, err, "name")

		done = wait(t.Context(), g)
		require.NoError(t, g.Close())
		r = <-done
		require.ErrorIs(t, r.err, downtime.ErrClosed)
		require.ErrorIs(t, r.err, downtime.ErrWindow)
	})
}

// Work that is held is warned of, once, if no window can wait for it.
func TestHoldWarnsOfWorkThatNoScopeMatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		src := newSource(windows())
		g := open(t, src, &downtime.Options{Logger: logTo(log)})
		hold := func(w downtime.Work) {
			t.Helper()
			release, err := g.Hold(w)
			require.NoError(t, err)
			release()
		}
		warned := func(name string) int { return strings.Count(log.String(), "work="+name+"\n") }
		hold(downtime.Work{Name: "mail"})
		require.Zero(t, warned("mail"), "there is no window")
		src.set(windows(window("w", time.Hour, time.Hour, `, scope: {paths: ["/orders/**"], work: [import]}`)), nil)
		for range 3 {
			hold(downtime.Work{Name: "mail"})
			hold(downtime.Work{Name: "import"})
			hold(downtime.Work{Name: "invoice", Request: httptest.NewRequest("POST", "/news", nil)})
		}
		require.Equal(t, 1, warned("mail"))
		require.Zero(t, warned("import"))
		require.Zero(t, warned("invoice"), "a request is matched as such")
		src.set(windows(window("w", time.Hour, time.Hour, `, scope: {work: ["mail"]}`)), nil)
		for range 3 {
			hold(downtime.Work{Name: "mail"})
			hold(downtime.Work{Name: "import"})
		}
		require.Equal(t, 1, warned("mail"), "once")
		require.Equal(t, 1, warned("import"), "which the document has lost")
		src.set(windows(window("w", time.Hour, time.Hour, "")), nil)
		hold(downtime.Work{Name: "other"})
		require.Zero(t, warned("other"), "an empty scope is about everything")
	})
}
