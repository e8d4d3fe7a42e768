package downtime_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// A council is a quorum that a test controls. It records its calls.
type council struct {
	mu      sync.Mutex
	began   time.Time
	told    []string // each change of it
	last    map[string]bool
	denied  map[string]bool
	err     error
	hang    bool
	calls   int
	asked   func(windows map[string]bool)
	changed chan struct{}
}

func newCouncil() *council {
	return &council{began: time.Now(), denied: map[string]bool{}, changed: make(chan struct{}, 1)}
}

func (c *council) Changed() <-chan struct{} { return c.changed }

func (c *council) Agree(ctx context.Context, windows map[string]bool) (map[string]bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.calls == 1 || !maps.Equal(windows, c.last) {
		c.told = append(c.told, fmt.Sprintf("%v %v", time.Since(c.began), windows))
	}
	c.last = maps.Clone(windows)
	if c.asked != nil {
		c.asked(windows)
	}
	if c.hang {
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		return nil, ctx.Err()
	}
	if c.err != nil {
		return nil, c.err
	}
	for id := range windows {
		windows[id] = windows[id] && !c.denied[id] // the map is ours
	}
	return windows, nil
}

// does changes the council, and waits until the guard has heard.
func (c *council) does(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	later(1100 * time.Millisecond)
}

func (c *council) wasTold() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.told = nil }()
	return slices.Clone(c.told)
}

func (c *council) wasCalled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

func TestQuorumThroughAWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil()
		g := open(t, newSource(windows(
			window("w", 10*time.Hour, time.Hour, `, scope: {paths: ["/orders/**"]}`),
			window("shown", 10*time.Hour, time.Hour, ", mode: announce"),
			window("tried", 10*time.Hour, time.Hour, ", mode: rehearse"))), &downtime.Options{Quorum: c})
		open := func() bool { return get(g.Handler(ok), "GET", "/orders/1").Code == 200 }
		// A window that was passed as quiet is closed and empty.
		c.asked = func(windows map[string]bool) {
			if wanted, told := windows["w"]; told && !wanted {
				require.False(t, open())
				rep, err := g.Report("w")
				require.NoError(t, err)
				require.Zero(t, rep.Busy)
			}
		}
		require.Equal(t, []string{"0s map[]"}, c.wasTold(), "asked once, of nothing")
		require.True(t, open())
		later(8*time.Hour + 58*time.Minute)
		require.Equal(t, 1, c.wasCalled(), "and not again as long as nothing is near")
		for range 180 { // a word that is had in time closes nothing for a moment
			require.True(t, open())
			later(time.Second)
		}
		require.Equal(t, []string{"8h59m0s map[w:true]"}, c.wasTold())
		require.Greater(t, c.wasCalled(), 100, "every second")

		finish := make(chan struct{})
		slow := make(chan int, 1)
		go func() {
			slow <- get(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-finish })), "GET", "/orders/1").Code
		}()
		later(59 * time.Minute)
		require.False(t, open())
		require.Empty(t, c.wasTold(), "something runs")
		close(finish)
		require.Equal(t, 200, <-slow)
		later(100 * time.Millisecond)
		require.Equal(t, []string{"10h0m0.1s map[w:false]"}, c.wasTold())
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet, "of this process")

		c.does(func() { c.denied["w"] = true }) // somebody does the maintenance, and takes longer
		later(time.Hour - 1200*time.Millisecond)
		require.False(t, open())
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/catalogue").Code)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseCompleted, rep.Phase)
		require.True(t, rep.Waiting)
		require.Equal(t, "w: completed, nothing in flight, closed until the quorum agrees", rep.String())
		require.InDelta(t, 1, g.Stats()["quorum_waiting"], 0)
		require.InDelta(t, 0, g.Stats()["quorum_failures"], 0)
		_, err = g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.NoError(t, err, "outside its scope")
		page := get(g.Handler(ok), "GET", "/orders/1", "Accept", "text/plain")
		require.Contains(t, page.Body.String(), "until all of its replicas agree")
		_, err = g.Drain(t.Context(), "w")
		require.ErrorIs(t, err, downtime.ErrEnded)
		later(3 * time.Hour)
		require.False(t, open(), "however long it takes")
		require.Equal(t, []string{"11h0m0s map[w:true]"}, c.wasTold())
		c.does(func() { clear(c.denied) })
		require.True(t, open())
		told := c.wasTold()
		require.Len(t, told, 1)
		require.Contains(t, told[0], "map[]", "it is of no interest any more")
		require.InDelta(t, 0, g.Stats()["quorum_waiting"], 0)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.False(t, rep.Waiting)
	})
}

func TestQuorumThatDoesNotAgree(t *testing.T) {
	t.Parallel()
	doc := func() string {
		return windows(window("w", 30*time.Minute, time.Hour, `, mode: read-only, scope: {work: [job]}`))
	}
	job := func(g *downtime.Guard) error {
		leave, err := g.Enter(context.Background(), downtime.Work{Name: "job"})
		leave()
		return err
	}
	synctest.Test(t, func(t *testing.T) { // a newcomer in the middle
		c := newCouncil()
		c.denied["w"] = true
		g := open(t, newSource(doc()), &downtime.Options{Quorum: c})
		var refused *downtime.UnavailableError
		require.ErrorAs(t, job(g), &refused)
		require.Equal(t, "w", refused.Window)
		require.Zero(t, refused.Until)
		require.LessOrEqual(t, refused.RetryAfter, 15*time.Second)
		require.EqualError(t, refused, `downtime: refused by window "w" (read-only): This part of the service is closed for a moment, until all of its replicas agree.`)
		read, err := g.Enter(t.Context(), downtime.Work{Name: "job", Effect: downtime.EffectRead})
		require.NoError(t, err, "a read-only window does not mind reads")
		read()
		release, err := g.Hold(downtime.Work{Name: "job"})
		require.NoError(t, err, "what was admitted before the word was lost may hand on")
		release()
		c.does(func() { clear(c.denied) })
		require.NoError(t, job(g))
	})
	synctest.Test(t, func(t *testing.T) { // an error
		c := newCouncil()
		var log logBuffer
		g := open(t, newSource(doc()), &downtime.Options{Quorum: c, Logger: logTo(&log)})
		require.NoError(t, job(g))
		c.does(func() { c.err = errors.New("no connection") })
		require.Error(t, job(g))
		require.Len(t, g.Problems(), 1)
		require.EqualError(t, g.Problems()[0], "quorum: no connection")
		later(10 * time.Second)
		require.GreaterOrEqual(t, g.Stats()["quorum_failures"], 10.0)
		c.does(func() { c.err = nil })
		require.NoError(t, job(g))
		require.Empty(t, g.Problems())
		require.Contains(t, log.String(), `level=WARN msg="quorum of maintenance windows does not answer: what is near is closed" err="no connection"`)
		require.Contains(t, log.String(), `level=INFO msg="quorum of maintenance windows answers again"`)
	})
	synctest.Test(t, func(t *testing.T) { // an error at first, with nothing near
		c := newCouncil()
		c.err = errors.New("no connection")
		g := open(t, newSource(windows()), &downtime.Options{Quorum: c})
		require.NoError(t, job(g))
		later(3 * time.Second)
		require.Equal(t, 4, c.wasCalled(), "asked until it answers")
		c.does(func() { c.err = nil })
		n := c.wasCalled()
		later(time.Hour)
		require.Equal(t, n, c.wasCalled())
	})
	synctest.Test(t, func(t *testing.T) { // a loss: closed at once, before Agree is asked
		c := newCouncil()
		g := open(t, newSource(doc()), &downtime.Options{Quorum: c})
		require.NoError(t, job(g))
		var then error
		c.does(func() {
			c.asked = func(map[string]bool) { then = job(g); c.asked = nil }
			c.changed <- struct{}{}
		})
		require.Error(t, then)
		require.NoError(t, job(g), "and open again, as it agrees")
		close(c.changed) // a closed channel does not cause a loop of calls
		n := c.wasCalled()
		later(10 * time.Second)
		require.InDelta(t, n+10, c.wasCalled(), 2)
	})
	synctest.Test(t, func(t *testing.T) { // no answer
		c := newCouncil()
		g := open(t, newSource(doc()), &downtime.Options{Quorum: c})
		require.NoError(t, job(g))
		c.mu.Lock()
		c.hang = true
		c.mu.Unlock()
		later(5*time.Second - time.Millisecond) // it may be asked at once
		require.NoError(t, job(g), "it has five seconds")
		later(1100 * time.Millisecond)
		require.Error(t, job(g))
		require.ErrorIs(t, g.Problems()[0], context.DeadlineExceeded)
		c.does(func() { c.hang = false })
		later(5 * time.Second)
		require.NoError(t, job(g))
	})
	synctest.Test(t, func(t *testing.T) { // Open waits for the first answer, as long as its caller does
		c := newCouncil()
		c.hang = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := downtime.Open(ctx, newSource(doc()), &downtime.Options{Quorum: c, Logger: quiet})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		began := time.Now()
		g := open(t, newSource(doc()), &downtime.Options{Quorum: c})
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Error(t, job(g))
	})
	synctest.Test(t, func(t *testing.T) { // a closed guard keeps nothing open for which it does not ask
		c := newCouncil()
		g := open(t, newSource(doc()), &downtime.Options{Quorum: c})
		require.NoError(t, job(g))
		require.NoError(t, g.Close())
		require.Error(t, job(g))
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "other"})
		require.NoError(t, err)
		leave()
	})
}

// Others rely on a window that this replica's document does not have, or has as over.
func TestQuorumThatKnowsMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil()
		src := newSource(windows(
			window("over", -3*time.Hour, time.Hour, `, scope: {paths: ["/over"]}`),
			window("far", 300*time.Hour, time.Hour, `, scope: {paths: ["/far"]}`),
			window("tried", 300*time.Hour, time.Hour, `, mode: rehearse`)))
		c.err = downtime.ErrOutdated
		g := open(t, src, &downtime.Options{Quorum: c})
		code := func(path string) int { return get(g.Handler(ok), "GET", path).Code }
		require.Equal(t, 503, code("/x"), "nothing at all")
		require.Equal(t, 200, code("/healthz"))
		_, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.EqualError(t, err, "downtime: The service is closed for a moment, until all of its replicas agree.")
		require.ErrorIs(t, g.Problems()[0], downtime.ErrOutdated)
		later(3 * time.Second)
		require.Equal(t, []string{"0s map[]", "0s map[far:true over:true]"}, c.wasTold())
		require.Equal(t, 503, code("/x"))

		c.does(func() { c.err, c.denied["over"] = nil, true })
		require.Equal(t, 200, code("/x"))
		require.Equal(t, 200, code("/far"))
		require.Equal(t, 503, code("/over"), "in use elsewhere, though over here")
		later(10 * time.Second)
		require.Empty(t, c.wasTold(), "it goes on to tell of all")

		c.does(func() { clear(c.denied) })
		require.Equal(t, 200, code("/over"))
		told := c.wasTold()
		require.Len(t, told, 1)
		require.Contains(t, told[0], "map[]")
		var listed []string
		for _, w := range g.State().Windows {
			listed = append(listed, w.Window.ID)
		}
		require.Empty(t, listed)
	})
}

// The word for a window that repeats is had anew for each occurrence.
func TestQuorumOfAWindowThatRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil()
		g := open(t, newSource(windows(`  - {id: daily, start: "2000-01-01T02:00:00Z", duration: 1h, repeat: FREQ=DAILY, announce: 30h}`+"\n")), &downtime.Options{Quorum: c})
		h := g.Handler(ok)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		later(2 * time.Hour)
		require.Equal(t, 503, get(h, "GET", "/").Code)
		later(time.Second)
		require.Equal(t, []string{"0s map[daily:true]", "2h0m0s map[daily:false]"}, c.wasTold())
		later(time.Hour)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		require.Equal(t, []string{"3h0m0s map[daily:true]"}, c.wasTold(), "the next is announced")
		c.does(func() { c.denied["daily"] = true })
		require.Equal(t, 503, get(h, "GET", "/").Code)
	})
}

// TestQuorumRefusesEarly has somebody hold the window before the quorum's word is needed:
// after a refusal it is closed, and it opens with another answer.
func TestQuorumRefusesEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil()
		c.denied["w"] = true
		g := open(t, newSource(windows(window("w", 2*time.Hour, time.Hour, `, scope: {paths: ["/orders/**"]}`))), &downtime.Options{Quorum: c})
		code := func() int { return get(g.Handler(ok), "GET", "/orders/1").Code }
		later(59*time.Minute - time.Second)
		require.Equal(t, 200, code(), "it is not near")
		later(3 * time.Second)
		require.Equal(t, 503, code(), "it was asked for, and is had by somebody")
		c.does(func() { c.err = errors.New("out of reach") })
		require.Equal(t, 503, code(), "what was said last holds")
		c.does(func() { c.err = nil; delete(c.denied, "w") })
		require.Equal(t, 200, code())
		c.does(func() { c.err = errors.New("out of reach") })
		require.Equal(t, 200, code(), "nobody is known to have it")
		later(time.Minute)
		require.Equal(t, 503, code(), "now the word is needed")
	})
}

func TestStatusPageWhileTheQuorumKeepsAllClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil()
		g := open(t, newSource(windows(window("w", 100*time.Hour, time.Hour, ""))), &downtime.Options{Quorum: c})
		pages := func() (pages []string) {
			for _, h := range []http.Handler{users(t, g, status.Options{}), operators(t, g, status.Options{})} {
				pages = append(pages, get(h, "GET", "/", "Accept", "text/html").Body.String())
			}
			return pages
		}
		for _, page := range pages() {
			require.Contains(t, page, "No maintenance now")
		}
		for _, fault := range []error{downtime.ErrOutdated, nil} {
			c.err = fault
			c.changed <- struct{}{}
			later(2 * time.Second)
			closed := get(g.Handler(ok), "GET", "/orders/1").Code == 503
			require.Equal(t, fault != nil, closed)
			for _, page := range pages() {
				if closed {
					require.NotContains(t, page, "No maintenance now")
				} else {
					require.Contains(t, page, "No maintenance now")
				}
			}
		}
	})
}
