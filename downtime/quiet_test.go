package downtime_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// TestQuietIsHonest has goroutines enter, leave and hand work on without pause while
// windows open and close, one after the other, and looks at every report of quiet
// whether anything was running in the window's scope that the guard had admitted. The
// witnesses are counters of the test's own, raised only after admission: what they show, the
// guard must know.
func TestQuietIsHonest(t *testing.T) {
	t.Parallel()
	const hops = 200 // so that a window that begins meets work that is handed on and on
	const rounds, length, gap = 800, 30 * time.Millisecond, 5 * time.Millisecond
	enough, many := 60, int64(2_000_000) // windows that became quiet; on a busy machine some pass by unseen
	if testing.Short() {
		enough, many = 5, 0
	}
	start := time.Now().Add(50 * time.Millisecond)
	text := "windows:\n"
	for i := range rounds {
		at := start.Add(time.Duration(i) * (length + gap)).UTC().Format(time.RFC3339Nano)
		text += fmt.Sprintf("  - {id: w%d, start: %q, duration: %v, overrun: reopen, scope: {paths: [\"/orders/**\"], work: [import]}}\n", i, at, length)
	}
	// Classify is asked in the middle of an admission: giving way there makes windows
	// begin there.
	g := open(t, downtime.Bytes("w", []byte(text)), &downtime.Options{Classify: func(*http.Request) downtime.Effect {
		runtime.Gosched()
		return downtime.EffectWrite
	}})

	var orders, imports, held, entries, handed, refused atomic.Int64
	// handOn is called by what was admitted to the scope, which may always hand on.
	type baton struct {
		release func()
		hops    int
	}
	batons := make(chan baton, 1)
	var running atomic.Bool // one baton at a time: of many some would always be seen
	handOn := func(hops int) {
		release, err := g.Hold(downtime.Work{Name: "import"})
		if err != nil {
			refused.Add(1)
			return
		}
		handed.Add(1)
		held.Add(1)
		batons <- baton{release, hops}
	}
	h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entries.Add(1)
		if r.URL.Path == "/orders/1" {
			orders.Add(1)
			runtime.Gosched()
			if r.Method == "POST" && running.CompareAndSwap(false, true) {
				handOn(hops)
			}
			orders.Add(-1)
		}
	}))
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 6 {
		workers.Go(func() {
			r := httptest.NewRequest([]string{"GET", "GET", "POST"}[i%3], []string{"/orders/1", "/catalogue"}[i%2], nil)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if i == 5 {
					leave, err := g.Enter(context.Background(), downtime.Work{Name: "import"})
					if err == nil {
						entries.Add(1)
						imports.Add(1)
						runtime.Gosched()
						imports.Add(-1)
						leave()
					}
					continue
				}
				h.ServeHTTP(discard{}, r)
				if i > 2 {
					runtime.Gosched()
				}
			}
		})
	}
	// This goroutine holds work without being admitted, which is wrong. After the window is quiet, Hold
	// must refuse it.
	workers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if release, err := g.Hold(downtime.Work{Name: "import"}); err == nil {
				held.Add(1)
				runtime.Gosched()
				held.Add(-1)
				release()
			}
			for range 20 {
				runtime.Gosched()
			}
		}
	})
	var runners sync.WaitGroup
	for range 2 {
		runners.Go(func() {
			for b := range batons {
				if b.hops > 0 {
					handOn(b.hops - 1)
				} else {
					running.Store(false)
				}
				held.Add(-1)
				b.release()
			}
		})
	}
	honest, quiet, drained := true, 0, 0
	for i := 0; i < rounds && (drained < enough || entries.Load() < many || handed.Load() == 0); i++ {
		id := fmt.Sprintf("w%d", i)
		// To wait is Drain's, but looking all the time finds more.
		rep, err := g.Report(id)
		for err == nil && !rep.Quiet && rep.Phase != schedule.PhaseCompleted {
			runtime.Gosched()
			rep, err = g.Report(id)
		}
		if rep.Quiet {
			drained++
			rep, err = g.Drain(t.Context(), id)
		}
		for was := false; err == nil && rep.Phase != schedule.PhaseCompleted; was = true {
			if was && !rep.Quiet {
				honest = false // it was taken back
			}
			quiet++
			// The witnesses are read first, the state after: if the window is still shut
			// then, it was when they were read. A slot may be taken for a moment by who
			// is about to be turned away, but nothing may run.
			seen := orders.Load() + imports.Load() + held.Load()
			rep, err = g.Report(id)
			if err == nil && rep.Phase != schedule.PhaseCompleted && seen != 0 {
				honest = false
			}
		}
	}
	close(stop)
	workers.Wait()
	for held.Load() > 0 {
		runtime.Gosched()
	}
	close(batons)
	runners.Wait()
	t.Logf("%d entries, %d handed on, %d reports of quiet in %d windows", entries.Load(), handed.Load(), quiet, drained)
	require.True(t, honest, "quiet was reported while something ran, or was taken back")
	require.Zero(t, refused.Load(), "what was admitted could not hand on")
	require.Positive(t, drained, "no window was ever quiet: nothing was tested")
	require.Positive(t, handed.Load())
	require.InDelta(t, 0, g.Stats()["in_flight"], 0, "something was left counted")
}

// TestWorkThatIsHandedOnIsSeen hands work on and on, from one goroutine to another and
// so from place to place among the counts, while somebody looks at them all the time.
// So much else runs, out of scope, that the work moves many times while they are looked
// at: who only added up would hardly ever meet it, and report quiet.
func TestWorkThatIsHandedOnIsSeen(t *testing.T) {
	t.Parallel()
	others, looks, moves := 10_000, 300, int64(100_000)
	if testing.Short() {
		others, looks, moves = 2000, 50, 2000
	}
	g := open(t, downtime.Bytes("w", []byte(windows(window("w", time.Hour, time.Hour, ", scope: {work: [job]}")))), nil)
	for range others {
		end, err := g.Enter(t.Context(), downtime.Work{Name: "other"})
		require.NoError(t, err)
		defer end()
	}
	leave, err := g.Enter(t.Context(), downtime.Work{Name: "job"})
	require.NoError(t, err)
	batons, enough := make(chan func()), make(chan struct{})
	var moved, refused atomic.Int64
	var runners sync.WaitGroup
	run := func() {
		for release := range batons {
			next, err := g.Hold(downtime.Work{Name: "job"})
			if err != nil {
				refused.Add(1)
			}
			release()
			moved.Add(1)
			select {
			case <-enough:
				next()
				close(batons)
				return
			case batons <- next:
			}
		}
	}
	for range 3 {
		runners.Go(run)
	}
	batons <- leave
	rep, err := g.Begin("w")
	require.NoError(t, err)
	require.Equal(t, schedule.PhaseDraining, rep.Phase)
	for from, i := moved.Load(), 0; i < looks || moved.Load() < from+moves; i++ {
		runtime.Gosched()
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.False(t, rep.Quiet)
		require.Equal(t, schedule.PhaseDraining, rep.Phase)
	}
	close(enough)
	rep, err = g.Drain(t.Context(), "w")
	require.NoError(t, err)
	require.True(t, rep.Quiet)
	runners.Wait()
	t.Logf("handed on %d times", moved.Load())
	require.Zero(t, refused.Load(), "who is counted may hand on")
}

// discard is a ResponseWriter that a refusal can be written to.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// A gate is a guard in miniature, with the two orders in which admission can be
// written, and a hook between its two steps.
type gate struct {
	closed  atomic.Bool
	running atomic.Int64
	between func()
}

func (g *gate) checkThenCount() bool {
	if g.closed.Load() {
		return false
	}
	g.between()
	g.running.Add(1)
	return true
}

func (g *gate) countThenCheck() bool {
	g.running.Add(1)
	g.between()
	if g.closed.Load() {
		g.running.Add(-1)
		return false
	}
	return true
}

// quiet closes and looks.
func (g *gate) quiet() bool {
	g.closed.Store(true)
	return g.running.Load() == 0
}

// TestWhyCountThenCheck plays the one interleaving that matters: the operator closes and
// looks just between the two steps of an admission. Who checks first reports quiet and
// then lets the request run.
func TestWhyCountThenCheck(t *testing.T) {
	t.Parallel()
	play := func(admit func(*gate) bool) (quiet, admitted bool) {
		g := &gate{}
		arrived, looked, done := make(chan struct{}), make(chan struct{}), make(chan bool)
		g.between = func() { close(arrived); <-looked }
		go func() { done <- admit(g) }()
		<-arrived
		quiet = g.quiet()
		close(looked)
		return quiet, <-done
	}
	quiet, admitted := play((*gate).checkThenCount)
	require.True(t, quiet && admitted, "check, then count: quiet was reported, and a request runs")
	quiet, admitted = play((*gate).countThenCheck)
	require.False(t, quiet && admitted, "count, then check: never both")
	require.False(t, quiet)
	require.False(t, admitted)
}

// TestAdmissionSeesAWindowThatBeginsInItsMiddle does the same to the real guard: its
// Classify function is called in the middle of an admission, under the old state,
// and there the document is changed and the new state waited for.
func TestAdmissionSeesAWindowThatBeginsInItsMiddle(t *testing.T) {
	t.Parallel()
	src := newSource(windows(window("far", time.Hour/2, time.Hour, "")))
	var g *downtime.Guard
	var once sync.Once
	g = open(t, src, &downtime.Options{Classify: func(*http.Request) downtime.Effect {
		once.Do(func() {
			src.mu.Lock()
			src.text = windows(window("now", -time.Minute, time.Hour, ""))
			src.mu.Unlock()
			src.bell <- struct{}{}
			rep, err := g.Drain(t.Context(), "now") // unknown at first
			for err != nil {
				runtime.Gosched()
				rep, err = g.Drain(t.Context(), "now")
			}
			require.True(t, rep.Quiet)
		})
		return downtime.EffectWrite
	}})
	ran := false
	w := get(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })), "POST", "/")
	require.False(t, ran, "quiet was reported, and the request ran")
	require.Equal(t, 503, w.Code)
}

// relay is the counting of a guard in miniature: two slots that are looked at one after
// the other, as a guard looks at its many.
type relay struct {
	slots   [2]atomic.Bool
	sealing atomic.Bool
	between func() // between the two looks
}

// sum counts the slots.
func (r *relay) sum() (n int) {
	for i := range r.slots {
		if i == 1 && r.between != nil {
			r.between()
		}
		if r.slots[i].Load() {
			n++
		}
	}
	return n
}

// TestWhyQuietIsSealed plays what can happen to work that is handed on while the counts
// are looked at: it moves from a slot that was not looked at yet to one that was. Who
// only adds up reports quiet while it runs. With the gate shut what runs cannot move.
func TestWhyQuietIsSealed(t *testing.T) {
	t.Parallel()
	play := func(quiet func(*relay) bool) (said, runs bool) {
		r := &relay{}
		r.slots[1].Store(true) // an admitted request
		r.between = func() {
			r.slots[0].Store(true) // it hands on: count, then check
			if r.sealing.Load() {
				r.slots[0].Store(false) // it has to wait, and so does not end
				return
			}
			r.slots[1].Store(false) // and ends
		}
		said = quiet(r)
		return said, r.slots[0].Load() || r.slots[1].Load()
	}
	said, runs := play(func(r *relay) bool { return r.sum() == 0 })
	require.True(t, said && runs, "without a seal: quiet was reported, and work runs")
	said, runs = play(func(r *relay) bool {
		r.sealing.Store(true)
		quiet := r.sum() == 0
		r.sealing.Store(quiet)
		return quiet
	})
	require.False(t, said && runs, "sealed: never both")
	require.False(t, said)
	require.True(t, runs)
}

// TestWhyHoldCountsFirst plays the seal against a Hold that checks before it counts.
func TestWhyHoldCountsFirst(t *testing.T) {
	t.Parallel()
	play := func(hold func(g *gate) bool) (quiet, held bool) {
		g := &gate{} // closed is the seal
		g.between = func() { quiet = g.quiet() }
		held = hold(g)
		return quiet, held
	}
	quiet, held := play((*gate).checkThenCount)
	require.True(t, quiet && held, "check, then count: it was sealed, and work is held")
	quiet, held = play((*gate).countThenCheck)
	require.False(t, quiet && held)
}

// Hold is refused once quiet has been found, and not before.
func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("w", time.Minute, time.Hour, `, scope: {paths: ["/orders/**"], work: [invoice]}`),
			window("ro", time.Minute, time.Hour, `, mode: read-only, scope: {work: [stock]}`),
			window("try", time.Minute, time.Hour, `, mode: rehearse, scope: {work: [invoice]}`))), nil)
		invoice := downtime.Work{Name: "invoice", Long: true}
		var release func()
		begun, finish := make(chan struct{}), make(chan struct{})
		h := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(begun)
			<-finish
			var err error
			release, err = g.Hold(invoice)
			require.NoError(t, err)
		}))
		served := make(chan int)
		go func() { served <- get(h, "POST", "/orders/1").Code }()
		<-begun
		later(time.Minute + time.Second)
		_, err := g.Enter(t.Context(), invoice)
		require.ErrorIs(t, err, downtime.ErrWindow, "nothing new begins")
		close(finish)
		require.Equal(t, 200, <-served)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, map[string]int{"invoice": 1}, rep.Work)
		require.Equal(t, schedule.PhaseDraining, rep.Phase)
		rep, err = g.Report("try")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy, "a rehearsal would not have refused it")

		later(time.Second)
		next, err := g.Hold(downtime.Work{Name: "x", Request: httptest.NewRequest("POST", "/orders/2", nil)})
		require.NoError(t, err, "what is held may hand on")
		release()
		release() // safe twice
		later(time.Second)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy)
		next()
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)

		release, err = g.Hold(invoice)
		var refused *downtime.UnavailableError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "w", refused.Window)
		release()
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.EqualValues(t, 2, rep.Refused)

		// A read-only window that is quiet lets reads be held.
		later(0)
		_, err = g.Hold(downtime.Work{Name: "stock"})
		require.ErrorIs(t, err, downtime.ErrWindow)
		release, err = g.Hold(downtime.Work{Name: "stock", Effect: downtime.EffectRead})
		require.NoError(t, err)
		release()
		release, err = g.Hold(downtime.Work{Name: "other"})
		require.NoError(t, err, "outside the scope")
		release()
		_, err = g.Hold(downtime.Work{})
		require.Error(t, err)

		later(time.Hour)
		release, err = g.Hold(invoice)
		require.NoError(t, err, "after the window")
		release()
		require.InDelta(t, 0, g.Stats()["in_flight"], 0)
	})
}
