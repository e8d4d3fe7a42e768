package downtime

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A notifier emits events about occurrences and the document. It remembers what it has emitted. It is
// under the guard's mu.
type notifier struct {
	opts        *Options
	subscribers map[*subscriber]struct{}
	missed      atomic.Int64 // events that were dropped
	notices     map[occurrenceKey]*notice
	warned      map[string]bool // problems that were published
	trouble     string          // the error of the last update; may be empty
	records     []logRecord     // to log after mu is released
}

type notice struct {
	phase    schedule.Phase
	reminded time.Time // reminders up to then were emitted or skipped
	of       *tally    // changes when the occurrence has begun again
}

type logRecord struct {
	level slog.Level
	attrs []any
}

func (n *notifier) emit(v *view, document *live.Snapshot[schedule.Schedule], now time.Time) {
	n.warn(v, document, now)
	for _, o := range v.followed {
		if o.phase == schedule.PhaseCompleted {
			n.emitPhase(o, now)
		}
	}
	for _, o := range v.shown {
		if o.Window.ID != "" && o.phase != schedule.PhaseCompleted { // otherwise see standIn
			n.emitPhase(o, now)
		}
	}
	for _, o := range v.shown {
		if o.phase == schedule.PhaseAnnounced || o.phase == schedule.PhaseCutoff {
			n.remind(o, now)
		}
	}
}

// warn publishes each problem of the document and of its windows once, as long as it lasts. It logs
// those of occurrences; package live logs those of the document.
func (n *notifier) warn(v *view, document *live.Snapshot[schedule.Schedule], now time.Time) {
	warned := map[string]bool{}
	publish := func(err error) (isNew bool) {
		e := Event{Kind: EventProblem, Time: now.Round(0), Problem: err.Error()}
		isNew = !n.warned[e.Problem] && !warned[e.Problem]
		warned[e.Problem] = true
		if !isNew {
			return false
		}
		var fault *schedule.Fault
		if errors.As(err, &fault) && fault.Window != "" {
			e.Window = fault.Window
			if o := v.named(e.Window); o != nil {
				e = o.event(EventProblem, o.stage(), now)
				e.Problem = err.Error()
			} else if w := v.schedule.Window(e.Window); w != nil {
				e.Title, e.Owner, e.Runbook, e.Mode = w.Title, w.Owner, w.Runbook, w.Mode
			}
		}
		n.publish(e)
		return true
	}
	if document != nil {
		for _, err := range problemsOf(document, now) {
			publish(err)
		}
	}
	for _, o := range v.shown {
		for _, err := range o.problems() {
			if publish(err) {
				n.records = append(n.records, logRecord{slog.LevelWarn, []any{"window", o.Window.ID, "err", err}})
			}
		}
	}
	n.warned = warned
}

func (n *notifier) move(from, to occurrenceKey) {
	if t := n.notices[from]; t != nil {
		n.notices[to] = t
		delete(n.notices, from)
	}
}

func (n *notifier) forget(key occurrenceKey, o *occurrence, now time.Time) {
	if n.notices[key] != nil {
		if o.phase == schedule.PhaseOpen || o.phase == schedule.PhaseWithdrawn {
			n.emitPhase(o, now)
		}
		delete(n.notices, key)
	}
}

func (n *notifier) noticeOf(o *occurrence, now time.Time) *notice {
	key := keyOf(o.Occurrence)
	t := n.notices[key]
	if t == nil {
		t = &notice{phase: schedule.PhaseOpen}
		n.notices[key] = t
	}
	if t.of != o.tally {
		t.of, t.reminded = o.tally, now.Round(0).Add(-1)
	}
	return t
}

// emitPhase emits a change of phase, except the end of an occurrence that was never shown.
func (n *notifier) emitPhase(o *occurrence, now time.Time) {
	t, phase := n.noticeOf(o, now), o.stage()
	if phase == t.phase || t.phase == schedule.PhaseOpen && (phase == schedule.PhaseCompleted || phase == schedule.PhaseWithdrawn) {
		return
	}
	e := o.event(EventPhase, phase, now)
	e.Previous = t.phase
	e.Unfinished = phase == schedule.PhaseOverrun || phase == schedule.PhaseCompleted && o.unfinished
	t.phase = phase
	n.publish(e)
	n.records = append(n.records, n.recordOf(&e, o))
}

// remind emits each reminder once. If several are due, it emits only the last.
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
			n.publish(e)
		}
		break
	}
	if now.After(t.reminded) {
		t.reminded = now
	}
}

func (n *notifier) isNew(err error) bool { return err != nil && err.Error() != n.trouble }

func (n *notifier) noteDocument(document *live.Snapshot[schedule.Schedule], isNew bool, err error, now time.Time) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	e := Event{Kind: EventDocument, Time: now.Round(0)}
	if document != nil {
		e.Revision = document.Revision
	}
	if isNew {
		n.publish(e)
	}
	if trouble != n.trouble && trouble != "" {
		e.Document = trouble
		n.publish(e)
	}
	n.trouble = trouble
}

func (n *notifier) present(v *view, now time.Time) (events []Event) {
	for _, o := range v.shown {
		if t := n.notices[keyOf(o.Occurrence)]; t != nil && t.phase != schedule.PhaseOpen && t.phase != schedule.PhaseCompleted {
			e := o.event(EventPresent, t.phase, now)
			e.Previous = t.phase
			events = append(events, e)
		}
	}
	return events
}

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

// recordOf returns the log record of a change of phase, which is an error for unfinished work.
func (n *notifier) recordOf(e *Event, o *occurrence) logRecord {
	attrs := []any{
		"window", e.Window, "phase", e.Phase.String(), "mode", e.Mode.String(),
		"start", e.Start, "end", e.End,
	}
	attr := func(has bool, key string, value any) {
		if has {
			attrs = append(attrs, key, value)
		}
	}
	attr(e.Owner != "", "owner", e.Owner)
	attr(e.Runbook != "", "runbook", e.Runbook)
	attr(e.Local, "local", true)
	switch rollback := o.Rollback(); e.Phase {
	case schedule.PhaseInProgress:
		attr(!rollback.IsZero(), "rollback", rollback)
		attr(e.Mode != schedule.ModeAnnounce, "quiet_after", e.QuietAfter.Round(time.Millisecond))
	case schedule.PhaseOverrun:
		attr(true, "closed_until", e.End.Add(n.opts.OverrunMax))
	case schedule.PhaseCompleted:
		bypassed := o.bypassed.Load()
		attr(bypassed > 0, "bypassed", bypassed)
		attr(true, "refused", o.refused.Load())
	}
	if e.Unfinished {
		return logRecord{slog.LevelError, append(attrs, "unfinished", true)}
	}
	return logRecord{slog.LevelInfo, attrs}
}

func (n *notifier) log(all []logRecord) {
	for _, record := range all {
		n.opts.Logger.Log(context.Background(), record.level, "maintenance window", record.attrs...)
	}
}

// eventRoom is the number of events that may wait for a subscriber.
const eventRoom = 64

// A subscriber of Guard.Events.
type subscriber struct {
	room   chan Event
	missed int
}

func (n *notifier) publish(e Event) {
	for s := range n.subscribers {
		e.Missed = s.missed
		select {
		case s.room <- e:
			s.missed = 0
		default:
			s.missed++
			n.missed.Add(1)
		}
	}
}

// add adds a subscriber to whom some events are offered already.
func (n *notifier) add(first []Event) *subscriber {
	s := &subscriber{room: make(chan Event, eventRoom+len(first))}
	for _, e := range first {
		s.room <- e
	}
	n.subscribers[s] = struct{}{}
	return s
}
