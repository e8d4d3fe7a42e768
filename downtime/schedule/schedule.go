package schedule

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// A Schedule holds a document's windows. It is read-only and safe for concurrent use. It does not
// read a clock or start goroutines.
type Schedule struct {
	windows     []*Window // in the document's order, then the kept windows that it has lost
	byID        map[string]*Window
	kept        []Occurrence // from an earlier document: see Keeping
	freezes     []Freeze
	allowShrink bool

	occurrences []Occurrence // of windows that take place once, by start, then id
	maxEnd      []time.Time  // maxEnd[i] is the latest end of occurrences[:i+1]
	recurrences []*recurrence

	span atomic.Pointer[span] // the last answer of At
}

// A span is a State that holds from a time until its Next.
type span struct {
	from  time.Time
	state State
}

func newSchedule(windows []*Window, freezes []Freeze, allowShrink bool) *Schedule {
	s := &Schedule{
		windows: windows, byID: make(map[string]*Window, len(windows)),
		freezes: freezes, allowShrink: allowShrink,
	}
	for _, w := range windows {
		s.byID[w.ID] = w
		if w.recurrence != nil {
			s.recurrences = append(s.recurrences, w.recurrence)
		} else {
			s.occurrences = append(s.occurrences, w.occurrence())
		}
	}
	s.sort()
	return s
}

// sort must be called when occurrences are complete.
func (s *Schedule) sort() {
	slices.SortFunc(s.occurrences, compareOccurrences)
	s.maxEnd = make([]time.Time, len(s.occurrences))
	var latest time.Time
	for i, o := range s.occurrences {
		if o.End.After(latest) {
			latest = o.End
		}
		s.maxEnd[i] = latest
	}
}

// AllowShrink reports whether the document allows windows to vanish from it while they are in
// progress: see [Schedule.Keeping].
func (s *Schedule) AllowShrink() bool { return s.allowShrink }

// Windows yields the document's windows in the document's order, then the windows that were kept
// from an earlier document.
func (s *Schedule) Windows() iter.Seq[*Window] { return slices.Values(s.windows) }

// Window returns the window with that id, or nil.
func (s *Schedule) Window(id string) *Window { return s.byID[id] }

// A State describes a schedule at one moment.
type State struct {
	// Windows are the windows that are announced, cut off or in progress. Windows in progress
	// come first, the most restrictive before the others, so that the first one wins where
	// scopes overlap. Then come the announced ones, by start. A window that repeats may appear
	// twice. The slice is shared and must not be changed.
	Windows []WindowState

	// Next is when the state next changes, by the clock. The zero time means never.
	Next time.Time
}

// A WindowState is one window in a [State].
type WindowState struct {
	Occurrence
	Phase Phase
}

// Compare orders windows as [State] does. Windows that are over come after those in progress.
func (w WindowState) Compare(o WindowState) int {
	rank := func(w WindowState) int {
		switch w.Phase {
		case PhaseInProgress, PhaseOverrun:
			return 0
		case PhaseCompleted:
			return 1
		}
		return 2
	}
	first := rank(w)
	switch {
	case first != rank(o):
		return cmp.Compare(first, rank(o))
	case first == 0:
		return cmp.Or(w.Window.Mode.compare(o.Window.Mode), o.End.Compare(w.End), cmp.Compare(w.Window.ID, o.Window.ID))
	}
	return cmp.Or(w.Start.Compare(o.Start), cmp.Compare(w.Window.ID, o.Window.ID))
}

// At returns the state at t. It never returns PhaseDraining or PhaseOverrun, which only a guard
// knows. The last answer is cached for as long as it holds.
func (s *Schedule) At(t time.Time) State {
	if sp := s.span.Load(); sp != nil && !t.Before(sp.from) && (sp.state.Next.IsZero() || t.Before(sp.state.Next)) {
		return sp.state
	}
	sp := s.spanAt(t)
	s.span.Store(sp)
	return sp.state
}

func (s *Schedule) spanAt(t time.Time) *span {
	sp := &span{from: t}
	for o := range s.around(t) {
		if next := o.Next(t); !next.IsZero() && (sp.state.Next.IsZero() || next.Before(sp.state.Next)) {
			sp.state.Next = next
		}
		if phase := o.Phase(t); phase != PhaseOpen && phase != PhaseCompleted {
			sp.state.Windows = append(sp.state.Windows, WindowState{o, phase})
		}
	}
	slices.SortFunc(sp.state.Windows, WindowState.Compare)
	return sp
}

// Occurrences yields the occurrences that overlap [from, to), in order of start. Each is computed
// when the loop asks for it, so a range may be thousands of years long. A rule without an end
// ends with the year 9000.
func (s *Schedule) Occurrences(from, to time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		for o := range s.from(from) {
			if !o.Start.Before(to) || !yield(o) {
				return
			}
		}
	}
}

// from yields the occurrences that end after t, in order of start.
func (s *Schedule) from(t time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		// maxEnd never falls, so nothing before the first that ends after t matters.
		first := sort.Search(len(s.maxEnd), func(i int) bool { return s.maxEnd[i].After(t) })
		once := s.occurrences[first:]
		coming := make(cursors, 0, len(s.recurrences)+1)
		add := func(o Occurrence, next func(Occurrence) (Occurrence, bool)) {
			c := cursor{o, next}
			for !c.End.After(t) {
				var ok bool
				if c.Occurrence, ok = next(c.Occurrence); !ok {
					return
				}
			}
			coming = append(coming, c)
		}
		if len(once) > 0 {
			add(once[0], func(Occurrence) (Occurrence, bool) {
				if once = once[1:]; len(once) == 0 {
					return Occurrence{}, false
				}
				return once[0], true
			})
		}
		var room [4]Occurrence
		for _, r := range s.recurrences {
			if around := r.around(t, room[:0]); len(around) > 0 {
				add(around[0], func(o Occurrence) (Occurrence, bool) { return r.after(o.Start) })
			}
		}
		heap.Init(&coming)
		for len(coming) > 0 {
			c := &coming[0]
			if c.End.After(t) && !yield(c.Occurrence) {
				return
			}
			if o, ok := c.next(c.Occurrence); ok {
				c.Occurrence = o
				heap.Fix(&coming, 0)
			} else {
				heap.Pop(&coming)
			}
		}
	}
}

// A cursor is an occurrence and a function that finds the next one.
type cursor struct {
	Occurrence
	next func(Occurrence) (Occurrence, bool)
}

// cursors are a heap, the one that starts first on top.
type cursors []cursor

func (c cursors) Len() int           { return len(c) }
func (c cursors) Less(i, j int) bool { return compareOccurrences(c[i].Occurrence, c[j].Occurrence) < 0 }
func (c cursors) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)        { *c = append(*c, x.(cursor)) }

func (c *cursors) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}

// around yields all occurrences that may matter at t, unordered.
func (s *Schedule) around(t time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		for _, o := range s.occurrences {
			if !yield(o) {
				return
			}
		}
		var room [4]Occurrence
		for _, r := range s.recurrences {
			for _, o := range r.around(t, room[:0]) {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Pending yields, for each window, the occurrences in progress at now and the next one. The order
// is not defined.
func (s *Schedule) Pending(now time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		for o := range s.around(now) {
			if now.Before(o.End) && !yield(o) {
				return
			}
		}
	}
}

// Current returns the window's most relevant occurrence at now: the one in progress, also if it
// was kept from an earlier document (see [Schedule.Keeping]), or else the next one, or else the
// last one.
func (s *Schedule) Current(w *Window, now time.Time) Occurrence {
	for o := range s.Kept() {
		if o.Window.ID == w.ID && o.Phase(now) == PhaseInProgress {
			return o
		}
	}
	if w.recurrence != nil {
		return w.recurrence.current(now)
	}
	return w.occurrence()
}

// An Overlap is a time in which two windows are both in progress, with scopes that may share
// requests or work. That is allowed: the more restrictive window wins.
type Overlap struct {
	From, To time.Time
	Wins     *Window // the more restrictive one, or the earlier if both are alike
	Over     *Window // the other one
}

// Overlaps yields the overlaps between from and to, in order of the later start. Two windows do
// not overlap if their scopes name different hosts, methods, work or first parts of paths. A
// window never overlaps itself.
func (s *Schedule) Overlaps(from, to time.Time) iter.Seq[Overlap] {
	return func(yield func(Overlap) bool) {
		var open []Occurrence
		for b := range s.Occurrences(from, to) {
			open = slices.DeleteFunc(open, func(a Occurrence) bool { return !a.End.After(b.Start) })
			if !b.Start.Before(b.End) {
				continue
			}
			for _, a := range open {
				if a.Window.ID == b.Window.ID || !a.Window.Scope.Meets(&b.Window.Scope) {
					continue
				}
				o := Overlap{From: b.Start, To: a.End, Wins: a.Window, Over: b.Window}
				if b.End.Before(o.To) {
					o.To = b.End
				}
				if b.Window.Mode.compare(a.Window.Mode) < 0 {
					o.Wins, o.Over = o.Over, o.Wins
				}
				if o.To.After(from) && !yield(o) {
					return
				}
			}
			open = append(open, b)
		}
	}
}

// Keeping returns s together with the occurrences that are in progress in prev and missing in s,
// because a document that loses a window must not open what the window closed. It returns s
// itself if there is nothing to keep, or if s has allowShrink. prev may be nil.
//
// An occurrence is not missing if s plans it with the same window id and planned start, even
// with a different end or mode or a later actual.begin, or if s has the same window in progress
// with a different start. An occurrence goes missing when its window is removed, or when start,
// repeat, except or a freeze changes.
func (s *Schedule) Keeping(prev *Schedule, now time.Time) *Schedule {
	if prev == nil || s.allowShrink {
		return s
	}
	var lost []Occurrence
	for o := range prev.Pending(now) {
		if o.Phase(now) != PhaseInProgress {
			continue
		}
		if w := s.Window(o.Window.ID); w != nil {
			_, planned := w.Occurrence(o.Planned)
			if planned || s.Current(w, now).Phase(now) == PhaseInProgress {
				continue
			}
		}
		lost = append(lost, o.kept())
	}
	if len(lost) == 0 {
		return s
	}
	kept := newSchedule(slices.Clone(s.windows), s.freezes, false)
	kept.kept = lost
	for _, o := range lost {
		kept.occurrences = append(kept.occurrences, o)
		if kept.byID[o.Window.ID] == nil {
			kept.byID[o.Window.ID] = o.Window
			kept.windows = append(kept.windows, o.Window)
		}
	}
	kept.sort()
	return kept
}

// Kept yields the occurrences that [Schedule.Keeping] has kept, even if they are over by now.
func (s *Schedule) Kept() iter.Seq[Occurrence] { return slices.Values(s.kept) }

// Occurrence returns the occurrence whose planned start is the given time, with Actual applied.
// It returns false if none is planned for that time.
func (w *Window) Occurrence(planned time.Time) (Occurrence, bool) {
	switch r := w.recurrence; {
	case r == nil && w.Start.Equal(planned):
		return w.occurrence(), true
	case r != nil && r.has(planned):
		return r.occurrence(planned), true
	}
	return Occurrence{}, false
}
