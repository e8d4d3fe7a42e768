package downtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A drainedScope is a scope that Drain has reported quiet and that an edit has taken out of
// its window. It stays closed as long as the window is in progress or overruns.
type drainedScope struct {
	window *schedule.Window
	*tally
}

// withhold returns the occurrence as it is kept when the document would open it while its
// work is unfinished, and notes the fields that are held back.
func (o *occurrence) withhold(holds schedule.Occurrence, f facts) schedule.Occurrence {
	over := o.isPast(o.End, f)
	if f.planned == nil {
		holds.Window = o.Window
		if !over {
			o.withheld = append(o.withheld, "")
		}
		return holds
	}
	if !holds.Window.Mode.Closes() {
		w := *holds.Window
		w.Mode = o.Window.Mode
		holds.Window = &w
		o.withheld = append(o.withheld, "mode")
	}
	switch {
	case holds.Start.After(o.Start) && f.now.Before(holds.Start):
		holds.Start, holds.End = o.Start, o.End
		o.withheld = append(o.withheld, "start")
	case !over && o.isPast(holds.End, f):
		holds.End = o.End
		o.withheld = append(o.withheld, "end")
	}
	return holds
}

// keepScope keeps what Drain has reported quiet and the new window does not include.
func (o *occurrence) keepScope(w *schedule.Window) {
	kept := []*schedule.Scope{&w.Scope}
	var held []drainedScope
	for _, h := range append(slices.Clone(o.held), drainedScope{o.Window, o.tally}) {
		if !slices.ContainsFunc(kept, func(s *schedule.Scope) bool { return includes(s, &h.window.Scope) }) {
			kept, held = append(kept, &h.window.Scope), append(held, h)
		}
	}
	o.held = held
}

// shadows are the occurrence once more, for each scope that it keeps closed besides its own.
func (o *occurrence) shadows() []*occurrence {
	var all []*occurrence
	for _, h := range o.held {
		w, shadow := *h.window, *o
		w.Mode = o.Window.Mode
		shadow.Window, shadow.tally, shadow.held = &w, h.tally, nil
		all = append(all, &shadow)
	}
	return all
}

// maxSkew is by how much the wall clock and the monotonic clock may disagree before that is a
// problem.
const maxSkew = time.Minute

// problems are what an operator has to know of the occurrence.
func (o *occurrence) problems() []error {
	if !o.isOn() || o.Window.ID == "" {
		return nil
	}
	var problems []error
	add := func(field string, err error) {
		problems = append(problems, &schedule.Fault{Window: o.Window.ID, Field: field, Severity: schedule.SeverityWarning, Err: err})
	}
	for _, field := range o.withheld {
		err := errHeldBack
		if field == "" {
			err = errKept
		}
		add(field, err)
	}
	if len(o.held) > 0 {
		add("scope", errHeldBack)
	}
	if skew := o.skew.Abs(); skew > maxSkew {
		add("", fmt.Errorf("the wall clock and the monotonic clock disagree by %v since it began: it stays closed "+
			"until both have passed its end, or the wall clock has and %v have passed", skew.Round(time.Minute), o.overrunMax))
	}
	return problems
}

var (
	errHeldBack = errors.New("the edit is held back, because the work of the window is unfinished: to open it, set actual.end or call Complete")
	errKept     = errors.New("no longer takes place by the document, and is kept, because its work is unfinished: to open it, set actual.end or call Complete")
)

// includes reports whether all that is in scope b is in scope a, as far as their lists show it.
func includes(a, b *schedule.Scope) bool {
	if a.IsEmpty() || b.IsEmpty() {
		return a.IsEmpty()
	}
	if !slices.Contains(a.Work, "*") && !within(a.Work, b.Work) {
		return false
	}
	if len(b.Paths)+len(b.Methods)+len(b.Hosts) == 0 {
		return true
	}
	if len(a.Paths)+len(a.Methods)+len(a.Hosts) == 0 {
		return false
	}
	list := func(a, b []string) bool { return len(a) == 0 || len(b) > 0 && within(a, b) }
	paths := len(a.Paths) == 0 || len(b.Paths) > 0
	for _, path := range b.Paths {
		paths = paths && (len(a.Paths) == 0 || slices.ContainsFunc(a.Paths, func(tree string) bool { return isBelow(path, tree) }))
	}
	return paths && list(a.Methods, b.Methods) && list(a.Hosts, b.Hosts)
}

// within reports whether all of b are in a.
func within(a, b []string) bool {
	return !slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) })
}

// isBelow reports whether a path is the pattern, or lies below a pattern that ends with "/**".
func isBelow(path, pattern string) bool {
	tree, ok := strings.CutSuffix(pattern, "/**")
	return path == pattern || ok && !strings.ContainsAny(tree, "{*%") && strings.HasPrefix(path+"/", tree+"/")
}
