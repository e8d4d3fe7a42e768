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

// A Schedule is a document's windows. It has no clock and no goroutine. It is read-only, and
// any number of goroutines may use it.
type Schedule struct {
	windows     []*Window // in the document's order, then those kept that it does not have
	byID        map[string]*Window
	kept        []Occurrence // from an earlier document: see Keeping
	freezes     []Freeze
	allowShrink bool

	occurrences []Occurrence // of windows that take place once: by start, then id
	maxEnd      []time.Time  // maxEnd[i] is the latest end of occurrences[:i+1]
	recurrences []*recurrence

	span atomic.Pointer[span] // the answer of At that was given last
}

// A span is a State, which holds from a time until its Next.
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

// sort is to be called when occurrences are complete.
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

// AllowShrink reports whether the document says that windows may vanish from it while they
// are in progress: see [Schedule.Keeping].
func (s *Schedule) AllowShrink() bool { return s.allowShrink }

// Windows are the document's windows, in its order, and after them those that were kept
// from an earlier one.
func (s *Schedule) Windows() iter.Seq[*Window] { return slices.Values(s.windows) }

// Window returns the window of that id, nil when there is none.
func (s *Schedule) Window(id string) *Window { return s.byID[id] }

// A State is what a schedule says of one moment.
type State struct {
	// Windows are those announced, cut off or in progress. Those in progress come first, the
	// most restrictive before the others, so that the first wins where scopes overlap; then
	// those to come, by start. A window that repeats may be in both. The slice is shared and
	// must not be changed.
	Windows []WindowState

	// Next is when the state next changes, by the clock. The zero time means never.
	Next time.Time
}

// A WindowState is one window in a [State].
type WindowState struct {
	Occurrence
	Phase Phase
}

// Compare orders windows as [State] has them, and puts those that are over after those in
// progress.
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

// At returns the state at t. By the clock alone no window is ever draining: only a guard knows
// that. The last answer is kept for the time that it holds.
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

// Occurrences yields the occurrences of which some part lies in [from, to), in order of start.
// They are found as they are asked for, so a range may be thousands of years long. Windows that
// repeat for ever do so to the end of the year 9000.
func (s *Schedule) Occurrences(from, to time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		for o := range s.from(from) {
			if !o.Start.Before(to) || !yield(o) {
				return
			}
		}
	}
}

// from yields what is not over at the time, in order of start.
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

// A cursor is an occurrence and how to find the one after it.
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

// around yields all that may matter at t, in no order.
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

// Pending yields what may matter from now on, in no order: of each window what is in
// progress and what comes next.
func (s *Schedule) Pending(now time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		for o := range s.around(now) {
			if now.Before(o.End) && !yield(o) {
				return
			}
		}
	}
}

// Current is the one of the window's occurrences to speak of at now: what is in progress,
// also when it was kept from an earlier document (see [Schedule.Keeping]), else what
// comes next, else what was last.
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

// An Overlap is a time in which two windows are both in progress, and could be so
// for the same request or work. That is allowed: the more restrictive wins.
type Overlap struct {
	From, To time.Time
	Wins     *Window // the more restrictive, the earlier of two alike
	Over     *Window
}

// Overlaps yields the overlaps between from and to, in order of the later start. Windows
// of which the scopes name different hosts, methods, work or first parts of paths are not
// taken to overlap, and no window overlaps itself.
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

// Keeping returns the schedule with what prev has in progress now and s no longer has,
// because a document that loses a window must not open what it closed. It returns s itself when
// there is nothing to keep, or s allows to shrink. prev may be nil.
//
// An occurrence that s still plans, by its window's id and its planned start, is as s
// says: it may have another end, another mode, or be put off by actual.begin. So is one
// whose window s has in progress by another start. What remains is lost with its window,
// or because start, repeat, except or a freeze were changed.
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

// Kept yields what [Schedule.Keeping] has kept though the document has lost it, whether or
// not it is over by now.
func (s *Schedule) Kept() iter.Seq[Occurrence] { return slices.Values(s.kept) }

// Occurrence returns the occurrence planned for that time, as it is by the document. It is
// false when none is.
func (w *Window) Occurrence(planned time.Time) (Occurrence, bool) {
	switch r := w.recurrence; {
	case r == nil && w.Start.Equal(planned):
		return w.occurrence(), true
	case r != nil && r.has(planned):
		return r.occurrence(planned), true
	}
	return Occurrence{}, false
}
