package status

import (
	"cmp"
	_ "embed"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/page"
)

//go:embed page.html
var bodyText string

// bodyTemplate renders a view. The page shows only what the view has, so the users' page is as
// reduced as their view.
var bodyTemplate = page.Template("status", bodyText, map[string]any{
	"ago": func(seconds float64) string { return (time.Duration(seconds) * time.Second).String() },
})

// The intervals at which an open page reloads.
const (
	refresh          = time.Minute
	refreshOperators = 15 * time.Second
)

type body struct {
	*view
	Operators bool
	Known     bool   // there is a schedule
	Service   string // the service's name for users. Empty means not shown.

	Verdict, Tone          string
	Active, Upcoming, Past []card
}

type card struct {
	*window
	State, Tone  string // in words, and their colour
	Active, Late bool   // in progress; in progress after its end
	Operators    bool   // the page is for operators
	Actions      []action
}

func (v *view) page(service string, operators, edits bool) ([]byte, error) {
	d := body{view: v, Operators: operators, Known: v.Boot == "", Service: service}
	for i := range v.Windows {
		w := &v.Windows[i]
		c := w.card(v.Now, operators)
		if operators {
			c.Actions = w.actions(v.Now, edits)
		}
		switch stageOf(w.Phase) {
		case stageActive:
			d.Active = append(d.Active, c)
		case stageUpcoming:
			d.Upcoming = append(d.Upcoming, c)
		default:
			d.Past = append(d.Past, c)
		}
	}
	switch {
	case !d.Known:
		d.Verdict, d.Tone = cmp.Or(v.Verdict, "The schedule has not been read yet"), "busy"
	case len(d.Active) == 0 && v.waits:
		d.Verdict, d.Tone = "Closed for a moment, until all replicas agree", "busy"
	case len(d.Active) == 0:
		d.Verdict, d.Tone = "No maintenance now", "calm"
	default:
		d.Verdict, d.Tone = "Maintenance in progress", "busy"
	}
	html, err := page.Execute(bodyTemplate, &d)
	if err != nil {
		return nil, err
	}
	p := page.Page{Title: d.Verdict + " · " + cmp.Or(service, "Maintenance"), Refresh: refresh, Body: html}
	if operators {
		p.Refresh = refreshOperators
	}
	return p.HTML(v.Now), nil
}

func (w *window) card(now time.Time, operators bool) card {
	c := card{window: w, Operators: operators, Active: stageOf(w.Phase) == stageActive, State: "Announced", Tone: "soon"}
	switch {
	case c.Active && w.Mode == schedule.ModeAnnounce:
		c.State = "In progress, nothing is down"
	case c.Active && w.Mode == schedule.ModeReadOnly:
		c.State, c.Tone = "In progress, read-only", "busy"
	case c.Active:
		c.State, c.Tone = "In progress", "busy"
	case w.Mode == schedule.ModeReadOnly:
		c.State = "Announced, read-only"
	}
	c.Late = c.Active && !now.Before(w.End)
	if !operators {
		return c
	}
	if w.Phase == schedule.PhaseOverrun {
		c.Tone = "bad"
	}
	switch {
	case w.isCancelled():
		c.State = "Cancelled"
	case w.Phase == schedule.PhaseOpen:
		c.State = "Not announced yet"
	default:
		c.State = strings.ToUpper(w.Phase.String()[:1]) + w.Phase.String()[1:]
	}
	return c
}
