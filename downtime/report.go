package downtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Report says whether one window is quiet in this process, at one moment.
type Report struct {
	Window     string // id
	Mode       Mode
	Phase      Phase
	Start, End time.Time

	// Quiet is true when nothing in the window's scope runs and nothing can begin: the
	// window is in progress, it refuses, and Busy is 0. In a read-only window only what
	// writes counts. A rehearsal is never quiet.
	Quiet bool

	// Busy is how many requests and pieces of work in the window's scope are in flight.
	Busy int

	// Unsure is how many of Busy were admitted before this guard told the window's
	// scope apart, and may therefore lie outside it.
	Unsure int

	// Bypassed is how many of Busy were let in by [Options].Bypass though the window, or
	// another, refused them.
	Bypassed int

	// Oldest is the age of the oldest of Busy, to a tenth of a second from a minute
	// before the window's start on, to a second otherwise.
	Oldest time.Duration

	// Work is how many of Busy are of each kind: "http" for requests, else Work.Name.
	Work map[string]int

	// Refused is how many requests and pieces of work this process has refused because
	// of the window; of a rehearsal, how many it would have refused.
	Refused int64

	// QuietAfter is how long after it closed the window was first seen quiet; of a
	// rehearsal, would have been. 0 while it has not been, or when it was at once:
	// Phase tells.
	QuietAfter time.Duration
}

// String is for operators: `orders-db: 2 busy, oldest 4.1s (http 1, import 1)`.
func (r Report) String() string {
	var b strings.Builder
	b.WriteString(r.Window)
	switch {
	case r.Quiet:
		b.WriteString(": quiet")
		return b.String()
	case r.Busy == 0:
		fmt.Fprintf(&b, ": %v, nothing in flight", r.Phase)
		return b.String()
	}
	fmt.Fprintf(&b, ": %d busy, oldest %v (", r.Busy, r.Oldest.Round(100*time.Millisecond))
	for i, kind := range slices.Sorted(maps.Keys(r.Work)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", kind, r.Work[kind])
	}
	b.WriteByte(')')
	if r.Unsure > 0 {
		fmt.Fprintf(&b, ", %d perhaps outside its scope", r.Unsure)
	}
	return b.String()
}

// Report says how the window stands in this process. The error is
// [ErrUnknownWindow].
func (g *Guard) Report(id string) (Report, error) {
	for {
		s := g.now.Load()
		if s.schedule == nil || s.schedule.Window(id) == nil {
			return Report{Window: id}, fmt.Errorf("%w %q", ErrUnknownWindow, clip(id))
		}
		rep := g.report(s, s.schedule.Window(id))
		if g.now.Load() == s { // else the state that makes it quiet may no longer hold
			return rep, nil
		}
	}
}

// report looks at one window of a snapshot.
func (g *Guard) report(s *snapshot, w *Window) Report {
	now := time.Now()
	for _, n := range s.near {
		if n.Window.ID == w.ID { // the first: what is in progress comes before what is to come
			return g.look(n, now)
		}
	}
	o := s.schedule.occurrence(w, now)
	rep := newReport(o, PhaseOpen)
	if !now.Before(o.End) {
		rep.Phase = PhaseCompleted
		return rep
	}
	g.count(&rep, w)
	return rep
}

func newReport(o Occurrence, phase Phase) Report {
	return Report{Window: o.Window.ID, Mode: o.Window.Mode, Phase: phase, Start: o.Start, End: o.End}
}

// look reports on a window that is near, and notes when it is first quiet. The
// snapshot that n is of must have been published before: only then does what is not
// counted not run.
func (g *Guard) look(n *near, now time.Time) Report {
	rep := newReport(n.Occurrence, n.Phase)
	g.count(&rep, n.Window)
	if n.Phase == PhaseInProgress && n.Window.Mode != ModeAnnounce && rep.Busy == 0 {
		n.progress.quiet.CompareAndSwap(0, max(0, int64(now.Sub(n.progress.began)))+1)
	}
	rep.Phase = n.phase()
	rep.Quiet = rep.Busy == 0 && n.Phase == PhaseInProgress && n.Window.Mode.closes()
	rep.Refused = n.progress.refused.Load()
	rep.QuietAfter, _ = n.progress.quietAfter()
	return rep
}

// count adds up what is in the window's way.
func (g *Guard) count(rep *Report, w *Window) {
	g.running.each(time.Since(g.begun), func(c *class, age time.Duration) {
		counts, unsure := c.counts(w)
		if !counts {
			return
		}
		rep.Busy++
		if unsure {
			rep.Unsure++
		}
		if c.bypassed {
			rep.Bypassed++
		}
		rep.Oldest = max(rep.Oldest, age)
		if rep.Work == nil {
			rep.Work = map[string]int{}
		}
		rep.Work[c.kind]++
	})
}

// Drain waits until the window has begun and is quiet, and returns a report that
// says so: now the migration may start, as far as this process goes. It may be
// called long before the window, and then waits for the start; ctx bounds the wait.
//
// Whatever else ends the wait is an error, and the report is never quiet with one:
// the cause of ctx's end, wrapped, with the report saying what is in the way;
// [ErrEnded] when the window is over; [ErrUnknownWindow], also when the window is
// taken from the document before it begins; [ErrNotClosed] when its mode is announce
// and, once a rehearsal would have been quiet, when it is rehearse, with
// [Report].QuietAfter saying how long that took; [ErrClosed].
func (g *Guard) Drain(ctx context.Context, id string) (Report, error) {
	for {
		// In this order: what changes after the report is heard.
		changed := g.changed.next()
		late := ctx.Err() != nil
		rep, err := g.Report(id)
		switch {
		case err != nil:
			return rep, err
		case rep.Quiet:
			return rep, nil
		case rep.Phase == PhaseCompleted:
			return rep, fmt.Errorf("%w: %q ended at %s", ErrEnded, id, rep.End.Format(time.RFC3339))
		case rep.Mode == ModeAnnounce:
			return rep, fmt.Errorf("%w: %q is announce", ErrNotClosed, id)
		case rep.Mode == ModeRehearse && rep.Phase == PhaseInProgress:
			return rep, fmt.Errorf("%w: %q is a rehearsal, and would have been quiet after %v", ErrNotClosed, id, rep.QuietAfter)
		case late:
			return rep, fmt.Errorf("downtime: waiting for quiet: %v: %w", rep, context.Cause(ctx))
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-g.done:
			return rep, ErrClosed
		}
	}
}
