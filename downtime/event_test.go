package downtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A log of events, of one goroutine's loop over them.
type hearing struct {
	mu     sync.Mutex
	events []downtime.Event
}

func (h *hearing) add(e downtime.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// take takes what was heard.
func (h *hearing) take() []downtime.Event {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.events
	h.events = nil
	return all
}

// listen listens to a guard until the test ends.
func listen(t *testing.T, g *downtime.Guard) func() []string {
	var h hearing
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range g.Events(ctx) {
			h.add(e)
		}
	}()
	synctest.Wait()
	t.Cleanup(func() { cancel(); <-done })
	return func() []string {
		var heard []string
		for _, e := range h.take() {
			heard = append(heard, fmt.Sprintf("%v %v", e.Time.Sub(began), e))
		}
		return heard
	}
}

func TestEventsThroughAWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(
			window("w", 30*time.Hour, time.Hour, `, title: The window, message: Soon., owner: me, runbook: "https://r.example/", announce: 26h, cutoff: 5m`),
			window("quick", 2*time.Hour, time.Hour, `, announce: 30m, scope: {work: [x]}`)))
		g := open(t, src, nil)
		heard := listen(t, g)
		var h hearing
		go func() {
			for e := range g.Events(t.Context()) {
				if e.Window == "w" && e.Phase == schedule.PhaseInProgress {
					h.add(e)
				}
			}
		}()
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "job"})
		require.NoError(t, err)
		later(30*time.Hour + 4*time.Second)
		leave()
		later(2 * time.Hour)
		require.Equal(t, []string{
			"1h30m0s quick: planned -> announced",
			"1h50m0s quick: begins in 10m0s",
			"2h0m0s quick: announced -> in progress, quiet after 0s",
			"3h0m0s quick: in progress -> completed",
			"4h0m0s w: planned -> announced",
			"6h0m0s w: begins in 24h0m0s",
			"29h0m0s w: begins in 1h0m0s",
			"29h50m0s w: begins in 10m0s",
			"29h55m0s w: announced -> cutoff",
			"30h0m0s w: cutoff -> draining",
			"30h0m4.1s w: draining -> in progress, quiet after 4.1s",
			"31h0m0s w: in progress -> completed",
		}, heard())
		start := time.Date(2000, 1, 2, 6, 0, 0, 0, time.UTC)
		whole := h.take()[0]
		whole.Planned, whole.Start, whole.End = whole.Planned.UTC(), whole.Start.UTC(), whole.End.UTC()
		whole.Time = whole.Time.UTC()
		require.Equal(t, downtime.Event{
			Kind: downtime.EventPhase, Time: start.Add(4100 * time.Millisecond),
			Window: "w", Title: "The window", Message: "Soon.", Owner: "me", Runbook: "https://r.example/", Mode: schedule.ModeClosed,
			Planned: start, Start: start, End: start.Add(time.Hour),
			Phase: schedule.PhaseInProgress, Previous: schedule.PhaseDraining, QuietAfter: 4100 * time.Millisecond,
		}, whole)
		text, err := json.Marshal(whole)
		require.NoError(t, err)
		require.JSONEq(t, `{"text": "w: draining -> in progress, quiet after 4.1s", "kind": "phase", "time": "2000-01-02T06:00:04.1Z",
			"window": "w", "title": "The window", "message": "Soon.", "owner": "me", "runbook": "https://r.example/", "mode": "closed",
			"planned": "2000-01-02T06:00:00Z", "start": "2000-01-02T06:00:00Z", "end": "2000-01-02T07:00:00Z",
			"phase": "in progress", "previous": "draining", "quiet_after_seconds": 4.1}`, string(text))
	})
}

func TestEventsBeginWithHowThingsStand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("on", 0, time.Hour, ""),
			window("soon", time.Hour, time.Hour, ", announce: 2h"),
			window("far", 20*time.Hour, time.Hour, ", announce: 1h"))), nil)
		later(time.Second)
		for range 2 { // each loop for itself
			var first []string
			for e := range g.Events(t.Context()) {
				require.Equal(t, downtime.EventPresent, e.Kind)
				first = append(first, e.String())
				if len(first) == 2 {
					break
				}
			}
			require.Equal(t, []string{"on: in progress", "soon: announced"}, first)
		}
	})
}

func TestEventsOfTheDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := windows(window("w", 2*time.Hour, time.Hour, ", announce: 3h"))
		src := newSource(first)
		g := open(t, src, nil)
		heard := listen(t, g)
		later(time.Minute)
		revision := g.Revision()
		src.set("windows: 3", nil)
		later(time.Minute)
		src.set(first, io.ErrUnexpectedEOF)
		later(time.Minute)
		src.set(first, nil)
		src.set(windows(window("w", 30*time.Hour, time.Hour, ", announce: 1h")), nil) // put off
		src.set(windows(), nil)
		var got []string
		for _, line := range heard() {
			_, line, _ = cut(line)
			got = append(got, line)
		}
		require.Equal(t, []string{
			"w: announced",
			"maintenance document not updated: windows.yaml:1:10: windows: must be a list, got a number",
			"maintenance document not updated: windows.yaml: unexpected EOF",
			"maintenance document " + got[3][len("maintenance document "):][:16] + " accepted",
			"w: announced -> withdrawn",
			"maintenance document " + g.Revision() + " accepted",
		}, got)
		require.NotEqual(t, revision, g.Revision())
	})
}

func cut(line string) (before, after string, found bool) {
	for i := range line {
		if line[i] == ' ' {
			return line[:i], line[i+1:], true
		}
	}
	return line, "", false
}

// A subscriber that does not listen does not block others, and gets the number of events that it missed.
func TestEventsAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows())
		g := open(t, src, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var h hearing
		heard, goOn := make(chan struct{}), make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			first := true
			for e := range g.Events(ctx) {
				if first {
					close(heard)
					<-goOn
				}
				first = false
				h.add(e)
			}
		}()
		synctest.Wait()
		for i := range 101 {
			src.set(windows(window(fmt.Sprint("w", i), 1000*time.Hour, time.Hour, "")), nil)
		}
		<-heard
		require.InDelta(t, 101-1-64, g.Stats()["events_missed"], 0)
		close(goOn)
		later(time.Second)
		got := h.take()
		require.Len(t, got, 65)
		require.Zero(t, got[64].Missed)
		src.set(windows(window("more", 1000*time.Hour, time.Hour, "")), nil)
		got = h.take()
		require.Len(t, got, 1)
		require.Equal(t, 36, got[0].Missed)
		require.Contains(t, got[0].String(), "(36 events missed)")
		cancel()
		<-ended

		// When the guard is closed the loop ends, of itself.
		closed := make(chan int)
		go func() {
			n := 0
			for range g.Events(t.Context()) {
				n++
			}
			closed <- n
		}()
		synctest.Wait()
		require.NoError(t, g.Close())
		require.Zero(t, <-closed)
		for range g.Events(t.Context()) {
			t.Fatal("there is nothing to tell any more")
		}
	})
}

func TestReminders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc := windows(window("w", 3*time.Hour, time.Hour, ", announce: 2h30m"))
		src := newSource(doc)
		own := listen(t, open(t, src, &downtime.Options{Reminders: []time.Duration{2 * time.Hour, time.Minute, 150 * time.Minute, 10 * time.Hour}}))
		none := listen(t, open(t, src, &downtime.Options{Reminders: []time.Duration{}}))
		later(90 * time.Minute)
		late := open(t, src, nil)
		heard := listen(t, late)
		later(time.Hour + 25*time.Minute)
		downtime.Tick(late, time.Now().Add(4*time.Minute+30*time.Second))
		require.Equal(t, []string{
			"30m0s w: planned -> announced", "30m0s w: begins in 2h30m0s", "1h0m0s w: begins in 2h0m0s",
		}, own())
		require.Equal(t, []string{"30m0s w: planned -> announced"}, none())
		require.Equal(t, []string{"0s w: announced", "30m0s w: begins in 1h0m0s", "1h20m0s w: begins in 10m0s"}, heard())
	})
	_, err := downtime.Open(t.Context(), downtime.Bytes("w", []byte("windows: []")), &downtime.Options{Reminders: []time.Duration{0}})
	require.ErrorContains(t, err, "Reminders")
}
