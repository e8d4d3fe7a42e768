package downtime

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	statusWindows = 100            // at most so many are listed
	statusPast    = 24 * time.Hour // completed windows are listed for so long
)

// StatusHandler tells operators how things stand in this process, as JSON, at "/"
// and "/status.json": the windows with phase, times and report, those completed
// within a day too, at most a hundred; when the state next changes; the
// document's revision and age; and what is wrong. It answers GET and HEAD only.
//
// It names owners, runbooks and what runs: mount it on an administrative listener,
//
//	admin.Handle("/maintenance/", http.StripPrefix("/maintenance", g.StatusHandler()))
//
// and not behind the guard.
func (g *Guard) StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "", "/", "/status.json":
		default:
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "status is for GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		body, err := json.MarshalIndent(g.status(time.Now()), "", "  ")
		if err != nil {
			http.Error(w, "status cannot be written", http.StatusInternalServerError)
			g.logger.Error("maintenance status cannot be written", "err", err)
			return
		}
		body = append(body, '\n')
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
	})
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
}

type statusOrigin struct {
	Revision string  `json:"revision"`
	Origin   string  `json:"origin"`
	Age      float64 `json:"age_seconds"`
	Stale    bool    `json:"stale,omitempty"`
}

type statusWindow struct {
	ID       string        `json:"id"`
	Title    string        `json:"title"`
	Message  string        `json:"message,omitempty"`
	Owner    string        `json:"owner,omitempty"`
	Runbook  string        `json:"runbook,omitempty"`
	Mode     Mode          `json:"mode"`
	Phase    Phase         `json:"phase"`
	Announce time.Time     `json:"announce"`
	Cutoff   time.Time     `json:"cutoff"`
	Start    time.Time     `json:"start"`
	End      time.Time     `json:"end"`
	Rollback *time.Time    `json:"rollback,omitempty"`
	Scope    *statusScope  `json:"scope,omitempty"` // everything, when absent
	Held     bool          `json:"held,omitempty"`  // gone from the document, kept to its end
	Report   *statusReport `json:"report,omitempty"`
}

type statusScope struct {
	Paths   []string `json:"paths,omitempty"`
	Methods []string `json:"methods,omitempty"`
	Hosts   []string `json:"hosts,omitempty"`
	Work    []string `json:"work,omitempty"`
}

type statusReport struct {
	Quiet      bool           `json:"quiet"`
	Busy       int            `json:"busy"`
	Unsure     int            `json:"unsure,omitempty"`
	Oldest     float64        `json:"oldest_seconds"`
	Work       map[string]int `json:"work,omitempty"`
	Refused    int64          `json:"refused"`
	QuietAfter *float64       `json:"quiet_after_seconds,omitempty"`
}

func (g *Guard) status(now time.Time) status {
	st := status{Now: now, Problems: []string{}, Windows: []statusWindow{}, InFlight: g.inFlight()}
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
	if next := s.schedule.At(now).Next; !next.IsZero() {
		st.Next = &next
	}
	for o := range s.schedule.Occurrences(now.Add(-statusPast), farFuture) {
		if len(st.Windows) == statusWindows {
			st.More++
			continue
		}
		st.Windows = append(st.Windows, g.statusWindow(s, o, now))
	}
	return st
}

// farFuture is later than any window that a document may have.
var farFuture = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)

func (g *Guard) statusWindow(s *snapshot, o Occurrence, now time.Time) statusWindow {
	w, zone := o.Window, o.Window.Timezone
	sw := statusWindow{
		ID: w.ID, Title: w.name(), Message: w.Message, Owner: w.Owner, Runbook: w.Runbook,
		Mode: w.Mode, Phase: o.Phase(now),
		Announce: o.Announced().In(zone), Cutoff: o.Cutoff().In(zone), Start: o.Start.In(zone), End: o.End.In(zone),
		Held: s.schedule.keeps(o),
	}
	if t := o.Rollback(); !t.IsZero() {
		t = t.In(zone)
		sw.Rollback = &t
	}
	if !w.Scope.empty() {
		sw.Scope = (*statusScope)(&w.Scope)
	}
	i := slices.IndexFunc(s.near, func(n *near) bool { return n.Window == w && n.Planned.Equal(o.Planned) })
	if i < 0 {
		return sw
	}
	n := s.near[i]
	rep := g.look(n, now)
	sw.Phase = rep.Phase
	sw.Report = &statusReport{
		Quiet: rep.Quiet, Busy: rep.Busy, Unsure: rep.Unsure, Oldest: rep.Oldest.Seconds(),
		Work: rep.Work, Refused: rep.Refused,
	}
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
	stats["windows"] = float64(len(s.schedule.windows))
	for _, n := range s.near {
		switch {
		case n.Phase == PhaseOverrun:
			stats["windows_overrun"]++
		case n.waits:
			stats["quorum_waiting"]++
		}
		if n.Phase != PhaseInProgress || n.Window.ID == "" {
			continue
		}
		stats["windows_in_progress"]++
		if s.schedule.keeps(n.Occurrence) {
			stats["windows_held"]++
		}
	}
	return stats
}
