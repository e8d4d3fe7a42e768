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
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// TestQuietIsHonest has goroutines enter and leave without pause while windows open and close, one
// after the other, and looks at every report of quiet whether anything was running in
// the window's scope that the guard had admitted. The witnesses are counters of the
// test's own, raised only after admission: what they show, the guard must know.
func TestQuietIsHonest(t *testing.T) {
	t.Parallel()
	const rounds, length, gap = 400, 30 * time.Millisecond, 5 * time.Millisecond
	enough := 40 // windows that became quiet; on a busy machine some pass by unseen
	if testing.Short() {
		enough = 5
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
		return downtime.Write
	}})

	var orders, imports, entries atomic.Int64
	h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entries.Add(1)
		if r.URL.Path == "/orders/1" {
			orders.Add(1)
			runtime.Gosched()
			orders.Add(-1)
		}
	}))
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 6 {
		workers.Go(func() {
			r := httptest.NewRequest("GET", []string{"/orders/1", "/catalogue"}[i%2], nil)
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
	honest, quiet, drained := true, 0, 0
	for i := 0; i < rounds && drained < enough; i++ {
		id := fmt.Sprintf("w%d", i)
		rep, err := g.Drain(t.Context(), id)
		if err == nil {
			drained++
		}
		for err == nil && rep.Phase != downtime.PhaseCompleted {
			quiet++
			// The witnesses are read first, the state after: if the window is still shut
			// then, it was when they were read. A slot may be taken for a moment by who
			// is about to be turned away, but nothing may run.
			seen := orders.Load() + imports.Load()
			rep, err = g.Report(id)
			if err == nil && rep.Phase != downtime.PhaseCompleted && seen != 0 {
				honest = false
			}
		}
	}
	close(stop)
	workers.Wait()
	t.Logf("%d entries, %d reports of quiet in %d windows", entries.Load(), quiet, drained)
	require.True(t, honest, "quiet was reported while something ran")
	require.Positive(t, drained, "no window was ever quiet: nothing was tested")
	require.InDelta(t, 0, g.Stats()["in_flight"], 0, "something was left counted")
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
		return downtime.Write
	}})
	ran := false
	w := get(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })), "POST", "/")
	require.False(t, ran, "quiet was reported, and the request ran")
	require.Equal(t, 503, w.Code)
}
