package downtime

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// State is what the guard's schedule says now, with what was said by [Guard.Begin],
// [Guard.Complete] and [Guard.Extend] here, and with windows that overrun. While there
// is no schedule it is empty.
func (g *Guard) State() schedule.State {
	v := g.view.Load()
	if v.schedule == nil {
		return schedule.State{}
	}
	now := time.Now()
	st := v.schedule.At(now)
	if !v.differs {
		return st
	}
	st.Windows = nil
	for _, o := range v.shown {
		if o.Window.ID == "" {
			continue
		}
		if o.phase != schedule.PhaseOpen && o.phase != schedule.PhaseCompleted {
			st.Windows = append(st.Windows, schedule.WindowState{Occurrence: o.Occurrence, Phase: o.phase})
		}
		next := o.Next(now)
		if o.phase == schedule.PhaseOverrun {
			next = o.until() // at the latest
		}
		if !next.IsZero() && (st.Next.IsZero() || next.Before(st.Next)) {
			st.Next = next
		}
	}
	return st
}

// Revision is the hash of the document in use, 16 hexadecimal digits, or "" while
// there is none: do all replicas have the same?
func (g *Guard) Revision() string {
	if d := g.keeper.Snapshot(); d != nil {
		return d.Revision
	}
	return ""
}

// Problems are what is wrong now: the document cannot be loaded or is refused, and
// then the one before is in use; windows were lost from it while in progress; scopes use work
// that [Options].Work does not declare; the
// last good copy cannot be written; the quorum does not answer.
func (g *Guard) Problems() []error {
	var problems []error
	status := g.keeper.Status()
	if status.Err != nil {
		problems = append(problems, status.Err)
	}
	if status.SaveErr != nil {
		problems = append(problems, fmt.Errorf("last good copy: %w", status.SaveErr))
	}
	if d := g.keeper.Snapshot(); d != nil {
		now := time.Now()
		for _, p := range d.Problems {
			var kept keptWindow
			if errors.As(p, &kept) && !slices.ContainsFunc(slices.Collect(d.Value.Kept()), func(o schedule.Occurrence) bool {
				return o.Window.ID == kept.Window && o.Phase(now) == schedule.PhaseInProgress
			}) {
				continue // it was kept to its end, which is over
			}
			problems = append(problems, p)
		}
	}
	g.mu.Lock()
	err := g.agreed.err
	g.mu.Unlock()
	if err != nil {
		problems = append(problems, fmt.Errorf("quorum: %w", err))
	}
	return problems
}

// Document returns the document in use.
func (g *Guard) Document() Document {
	d := Document{Boot: g.opts.Boot, Schedule: g.view.Load().schedule}
	if s := g.keeper.Snapshot(); s != nil && d.Schedule != nil {
		d.Revision, d.Origin, d.Since, d.Stale = s.Revision, string(s.Origin), s.Since, g.keeper.Status().Stale
	}
	return d
}
