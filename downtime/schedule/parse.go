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

// Parse reads a document of windows, JSON or YAML. name is the document's name in errors. The
// error is [Faults], and has all faults of the document.
//
// The package comment shows a document. Durations have Go's form, optionally with days: "90m",
// "3d", "1d12h"; or the form of calendars: "PT2H", "P1DT12H", "P1W". [Schedule.Keeping]
// describes allowShrink.
//
// repeat is a rule of RFC 5545 §3.3.10: FREQ (DAILY, WEEKLY, MONTHLY or YEARLY),
// INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, WKST, and COUNT (at most 10,000) or UNTIL: a
// date, a wall clock time of timezone, or with Z an instant. "RRULE:" before it and spaces
// between its parts are allowed. The wall clock time repeats in timezone; empty means UTC. If
// the rule does not include the day of start, the window does not take place on that day, and
// the rule only counts from there: RFC 5545 §3.8.5.3 leaves that undefined. BYSETPOS counts all
// days of its week, month or year, also those before start:
//
//	FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1    the last working day of each month
//	FREQ=MONTHLY;BYMONTHDAY=30,-1;BYSETPOS=1         the 30th, or the last day of February
//
// except lists days of the rule on which the window does not take place, as dates or as wall
// clock times of start. A freeze has from and to, and optionally timezone, reason and windows.
// from and to are instants, or dates or wall clock times in timezone; a date in to is the last
// day. windows has the ids of the windows that the freeze affects. Empty means all that repeat.
//
// Parse refuses unknown fields, a rule that can never occur, an exception on a day that the rule
// does not have, and a window that would last into its own next occurrence.
func Parse(name string, data []byte) (*Schedule, error) {
	p := newParser(name)
	r := p.document(p.ParseParts(data), nil)
	if found := p.Faults(); len(found) > 0 {
		return nil, newFaults(name, found)
	}
	return newSchedule(r.windows, r.freezes, r.shrink), nil
}

// Update reads a document that replaces prev, which is in use. Unlike [Parse], it refuses a
// document with faults only if prev is nil, or if the text cannot be read or does not have a list
// of windows. Any other fault affects only its own window, which keeps its definition in prev, or
// does not take place if prev does not have it. With a fault outside of windows and freezes,
// allowShrink is false, and all windows that the document does not have stay as in prev. So a fault
// in one place does not prevent an operator from ending a window.
//
// Windows with the same id are all faulty. A window whose id is missing or faulty may be any
// window, so all windows that are missing in the document stay as in prev. If a freeze is faulty,
// all freezes stay as in prev.
//
// faults has all faults of the document. err is the same if the document is refused, and nil
// otherwise.
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
	done := map[string]bool{} // by id
	for _, w := range r.windows {
		if r.faulty[w] {
			if done[w.ID] || prev.Window(w.ID) == nil {
				continue
			}
			w = prev.Window(w.ID).refrozen(p.frozenFor(w.ID))
		}
		done[w.ID] = true
		windows = append(windows, w)
	}
	if r.nameless {
		for _, w := range prev.windows {
			if !done[w.ID] {
				windows = append(windows, w.refrozen(p.frozenFor(w.ID)))
			}
		}
	}
	return newSchedule(windows, r.freezes, r.shrink), faults, nil
}

// A parser reads windows and freezes from a document.
type parser struct {
	*document.Reader
	zones  map[string]zone
	ids    map[string][]*document.Node
	frozen frozen            // the freezes that affect all windows that repeat
	own    map[string]frozen // by id, for windows named by a freeze: all freezes that affect them
	named  []document.Value  // the ids in freezes
}

func newParser(name string) *parser {
	return &parser{Reader: document.NewReader(name), zones: map[string]zone{}, ids: map[string][]*document.Node{}}
}

// A reading is the content of a document, which may have faults.
type reading struct {
	listed   bool // the document has a list of windows
	windows  []*Window
	faulty   map[*Window]bool
	nameless bool // a fault may be about any window
	freezes  []Freeze
	shrink   bool
}

// document reads a document. If its freezes are faulty, it takes those of prev.
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
	m.Field("$schema").Text(2000) // for editors
	m.Done()
	shrink.Flaws(false)
	twice := root.Flaws(true)
	for _, again := range of(twice, "windows") { // all of them are, together
		if list.Is(document.List) && again.Value.Kind == document.List {
			all := *list.Node()
			all.Items = slices.Concat(all.Items, again.Value.Items)
			list = list.At(&all)
		}
	}
	for _, v := range list.List(math.MaxInt) {
		if id := idOf(v); id != nil {
			p.ids[id.Text] = append(p.ids[id.Text], id)
		}
	}
	r.listed = list.Is(document.List)
	if p.Count() > before {
		r.nameless, r.shrink = true, false
	}

	before = p.Count()
	r.freezes = p.freezes(freezes)
	p.checkNamed()
	freezes.Flaws(false)
	if (p.Count() > before || len(of(twice, "freezes")) > 0) && prev != nil {
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
			r.nameless = len(of(v.Flaws(false), "id")) > 0 || r.nameless
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

// of returns those of a key.
func of(twice []*document.DuplicateError, key string) (found []*document.DuplicateError) {
	for _, d := range twice {
		if d.Key == key {
			found = append(found, d)
		}
	}
	return found
}

// idOf returns the id of a window, or nil if it is missing or invalid.
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

// texts reads a list of strings. check validates one and returns its normal form.
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

const maxElements = 1000 // of any list except that of windows

// textOf reads a string. It returns false for a missing value and, after a fault, for a value of
// any other type.
func textOf(v document.Value, limit int) (string, bool) {
	text := v.Text(limit)
	return text, v.Is(document.String) && len(v.Node().Text) <= limit
}

// ValidID reports whether id is valid for a window: 1 to 100 letters, digits, '.', '_' and '-',
// beginning with a letter or digit. So ids are safe in logs, metrics, headers and command lines.
func ValidID(id string) bool { return idPattern.MatchString(id) }

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (p *parser) id(v document.Value) string {
	text := v.Text(100)
	if v.Is(document.String) && !ValidID(v.Node().Text) {
		v.Faultf("must be letters, digits, '.', '_' and '-', beginning with a letter or digit, got %q", document.Clip(v.Node().Text))
	}
	return text
}
