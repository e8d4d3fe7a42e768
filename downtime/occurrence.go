package downtime

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// An occurrence is one occurrence of a window in this guard, from an hour before it is announced until an
// hour after its end. It is immutable, except for its tally: [occurrence.step] returns the next one.
type occurrence struct {
	schedule.Occurrence                     // with Start and End of this process
	documented          schedule.Occurrence // as in the last document that had it
	said                said
	phase               schedule.Phase // never PhaseDraining, which is measured: see stage
	began               time.Time      // when the guard first saw it in progress
	epoch               uint64         // of the view that first had it in progress; 0 means not yet
	clocks              clocks         // since it has been on
	skew                time.Duration  // the lead of the wall clock over the monotonic clock since then
	held                []drainedScope // scopes that stay closed though an edit has removed them
	withheld            []string       // fields of the document that are held back; "" means the whole window
	asks                bool           // it is passed to the quorum
	asked               bool           // it was, while in progress
	waits               bool           // it is closed before its start or after its end, until the quorum agrees
	unfinished          bool           // it ended with unfinished work
	ended               bool           // it is over by Complete or actual.end
	begun               bool           // its work has begun, here or in another replica
	gone                bool           // it is too far away, withdrawn, or long over, and is to be forgotten
	next                time.Time      // when the next step is due; zero means never by the clock
	overrunMax          time.Duration
	*tally
}

// clocks are two readings of the clocks.
type clocks struct {
	on    bool          // the window is on
	wall  time.Time     // when the window was first seen on
	mono  time.Duration // the same, by the monotonic clock
	split bool          // only one of the clocks has passed the window's end
	since time.Duration // by the monotonic clock, when that was first seen
}

type tally struct {
	refused  atomic.Int64 // requests and work that it refused or, in a rehearsal, would have refused
	bypassed atomic.Int64 // requests that bypassed it
	cut      atomic.Int64 // requests and work that were cut after Options.Grace
	quiet    atomic.Int64 // nanoseconds from began to quiet, plus one; 0 means not yet
	sealed   atomic.Bool  // it is quiet and nothing may begin until its end; set under running.sealing
	drained  atomic.Bool  // Drain has reported it quiet
}

// facts are the input of a step, together with the occurrence before.
type facts struct {
	now   time.Time     // by the wall clock
	mono  time.Duration // by the monotonic clock
	epoch uint64        // of the new view

	// From the document.
	planned     *schedule.Occurrence // this occurrence; may be nil
	lost        bool                 // it does not have the window
	ended       bool                 // actual.end has ended the occurrence
	allowShrink bool                 // the document says so

	command *said      // a new command; may be nil
	quorum  *agreement // nil: without a quorum
	working bool       // something that bypasses the window runs
	drained bool       // Drain has reported that the window is quiet

	reminders  []time.Duration
	overrunMax time.Duration
}

const (
	// lead is how long an occurrence is followed before it is announced and after its end.
	lead = time.Hour

	// setBack is how far a clock may be set back after a window's end until the window is in
	// progress again.
	setBack = time.Minute
)

// step returns the next occurrence for the facts. All changes of phase happen here.
func (o occurrence) step(f facts) occurrence {
	before := o.phase
	o.next, o.gone, o.overrunMax, o.withheld = time.Time{}, false, f.overrunMax, nil
	o.readClocks(f)
	if f.planned != nil {
		o.documented = *f.planned
	}
	if f.command != nil {
		o.said = *f.command
	}
	o.said = o.said.stillAbout(o.documented)
	holds := o.said.appliedTo(o.documented)
	hasPlan := f.planned != nil || o.said.isSaid() && !f.now.Before(o.documented.End)
	if o.isOn() && o.Window.Mode.Closes() && f.drained && !o.isEnded(f) && !f.allowShrink {
		holds, hasPlan = o.withhold(holds, f), true
	}
	watch := holds.Announced().Add(-lead - askAhead)
	coming := hasPlan && !o.isPast(holds.End, f)
	over := o.tally != nil && o.isPast(o.End, f)

	switch {
	case coming && f.now.Before(watch) && (o.tally == nil || !o.isAt(holds)) && !o.said.isSaid() && (f.quorum == nil || !f.quorum.all):
		o.due(f.now, watch) // too far away
		o.phase, o.gone = schedule.PhaseOpen, true
		return o
	case coming && !o.wasOver(holds, f.now):
		o.goOn(holds, f)
	case o.tally == nil: // over before it was followed
		o.Occurrence, o.phase, o.tally = holds, schedule.PhaseCompleted, &tally{}
		o.asked = f.quorum != nil && holds.Window.Mode.Closes() && !o.isEnded(f) && f.now.Before(o.End.Add(f.overrunMax))
	case o.phase == schedule.PhaseCompleted && o.asked && o.isHeldElsewhere(f):
		o.phase, o.began, o.epoch = schedule.PhaseOverrun, f.now, f.epoch
		o.due(f.now, o.End.Add(f.overrunMax))
	case o.phase == schedule.PhaseCompleted:
	case !over && o.phase.Before(schedule.PhaseInProgress): // withdrawn or cancelled
		o.phase, o.gone = schedule.PhaseWithdrawn, true
		return o
	case !over && o.isLocal() && f.lost && !f.allowShrink && !o.isEnded(f):
		// It began here by a command and was removed from the document. It is kept to its end, like
		// an occurrence that began by the document: see schedule.Keeping.
		o.due(f.now, o.End)
	case over && o.isOn() && o.isUnfinished(f) && !(f.lost && f.allowShrink) && o.Window.Overrun != schedule.OverrunReopen && !o.isPast(o.End.Add(f.overrunMax), f):
		if f.planned != nil && o.isLike(holds.Window) {
			o.Window = holds.Window // its texts may have changed
		}
		o.phase = schedule.PhaseOverrun
		o.due(f.now, o.End.Add(f.overrunMax))
	default:
		o.unfinished = over && o.isOn() && o.isUnfinished(f)
		if hasPlan { // the times at its end
			o.Start, o.End = holds.Start, holds.End
		}
		o.phase = schedule.PhaseCompleted
	}
	if !o.isOn() {
		o.clocks, o.skew, o.held, o.withheld = clocks{}, 0, nil, nil
		o.ended = o.isEnded(f)
	} else if !o.clocks.on {
		o.clocks = clocks{on: true, wall: f.now.Round(0), mono: f.mono}
	}
	o.begun = f.drained
	o.due(f.now, o.documented.Next(f.now)) // another occurrence may be pending then
	o.consult(f)
	remembered := min(f.now.Sub(o.End), f.now.Sub(o.documented.End))
	o.gone = o.phase == schedule.PhaseCompleted && before == o.phase && !o.asks && remembered > lead
	return o
}

// readClocks updates skew and clocks while the window is on.
func (o *occurrence) readClocks(f facts) {
	if !o.isOn() {
		return
	}
	o.skew = f.now.Round(0).Sub(o.clocks.wall) - (f.mono - o.clocks.mono)
	end := o.End
	if o.phase == schedule.PhaseOverrun {
		end = end.Add(f.overrunMax)
	}
	wall, mono := o.passed(end, f)
	if split := wall != mono; split != o.clocks.split {
		o.clocks.split, o.clocks.since = split, f.mono
	}
}

// passed reports which of the clocks has passed a time.
func (o *occurrence) passed(t time.Time, f facts) (wall, mono bool) {
	wall = !f.now.Before(t)
	return wall, !f.now.Add(-o.skew).Before(t)
}

// isPast reports whether a window with that end is over. A window that is on ends when both clocks have
// passed its end, so that a step of the wall clock does not open it. After overrunMax of disagreement only
// the wall clock counts. If Complete or actual.end has ended the window, one of the clocks is enough.
func (o *occurrence) isPast(end time.Time, f facts) bool {
	wall, mono := o.passed(end, f)
	if !o.isOn() || wall == mono {
		return wall
	}
	if o.isEnded(f) {
		return true
	}
	if o.isExhausted(f) {
		return wall
	}
	if wall { // the monotonic clock is behind
		o.due(f.now, end.Add(o.skew))
	}
	left := f.overrunMax
	if o.clocks.split {
		left -= f.mono - o.clocks.since
	}
	o.due(f.now, f.now.Add(left))
	return false
}

// isExhausted reports whether the clocks have disagreed for overrunMax.
func (o *occurrence) isExhausted(f facts) bool {
	return o.clocks.split && f.mono-o.clocks.since >= f.overrunMax
}

// goOn updates an occurrence that is not over.
//
// A clock that is set back does not undo a phase, because users have seen the announcement and Drain may
// have reported quiet. Only the document or a command can postpone the occurrence, and then it begins
// again.
func (o *occurrence) goOn(holds schedule.Occurrence, f facts) {
	phase := holds.Phase(f.now)
	if phase == schedule.PhaseCompleted { // only by the wall clock
		phase = schedule.PhaseInProgress
	}
	same := o.tally != nil && o.isLike(holds.Window)
	switch {
	case same && o.isAt(holds) && o.phase != schedule.PhaseCompleted && !(phase.Before(schedule.PhaseInProgress) && o.isExhausted(f)):
		if phase.Before(o.phase) {
			phase = o.phase
		}
	case same && o.phase.Before(schedule.PhaseInProgress):
	case same && o.phase != schedule.PhaseCompleted && phase == schedule.PhaseInProgress: // its times were edited
	default:
		drained := false // edits do not end the work of the occurrence
		if o.tally != nil && o.isOn() && f.drained && !f.allowShrink && phase == schedule.PhaseInProgress {
			drained = o.drained.Load()
			o.keepScope(holds.Window)
		}
		o.tally, o.began, o.epoch, o.asked, o.unfinished = &tally{}, time.Time{}, 0, false, false
		o.drained.Store(drained)
	}
	if f.allowShrink {
		o.held = nil
	}
	o.Occurrence, o.phase = holds, phase
	if o.isOn() && o.epoch == 0 {
		o.began, o.epoch = f.now, f.epoch
	}
	o.due(f.now, holds.Next(f.now))
	for _, r := range f.reminders {
		if r <= o.Window.Announce {
			o.due(f.now, o.Start.Add(-r))
		}
	}
}

func (o *occurrence) consult(f facts) {
	o.asks, o.waits = false, false
	if f.quorum == nil || !o.Window.Mode.Closes() {
		return
	}
	open := f.quorum.open[o.Window.ID]
	switch {
	case o.isOn():
		o.asks, o.asked = true, true
	case o.phase == schedule.PhaseCompleted:
		o.asked = o.asked && !open
		o.asks = o.asked || f.quorum.all
		o.waits = o.asks && !open
	default:
		// The quorum is asked askAhead before the answer is needed, so that the scope does not close
		// for a moment when the window becomes near.
		needed := o.Announced()
		if at := o.Start.Add(-lead); at.Before(needed) {
			needed = at
		}
		ask := needed.Add(-askAhead)
		o.asks = !f.now.Before(ask) || f.quorum.all
		o.waits = (!f.now.Before(needed) || f.quorum.all || f.quorum.refused[o.Window.ID]) && !open
		o.due(f.now, ask)
		o.due(f.now, needed)
	}
}

// due requests a step at t, unless that is past.
func (o *occurrence) due(now, t time.Time) {
	if t.After(now) && (o.next.IsZero() || t.Before(o.next)) {
		o.next = t
	}
}

func (o *occurrence) isAt(holds schedule.Occurrence) bool {
	return o.Start.Equal(holds.Start) && o.End.Equal(holds.End) &&
		o.Announced().Equal(holds.Announced()) && o.Cutoff().Equal(holds.Cutoff())
}

func (o *occurrence) isLike(w *schedule.Window) bool {
	return o.Window.Mode == w.Mode && o.Window.Scope.Key() == w.Scope.Key()
}

// wasOver reports whether the occurrence was over before the clock was set back by at most setBack.
func (o *occurrence) wasOver(holds schedule.Occurrence, now time.Time) bool {
	return o.tally != nil && o.phase == schedule.PhaseCompleted && o.isAt(holds) && o.isLike(holds.Window) && holds.End.Sub(now) <= setBack
}

// isHeldElsewhere reports whether another replica has unfinished work in an occurrence that is over here.
func (o *occurrence) isHeldElsewhere(f facts) bool {
	return f.drained && o.Window.Mode.Closes() && o.Window.Overrun != schedule.OverrunReopen &&
		!o.isEnded(f) && f.now.Before(o.End.Add(f.overrunMax))
}

func (o *occurrence) isEnded(f facts) bool { return f.ended || !o.said.completed.IsZero() }

func (o *occurrence) isUnfinished(f facts) bool {
	return o.Window.Mode.Closes() && !o.isEnded(f) && (f.drained || f.working)
}

// isOn reports whether the window is in progress, or overruns.
func (o *occurrence) isOn() bool {
	return o.phase == schedule.PhaseInProgress || o.phase == schedule.PhaseOverrun
}

// isShut reports whether the window refuses requests.
func (o *occurrence) isShut() bool { return o.Window.Mode.Closes() && (o.isOn() || o.waits) }

func (o *occurrence) rehearses() bool {
	return o.Window.Mode == schedule.ModeRehearse && o.phase == schedule.PhaseInProgress
}

// isLocal reports whether its times differ from the document's.
func (o *occurrence) isLocal() bool {
	return !o.Start.Equal(o.documented.Start) || !o.End.Equal(o.documented.End)
}

func (o *occurrence) isShown() bool { return o.phase != schedule.PhaseCompleted || o.asks }

// drains reports whether the window is in progress and was not quiet yet.
func (o *occurrence) drains() bool {
	return o.isOn() && o.Window.ID != "" && o.Window.Mode != schedule.ModeAnnounce && o.quiet.Load() == 0
}

// stage returns the phase, including PhaseDraining.
func (o *occurrence) stage() schedule.Phase {
	if o.phase == schedule.PhaseInProgress && o.drains() {
		return schedule.PhaseDraining
	}
	return o.phase
}

// end returns the planned end, which may be past. The zero time means unknown.
func (o *occurrence) end() time.Time {
	if o.waits && !o.isOn() {
		return time.Time{}
	}
	return o.End
}

// until returns when refused clients may come back. The zero time means soon.
func (o *occurrence) until() time.Time {
	if o.phase == schedule.PhaseOverrun {
		return o.End.Add(o.overrunMax)
	}
	return o.end()
}

func (o *occurrence) reason() string {
	switch w := o.Window; {
	case o.waits && !o.isOn():
		return "This part of the service is closed for a moment, until all of its replicas agree."
	case w.Message != "":
		return w.Message
	case w.Mode == schedule.ModeReadOnly:
		return "Changes are not possible during maintenance."
	}
	return "This part of the service is down for maintenance."
}

func (t *tally) quietAfter() (time.Duration, bool) {
	q := t.quiet.Load()
	return time.Duration(max(0, q-1)), q > 0
}

// standIn returns an occurrence in progress for the time until the document was read or the quorum has
// answered. Its window does not have an id.
func standIn(w *schedule.Window, since time.Time) *occurrence {
	return &occurrence{
		Occurrence: schedule.Occurrence{Planned: since, Start: since, Window: w},
		phase:      schedule.PhaseInProgress,
		tally:      &tally{},
	}
}

// said are the commands of Begin, Complete and Extend in this process. They hold until the document
// changes the same time.
type said struct {
	start, end       time.Time // as the document had them at the time of the command
	began            time.Time // by Begin
	until, completed time.Time // by Extend; by Complete
}

func (s said) isSaid() bool { return !s.began.IsZero() || !s.until.IsZero() || !s.completed.IsZero() }

// stillAbout returns the commands that still hold for the occurrence in the document.
func (s said) stillAbout(o schedule.Occurrence) said {
	if !o.Start.Equal(s.start) {
		s.began = time.Time{}
	}
	if !o.End.Equal(s.end) {
		s.until, s.completed = time.Time{}, time.Time{}
	}
	return s
}

func (s said) appliedTo(o schedule.Occurrence) schedule.Occurrence {
	o.Start, o.End = cmp.Or(s.began, o.Start), cmp.Or(s.completed, s.until, o.End)
	return o
}

type occurrenceKey struct {
	id      string
	planned int64
}

func keyOf(o schedule.Occurrence) occurrenceKey {
	return occurrenceKey{o.Window.ID, o.Planned.Unix()}
}

// A drainedScope is a scope that Drain has reported quiet and that an edit has removed from its window. It
// stays closed while the window is in progress or overruns.
type drainedScope struct {
	window *schedule.Window
	*tally
}

// withhold returns the occurrence without the edits that would open it while its work is unfinished. It
// sets withheld to the fields of these edits.
func (o *occurrence) withhold(holds schedule.Occurrence, f facts) schedule.Occurrence {
	over := o.isPast(o.End, f)
	if f.planned == nil {
		holds.Window = o.Window
		if !over {
			o.withheld = append(o.withheld, "")
		}
		return holds
	}
	if !holds.Window.Mode.Closes() {
		w := *holds.Window
		w.Mode = o.Window.Mode
		holds.Window = &w
		o.withheld = append(o.withheld, "mode")
	}
	switch {
	case holds.Start.After(o.Start) && f.now.Before(holds.Start):
		holds.Start, holds.End = o.Start, o.End
		o.withheld = append(o.withheld, "start")
	case !over && o.isPast(holds.End, f):
		holds.End = o.End
		o.withheld = append(o.withheld, "end")
	}
	return holds
}

// keepScope keeps scopes that Drain has reported quiet and that the new window does not include.
func (o *occurrence) keepScope(w *schedule.Window) {
	kept := []*schedule.Scope{&w.Scope}
	var held []drainedScope
	for _, h := range append(slices.Clone(o.held), drainedScope{o.Window, o.tally}) {
		if !slices.ContainsFunc(kept, func(s *schedule.Scope) bool { return includes(s, &h.window.Scope) }) {
			kept, held = append(kept, &h.window.Scope), append(held, h)
		}
	}
	o.held = held
}

// shadows returns a copy of the occurrence for each additional scope that it keeps closed.
func (o *occurrence) shadows() []*occurrence {
	var all []*occurrence
	for _, h := range o.held {
		w, shadow := *h.window, *o
		w.Mode = o.Window.Mode
		shadow.Window, shadow.tally, shadow.held = &w, h.tally, nil
		all = append(all, &shadow)
	}
	return all
}

// maxSkew is the disagreement of wall clock and monotonic clock above which it is a problem.
const maxSkew = time.Minute

func (o *occurrence) problems() []error {
	if !o.isOn() || o.Window.ID == "" {
		return nil
	}
	var problems []error
	add := func(field string, err error) {
		problems = append(problems, &schedule.Fault{Window: o.Window.ID, Field: field, Severity: schedule.SeverityWarning, Err: err})
	}
	for _, field := range o.withheld {
		err := errHeldBack
		if field == "" {
			err = errKept
		}
		add(field, err)
	}
	if len(o.held) > 0 {
		add("scope", errHeldBack)
	}
	if skew := o.skew.Abs(); skew > maxSkew {
		add("", fmt.Errorf("the wall clock and the monotonic clock disagree by %v since it began: it stays closed "+
			"until both have passed its end, or the wall clock has and %v have passed", skew.Round(time.Minute), o.overrunMax))
	}
	return problems
}

var (
	errHeldBack = errors.New("the edit is held back, because the work of the window is unfinished: to open it, set actual.end or call Complete")
	errKept     = errors.New("no longer takes place by the document, and is kept, because its work is unfinished: to open it, set actual.end or call Complete")
)

// includes reports whether the lists show that scope b is part of scope a.
func includes(a, b *schedule.Scope) bool {
	if a.IsEmpty() || b.IsEmpty() {
		return a.IsEmpty()
	}
	if !slices.Contains(a.Work, "*") && !within(a.Work, b.Work) {
		return false
	}
	if len(b.Paths)+len(b.Methods)+len(b.Hosts) == 0 {
		return true
	}
	if len(a.Paths)+len(a.Methods)+len(a.Hosts) == 0 {
		return false
	}
	list := func(a, b []string) bool { return len(a) == 0 || len(b) > 0 && within(a, b) }
	paths := len(a.Paths) == 0 || len(b.Paths) > 0
	for _, path := range b.Paths {
		paths = paths && (len(a.Paths) == 0 || slices.ContainsFunc(a.Paths, func(tree string) bool { return isBelow(path, tree) }))
	}
	return paths && list(a.Methods, b.Methods) && list(a.Hosts, b.Hosts)
}

// within reports whether all of b are in a.
func within(a, b []string) bool {
	return !slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) })
}

// isBelow reports whether a path is the pattern, or lies below a pattern that ends with "/**".
func isBelow(path, pattern string) bool {
	tree, ok := strings.CutSuffix(pattern, "/**")
	return path == pattern || ok && !strings.ContainsAny(tree, "{*%") && strings.HasPrefix(path+"/", tree+"/")
}
