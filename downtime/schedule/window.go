package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Window is planned work that stops part of a system, as its document defines it. It is
// read-only.
type Window struct {
	ID      string
	Title   string // a few words. Empty means that Name returns the ID.
	Message string // for users, in refusals and on status pages
	Owner   string // the person or team to ask
	Runbook string // an http or https URL. Empty means none.

	// Start is the planned start; if the window repeats, the start of its first occurrence by
	// Repeat. A wall clock time of the document was mapped to an instant by RFC 5545 §3.3.5. Its
	// location is Timezone.
	Start    time.Time
	Timezone *time.Location // UTC if the document does not name a zone
	Duration time.Duration  // exact: two hours are two hours across any change of clocks

	// Repeat is the rule by which the window repeats, in the form of RFC 5545 §3.3.10:
	// "FREQ=WEEKLY;BYDAY=TU". Empty means that the window takes place once.
	Repeat string

	Announce time.Duration // how long before the start it is shown. Zero means from the start.
	Cutoff   time.Duration // how long before the start long work is refused. Zero means from the start.
	Rollback time.Duration // from the start to the point of no return. Zero means not stated.

	Mode    Mode
	Scope   Scope
	Overrun Overrun // what happens if work is unfinished at the end
	Actual  Actual

	recurrence *recurrence // nil means that the window takes place once
}

// Actual holds the times that operators wrote when a window did not go as planned. The zero
// time means not written.
//
// If the window repeats, Actual changes one occurrence. With Begin, that is the occurrence whose
// planned time contains Begin, or else the one with the nearest planned start. Without Begin, it
// is the last one planned at or before the earlier of End and Until, so an extension beyond the
// next planned start needs Begin. An End alone is refused if it is more than six hours, and more
// than the duration, after the planned end, because it was meant for another occurrence. If an
// extension reaches into the next occurrence, both are in progress.
type Actual struct {
	Begin time.Time // the window begins at this time, earlier or later than planned
	End   time.Time // the window ends at this time; it wins over Until
	Until time.Time // the planned end is moved to this time: an extension, or a shorter window
}

// A Mode says what a window does to the requests and the work in its scope. Empty means
// ModeClosed.
type Mode string

// The modes, the most restrictive first.
const (
	// ModeClosed refuses everything. It is the default of a document.
	ModeClosed Mode = "closed"
	// ModeReadOnly refuses writes and admits reads.
	ModeReadOnly Mode = "read-only"
	// ModeRehearse refuses nothing. It counts what ModeClosed would have refused, and
	// measures how long quiet would have taken. Use it to try a window a week ahead.
	ModeRehearse Mode = "rehearse"
	// ModeAnnounce refuses nothing and is only shown.
	ModeAnnounce Mode = "announce"
)

var modes = []Mode{ModeClosed, ModeReadOnly, ModeRehearse, ModeAnnounce}

// String returns the document's word for the mode.
func (m Mode) String() string { return string(cmp.Or(m, ModeClosed)) }

// Closes reports whether the mode refuses anything.
func (m Mode) Closes() bool { return m == "" || m == ModeClosed || m == ModeReadOnly }

// compare puts the more restrictive mode first.
func (m Mode) compare(o Mode) int {
	return cmp.Compare(slices.Index(modes, Mode(m.String())), slices.Index(modes, Mode(o.String())))
}

// Overrun says what happens at the end of a window that closes, if its work is unfinished.
// Empty means OverrunHold.
type Overrun string

// The ways to overrun.
const (
	// OverrunHold keeps the scope closed, at most for the guard's limit, and logs that. It is the
	// default of a document.
	OverrunHold Overrun = "hold"
	// OverrunReopen opens at the end, even if work is unfinished.
	OverrunReopen Overrun = "reopen"
)

// String returns the document's word for it.
func (o Overrun) String() string { return string(cmp.Or(o, OverrunHold)) }

// A Phase is how far a window has progressed. Empty means PhaseOpen, "planned".
type Phase string

// The phases of a window, in the order in which it goes through them.
const (
	// PhaseOpen is before anything is shown or refused. Its text is "planned", because "open"
	// would suggest that the window has begun.
	PhaseOpen Phase = "planned"
	// PhaseAnnounced is from Announce before the start: shown, nothing refused.
	PhaseAnnounced Phase = "announced"
	// PhaseCutoff is from Cutoff before the start: work declared long is refused.
	PhaseCutoff Phase = "cutoff"
	// PhaseDraining is from the start until nothing in scope runs: no new work begins, and
	// running work finishes. Only a guard reports it; a [Schedule] reports PhaseInProgress from
	// the start.
	PhaseDraining Phase = "draining"
	// PhaseInProgress is until the end.
	PhaseInProgress Phase = "in progress"
	// PhaseOverrun is after the end, while the window is held closed because its work is
	// unfinished. Only a guard reports it; a [Schedule] reports PhaseCompleted.
	PhaseOverrun Phase = "overrun"
	// PhaseCompleted is from the end on.
	PhaseCompleted Phase = "completed"
	// PhaseWithdrawn is after the document or a command cancelled the window before its start.
	// Only events of a guard have it.
	PhaseWithdrawn Phase = "withdrawn"
)

var phases = []Phase{
	PhaseOpen, PhaseAnnounced, PhaseCutoff, PhaseDraining, PhaseInProgress, PhaseOverrun, PhaseCompleted, PhaseWithdrawn,
}

// String returns the phase in plain words: "in progress".
func (p Phase) String() string { return string(cmp.Or(p, PhaseOpen)) }

// Before reports whether a window goes through p before it goes through o.
func (p Phase) Before(o Phase) bool {
	return slices.Index(phases, Phase(p.String())) < slices.Index(phases, Phase(o.String()))
}

// An Occurrence is one time that a window takes place.
type Occurrence struct {
	// Planned is the planned start, without [Window].Actual. Window and Planned identify an
	// occurrence, even if its start or end is moved.
	Planned time.Time

	// Start and End are as planned, or as [Window].Actual says. End is exclusive.
	Start, End time.Time
	Window     *Window
}

// Announced returns when the occurrence is first shown: Announce before the start, or the cutoff
// if that is earlier.
func (o Occurrence) Announced() time.Time {
	return o.Start.Add(-max(o.Window.Announce, o.Window.Cutoff))
}

// Cutoff returns the time from which long work is refused.
func (o Occurrence) Cutoff() time.Time { return o.Start.Add(-o.Window.Cutoff) }

// Rollback returns the point of no return. The zero time means not stated.
func (o Occurrence) Rollback() time.Time {
	if o.Window.Rollback == 0 {
		return time.Time{}
	}
	return o.Start.Add(o.Window.Rollback)
}

// Phase returns the occurrence's phase at t by the clock alone: never PhaseDraining or
// PhaseOverrun.
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

// Next returns when the phase after the phase at t begins. The zero time means never.
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

// as applies Actual. An early or late begin does not move the end, because the end was announced
// to users.
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

// check refuses an end before the begin. A cancelled occurrence ends when it begins.
func (o Occurrence) check() error {
	if o.End.Before(o.Start) || o.End.Equal(o.Start) && o.Window.Actual.End.IsZero() {
		return fmt.Errorf("the window would end, %s, before it begins, %s",
			o.End.Format(time.RFC3339), o.Start.Format(time.RFC3339))
	}
	return nil
}

// Actual returns what operators wrote about this occurrence: Window.Actual, or the zero Actual if
// that is about a different occurrence.
func (o Occurrence) Actual() Actual {
	r := o.Window.recurrence
	if r != nil && r.isAdjusted(o.Planned) || r == nil && o.Window.Start.Equal(o.Planned) {
		return o.Window.Actual
	}
	return Actual{}
}

// kept returns the occurrence as that of a separate window, which does not repeat.
func (o Occurrence) kept() Occurrence {
	w := *o.Window
	w.Start, w.Repeat, w.recurrence = o.Planned, "", nil
	w.Actual = Actual{Begin: o.Start, Until: o.End}
	return w.occurrence()
}

// Name returns the window's name for people: its title, or else its id.
func (w *Window) Name() string {
	if w.Title != "" {
		return w.Title
	}
	return w.ID
}
