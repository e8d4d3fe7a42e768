package downtime

import (
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// beginAhead is how long before its start a window that is not announced may begin.
const beginAhead = 24 * time.Hour

// Begin begins the window now, in this process only, and returns its report. If the window repeats, Begin
// begins the next occurrence. The end stays as announced; see [Guard.Extend].
//
// For the fleet, set actual.begin in the document. A later change of the start in the document wins, and a
// restart forgets the command.
//
// Errors are [ErrUnknownWindow]; [ErrBegun] when it is in progress; [ErrEnded] when it is over;
// [ErrTooEarly] when it is not announced and begins in more than a day, because then all the time to its
// planned end would be maintenance; and [ErrClosed].
func (g *Guard) Begin(id string) (Report, error) {
	return g.command(id, func(o *occurrence, phase schedule.Phase, s *said, now time.Time) error {
		switch {
		case phase == schedule.PhaseCompleted:
			return fmt.Errorf("%w: %q ended at %s", ErrEnded, id, o.End.Format(time.RFC3339))
		case !phase.Before(schedule.PhaseDraining):
			return fmt.Errorf("%w: %q began at %s", ErrBegun, id, o.Start.Format(time.RFC3339))
		case phase == schedule.PhaseOpen && o.Start.Sub(now) > beginAhead:
			return fmt.Errorf("%w: %q begins at %s", ErrTooEarly, id, o.Start.Format(time.RFC3339))
		}
		s.start, s.began = o.documented.Start, now
		return nil
	})
}

// Complete ends the window now, in this process only, and returns its report. It also ends a window that
// overruns. The scope opens at once or, with a [Quorum], when the quorum agrees.
//
// For the fleet, set actual.end in the document. A later change of the end in the document wins, and a
// restart forgets the command.
//
// Errors are [ErrUnknownWindow], [ErrNotBegun], [ErrEnded] when it is over, and [ErrClosed].
func (g *Guard) Complete(id string) (Report, error) {
	return g.command(id, func(o *occurrence, phase schedule.Phase, s *said, now time.Time) error {
		switch {
		case phase == schedule.PhaseCompleted:
			return fmt.Errorf("%w: %q ended at %s", ErrEnded, id, o.End.Format(time.RFC3339))
		case phase.Before(schedule.PhaseDraining):
			return fmt.Errorf("%w: %q begins at %s", ErrNotBegun, id, o.Start.Format(time.RFC3339))
		}
		s.end, s.completed = o.documented.End, now
		return nil
	})
}

// Extend moves the end of the window, in this process only, and returns its report. The new end may also
// be earlier. A window that overruns is in progress again.
//
// For the fleet, set actual.until in the document. A later change of the end in the document wins, and a
// restart forgets the command.
//
// Errors are [ErrUnknownWindow], [ErrEnded] when it is over, and [ErrClosed]. Any other error means that
// until is not after now and the start, or is more than 366 days after the start.
func (g *Guard) Extend(id string, until time.Time) (Report, error) {
	return g.command(id, func(o *occurrence, phase schedule.Phase, s *said, now time.Time) error {
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
		s.end, s.until = o.documented.End, until.Round(0)
		return nil
	})
}

func (g *Guard) command(id string, say func(*occurrence, schedule.Phase, *said, time.Time) error) (rep Report, err error) {
	g.update(func() { rep, err = g.say(id, say) })
	return rep, err
}

func (g *Guard) say(id string, say func(*occurrence, schedule.Phase, *said, time.Time) error) (Report, error) {
	if g.lifetime.Err() != nil {
		return Report{Window: id}, ErrClosed
	}
	at := g.instant(time.Now())
	now := at.now.Round(0)
	g.advance(at, nil)
	rep, o, err := g.report(g.view.Load(), id)
	if err != nil {
		return rep, err
	}
	s := o.said
	if err := say(o, rep.Phase, &s, now); err != nil {
		return rep, err
	}
	g.advance(at, &change{command: &s, of: o.documented})
	v := g.view.Load()
	if rep, _, err = g.report(v, id); err != nil { // the document does not have it, and now it is over
		rep, err = g.reportOn(v.followed[keyOf(o.documented)], now), nil
	}
	return rep, err
}
