package downtime

import (
	"fmt"
	"maps"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// local is what was said here of one occurrence. It holds until the document says
// something else than it did then.
type local struct {
	of               schedule.Occurrence // as the document has it
	start, end       time.Time           // as the document had it at the time of the command
	began            time.Time           // by Begin
	until, completed time.Time           // by Extend; by Complete
}

// beginAhead is how long before its start a window that is not announced may begin.
const beginAhead = 24 * time.Hour

// Begin begins the window now, in this process only, and reports how it stands: of a
// window that repeats, the next occurrence. The end stays as planned, for that is what
// users were told; see [Guard.Extend].
//
// For the fleet write actual.begin in the document. Where that comes to say another
// start than it does now, it wins, and what was said here is forgotten; a restart forgets
// it too.
//
// The error is [ErrUnknownWindow]; [ErrBegun] when it is in progress; [ErrEnded] when
// it is over; [ErrTooEarly] when it is neither announced nor to begin within a
// day, because all the time to its planned end would be maintenance; [ErrClosed].
func (g *Guard) Begin(id string) (Report, error) {
	return g.command(id, func(o schedule.Occurrence, phase schedule.Phase, l *local, now time.Time) error {
		switch {
		case phase == schedule.PhaseCompleted:
			return fmt.Errorf("%w: %q ended at %s", ErrEnded, id, o.End.Format(time.RFC3339))
		case !phase.Before(schedule.PhaseDraining):
			return fmt.Errorf("%w: %q began at %s", ErrBegun, id, o.Start.Format(time.RFC3339))
		case phase == schedule.PhaseOpen && o.Start.Sub(now) > beginAhead:
			return fmt.Errorf("%w: %q begins at %s", ErrTooEarly, id, o.Start.Format(time.RFC3339))
		}
		l.start, l.began = l.of.Start, now
		return nil
	})
}

// Complete ends the window now, in this process only, and reports how it stands: its
// work is finished, and what it closed is opened, at once or, with a [Quorum], when
// that agrees. It also ends a window that overruns.
//
// For the fleet write actual.end in the document. Where that comes to say another end
// than it does now, it wins, and what was said here is forgotten; a restart forgets it
// too.
//
// The error is [ErrUnknownWindow]; [ErrNotBegun]; [ErrEnded] when it is over already;
// [ErrClosed].
func (g *Guard) Complete(id string) (Report, error) {
	return g.command(id, func(o schedule.Occurrence, phase schedule.Phase, l *local, now time.Time) error {
		switch {
		case phase == schedule.PhaseCompleted:
			return fmt.Errorf("%w: %q ended at %s", ErrEnded, id, o.End.Format(time.RFC3339))
		case phase.Before(schedule.PhaseDraining):
			return fmt.Errorf("%w: %q begins at %s", ErrNotBegun, id, o.Start.Format(time.RFC3339))
		}
		l.end, l.completed = l.of.End, now
		return nil
	})
}

// Extend moves the end of the window, in this process only, and reports how it stands.
// It may be moved nearer too. A window that overruns is in progress again.
//
// For the fleet write actual.until in the document. Where that comes to say another end
// than it does now, it wins, and what was said here is forgotten; a restart forgets it
// too.
//
// The error is [ErrUnknownWindow]; [ErrEnded] when it is over; [ErrClosed]; or another
// when until is not later than now and than the start, or more than 366 days after
// the start.
func (g *Guard) Extend(id string, until time.Time) (Report, error) {
	return g.command(id, func(o schedule.Occurrence, phase schedule.Phase, l *local, now time.Time) error {
		switch {
		case phase == schedule.PhaseCompleted:
			return fmt.Errorf("%w: %q ended at %s", ErrEnded, id, o.End.Format(time.RFC3339))
		case !until.After(now):
			return fmt.Errorf("downtime: %q cannot be extended to %s, which is past", id, until.Format(time.RFC3339))
		case !until.After(o.Start):
			return fmt.Errorf("downtime: %q cannot be extended to %s, before its start, %s", id, until.Format(time.RFC3339), o.Start.Format(time.RFC3339))
		case until.Sub(o.Start) > schedule.MaxDuration:
			return fmt.Errorf("downtime: %q cannot be extended to %s, more than %d days after its start", id, until.Format(time.RFC3339), schedule.MaxDuration/(24*time.Hour))
		}
		l.end, l.until = l.of.End, until.Round(0)
		return nil
	})
}

// command has something said of the occurrence in question, and publishes what follows
// from it.
func (g *Guard) command(id string, say func(o schedule.Occurrence, phase schedule.Phase, l *local, now time.Time) error) (Report, error) {
	rep, news, err := g.commandLocked(id, say)
	g.log(news)
	return rep, err
}

func (g *Guard) commandLocked(id string, say func(o schedule.Occurrence, phase schedule.Phase, l *local, now time.Time) error) (Report, []news, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.done:
		return Report{Window: id}, nil, ErrClosed
	default:
	}
	now := time.Now().Round(0)
	g.advance(now, false)
	s := g.now.Load()
	rep, _, err := g.report(s, id)
	if err != nil {
		return rep, g.takeNews(), err
	}
	var o schedule.Occurrence
	if n := s.named(id); n != nil {
		o = n.Occurrence
	} else {
		o, _ = s.localized(s.schedule.Current(s.schedule.Window(id), now))
	}
	l := local{of: o}
	if known := g.locals[keyOf(o)]; known != nil {
		l = *known
	}
	if err := say(o, rep.Phase, &l, now); err != nil {
		return rep, g.takeNews(), err
	}
	g.locals = maps.Clone(g.locals) // a snapshot has it
	g.locals[keyOf(o)] = &l
	g.advance(now, true)
	rep, _, err = g.report(g.now.Load(), id)
	if err != nil { // the document has lost it, and now it is over
		o, isLocal := l.apply(o)
		rep, err = newReport(o, o.Phase(now)), nil
		rep.Local = isLocal
	}
	return rep, g.takeNews(), err
}

// currentLocals is what was said here and holds still. What is in use is not changed.
func (g *Guard) currentLocals(document *schedule.Schedule, now time.Time) map[occurrenceKey]*local {
	if len(g.locals) == 0 {
		return g.locals
	}
	documented := map[occurrenceKey]schedule.Occurrence{}
	for key := range g.locals {
		if w := document.Window(key.id); w != nil {
			o := document.Current(w, now)
			documented[keyOf(o)] = o
		}
	}
	for o := range document.Pending(now) {
		documented[keyOf(o)] = o
	}
	current := make(map[occurrenceKey]*local, len(g.locals))
	for key, known := range g.locals {
		l := *known
		if o, ok := documented[key]; ok {
			l.of = o
		} else if p := g.progress[key]; document.Window(key.id) == nil && (document.AllowShrink() || p == nil || p.last.Phase.Before(schedule.PhaseInProgress)) {
			continue
		}
		if !l.of.Start.Equal(l.start) {
			l.began = time.Time{}
		}
		if !l.of.End.Equal(l.end) {
			l.until, l.completed = time.Time{}, time.Time{}
		}
		o, differs := l.apply(l.of)
		if differs && (now.Before(l.of.End.Add(lead)) || now.Before(o.End.Add(lead))) {
			current[key] = &l
		}
	}
	g.locals = current
	return current
}

// localized is the occurrence as it is here, and whether that is not what the document
// says.
func (s *snapshot) localized(o schedule.Occurrence) (schedule.Occurrence, bool) {
	if l := s.locals[keyOf(o)]; l != nil {
		return l.apply(o)
	}
	return o, false
}

func (l *local) apply(o schedule.Occurrence) (schedule.Occurrence, bool) {
	start, end := o.Start, o.End
	if !l.began.IsZero() {
		o.Start = l.began
	}
	if !l.until.IsZero() {
		o.End = l.until
	}
	if !l.completed.IsZero() {
		o.End = l.completed
	}
	return o, !o.Start.Equal(start) || !o.End.Equal(end)
}
