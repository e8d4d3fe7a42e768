package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A recurrence computes when a window that repeats takes place: on the days of the rule, at the
// wall clock time of its start, without exceptions and freezes, and with Actual applied to one
// occurrence.
//
// Planned is unique among a window's occurrences, and so is Start; both give the same order. If
// the clocks skip a day, its reading and the next day's may be the same instant: that is one
// occurrence.
type recurrence struct {
	window *Window
	rule   *rule
	second int64 // of the day, on the wall clock
	except []int // days, in order
	frozen frozen

	adjusted Occurrence // the occurrence that Actual changes; its Window is nil if there is none
}

// alone is the longest duration with which an occurrence surely ends before the next one begins.
// Apart from whole days, no clock on record ever jumped by more than three hours.
const alone = 20 * time.Hour

func (r *recurrence) clock() wallClock { return wallClock{loc: r.window.Timezone} }

// day returns the last day whose start, as a reading, is not after the given reading.
func (r *recurrence) day(reading int64) int { return int(div(reading-r.second, secondsOfDay)) }

// slack is by how many days readings and instants can differ in order: see reach.
const slack = 2

// plannedAfter returns the first planned start after t. Besides the rule's own steps, it takes
// one step for each exception in a row and for each freeze.
func (r *recurrence) plannedAfter(t time.Time) (time.Time, bool) {
	clock := r.clock()
	reading, calm := clock.at(t)
	day := r.day(reading) + 1
	if !calm {
		day -= slack
	}
	for {
		var ok bool
		if day, ok = r.rule.onOrAfter(day); !ok {
			return time.Time{}, false
		}
		start := clock.instant(int64(day)*secondsOfDay + r.second)
		if start > t.Unix() && !r.excepts(day) {
			_, to, in := r.frozen.at(start)
			if !in {
				return time.Unix(start, 0).In(clock.loc), true
			}
			day = max(day, r.day(to)-slack)
		}
		day++
	}
}

// plannedBy returns the last planned start that is not after t.
func (r *recurrence) plannedBy(t time.Time) (time.Time, bool) {
	clock := r.clock()
	reading, calm := clock.at(t)
	day := r.day(reading)
	if !calm {
		day += slack
	}
	for {
		var ok bool
		if day, ok = r.rule.onOrBefore(day); !ok {
			return time.Time{}, false
		}
		start := clock.instant(int64(day)*secondsOfDay + r.second)
		if start <= t.Unix() && !r.excepts(day) {
			from, _, in := r.frozen.at(start)
			if !in {
				return time.Unix(start, 0).In(clock.loc), true
			}
			day = min(day, r.day(from)+slack)
		}
		day--
	}
}

// instant returns when the window starts on a day of the rule.
func (r *recurrence) instant(day int) time.Time {
	clock := r.clock()
	return time.Unix(clock.instant(int64(day)*secondsOfDay+r.second), 0).In(clock.loc)
}

// end applies UNTIL to the rule.
func (r *recurrence) end(u until) error {
	day := r.day(u.wall)
	if u.instant {
		day += slack
	}
	last, ok := r.rule.onOrBefore(day)
	for ok && u.instant && r.instant(last).Unix() > u.wall {
		last, ok = r.rule.onOrBefore(last - 1)
	}
	if !ok {
		return fmt.Errorf("UNTIL: lies before the first occurrence, %s", r.instant(r.rule.first).Format(time.RFC3339))
	}
	r.rule.last = last
	return nil
}

func (r *recurrence) excepts(day int) bool {
	_, found := slices.BinarySearch(r.except, day)
	return found
}

func (r *recurrence) has(t time.Time) bool {
	planned, ok := r.plannedBy(t)
	return ok && planned.Equal(t)
}

func (r *recurrence) occurrence(planned time.Time) Occurrence {
	if r.isAdjusted(planned) {
		return r.adjusted
	}
	return Occurrence{Planned: planned, Start: planned, End: planned.Add(r.window.Duration), Window: r.window}
}

func (r *recurrence) isAdjusted(planned time.Time) bool {
	return r.adjusted.Window != nil && r.adjusted.Planned.Equal(planned)
}

// after returns the first occurrence that starts after t.
func (r *recurrence) after(t time.Time) (Occurrence, bool) {
	if a := r.adjusted; a.Window != nil && !a.Planned.After(t) && a.Start.After(t) { // begun late
		return a, true
	}
	planned, ok := r.plannedAfter(t)
	if ok && r.isAdjusted(planned) && !r.adjusted.Start.After(t) { // begun early
		planned, ok = r.plannedAfter(planned)
	}
	if !ok {
		return Occurrence{}, false
	}
	return r.occurrence(planned), true
}

// by returns the last occurrence that does not start after t.
func (r *recurrence) by(t time.Time) (Occurrence, bool) {
	if a := r.adjusted; a.Window != nil && a.Planned.After(t) && !a.Start.After(t) { // begun early
		return a, true
	}
	planned, ok := r.plannedBy(t)
	if ok && r.isAdjusted(planned) && r.adjusted.Start.After(t) { // begun late
		planned, ok = r.plannedBy(planned.Add(-1))
	}
	if !ok {
		return Occurrence{}, false
	}
	return r.occurrence(planned), true
}

// around appends the occurrences that matter at t, in order of start: those in progress, the last
// one that ended, and the next one.
func (r *recurrence) around(t time.Time, to []Occurrence) []Occurrence {
	first := len(to)
	adjusted := r.adjusted.Window != nil && !r.adjusted.Start.After(t) // and not appended yet
	if last, ok := r.by(t); ok {
		to = append(to, last)
		adjusted = adjusted && !last.Planned.Equal(r.adjusted.Planned)
		for o := last; r.window.Duration > alone; {
			planned, ok := r.plannedBy(o.Planned.Add(-1))
			if !ok || !planned.Add(r.window.Duration).After(last.Start) {
				break
			}
			o = r.occurrence(planned)
			to = append(to, o)
			adjusted = adjusted && !planned.Equal(r.adjusted.Planned)
		}
	}
	if adjusted { // planned long ago, but it may be extended
		to = append(to, r.adjusted)
	}
	slices.Reverse(to[first:])
	if next, ok := r.after(t); ok {
		to = append(to, next)
	}
	return to
}

// current returns the most relevant occurrence at t: the one in progress that ends last, or else
// the next, or else the last.
func (r *recurrence) current(t time.Time) Occurrence {
	return slices.MinFunc(r.around(t, nil), func(a, b Occurrence) int {
		return cmp.Or(cmp.Compare(rank(a, t), rank(b, t)), b.End.Compare(a.End))
	})
}

func rank(o Occurrence, t time.Time) int {
	switch o.Phase(t) {
	case PhaseInProgress:
		return 0
	case PhaseCompleted:
		return 2
	}
	return 1
}

// adjust finds the occurrence that Actual changes, and changes it: see [Actual].
func (r *recurrence) adjust() error {
	a := r.window.Actual
	if a == (Actual{}) {
		return nil
	}
	var planned time.Time
	if !a.Begin.IsZero() {
		planned = r.nearest(a.Begin)
	} else {
		at := a.End
		if at.IsZero() || !a.Until.IsZero() && a.Until.Before(at) {
			at = a.Until
		}
		var ok bool
		if planned, ok = r.plannedBy(at); !ok {
			return fmt.Errorf("does not match an occurrence: the first one is planned after %s", at.Format(time.RFC3339))
		}
	}
	o := r.occurrence(planned).as(a)
	if err := o.check(); err != nil {
		return err
	}
	most := planned.Add(r.window.Duration + max(r.window.Duration, overrunning))
	if a.Begin.IsZero() && a.Until.IsZero() && o.End.After(most) {
		return fmt.Errorf("end, %s, is long after the occurrence planned for %s: "+
			"to extend that one write until, to call off another write except",
			o.End.Format(time.RFC3339), planned.Format(time.RFC3339))
	}
	r.adjusted = o
	return nil
}

// overrunning is how long after its planned end an occurrence may be ended, unless its duration
// is longer. A later end was meant for another occurrence.
const overrunning = 6 * time.Hour

// nearest is the planned start of the occurrence in which t lies by the plan, else of the nearest
// one, and of two alike the later. There is one.
func (r *recurrence) nearest(t time.Time) time.Time {
	last, before := r.plannedBy(t)
	if before && t.Before(last.Add(r.window.Duration)) {
		return last
	}
	next, after := r.plannedAfter(t)
	if after && (!before || next.Sub(t) <= t.Sub(last)) {
		return next
	}
	return last
}

// overlap finds two occurrences, among the first thousand, where the second begins before the
// first ends. It compares wall clock times, because an hour lost to a change of clocks once a
// year is not a fault.
func (r *recurrence) overlap() (first, second int, ok bool) {
	if r.window.Duration <= 24*time.Hour {
		return 0, 0, false
	}
	last, any := 0, false
	day, ok := r.rule.onOrAfter(r.rule.first)
	for n := 0; ok && n < 1000; n++ {
		if !r.excepts(day) {
			if any && time.Duration(day-last)*24*time.Hour < r.window.Duration {
				return last, day, true
			}
			last, any = day, true
		}
		day, ok = r.rule.onOrAfter(day + 1)
	}
	return 0, 0, false
}

func compareOccurrences(a, b Occurrence) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Window.ID, b.Window.ID), a.Planned.Compare(b.Planned))
}

// refrozen returns the window with other freezes, or the window itself if they would leave no
// occurrence.
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

// parseRepeat reads the fields repeat and except. It returns nil for a window that takes place
// once.
func parseRepeat(m *document.Fields) *ruleParts {
	repeat, except := m.Field("repeat"), m.Field("except")
	for _, item := range except.List(maxElements) {
		if text, ok := textOf(item, 100); ok {
			if _, _, ok := parseWall(text); !ok {
				item.Faultf(`must be a date such as "2026-12-22", or a wall clock time of the start, got %q`, document.Clip(text))
			}
		}
	}
	if except.Present() && !repeat.Present() {
		except.Faultf("has no meaning without repeat")
	}
	text, ok := textOf(repeat, 2000)
	if !ok {
		return nil
	}
	parts, errs := parseRule(canonicalRule(text))
	for _, err := range errs {
		repeat.Fault(err)
	}
	return parts
}

// repeat adds the recurrence to w. All fields of w must have been read without a fault.
func repeat(w *Window, m *document.Fields, parts *ruleParts, frozen frozen) {
	start, value := m.Field("start"), m.Field("repeat")
	w.Repeat = canonicalRule(value.Node().Text)
	if w.Start.Nanosecond() != 0 {
		start.Faultf("must be a whole second where the window repeats, got %q", document.Clip(start.Node().Text))
		return
	}
	reading := w.Start.Unix() + offsetOf(w.Start)
	if wall, _, ok := parseWall(start.Node().Text); ok { // the clocks may skip it on that day, but not on others
		reading = wall.Unix()
	}
	c := &recurrence{window: w, second: mod(reading, secondsOfDay), frozen: frozen}
	clock := c.clock()
	if first := clock.instant(reading); first != w.Start.Unix() {
		start.Faultf("the clock shows %s twice, and a window that repeats takes the first, %s, got %q",
			w.Start.Format("15:04"), time.Unix(first, 0).In(w.Timezone).Format(time.RFC3339), document.Clip(start.Node().Text))
		return
	}
	var err error
	if c.rule, err = newRule(parts, c.day(reading)); err == nil && parts.given["UNTIL"] {
		err = c.end(parts.until)
	}
	if err != nil {
		value.Fault(err)
		return
	}
	for _, e := range m.Field("except").List(maxElements) {
		wall, date, _ := parseWall(e.Node().Text)
		day := int(div(wall.Unix(), secondsOfDay))
		switch {
		case !c.rule.has(day):
			e.Faultf("must be a day on which the window takes place by repeat, got %q", e.Node().Text)
		case !date && mod(wall.Unix(), secondsOfDay) != c.second:
			e.Faultf("must be a date, or the time at which the window starts that day, got %q", e.Node().Text)
		default:
			c.except = append(c.except, day)
		}
	}
	slices.Sort(c.except)
	c.except = slices.Compact(c.except)
	w.Start = c.instant(c.rule.first)
	if _, some := c.plannedAfter(w.Start.Add(-1)); !some {
		value.Faultf("except and freezes leave no occurrence")
		return
	}
	if a, b, overlap := c.overlap(); overlap {
		m.Field("duration").Faultf("must not be longer than the time to the next occurrence: that of %s would last into that of %s",
			c.instant(a).Format(time.DateOnly), c.instant(b).Format(time.DateOnly))
		return
	}
	if err := c.adjust(); err != nil {
		m.Field("actual").Fault(err)
		return
	}
	w.recurrence = c
}
