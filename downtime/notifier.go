package downtime

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A notifier makes events of what becomes of occurrences and of the document: it remembers
// what it has told. It is under the guard's mu, except for its subscribers.
type notifier struct {
	opts        *Options
	subscribers subscribers
	told        map[occurrenceKey]*notice
	document    *live.Snapshot[schedule.Schedule]
	trouble     string // why the document was last not updated; empty: it was
	news        []news // to be logged once mu is free
}

// A notice is what was told of one occurrence.
type notice struct {
	phase    schedule.Phase
	reminded time.Time // reminders up to then were told, or came too early
	of       *tally    // another one: the occurrence has begun anew
}

// news are what is to be logged.
type news struct {
	Event
	rollback time.Time
	bypassed int64
	refused  int64
}

// tell tells the phases of a view that are new, and reminds of what begins soon.
func (n *notifier) tell(v *view, now time.Time) {
	for _, o := range v.known {
		if o.phase == schedule.PhaseCompleted {
			n.tellPhase(o, now)
		}
	}
	for _, o := range v.shown {
		if o.Window.ID != "" && o.phase != schedule.PhaseCompleted { // else it stands in for a window, and is logged elsewhere
			n.tellPhase(o, now)
		}
	}
	for _, o := range v.shown {
		if o.phase == schedule.PhaseAnnounced || o.phase == schedule.PhaseCutoff {
			n.remind(o, now)
		}
	}
}

// forget tells that an occurrence was withdrawn or put off, when that is news.
func (n *notifier) forget(key occurrenceKey, o *occurrence, now time.Time) {
	if n.told[key] != nil {
		if o.phase == schedule.PhaseOpen {
			n.tellPhase(o, now)
		}
		delete(n.told, key)
	}
}

func (n *notifier) noticeOf(o *occurrence, now time.Time) *notice {
	key := keyOf(o.Occurrence)
	t := n.told[key]
	if t == nil {
		t = &notice{phase: schedule.PhaseOpen}
		if n.told == nil {
			n.told = map[occurrenceKey]*notice{}
		}
		n.told[key] = t
	}
	if t.of != o.tally {
		t.of, t.reminded = o.tally, now.Round(0).Add(-1)
	}
	return t
}

// tellPhase tells a change of phase, if it is one. The end of what was never shown is none.
func (n *notifier) tellPhase(o *occurrence, now time.Time) {
	t, phase := n.noticeOf(o, now), o.stage()
	if phase == t.phase || phase == schedule.PhaseCompleted && t.phase == schedule.PhaseOpen {
		return
	}
	e := o.event(EventPhase, phase, now)
	e.Previous = t.phase
	e.Unfinished = phase == schedule.PhaseOverrun || phase == schedule.PhaseCompleted && o.unfinished
	t.phase = phase
	n.publish(e, o)
}

// remind reminds of a window that begins soon: once for each reminder, and only of the
// latest when several are due.
func (n *notifier) remind(o *occurrence, now time.Time) {
	t := n.noticeOf(o, now)
	now = now.Round(0)
	for _, r := range n.opts.Reminders { // the shortest first
		at := o.Start.Add(-r)
		if at.After(now) || r > o.Window.Announce {
			continue
		}
		if at.After(t.reminded) {
			e := o.event(EventReminder, o.phase, now)
			e.Before = o.Start.Sub(now).Round(time.Second)
			n.publish(e, o)
		}
		break
	}
	if now.After(t.reminded) {
		t.reminded = now
	}
}

// isNew reports whether there is trouble with the document that was not told.
func (n *notifier) isNew(err error) bool { return err != nil && err.Error() != n.trouble }

// noteDocument tells what became of the document.
func (n *notifier) noteDocument(document *live.Snapshot[schedule.Schedule], err error, now time.Time) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	e := Event{Kind: EventDocument, Time: now.Round(0)}
	if document != nil {
		e.Revision = document.Revision
	}
	if document != n.document {
		n.subscribers.publish(e)
	}
	if trouble != n.trouble && trouble != "" {
		e.Document = trouble
		n.subscribers.publish(e)
	}
	n.document, n.trouble = document, trouble
}

// present are events that say how the windows of a view stand.
func (n *notifier) present(v *view, now time.Time) (events []Event) {
	for _, o := range v.shown {
		if t := n.told[keyOf(o.Occurrence)]; t != nil && t.phase != schedule.PhaseOpen && t.phase != schedule.PhaseCompleted {
			e := o.event(EventPresent, t.phase, now)
			e.Previous = t.phase
			events = append(events, e)
		}
	}
	return events
}

// event is one of an occurrence, now in that phase.
func (o *occurrence) event(kind EventKind, phase schedule.Phase, now time.Time) Event {
	w := o.Window
	e := Event{
		Kind: kind, Time: now.Round(0),
		Window: w.ID, Title: w.Title, Message: w.Message, Owner: w.Owner, Runbook: w.Runbook, Mode: w.Mode,
		Planned: o.Planned, Start: o.Start, End: o.End, Local: o.isLocal(),
		Phase: phase, Previous: phase,
	}
	e.QuietAfter, _ = o.quietAfter()
	return e
}

func (n *notifier) publish(e Event, o *occurrence) {
	n.subscribers.publish(e)
	n.news = append(n.news, news{e, o.Rollback(), o.bypassed.Load(), o.refused.Load()})
}

// takeNews takes what is to be logged.
func (n *notifier) takeNews() []news {
	all := n.news
	n.news = nil
	return all
}

// log logs changes of phase. A window that overruns, or ends with its work unfinished, is
// an error.
func (n *notifier) log(all []news) {
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
			attrs = append(attrs, "closed_until", e.End.Add(n.opts.OverrunMax))
		case e.Phase == schedule.PhaseCompleted:
			if e.bypassed > 0 {
				attrs = append(attrs, "bypassed", e.bypassed)
			}
			attrs = append(attrs, "refused", e.refused)
		}
		if e.Unfinished {
			attrs = append(attrs, "unfinished", true)
			n.opts.Logger.Error("maintenance window", attrs...)
			continue
		}
		n.opts.Logger.Info("maintenance window", attrs...)
	}
}

// eventRoom is how many events wait for a subscriber at most.
const eventRoom = 64

// subscribers of Guard.Events.
type subscribers struct {
	mu     sync.Mutex
	all    map[*subscriber]struct{}
	missed atomic.Int64
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

func (es *subscribers) publish(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for s := range es.all {
		s.offer(e, &es.missed)
	}
}

// add adds a subscriber to whom some events are offered already.
func (es *subscribers) add(first []Event) *subscriber {
	s := &subscriber{room: make(chan Event, eventRoom+len(first))}
	for _, e := range first {
		s.room <- e
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	if es.all == nil {
		es.all = map[*subscriber]struct{}{}
	}
	es.all[s] = struct{}{}
	return s
}

func (es *subscribers) remove(s *subscriber) {
	es.mu.Lock()
	defer es.mu.Unlock()
	delete(es.all, s)
}
