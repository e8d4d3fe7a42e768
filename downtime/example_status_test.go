package downtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Users get a page, a calendar to subscribe to, and JSON in the shape of Statuspage, of
// what they may know.
func ExampleGuard_PublicStatusHandler() {
	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{
		Service: "Example shop", StatusURL: "https://status.example/", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	public := http.NewServeMux() // not behind the guard
	public.Handle("/maintenance/", http.StripPrefix("/maintenance", g.PublicStatusHandler()))
	server := httptest.NewServer(public)
	defer server.Close()

	for _, path := range []string{"/", "/calendar.ics", "/status.json"} {
		r, err := http.Get(server.URL + "/maintenance" + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Body.Close()
		fmt.Println(r.StatusCode, path, r.Header.Get("Content-Type"))
	}

	r, err := http.Get(server.URL + "/maintenance/active.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Body.Close()
	var answer struct {
		Page        struct{ Name, URL string }
		Maintenance []struct {
			Name, Status, Impact string
			Updates              []struct{ Status, Body string } `json:"incident_updates"`
		} `json:"scheduled_maintenances"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Page.Name, answer.Page.URL)
	for _, m := range answer.Maintenance {
		fmt.Printf("%s: %s (%s), %s\n", m.Name, m.Status, m.Impact, m.Updates[0].Body)
	}
	// Output:
	// 200 / text/html; charset=utf-8
	// 200 /calendar.ics text/calendar; charset=utf-8
	// 404 /status.json text/plain; charset=utf-8
	// Example shop https://status.example/
	// Orders database upgrade: in_progress (maintenance), Orders are back in two hours.
}

// Operators look with a browser or with a program, at the same address.
func ExampleGuard_StatusHandler_page() {
	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	for _, accept := range []string{"*/*", "text/html, */*;q=0.8"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		g.StatusHandler().ServeHTTP(w, r)
		body, err := io.ReadAll(w.Body)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(w.Header().Get("Content-Type"), strings.Contains(string(body), "Maintenance in progress"))
	}
	// Output:
	// application/json false
	// text/html; charset=utf-8 true
}

// A calendar needs no guard: it can be written to a file that any web server serves. An
// event keeps its UID however the window goes, and is exact across a change of clocks.
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
	feed := downtime.Calendar(s, now, &downtime.CalendarOptions{Name: "Shop maintenance", URL: "https://status.example/"})
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
