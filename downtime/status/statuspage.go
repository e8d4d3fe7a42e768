package status

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// The shape in which Atlassian Statuspage tells of scheduled maintenances, at
// /api/v2/scheduled-maintenances/upcoming.json and active.json of a page, and which
// many programs read. Of what its fields need and windows do not have:
//
//   - An id is the window's with the planned start, as in the calendar.
//   - created_at is when the occurrence was first shown, updated_at when its status last
//     changed by the clock, so that all replicas answer alike.
//   - No components: a scope is for the guard and not for users.
//   - incident_updates has one entry for each status so far, the newest first.
type maintenances struct {
	Page         maintenancePage `json:"page"`
	Maintenances []maintenance   `json:"scheduled_maintenances"`
}

type maintenancePage struct {
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
	Components     []struct{}          `json:"components"`
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

// statuspageTime has always three digits of a second, as Statuspage has it.
type statuspageTime time.Time

func (t statuspageTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00"), nil
}

const (
	maintenanceScheduled  = "scheduled"
	maintenanceInProgress = "in_progress"
)

// maintenances are the windows of that stage.
func (v *view) maintenances(service, url string, of stage) *maintenances {
	sum := sha256.Sum256([]byte(service + "\n" + url))
	m := &maintenances{
		Page: maintenancePage{
			ID:        hex.EncodeToString(sum[:6]),
			Name:      cmp.Or(service, "Maintenance"),
			URL:       url,
			TimeZone:  "Etc/UTC",
			UpdatedAt: statuspageTime(v.updated),
		},
		Maintenances: []maintenance{},
	}
	for i := range v.Windows {
		if w := &v.Windows[i]; stageOf(w.Phase) == of {
			m.Maintenances = append(m.Maintenances, w.maintenance(m.Page))
		}
	}
	return m
}

func (w *window) maintenance(page maintenancePage) maintenance {
	m := maintenance{
		ID:             occurrenceID(w.ID, w.planned),
		Name:           w.Title,
		Status:         maintenanceScheduled,
		CreatedAt:      statuspageTime(w.Announce),
		UpdatedAt:      statuspageTime(w.Announce),
		Impact:         "maintenance",
		Shortlink:      page.URL,
		PageID:         page.ID,
		Components:     []struct{}{},
		ScheduledFor:   statuspageTime(w.Start),
		ScheduledUntil: statuspageTime(w.End),
	}
	if w.Mode == schedule.ModeAnnounce {
		m.Impact = "none"
	}
	update := func(status string, at time.Time) {
		u := maintenanceUpdate{
			ID: m.ID + "-" + status, Status: status, Body: w.Message, IncidentID: m.ID,
			CreatedAt: statuspageTime(at), UpdatedAt: statuspageTime(at), DisplayAt: statuspageTime(at),
		}
		m.Updates = append([]maintenanceUpdate{u}, m.Updates...)
	}
	update(maintenanceScheduled, w.Announce)
	if stageOf(w.Phase) == stageActive {
		started := statuspageTime(w.Start)
		m.Status, m.StartedAt, m.UpdatedAt = maintenanceInProgress, &started, started
		update(maintenanceInProgress, w.Start)
	}
	return m
}
