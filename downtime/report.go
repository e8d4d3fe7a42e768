package downtime

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/cleantext"
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

	// Quiet is true when nothing in the window's scope runs and nothing can begin. In a
	// read-only window only what writes counts. A rehearsal is never quiet. Once true, it stays true until the window ends, except while something runs that an
	// operator lets in by a bypass.
	Quiet bool

	// Busy is how many requests and pieces of work in the window's scope are in flight.
	Busy int

	// Bypassed is how many of Busy were let in by [Options].Bypass though the window, or
	// another, refused them.
	Bypassed int

	// Oldest is the age of the oldest of Busy, to a tenth of a second from a minute
	// before the window's start on, to a second otherwise.
	Oldest time.Duration

	// Work is how many of Busy are of each kind: "http" for requests, else Work.Name.
	Work map[string]int

	// Local is true when Start or End is that of this process only, by [Guard.Begin],
	// [Guard.Complete] or [Guard.Extend], and the document says otherwise.
	Local bool

	// Waiting is true when the window's scope is closed before its start or after its
	// end, because the [Quorum] has not said that it may be open.
	Waiting bool

	// Unfinished is true while the window is in progress or overruns, after [Guard.Drain] has
	// reported it quiet here or, with a [FleetQuorum], in another replica, until its work is
	// completed.
	Unfinished bool

	// Alone is true when the guard has no [Quorum]. Then Quiet, Unfinished and "overrun: hold" are
	// about this process only: other replicas open at the end by their own clocks.
	Alone bool

	// Refused is how many requests and pieces of work this process has refused because
	// of the window; of a rehearsal, how many it would have refused.
	Refused int64

	// Cut is how many requests and pieces of work were cut because of the window when
	// [Options].Grace was over. Those that do not end all the same are among Busy.
	Cut int64

	// Uncut is how many of Busy still run though [Options].Grace is over, and cannot be cut: see
	// there.
	Uncut int

	// QuietAfter is how long after it closed the window was first seen quiet; of a
	// rehearsal, would have been. Zero also means not yet: see Phase.
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
	}
	if r.Cut > 0 {
		fmt.Fprintf(&b, ", %d cut", r.Cut)
	}
	if r.Uncut > 0 {
		fmt.Fprintf(&b, ", %d cannot be cut", r.Uncut)
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
		v := g.view.Load()
		rep, _, err := g.report(v, id)
		if err != nil || g.view.Load() == v { // else the state that makes it quiet may no longer hold
			return rep, err
		}
	}
}

// Reports says how the occurrences stand that matter now: those in progress first, the most
// restrictive before the others, then those that are closed or to come, then those that a
// command has moved and that are not near. A report without Window says that all is closed,
// because no document has been read yet or the quorum has not answered.
func (g *Guard) Reports() []Report {
	for {
		v, now := g.view.Load(), time.Now()
		var reports, moved []Report
		for _, o := range v.shown {
			reports = append(reports, g.reportOn(o, now))
		}
		for _, o := range v.known {
			if !o.isShown() && o.said.isSaid() {
				moved = append(moved, g.reportOn(o, now))
			}
		}
		slices.SortFunc(moved, func(a, b Report) int {
			return cmp.Or(cmp.Compare(a.Window, b.Window), a.Start.Compare(b.Start))
		})
		if g.view.Load() == v { // else the state that makes them quiet may no longer hold
			return append(reports, moved...)
		}
	}
}

func (g *Guard) report(v *view, id string) (Report, *occurrence, error) {
	now := time.Now()
	o := v.named(id)
	if o == nil {
		var w *schedule.Window
		if v.schedule != nil {
			w = v.schedule.Window(id)
		}
		if w == nil {
			return Report{Window: id}, nil, fmt.Errorf("%w %q", ErrUnknownWindow, cleantext.Clip(id, 80))
		}
		o = v.current(w, now)
	}
	return g.reportOn(o, now), o, nil
}

func (g *Guard) reportOn(o *occurrence, now time.Time) Report {
	rep := Report{
		Window: o.Window.ID, Mode: o.Window.Mode, Phase: o.phase, Start: o.Start, End: o.End,
		Occurrence: o.Occurrence, Local: o.isLocal(), Waiting: o.waits && !o.isOn(), Alone: g.asker == nil,
	}
	switch {
	case o.Window.ID == "": // it stands in for a window
		rep.Waiting = true
		return rep
	case o.phase == schedule.PhaseCompleted && !o.asks:
		return rep
	case o.tally == nil: // it is not near
		rep.Phase = schedule.PhaseOpen
		if !now.Before(o.End) {
			rep.Phase = schedule.PhaseCompleted
			return rep
		}
	}
	was := o.drains()
	b, sealed := g.running.look(o, now)
	rep.Busy, rep.Bypassed, rep.Uncut, rep.Oldest, rep.Work = b.n, b.bypassed, b.uncut, b.oldest, b.kinds
	rep.Quiet = sealed && b.n == 0
	if o.tally != nil {
		rep.Phase = o.stage()
		rep.Unfinished = o.isOn() && o.Window.Mode.Closes() && (o.begun || o.drained.Load())
		rep.Refused, rep.Cut = o.refused.Load(), o.cut.Load()
		rep.QuietAfter, _ = o.quietAfter()
	}
	if was && !o.drains() {
		g.wake.ring() // others are to be notified
	}
	return rep
}

// Drain waits until the window has begun and is quiet, and returns a report that says so: now
// the migration may start, as far as this process goes. It may be called long before the
// window; ctx bounds the wait.
//
// From then on the window's work counts as begun, and as unfinished until [Guard.Complete] is
// called here or the document has actual.end: see [Guard]. With a [FleetQuorum] Drain returns
// when that has taken note of it, or does not answer.
//
// With an error the report is never quiet. The error is the cause of ctx's end, wrapped, with
// the report saying what is in the way; [ErrEnded] when the window is over; [ErrUnknownWindow],
// also when the window is taken from the document before it begins; [ErrNotClosed] when its
// mode is announce and, once a rehearsal would have been quiet, when it is rehearse, with
// [Report].QuietAfter saying how long that took; [ErrClosed].
func (g *Guard) Drain(ctx context.Context, id string) (Report, error) {
	for {
		// In this order: what changes after the report is heard.
		changed := g.changed.next()
		late := ctx.Err() != nil
		v := g.view.Load()
		rep, o, err := g.report(v, id)
		switch {
		case g.view.Load() != v, rep.Quiet && !g.noteDrained(v, o):
			continue // what was reported may no longer hold
		case err != nil:
			return rep, err
		case rep.Quiet && (late || !g.needsMark(o)):
			return rep, nil
		case rep.Quiet:
		case rep.Phase == schedule.PhaseCompleted:
			return rep, fmt.Errorf("%w: %q ended at %s", ErrEnded, id, rep.End.Format(time.RFC3339))
		case rep.Mode == schedule.ModeAnnounce:
			return rep, fmt.Errorf("%w: %q is announce", ErrNotClosed, id)
		case rep.Mode == schedule.ModeRehearse && rep.Phase == schedule.PhaseInProgress:
			return rep, fmt.Errorf("%w: %q is a rehearsal, and would have been quiet after %v", ErrNotClosed, id, rep.QuietAfter)
		case late && rep.Phase.Before(schedule.PhaseDraining):
			return rep, fmt.Errorf("downtime: window %q begins at %s and has not begun: %w", id, rep.Start.Format(time.RFC3339), context.Cause(ctx))
		case late:
			return rep, fmt.Errorf("downtime: waiting for quiet: %v: %w", rep, context.Cause(ctx))
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-g.lifetime.Done():
			return rep, ErrClosed
		}
	}
}

func (g *Guard) noteDrained(v *view, o *occurrence) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.view.Load() != v {
		return false
	}
	if !o.drained.Swap(true) {
		g.wake.ring() // a fleet is to be told
	}
	return true
}
