package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// begun opens a guard whose window began a minute ago.
func begun() (*downtime.Guard, error) {
	document := fmt.Appendf(nil, `
windows:
  - id: orders-db-upgrade
    title: Orders database upgrade
    start: %s
    duration: 2h
    scope: {paths: ["/orders/**"], work: [import]}
    message: Orders are back in two hours.
`, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano))
	opts := &downtime.Options{Logger: slog.New(slog.DiscardHandler)}
	return downtime.Open(context.Background(), downtime.Bytes("windows.yaml", document), opts)
}

func fetch(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// Operators and users have separate handlers. Both work under any prefix.
func Example() {
	g, err := begun()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	operators, err := status.Handler(g, &status.Options{
		Authorize: func(r *http.Request) (who string, err error) {
			name, password, _ := r.BasicAuth()
			if name != "ada" || password != "secret" {
				return "", errors.New("not an operator")
			}
			return name, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	users, err := status.PublicHandler(g, &status.Options{Service: "Example shop", URL: "https://status.example/"})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux() // in production: two listeners, neither behind the guard
	mux.Handle("/admin/maintenance/", operators)
	mux.Handle("/maintenance/", users)

	fmt.Println("anybody:", fetch(mux, "/admin/maintenance/status.json").Code)
	var answer struct {
		Windows []struct {
			ID, Phase string
			Report    struct{ Quiet bool }
		}
	}
	ada := "Basic YWRhOnNlY3JldA=="
	if err := json.Unmarshal(fetch(mux, "/admin/maintenance/status.json", "Authorization", ada).Body.Bytes(), &answer); err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range answer.Windows {
		fmt.Println("an operator:", w.ID, w.Phase, "quiet", w.Report.Quiet)
	}
	for _, path := range []string{"", "calendar.ics", "active.json", "status.json"} {
		w := fetch(mux, "/maintenance/"+path)
		fmt.Printf("users: %q %d %s\n", path, w.Code, w.Header().Get("Content-Type"))
	}
	// Output:
	// anybody: 403
	// an operator: orders-db-upgrade in progress quiet true
	// users: "" 200 text/html; charset=utf-8
	// users: "calendar.ics" 200 text/calendar; charset=utf-8
	// users: "active.json" 200 application/json
	// users: "status.json" 404 application/problem+json
}

// Programs for Atlassian Statuspage read the windows in progress and the announced ones.
func ExamplePublicHandler() {
	g, err := begun()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	users, err := status.PublicHandler(g, &status.Options{
		Service: "Example shop", URL: "https://status.example/",
		Components: []status.Component{
			{Name: "Checkout", Scope: schedule.Scope{Paths: []string{"/orders/**", "/carts/**"}}},
			{Name: "Search", Scope: schedule.Scope{Paths: []string{"/search/**"}}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var answer struct {
		Page        struct{ Name, URL string }
		Status      struct{ Description string }
		Components  []struct{ Name, Status string }
		Maintenance []struct {
			Name, Status, Impact string
			Updates              []struct{ Status, Body string } `json:"incident_updates"`
		} `json:"scheduled_maintenances"`
	}
	if err := json.Unmarshal(fetch(users, "/api/v2/summary.json").Body.Bytes(), &answer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Page.Name, answer.Page.URL, answer.Status.Description)
	for _, c := range answer.Components {
		fmt.Println(c.Name, c.Status)
	}
	for _, m := range answer.Maintenance {
		fmt.Printf("%s: %s (%s), %s\n", m.Name, m.Status, m.Impact, m.Updates[0].Body)
	}
	// Output:
	// Example shop https://status.example/ Service Under Maintenance
	// Checkout under_maintenance
	// Search operational
	// Orders database upgrade: in_progress (maintenance), Orders are back in two hours.
}

// A browser and a program use the same address.
func ExampleHandler() {
	g, err := begun()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	h, err := status.Handler(g, &status.Options{
		Authorize: func(*http.Request) (string, error) { return "whoever reaches this listener", nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, accept := range []string{"*/*", "text/html, */*;q=0.8"} {
		w := fetch(h, "/", "Accept", accept)
		fmt.Println(w.Header().Get("Content-Type"), strings.Contains(w.Body.String(), "Maintenance in progress"))
	}
	// Output:
	// application/json false
	// text/html; charset=utf-8 true
}

// A console of several packages shows one line for each.
func ExampleSummary() {
	g, err := begun()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	fmt.Println(status.Summary(g)(context.Background()))
	// Output:
	// true orders-db-upgrade: quiet
}

// A calendar works without a guard: write it to a file that any web server serves. An event keeps
// its UID when the window's times move, and is exact across a change of clocks.
func ExampleCalendar() {
	s, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - id: orders-db-upgrade
    title: Orders database upgrade
    start: 2026-10-25T02:30          # in the night in which this time comes twice
    timezone: Europe/Madrid
    duration: 2h
    announce: 3d
    message: Orders are read again afterwards.
    actual: {until: 2026-10-25T03:00:00Z}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC)
	feed := status.Calendar(s, now, &status.CalendarOptions{Name: "Shop maintenance", URL: "https://status.example/"})
	_, event, _ := strings.Cut(string(feed), "BEGIN:VEVENT\r\n")
	event, _, _ = strings.Cut(event, "END:VEVENT")
	fmt.Print(strings.ReplaceAll(event, "\r\n", "\n"))
	// Output:
	// UID:orders-db-upgrade-20261025T003000Z@status.example
	// DTSTAMP:20261024T120000Z
	// SEQUENCE:9000
	// DTSTART:20261025T003000Z
	// DTEND:20261025T030000Z
	// SUMMARY:Orders database upgrade
	// DESCRIPTION:Orders are read again afterwards.
	// URL:https://status.example/
	// STATUS:CONFIRMED
	// CATEGORIES:MAINTENANCE
	// TRANSP:TRANSPARENT
}
