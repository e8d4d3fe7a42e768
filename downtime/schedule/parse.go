package schedule

import (
	"cmp"
	"math"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
	"github.com/upkeep-go/upkeep/internal/document"
)

// Parse reads a document of windows, JSON or YAML. name is the document's name in errors.
//
// The package comment shows a document. Durations are Go's, with days before them: "90m", "3d",
// "1d12h"; or those of calendars: "PT2H", "P1DT12H", "P1W". allowShrink: see
// [Schedule.Keeping].
//
// repeat is a rule of RFC 5545 §3.3.10: FREQ (DAILY, WEEKLY, MONTHLY or YEARLY),
// INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, WKST, and COUNT (at most 10,000) or UNTIL: a
// date, a wall clock time of timezone, or with Z an instant. "RRULE:" before it and spaces
// between its parts are allowed. The wall clock time repeats, by timezone, or by UTC without
// one. If the rule does not hit start, the window does not take place then, and start is only
// where the rule begins to count: RFC 5545 §3.8.5.3 leaves that undefined.
//
// except lists days of the rule on which the window does not take place, as dates or wall
// clock times of start. A freeze has from and to, and any of timezone, reason and windows. from
// and to are instants, or dates or wall clock times of timezone; a date in to is the last day.
// windows are the ids of the windows that it is about; empty means all that repeat.
//
// What can never occur is refused, an exception on a day that the rule does not have, and a
// window that would last into its own next occurrence.
//
// Unknown fields are refused. The error is [Faults], all of them.
func Parse(name string, data []byte) (*Schedule, error) {
	p := newParser(name)
	r := p.document(p.ParseParts(data), nil)
	if found := p.Faults(); len(found) > 0 {
		return nil, newFaults(name, found)
	}
	return newSchedule(r.windows, r.freezes, r.shrink), nil
}

// Update reads a document that follows prev, which is in use. Unlike [Parse] it refuses the
// document only if its text cannot be read or has no list of windows, or if prev is nil. Any
// other fault affects its own window, which keeps its definition in prev or, where it has none,
// does not take place. Windows with the same id are all faulty. A window whose id is missing
// or faulty may be any window, and so may what stands in an unknown field of the document: then
// all windows that the document has lost stay as in prev. If a freeze is faulty, all freezes stay
// as in prev. With a fault outside of windows and freezes, allowShrink is false. So a fault in
// one place does not keep a window from being ended elsewhere.
//
// faults are all faults of the document. err is the same if the document is refused, else nil.
func Update(prev *Schedule, name string, data []byte) (s *Schedule, faults Faults, err error) {
	p := newParser(name)
	r := p.document(p.ParseParts(data), prev)
	faults = newFaults(name, p.Faults())
	switch {
	case len(faults) == 0:
		return newSchedule(r.windows, r.freezes, r.shrink), nil, nil
	case prev == nil || !r.listed:
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
	if r.nameless {
		for _, w := range prev.windows {
			if !known[w.ID] {
				windows = append(windows, w.refrozen(p.frozenFor(w.ID)))
			}
		}
	}
	return newSchedule(windows, r.freezes, r.shrink), faults, nil
}

// A parser turns a document into windows and freezes.
type parser struct {
	*document.Reader
	zones  map[string]zone
	ids    map[string][]*document.Node
	frozen frozen            // of the freezes that are about all windows that repeat
	own    map[string]frozen // of the windows that a freeze names, all that holds for them
	named  []document.Value  // the ids that freezes name
}

func newParser(name string) *parser {
	return &parser{Reader: document.NewReader(name), zones: map[string]zone{}, ids: map[string][]*document.Node{}}
}

// A reading is what a document says, sound or not.
type reading struct {
	listed   bool // it has one list of windows
	windows  []*Window
	faulty   map[*Window]bool
	nameless bool // a fault may be about any window
	freezes  []Freeze
	shrink   bool
}

// document reads a document. Where its freezes are faulty those of prev stand in for them.
func (p *parser) document(root document.Value, prev *Schedule) *reading {
	r := &reading{faulty: map[*Window]bool{}}
	if !root.Is(document.Map) {
		if root.Present() {
			root.Faultf("the document must be a map, got %v", root.Node().Kind)
		}
		return r
	}
	before := p.Count()
	m := root.Map()
	list, freezes := m.Field("windows"), m.Field("freezes")
	if !list.Present() {
		root.Faultf("windows: is required; a schedule without windows says []")
	}
	shrink := m.Field("allowShrink")
	r.shrink = shrink.Bool()
	m.Done()
	shrink.Flaws(false)
	twice := root.Flaws(true)
	for _, v := range list.List(math.MaxInt) {
		if id := idOf(v); id != nil {
			p.ids[id.Text] = append(p.ids[id.Text], id)
		}
	}
	r.listed = list.Is(document.List) && !slices.Contains(twice, "windows")
	if p.Count() > before {
		r.nameless, r.shrink = true, false
	}

	before = p.Count()
	r.freezes = p.freezes(freezes)
	p.checkNamed()
	freezes.Flaws(false)
	if (p.Count() > before || slices.Contains(twice, "freezes")) && prev != nil {
		r.freezes = prev.freezes
	}
	p.freeze(r.freezes)
	if !list.Is(document.List) {
		return r
	}
	for _, v := range list.List(math.MaxInt) {
		before = p.Count()
		alone := true
		if id := idOf(v); id != nil {
			v = v.About(id.Text)
			r.nameless = slices.Contains(v.Flaws(false), "id") || r.nameless
			same := p.ids[id.Text]
			alone = len(same) == 1
			if same[0] != id {
				v.Map().Field("id").Faultf("is already used on line %d", same[0].Line)
			}
		} else {
			v.Flaws(false)
			r.nameless = true
		}
		w := p.window(v)
		r.windows = append(r.windows, w)
		if p.Count() > before || !alone {
			r.faulty[w] = true
		}
	}
	return r
}

// idOf is the id of a window, nil where it has none that faults can name.
func idOf(v document.Value) *document.Node {
	id := v.Node().Get("id")
	if id == nil || id.Kind != document.String || !ValidID(id.Text) {
		return nil
	}
	return id
}

func (p *parser) window(v document.Value) *Window {
	before := p.Count()
	m := v.Map()
	zone, start := m.Field("timezone"), m.Need("start")
	w := &Window{
		ID:       p.id(m.Need("id")),
		Title:    m.Field("title").Text(200),
		Message:  m.Field("message").Text(2000),
		Owner:    m.Field("owner").Text(200),
		Runbook:  link(m.Field("runbook")),
		Timezone: p.timezone(zone),
		Duration: duration(m.Need("duration")),
		Announce: duration(m.Field("announce")),
		Cutoff:   duration(m.Field("cutoff")),
		Rollback: duration(m.Field("rollback")),
		Mode:     cmp.Or(document.Enum(m.Field("mode"), modes...), ModeClosed),
		Overrun:  cmp.Or(document.Enum(m.Field("overrun"), OverrunHold, OverrunReopen), OverrunHold),
		Scope:    scope(m.Field("scope")),
		Actual:   actual(m.Field("actual")),
	}
	w.Start = moment(start, zone.Present(), w.Timezone, noDates)
	rule := parseRepeat(m)
	m.Done()
	if p.Count() > before {
		return w
	}
	if w.Rollback > w.Duration {
		m.Field("rollback").Faultf("must be at most the duration, %v, got %v", w.Duration, w.Rollback)
	}
	if rule != nil {
		repeat(w, m, rule, p.frozenFor(w.ID))
	} else if err := w.occurrence().check(); err != nil {
		m.Field("actual").Fault(err)
	}
	return w
}

func link(v document.Value) string {
	text, ok := textOf(v, 2000)
	if !ok {
		return ""
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		v.Faultf("must be an http or https URL, got %q", document.Clip(text))
	}
	return text
}

func scope(v document.Value) Scope {
	if !v.Present() {
		return Scope{}
	}
	var s Scope
	m := v.Map()
	s.Paths = texts(m.Field("paths"), func(text string) (string, error) {
		parsed, err := pattern.Parse(text)
		s.patterns = append(s.patterns, parsed)
		return text, err
	})
	s.Methods = texts(m.Field("methods"), checkMethod)
	s.Hosts = texts(m.Field("hosts"), checkHost)
	s.Work = texts(m.Field("work"), checkWork)
	m.Done()
	return s
}

// texts reads a list of what check accepts, as check has it.
func texts(v document.Value, check func(string) (string, error)) (list []string) {
	for _, item := range v.List(maxElements) {
		if text, ok := textOf(item, 500); ok {
			checked, err := check(text)
			if err != nil {
				item.Fault(err)
			}
			list = append(list, checked)
		}
	}
	return list
}

func actual(v document.Value) Actual {
	if !v.Present() {
		return Actual{}
	}
	m := v.Map()
	at := func(v document.Value) time.Time {
		if v.Null() {
			return time.Time{}
		}
		t := v.Instant()
		if t.IsZero() {
			return t
		}
		return sane(v, t)
	}
	a := Actual{Begin: at(m.Field("begin")), End: at(m.Field("end")), Until: at(m.Field("until"))}
	m.Done()
	return a
}

const maxElements = 1000 // of any list but that of windows

// textOf reads a string. It is false for anything else, which is a fault where it is there.
func textOf(v document.Value, limit int) (string, bool) {
	text := v.Text(limit)
	return text, v.Is(document.String) && len(v.Node().Text) <= limit
}

// ValidID reports whether a window may have that id: letters, digits, '.', '_' and '-',
// beginning with a letter or digit, at most 100. So ids are fit for logs, metrics'
// values, headers and command lines.
func ValidID(id string) bool { return idPattern.MatchString(id) }

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (p *parser) id(v document.Value) string {
	text := v.Text(100)
	if v.Is(document.String) && !ValidID(v.Node().Text) {
		v.Faultf("must be letters, digits, '.', '_' and '-', beginning with a letter or digit, got %q", document.Clip(v.Node().Text))
	}
	return text
}
