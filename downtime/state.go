package downtime

import (
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// State returns the state of the schedule now, with the changes of [Guard.Begin], [Guard.Complete] and
// [Guard.Extend] in this process, and with windows that overrun. It is empty without a schedule.
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

// Revision returns the hash of the document in use, 16 hexadecimal digits, or "" without a document.
// Replicas with the same document have the same revision.
func (g *Guard) Revision() string {
	if d := g.keeper.Snapshot(); d != nil {
		return d.Revision
	}
	return ""
}

// Problems returns what is wrong now: the document cannot be loaded or is refused, so the one before is in
// use; it has faults, so their windows are as before; it does not have a window any more that is in
// progress; an edit is held back, because it would open a window whose work is unfinished; the wall clock
// and the monotonic clock disagree while a window is in progress; scopes use work that [Options].Work does
// not declare; the last good copy cannot be written; or the quorum fails. Each is also logged.
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
		problems = append(problems, problemsOf(d, time.Now())...)
	}
	problems = append(problems, g.view.Load().problems()...)
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

// Stats returns numbers to export as metrics and to alert on. The keys are constant:
//
//	document_age_seconds      seconds since the document in use was accepted; -1 means none
//	document_checked_seconds  seconds since the source last returned an acceptable document;
//	                          -1 means never
//	document_updates          documents accepted
//	document_failures         load attempts that failed or whose document was refused
//	document_stale            1 while the source has failed for longer than
//	                          Options.StaleAfter, else 0
//	problems                  number of Problems
//	windows                   windows in the document in use
//	windows_in_progress       windows in progress now
//	windows_overrun           windows that are over and held closed for unfinished work
//	windows_held              windows in progress that the document has lost, kept until
//	                          their end
//	in_flight                 requests and work that were admitted and have not ended
//	refused                   requests and work refused
//	would_have_refused        requests and work that rehearsals would have refused
//	events_missed             events that subscribers of Events did not take in time
//	quorum_waiting            windows that are closed before their start or after their end,
//	                          waiting for the quorum
//	quorum_failures           times that the quorum did not answer
//	cut                       requests and work cut when Options.Grace was over
//	bypassed                  requests let in by Options.Bypass though a window refuses them
//	bypass_denied             tokens that did not help, with requests and at BypassHandler
func (g *Guard) Stats() map[string]float64 {
	now := time.Now()
	st := g.keeper.Status()
	stats := map[string]float64{
		"document_age_seconds":     -1,
		"document_checked_seconds": -1,
		"document_updates":         float64(st.Updates),
		"document_failures":        float64(st.Failures),
		"document_stale":           0,
		"problems":                 float64(len(g.Problems())),
		"windows":                  0,
		"windows_in_progress":      0,
		"windows_overrun":          0,
		"windows_held":             0,
		"in_flight":                float64(g.running.count()),
		"refused":                  float64(g.refused.Load()),
		"would_have_refused":       float64(g.wouldRefuse.Load()),
		"cut":                      float64(g.cut.Load()),
		"events_missed":            float64(g.notifier.missed.Load()),
		"quorum_waiting":           0,
		"quorum_failures":          float64(g.quorumFailures.Load()),
		"bypassed":                 0,
		"bypass_denied":            0,
	}
	if g.bypass != nil {
		stats["bypassed"], stats["bypass_denied"] = float64(g.bypass.let.Load()), float64(g.bypass.denied.Load())
	}
	if st.Stale {
		stats["document_stale"] = 1
	}
	if !st.Checked.IsZero() {
		stats["document_checked_seconds"] = now.Sub(st.Checked).Seconds()
	}
	if d := g.keeper.Snapshot(); d != nil {
		stats["document_age_seconds"] = now.Sub(d.Since).Seconds()
	}
	v := g.view.Load()
	if v.schedule == nil {
		return stats
	}
	for range v.schedule.Windows() {
		stats["windows"]++
	}
	for _, o := range v.shown {
		switch {
		case o.phase == schedule.PhaseOverrun:
			stats["windows_overrun"]++
		case o.waits:
			stats["quorum_waiting"]++
		}
		if o.phase != schedule.PhaseInProgress || o.Window.ID == "" {
			continue
		}
		stats["windows_in_progress"]++
		if slices.ContainsFunc(slices.Collect(v.schedule.Kept()), func(kept schedule.Occurrence) bool { return kept.Window == o.Window }) {
			stats["windows_held"]++
		}
	}
	return stats
}
