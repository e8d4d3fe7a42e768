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

	// Occurrence is the reported one, with Start and End as they are in this process. Its Window is
	// nil when the document does not have the window.
	Occurrence schedule.Occurrence `json:"-"`

	// Quiet is true when nothing in the window's scope runs and nothing can begin. In a read-only
	// window only writes count. A rehearsal is never quiet. Once true, Quiet stays true until the
	// window ends, except while something runs that bypasses the window.
	Quiet bool

	// Busy is the number of requests and pieces of work in the window's scope that run.
	Busy int

	// Bypassed is how many of Busy bypass this or another window: see [Options].Bypass.
	Bypassed int

	// Oldest is the age of the oldest of Busy. It is exact to a tenth of a second from a minute
	// before the window's start on, and to a second before.
	Oldest time.Duration

	// Work is how many of Busy are of each kind: "http" for requests, and otherwise Work.Name.
	Work map[string]int

	// Local is true when Start or End is that of this process only, by [Guard.Begin],
	// [Guard.Complete] or [Guard.Extend], and the document says otherwise.
	Local bool

	// Waiting is true when the window's scope is closed before its start or after its end, because
	// the [Quorum] has not allowed it to be open.
	Waiting bool

	// Unfinished is true while the window is in progress or overruns, after [Guard.Drain] has
	// reported it quiet here or, with a [FleetQuorum], in another replica, until its work is
	// completed.
	Unfinished bool

	// Alone is true without a [Quorum]. Then Quiet, Unfinished and "overrun: hold" are about this
	// process only, and other replicas open at the end by their own clocks.
	Alone bool

	// Refused is how many requests and pieces of work this process has refused because of the
	// window or, in a rehearsal, would have refused.
	Refused int64

	// Cut is how many requests and pieces of work were cut because of the window after
	// [Options].Grace. Those that still run are in Busy.
	Cut int64

	// Uncut is how many of Busy cannot be cut after [Options].Grace: see there.
	Uncut int

	// QuietAfter is how long draining took, or would have taken in a rehearsal. Zero also means not
	// yet: see Phase.
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

// Report returns the state of a window in this process. If the window repeats, the report is about the
// occurrence in progress, or else the next one, or else the last one. The error is
// [ErrUnknownWindow].
func (g *Guard) Report(id string) (Report, error) {
	for {
		v := g.view.Load()
		rep, _, err := g.report(v, id)
		if err != nil || g.view.Load() == v { // otherwise it may not be quiet any more
			return rep, err
		}
	}
}

// Reports returns a report for each occurrence that matters now: first those in progress, the most
// restrictive before the others, then those that are closed or to come, then those that a command has
// moved and that are not near. A report without Window means that everything is closed, because no
// document has been read yet or the quorum has not answered.
func (g *Guard) Reports() []Report {
	for {
		v, now := g.view.Load(), time.Now()
		var reports, moved []Report
		for _, o := range v.shown {
			reports = append(reports, g.reportOn(o, now))
		}
		for _, o := range v.followed {
			if !o.isShown() && o.said.isSaid() {
				moved = append(moved, g.reportOn(o, now))
			}
		}
		slices.SortFunc(moved, func(a, b Report) int {
			return cmp.Or(cmp.Compare(a.Window, b.Window), a.Start.Compare(b.Start))
		})
		if g.view.Load() == v { // otherwise they may not be quiet any more
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
	case o.Window.ID == "": // see standIn
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
	b, sealed := g.running.measure(o, now)
	rep.Busy, rep.Bypassed, rep.Uncut, rep.Oldest, rep.Work = b.n, b.bypassed, b.uncut, b.oldest, b.kinds
	rep.Quiet = sealed && b.n == 0
	if o.tally != nil {
		rep.Phase = o.stage()
		rep.Unfinished = o.isOn() && o.Window.Mode.Closes() && (o.begun || o.drained.Load())
		rep.Refused, rep.Cut = o.refused.Load(), o.cut.Load()
		rep.QuietAfter, _ = o.quietAfter()
	}
	if was && !o.drains() {
		g.wake.ring() // for the event
	}
	return rep
}

// Drain waits until the window has begun and is quiet, and returns a report that says so. Then the
// migration may start, for this process. Drain may be called long before the window; ctx bounds the
// wait.
//
// From then on the window's work counts as unfinished until [Guard.Complete] is called here or the
// document has actual.end: see "Unfinished work" in the package comment. With a [FleetQuorum], Drain
// returns after the quorum has recorded that, or has failed.
//
// On an error, the report is never quiet. Errors are the cause of ctx's end, wrapped, with a report
// that says what still runs; [ErrEnded] when the window is over; [ErrUnknownWindow], also when the
// window is removed from the document before it begins; [ErrNotClosed] when the mode is announce, or
// when it is rehearse and the rehearsal would be quiet, with [Report].QuietAfter; and [ErrClosed].
func (g *Guard) Drain(ctx context.Context, id string) (Report, error) {
	for {
		// First, so that a change after the report is not missed.
		changed := g.changed.next()
		late := ctx.Err() != nil
		v := g.view.Load()
		rep, o, err := g.report(v, id)
		switch {
		case g.view.Load() != v, rep.Quiet && !g.noteDrained(v, o):
			continue // the report may be outdated
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
		g.wake.ring() // for the quorum
	}
	return true
}
