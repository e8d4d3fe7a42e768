package schedule

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// beginAhead is how long before its start an unannounced window may begin.
const beginAhead = 24 * time.Hour

// Begin returns the document with actual.begin at now for the window's next occurrence. The end
// stays as planned, because it was announced to users.
//
// Only the bytes of the window's actual change: comments and every other byte stay, and JSON stays
// JSON. Times are written in UTC and whole seconds. Faults of other windows do not matter. Begin
// returns an error and no document if the window is missing, faulty or in progress, if it starts
// more than a day after now and is not announced, or if its text has a form that cannot be edited,
// such as an alias.
func Begin(name string, data []byte, id string, now time.Time) ([]byte, error) {
	return edit(name, data, id, now, nil, func(o Occurrence, a Actual) (Actual, error) {
		switch phase := o.Phase(now); {
		case phase == PhaseCompleted:
			return a, fmt.Errorf("ended at %s", o.End.Format(time.RFC3339))
		case phase == PhaseInProgress:
			return a, fmt.Errorf("began at %s", o.Start.Format(time.RFC3339))
		case phase == PhaseOpen && o.Start.Sub(now) > beginAhead:
			return a, fmt.Errorf("begins at %s: a window that is not announced can begin at most %v earlier", o.Start.Format(time.RFC3339), beginAhead)
		case !a.End.IsZero():
			return a, fmt.Errorf("is cancelled, with actual.end %s", a.End.Format(time.RFC3339))
		}
		a.Begin = now.Truncate(time.Second)
		return a, nil
	})
}

// Complete returns the document with actual.end at now for the occurrence in progress, or for an
// occurrence that ended less than six hours ago, because unfinished work may hold it closed. It
// edits and fails as [Begin] does.
func Complete(name string, data []byte, id string, now time.Time) ([]byte, error) {
	return edit(name, data, id, now, func(Occurrence) bool { return true }, func(o Occurrence, a Actual) (Actual, error) {
		if err := open(o, a, now); err != nil {
			return a, err
		}
		if now.Before(o.Start) {
			return a, fmt.Errorf("begins at %s: cancel it", o.Start.Format(time.RFC3339))
		}
		a.End = now.Truncate(time.Second)
		if a.End.Before(o.Start) {
			a.End = o.Start
		}
		return a, nil
	})
}

// Extend returns the document with actual.until for the occurrence in progress, for one that ended
// less than six hours ago, or for the next one. until may also be earlier than the end, but must be
// after now and after the start, at most 366 days after the start. It edits and fails as [Begin]
// does.
func Extend(name string, data []byte, id string, until, now time.Time) ([]byte, error) {
	return edit(name, data, id, now, func(next Occurrence) bool { return until.Before(next.Start) }, func(o Occurrence, a Actual) (Actual, error) {
		if err := open(o, a, now); err != nil {
			return a, err
		}
		until = until.Truncate(time.Second)
		switch {
		case !until.After(now):
			return a, fmt.Errorf("cannot end at %s, which is past", until.Format(time.RFC3339))
		case !until.After(o.Start):
			return a, fmt.Errorf("cannot end at %s, before its start, %s", until.Format(time.RFC3339), o.Start.Format(time.RFC3339))
		case until.Sub(o.Start) > MaxDuration:
			return a, fmt.Errorf("cannot end at %s, more than %d days after its start", until.Format(time.RFC3339), MaxDuration/(24*time.Hour))
		}
		a.Until = until
		if r := o.Window.recurrence; r != nil && a.Begin.IsZero() {
			if next, ok := r.plannedAfter(o.Planned); ok && !next.After(until) { // see Actual
				a.Begin = o.Start
			}
		}
		return a, nil
	})
}

// Cancel returns the document with actual.end at the start of the window's next occurrence, so that
// it does not take place. It edits and fails as [Begin] does.
func Cancel(name string, data []byte, id string, now time.Time) ([]byte, error) {
	return edit(name, data, id, now, nil, func(o Occurrence, a Actual) (Actual, error) {
		switch phase := o.Phase(now); {
		case phase == PhaseCompleted:
			return a, fmt.Errorf("ended at %s", o.End.Format(time.RFC3339))
		case phase == PhaseInProgress:
			return a, fmt.Errorf("began at %s: complete it", o.Start.Format(time.RFC3339))
		case !a.End.IsZero():
			return a, fmt.Errorf("is already cancelled, with actual.end %s", a.End.Format(time.RFC3339))
		}
		a.End = o.Start
		return a, nil
	})
}

// open returns an error for an occurrence that cannot be completed or extended.
func open(o Occurrence, a Actual, now time.Time) error {
	if !a.End.IsZero() {
		return fmt.Errorf("was ended with actual.end %s", a.End.Format(time.RFC3339))
	}
	if now.Sub(o.End) > overrunning {
		return fmt.Errorf("ended at %s", o.End.Format(time.RFC3339))
	}
	return nil
}

// edit changes the window's Actual. change gets the current occurrence and its Actual. If that is the
// next occurrence, and late returns true for it, change gets the last one instead, if it may still be
// completed.
func edit(name string, data []byte, id string, now time.Time, late func(next Occurrence) bool, change func(Occurrence, Actual) (Actual, error)) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, &Fault{File: name, Window: id, Err: err}
	}
	before, faults, err := Update(&Schedule{}, name, data)
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		if f.Window == id || f.Window == "" { // a faulty freeze can move the window's occurrences
			return nil, f
		}
	}
	w := before.Window(id)
	if w == nil {
		return fail(document.Unknown("window", id, slices.Sorted(maps.Keys(before.byID))))
	}
	o := before.Current(w, now)
	if w.recurrence != nil && late != nil && now.Before(o.Start) && late(o) {
		if last, ok := w.recurrence.by(now); ok && open(last, last.Actual(), now) == nil {
			o = last
		}
	}
	wanted, err := change(o, o.Actual())
	if err != nil {
		return fail(err)
	}
	find := func(root *document.Node) *document.Node {
		list := root.Get("windows")
		if list == nil {
			return nil
		}
		for _, node := range list.Items {
			if of := node.Get("id"); of != nil && of.Text == id {
				return node
			}
		}
		return nil
	}
	for _, f := range [...]struct {
		name    string
		is, was time.Time
	}{{"begin", wanted.Begin, w.Actual.Begin}, {"until", wanted.Until, w.Actual.Until}, {"end", wanted.End, w.Actual.End}} {
		if f.is.Equal(f.was) {
			continue
		}
		var text *string
		if !f.is.IsZero() {
			at := f.is.UTC().Format(time.RFC3339)
			text = &at
		}
		if data, err = document.SetText(name, data, find, "actual", f.name, text); err != nil {
			return fail(err)
		}
	}
	after, remaining, err := Update(&Schedule{}, name, data)
	if err != nil {
		return nil, err
	}
	if len(remaining) > len(faults) {
		for _, f := range remaining {
			if f.Window == id {
				return nil, f
			}
		}
		return nil, remaining
	}
	got, planned := after.Window(id).Occurrence(o.Planned)
	if want := (Occurrence{Planned: o.Planned, Start: o.Planned, End: o.Planned.Add(w.Duration)}).as(wanted); !planned || !got.Start.Equal(want.Start) || !got.End.Equal(want.End) {
		return fail(fmt.Errorf("actual would change a different occurrence than that of %s: write it by hand", o.Planned.Format(time.RFC3339)))
	}
	return data, nil
}
