package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Window is planned work that stops part of a system, as its document says it.
// A Window is read-only.
type Window struct {
	ID      string
	Title   string // a few words; empty: the ID stands in
	Message string // for users, in refusals and on status pages
	Owner   string // whom to ask
	Runbook string // an http or https URL; empty: none

	// Start is the planned start; if the window repeats, that of the first day that Repeat
	// hits. A wall clock time of the document has become an instant by RFC 5545 §3.3.5. Its
	// location is Timezone.
	Start    time.Time
	Timezone *time.Location // UTC when the document names none
	Duration time.Duration  // exact: two hours are two hours across any change of clocks

	// Repeat is the rule by which the window takes place again, as RFC 5545 §3.3.10
	// writes it: "FREQ=WEEKLY;BYDAY=TU". Empty: once.
	Repeat string

	Announce time.Duration // how long before the start it is shown; 0: not ahead
	Cutoff   time.Duration // how long before the start long work is refused; 0: at the start
	Rollback time.Duration // from the start to the point of no return; 0: none stated

	Mode    Mode
	Scope   Scope
	Overrun Overrun // when work is unfinished at the end
	Actual  Actual

	recurrence *recurrence // nil: once
}

// Actual is what operators wrote down because things went otherwise than planned. Zero means
// not written.
//
// If the window repeats, it concerns one occurrence. With Begin that is the one in which Begin
// lies by the plan, else the one whose planned start is nearest. Without Begin it is the last one
// planned at or before the earlier of End and Until, so an extension beyond the next planned
// start needs Begin. An End alone that is more than six hours after the planned end, and more
// than the duration, is refused, because it is meant for another occurrence. If an extension
// reaches into the next occurrence, both are in progress.
type Actual struct {
	Begin time.Time // the window begins then, earlier or later than planned
	End   time.Time // the window is over then
	Until time.Time // the end is moved to then: an extension, or a shorter window
}

// A Mode says what a window does to what is in its scope. The empty Mode means
// ModeClosed.
type Mode string

// The modes, the most restrictive first.
const (
	// ModeClosed refuses everything. It is the default of a document.
	ModeClosed Mode = "closed"
	// ModeReadOnly refuses what writes, and lets reads pass.
	ModeReadOnly Mode = "read-only"
	// ModeRehearse refuses nothing. It counts what ModeClosed would have refused, and
	// how long quiet would have taken: try a window a week ahead.
	ModeRehearse Mode = "rehearse"
	// ModeAnnounce refuses nothing, and is only shown.
	ModeAnnounce Mode = "announce"
)

var modes = []Mode{ModeClosed, ModeReadOnly, ModeRehearse, ModeAnnounce}

// String gives the document's word for the mode.
func (m Mode) String() string { return string(cmp.Or(m, ModeClosed)) }

// Closes reports whether the mode ever refuses anything.
func (m Mode) Closes() bool { return m == "" || m == ModeClosed || m == ModeReadOnly }

// compare puts the more restrictive mode first.
func (m Mode) compare(o Mode) int {
	return cmp.Compare(slices.Index(modes, Mode(m.String())), slices.Index(modes, Mode(o.String())))
}

// Overrun says what becomes of a window that closes, when the work it is for is
// unfinished at its end. The empty Overrun means OverrunHold.
type Overrun string

// The ways to overrun.
const (
	// OverrunHold keeps closed what is closed, for a stated time at most, and says so. It
	// is the default of a document.
	OverrunHold Overrun = "hold"
	// OverrunReopen opens at the end, whatever is unfinished.
	OverrunReopen Overrun = "reopen"
)

// String gives the document's word for it.
func (o Overrun) String() string { return string(cmp.Or(o, OverrunHold)) }

// A Phase is how far a window has come. The empty Phase means PhaseOpen, "planned".
type Phase string

// The phases of a window, in the order in which it goes through them.
const (
	// PhaseOpen is before anything is shown or refused. Its text is "planned", because a window
	// that is not near is not open.
	PhaseOpen Phase = "planned"
	// PhaseAnnounced is from Announce before the start: shown, nothing refused.
	PhaseAnnounced Phase = "announced"
	// PhaseCutoff is from Cutoff before the start: work declared long is refused.
	PhaseCutoff Phase = "cutoff"
	// PhaseDraining is from the start until nothing in scope runs any more: nothing new
	// begins, what is in flight finishes. Only a guard can tell; a [Schedule] says
	// PhaseInProgress from the start.
	PhaseDraining Phase = "draining"
	// PhaseInProgress is until the end.
	PhaseInProgress Phase = "in progress"
	// PhaseOverrun is after the end, when the window is held closed because its work is
	// unfinished. Only a guard can tell; a [Schedule] says PhaseCompleted.
	PhaseOverrun Phase = "overrun"
	// PhaseCompleted is from the end on.
	PhaseCompleted Phase = "completed"
	// PhaseWithdrawn is when the document or a command has called the window off before its
	// start. Only events of a guard have it.
	PhaseWithdrawn Phase = "withdrawn"
)

var phases = []Phase{
	PhaseOpen, PhaseAnnounced, PhaseCutoff, PhaseDraining, PhaseInProgress, PhaseOverrun, PhaseCompleted, PhaseWithdrawn,
}

// String gives the phase in plain words: "in progress".
func (p Phase) String() string { return string(cmp.Or(p, PhaseOpen)) }

// Before reports whether a window goes through p before it goes through o.
func (p Phase) Before(o Phase) bool {
	return slices.Index(phases, Phase(p.String())) < slices.Index(phases, Phase(o.String()))
}

// An Occurrence is one time that a window takes place.
type Occurrence struct {
	// Planned is the start that the document plans, before [Window].Actual. Window and Planned
	// identify an occurrence, however it goes.
	Planned time.Time

	// As planned, or as [Window].Actual says. End is exclusive.
	Start, End time.Time
	Window     *Window
}

// Announced is when the occurrence is first shown; its cutoff when that is earlier.
func (o Occurrence) Announced() time.Time {
	return o.Start.Add(-max(o.Window.Announce, o.Window.Cutoff))
}

// Cutoff is when long work is refused from.
func (o Occurrence) Cutoff() time.Time { return o.Start.Add(-o.Window.Cutoff) }

// Rollback is the point of no return, the zero time when the window states none.
func (o Occurrence) Rollback() time.Time {
	if o.Window.Rollback == 0 {
		return time.Time{}
	}
	return o.Start.Add(o.Window.Rollback)
}

// Phase is the occurrence's phase at t, by the clock alone: never PhaseDraining.
func (o Occurrence) Phase(t time.Time) Phase {
	switch {
	case !t.Before(o.End):
		return PhaseCompleted
	case !t.Before(o.Start):
		return PhaseInProgress
	case !t.Before(o.Cutoff()):
		return PhaseCutoff
	case !t.Before(o.Announced()):
		return PhaseAnnounced
	}
	return PhaseOpen
}

// Next is when the phase after that at t begins. The zero time means never.
func (o Occurrence) Next(t time.Time) time.Time {
	for _, at := range [...]time.Time{o.Announced(), o.Cutoff(), o.Start, o.End} {
		if at.After(t) {
			return at
		}
	}
	return time.Time{}
}

func (w *Window) occurrence() Occurrence {
	return Occurrence{Planned: w.Start, Start: w.Start, End: w.Start.Add(w.Duration), Window: w}.as(w.Actual)
}

// as is the occurrence as it went. Beginning early or late does not move the end that users
// were told.
func (o Occurrence) as(a Actual) Occurrence {
	if !a.Begin.IsZero() {
		o.Start = a.Begin
	}
	if !a.Until.IsZero() {
		o.End = a.Until
	}
	if !a.End.IsZero() {
		o.End = a.End
	}
	return o
}

// check refuses an end before the begin. An occurrence that was called off ends when it begins.
func (o Occurrence) check() error {
	if o.End.Before(o.Start) || o.End.Equal(o.Start) && o.Window.Actual.End.IsZero() {
		return fmt.Errorf("the window would end, %s, before it begins, %s",
			o.End.Format(time.RFC3339), o.Start.Format(time.RFC3339))
	}
	return nil
}

// Actual is what operators wrote of this occurrence: Window.Actual, or nothing when
// that concerns another one.
func (o Occurrence) Actual() Actual {
	r := o.Window.recurrence
	if r != nil && r.isAdjusted(o.Planned) || r == nil && o.Window.Start.Equal(o.Planned) {
		return o.Window.Actual
	}
	return Actual{}
}

// kept is the occurrence as that of a window of its own, which does not repeat.
func (o Occurrence) kept() Occurrence {
	w := *o.Window
	w.Start, w.Repeat, w.recurrence = o.Planned, "", nil
	w.Actual = Actual{Begin: o.Start, Until: o.End}
	return w.occurrence()
}

// Name is what to call the window in front of people: its title, else its id.
func (w *Window) Name() string {
	if w.Title != "" {
		return w.Title
	}
	return w.ID
}
