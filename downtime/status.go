package downtime

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	statusWindows = 100            // at most so many are listed
	statusPast    = 24 * time.Hour // completed windows are listed for so long
	statusLooks   = 20_000         // at most so many occurrences are looked at for them
	statusMaxAge  = 30             // seconds for which what is public may be kept,
	statusPageAge = 5              // and the page, which holds the time
	statusRetry   = 10             // seconds after which to ask again while there is no schedule
)

// StatusHandler tells operators how things stand in this process:
//
//   - / is a page for browsers, else what /status.json is, by Accept.
//   - /status.json has the windows with phase, times and report: those announced, of
//     each window also what comes next, and those completed within a day, at most a
//     hundred; when the state next changes; the document's revision and age; and what is wrong.
//   - /upcoming.json and /active.json are those of [Guard.PublicStatusHandler].
//   - /calendar.ics is an iCalendar feed for operators: see [schedule.Schedule.Calendar].
//
// It answers GET and HEAD only, and nothing of it may be stored.
//
// It names owners, runbooks, what runs, and what is not announced yet: mount it on an
// administrative listener,
//
//	admin.Handle("/maintenance/", http.StripPrefix("/maintenance", g.StatusHandler()))
//
// and not behind the guard. PublicStatusHandler is for everybody else.
func (g *Guard) StatusHandler() http.Handler {
	h := &statusHandler{guard: g, operators: true}
	h.routes = map[string]statusRoute{
		"/":              {contentType: typeHTML, policy: pagePolicy, render: h.page},
		statusJSON:       {contentType: typeJSON, render: h.json},
		"/upcoming.json": {contentType: typeJSON, render: h.upcoming, needsSchedule: true},
		"/active.json":   {contentType: typeJSON, render: h.active, needsSchedule: true},
		"/calendar.ics":  {contentType: typeCalendar, render: h.calendar, needsSchedule: true},
	}
	return h
}

// PublicStatusHandler tells users what they may know: the windows that are announced by
// now, in progress, or were completed within a day, with title, message, times, and
// whether reads pass; at most a hundred. Rehearsals are left out, as is all that is for
// operators or about this process alone.
//
//   - / is a page.
//   - /upcoming.json and /active.json have the windows announced and those in progress,
//     in the shape that Atlassian Statuspage gives scheduled maintenances. They are also
//     at /api/v2/scheduled-maintenances/, where programs for it look.
//   - /calendar.ics is an iCalendar feed to subscribe to: see [schedule.Schedule.Calendar].
//
// It answers GET and HEAD, to any origin, with an ETag, and what it answers may be kept
// for half a minute, the page for five seconds. While there is no schedule it answers 503, for an empty feed would
// clear the calendars that subscribe. [Options].Service and StatusURL name it.
//
// Mount it where users come and where no window closes it: on a listener of its own, or
// outside of the guard.
func (g *Guard) PublicStatusHandler() http.Handler {
	h := &statusHandler{guard: g}
	upcoming := statusRoute{contentType: typeJSON, render: h.upcoming, needsSchedule: true, last: &rendering{}}
	active := statusRoute{contentType: typeJSON, render: h.active, needsSchedule: true, last: &rendering{}}
	h.routes = map[string]statusRoute{
		"/":              {contentType: typeHTML, policy: pagePolicy, render: h.page, needsSchedule: true, last: &rendering{}},
		"/upcoming.json": upcoming,
		"/active.json":   active,
		"/api/v2/scheduled-maintenances/upcoming.json": upcoming,
		"/api/v2/scheduled-maintenances/active.json":   active,
		"/calendar.ics": {contentType: typeCalendar, render: h.calendar, needsSchedule: true, last: &rendering{}},
	}
	return h
}

// A statusHandler answers by path. It is complete once it is made.
type statusHandler struct {
	guard     *Guard
	operators bool
	routes    map[string]statusRoute
}

type statusRoute struct {
	contentType   string
	policy        string // of contents; empty: nothing may be loaded
	needsSchedule bool   // else it answers without one too
	render        func(links bool, now time.Time) ([]byte, error)
	last          *rendering // for users
}

const (
	statusJSON   = "/status.json"
	typeJSON     = "application/json"
	typeHTML     = "text/html; charset=utf-8"
	typeCalendar = "text/calendar; charset=utf-8"
)

func (h *statusHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	path := r.URL.Path
	if path == "" { // as StripPrefix leaves it
		path = "/"
	}
	if path == "/" && h.operators {
		header.Add("Vary", "Accept")
		if preferred(r.Header["Accept"], false) != formatHTML {
			path = statusJSON
		}
	}
	route, ok := h.routes[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "status is for GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", cmp.Or(route.policy, "default-src 'none'")+"; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if !h.operators {
		header.Set("Access-Control-Allow-Origin", "*")
	}
	contentType, render, s := route.contentType, route.render, h.guard.now.Load()
	known := !route.needsSchedule || s.schedule != nil
	if !known && contentType != typeHTML { // the page says so itself
		contentType = "text/plain; charset=utf-8"
		render = func(bool, time.Time) ([]byte, error) {
			return []byte("the maintenance schedule has not been read yet\n"), nil
		}
	}
	links := r.URL.Path == "/" // they are relative
	var body []byte
	var tag string
	var err error
	if known && !h.operators {
		body, tag, err = route.last.get(s, links, render)
	} else {
		body, err = render(links, time.Now())
	}
	if err != nil {
		http.Error(w, "status cannot be written", http.StatusInternalServerError)
		h.guard.logger.Error("maintenance status cannot be written", "err", err)
		return
	}
	header.Set("Content-Type", contentType)
	if !known {
		header.Set("Retry-After", strconv.Itoa(statusRetry))
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
		return
	}
	if !h.operators {
		age := statusMaxAge
		if route.contentType == typeHTML {
			age = statusPageAge
		}
		header.Set("Cache-Control", "public, max-age="+strconv.Itoa(age))
		header.Set("ETag", tag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// A rendering is what users were answered last. However many of them ask, it is made
// once a second and snapshot.
type rendering struct {
	mu    sync.Mutex
	of    *snapshot
	links bool
	at    int64
	body  []byte
	tag   string
}

func (l *rendering) get(s *snapshot, links bool, render func(bool, time.Time) ([]byte, error)) (body []byte, tag string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.of != s || l.links != links || l.at != now.Unix() {
		body, err := render(links, now)
		if err != nil {
			return nil, "", err
		}
		sum := sha256.Sum256(body)
		l.of, l.links, l.at, l.body, l.tag = s, links, now.Unix(), body, `"`+hex.EncodeToString(sum[:16])+`"`
	}
	return l.body, l.tag, nil
}

func (h *statusHandler) json(_ bool, now time.Time) ([]byte, error) {
	return indented(h.guard.status(now))
}

func (h *statusHandler) upcoming(_ bool, now time.Time) ([]byte, error) {
	st := h.guard.publicStatus(now)
	return indented(st.maintenances(&h.guard.opts, stageUpcoming))
}

func (h *statusHandler) active(_ bool, now time.Time) ([]byte, error) {
	st := h.guard.publicStatus(now)
	return indented(st.maintenances(&h.guard.opts, stageActive))
}

func (h *statusHandler) page(links bool, now time.Time) ([]byte, error) {
	st := h.guard.publicStatus(now)
	if h.operators {
		st = h.guard.status(now)
	}
	return st.page(&h.guard.opts, h.operators, links)
}

func (h *statusHandler) calendar(_ bool, now time.Time) ([]byte, error) {
	g := h.guard
	opts := &CalendarOptions{URL: g.opts.statusLink(), Operators: h.operators}
	if g.opts.Service != "" {
		opts.Name = g.opts.Service + " maintenance"
	}
	if d := g.keeper.Snapshot(); d != nil {
		opts.Revised = d.Since
	}
	return Calendar(g.now.Load().schedule, now, opts), nil
}

func indented(v any) ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	return append(body, '\n'), err
}

// The JSON of the status. Instants are RFC 3339 in the window's zone, ages seconds.
type status struct {
	Now      time.Time      `json:"now"`
	Next     *time.Time     `json:"next,omitempty"`
	Boot     string         `json:"boot,omitempty"` // the boot policy, while there is no document
	Document *statusOrigin  `json:"document,omitempty"`
	Problems []string       `json:"problems"`
	InFlight int            `json:"in_flight"`
	Windows  []statusWindow `json:"windows"`
	More     int            `json:"more_windows,omitempty"`

	updated time.Time // when the document was accepted
	waits   bool      // something is closed for want of the quorum's word
}

type statusOrigin struct {
	Revision string  `json:"revision"`
	Origin   string  `json:"origin"`
	Age      float64 `json:"age_seconds"`
	Stale    bool    `json:"stale,omitempty"`
}

type statusWindow struct {
	ID       string         `json:"id"`
	Title    string         `json:"title"`
	Message  string         `json:"message,omitempty"`
	Owner    string         `json:"owner,omitempty"`
	Runbook  string         `json:"runbook,omitempty"`
	Mode     schedule.Mode  `json:"mode"`
	Phase    schedule.Phase `json:"phase"`
	Announce time.Time      `json:"announce"`
	Cutoff   time.Time      `json:"cutoff"`
	Start    time.Time      `json:"start"`
	End      time.Time      `json:"end"`
	Rollback *time.Time     `json:"rollback,omitempty"`
	Scope    *statusScope   `json:"scope,omitempty"` // everything, when absent
	Held     bool           `json:"held,omitempty"`  // gone from the document, kept to its end
	Report   *statusReport  `json:"report,omitempty"`

	planned time.Time
	summary string // of Report, in words
}

type statusScope struct {
	Paths   []string `json:"paths,omitempty"`
	Methods []string `json:"methods,omitempty"`
	Hosts   []string `json:"hosts,omitempty"`
	Work    []string `json:"work,omitempty"`
}

// String is for people.
func (s *statusScope) String() string {
	if s == nil {
		return "everything"
	}
	var parts []string
	for _, list := range [...]struct {
		name string
		of   []string
	}{{"paths", s.Paths}, {"methods", s.Methods}, {"hosts", s.Hosts}, {"work", s.Work}} {
		if len(list.of) > 0 {
			parts = append(parts, list.name+" "+strings.Join(list.of, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

type statusReport struct {
	Quiet      bool           `json:"quiet"`
	Busy       int            `json:"busy"`
	Unsure     int            `json:"unsure,omitempty"`
	Bypassed   int            `json:"bypassed,omitempty"`
	Oldest     float64        `json:"oldest_seconds"`
	Work       map[string]int `json:"work,omitempty"`
	Refused    int64          `json:"refused"`
	QuietAfter *float64       `json:"quiet_after_seconds,omitempty"`
	Local      bool           `json:"local,omitempty"`   // the times are those of this process only
	Waiting    bool           `json:"waiting,omitempty"` // closed until the quorum agrees
}

// status is what operators may see.
func (g *Guard) status(now time.Time) *status {
	st := &status{Now: now, Problems: []string{}, Windows: []statusWindow{}, InFlight: g.inFlight()}
	for _, p := range g.Problems() {
		st.Problems = append(st.Problems, p.Error())
	}
	s := g.now.Load()
	if s.schedule == nil {
		st.Boot = g.opts.Boot.String()
		return st
	}
	if d := g.keeper.Snapshot(); d != nil {
		st.Document = &statusOrigin{
			Revision: d.Revision,
			Origin:   string(d.Origin),
			Age:      now.Sub(d.Since).Seconds(),
			Stale:    g.keeper.Status().Stale,
		}
	}
	st.waits = s.waits()
	if next := s.schedule.At(now).Next; !next.IsZero() {
		st.Next = &next
	}
	for _, o := range st.first(s, s.listed(now, true)) {
		st.Windows = append(st.Windows, g.statusWindow(s, o, now))
	}
	return st
}

// publicStatus is what users may see, and holds nothing else.
func (g *Guard) publicStatus(now time.Time) *status {
	st := &status{Now: now, Windows: []statusWindow{}}
	s := g.now.Load()
	if s.schedule == nil {
		st.Boot = g.opts.Boot.String()
		return st
	}
	st.waits = s.waits()
	if d := g.keeper.Snapshot(); d != nil {
		st.updated = d.Since
	}
	for _, o := range st.first(s, s.listed(now, false)) {
		st.Windows = append(st.Windows, newStatusWindow(s, o, now))
	}
	return st
}

// waits says whether something is closed that is not in progress: a window for want of the
// quorum's word, or everything.
func (s *snapshot) waits() bool {
	return slices.ContainsFunc(s.near, func(n *near) bool { return n.isShut() && (!n.isOn() || n.Window.ID == "") })
}

// first is as much of a list as is shown, the rest is counted: what is in progress or to
// come goes before what is over, and of that the latest before the others.
func (st *status) first(s *snapshot, list []schedule.Occurrence) []schedule.Occurrence {
	isOver := func(o schedule.Occurrence) bool {
		n := s.nearest(o)
		return !st.Now.Before(o.End) && (n == nil || !n.isOn() && !n.isShut())
	}
	var over, rest []schedule.Occurrence
	for _, o := range list {
		if isOver(o) {
			over = append(over, o)
		} else {
			rest = append(rest, o)
		}
	}
	rest = rest[:min(len(rest), statusWindows)]
	over = over[max(0, len(over)+len(rest)-statusWindows):]
	st.More = len(list) - len(over) - len(rest)
	first := slices.Concat(over, rest)
	slices.SortStableFunc(first, compareStarts)
	return first
}

func compareStarts(a, b schedule.Occurrence) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Window.ID, b.Window.ID))
}

// listed are the occurrences to be listed, as they are in this process, by start: what
// is in progress, what is announced, and what has ended a while ago at most; for
// operators also what comes next of each window, and rehearsals.
func (s *snapshot) listed(now time.Time, operators bool) []schedule.Occurrence {
	var list []schedule.Occurrence
	seen := map[occurrenceKey]bool{}
	add := func(o schedule.Occurrence, shown bool) {
		key := keyOf(o)
		if seen[key] {
			return
		}
		o, _ = s.localized(o)
		if isPublic(o, now) || operators && (shown || !now.Before(o.Announced())) {
			seen[key] = true
			list = append(list, o)
		}
	}
	for _, n := range s.near {
		if n.isOn() && n.Window.ID != "" {
			add(n.Occurrence, operators)
		}
	}
	for _, span := range [...][2]time.Time{{now, now.Add(longestLead(s.schedule) + 1)}, {now.Add(-statusPast), now}} {
		looks := 0
		for o := range s.schedule.Occurrences(span[0], span[1]) {
			if looks++; looks > statusLooks {
				break
			}
			add(o, false)
		}
	}
	if operators {
		for o := range s.schedule.Pending(now) {
			add(o, true)
		}
	}
	slices.SortStableFunc(list, compareStarts)
	return list
}

// newStatusWindow has what users may see.
func newStatusWindow(s *snapshot, o schedule.Occurrence, now time.Time) statusWindow {
	w, zone := o.Window, o.Window.Timezone
	sw := statusWindow{
		ID: w.ID, Title: w.Name(), Message: w.Message, Mode: w.Mode, Phase: o.Phase(now),
		Announce: o.Announced().In(zone), Cutoff: o.Cutoff().In(zone), Start: o.Start.In(zone), End: o.End.In(zone),
		planned: o.Planned,
	}
	if n := s.nearest(o); n != nil {
		sw.Phase = n.phase()
		if n.isShut() && stageOf(sw.Phase) != stageActive { // before its start, or after its end
			sw.Phase = schedule.PhaseInProgress
		}
	}
	return sw
}

// nearest is the occurrence as the guard has it, nil when it is not near.
func (s *snapshot) nearest(o schedule.Occurrence) *near {
	i := slices.IndexFunc(s.near, func(n *near) bool { return n.Window == o.Window && n.Planned.Equal(o.Planned) })
	if i < 0 {
		return nil
	}
	return s.near[i]
}

// statusWindow has what operators may see.
func (g *Guard) statusWindow(s *snapshot, o schedule.Occurrence, now time.Time) statusWindow {
	w := o.Window
	sw := newStatusWindow(s, o, now)
	sw.Owner, sw.Runbook, sw.Held = w.Owner, w.Runbook, keeps(s.schedule, o)
	if t := o.Rollback(); !t.IsZero() {
		t = t.In(w.Timezone)
		sw.Rollback = &t
	}
	if sc := &w.Scope; !sc.IsEmpty() {
		sw.Scope = &statusScope{Paths: sc.Paths, Methods: sc.Methods, Hosts: sc.Hosts, Work: sc.Work}
	}
	n := s.nearest(o)
	if n == nil {
		return sw
	}
	rep := g.look(n, now)
	sw.Phase = rep.Phase
	sw.Report = &statusReport{
		Quiet: rep.Quiet, Busy: rep.Busy, Unsure: rep.Unsure, Oldest: rep.Oldest.Seconds(),
		Bypassed: rep.Bypassed, Work: rep.Work, Refused: rep.Refused, Local: rep.Local, Waiting: rep.Waiting,
	}
	sw.summary = strings.TrimPrefix(strings.TrimPrefix(rep.String(), w.ID+": "), rep.Phase.String()+", ")
	if after, ok := n.progress.quietAfter(); ok {
		seconds := after.Seconds()
		sw.Report.QuietAfter = &seconds
	}
	return sw
}

func (g *Guard) inFlight() int {
	n := 0
	g.running.each(0, func(*class, time.Duration) { n++ })
	return n
}

// Stats are numbers to export and to alert on. The keys are constant:
//
//	document_age_seconds     since the document in use was accepted; -1 without one
//	document_checked_seconds since its source last gave an acceptable one; -1 never
//	document_updates         documents accepted
//	document_failures        attempts that failed
//	document_stale           1 when the source has been silent for StaleAfter
//	problems                 as many as Problems returns
//	windows                  in the document in use
//	windows_in_progress      now
//	windows_overrun          over, and held closed for work that is unfinished
//	windows_held             gone from the document, and kept to their end
//	in_flight                requests and work that were admitted and have not ended
//	refused                  requests and work refused since the start
//	would_have_refused       the same, by rehearsals
//	events_missed            not taken in time by subscribers of Events
//	quorum_waiting           windows closed before their start or after their end, for want of the quorum's word
//	quorum_failures          times that the quorum did not answer
//	bypassed                 requests let in by Options.Bypass though a window refuses them
//	bypass_denied            tokens that did not help, with requests and at BypassHandler
func (g *Guard) Stats() map[string]float64 {
	now := time.Now()
	st := g.keeper.Status()
	stats := map[string]float64{
		"document_age_seconds":     -1,
		"document_checked_seconds": -1,
		"document_updates":         float64(st.Updates),
		"document_failures":        float64(st.Failures),
		"document_stale":           0,
		"problems":                 float64(len(g.Problems())),
		"windows":                  0,
		"windows_in_progress":      0,
		"windows_overrun":          0,
		"windows_held":             0,
		"in_flight":                float64(g.inFlight()),
		"refused":                  float64(g.refused.Load()),
		"would_have_refused":       float64(g.wouldRefuse.Load()),
		"events_missed":            float64(g.events.missed.Load()),
		"quorum_waiting":           0,
		"quorum_failures":          float64(g.quorumFailures.Load()),
	}
	stats["bypassed"], stats["bypass_denied"] = 0, 0
	if g.bypass != nil {
		stats["bypassed"], stats["bypass_denied"] = float64(g.bypass.let.Load()), float64(g.bypass.denied.Load())
	}
	if st.Stale {
		stats["document_stale"] = 1
	}
	if !st.Checked.IsZero() {
		stats["document_checked_seconds"] = now.Sub(st.Checked).Seconds()
	}
	if d := g.keeper.Snapshot(); d != nil {
		stats["document_age_seconds"] = now.Sub(d.Since).Seconds()
	}
	s := g.now.Load()
	if s.schedule == nil {
		return stats
	}
	for range s.schedule.Windows() {
		stats["windows"]++
	}
	for _, n := range s.near {
		switch {
		case n.Phase == schedule.PhaseOverrun:
			stats["windows_overrun"]++
		case n.waits:
			stats["quorum_waiting"]++
		}
		if n.Phase != schedule.PhaseInProgress || n.Window.ID == "" {
			continue
		}
		stats["windows_in_progress"]++
		if keeps(s.schedule, n.Occurrence) {
			stats["windows_held"]++
		}
	}
	return stats
}
