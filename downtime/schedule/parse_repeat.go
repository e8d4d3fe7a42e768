package schedule

import (
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// parseRepeat reads the fields repeat and except. It is nil for a window that takes place once.
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

// repeat makes w repeat. All its fields have been read without a fault.
func repeat(w *Window, m *document.Fields, parts *ruleParts, frozen frozen) {
	start, value := m.Field("start"), m.Field("repeat")
	w.Repeat = canonicalRule(value.Node().Text)
	if w.Start.Nanosecond() != 0 {
		start.Faultf("must be a whole second where the window repeats, got %q", document.Clip(start.Node().Text))
		return
	}
	reading := w.Start.Unix() + offsetOf(w.Start)
	if wall, _, ok := parseWall(start.Node().Text); ok { // the clock may jump over it that day, but not on others
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
			e.Faultf("%q is no day on which the window takes place by repeat", e.Node().Text)
		case !date && mod(wall.Unix(), secondsOfDay) != c.second:
			e.Faultf("%q is not when the window starts that day", e.Node().Text)
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
