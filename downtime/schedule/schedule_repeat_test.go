package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func TestRepeatFaults(t *testing.T) {
	t.Parallel()
	weekly := func(lines ...string) string {
		return one(append([]string{"start: 2026-01-06T03:00", "timezone: Europe/Madrid", "repeat: FREQ=WEEKLY"}, lines...)...)
	}
	rule := func(text string) string { return one("repeat: " + text) }
	for _, c := range []struct{ doc, want string }{
		{rule("3"), `windows.yaml:5:13: window "w": repeat: must be a string, got a number`},
		{rule("''"), `repeat: must be parts such as FREQ=WEEKLY;BYDAY=TU, got ""`},
		{rule("INTERVAL=2"), `windows.yaml:5:13: window "w": repeat: FREQ: is required`},
		{rule("FREQ=WEEKLY;"), `repeat: must be parts such as FREQ=WEEKLY;BYDAY=TU, got ""`},
		{rule("EXRULE:FREQ=WEEKLY"), `repeat: EXRULE:FREQ: unknown part`},
		{rule("RRULE:RRULE:FREQ=WEEKLY"), `repeat: RRULE:FREQ: unknown part`},
		{rule("FREQ=WEEKLY;BYDAY=T U"), `repeat: BYDAY: must be weekdays such as TU, 2TU or -1SU, got "T U"`},
		{rule("FREQ=HOURLY"), `repeat: FREQ: HOURLY is not supported: write a window with FREQ=DAILY`},
		{rule("FREQ=MINUTELY"), `repeat: FREQ: MINUTELY is not supported`},
		{rule("FREQ=SECONDLY"), `repeat: FREQ: SECONDLY is not supported`},
		{rule("FREQ=FORTNIGHTLY"), `repeat: FREQ: must be DAILY, WEEKLY, MONTHLY or YEARLY, got "FORTNIGHTLY"`},
		{rule("FREQ=DAILY;FREQ=DAILY"), `repeat: FREQ: is given twice`},
		{rule("FREQ=MONTHLY;BYSETPOS=1"), `repeat: BYSETPOS: needs BYDAY, BYMONTHDAY or BYMONTH, whose days it counts`},
		{rule("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0"), `repeat: BYSETPOS: must lie between 1 and 366, got "0"`},
		{rule("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-367"), `repeat: BYSETPOS: must lie between 1 and 366, got "367"`},
		{rule("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=--1"), `repeat: BYSETPOS: must be a number between 1 and 366, got "-1"`},
		{rule("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6"), `repeat: BYDAY, BYSETPOS: can never occur: there is no such day`},
		{rule("FREQ=DAILY;BYDAY=MO;BYSETPOS=2"), `repeat: BYDAY, BYSETPOS: can never occur: there is no such day`},
		{rule("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3,-3"), `repeat: BYDAY, BYSETPOS: can never occur: there is no such day`},
		{rule("FREQ=YEARLY;BYWEEKNO=20"), `repeat: BYWEEKNO: is not supported: write BYMONTH and BYDAY, such as FREQ=YEARLY;BYMONTH=5;BYDAY=2MO`},
		{rule("FREQ=YEARLY;BYYEARDAY=100"), `repeat: BYYEARDAY: is not supported: write BYMONTH and BYMONTHDAY, such as FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=10 for day 100`},
		{rule("FREQ=DAILY;BYHOUR=2,14"), `repeat: BYHOUR: is not supported: the window begins at the time of start: write a window for each time of day`},
		{rule("FREQ=HOURLY"), `repeat: FREQ: HOURLY is not supported: write a window with FREQ=DAILY for each time of day`},
		{rule("FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD"), `repeat: SKIP: is not supported: remove SKIP, and write BYMONTHDAY=-1 for the last day of each month`},
		{rule("FREQ=YEARLY;BYYEARDAY=1"), `repeat: BYYEARDAY: is not supported`},
		{rule("FREQ=YEARLY;BYWEEKNO=1"), `repeat: BYWEEKNO: is not supported`},
		{rule("FREQ=DAILY;BYHOUR=1"), `repeat: BYHOUR: is not supported`},
		{rule("FREQ=DAILY;BYMINUTE=1"), `repeat: BYMINUTE: is not supported`},
		{rule("FREQ=DAILY;BYSECOND=1"), `repeat: BYSECOND: is not supported`},
		{rule("FREQ=DAILY;X-COLOUR=RED"), `repeat: X-COLOUR: unknown part`},
		{rule("FREQ=DAILY;INTERVAL=0"), `repeat: INTERVAL: must lie between 1 and 9999, got "0"`},
		{rule("FREQ=DAILY;INTERVAL=-1"), `repeat: INTERVAL: must be a number between 1 and 9999, got "-1"`},
		{rule("FREQ=DAILY;INTERVAL=99999999999999999999"), `repeat: INTERVAL: must lie between 1 and 9999`},
		{rule("FREQ=DAILY;COUNT=0"), `repeat: COUNT: must lie between 1 and 10000, got "0"`},
		{rule("FREQ=DAILY;COUNT=-3"), `repeat: COUNT: must be a number between 1 and 10000, got "-3"`},
		{rule("FREQ=DAILY;COUNT=10001"), `repeat: COUNT: must lie between 1 and 10000, got "10001"`},
		{rule("FREQ=DAILY;COUNT=3;UNTIL=20270101"), `repeat: COUNT: must not be given together with UNTIL`},
		{rule("FREQ=DAILY;UNTIL=2027-01-01"), `repeat: UNTIL: must be 20261231, 20261231T235959 by the window's clock, or 20261231T235959Z, got "2027-01-01"`},
		{rule("FREQ=DAILY;UNTIL=20270230"), `repeat: UNTIL: must be`},
		{rule("FREQ=DAILY;UNTIL=20261205"), `repeat: UNTIL: lies before the first occurrence, 2026-12-06T02:00:00Z`},
		{rule("FREQ=DAILY;UNTIL=20261206T015959Z"), `repeat: UNTIL: lies before the first occurrence, 2026-12-06T02:00:00Z`},
		{rule("FREQ=WEEKLY;WKST=XX"), `repeat: WKST: must be MO, TU, WE, TH, FR, SA or SU, got "XX"`},
		{rule("FREQ=WEEKLY;BYDAY="), `repeat: BYDAY: must be weekdays such as TU, 2TU or -1SU, got ""`},
		{rule("FREQ=WEEKLY;BYDAY=TU,"), `repeat: BYDAY: must be weekdays such as TU, 2TU or -1SU, got ""`},
		{rule("FREQ=MONTHLY;BYDAY=0TU"), `repeat: BYDAY: must be weekdays such as TU, 2TU or -1SU, got "0TU"`},
		{rule("FREQ=MONTHLY;BYDAY=--1TU"), `repeat: BYDAY: must be weekdays`},
		{rule("FREQ=MONTHLY;BYDAY=-TU"), `repeat: BYDAY: must be weekdays`},
		{rule("FREQ=MONTHLY;BYDAY=6TU"), `repeat: BYDAY: 6TU can never occur: a month has at most five of a weekday`},
		{rule("FREQ=YEARLY;BYMONTH=3;BYDAY=-6TU"), `repeat: BYDAY: -6TU can never occur`},
		{rule("FREQ=YEARLY;BYDAY=54TU"), `repeat: BYDAY: must be weekdays`},
		{rule("FREQ=WEEKLY;BYDAY=2TU"), `repeat: BYDAY: 2TU counts in a month or year, so it needs FREQ=MONTHLY or YEARLY`},
		{rule("FREQ=DAILY;BYDAY=-1TU"), `repeat: BYDAY: -1TU counts in a month or year`},
		{rule("FREQ=MONTHLY;BYMONTHDAY=0"), `repeat: BYMONTHDAY: must lie between 1 and 31, got "0"`},
		{rule("FREQ=MONTHLY;BYMONTHDAY=32"), `repeat: BYMONTHDAY: must lie between 1 and 31, got "32"`},
		{rule("FREQ=MONTHLY;BYMONTHDAY=-32"), `repeat: BYMONTHDAY: must lie between 1 and 31, got "32"`},
		{rule("FREQ=WEEKLY;BYMONTHDAY=1"), `repeat: BYMONTHDAY: has no meaning with FREQ=WEEKLY`},
		{rule("FREQ=YEARLY;BYMONTH=13"), `repeat: BYMONTH: must lie between 1 and 12, got "13"`},
		{rule("FREQ=YEARLY;BYMONTH=" + strings.Repeat("1,", 400) + "1"), `repeat: BYMONTH: must have at most 400 values, got 401`},
		{rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), `repeat: BYMONTH, BYMONTHDAY: can never occur: there is no such day`},
		{rule("FREQ=MONTHLY;BYMONTH=2,4;BYMONTHDAY=31"), `repeat: BYMONTH, BYMONTHDAY: can never occur`},
		{rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-30"), `repeat: BYMONTH, BYMONTHDAY: can never occur`},
		{rule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO"), `repeat: BYMONTHDAY, BYDAY: can never occur`},
		{rule("FREQ=MONTHLY;INTERVAL=12;BYMONTH=3"), `repeat: BYMONTH: never falls on a day that INTERVAL counts`},
		{rule("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29"), `repeat: BYMONTH, BYMONTHDAY: never falls on a day that INTERVAL counts`},
		{rule("FREQ=" + strings.Repeat("x", 2000)), `repeat: must be at most 2000 bytes, got 2005`},
		{one("start: 2026-12-06T02:00:00.5Z", "repeat: FREQ=DAILY"), `windows.yaml:4:12: window "w": start: must be a whole second where the window repeats`},
		{
			one("start: 2026-10-25T02:30:00+01:00", "timezone: Europe/Madrid", "repeat: FREQ=DAILY"),
			`start: the clock shows 02:30 twice, and a window that repeats takes the first, 2026-10-25T02:30:00+02:00`,
		},

		{weekly("duration: 8d"), `windows.yaml:6:15: window "w": duration: must not be longer than the time to the next occurrence: that of 2026-01-06 would last into that of 2026-01-13`},
		{weekly("duration: 25h", "repeat: FREQ=WEEKLY;BYDAY=MO,WE,TH"), `that of 2026-01-07 would last into that of 2026-01-08`},
		{weekly("duration: 25h", "repeat: FREQ=DAILY"), `that of 2026-01-06 would last into that of 2026-01-07`},

		{weekly("except: 2026-01-13"), `windows.yaml:7:13: window "w": except: must be a list, got a string`},
		{weekly("except: [3]"), `windows.yaml:7:14: window "w": except[0]: must be a string, got a number`},
		{weekly("except: [13.1.2026]"), `except[0]: must be a date such as "2026-12-22", or a wall clock time of the start, got "13.1.2026"`},
		{weekly("except: [2026-01-13, 2026-01-14]"), `windows.yaml:7:26: window "w": except[1]: must be a day on which the window takes place by repeat, got "2026-01-14"`},
		{weekly("except: [2025-12-30]"), `except[0]: must be a day on which the window takes place by repeat, got "2025-12-30"`},
		{weekly("except: [2026-01-13T03:30]"), `except[0]: must be a date, or the time at which the window starts that day, got "2026-01-13T03:30"`},
		{weekly("except: [2026-01-13T03:00:00Z]"), `except[0]: must be a date`},
		{weekly("repeat: FREQ=WEEKLY;COUNT=2", "except: [2026-01-06, 2026-01-13]"), `repeat: except and freezes leave no occurrence`},
		{weekly("except: [" + strings.Repeat("a, ", 1001) + "]"), `except: must have at most 1000 elements, got 1001`},
		{one("except: [2026-12-06]"), `except: has no meaning without repeat`},

		{weekly("actual: {end: 2026-01-01T00:00:00Z}"), `windows.yaml:7:13: window "w": actual: does not match an occurrence: the first one is planned after 2026-01-01T00:00:00Z`},
		{weekly("actual: {begin: 2026-01-13T03:30:00Z}"), `actual: the window would end, 2026-01-13T04:00:00+01:00, before it begins, 2026-01-13T03:30:00Z`},
		{weekly("actual: {end: 2026-01-13T09:00:01Z}"), `actual: end, 2026-01-13T09:00:01Z, is long after the occurrence planned for 2026-01-13T03:00:00+01:00: to extend that one write until, to call off another write except`},

		{"windows: []\nfreezes: {}", `windows.yaml:2:10: freezes: must be a list, got a map`},
		{"windows: []\nfreezes: [x]", `windows.yaml:2:11: freezes[0]: must be a map, got a string`},
		{"windows: []\nfreezes: [{}]", `windows.yaml:2:11: freezes[0].from: is required`},
		{weekly() + "freezes: [{from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, windows: [w, weekly]}]\n", `windows.yaml:7:84: freezes[0].windows[1]: unknown window "weekly"`},
		{one("id: orders") + "freezes: [{from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, windows: [order]}]\n", `freezes[0].windows[0]: unknown window "order" (did you mean "orders"?)`},
		{"windows: []\nfreezes: [{from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, windows: ['a b']}]", `freezes[0].windows[0]: must be letters, digits`},
		{"windows: []\nfreezes: [{from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, windows: w}]", `freezes[0].windows: must be a list, got a string`},
		{"windows: []\nfreezes: [{form: x}]", `windows.yaml:2:12: freezes[0]: unknown field "form" (did you mean "from"?)`},
		{"windows: []\nfreezes:\n  - {from: 2026-12-20, to: 2027-01-07}", `windows.yaml:3:12: freezes[0].from: "2026-12-20" is a date: add timezone`},
		{"windows: []\nfreezes:\n  - {from: 2026-12-20T10:00, to: 2027-01-07T00:00:00Z}", `freezes[0].from: "2026-12-20T10:00" is a wall clock time: add timezone`},
		{"windows: []\nfreezes:\n  - {from: 2026-12-20, to: 2026-12-19, timezone: Europe/Madrid}", `windows.yaml:3:28: freezes[0].to: must be after from, "2026-12-20", got "2026-12-19"`},
		{"windows: []\nfreezes:\n  - {from: yesterday, to: 3, timezone: Europe/Nowhere, reason: []}", `freezes[0].from: must be a time such as`},
		{"windows: []\nfreezes:\n  - {from: yesterday, to: 3, timezone: Europe/Nowhere, reason: []}", `freezes[0].to: must be a string, got a number`},
		{"windows: []\nfreezes:\n  - {from: yesterday, to: 3, timezone: Europe/Nowhere, reason: []}", `freezes[0].timezone: unknown time zone "Europe/Nowhere"`},
		{"windows: []\nfreezes:\n  - {from: yesterday, to: 3, timezone: Europe/Nowhere, reason: []}", `freezes[0].reason: must be a string, got a list`},
		{"windows: []\nfreezes: [" + strings.Repeat("{}, ", 1001) + "]", `freezes: must have at most 1000 elements, got 1001`},
		{weekly("repeat: FREQ=WEEKLY;COUNT=2") + "freezes: [{from: 2026-01-01, to: 2026-01-31, timezone: Europe/Madrid}]\n", `repeat: except and freezes leave no occurrence`},
	} {
		s, err := schedule.Parse("windows.yaml", []byte(c.doc))
		require.Error(t, err, c.doc)
		require.Nil(t, s)
		require.Contains(t, err.Error(), c.want, c.doc)
	}
}

func TestAllFaultsOfARuleAreReported(t *testing.T) {
	t.Parallel()
	_, err := schedule.Parse("w", []byte(one("repeat: FREQ=WEEKLY;BYHOUR=1;INTERVAL=0;COUNT=0;UNTIL=x;BYDAY=YY", "mode: shut")))
	var faults schedule.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 7)
}

// what lists starts and ends in the window's zone.
func what(s *schedule.Schedule, from, to time.Time) string {
	var all []string
	for o := range s.Occurrences(from, to) {
		all = append(all, o.Start.In(o.Window.Timezone).Format("02 15:04")+"-"+o.End.In(o.Window.Timezone).Format("15:04"))
	}
	return strings.Join(all, ", ")
}

func TestActualOfAWindowThatRepeats(t *testing.T) {
	t.Parallel()
	const asPlanned = "06 03:00-04:00, 13 03:00-04:00, 20 03:00-04:00, 27 03:00-04:00"
	for _, c := range []struct{ name, actual, planned, want string }{
		{"nothing", "{}", "", asPlanned},
		{"early", "{begin: 2026-01-13T02:40:00Z}", "13", "06 03:00-04:00, 13 02:40-04:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"early by a day", "{begin: 2026-01-12T02:40:00Z}", "13", "06 03:00-04:00, 12 02:40-04:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"late", "{begin: 2026-01-13T03:10:00Z}", "13", "06 03:00-04:00, 13 03:10-04:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"so late that it is longer too", "{begin: 2026-01-13T04:30:00Z, until: 2026-01-13T05:30:00Z}", "13", "06 03:00-04:00, 13 04:30-05:30, 20 03:00-04:00, 27 03:00-04:00"},
		{"before the first", "{begin: 2026-01-05T02:30:00Z}", "06", "05 02:30-04:00, 13 03:00-04:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"ended early", "{end: 2026-01-13T03:20:00Z}", "13", "06 03:00-04:00, 13 03:00-03:20, 20 03:00-04:00, 27 03:00-04:00"},
		{"called off", "{end: 2026-01-13T03:00:00Z}", "13", "06 03:00-04:00, 13 03:00-03:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"ended late, after it overran", "{end: 2026-01-13T04:25:00Z}", "13", "06 03:00-04:00, 13 03:00-04:25, 20 03:00-04:00, 27 03:00-04:00"},
		{"ended as late as may be", "{end: 2026-01-13T10:00:00Z}", "13", "06 03:00-04:00, 13 03:00-10:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"extended", "{until: 2026-01-13T06:00:00Z}", "13", "06 03:00-04:00, 13 03:00-06:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"shortened", "{until: 2026-01-13T03:30:00Z}", "13", "06 03:00-04:00, 13 03:00-03:30, 20 03:00-04:00, 27 03:00-04:00"},
		{"extended and ended before", "{until: 2026-01-13T06:00:00Z, end: 2026-01-13T05:00:00Z}", "13", "06 03:00-04:00, 13 03:00-05:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"all", "{begin: 2026-01-13T02:40:00Z, until: 2026-01-13T06:00:00Z, end: 2026-01-13T05:00:00Z}", "13", "06 03:00-04:00, 13 02:40-05:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"extended beyond the next", "{begin: 2026-01-13T03:00:00Z, until: 2026-01-20T03:30:00Z}", "13", "06 03:00-04:00, 13 03:00-03:30, 20 03:00-04:00, 27 03:00-04:00"},
		{"extended beyond the next, ended meanwhile", "{until: 2026-01-20T03:30:00Z, end: 2026-01-14T00:00:00Z}", "13", "06 03:00-04:00, 13 03:00-00:00, 20 03:00-04:00, 27 03:00-04:00"},
		{"an until beyond the next, alone, is the next one's", "{until: 2026-01-20T03:30:00Z}", "20", "06 03:00-04:00, 13 03:00-04:00, 20 03:00-03:30, 27 03:00-04:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := parse(t, one("start: 2026-01-06T03:00:00Z", "announce: 2h", "repeat: FREQ=WEEKLY;BYDAY=TU", "actual: "+c.actual))
			from, to := instant(t, "2026-01-01T00:00:00Z"), instant(t, "2026-02-01T00:00:00Z")
			require.Equal(t, c.want, what(s, from, to))
			for o := range s.Occurrences(from, to) {
				require.Equal(t, 3, o.Planned.Hour(), "the plan stays")
				changed := !o.Start.Equal(o.Planned) || o.End.Sub(o.Start) != time.Hour
				require.Equal(t, c.planned != "" && o.Planned.Format("02") == c.planned, changed, o)
			}
			againstAll(t, s, from, to)
		})
	}
}

// againstAll compares At and Occurrences, at many moments, with the list of all occurrences.
func againstAll(t *testing.T, s *schedule.Schedule, from, to time.Time) {
	t.Helper()
	var all []schedule.Occurrence
	for o := range s.Occurrences(time.Unix(0, 0), to.AddDate(3, 0, 0)) {
		all = append(all, o)
	}
	var edges []time.Time
	for _, o := range all {
		edges = append(edges, o.Announced(), o.Cutoff(), o.Start, o.End)
	}
	slices.SortFunc(edges, time.Time.Compare)
	var moments []time.Time
	for _, at := range edges {
		for _, at := range []time.Time{at.Add(-time.Nanosecond), at, at.Add(time.Nanosecond), at.Add(25 * time.Minute)} {
			if !at.Before(from) && at.Before(to) {
				moments = append(moments, at)
			}
		}
	}
	for i, at := range slices.Concat(moments, moments[len(moments)/2:], moments) { // also back in time, across the cached span
		want := map[string]bool{}
		coming := map[*schedule.Window]bool{}
		for _, o := range all {
			phase := o.Phase(at)
			if phase == schedule.PhaseCompleted || !o.Start.Before(o.End) && phase == schedule.PhaseInProgress {
				continue
			}
			if o.Start.After(at) {
				if coming[o.Window] {
					continue // not the next one
				}
				coming[o.Window] = true
			}
			if phase != schedule.PhaseOpen {
				want[fmt.Sprint(o.Window.ID, o.Planned, o.Start, o.End, phase)] = true
			}
		}
		state := s.At(at)
		got := map[string]bool{}
		for _, w := range state.Windows {
			got[fmt.Sprint(w.Window.ID, w.Planned, w.Start, w.End, w.Phase)] = true
		}
		require.Equal(t, want, got, "%d: %v", i, at)
		if !state.Next.IsZero() {
			require.True(t, state.Next.After(at))
		}
		for _, length := range []time.Duration{0, time.Nanosecond, time.Hour, 50 * 24 * time.Hour} {
			var want, got []schedule.Occurrence
			for _, o := range all {
				if o.End.After(at) && o.Start.Before(at.Add(length)) {
					want = append(want, o)
				}
			}
			for o := range s.Occurrences(at, at.Add(length)) {
				got = append(got, o)
			}
			require.Equal(t, want, got, "from %v for %v", at, length)
		}
	}
}

func TestWindowsThatRepeatAmongOthers(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - {id: once, start: 2026-01-13T02:00:00Z, duration: 3h, announce: 1d}
  - {id: off, start: 2026-01-14T02:00:00Z, duration: 3h, actual: {end: 2026-01-14T02:00:00Z}}
  - {id: daily, start: 2026-01-06T23:30:00Z, duration: 90m, announce: 23h, cutoff: 1h, repeat: FREQ=DAILY;UNTIL=20260118, except: [2026-01-11]}
  - {id: whole, start: 2026-01-05T00:00, timezone: Europe/Madrid, duration: 24h, repeat: FREQ=WEEKLY}
  - {id: long, start: 2026-01-03T12:00:00Z, duration: 30h, repeat: "FREQ=MONTHLY;BYMONTHDAY=3,5,9,27", announce: 3d,
     actual: {begin: 2026-01-05T12:00:00Z, until: 2026-01-10T00:00:00Z}}
freezes:
  - {from: 2026-01-15T00:00:00Z, to: 2026-01-16T23:30:00Z}
  - {from: 2026-01-26, to: 2026-01-26, timezone: Europe/Madrid}
`)
	againstAll(t, s, instant(t, "2026-01-01T00:00:00Z"), instant(t, "2026-02-10T00:00:00Z"))
	var got []string
	for o := range s.Occurrences(instant(t, "2026-01-09T00:00:00Z"), instant(t, "2026-01-28T00:00:00Z")) {
		got = append(got, o.Window.ID+" "+o.Start.UTC().Format("2T15:04"))
	}
	require.Equal(t, []string{
		"long 5T12:00", "daily 8T23:30", "long 9T12:00", "daily 9T23:30", "daily 10T23:30", "whole 11T23:00", "daily 12T23:30", "once 13T02:00",
		"daily 13T23:30", "off 14T02:00", "daily 14T23:30", "daily 16T23:30", "daily 17T23:30", "whole 18T23:00", "daily 18T23:30", "long 27T12:00",
	}, got)
	ids := map[string]bool{}
	for o := range s.Overlaps(instant(t, "2026-01-01T00:00:00Z"), instant(t, "2026-02-01T00:00:00Z")) {
		require.NotEqual(t, o.Wins, o.Over)
		require.True(t, o.From.Before(o.To))
		ids[o.Wins.ID+" "+o.Over.ID] = true
	}
	require.True(t, ids["daily long"] || ids["long daily"])

	var freezes []string
	for f := range s.Freezes() {
		freezes = append(freezes, f.From.Format(time.RFC3339)+" "+f.To.Format(time.RFC3339)+f.Reason)
		if len(freezes) == 2 {
			break
		}
	}
	require.Equal(t, []string{"2026-01-15T00:00:00Z 2026-01-16T23:30:00Z", "2026-01-26T00:00:00+01:00 2026-01-27T00:00:00+01:00"}, freezes)
	require.Equal(t, "FREQ=DAILY;UNTIL=20260118", s.Window("daily").Repeat)
	require.Empty(t, s.Window("once").Repeat)
}

func TestOccurrencesOfAgesAreFoundAsTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	s, err := schedule.Parse("w.json", recurring(1000))
	require.NoError(t, err)
	from := instant(t, "2026-01-01T00:00:00Z")
	n := 0
	var last time.Time
	for o := range s.Occurrences(from, from.AddDate(8000, 0, 0)) {
		require.False(t, o.Start.Before(last))
		last = o.Start
		if n++; n == 5000 {
			break
		}
	}
	require.Equal(t, 5000, n)
	n = 0
	for range s.Overlaps(from, from.AddDate(8000, 0, 0)) {
		if n++; n == 5000 {
			break
		}
	}
	require.Equal(t, 5000, n)
}

// A freeze of a thousand years costs as much as a freeze of a day. So does a long row of
// exceptions.
func TestFreezesAndExceptionsAreLeaptOver(t *testing.T) {
	t.Parallel()
	var except []string
	for d := date(2026, 1, 10); d.Before(date(2026, 6, 1)); d = d.AddDate(0, 0, 1) {
		except = append(except, d.Format(time.DateOnly))
	}
	s := parse(t, one("start: 2026-01-01T00:30", "timezone: Africa/Cairo", "repeat: FREQ=DAILY", "except: ["+strings.Join(except, ", ")+"]")+`freezes:
  - {from: 2026-07-01, to: 3026-06-30, timezone: Africa/Cairo, reason: a long winter}
  - {from: 2026-06-01T00:30, to: 2026-06-30T00:30, timezone: Africa/Cairo}
  - {from: 2026-06-30T00:30, to: 2026-06-30T00:30:01, timezone: Africa/Cairo}
`)
	require.Equal(t, "08 00:30-01:30, 09 00:30-01:30, 01 00:30-01:30, 02 00:30-01:30",
		what(s, instant(t, "2026-01-08T00:00:00+02:00"), instant(t, "3026-07-03T00:00:00+03:00")))
	last, ok := schedule.PlannedBy(s.Window("w"), instant(t, "3026-07-01T00:30:00+03:00").Add(-time.Second))
	require.True(t, ok)
	require.Equal(t, "2026-01-09T00:30:00+02:00", last.Format(time.RFC3339))
	_, ok = schedule.PlannedBy(s.Window("w"), instant(t, "2025-12-31T22:29:59Z"))
	require.False(t, ok)
	_, ok = schedule.PlannedAfter(s.Window("w"), instant(t, "9000-12-31T22:30:00Z"))
	require.False(t, ok)
}

func TestWhatIsInProgressIsKept(t *testing.T) {
	t.Parallel()
	weekly := func(lines ...string) string {
		return one(append([]string{"start: 2026-01-06T03:00:00Z", "repeat: FREQ=WEEKLY;BYDAY=TU"}, lines...)...)
	}
	onlyOnce := func(lines ...string) string { return one(append([]string{"start: 2026-01-13T03:00:00Z"}, lines...)...) }
	const freeze = "freezes: [{from: 2026-01-12, to: 2026-01-18, timezone: UTC}]\n"
	now := instant(t, "2026-01-13T03:30:00Z")
	for _, c := range []struct{ name, before, after, until string }{
		{"unchanged", weekly(), weekly(), "04:00"},
		{"gone", weekly(), "windows: []\n", "04:00 kept"},
		{"gone, while extended", weekly("actual: {until: 2026-01-13T05:00:00Z}"), "windows: []\n", "05:00 kept"},
		{"gone, and meant so", weekly(), "windows: []\nallowShrink: true\n", ""},
		{"gone, not in progress", weekly("repeat: FREQ=WEEKLY;BYDAY=MO"), "windows: []\n", ""},
		{"another rule", weekly(), weekly("repeat: FREQ=WEEKLY;BYDAY=WE"), "04:00 kept"},
		{"another rule that has it too", weekly(), weekly("repeat: FREQ=WEEKLY;BYDAY=TU,WE"), "04:00"},
		{"excepted", weekly(), weekly("except: [2026-01-13]"), "04:00 kept"},
		{"frozen", weekly(), weekly() + freeze, "04:00 kept"},
		{"another start", weekly(), weekly("start: 2026-01-06T05:00:00Z"), "04:00 kept"},
		{"another start, in progress too", weekly(), weekly("start: 2026-01-06T03:10:00Z"), "04:10"},
		{"no rule any more", weekly(), onlyOnce(), "04:00"},
		{"shorter", weekly(), weekly("duration: 20m"), ""},
		{"longer", weekly(), weekly("duration: 2h"), "05:00"},
		{"ended", weekly(), weekly("actual: {end: 2026-01-13T03:30:00Z}"), ""},
		{"put off", weekly(), weekly("actual: {begin: 2026-01-13T03:45:00Z}"), ""},
		{"once, another start", onlyOnce(), one("start: 2026-01-13T05:00:00Z"), "04:00 kept"},
		{"once, now repeating", onlyOnce(), weekly(), "04:00"},
		{"once, begun early, another start", one("start: 2026-01-13T03:45:00Z", "actual: {begin: 2026-01-13T03:20:00Z}"), one("start: 2026-01-14T03:45:00Z"), "04:45 kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before, after := parse(t, c.before), parse(t, c.after)
			s := after.Keeping(before, now)
			var got []string
			var end time.Time
			for _, w := range s.At(now).Windows {
				if w.Phase == schedule.PhaseInProgress {
					end = w.End
					text := w.End.UTC().Format("15:04")
					if s != after {
						text += " kept"
						require.Equal(t, "w", w.Window.ID)
						require.Empty(t, w.Window.Repeat, "the occurrence in progress only")
						for b := range before.Occurrences(now, now.Add(1)) {
							require.Equal(t, b.Planned, w.Planned, "the occurrence is the same one")
							require.Equal(t, b.Start, w.Start)
						}
					}
					got = append(got, text)
				}
			}
			require.Equal(t, c.until, strings.Join(got, ", "))
			if s == after {
				return
			}
			// It is also kept after one more change, and ends at its end.
			again := parse(t, "windows: [{id: x, start: 2026-01-13T09:00:00Z, duration: 1h}]").Keeping(s, now.Add(time.Minute))
			require.Len(t, again.At(now).Windows, 1)
			require.NotNil(t, again.Window("w"))
			require.Empty(t, s.At(end).Windows)
			// Later occurrences follow the new document.
			later := now.AddDate(0, 0, 3)
			require.Equal(t, what(after, later, later.AddDate(1, 0, 0)), what(s, later, later.AddDate(1, 0, 0)))
		})
	}
}

// A rule copied from a calendar is accepted.
func TestRulesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	want := parse(t, one("start: 2026-01-06T03:00:00Z", `repeat: "FREQ=MONTHLY;INTERVAL=2;BYDAY=1TU,-1FR"`))
	require.Equal(t, "FREQ=MONTHLY;INTERVAL=2;BYDAY=1TU,-1FR", want.Window("w").Repeat)
	year := instant(t, "2026-01-01T00:00:00Z")
	for _, text := range []string{
		"RRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1TU,-1FR",
		"rrule:freq=monthly;interval=2;byday=1tu,-1fr",
		"FREQ=MONTHLY; INTERVAL=2; BYDAY=1TU, -1FR",
		" RRULE:FREQ = MONTHLY ;INTERVAL= 2;\tBYDAY=1TU ,-1FR\n",
	} {
		s := parse(t, one("start: 2026-01-06T03:00:00Z", fmt.Sprintf("repeat: %q", text)))
		require.Equal(t, want.Window("w").Repeat, s.Window("w").Repeat, text)
		require.Equal(t, what(want, year, year.AddDate(2, 0, 0)), what(s, year, year.AddDate(2, 0, 0)), text)
	}
}

// A freeze that names windows affects only them.
func TestFreezesOfSomeWindows(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - {id: a, start: 2026-01-01T01:00:00Z, duration: 1h, repeat: FREQ=DAILY}
  - {id: b, start: 2026-01-01T02:00:00Z, duration: 1h, repeat: FREQ=DAILY}
  - {id: c, start: 2026-01-01T03:00:00Z, duration: 1h, repeat: FREQ=DAILY}
freezes:
  - {from: 2026-01-02, to: 2026-01-02, timezone: UTC}
  - {from: 2026-01-03, to: 2026-01-03, timezone: UTC, windows: []}
  - {from: 2026-01-04, to: 2026-01-04, timezone: UTC, windows: [a, b]}
  - {from: 2026-01-05, to: 2026-01-05, timezone: UTC, windows: [b]}
`)
	days := map[string]string{}
	for o := range s.Occurrences(instant(t, "2026-01-01T00:00:00Z"), instant(t, "2026-01-07T00:00:00Z")) {
		days[o.Window.ID] += o.Start.Format("2 ")
	}
	require.Equal(t, map[string]string{"a": "1 5 6 ", "b": "1 6 ", "c": "1 4 5 6 "}, days)
	var about []string
	for f := range s.Freezes() {
		about = append(about, strings.Join(f.Windows, " "))
	}
	require.Equal(t, []string{"", "", "a b", "b"}, about)
}
