package downtime

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// An Event is something that people want to know of a guard: to log it, to send it
// round, or to note it beside the deployments. [Guard.Events] yields them. What an event
// does not concern is zero in it.
type Event struct {
	Kind EventKind
	Time time.Time // when the guard saw it

	// Of the window, and of the occurrence in question. Planned, with Window, is what
	// an occurrence is known by.
	Window             string // id
	Title, Message     string
	Owner, Runbook     string
	Mode               schedule.Mode
	Planned            time.Time
	Start, End         time.Time
	Local              bool           // the times are those of this process only: see Report
	Phase, Previous    schedule.Phase // alike, but for EventPhase
	QuietAfter         time.Duration
	Before             time.Duration // of a reminder: how long before the start
	Unfinished         bool          // the window's end came, and its work seems not to have ended
	Revision, Document string        // of EventDocument: see there

	// Missed is how many events were dropped just before this one, because the
	// subscriber did not take them.
	Missed int
}

// EventKind says what an [Event] tells.
type EventKind uint8

// The kinds of events.
const (
	// EventPhase is a window's change from one phase to another. A phase that passes
	// unseen, for the next is reached in the same moment, is not told. A window that is
	// withdrawn or put off goes back, to PhaseOpen or what is right by its new start;
	// one that ends becomes PhaseCompleted. With PhaseInProgress, QuietAfter is how
	// long draining took.
	EventPhase EventKind = iota
	// EventPresent is how a window stands when a subscriber begins: one for each that is
	// announced, in progress or overruns, before all else.
	EventPresent
	// EventReminder is one of [Options].Reminders.
	EventReminder
	// EventDocument is a change of the document: one was accepted, and Revision is its
	// hash; or there is trouble with it, which Document tells, and the one of Revision
	// stays in use. The same trouble is told once.
	EventDocument
)

var eventNames = [...]string{
	EventPhase:    "phase",
	EventPresent:  "present",
	EventReminder: "reminder",
	EventDocument: "document",
}

// String gives the kind in a word.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// MarshalText gives the kind in a word.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// String is for logs: `orders-db-upgrade: draining -> in progress, quiet after 4.1s`.
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

// MarshalJSON gives the event with names in lower case, instants as RFC 3339 and
// durations in seconds; what it does not concern is left out.
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
		Missed     int             `json:"missed,omitempty"`
	}
	j := fields{
		Text: e.String(), Kind: e.Kind, Time: e.Time,
		Window: e.Window, Title: e.Title, Message: e.Message, Owner: e.Owner, Runbook: e.Runbook,
		Local: e.Local, Before: e.Before.Seconds(), Unfinished: e.Unfinished,
		Revision: e.Revision, Document: e.Document, Missed: e.Missed,
	}
	if e.Kind != EventDocument {
		j.Mode, j.Phase, j.Planned, j.Start, j.End = &e.Mode, &e.Phase, &e.Planned, &e.Start, &e.End
	}
	if e.Kind == EventPhase {
		j.Previous = &e.Previous
		if e.Phase == schedule.PhaseInProgress && e.Mode != schedule.ModeAnnounce {
			seconds := e.QuietAfter.Seconds()
			j.QuietAfter = &seconds
		}
	}
	return json.Marshal(j)
}

// eventRoom is how many events wait for a subscriber at most.
const eventRoom = 64

// events are the subscribers.
type events struct {
	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	missed      atomic.Int64
}

type subscriber struct {
	room   chan Event
	missed int
}

func (s *subscriber) offer(e Event, missed *atomic.Int64) {
	e.Missed = s.missed
	select {
	case s.room <- e:
		s.missed = 0
	default:
		s.missed++
		missed.Add(1)
	}
}

func (es *events) publish(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for s := range es.subscribers {
		s.offer(e, &es.missed)
	}
}

func (es *events) unsubscribe(s *subscriber) {
	es.mu.Lock()
	defer es.mu.Unlock()
	delete(es.subscribers, s)
}

// Events yields what happens, from when the loop over it begins, until ctx ends or the
// guard is closed. First comes how the windows stand that are announced or in progress,
// so that nothing is missed between one subscription and the next: [EventPresent].
//
// Up to 64 events wait for a subscriber. What it does not take in time is dropped and
// counted in the next that it gets: the guard waits for nobody. A window is known by its id
// and Planned, so that who writes events down can tell what it has. When the guard is
// closed what waits is still yielded. The sequence may be gone through more than once,
// and by many at once, each for itself.
func (g *Guard) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := g.subscribe()
		defer g.events.unsubscribe(s)
		for ctx.Err() == nil {
			var e Event
			select {
			case e = <-s.room:
			default:
				select {
				case e = <-s.room:
				case <-ctx.Done():
					return
				case <-g.ended:
					if len(s.room) == 0 {
						return
					}
					continue
				}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// subscribe begins a subscription with how things stand.
func (g *Guard) subscribe() *subscriber {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now().Round(0)
	var present []Event
	for _, n := range g.now.Load().near {
		if told := n.progress.told; schedule.PhaseOpen.Before(told) && told.Before(schedule.PhaseCompleted) {
			present = append(present, n.progress.event(EventPresent, told, now))
		}
	}
	s := &subscriber{room: make(chan Event, eventRoom+len(present))}
	for _, e := range present {
		s.room <- e
	}
	g.events.mu.Lock()
	defer g.events.mu.Unlock()
	if g.events.subscribers == nil {
		g.events.subscribers = map[*subscriber]struct{}{}
	}
	g.events.subscribers[s] = struct{}{}
	return s
}

// event is one of the occurrence, now in that phase.
func (p *progress) event(kind EventKind, phase schedule.Phase, now time.Time) Event {
	w := p.last.Window
	e := Event{
		Kind: kind, Time: now.Round(0),
		Window: w.ID, Title: w.Title, Message: w.Message, Owner: w.Owner, Runbook: w.Runbook, Mode: w.Mode,
		Planned: p.last.Planned, Start: p.last.Start, End: p.last.End, Local: p.local,
		Phase: phase, Previous: p.told,
	}
	e.QuietAfter, _ = p.quietAfter()
	return e
}

// tell tells a change of phase, if it is one.
func (g *Guard) tell(p *progress, phase schedule.Phase, now time.Time) {
	if phase == p.told {
		return
	}
	e := p.event(EventPhase, phase, now)
	e.Unfinished = phase == schedule.PhaseOverrun || phase == schedule.PhaseCompleted && p.unfinished
	p.told = phase
	g.publish(e, p)
}

func (g *Guard) publish(e Event, p *progress) {
	g.events.publish(e)
	g.news = append(g.news, news{e, p.last.Rollback(), p.bypassed.Load(), p.refused.Load()})
}

// news are what is to be logged.
type news struct {
	Event
	rollback time.Time
	bypassed int64
	refused  int64
}

// tellPhases tells the phases of all that is near.
func (g *Guard) tellPhases(s *snapshot, now time.Time) {
	for _, n := range s.near {
		if n.Window.ID != "" { // what stands in for a window is logged by who knows why
			g.tell(n.progress, n.phase(), now)
		}
	}
}

// remind reminds of the windows that begin soon: of each once, and only of the latest
// reminder when several are due.
func (g *Guard) remind(s *snapshot, now time.Time) {
	for _, n := range s.near {
		p := n.progress
		if n.Phase != schedule.PhaseAnnounced && n.Phase != schedule.PhaseCutoff {
			continue
		}
		for _, r := range g.opts.Reminders { // the shortest first
			at := n.Start.Add(-r)
			if at.After(now) || r > n.Window.Announce {
				continue
			}
			if at.After(p.reminded) {
				e := p.event(EventReminder, n.Phase, now)
				e.Before = n.Start.Sub(now.Round(0)).Round(time.Second)
				g.publish(e, p)
			}
			break
		}
		if now := now.Round(0); now.After(p.reminded) {
			p.reminded = now
		}
	}
}

// noteDocument tells what became of the document.
func (g *Guard) noteDocument(document *live.Snapshot[schedule.Schedule], now time.Time) {
	trouble := ""
	if err := g.keeper.Status().Err; err != nil {
		trouble = err.Error()
	}
	e := Event{Kind: EventDocument, Time: now.Round(0)}
	if document != nil {
		e.Revision = document.Revision
	}
	if document != g.document {
		g.events.publish(e)
	}
	if trouble != g.trouble && trouble != "" {
		e.Document = trouble
		g.events.publish(e)
	}
	g.trouble = trouble
}

// takeNews takes what is to be logged, for when g.mu is free.
func (g *Guard) takeNews() []news {
	n := g.news
	g.news = nil
	return n
}

// log logs changes of phase. A window that overruns, or ends with its work unfinished, is
// an error.
func (g *Guard) log(all []news) {
	for _, e := range all {
		if e.Kind != EventPhase {
			continue
		}
		attrs := []any{
			"window", e.Window, "phase", e.Phase.String(), "mode", e.Mode.String(),
			"start", e.Start, "end", e.End,
		}
		if e.Owner != "" {
			attrs = append(attrs, "owner", e.Owner)
		}
		if e.Runbook != "" {
			attrs = append(attrs, "runbook", e.Runbook)
		}
		if e.Local {
			attrs = append(attrs, "local", true)
		}
		if e.Phase == schedule.PhaseInProgress {
			if !e.rollback.IsZero() {
				attrs = append(attrs, "rollback", e.rollback)
			}
			if e.Mode != schedule.ModeAnnounce {
				attrs = append(attrs, "quiet_after", e.QuietAfter.Round(time.Millisecond))
			}
		}
		switch {
		case e.Phase == schedule.PhaseOverrun:
			attrs = append(attrs, "closed_until", e.End.Add(g.opts.OverrunMax))
		case e.Phase == schedule.PhaseCompleted:
			if e.bypassed > 0 {
				attrs = append(attrs, "bypassed", e.bypassed)
			}
			attrs = append(attrs, "refused", e.refused)
		}
		if e.Unfinished {
			attrs = append(attrs, "unfinished", true)
			g.logger.Error("maintenance window", attrs...)
			continue
		}
		g.logger.Info("maintenance window", attrs...)
	}
}
