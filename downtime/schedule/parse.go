package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// Parse reads a document of windows, JSON or YAML. name is the
// document's name in errors.
//
// The root holds windows, a list that may be empty but must be there, freezes and
// allowShrink (see [Schedule.Keeping]). A window has id, start, duration, and any of title,
// message, owner, runbook, timezone, announce, cutoff, rollback, mode, scope, repeat,
// except, overrun and actual. start is a wall clock time of timezone,
// "2026-12-06T02:00", or an instant, with Z or an offset. Durations are Go's, with days
// before them: "90m", "3d", "1d12h".
//
// repeat is a rule of RFC 5545 §3.3.10: FREQ (DAILY, WEEKLY, MONTHLY or YEARLY),
// INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, WKST, and COUNT (at most 10,000) or UNTIL: a
// date, a wall clock time of timezone, or with Z an instant. Its other parts are refused,
// and so is what can never occur. What repeats is the wall clock time, also when start is
// an instant: by timezone, UTC without one. A start that the rule does not hit is where
// it begins to count and does not take place, which RFC 5545 §3.8.5.3 leaves undefined.
//
// except lists days of the rule on which the window does not take place, as dates or wall
// clock times of start; another day is refused, for it would be a slip of the pen. A
// freeze has from and to, and any of timezone and reason. from and to are instants, or
// dates or wall clock times of timezone; a date in to is the last day. A window that is
// longer than its period is refused.
//
// Fields that are not known are refused: a field that is read and not obeyed would be a
// lie. The error is [Faults], all of them.
func Parse(name string, data []byte) (*Schedule, error) {
	root, err := document.Parse(name, data)
	if err != nil {
		fault := &Fault{File: name, Err: err}
		var syntax *document.SyntaxError
		if errors.As(err, &syntax) {
			fault.Line, fault.Column, fault.Err = syntax.Line, syntax.Column, syntax.Err
		}
		return nil, Faults{fault}
	}
	r := &reader{file: name}
	s := r.schedule(root)
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b *Fault) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, r.faults
	}
	return s, nil
}

// A reader turns a tree into a schedule and gathers what is wrong with it.
type reader struct {
	file   string
	window string // id of the window being read
	faults Faults
	zones  map[string]zone
	scopes map[string]*matcher // by key, shared by the windows that have them
	frozen frozen              // shared by the windows that repeat
}

type zone struct {
	loc *time.Location
	err error
}

func (r *reader) fault(n *document.Node, field string, err error) {
	f := &Fault{File: r.file, Window: r.window, Field: field, Err: err}
	if n != nil {
		f.Line, f.Column = n.Line, n.Column
	}
	r.faults = append(r.faults, f)
}

func (r *reader) faultf(n *document.Node, field, format string, args ...any) {
	r.fault(n, field, fmt.Errorf(format, args...))
}

// fields walks a map and hands each known field to its reader.
func (r *reader) fields(n *document.Node, prefix string, known map[string]func(*document.Node, string)) {
	if n.Kind != document.Map {
		r.faultf(n, strings.TrimSuffix(prefix, "."), "must be a map, got %v", n.Kind)
		return
	}
	for i, key := range n.Keys {
		read, ok := known[key.Text]
		switch {
		case ok:
			read(n.Items[i], prefix+key.Text)
		default:
			r.faultf(key, prefix+clip(key.Text), "unknown field")
		}
	}
}

// errNotSupported is errors.ErrUnsupported in better words.
var errNotSupported = unsupported{}

type unsupported struct{}

func (unsupported) Error() string { return "is not supported" }

func (unsupported) Unwrap() error { return errors.ErrUnsupported }

func (r *reader) schedule(root *document.Node) *Schedule {
	if root.Kind != document.Map {
		r.faultf(root, "", "the document must be a map, got %v", root.Kind)
		return nil
	}
	var windows, freezes *document.Node
	var shrink bool
	r.zones, r.scopes = map[string]zone{}, map[string]*matcher{}
	r.fields(root, "", map[string]func(*document.Node, string){
		"windows": func(n *document.Node, _ string) { windows = n },
		"freezes": func(n *document.Node, _ string) { freezes = n },
		"allowShrink": func(n *document.Node, field string) {
			if n.Kind != document.Bool {
				r.faultf(n, field, "must be true or false, got %v", n.Kind)
				return
			}
			shrink = n.Text == "true"
		},
	})
	var frozen []Freeze
	if freezes != nil {
		frozen = r.freezes(freezes, "freezes")
		r.frozen = newFrozen(frozen)
	}
	if windows == nil {
		r.faultf(root, "windows", "is required; a schedule without windows says []")
		return nil
	}
	list := r.windows(windows, "windows")
	if len(r.faults) > 0 {
		return nil
	}
	return newSchedule(list, frozen, shrink)
}

func (r *reader) windows(n *document.Node, field string) []*Window {
	if n.Kind != document.List {
		r.faultf(n, field, "must be a list, got %v", n.Kind)
		return nil
	}
	windows := make([]*Window, 0, len(n.Items))
	lines := make(map[string]int, len(n.Items))
	for i, item := range n.Items {
		at := fmt.Sprintf("%s[%d]", field, i)
		id := item.Get("id")
		prefix := at + "."
		if id != nil && id.Kind == document.String && ValidID(id.Text) {
			r.window, prefix = id.Text, ""
			if line, twice := lines[id.Text]; twice {
				r.faultf(id, "id", "is already used on line %d", line)
			} else {
				lines[id.Text] = id.Line
			}
		}
		if item.Kind != document.Map {
			r.faultf(item, at, "must be a map, got %v", item.Kind)
		} else {
			windows = append(windows, r.one(item, prefix))
		}
		r.window = ""
	}
	return windows
}

// ValidID reports whether a window may have that id: letters, digits, '.', '_' and '-',
// beginning with a letter or digit, at most 100. So ids are fit for logs, metrics'
// values, headers and command lines.
func ValidID(id string) bool { return idPattern.MatchString(id) }

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (r *reader) one(n *document.Node, prefix string) *Window {
	w := &Window{Timezone: time.UTC, Mode: ModeClosed, Overrun: OverrunHold}
	before := len(r.faults)
	var start, zoneNode, repeat, except *document.Node
	text := func(to *string, most int) func(*document.Node, string) {
		return func(n *document.Node, field string) { *to = r.text(n, field, most) }
	}
	duration := func(to *time.Duration) func(*document.Node, string) {
		return func(n *document.Node, field string) { *to = r.duration(n, field) }
	}
	r.fields(n, prefix, map[string]func(*document.Node, string){
		"id":       func(n *document.Node, field string) { w.ID = r.id(n, field) },
		"title":    text(&w.Title, 200),
		"message":  text(&w.Message, 2000),
		"owner":    text(&w.Owner, 200),
		"runbook":  func(n *document.Node, field string) { w.Runbook = r.link(n, field) },
		"start":    func(n *document.Node, _ string) { start = n },
		"timezone": func(n *document.Node, _ string) { zoneNode = n },
		"repeat":   func(n *document.Node, _ string) { repeat = n },
		"except":   func(n *document.Node, _ string) { except = n },
		"duration": duration(&w.Duration),
		"announce": duration(&w.Announce),
		"cutoff":   duration(&w.Cutoff),
		"rollback": duration(&w.Rollback),
		"mode":     func(n *document.Node, field string) { w.Mode = r.mode(n, field) },
		"overrun":  func(n *document.Node, field string) { w.Overrun = r.overrun(n, field) },
		"scope":    func(n *document.Node, field string) { w.Scope = r.scope(n, field) },
		"actual":   func(n *document.Node, field string) { w.Actual = r.actual(n, field) },
	})
	for _, required := range [...]string{"id", "start", "duration"} {
		if n.Get(required) == nil {
			r.faultf(n, prefix+required, "is required")
		}
	}
	if zoneNode != nil {
		w.Timezone = r.timezone(zoneNode, prefix+"timezone")
	}
	if start != nil {
		w.Start = r.moment(start, prefix+"start", zoneNode, w.Timezone)
	}
	var rule *ruleParts
	if repeat != nil {
		rule = r.repeat(repeat, prefix+"repeat")
	}
	var excepts []exception
	if except != nil {
		excepts = r.except(except, prefix+"except")
		if repeat == nil {
			r.faultf(except, prefix+"except", "has no meaning without repeat")
		}
	}
	if len(r.faults) > before {
		return w
	}
	r.prepare(&w.Scope)
	if w.Rollback > w.Duration {
		r.faultf(n.Get("rollback"), prefix+"rollback", "must be at most the duration, %v, got %v", w.Duration, w.Rollback)
	}
	switch {
	case rule != nil:
		w.Repeat = strings.ToUpper(repeat.Text)
		r.recurrence(n, prefix, w, rule, excepts)
	default:
		if err := w.occurrence().check(); err != nil {
			r.fault(n.Get("actual"), prefix+"actual", err)
		}
	}
	return w
}

func (r *reader) repeat(n *document.Node, field string) *ruleParts {
	before := len(r.faults)
	text := r.text(n, field, 2000)
	if len(r.faults) > before {
		return nil
	}
	rule, errs := parseRule(text)
	for _, err := range errs {
		r.fault(n, field, err)
	}
	return rule
}

// An exception is one of except: a day, and the second of it where the document says.
type exception struct {
	node   *document.Node
	field  string
	day    int
	second int64 // -1: not said
}

func (r *reader) except(n *document.Node, field string) []exception {
	const most = 1000
	if n.Kind != document.List {
		r.faultf(n, field, "must be a list, got %v", n.Kind)
		return nil
	}
	if len(n.Items) > most {
		r.faultf(n, field, "must have at most %d elements, got %d", most, len(n.Items))
		return nil
	}
	excepts := make([]exception, 0, len(n.Items))
	for i, item := range n.Items {
		at := fmt.Sprintf("%s[%d]", field, i)
		text := r.text(item, at, 100)
		if item.Kind != document.String || len(item.Text) > 100 {
			continue
		}
		wall, date, ok := parseWall(text)
		if !ok {
			r.faultf(item, at, `must be a date such as "2026-12-22", or a wall clock time of the start, got %q`, clip(text))
			continue
		}
		e := exception{node: item, field: at, day: int(div(wall.Unix(), secondsOfDay)), second: -1}
		if !date {
			e.second = mod(wall.Unix(), secondsOfDay)
		}
		excepts = append(excepts, e)
	}
	return excepts
}

// recurrence makes w repeat. All its fields have been read.
func (r *reader) recurrence(n *document.Node, prefix string, w *Window, parts *ruleParts, excepts []exception) {
	if w.Start.Nanosecond() != 0 {
		r.faultf(n.Get("start"), prefix+"start", "must be a whole second where the window repeats, got %q", clip(n.Get("start").Text))
		return
	}
	_, offset := w.Start.Zone()
	reading := w.Start.Unix() + int64(offset)
	if wall, _, ok := parseWall(n.Get("start").Text); ok { // the clock may jump over it that day, but not on others
		reading = wall.Unix()
	}
	c := &recurrence{window: w, second: mod(reading, secondsOfDay), frozen: r.frozen}
	clock := c.clock()
	if start := clock.instant(reading); start != w.Start.Unix() {
		r.faultf(n.Get("start"), prefix+"start", "the clock shows %s twice, and a window that repeats takes the first, %s, got %q",
			w.Start.Format("15:04"), time.Unix(start, 0).In(w.Timezone).Format(time.RFC3339), clip(n.Get("start").Text))
		return
	}
	var err error
	if c.rule, err = newRule(parts, c.day(reading)); err == nil {
		err = c.end(parts.until)
	}
	if err != nil {
		r.fault(n.Get("repeat"), prefix+"repeat", err)
		return
	}
	for _, e := range excepts {
		switch {
		case !c.rule.has(e.day):
			r.faultf(e.node, e.field, "%q is no day on which the window takes place by repeat", clip(e.node.Text))
		case e.second >= 0 && e.second != c.second:
			r.faultf(e.node, e.field, "%q is not when the window starts that day", clip(e.node.Text))
		default:
			c.except = append(c.except, e.day)
		}
	}
	slices.Sort(c.except)
	c.except = slices.Compact(c.except)
	w.Start = c.instant(c.rule.first)
	if _, some := c.plannedAfter(w.Start.Add(-1)); !some {
		r.faultf(n.Get("repeat"), prefix+"repeat", "except and freezes leave no occurrence")
		return
	}
	if a, b, overlap := c.overlap(); overlap {
		r.faultf(n.Get("duration"), prefix+"duration", "must not be longer than the time to the next occurrence: that of %s would last into that of %s",
			c.instant(a).Format(time.DateOnly), c.instant(b).Format(time.DateOnly))
		return
	}
	if err := c.adjust(); err != nil {
		r.fault(n.Get("actual"), prefix+"actual", err)
		return
	}
	w.recurrence = c
}

// prepare makes a scope ready for matching. Windows of equal scopes share what is made.
func (r *reader) prepare(s *Scope) {
	key := s.key()
	m, ok := r.scopes[key]
	if !ok {
		m = s.compiled()
		r.scopes[key] = m
	}
	s.matcher = m
}

func (r *reader) text(n *document.Node, field string, most int) string {
	if n.Kind != document.String {
		r.faultf(n, field, "%w, got %v", errNotText, n.Kind)
		return ""
	}
	if len(n.Text) > most {
		r.faultf(n, field, "must be at most %d bytes, got %d", most, len(n.Text))
		return ""
	}
	return n.Text
}

func (r *reader) id(n *document.Node, field string) string {
	text := r.text(n, field, 100)
	if n.Kind == document.String && !idPattern.MatchString(n.Text) && len(n.Text) <= 100 {
		r.faultf(n, field, "must be letters, digits, '.', '_' and '-', beginning with a letter or digit, got %q", clip(n.Text))
	}
	return text
}

func (r *reader) link(n *document.Node, field string) string {
	text := r.text(n, field, 2000)
	if text == "" {
		if n.Kind == document.String && n.Text == "" {
			r.faultf(n, field, "must be an http or https URL, got \"\"")
		}
		return ""
	}
	if !isLink(text) {
		r.faultf(n, field, "must be an http or https URL, got %q", clip(text))
		return ""
	}
	return text
}

func isLink(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func (r *reader) duration(n *document.Node, field string) time.Duration {
	if n.Kind != document.String {
		r.faultf(n, field, `must be a duration such as "90m", "2h" or "3d", got %v`, n.Kind)
		return 0
	}
	d, err := parseDuration(n.Text)
	if err != nil {
		r.fault(n, field, err)
	}
	return d
}

func (r *reader) mode(n *document.Node, field string) Mode {
	if n.Kind == document.String {
		if m := Mode(n.Text); slices.Contains(modes, m) {
			return m
		}
		r.faultf(n, field, "must be closed, read-only, rehearse or announce, got %q", clip(n.Text))
		return ModeClosed
	}
	r.faultf(n, field, "%w, got %v", errNotText, n.Kind)
	return ModeClosed
}

func (r *reader) overrun(n *document.Node, field string) Overrun {
	if n.Kind != document.String {
		r.faultf(n, field, "%w, got %v", errNotText, n.Kind)
		return OverrunHold
	}
	o := Overrun(n.Text)
	if o != OverrunHold && o != OverrunReopen {
		r.faultf(n, field, "must be hold or reopen, got %q", clip(n.Text))
		return OverrunHold
	}
	return o
}

func (r *reader) timezone(n *document.Node, field string) *time.Location {
	name := r.text(n, field, 100)
	if n.Kind != document.String {
		return time.UTC
	}
	z, known := r.zones[name]
	if !known {
		z = loadZone(name)
		r.zones[name] = z
	}
	if z.err != nil {
		r.fault(n, field, z.err)
		return time.UTC
	}
	return z.loc
}

func loadZone(name string) zone {
	if name == "" || name == "Local" { // time.LoadLocation takes both, and neither names a place
		return zone{err: fmt.Errorf(`must be a name of the tz database, such as "Europe/Madrid", got %q`, name)}
	}
	loc, err := time.LoadLocation(name)
	if err == nil {
		return zone{loc: loc}
	}
	if _, any := time.LoadLocation("Europe/Madrid"); any != nil {
		return zone{err: fmt.Errorf("zone %q cannot be loaded, nor any other: this machine has no tz database; "+
			"install one, or import time/tzdata in package main", clip(name))}
	}
	return zone{err: fmt.Errorf(`unknown time zone %q: must be a name of the tz database, such as "Europe/Madrid"`, clip(name))}
}

// wallLayouts are the forms of a wall clock time; zones of their own have none.
var wallLayouts = [...]string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"}

// parseWall reads a wall clock time or a date, as if of UTC.
func parseWall(text string) (wall time.Time, date, ok bool) {
	for i, layout := range wallLayouts {
		wall, err := time.Parse(layout, text)
		if err == nil && len(text) == len(layout) { // Parse takes fractions that the layout does not have
			return wall, i == 0, true
		}
	}
	return time.Time{}, false, false
}

// moment reads a wall clock time of the zone, or an instant.
func (r *reader) moment(n *document.Node, field string, zoneNode *document.Node, loc *time.Location) time.Time {
	text := r.text(n, field, 100)
	if n.Kind != document.String {
		return time.Time{}
	}
	if wall, date, ok := parseWall(text); ok && !date {
		if zoneNode == nil {
			r.faultf(n, field, "%q is a wall clock time: say whose with timezone, or write an instant with Z or an offset", clip(text))
			return time.Time{}
		}
		return r.sane(n, field, instant(wall, loc))
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return r.sane(n, field, t.In(loc))
	}
	r.faultf(n, field, `must be a time such as "2026-12-06T02:00" or "2026-12-06T01:00:00Z", got %q`, clip(text))
	return time.Time{}
}

// sane keeps times far from where arithmetic on them could wrap round.
func (r *reader) sane(n *document.Node, field string, t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1970 || y > 9000 {
		r.faultf(n, field, "must lie between the years 1970 and 9000, got %q", clip(n.Text))
	}
	return t
}

func (r *reader) actual(n *document.Node, prefix string) Actual {
	var a Actual
	at := func(to *time.Time) func(*document.Node, string) {
		return func(n *document.Node, field string) {
			if n.Kind == document.Null {
				return
			}
			text := r.text(n, field, 100)
			if n.Kind != document.String {
				return
			}
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				r.faultf(n, field, `must be an instant with Z or an offset, such as "2026-12-06T01:02:00Z", got %q`, clip(text))
				return
			}
			*to = r.sane(n, field, t)
		}
	}
	r.fields(n, prefix+".", map[string]func(*document.Node, string){
		"begin": at(&a.Begin), "end": at(&a.End), "until": at(&a.Until),
	})
	return a
}

func (r *reader) freezes(n *document.Node, field string) []Freeze {
	const most = 1000
	if n.Kind != document.List {
		r.faultf(n, field, "must be a list, got %v", n.Kind)
		return nil
	}
	if len(n.Items) > most {
		r.faultf(n, field, "must have at most %d elements, got %d", most, len(n.Items))
		return nil
	}
	freezes := make([]Freeze, 0, len(n.Items))
	for i, item := range n.Items {
		if f, ok := r.freeze(item, fmt.Sprintf("%s[%d]", field, i)); ok {
			freezes = append(freezes, f)
		}
	}
	return freezes
}

func (r *reader) freeze(n *document.Node, field string) (Freeze, bool) {
	if n.Kind != document.Map {
		r.faultf(n, field, "must be a map, got %v", n.Kind)
		return Freeze{}, false
	}
	var f Freeze
	var from, to, zoneNode *document.Node
	before := len(r.faults)
	r.fields(n, field+".", map[string]func(*document.Node, string){
		"from":     func(n *document.Node, _ string) { from = n },
		"to":       func(n *document.Node, _ string) { to = n },
		"timezone": func(n *document.Node, _ string) { zoneNode = n },
		"reason":   func(n *document.Node, field string) { f.Reason = r.text(n, field, 2000) },
	})
	loc := time.UTC
	if zoneNode != nil {
		loc = r.timezone(zoneNode, field+".timezone")
	}
	edge := func(at *document.Node, field string, days int) time.Time {
		if at == nil {
			r.faultf(n, field, "is required")
			return time.Time{}
		}
		wall, date, ok := parseWall(at.Text)
		switch {
		case !ok || !date || at.Kind != document.String:
			return r.moment(at, field, zoneNode, loc)
		case zoneNode == nil:
			r.faultf(at, field, "%q is a date: say whose with timezone", at.Text)
			return time.Time{}
		}
		return r.sane(at, field, instant(wall.AddDate(0, 0, days), loc))
	}
	f.From, f.To = edge(from, field+".from", 0), edge(to, field+".to", 1)
	if len(r.faults) > before {
		return Freeze{}, false
	}
	if !f.From.Before(f.To) {
		r.faultf(to, field+".to", "must be after from, %q, got %q", clip(from.Text), clip(to.Text))
		return Freeze{}, false
	}
	return f, true
}

func (r *reader) scope(n *document.Node, prefix string) Scope {
	var s Scope
	list := func(to *[]string, check func(string) (string, error)) func(*document.Node, string) {
		return func(n *document.Node, field string) { *to = r.list(n, field, check) }
	}
	r.fields(n, prefix+".", map[string]func(*document.Node, string){
		"paths":   list(&s.Paths, checkPath),
		"methods": list(&s.Methods, checkMethod),
		"hosts":   list(&s.Hosts, checkHost),
		"work":    list(&s.Work, checkWork),
	})
	return s
}

func (r *reader) list(n *document.Node, field string, check func(string) (string, error)) []string {
	const most = 1000
	if n.Kind != document.List {
		r.faultf(n, field, "must be a list, got %v", n.Kind)
		return nil
	}
	if len(n.Items) > most {
		r.faultf(n, field, "must have at most %d elements, got %d", most, len(n.Items))
		return nil
	}
	out := make([]string, 0, len(n.Items))
	for i, item := range n.Items {
		at := fmt.Sprintf("%s[%d]", field, i)
		text := r.text(item, at, 500)
		if item.Kind != document.String || len(item.Text) > 500 {
			continue
		}
		checked, err := check(text)
		if err != nil {
			r.fault(item, at, err)
			continue
		}
		out = append(out, checked)
	}
	return out
}
