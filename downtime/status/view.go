package status

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

const (
	maxWindows = 100            // in a list
	maxPast    = 24 * time.Hour // how long completed windows are listed
	maxVisited = 20_000         // occurrences examined for a list
)

// A view is the state at one moment, for operators or reduced for users. As JSON it is
// status.json: instants are RFC 3339 in the window's zone, ages are seconds.
type view struct {
	Now      time.Time  `json:"now"`
	Next     *time.Time `json:"next,omitempty"`
	Boot     string     `json:"boot,omitempty"`    // the boot policy; only without a document
	Verdict  string     `json:"verdict,omitempty"` // what is refused and why; only without a document
	Document *origin    `json:"document,omitempty"`
	Problems []string   `json:"problems"`
	InFlight int        `json:"in_flight"`
	Windows  []window   `json:"windows"`
	More     int        `json:"more_windows,omitempty"`

	updated time.Time // when the document was accepted
	waits   bool      // a scope is closed, waiting for the quorum
}

type origin struct {
	Revision string  `json:"revision"`
	Origin   string  `json:"origin"`
	Age      float64 `json:"age_seconds"`
	Stale    bool    `json:"stale,omitempty"`
}

type window struct {
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
	Scope    *scope         `json:"scope,omitempty"` // nil means everything
	Held     bool           `json:"held,omitempty"`  // removed from the document, kept to its end
	Report   *report        `json:"report,omitempty"`
	Revision string         `json:"revision,omitempty"` // that a command for the window must carry
	Summary  string         `json:"-"`                  // of Report, in words

	planned time.Time
	about   *schedule.Scope
}

type scope struct {
	Paths   []string `json:"paths,omitempty"`
	Methods []string `json:"methods,omitempty"`
	Hosts   []string `json:"hosts,omitempty"`
	Work    []string `json:"work,omitempty"`
}

// String returns the scope for people.
func (s *scope) String() string {
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

type report struct {
	Quiet      bool           `json:"quiet"`
	Busy       int            `json:"busy"`
	Bypassed   int            `json:"bypassed,omitempty"`
	Oldest     float64        `json:"oldest_seconds"`
	Work       map[string]int `json:"work,omitempty"`
	Refused    int64          `json:"refused"`
	QuietAfter *float64       `json:"quiet_after_seconds,omitempty"`
	Local      bool           `json:"local,omitempty"`   // a command moved the times in this process only
	Waiting    bool           `json:"waiting,omitempty"` // closed, waiting for the quorum
	Unfinished bool           `json:"unfinished,omitempty"`
	Alone      bool           `json:"alone,omitempty"` // the report is about this process only
}

func newView(g *downtime.Guard, now time.Time, operators bool) *view {
	document := g.Document()
	v := &view{Now: now, Windows: []window{}, updated: document.Since}
	if operators {
		v.Problems, v.InFlight = []string{}, int(g.Stats()["in_flight"])
		for _, p := range g.Problems() {
			v.Problems = append(v.Problems, p.Error())
		}
	}
	if document.Schedule == nil {
		v.Boot = document.Boot.String()
		if operators {
			v.Verdict = verdict(g, document.Boot)
		}
		return v
	}
	l := listing{
		guard: g, revision: document.Revision, schedule: document.Schedule, now: now,
		operators: operators, reports: map[key]downtime.Report{},
	}
	var active []schedule.Occurrence
	for _, rep := range g.Reports() {
		v.waits = v.waits || rep.Waiting
		if rep.Window == "" {
			continue
		}
		l.reports[keyOf(rep.Occurrence)] = rep
		if stageOf(rep.Phase) == stageActive {
			active = append(active, rep.Occurrence)
		}
	}
	if operators {
		v.Document = &origin{
			Revision: document.Revision, Origin: document.Origin,
			Age: now.Sub(document.Since).Seconds(), Stale: document.Stale,
		}
		if next := document.Schedule.At(now).Next; !next.IsZero() {
			v.Next = &next
		}
	}
	list := l.list(active)
	first := l.first(list)
	v.More = len(list) - len(first)
	for _, o := range first {
		v.Windows = append(v.Windows, l.window(o))
	}
	return v
}

// verdict says what a guard without a document refuses, and why.
func verdict(g *downtime.Guard, boot downtime.Boot) string {
	what := map[downtime.Boot]string{downtime.BootClosed: "Everything is refused", downtime.BootOpen: "Nothing is refused"}[boot]
	for _, p := range g.Problems() {
		var fault *schedule.Fault
		if errors.As(p, &fault) {
			place := *fault
			place.Window, place.Field, place.Err = "", "", errors.New("")
			return cmp.Or(what, "Writes are refused") + ": the maintenance document is faulty, at " + strings.TrimRight(place.Error(), ": ")
		}
	}
	return cmp.Or(what, "Writes are refused") + ": no maintenance document has been read yet"
}

type key struct {
	id      string
	planned int64
}

func keyOf(o schedule.Occurrence) key { return key{o.Window.ID, o.Planned.UnixNano()} }

// A listing chooses the occurrences of a view.
type listing struct {
	guard     *downtime.Guard
	revision  string
	schedule  *schedule.Schedule
	now       time.Time
	operators bool
	reports   map[key]downtime.Report // all reports of the guard
}

// list returns the occurrences in progress, announced, or ended within maxPast, by start, with the
// times of this process. For operators it adds the next occurrence of each window, and rehearsals.
func (l *listing) list(active []schedule.Occurrence) []schedule.Occurrence {
	var list []schedule.Occurrence
	seen := map[key]bool{}
	add := func(o schedule.Occurrence, shown bool) {
		k := keyOf(o)
		if seen[k] {
			return
		}
		if rep, ok := l.reports[k]; ok {
			o.Start, o.End = rep.Start, rep.End
		}
		if isPublic(o, l.now) || l.operators && (shown || !l.now.Before(o.Announced())) {
			seen[k] = true
			list = append(list, o)
		}
	}
	for _, o := range active {
		add(o, l.operators)
	}
	for _, span := range [...][2]time.Time{{l.now, l.now.Add(longestLead(l.schedule) + 1)}, {l.now.Add(-maxPast), l.now}} {
		visited := 0
		for o := range l.schedule.Occurrences(span[0], span[1]) {
			if visited++; visited > maxVisited {
				break
			}
			add(o, false)
		}
	}
	if l.operators {
		for o := range l.schedule.Pending(l.now) {
			add(o, true)
		}
	}
	slices.SortStableFunc(list, compareStarts)
	return list
}

// first shortens a list to maxWindows: first the occurrences in progress and to come, then the
// last ones that are over.
func (l *listing) first(list []schedule.Occurrence) []schedule.Occurrence {
	var over, rest []schedule.Occurrence
	for _, o := range list {
		if rep, ok := l.reports[keyOf(o)]; !l.now.Before(o.End) && (!ok || !rep.Waiting && stageOf(rep.Phase) != stageActive) {
			over = append(over, o)
		} else {
			rest = append(rest, o)
		}
	}
	rest = rest[:min(len(rest), maxWindows)]
	over = over[max(0, len(over)+len(rest)-maxWindows):]
	first := slices.Concat(over, rest)
	slices.SortStableFunc(first, compareStarts)
	return first
}

func compareStarts(a, b schedule.Occurrence) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Window.ID, b.Window.ID))
}

func (l *listing) window(o schedule.Occurrence) window {
	w, zone := o.Window, o.Window.Timezone
	rep, reported := l.reports[keyOf(o)]
	v := window{
		ID: w.ID, Title: w.Name(), Message: w.Message, Mode: w.Mode, Phase: o.Phase(l.now),
		Announce: o.Announced().In(zone), Cutoff: o.Cutoff().In(zone), Start: o.Start.In(zone), End: o.End.In(zone),
		planned: o.Planned, about: &w.Scope,
	}
	if reported {
		v.Phase = rep.Phase
	}
	if !l.operators {
		if reported && rep.Waiting && stageOf(v.Phase) != stageActive { // before its start, or after its end
			v.Phase = schedule.PhaseInProgress
		}
		return v
	}
	v.Owner, v.Runbook = w.Owner, w.Runbook
	if rep, err := l.guard.Report(w.ID); err == nil && keyOf(rep.Occurrence) == keyOf(o) {
		v.Revision = commandRevision(l.revision, rep.Start, rep.End)
	}
	for kept := range l.schedule.Kept() {
		v.Held = v.Held || keyOf(kept) == keyOf(o)
	}
	if t := o.Rollback(); !t.IsZero() {
		t = t.In(zone)
		v.Rollback = &t
	}
	if sc := &w.Scope; !sc.IsEmpty() {
		v.Scope = &scope{Paths: sc.Paths, Methods: sc.Methods, Hosts: sc.Hosts, Work: sc.Work}
	}
	if reported && (v.Phase != schedule.PhaseCompleted || rep.Waiting) {
		v.Report = newReport(rep)
		v.Summary = strings.TrimPrefix(strings.TrimPrefix(rep.String(), w.ID+": "), rep.Phase.String()+", ")
	}
	return v
}

func newReport(rep downtime.Report) *report {
	r := &report{
		Quiet: rep.Quiet, Busy: rep.Busy, Oldest: rep.Oldest.Seconds(),
		Bypassed: rep.Bypassed, Work: rep.Work, Refused: rep.Refused, Local: rep.Local, Waiting: rep.Waiting,
		Unfinished: rep.Unfinished, Alone: rep.Alone,
	}
	if rep.QuietAfter > 0 || rep.Quiet || rep.Phase == schedule.PhaseInProgress && rep.Mode != schedule.ModeAnnounce {
		seconds := rep.QuietAfter.Seconds()
		r.QuietAfter = &seconds
	}
	return r
}

// A stage is a phase in the detail that users see.
type stage uint8

const (
	stageUpcoming stage = iota
	stageActive
	stagePast
)

func stageOf(p schedule.Phase) stage {
	switch {
	case p.Before(schedule.PhaseDraining):
		return stageUpcoming
	case p.Before(schedule.PhaseCompleted):
		return stageActive
	}
	return stagePast
}

// isPublic reports whether users may see the occurrence at now. They do not see cancelled ones, which
// have zero length.
func isPublic(o schedule.Occurrence, now time.Time) bool {
	return o.Window.Mode != schedule.ModeRehearse && !now.Before(o.Announced()) && o.Start.Before(o.End)
}

// longestLead returns the longest time between the first announcement and the start.
func longestLead(s *schedule.Schedule) time.Duration {
	var lead time.Duration
	for w := range s.Windows() {
		lead = max(lead, w.Announce, w.Cutoff)
	}
	return lead
}
