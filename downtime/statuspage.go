package downtime

import (
	"bytes"
	"cmp"
	_ "embed"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"html/template"
	"strings"
	"time"
)

//go:embed page/status.html
var statusPageText string

// statusPage is the page of the status. What is not known is left out: of the status
// that users may see there is no more on the page than in it.
var statusPage = template.Must(template.New("status").Funcs(template.FuncMap{
	"time":    func(t time.Time) template.HTML { return template.HTML(timeElement(t)) },
	"instant": instantText,
	"ago":     func(seconds float64) string { return (time.Duration(seconds) * time.Second).String() },
}).Parse(statusPageText))

// pageRefresh is after how many seconds an open page is loaded anew.
const (
	pageRefresh          = 60
	pageRefreshOperators = 15
)

type statusPageData struct {
	status
	Operators bool
	Known     bool   // there is a schedule
	Links     bool   // they lead where they should
	Service   string // what users call it; empty: not said
	Name      string // of the page
	Refresh   int
	Style     template.CSS
	Script    template.JS

	Verdict, Tone          string
	Active, Upcoming, Past []pageWindow
}

type pageWindow struct {
	Title, Message string
	State, Tone    string // in words, and the colour that goes with them
	Active, Late   bool   // in progress; and over its time
	Start, End     time.Time
	Operators      *pageDetails // nil: not for operators
}

type pageDetails struct {
	ID               string
	Mode             schedule.Mode
	Summary, Scope   string
	Refused          int64
	Cutoff, Rollback *time.Time
	Owner, Runbook   string
	Held             bool
}

// page renders the status as a page.
func (st *status) page(opts *Options, operators, links bool) ([]byte, error) {
	d := statusPageData{
		status:    *st,
		Operators: operators,
		Known:     st.Boot == "",
		Links:     links,
		Service:   opts.Service,
		Name:      cmp.Or(opts.Service, "Maintenance"),
		Refresh:   pageRefresh,
		Style:     template.CSS(pageStyle),
		Script:    template.JS(pageScript),
	}
	if operators {
		d.Refresh = pageRefreshOperators
	}
	for i := range st.Windows {
		w := st.Windows[i].forPage(st.Now, operators)
		switch stageOf(st.Windows[i].Phase) {
		case stageActive:
			d.Active = append(d.Active, w)
		case stageUpcoming:
			d.Upcoming = append(d.Upcoming, w)
		default:
			d.Past = append(d.Past, w)
		}
	}
	switch {
	case !d.Known:
		d.Verdict, d.Tone = "The schedule has not been read yet", "busy"
	case len(d.Active) == 0 && st.waits:
		d.Verdict, d.Tone = "Closed for a moment, until all replicas agree", "busy"
	case len(d.Active) == 0:
		d.Verdict, d.Tone = "No maintenance now", "calm"
	default:
		d.Verdict, d.Tone = "Maintenance in progress", "busy"
	}
	var page bytes.Buffer
	err := statusPage.Execute(&page, &d)
	return page.Bytes(), err
}

// A stage is as much of a phase as users are told.
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

func (w *statusWindow) forPage(now time.Time, operators bool) pageWindow {
	p := pageWindow{
		Title: w.Title, Message: w.Message, Start: w.Start, End: w.End,
		Active: stageOf(w.Phase) == stageActive,
		State:  "Announced", Tone: "soon",
	}
	switch {
	case p.Active && w.Mode == schedule.ModeAnnounce:
		p.State = "In progress, nothing is down"
	case p.Active && w.Mode == schedule.ModeReadOnly:
		p.State, p.Tone = "In progress, read-only", "busy"
	case p.Active:
		p.State, p.Tone = "In progress", "busy"
	case w.Mode == schedule.ModeReadOnly:
		p.State = "Announced, read-only"
	}
	p.Late = p.Active && !now.Before(w.End)
	if !operators {
		return p
	}
	if w.Phase == schedule.PhaseOverrun {
		p.Tone = "bad"
	}
	if w.Phase == schedule.PhaseOpen {
		p.State = "Not announced yet"
	} else {
		p.State = strings.ToUpper(w.Phase.String()[:1]) + w.Phase.String()[1:]
	}
	p.Operators = &pageDetails{
		ID: w.ID, Mode: w.Mode, Owner: w.Owner, Runbook: w.Runbook, Rollback: w.Rollback, Held: w.Held,
		Scope: w.Scope.String(), Summary: w.summary,
	}
	if w.Cutoff.Before(w.Start) {
		p.Operators.Cutoff = &w.Cutoff
	}
	if w.Report != nil {
		p.Operators.Refused = w.Report.Refused
	}
	return p
}
