package schedule

import (
	"slices"
)

// Update reads a document that follows prev, which is in use. Unlike [Parse] it refuses the
// document only for faults outside of its windows and freezes, or when prev is nil. Any other
// fault affects its own window, which keeps its definition in prev or, where it has none,
// does not take place; faulty freezes are as in prev. So a fault in one window does not keep
// another from being ended.
//
// faults are all of the document, err is the same where it is refused.
func Update(prev *Schedule, name string, data []byte) (s *Schedule, faults Faults, err error) {
	p := newParser(name)
	r := p.document(p.Parse(data), prev)
	faults = newFaults(name, p.Faults())
	switch {
	case len(faults) == 0:
		return newSchedule(r.windows, r.freezes, r.shrink), nil, nil
	case prev == nil || !r.sound:
		return nil, faults, faults
	}
	windows := make([]*Window, 0, len(r.windows))
	known := map[string]bool{}
	for _, w := range r.windows {
		if r.faulty[w] {
			if known[w.ID] || prev.Window(w.ID) == nil {
				continue
			}
			w = prev.Window(w.ID).refrozen(p.frozenFor(w.ID))
		}
		known[w.ID] = true
		windows = append(windows, w)
	}
	return newSchedule(windows, r.freezes, r.shrink), faults, nil
}

// refrozen is the window with other freezes; as it is where they would leave nothing of it.
func (w *Window) refrozen(f frozen) *Window {
	if w.recurrence == nil || slices.Equal(w.recurrence.frozen, f) {
		return w
	}
	other, r := *w, *w.recurrence
	r.window, r.frozen, r.adjusted = &other, f, Occurrence{}
	other.recurrence = &r
	if _, some := r.plannedAfter(other.Start.Add(-1)); !some || r.adjust() != nil {
		return w
	}
	return &other
}
