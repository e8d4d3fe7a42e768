package downtime

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// A Schedule is a document's windows. It has no clock and no goroutine: whoever
// asks says when. It is read-only, and any number of goroutines may ask.
type Schedule struct {
	windows     []*Window // in the document's order
	byID        map[string]int
	held        map[*Window]bool // kept from an earlier document: see Guard
	allowShrink bool

	occurrences []Occurrence // by start, then id
	maxEnd      []time.Time  // maxEnd[i] is the latest end of occurrences[:i+1]

	span atomic.Pointer[span] // the answer of At that was given last
}

// A span is a State and the time for which it holds.
type span struct {
	from, to time.Time // to is exclusive; the zero time is for ever
	state    State
}

func newSchedule(windows []*Window, allowShrink bool) *Schedule {
	s := &Schedule{windows: windows, byID: make(map[string]int, len(windows)), allowShrink: allowShrink}
	for i, w := range windows {
		s.byID[w.ID] = i
		s.occurrences = append(s.occurrences, w.occurrence())
	}
	slices.SortFunc(s.occurrences, func(a, b Occurrence) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Window.ID, b.Window.ID))
	})
	s.maxEnd = make([]time.Time, len(s.occurrences))
	var latest time.Time
	for i, o := range s.occurrences {
		if o.End.After(latest) {
			latest = o.End
		}
		s.maxEnd[i] = latest
	}
	return s
}

// Windows are the document's windows, in its order.
func (s *Schedule) Windows() iter.Seq[*Window] { return slices.Values(s.windows) }

// Window returns the window of that id, nil when there is none.
func (s *Schedule) Window(id string) *Window {
	if i, ok := s.byID[id]; ok {
		return s.windows[i]
	}
	return nil
}

// A State is what a schedule says of one moment.
type State struct {
	// Windows are those announced, cut off or in progress. Those in progress come first,
	// the most restrictive before the others, so that the first is the one that wins
	// where scopes overlap; then those to come, by start. The slice is shared and must
	// not be changed.
	Windows []WindowState

	// Next is when the state is next another, by the clock; the zero time is never.
	Next time.Time
}

// A WindowState is one window in a [State].
type WindowState struct {
	Occurrence
	Phase Phase
}

// At says what holds at t. By the clock alone no window is ever draining: that is
// for a [Guard] to know.
//
// The last answer is kept, with the time that it holds for, so that asking again and
// again in the same span costs nothing.
func (s *Schedule) At(t time.Time) State {
	if sp := s.span.Load(); sp != nil && !t.Before(sp.from) && (sp.to.IsZero() || t.Before(sp.to)) {
		return sp.state
	}
	sp := s.spanAt(t)
	s.span.Store(sp)
	return sp.state
}

func (s *Schedule) spanAt(t time.Time) *span {
	sp := &span{}
	for _, o := range s.occurrences {
		for _, at := range [...]time.Time{o.Announced(), o.Cutoff(), o.Start, o.End} {
			if at.After(t) {
				if sp.to.IsZero() || at.Before(sp.to) {
					sp.to = at
				}
			} else if at.After(sp.from) {
				sp.from = at
			}
		}
		if phase := o.Phase(t); phase != PhaseOpen && phase != PhaseCompleted {
			sp.state.Windows = append(sp.state.Windows, WindowState{o, phase})
		}
	}
	slices.SortFunc(sp.state.Windows, compareStates)
	sp.state.Next = sp.to
	return sp
}

// Occurrences yields what takes place between from and to, in order of start: the
// occurrences of which some part lies in [from, to).
func (s *Schedule) Occurrences(from, to time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		// maxEnd never falls, so nothing before the first that ends after from matters.
		first := sort.Search(len(s.maxEnd), func(i int) bool { return s.maxEnd[i].After(from) })
		for _, o := range s.occurrences[first:] {
			if !o.Start.Before(to) {
				return
			}
			if o.End.After(from) && !yield(o) {
				return
			}
		}
	}
}

// pending yields what may matter from now on, in no order: of each window what is in
// progress and what comes next.
func (s *Schedule) pending(now time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		for _, o := range s.occurrences {
			if now.Before(o.End) && !yield(o) {
				return
			}
		}
	}
}

// occurrence is the one of the window's occurrences to speak of at now: what is in
// progress, else what comes next, else what was last.
func (s *Schedule) occurrence(w *Window, now time.Time) Occurrence { return w.occurrence() }

// keeps says whether the document has lost the occurrence, which is kept to its end.
func (s *Schedule) keeps(o Occurrence) bool { return s.held[o.Window] }

// An Overlap is a time in which two windows are both in progress, and could be so
// for the same request or work. That is allowed: the more restrictive wins.
type Overlap struct {
	From, To time.Time
	Wins     *Window // the more restrictive, the earlier of two alike
	Over     *Window
}

// Overlaps yields the overlaps of the schedule in order of time. Windows of which
// the scopes name different hosts, methods, work or first parts of paths are not
// taken to overlap.
func (s *Schedule) Overlaps() iter.Seq[Overlap] {
	return func(yield func(Overlap) bool) {
		var open []Occurrence
		for _, b := range s.occurrences {
			open = slices.DeleteFunc(open, func(a Occurrence) bool { return !a.End.After(b.Start) })
			if !b.Start.Before(b.End) {
				continue
			}
			for _, a := range open {
				if !a.Window.Scope.mayMeet(b.Window.Scope) {
					continue
				}
				o := Overlap{From: b.Start, To: a.End, Wins: a.Window, Over: b.Window}
				if b.End.Before(o.To) {
					o.To = b.End
				}
				if b.Window.Mode < a.Window.Mode {
					o.Wins, o.Over = o.Over, o.Wins
				}
				if !yield(o) {
					return
				}
			}
			open = append(open, b)
		}
	}
}

// keeping returns the schedule with those windows of prev that are in progress now
// and that next no longer has, because a document that loses a window must not open
// what it closed. next itself when there are none, or it allows to shrink.
func (s *Schedule) keeping(prev *Schedule, now time.Time) *Schedule {
	if prev == nil || s.allowShrink {
		return s
	}
	var lost []*Window
	for _, o := range prev.occurrences {
		if s.Window(o.Window.ID) == nil && o.Phase(now) == PhaseInProgress {
			lost = append(lost, o.Window)
		}
	}
	if len(lost) == 0 {
		return s
	}
	kept := newSchedule(slices.Concat(s.windows, lost), false)
	kept.held = make(map[*Window]bool, len(lost))
	for _, w := range lost {
		kept.held[w] = true
	}
	return kept
}
