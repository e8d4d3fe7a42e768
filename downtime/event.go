package downtime

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// An Event is a change in a guard. [Guard.Events] yields them. Fields that do not apply are zero.
type Event struct {
	Kind EventKind
	Time time.Time // when the guard noticed it

	// The window and its occurrence. Window and Planned together identify an occurrence.
	Window             string // id
	Title, Message     string
	Owner, Runbook     string
	Mode               schedule.Mode
	Planned            time.Time
	Start, End         time.Time
	Local              bool           // the times are those of this process only: see Report
	Phase, Previous    schedule.Phase // equal except in an EventPhase
	QuietAfter         time.Duration
	Before             time.Duration // of a reminder: the time to the start
	Unfinished         bool          // the window has reached its end with unfinished work
	Revision, Document string        // of EventDocument: see there
	Problem            string        // of EventProblem: its text

	// Missed is how many events were dropped before this one, because the subscriber was too slow.
	Missed int
}

// EventKind says what an [Event] is about. The empty EventKind means EventPhase.
type EventKind string

// The kinds of events.
const (
	// EventPhase is a window's change from one phase to another. Phases without duration are left
	// out. A window that is postponed returns to the phase of its new start. A window that is
	// cancelled before its start becomes schedule.PhaseWithdrawn; a window that ends becomes
	// schedule.PhaseCompleted. With schedule.PhaseInProgress, QuietAfter is how long draining took.
	EventPhase EventKind = "phase"
	// EventPresent is the state of a window that is announced, in progress or overruns. A new
	// subscriber gets one for each of them first.
	EventPresent EventKind = "present"
	// EventReminder is one of [Options].Reminders.
	EventReminder EventKind = "reminder"
	// EventDocument means that a document was accepted, and Revision is its hash. If Document is
	// not empty, a document was refused with that error, and the one of Revision stays in use. A
	// repeated error is left out.
	EventDocument EventKind = "document"
	// EventProblem is a new problem of the document in use or of a window, as in [Guard.Problems]: a
	// fault, an edit that is held back, a window in progress that the document does not have any
	// more, or clocks that disagree. Problem is its text. Window is empty for a fault outside of
	// windows. A refused document is an EventDocument.
	EventProblem EventKind = "problem"
)

// String returns the kind in a word.
func (k EventKind) String() string { return string(cmp.Or(k, EventPhase)) }

// String returns a line for logs: `orders-db-upgrade: draining -> in progress, quiet after 4.1s`.
func (e Event) String() string {
	var b strings.Builder
	switch e.Kind {
	case EventDocument:
		if e.Document != "" {
			fmt.Fprintf(&b, "maintenance document not updated: %s", e.Document)
		} else {
			fmt.Fprintf(&b, "maintenance document %s accepted", e.Revision)
		}
	case EventReminder:
		fmt.Fprintf(&b, "%s: begins in %v", e.Window, e.Before)
	case EventProblem:
		b.WriteString(e.Problem)
	case EventPresent:
		fmt.Fprintf(&b, "%s: %v", e.Window, e.Phase)
	default:
		fmt.Fprintf(&b, "%s: %v -> %v", e.Window, e.Previous, e.Phase)
		if e.Phase == schedule.PhaseInProgress && e.Mode != schedule.ModeAnnounce {
			fmt.Fprintf(&b, ", quiet after %v", e.QuietAfter.Round(time.Millisecond))
		}
	}
	if e.Unfinished {
		b.WriteString(", its work unfinished")
	}
	if e.Local {
		b.WriteString(" (by times of this process only)")
	}
	if e.Missed > 0 {
		fmt.Fprintf(&b, " (%d events missed)", e.Missed)
	}
	return b.String()
}

// MarshalJSON returns an object with names in lower case, instants as RFC 3339 and durations in seconds.
// Fields that do not apply are left out.
func (e Event) MarshalJSON() ([]byte, error) {
	type fields struct {
		Text       string          `json:"text"`
		Kind       EventKind       `json:"kind"`
		Time       time.Time       `json:"time"`
		Window     string          `json:"window,omitempty"`
		Title      string          `json:"title,omitempty"`
		Message    string          `json:"message,omitempty"`
		Owner      string          `json:"owner,omitempty"`
		Runbook    string          `json:"runbook,omitempty"`
		Mode       *schedule.Mode  `json:"mode,omitempty"`
		Planned    *time.Time      `json:"planned,omitempty"`
		Start      *time.Time      `json:"start,omitempty"`
		End        *time.Time      `json:"end,omitempty"`
		Local      bool            `json:"local,omitempty"`
		Phase      *schedule.Phase `json:"phase,omitempty"`
		Previous   *schedule.Phase `json:"previous,omitempty"`
		QuietAfter *float64        `json:"quiet_after_seconds,omitempty"`
		Before     float64         `json:"before_seconds,omitempty"`
		Unfinished bool            `json:"unfinished,omitempty"`
		Revision   string          `json:"revision,omitempty"`
		Document   string          `json:"document,omitempty"`
		Problem    string          `json:"problem,omitempty"`
		Missed     int             `json:"missed,omitempty"`
	}
	j := fields{
		Text: e.String(), Kind: cmp.Or(e.Kind, EventPhase), Time: e.Time,
		Window: e.Window, Title: e.Title, Message: e.Message, Owner: e.Owner, Runbook: e.Runbook,
		Local: e.Local, Before: e.Before.Seconds(), Unfinished: e.Unfinished,
		Revision: e.Revision, Document: e.Document, Problem: e.Problem, Missed: e.Missed,
	}
	if e.Kind != EventDocument && (e.Kind != EventProblem || !e.Planned.IsZero()) {
		j.Mode, j.Phase, j.Planned, j.Start, j.End = &e.Mode, &e.Phase, &e.Planned, &e.Start, &e.End
	}
	if j.Kind == EventPhase {
		j.Previous = &e.Previous
		if e.Phase == schedule.PhaseInProgress && e.Mode != schedule.ModeAnnounce {
			seconds := e.QuietAfter.Seconds()
			j.QuietAfter = &seconds
		}
	}
	return json.Marshal(j)
}

// A Document is the document that a guard has in use.
type Document struct {
	Schedule *schedule.Schedule // Nil means not read yet; then only Boot is set.
	Boot     Boot               // what the guard does as long as Schedule is nil
	Revision string             // see [Guard.Revision]
	Origin   string             // "source", "last-good" or "fallback"
	Since    time.Time          // when the guard accepted it
	Stale    bool               // its source has failed for Options.StaleAfter
}
