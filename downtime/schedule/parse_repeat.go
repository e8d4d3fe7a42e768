package schedule

import (
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A repeat is what a document says of the repetition of a window, before it is known to fit
// the rest of the window.
type repeat struct {
	fields  *document.Fields
	value   document.Value
	rule    *ruleParts
	excepts []exception
}

// An exception is one of except: a day, and the second of it where the document says.
type exception struct {
	document.Value
	day    int
	second int64 // -1: not said
}

// repeat reads the fields repeat and except. It is nil for a window that takes place once.
func (p *parser) repeat(m *document.Fields) *repeat {
	r := &repeat{fields: m, value: m.Field("repeat")}
	except := m.Field("except")
	r.excepts = p.except(except)
	if !r.value.Present() {
		if except.Present() {
			except.Faultf("has no meaning without repeat")
		}
		return nil
	}
	text, ok := textOf(r.value, 2000)
	if !ok {
		return nil
	}
	rule, errs := parseRule(canonicalRule(text))
	for _, err := range errs {
		r.value.Fault(err)
	}
	r.rule = rule
	return r
}

func (p *parser) except(v document.Value) []exception {
	var excepts []exception
	for _, item := range v.List(maxElements) {
		text, ok := textOf(item, 100)
		if !ok {
			continue
		}
		wall, date, ok := parseWall(text)
		if !ok {
			item.Faultf(`must be a date such as "2026-12-22", or a wall clock time of the start, got %q`, document.Clip(text))
			continue
		}
		e := exception{Value: item, day: int(div(wall.Unix(), secondsOfDay)), second: -1}
		if !date {
			e.second = mod(wall.Unix(), secondsOfDay)
		}
		excepts = append(excepts, e)
	}
	return excepts
}

// build makes w repeat. All its fields have been read.
func (r *repeat) build(w *Window, frozen frozen) {
	w.Repeat = canonicalRule(r.value.Node().Text)
	start := r.fields.Field("start")
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
	if c.rule, err = newRule(r.rule, c.day(reading)); err == nil && r.rule.given["UNTIL"] {
		err = c.end(r.rule.until)
	}
	if err != nil {
		r.value.Fault(err)
		return
	}
	for _, e := range r.excepts {
		switch {
		case !c.rule.has(e.day):
			e.Faultf("%q is no day on which the window takes place by repeat", e.Node().Text)
		case e.second >= 0 && e.second != c.second:
			e.Faultf("%q is not when the window starts that day", e.Node().Text)
		default:
			c.except = append(c.except, e.day)
		}
	}
	slices.Sort(c.except)
	c.except = slices.Compact(c.except)
	w.Start = c.instant(c.rule.first)
	if _, some := c.plannedAfter(w.Start.Add(-1)); !some {
		r.value.Faultf("except and freezes leave no occurrence")
		return
	}
	if a, b, overlap := c.overlap(); overlap {
		r.fields.Field("duration").Faultf("must not be longer than the time to the next occurrence: that of %s would last into that of %s",
			c.instant(a).Format(time.DateOnly), c.instant(b).Format(time.DateOnly))
		return
	}
	if err := c.adjust(); err != nil {
		r.fields.Field("actual").Fault(err)
		return
	}
	w.recurrence = c
}
