package downtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A Report says whether one window is quiet in this process, at one moment.
type Report struct {
	Window     string // id
	Mode       schedule.Mode
	Phase      schedule.Phase
	Start, End time.Time

	// Occurrence is the one reported on, with Start and End as they are in this process. Its
	// Window is nil when the document has none of that id.
	Occurrence schedule.Occurrence `json:"-"`

	// Quiet is true when nothing in the window's scope runs and nothing can begin: the
	// window is in progress or overruns, it refuses, and Busy is 0. In a read-only window
	// only what writes counts. A rehearsal is never quiet.
	//
	// Once it has been said, it holds to the window's end, but for what an operator lets
	// in by a bypass: while that runs the window is busy again.
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

	// Local is true when Start and End, or one of them, are those of this process only:
	// [Guard.Begin], [Guard.Complete] or [Guard.Extend] was called here, and the document
	// says otherwise.
	Local bool

	// Waiting is true when the window's scope is closed before its start or after its
	// end, because the [Quorum] has not said that it may be open.
	Waiting bool

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
	case r.Quiet && r.Phase == schedule.PhaseOverrun:
		b.WriteString(": quiet, and over its time")
	case r.Quiet:
		b.WriteString(": quiet")
	case r.Busy == 0:
		fmt.Fprintf(&b, ": %v, nothing in flight", r.Phase)
	default:
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
	}
	if r.Waiting {
		b.WriteString(", closed until the quorum agrees")
	}
	if r.Local {
		b.WriteString(" (by times of this process only)")
	}
	return b.String()
}

// Report says how the window stands in this process: of a window that repeats, the
// occurrence in progress, else the next, else the last. The error is
// [ErrUnknownWindow].
func (g *Guard) Report(id string) (Report, error) {
	for {
		s := g.now.Load()
		rep, _, err := g.report(s, id)
		if err != nil || g.now.Load() == s { // else the state that makes it quiet may no longer hold
			return rep, err
		}
	}
}

// report looks at one window of a snapshot; progress is nil when it is not near.
func (g *Guard) report(s *snapshot, id string) (Report, *progress, error) {
	now := time.Now()
	if n := s.named(id); n != nil {
		return g.look(n, now), n.progress, nil
	}
	var w *schedule.Window
	if s.schedule != nil {
		w = s.schedule.Window(id)
	}
	if w == nil {
		return Report{Window: id}, nil, fmt.Errorf("%w %q", ErrUnknownWindow, clip(id))
	}
	o, isLocal := s.localized(s.schedule.Current(w, now))
	rep := newReport(o, schedule.PhaseOpen)
	rep.Local = isLocal
	if !now.Before(o.End) {
		rep.Phase = schedule.PhaseCompleted
		return rep, nil, nil
	}
	g.count(&rep, w, false)
	return rep, nil, nil
}

// named is the window of that id that is near: what is in progress comes before what
// is over, and that before what is to come.
func (s *snapshot) named(id string) *near {
	for _, n := range s.near {
		if n.Window.ID == id && id != "" {
			return n
		}
	}
	return nil
}

func newReport(o schedule.Occurrence, phase schedule.Phase) Report {
	return Report{Window: o.Window.ID, Mode: o.Window.Mode, Phase: phase, Start: o.Start, End: o.End, Occurrence: o}
}

// look reports on a window that is near, and notes when it is first quiet. The
// snapshot that n is of must have been published before: only then does what is not
// counted not run.
func (g *Guard) look(n *near, now time.Time) Report {
	rep := newReport(n.Occurrence, n.Phase)
	closes := n.isOn() && n.Window.Mode.Closes()
	sealed := closes && n.progress.gate.Load() == gateSealed
	g.count(&rep, n.Window, sealed)
	if rep.Busy == 0 && !sealed {
		switch {
		case closes:
			if sealed = g.seal(n, now); !sealed { // something was handed on, past the eye
				rep.Busy, rep.Unsure, rep.Oldest, rep.Work = 0, 0, 0, nil
				g.count(&rep, n.Window, false)
			}
		case n.drains():
			n.progress.noteQuiet(now)
		}
	}
	rep.Phase = n.phase()
	rep.Quiet = sealed && rep.Busy == 0
	rep.Local, rep.Waiting = n.local, n.waits && !n.isOn()
	rep.Refused = n.progress.refused.Load()
	rep.QuietAfter, _ = n.progress.quietAfter()
	return rep
}

// noteQuiet notes when it was first quiet.
func (p *progress) noteQuiet(now time.Time) {
	p.quiet.CompareAndSwap(0, max(0, int64(now.Sub(p.began)))+1)
}

// seal finds out whether the window is quiet for good, and makes it so.
//
// That all counts were found zero, one after the other, is not enough: work that was
// admitted may have been handed on by [Guard.Hold] from a count not yet looked at to
// one that was, and ended. So the gate is shut first and the counts are looked at again.
// Whoever is counted then was so when the gate was shut, because nobody passes it:
// Enter and handlers see the window, Hold waits until it is known what becomes of the
// gate. So of what runs nothing can escape the second look, and if that finds
// nothing, nothing will ever run.
func (g *Guard) seal(n *near, now time.Time) bool {
	g.sealing.Lock()
	defer g.sealing.Unlock()
	p := n.progress
	if p.gate.Load() == gateSealed {
		return true
	}
	p.gate.Store(gateSealing)
	var rep Report
	g.count(&rep, n.Window, false)
	if rep.Busy > 0 {
		p.gate.Store(gateOpen)
		return false
	}
	p.noteQuiet(now)
	p.gate.Store(gateSealed)
	g.ring() // it is to be told
	return true
}

// count adds up what is in the window's way. Once it is sealed that is what bypasses
// it: what else is counted is about to be turned away.
func (g *Guard) count(rep *Report, w *schedule.Window, sealed bool) {
	g.running.each(time.Since(g.begun), func(c *class, age time.Duration) {
		counts, unsure := c.counts(w)
		if !counts || sealed && !c.bypassed {
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
// From then on the work that the window is for counts as begun. It is unfinished until
// [Guard.Complete] is called here or the document has actual.end; see [Guard] for what
// becomes of a window that ends before.
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
		s := g.now.Load()
		rep, p, err := g.report(s, id)
		switch {
		case g.now.Load() != s, rep.Quiet && !g.noteDrained(s, p):
			continue // what was reported may no longer hold
		case err != nil:
			return rep, err
		case rep.Quiet:
			return rep, nil
		case rep.Phase == schedule.PhaseCompleted:
			return rep, fmt.Errorf("%w: %q ended at %s", ErrEnded, id, rep.End.Format(time.RFC3339))
		case rep.Mode == schedule.ModeAnnounce:
			return rep, fmt.Errorf("%w: %q is announce", ErrNotClosed, id)
		case rep.Mode == schedule.ModeRehearse && rep.Phase == schedule.PhaseInProgress:
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

// noteDrained notes that somebody is told quiet, unless the snapshot in which it is has
// been replaced.
func (g *Guard) noteDrained(s *snapshot, p *progress) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now.Load() != s {
		return false
	}
	p.drained = true
	return true
}
