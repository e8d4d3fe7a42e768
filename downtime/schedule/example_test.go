package schedule_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// printYear prints the occurrences in 2026, in the zone of each window.
func printYear(document string) {
	s, err := schedule.Parse("windows.yaml", []byte(document))
	if err != nil {
		fmt.Println(err)
		return
	}
	year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for o := range s.Occurrences(year, year.AddDate(1, 0, 0)) {
		fmt.Println(o.Window.ID, o.Start.Format(time.RFC3339), o.End.Format(time.RFC3339))
	}
}

// Parse returns all faults together. Each is a *Fault with its place.
func ExampleParse_faults() {
	_, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - id: db-upgrade
    start: 2026-12-06T02:00
    timezone: Europe/Madrid
    duration: "-2h"
    repeat: FREQ=HOURLY;BYHOUR=2
    scope: {paths: [orders]}
`))
	fmt.Println(err)
	var fault *schedule.Fault
	if errors.As(err, &fault) {
		fmt.Println(fault.Line, fault.Window, fault.Field)
	}
	// Output:
	// windows.yaml:6:15: window "db-upgrade": duration: must be positive, got "-2h"
	// windows.yaml:7:13: window "db-upgrade": repeat: FREQ: HOURLY is not supported: write a window with FREQ=DAILY for each time of day
	// windows.yaml:7:13: window "db-upgrade": repeat: BYHOUR: is not supported: the window begins at the time of start: write a window for each time of day
	// windows.yaml:8:21: window "db-upgrade": scope.paths[0]: must begin with "/" (methods and hosts have lists of their own), got "orders"
	// 6 db-upgrade duration
}

// A wall clock time that the clocks skip is read with the offset before the jump. A duration is
// exact on every night of the year.
func ExampleParse_daylightSaving() {
	s, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - {id: gap, start: 2026-03-29T02:30, timezone: Europe/Madrid, duration: 2h}
  - {id: twice, start: 2026-11-01T01:30, timezone: America/New_York, duration: 2h}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for o := range s.Occurrences(year, year.AddDate(1, 0, 0)) {
		fmt.Println(o.Window.ID, o.Start.Format(time.RFC3339), o.End.Format(time.RFC3339))
	}
	// Output:
	// gap 2026-03-29T03:30:00+02:00 2026-03-29T05:30:00+02:00
	// twice 2026-11-01T01:30:00-04:00 2026-11-01T02:30:00-05:00
}

func ExampleSchedule_At() {
	s, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - {id: upgrade, start: 2026-12-06T01:00:00Z, duration: 2h, announce: 3d, cutoff: 5m}
  - {id: reports, start: 2026-12-06T02:30:00Z, duration: 1h, mode: read-only}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, at := range []string{"2026-12-05T12:00:00Z", "2026-12-06T00:56:00Z", "2026-12-06T02:45:00Z"} {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			fmt.Println(err)
			return
		}
		state := s.At(t)
		for _, w := range state.Windows {
			fmt.Print(w.Window.ID, " ", w.Phase, " (", w.Window.Mode, "); ")
		}
		fmt.Println("next change", state.Next.UTC().Format("15:04"))
	}
	// Output:
	// upgrade announced (closed); next change 00:55
	// upgrade cutoff (closed); next change 01:00
	// upgrade in progress (closed); reports in progress (read-only); next change 03:00
}

// The more restrictive of two overlapping windows wins.
func ExampleSchedule_Overlaps() {
	s, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - {id: reports, start: 2026-12-06T01:00:00Z, duration: 1h, mode: read-only}
  - {id: upgrade, start: 2026-12-06T01:30:00Z, duration: 1h}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for o := range s.Overlaps(year, year.AddDate(1, 0, 0)) {
		fmt.Println(o.Wins.ID, "wins over", o.Over.ID, "from", o.From.UTC().Format("15:04"), "to", o.To.UTC().Format("15:04"))
	}
	// Output:
	// upgrade wins over reports from 01:30 to 02:00
}

// A window repeats by a rule of RFC 5545. It starts at the same wall clock time, also after a
// change of clocks.
func ExampleParse_recurring() {
	s, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - id: weekly
    start: 2026-01-06T03:00
    timezone: America/New_York
    duration: 1h
    repeat: FREQ=WEEKLY;BYDAY=TU
    announce: 1d
    mode: read-only
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	march := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for o := range s.Occurrences(march, march.AddDate(8000, 0, 0)) { // computed one by one
		if o.Start.After(march.AddDate(0, 0, 20)) {
			break
		}
		fmt.Println(o.Start, "-", o.End.Format(time.TimeOnly))
	}
	state := s.At(time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC))
	fmt.Println(state.Windows[0].Phase, "for", state.Windows[0].Start.Format(time.DateTime))
	fmt.Println(s.Window("weekly").Repeat)
	// Output:
	// 2026-03-03 03:00:00 -0500 EST - 04:00:00
	// 2026-03-10 03:00:00 -0400 EDT - 04:00:00
	// 2026-03-17 03:00:00 -0400 EDT - 04:00:00
	// announced for 2026-03-10 03:00:00
	// FREQ=WEEKLY;BYDAY=TU
}

// BYSETPOS chooses among the days of a month: the last working day, and the 30th or, in
// February, the last day.
func ExampleParse_lastWorkingDay() {
	printYear(`
windows:
  - id: billing
    start: 2026-10-01T22:00
    timezone: Europe/Madrid
    duration: 2h
    repeat: FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1
  - id: archive
    start: 2026-01-01T01:00
    timezone: Europe/Madrid
    duration: 1h
    repeat: FREQ=MONTHLY;BYMONTHDAY=30,-1;BYSETPOS=1;UNTIL=20260331
`)
	// Output:
	// archive 2026-01-30T01:00:00+01:00 2026-01-30T02:00:00+01:00
	// archive 2026-02-28T01:00:00+01:00 2026-02-28T02:00:00+01:00
	// archive 2026-03-30T01:00:00+02:00 2026-03-30T02:00:00+02:00
	// billing 2026-10-30T22:00:00+01:00 2026-10-31T00:00:00+01:00
	// billing 2026-11-30T22:00:00+01:00 2026-12-01T00:00:00+01:00
	// billing 2026-12-31T22:00:00+01:00 2027-01-01T00:00:00+01:00
}

// Faults name the part of the rule. An exception must be a day of the rule.
func ExampleParse_ruleFaults() {
	_, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - id: a
    start: 2026-01-06T03:00:00Z
    duration: 1h
    repeat: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30
  - id: b
    start: 2026-01-06T03:00:00Z
    duration: 8d
    repeat: FREQ=WEEKLY
  - id: c
    start: 2026-01-06T03:00:00Z
    duration: 1h
    repeat: FREQ=WEEKLY
    except: [2026-01-14]
`))
	fmt.Println(err)
	// Output:
	// windows.yaml:6:13: window "a": repeat: BYMONTH, BYMONTHDAY: can never occur: there is no such day
	// windows.yaml:9:15: window "b": duration: must not be longer than the time to the next occurrence: that of 2026-01-06 would last into that of 2026-01-13
	// windows.yaml:15:14: window "c": except[0]: must be a day on which the window takes place by repeat, got "2026-01-14"
}

// Except takes single days out of a rule.
func ExampleParse_except() {
	printYear(`
windows:
  - id: weekly
    start: 2026-12-08T03:00
    timezone: America/New_York
    duration: 1h
    repeat: FREQ=WEEKLY;COUNT=5
    except: [2026-12-22, 2026-12-29T03:00]
`)
	// Output:
	// weekly 2026-12-08T03:00:00-05:00 2026-12-08T04:00:00-05:00
	// weekly 2026-12-15T03:00:00-05:00 2026-12-15T04:00:00-05:00
}

// During a freeze, windows that repeat do not take place. A window that is planned for a date
// does.
func ExampleSchedule_Freezes() {
	const document = `
windows:
  - {id: weekly, start: 2026-12-08T03:00, timezone: Europe/Madrid, duration: 1h, repeat: FREQ=WEEKLY}
  - {id: once, start: 2026-12-29T03:00, timezone: Europe/Madrid, duration: 1h}
freezes:
  - {from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, reason: Year end}
`
	printYear(document)
	s, err := schedule.Parse("windows.yaml", []byte(document))
	if err != nil {
		fmt.Println(err)
		return
	}
	for f := range s.Freezes() {
		fmt.Println(f.Reason, f.From.Format(time.RFC3339), f.To.Format(time.RFC3339))
	}
	// Output:
	// weekly 2026-12-08T03:00:00+01:00 2026-12-08T04:00:00+01:00
	// weekly 2026-12-15T03:00:00+01:00 2026-12-15T04:00:00+01:00
	// once 2026-12-29T03:00:00+01:00 2026-12-29T04:00:00+01:00
	// Year end 2026-12-20T00:00:00+01:00 2027-01-08T00:00:00+01:00
}

// Actual changes one occurrence of a window that repeats: here that of the 13th, which operators
// extended. Planned identifies it.
func ExampleOccurrence_extended() {
	s, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - id: weekly
    start: 2026-01-06T03:00:00Z
    duration: 1h
    repeat: FREQ=WEEKLY;COUNT=3
    actual: {begin: 2026-01-13T02:50:00Z, until: 2026-01-13T05:30:00Z}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for o := range s.Occurrences(year, year.AddDate(1, 0, 0)) {
		fmt.Println(o.Planned.Format("Jan 2 15:04"), "was", o.Start.Format(time.TimeOnly), "-", o.End.Format(time.TimeOnly))
	}
	// Output:
	// Jan 6 03:00 was 03:00:00 - 04:00:00
	// Jan 13 03:00 was 02:50:00 - 05:30:00
	// Jan 20 03:00 was 03:00:00 - 04:00:00
}

// In Madrid the clocks skip 02:30 on March 29th. It is read with winter's offset, which is half
// an hour after the clocks went from two to three. Two hours are two hours.
func ExampleSchedule_Occurrences_gapInMadrid() {
	printYear(`
windows:
  - {id: nightly, start: 2026-03-28T02:30, timezone: Europe/Madrid, duration: 2h, repeat: FREQ=DAILY;COUNT=3}
`)
	// Output:
	// nightly 2026-03-28T02:30:00+01:00 2026-03-28T04:30:00+01:00
	// nightly 2026-03-29T03:30:00+02:00 2026-03-29T05:30:00+02:00
	// nightly 2026-03-30T02:30:00+02:00 2026-03-30T04:30:00+02:00
}

// In Madrid there are two 02:30 on October 25th. The window takes place at the first.
func ExampleSchedule_Occurrences_overlapInMadrid() {
	printYear(`
windows:
  - {id: nightly, start: 2026-10-24T02:30, timezone: Europe/Madrid, duration: 2h, repeat: FREQ=DAILY;COUNT=3}
`)
	// Output:
	// nightly 2026-10-24T02:30:00+02:00 2026-10-24T04:30:00+02:00
	// nightly 2026-10-25T02:30:00+02:00 2026-10-25T03:30:00+01:00
	// nightly 2026-10-26T02:30:00+01:00 2026-10-26T04:30:00+01:00
}

// In New York the clocks skip 02:30 on March 8th. RFC 5545 §3.3.5 has the same example.
func ExampleSchedule_Occurrences_gapInNewYork() {
	printYear(`
windows:
  - {id: nightly, start: 2026-03-07T02:30, timezone: America/New_York, duration: 2h, repeat: FREQ=DAILY;COUNT=3}
`)
	// Output:
	// nightly 2026-03-07T02:30:00-05:00 2026-03-07T04:30:00-05:00
	// nightly 2026-03-08T03:30:00-04:00 2026-03-08T05:30:00-04:00
	// nightly 2026-03-09T02:30:00-04:00 2026-03-09T04:30:00-04:00
}

// In New York there are two 01:30 on November 1st.
func ExampleSchedule_Occurrences_overlapInNewYork() {
	printYear(`
windows:
  - {id: nightly, start: 2026-10-31T01:30, timezone: America/New_York, duration: 2h, repeat: FREQ=DAILY;COUNT=3}
`)
	// Output:
	// nightly 2026-10-31T01:30:00-04:00 2026-10-31T03:30:00-04:00
	// nightly 2026-11-01T01:30:00-04:00 2026-11-01T02:30:00-05:00
	// nightly 2026-11-02T01:30:00-05:00 2026-11-02T03:30:00-05:00
}

// Lint warns of probable mistakes before the document is shipped.
func ExampleLint() {
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for _, fault := range schedule.Lint("windows.yaml", []byte(`
windows:
  - {id: last-year, start: 2025-11-02T02:00:00Z, duration: 1h}
  - {id: nightly, start: 2026-01-05T02:30, timezone: Europe/Madrid, duration: 1h, repeat: FREQ=DAILY}
`), now) {
		fmt.Println(fault.Severity, fault)
	}
	// Output:
	// warning windows.yaml:3:28: window "last-year": start: is past: the window ended for good at 2025-11-02T03:00:00Z
	// warning windows.yaml:4:26: window "nightly": start: the clocks of Europe/Madrid jump over 2026-03-29T02:30:00: 2026-03-29T03:30:00+02:00 is meant
}

// While a document is in use, a fault in a later version affects only its own window. Here an
// operator can still end the other one.
func ExampleUpdate() {
	inUse, err := schedule.Parse("windows.yaml", []byte(`
windows:
  - {id: orders, start: 2026-12-06T02:00:00Z, duration: 2h}
  - {id: mail, start: 2026-12-06T02:00:00Z, duration: 1h, repeat: FREQ=DAILY}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, faults, err := schedule.Update(inUse, "windows.yaml", []byte(`
windows:
  - {id: orders, start: 2026-12-06T02:00:00Z, duration: 2h, actual: {end: 2026-12-06T02:40:00Z}}
  - {id: mail, start: 2026-12-06T02:00:00Z, duration: 1h, repeat: FREQ=DAYLY}
`))
	fmt.Println(err)
	fmt.Println(faults)
	for o := range s.Occurrences(inUse.Window("orders").Start, inUse.Window("orders").Start.Add(time.Hour)) {
		fmt.Println(o.Window.ID, "ends", o.End.Format(time.TimeOnly))
	}
	// Output:
	// <nil>
	// windows.yaml:4:67: window "mail": repeat: FREQ: must be DAILY, WEEKLY, MONTHLY or YEARLY, got "DAYLY"
	// mail ends 03:00:00
	// orders ends 02:40:00
}
