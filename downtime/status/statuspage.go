package status

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// statuspage is the format of Atlassian Statuspage's API below /api/v2/, which many programs
// read. Some of its fields need values that windows do not have:
//
//   - id is the window's id with the planned start, as in the calendar.
//   - created_at is when the occurrence was first shown. updated_at is when its status last
//     changed by the clock, so that all replicas answer alike.
//   - incident_updates has one entry for each status so far, the newest first.
//   - components are Options.Components, because scopes are not for users.
type statuspage struct {
	Page         pageInfo      `json:"page"`
	Status       *indicator    `json:"status,omitempty"`
	Components   *[]component  `json:"components,omitempty"`
	Incidents    *[]struct{}   `json:"incidents,omitempty"`
	Maintenances []maintenance `json:"scheduled_maintenances,omitzero"`
}

type indicator struct {
	Indicator   string `json:"indicator"`
	Description string `json:"description"`
}

type component struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Status      string         `json:"status"`
	CreatedAt   statuspageTime `json:"created_at"`
	UpdatedAt   statuspageTime `json:"updated_at"`
	Position    int            `json:"position"`
	Description *string        `json:"description"`
	Showcase    bool           `json:"showcase"`
	StartDate   *string        `json:"start_date"`
	GroupID     *string        `json:"group_id"`
	PageID      string         `json:"page_id"`
	Group       bool           `json:"group"`
	Degraded    bool           `json:"only_show_if_degraded"`
}

type pageInfo struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	URL       string         `json:"url"`
	TimeZone  string         `json:"time_zone"`
	UpdatedAt statuspageTime `json:"updated_at"`
}

type maintenance struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	Status         string              `json:"status"`
	CreatedAt      statuspageTime      `json:"created_at"`
	UpdatedAt      statuspageTime      `json:"updated_at"`
	MonitoringAt   *statuspageTime     `json:"monitoring_at"`
	ResolvedAt     *statuspageTime     `json:"resolved_at"`
	Impact         string              `json:"impact"`
	Shortlink      string              `json:"shortlink"`
	StartedAt      *statuspageTime     `json:"started_at"`
	PageID         string              `json:"page_id"`
	Updates        []maintenanceUpdate `json:"incident_updates"`
	Components     []component         `json:"components"`
	ScheduledFor   statuspageTime      `json:"scheduled_for"`
	ScheduledUntil statuspageTime      `json:"scheduled_until"`
}

type maintenanceUpdate struct {
	ID         string         `json:"id"`
	Status     string         `json:"status"`
	Body       string         `json:"body"`
	IncidentID string         `json:"incident_id"`
	CreatedAt  statuspageTime `json:"created_at"`
	UpdatedAt  statuspageTime `json:"updated_at"`
	DisplayAt  statuspageTime `json:"display_at"`
}

// statuspageTime always has three decimals of a second, as Statuspage writes them.
type statuspageTime time.Time

func (t statuspageTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00"), nil
}

const maxMaintenances = 50 // in scheduled-maintenances.json

func (v *view) newStatuspage(opts *Options) *statuspage {
	return &statuspage{Page: pageInfo{
		ID:        shortID(opts.Service + "\n" + opts.URL),
		Name:      cmp.Or(opts.Service, "Maintenance"),
		URL:       opts.URL,
		TimeZone:  "Etc/UTC",
		UpdatedAt: statuspageTime(v.updated),
	}}
}

func shortID(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:6])
}

// summary returns summary.json: the current and future maintenances and all components.
func (v *view) summary(opts *Options) *statuspage {
	s := v.scheduled(opts, stageUpcoming, stageActive)
	s.Status, s.Incidents = v.indicator(), &[]struct{}{}
	all := v.components(opts.Components, s.Page.ID)
	s.Components = &all
	return s
}

// status returns status.json: the state of the whole service.
func (v *view) status(opts *Options) *statuspage {
	s := v.newStatuspage(opts)
	s.Status = v.indicator()
	return s
}

func (v *view) scheduled(opts *Options, of ...stage) *statuspage {
	s := v.newStatuspage(opts)
	s.Maintenances = v.maintenances(opts, s.Page, of...)
	return s
}

// recent returns scheduled-maintenances.json: the most recent first.
func (v *view) recent(opts *Options) *statuspage {
	s := v.scheduled(opts, stageUpcoming, stageActive, stagePast)
	slices.Reverse(s.Maintenances)
	s.Maintenances = s.Maintenances[:min(len(s.Maintenances), maxMaintenances)]
	return s
}

func (v *view) indicator() *indicator {
	if v.waits || slices.ContainsFunc(v.Windows, func(w window) bool { return w.isClosing() }) {
		return &indicator{"maintenance", "Service Under Maintenance"}
	}
	return &indicator{"none", "All Systems Operational"}
}

// isClosing reports whether the window is in progress and refuses requests.
func (w *window) isClosing() bool { return stageOf(w.Phase) == stageActive && w.Mode.Closes() }

func (v *view) components(parts []Component, page string) []component {
	all := make([]component, 0, len(parts))
	for i := range parts {
		c := component{
			ID: shortID(parts[i].Name), Name: parts[i].Name, Status: "operational", Position: i + 1, PageID: page,
			CreatedAt: statuspageTime(v.updated), UpdatedAt: statuspageTime(v.updated),
		}
		if slices.ContainsFunc(v.Windows, func(w window) bool { return w.isClosing() && w.about.Meets(&parts[i].Scope) }) {
			c.Status = "under_maintenance"
		}
		all = append(all, c)
	}
	return all
}

func (v *view) maintenances(opts *Options, page pageInfo, of ...stage) []maintenance {
	all := []maintenance{}
	components := v.components(opts.Components, page.ID)
	for i := range v.Windows {
		w := &v.Windows[i]
		if !slices.Contains(of, stageOf(w.Phase)) {
			continue
		}
		m := w.maintenance(page)
		for j := range opts.Components {
			if w.about.Meets(&opts.Components[j].Scope) {
				m.Components = append(m.Components, components[j])
			}
		}
		all = append(all, m)
	}
	return all
}

func (w *window) maintenance(page pageInfo) maintenance {
	m := maintenance{
		ID:             occurrenceID(w.ID, w.planned),
		Name:           w.Title,
		CreatedAt:      statuspageTime(w.Announce),
		Impact:         "maintenance",
		Shortlink:      page.URL,
		PageID:         page.ID,
		Components:     []component{},
		ScheduledFor:   statuspageTime(w.Start),
		ScheduledUntil: statuspageTime(w.End),
	}
	if w.Mode == schedule.ModeAnnounce {
		m.Impact = "none"
	}
	update := func(status string, at time.Time) *statuspageTime {
		t := statuspageTime(at)
		m.Status, m.UpdatedAt = status, t
		m.Updates = slices.Insert(m.Updates, 0, maintenanceUpdate{
			ID: m.ID + "-" + status, Status: status, Body: w.Message, IncidentID: m.ID,
			CreatedAt: t, UpdatedAt: t, DisplayAt: t,
		})
		return &t
	}
	update("scheduled", w.Announce)
	if stageOf(w.Phase) >= stageActive {
		m.StartedAt = update("in_progress", w.Start)
	}
	if stageOf(w.Phase) == stagePast {
		m.ResolvedAt = update("completed", w.End)
	}
	return m
}
