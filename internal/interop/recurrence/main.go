// Command recurrence prints when a nightly maintenance window takes place around changes
// of clocks: by package downtime, by teambition/rrule-go, which has the rules of RFC
// 5545, and by robfig/cron, which has those of cron. It says where a night is missing, has
// two windows, or has one at another time than RFC 5545 §3.3.5 gives.
//
//	go run .
//
// The tests hold downtime's rules, more than a thousand of them at random, against
// rrule-go run in UTC, where no clocks are changed. It is a module of its own so that
// importers of upkeep do not inherit the two.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/teambition/rrule-go"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func main() {
	if err := printCases(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "recurrence:", err)
		os.Exit(1)
	}
}

// A nightly window starts at the same time every day. Its first night is the one before the clocks
// change.
type nightly struct {
	what, zone string
	start      string // wall clock time of the first night
	right      string // the second night's start, as RFC 5545 §3.3.5 has it
}

var cases = []nightly{
	{"the clocks skip it", "Europe/Madrid", "2026-03-28T02:30", "2026-03-29T03:30+02:00"},
	{"it comes twice", "Europe/Madrid", "2026-10-24T02:30", "2026-10-25T02:30+02:00"},
	{"the clocks skip it", "America/New_York", "2026-03-07T02:30", "2026-03-08T03:30-04:00"},
	{"it comes twice", "America/New_York", "2026-10-31T01:30", "2026-11-01T01:30-04:00"},
	{"half an hour is skipped", "Australia/Lord_Howe", "2026-10-03T02:15", "2026-10-04T02:45+11:00"},
	{"midnight is skipped", "Africa/Cairo", "2026-04-23T00:30", "2026-04-24T01:30+03:00"},
	{"midnight is skipped", "America/Santiago", "2026-09-05T00:30", "2026-09-06T01:30-03:00"},
	{"two hours are skipped", "Antarctica/Troll", "2026-03-28T01:30", "2026-03-29T03:30+02:00"},
	{"two hours come twice", "Antarctica/Troll", "2026-10-24T02:30", "2026-10-25T02:30+02:00"},
	{"the 30th is skipped", "Pacific/Apia", "2011-12-29T12:00", "2011-12-31T12:00+14:00"},
}

// nights is how many nights are looked at: the one of the change and one on either side.
const nights = 3

func printCases(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, c := range cases {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			return err
		}
		start, err := time.ParseInLocation("2006-01-02T15:04", c.start, loc)
		if err != nil {
			return err
		}
		end := start.AddDate(0, 0, nights).Add(-time.Hour) // none of those after has begun
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s, daily at %s: %s\n", c.zone, start.Format("15:04"), c.what)
		for _, lib := range []struct {
			name string
			find func(c nightly, start, end time.Time) ([]time.Time, error)
		}{{"downtime", byDowntime}, {"rrule-go", byRRule}, {"cron", byCron}} {
			found, err := lib.find(c, start, end)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.zone, lib.name, err)
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", lib.name, join(found, loc), verdict(c, found, loc))
		}
	}
	return w.Flush()
}

func byDowntime(c nightly, start, end time.Time) ([]time.Time, error) {
	s, err := schedule.Parse("windows.yaml", fmt.Appendf(nil,
		"windows: [{id: nightly, start: %q, timezone: %q, duration: 1h, repeat: FREQ=DAILY}]", c.start, c.zone))
	if err != nil {
		return nil, err
	}
	var found []time.Time
	for o := range s.Occurrences(start, end) {
		found = append(found, o.Start)
	}
	return found, nil
}

func byRRule(_ nightly, start, end time.Time) ([]time.Time, error) {
	r, err := rrule.NewRRule(rrule.ROption{Freq: rrule.DAILY, Dtstart: start})
	if err != nil {
		return nil, err
	}
	return r.Between(start, end, true), nil
}

func byCron(c nightly, start, end time.Time) ([]time.Time, error) {
	schedule, err := cron.ParseStandard(start.Format("CRON_TZ=" + c.zone + " 4 15 * * *"))
	if err != nil {
		return nil, err
	}
	var found []time.Time
	for at := schedule.Next(start.Add(-time.Second)); at.Before(end); at = schedule.Next(at) {
		found = append(found, at)
	}
	return found, nil
}

func join(found []time.Time, loc *time.Location) string {
	var texts []string
	for _, at := range found {
		texts = append(texts, at.In(loc).Format("2 15:04Z07:00"))
	}
	return strings.Join(texts, ", ")
}

func verdict(c nightly, found []time.Time, loc *time.Location) string {
	right, err := time.Parse("2006-01-02T15:04Z07:00", c.right)
	if err != nil {
		return err.Error()
	}
	perNight := map[int]int{}
	hit := false
	for _, at := range found {
		perNight[at.In(loc).YearDay()]++
		hit = hit || at.Equal(right)
	}
	twice := slices.ContainsFunc(slices.Collect(maps.Values(perNight)), func(n int) bool { return n > 1 })
	switch {
	case perNight[right.In(loc).YearDay()] == 0:
		return "skips the night"
	case twice:
		return "has a night twice"
	case !hit:
		return "at another time"
	}
	return "as RFC 5545 has it"
}
