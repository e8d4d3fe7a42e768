package schedule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// days returns the first dates of a rule in UTC, and dots if more follow.
func days(t *testing.T, start, rule string, most int) string {
	t.Helper()
	s := parse(t, one("start: "+start+"Z", "repeat: "+rule))
	var all []string
	for o := range s.Occurrences(instant(t, "1970-01-01T00:00:00Z"), instant(t, "9001-01-01T00:00:00Z")) {
		if len(all) == most {
			return strings.Join(all, " ") + " ..."
		}
		all = append(all, o.Start.Format(time.DateOnly))
	}
	return strings.Join(all, " ")
}

// The supported examples of RFC 5545 §3.8.5.3, and the edges of each part.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, start, rule, want string }{
		{"daily for 10", "1997-09-02T09:00:00", "FREQ=DAILY;COUNT=3", "1997-09-02 1997-09-03 1997-09-04"},
		{"daily until", "1997-12-22T09:00:00", "FREQ=DAILY;UNTIL=19971224T000000Z", "1997-12-22 1997-12-23"},
		{"every other day", "1997-09-02T09:00:00", "FREQ=DAILY;INTERVAL=2", "1997-09-02 1997-09-04 1997-09-06 1997-09-08 ..."},
		{"every day in January", "1998-01-01T09:00:00", "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA", "1998-01-01 1998-01-02 1998-01-03 1998-01-04 ..."},
		{"weekly", "1997-09-02T09:00:00", "FREQ=WEEKLY", "1997-09-02 1997-09-09 1997-09-16 1997-09-23 ..."},
		{"every other week on three days", "1997-09-01T09:00:00", "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,WE,FR", "1997-09-01 1997-09-03 1997-09-05 1997-09-15 ..."},
		{"WKST=MO", "1997-08-05T09:00:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05 1997-08-10 1997-08-19 1997-08-24"},
		{"WKST=SU", "1997-08-05T09:00:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05 1997-08-17 1997-08-19 1997-08-31"},
		{"first Friday", "1997-09-05T09:00:00", "FREQ=MONTHLY;COUNT=3;BYDAY=1FR", "1997-09-05 1997-10-03 1997-11-07"},
		{"first and last Sunday, every other month", "1997-09-07T09:00:00", "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU", "1997-09-07 1997-09-28 1997-11-02 1997-11-30 ..."},
		{"last Monday but one", "1997-09-22T09:00:00", "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "1997-09-22 1997-10-20 1997-11-17 1997-12-22 ..."},
		{"third last day", "1997-09-28T09:00:00", "FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28 1997-10-29 1997-11-28 1997-12-29 ..."},
		{"first and last day", "1997-09-30T09:00:00", "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1", "1997-09-30 1997-10-01 1997-10-31 1997-11-01 ..."},
		{"every 18 months", "1997-09-10T09:00:00", "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15", "1997-09-10 1997-09-11 1997-09-12 1997-09-13 ..."},
		{"June and July", "1997-06-10T09:00:00", "FREQ=YEARLY;COUNT=10;BYMONTH=6,7", "1997-06-10 1997-07-10 1998-06-10 1998-07-10 ..."},
		{"every other year in three months", "1997-03-10T09:00:00", "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", "1997-03-10 1999-01-10 1999-02-10 1999-03-10 ..."},
		{"20th Monday of the year", "1997-05-19T09:00:00", "FREQ=YEARLY;BYDAY=20MO", "1997-05-19 1998-05-18 1999-05-17 2000-05-15 ..."},
		{"53rd Thursday", "1970-01-01T09:00:00", "FREQ=YEARLY;BYDAY=53TH", "1970-12-31 1976-12-30 1981-12-31 1987-12-31 ..."},
		{"last Monday of the year, and the first", "1997-05-19T09:00:00", "FREQ=YEARLY;BYDAY=-1MO,1MO", "1997-12-29 1998-01-05 1998-12-28 1999-01-04 ..."},
		{"every Thursday in March", "1997-03-13T09:00:00", "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "1997-03-13 1997-03-20 1997-03-27 1998-03-05 ..."},
		{"Friday the 13th", "1997-09-02T09:00:00", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1998-02-13 1998-03-13 1998-11-13 1999-08-13 ..."},
		{"first Saturday after the first Sunday", "1997-09-13T09:00:00", "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "1997-09-13 1997-10-11 1997-11-08 1997-12-13 ..."},
		{"election day", "1996-11-05T09:00:00", "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "1996-11-05 2000-11-07 2004-11-02 2008-11-04 ..."},
		{"a day that some months lack", "2007-01-15T09:00:00", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15 2007-01-30 2007-02-15 2007-03-15 ..."},
		{"the start's day that some months lack", "2007-01-31T09:00:00", "FREQ=MONTHLY", "2007-01-31 2007-03-31 2007-05-31 2007-07-31 ..."},
		{"over the year that is no leap year", "2092-02-29T09:00:00", "FREQ=YEARLY", "2092-02-29 2096-02-29 2104-02-29 2108-02-29 ..."},
		{"the last day of February", "2023-01-01T09:00:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1", "2023-02-28 2024-02-29 2025-02-28 2026-02-28 ..."},
		{"fifth Monday", "2026-01-01T09:00:00", "FREQ=MONTHLY;BYDAY=5MO", "2026-03-30 2026-06-29 2026-08-31 2026-11-30 ..."},
		{"every month's 15th, yearly", "2026-01-01T09:00:00", "FREQ=YEARLY;BYMONTHDAY=15", "2026-01-15 2026-02-15 2026-03-15 2026-04-15 ..."},
		{"daily in one month on some days", "2026-01-01T09:00:00", "FREQ=DAILY;BYMONTH=3;BYMONTHDAY=-1;BYDAY=TU", "2026-03-31 2037-03-31 2043-03-31 2048-03-31 ..."},
		{"a start that the rule does not hit does not count", "2026-01-01T09:00:00", "FREQ=WEEKLY;BYDAY=TU;COUNT=2", "2026-01-06 2026-01-13"},
		{"until is included", "2026-01-01T09:00:00", "FREQ=DAILY;UNTIL=20260103T090000Z", "2026-01-01 2026-01-02 2026-01-03"},
		{"until, a second too early", "2026-01-01T09:00:00", "FREQ=DAILY;UNTIL=20260103T085959Z", "2026-01-01 2026-01-02"},
		{"until by the clock", "2026-01-01T09:00:00", "FREQ=DAILY;UNTIL=20260103T090000", "2026-01-01 2026-01-02 2026-01-03"},
		{"until a day", "2026-01-01T09:00:00", "FREQ=DAILY;UNTIL=20260103", "2026-01-01 2026-01-02 2026-01-03"},
		{"until the end of time", "2026-01-01T09:00:00", "FREQ=YEARLY;UNTIL=99991231T235959Z", "2026-01-01 2027-01-01 2028-01-01 2029-01-01 ..."},
		{"once only", "2026-01-01T09:00:00", "FREQ=DAILY;COUNT=1", "2026-01-01"},
		{"the last ones", "8999-12-31T09:00:00", "FREQ=YEARLY", "8999-12-31 9000-12-31"},
		{"an interval beyond the end", "2026-01-01T09:00:00", "FREQ=YEARLY;INTERVAL=9999", "2026-01-01"},
		{"third of three weekdays", "1997-09-04T09:00:00", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04 1997-10-07 1997-11-06"},
		{"last working day but one", "1997-09-29T09:00:00", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29 1997-10-30 1997-11-27 1997-12-30 ..."},
		{"last working day", "2026-01-01T09:00:00", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-01-30 2026-02-27 2026-03-31 2026-04-30 ..."},
		{"first and last working day", "2026-01-10T09:00:00", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1", "2026-01-30 2026-02-02 2026-02-27 2026-03-02 ..."},
		{"last working day of the year", "2026-01-01T09:00:00", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-12-31 2027-12-31 2028-12-29 2029-12-31 ..."},
		{"last working day of some quarters", "2026-01-01T09:00:00", "FREQ=YEARLY;BYMONTH=3,6;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-06-30 2027-06-30 2028-06-30 2029-06-29 ..."},
		{"30th or last", "2026-01-01T09:00:00", "FREQ=MONTHLY;BYMONTHDAY=30,-1;BYSETPOS=1", "2026-01-30 2026-02-28 2026-03-30 2026-04-30 ..."},
		{"second Sunday or Monday", "2026-01-01T09:00:00", "FREQ=MONTHLY;BYDAY=SU,MO;BYSETPOS=2", "2026-01-05 2026-02-02 2026-03-02 2026-04-06 ..."},
		{"the later of the second Sunday and Monday", "2026-01-01T09:00:00", "FREQ=MONTHLY;BYDAY=2SU,2MO;BYSETPOS=-1", "2026-01-12 2026-02-09 2026-03-09 2026-04-13 ..."},
		{"the first month of two", "2026-05-15T09:00:00", "FREQ=YEARLY;BYMONTH=3,9;BYSETPOS=1", "2027-03-15 2028-03-15 2029-03-15 2030-03-15 ..."},
		{"the first week is counted whole", "2026-01-01T09:00:00", "FREQ=WEEKLY;BYDAY=MO,TH,SA;BYSETPOS=2", "2026-01-01 2026-01-08 2026-01-15 2026-01-22 ..."},
		{"the week begins on Sunday", "2026-01-01T09:00:00", "FREQ=WEEKLY;WKST=SU;BYDAY=SU,MO;BYSETPOS=1", "2026-01-04 2026-01-11 2026-01-18 2026-01-25 ..."},
		{"the week begins on Monday", "2026-01-01T09:00:00", "FREQ=WEEKLY;BYDAY=SU,MO;BYSETPOS=1", "2026-01-05 2026-01-12 2026-01-19 2026-01-26 ..."},
		{"a week across two years", "2026-12-28T09:00:00", "FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=2", "2027-01-01 2027-01-08 2027-01-15 2027-01-22 ..."},
		{"a week across two months, of which one counts", "2026-12-28T09:00:00", "FREQ=WEEKLY;BYMONTH=1;BYDAY=MO,FR,SA;BYSETPOS=2", "2027-01-02 2027-01-08 2027-01-15 2027-01-22 ..."},
		{"a week across two years, of which one counts", "2026-12-28T09:00:00", "FREQ=WEEKLY;BYMONTH=12;BYDAY=WE,TH,FR;BYSETPOS=-1", "2026-12-31 2027-12-03 2027-12-10 2027-12-17 ..."},
		{"each day is the first of its set", "2026-01-01T09:00:00", "FREQ=DAILY;BYDAY=FR;BYSETPOS=1,2", "2026-01-02 2026-01-09 2026-01-16 2026-01-23 ..."},
		{"a position that some years lack", "2026-01-01T09:00:00", "FREQ=YEARLY;BYDAY=TH;BYSETPOS=53", "2026-12-31 2032-12-30 2037-12-31 2043-12-31 ..."},
		{"small letters", "2026-01-01T09:00:00", "freq=weekly;byday=fr", "2026-01-02 2026-01-09 2026-01-16 2026-01-23 ..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, days(t, c.start, c.rule, len(strings.Fields(strings.TrimSuffix(c.want, "...")))))
		})
	}
}

// Wall clock times in places with unusual changes of clocks. The window starts every day at the
// given time and lasts two hours.
func TestRepeatAcrossChangesOfClocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, zone, start, rule, want string }{
		{
			"Lord Howe, a gap of half an hour", "Australia/Lord_Howe", "2026-10-03T02:15", "FREQ=DAILY;COUNT=3",
			"2026-10-03T02:15:00+10:30 2026-10-04T02:45:00+11:00 2026-10-05T02:15:00+11:00",
		},
		{
			"Lord Howe, an overlap of half an hour", "Australia/Lord_Howe", "2026-04-04T01:45", "FREQ=DAILY;COUNT=3",
			"2026-04-04T01:45:00+11:00 2026-04-05T01:45:00+11:00 2026-04-06T01:45:00+10:30",
		},
		{
			"Cairo, a gap at midnight", "Africa/Cairo", "2026-04-23T00:30", "FREQ=DAILY;COUNT=3",
			"2026-04-23T00:30:00+02:00 2026-04-24T01:30:00+03:00 2026-04-25T00:30:00+03:00",
		},
		{
			"Cairo, an overlap before midnight", "Africa/Cairo", "2026-10-28T23:30", "FREQ=DAILY;COUNT=3",
			"2026-10-28T23:30:00+03:00 2026-10-29T23:30:00+03:00 2026-10-30T23:30:00+02:00",
		},
		{
			"Apia, of the day that was skipped and the day after one occurrence", "Pacific/Apia", "2011-12-29T12:00", "FREQ=DAILY;COUNT=4",
			"2011-12-29T12:00:00-10:00 2011-12-31T12:00:00+14:00 2012-01-01T12:00:00+14:00",
		},
		{
			"Apia, the day that was skipped alone", "Pacific/Apia", "2011-12-16T12:00", "FREQ=WEEKLY;BYDAY=FR;COUNT=4",
			"2011-12-16T12:00:00-10:00 2011-12-23T12:00:00-10:00 2011-12-31T12:00:00+14:00 2012-01-06T12:00:00+14:00",
		},
		{
			"Santiago, a gap at midnight", "America/Santiago", "2026-09-05T00:30", "FREQ=DAILY;COUNT=3",
			"2026-09-05T00:30:00-04:00 2026-09-06T01:30:00-03:00 2026-09-07T00:30:00-03:00",
		},
		{
			"Santiago, an overlap before midnight", "America/Santiago", "2026-04-03T23:30", "FREQ=DAILY;COUNT=3",
			"2026-04-03T23:30:00-03:00 2026-04-04T23:30:00-03:00 2026-04-05T23:30:00-04:00",
		},
		{
			"Troll, a gap of two hours", "Antarctica/Troll", "2026-03-28T01:30", "FREQ=DAILY;COUNT=3",
			"2026-03-28T01:30:00Z 2026-03-29T03:30:00+02:00 2026-03-30T01:30:00+02:00",
		},
		{
			"Troll, an overlap of two hours", "Antarctica/Troll", "2026-10-24T02:30", "FREQ=DAILY;COUNT=3",
			"2026-10-24T02:30:00+02:00 2026-10-25T02:30:00+02:00 2026-10-26T02:30:00Z",
		},
		{
			"an instant's clock time repeats", "America/New_York", "2026-03-07T07:30:00Z", "FREQ=DAILY;COUNT=3",
			"2026-03-07T02:30:00-05:00 2026-03-08T03:30:00-04:00 2026-03-09T02:30:00-04:00",
		},
		{
			"an instant's date is that of the zone", "America/New_York", "2026-03-03T02:30:00Z", "FREQ=WEEKLY;BYDAY=MO;COUNT=2",
			"2026-03-02T21:30:00-05:00 2026-03-09T21:30:00-04:00",
		},
		{
			"until an instant", "Europe/Madrid", "2026-10-24T02:30", "FREQ=DAILY;UNTIL=20261025T003000Z",
			"2026-10-24T02:30:00+02:00 2026-10-25T02:30:00+02:00",
		},
		{
			"until an instant, a second too early", "Europe/Madrid", "2026-10-24T02:30", "FREQ=DAILY;UNTIL=20261025T002959Z",
			"2026-10-24T02:30:00+02:00",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := parse(t, one("start: "+c.start, "timezone: "+c.zone, "duration: 2h", "repeat: "+c.rule))
			var got []string
			for o := range s.Occurrences(instant(t, "1970-01-01T00:00:00Z"), instant(t, "9001-01-01T00:00:00Z")) {
				require.Equal(t, 2*time.Hour, o.End.Sub(o.Start))
				require.Equal(t, o.Planned, o.Start)
				got = append(got, o.Start.Format(time.RFC3339))
				state := s.At(o.Start)
				require.Equal(t, schedule.PhaseInProgress, state.Windows[0].Phase)
				require.Equal(t, o, state.Windows[0].Occurrence)
			}
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

// A model checks one day after another by the words of RFC 5545 §3.3.10. It shares no code with
// the package.
type model struct {
	freq       string
	interval   int
	start      time.Time // only the date matters, in UTC
	byDay      []string
	byMonthDay []int
	byMonth    []int
	bySetPos   []int
	weekStart  time.Weekday
}

func (m *model) String() string {
	b := fmt.Sprintf("FREQ=%s;INTERVAL=%d", m.freq, m.interval)
	if m.weekStart != time.Monday {
		b += ";WKST=" + dayNames[m.weekStart]
	}
	if len(m.byDay) > 0 {
		b += ";BYDAY=" + strings.Join(m.byDay, ",")
	}
	list := func(name string, values []int) {
		for i, v := range values {
			if i == 0 {
				b += ";" + name + "="
			} else {
				b += ","
			}
			b += fmt.Sprint(v)
		}
	}
	list("BYMONTHDAY", m.byMonthDay)
	list("BYMONTH", m.byMonth)
	list("BYSETPOS", m.bySetPos)
	return b
}

var dayNames = []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

func daysBetween(a, b time.Time) int { return int(b.Sub(a) / (24 * time.Hour)) }

func (m *model) weekOf(t time.Time) time.Time {
	return t.AddDate(0, 0, -int(t.Weekday()-m.weekStart+7)%7)
}

// hits reports whether the rule has the day.
func (m *model) hits(day time.Time) bool {
	if day.Before(date(m.start.Year(), int(m.start.Month()), m.start.Day())) || !m.isListed(day) {
		return false
	}
	if len(m.bySetPos) == 0 {
		return true
	}
	// The days of the same day, week, month or year, from the first.
	first, next := day, day.AddDate(0, 0, 1)
	switch m.freq {
	case "WEEKLY":
		first = m.weekOf(day)
		next = first.AddDate(0, 0, 7)
	case "MONTHLY":
		first = date(day.Year(), int(day.Month()), 1)
		next = first.AddDate(0, 1, 0)
	case "YEARLY":
		first = date(day.Year(), 1, 1)
		next = first.AddDate(1, 0, 0)
	}
	at, of := 0, 0
	for d := first; d.Before(next); d = d.AddDate(0, 0, 1) {
		if m.isListed(d) {
			if of++; d.Equal(day) {
				at = of
			}
		}
	}
	return slices.Contains(m.bySetPos, at) || slices.Contains(m.bySetPos, at-of-1)
}

// isListed reports whether the rule without BYSETPOS has the day, which may come before the start.
func (m *model) isListed(day time.Time) bool {
	start := date(m.start.Year(), int(m.start.Month()), m.start.Day())
	months := (day.Year()-start.Year())*12 + int(day.Month()-start.Month())
	weekOf := m.weekOf
	switch m.freq {
	case "DAILY":
		if daysBetween(start, day)%m.interval != 0 {
			return false
		}
	case "WEEKLY":
		if daysBetween(weekOf(start), weekOf(day))/7%m.interval != 0 {
			return false
		}
	case "MONTHLY":
		if months%m.interval != 0 {
			return false
		}
	case "YEARLY":
		if (day.Year()-start.Year())%m.interval != 0 {
			return false
		}
	}
	if len(m.byMonth) > 0 && !slices.Contains(m.byMonth, int(day.Month())) {
		return false
	}
	last := date(day.Year(), int(day.Month())+1, 0).Day()
	if len(m.byMonthDay) > 0 && !slices.Contains(m.byMonthDay, day.Day()) && !slices.Contains(m.byMonthDay, day.Day()-last-1) {
		return false
	}
	if len(m.byDay) > 0 {
		// The ordinal of the day's weekday in the month or in the year, from either end.
		at, of := day.Day()-1, last
		if m.freq == "YEARLY" && len(m.byMonth) == 0 {
			at, of = day.YearDay()-1, date(day.Year(), 12, 31).YearDay()
		}
		name := dayNames[day.Weekday()]
		if !slices.Contains(m.byDay, name) &&
			!slices.Contains(m.byDay, fmt.Sprint(at/7+1)+name) && !slices.Contains(m.byDay, fmt.Sprint(-((of-1-at)/7+1))+name) {
			return false
		}
	}
	if len(m.byDay) == 0 && len(m.byMonthDay) == 0 {
		switch m.freq {
		case "WEEKLY":
			return day.Weekday() == start.Weekday()
		case "MONTHLY":
			return day.Day() == start.Day()
		case "YEARLY":
			return day.Day() == start.Day() && (len(m.byMonth) > 0 || day.Month() == start.Month())
		}
	}
	return true
}

// randomModel returns a rule that starts between 1995 and 2004.
func randomModel(r *rand.Rand) *model {
	m := &model{
		freq:      []string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}[r.IntN(4)],
		interval:  []int{1, 1, 1, 2, 3, 4, 5, 7, 12, 13}[r.IntN(10)],
		start:     date(1995, 1, 1).AddDate(0, 0, r.IntN(3650)),
		weekStart: time.Weekday(r.IntN(7)),
	}
	some := func(most int, add func()) {
		for range 1 + r.IntN(most) {
			add()
		}
	}
	if r.IntN(3) == 0 {
		some(4, func() { m.byMonth = append(m.byMonth, 1+r.IntN(12)) })
	}
	if r.IntN(3) == 0 && m.freq != "WEEKLY" {
		some(4, func() {
			d := 1 + r.IntN(31)
			if r.IntN(3) == 0 {
				d = -d
			}
			m.byMonthDay = append(m.byMonthDay, d)
		})
	}
	if r.IntN(2) == 0 {
		some(3, func() {
			d := dayNames[r.IntN(7)]
			if m.freq == "MONTHLY" || m.freq == "YEARLY" {
				most := 5
				if m.freq == "YEARLY" && len(m.byMonth) == 0 {
					most = 53
				}
				switch n := 1 + r.IntN(most); r.IntN(3) {
				case 0:
					d = fmt.Sprint(n) + d
				case 1:
					d = fmt.Sprint(-n) + d
				}
			}
			m.byDay = append(m.byDay, d)
		})
	}
	if r.IntN(3) == 0 && len(m.byDay)+len(m.byMonthDay)+len(m.byMonth) > 0 {
		some(3, func() {
			n := 1 + r.IntN(4)
			if r.IntN(2) == 0 {
				n = -n
			}
			m.bySetPos = append(m.bySetPos, n)
		})
	}
	return m
}

// Random rules in every zone, over almost fifty years, against a walk from day to day. The
// long test has twenty rules for each zone. -short and -race take a tenth of the zones.
func TestRepeatAgainstAWalkInAllZones(t *testing.T) {
	t.Parallel()
	rules := testsize.Pick(1, 1, 20)
	zones := make(chan walkedZone)
	var seen atomic.Int64
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for z := range zones {
				hash := fnv.New64a()
				_, _ = hash.Write([]byte(z.name))
				random := rand.New(rand.NewPCG(5545, hash.Sum64()))
				for range rules {
					seen.Add(int64(checkZone(t, z, random)))
				}
			}
		})
	}
	all := walkedZones()
	for _, z := range all {
		zones <- z
	}
	close(zones)
	workers.Wait()
	t.Logf("%d distinct zones, %d occurrences", len(all), seen.Load())
	require.Greater(t, seen.Load(), int64(1000))
}

func checkZone(t *testing.T, z walkedZone, random *rand.Rand) int {
	from, to, name, loc, changes := walkFrom, walkTo, z.name, z.loc, z.changes
	m := randomModel(random)
	// The time of day: often one that the zone's clocks skip or repeat.
	second := random.IntN(24*3600/300) * 300
	if len(changes) > 0 && random.IntN(4) > 0 {
		change := changes[random.IntN(len(changes))]
		_, before := change.Add(-time.Second).In(loc).Zone()
		_, after := change.In(loc).Zone()
		wall := change.Unix() + int64(min(before, after)) + int64(random.IntN(max(1, max(before, after)-min(before, after))))
		second = int(((wall % 86400) + 86400) % 86400)
	}
	m.start = m.start.Add(time.Duration(second) * time.Second)
	// The model's answer.
	var want []time.Time
	for day := date(m.start.Year(), int(m.start.Month()), m.start.Day()); day.Before(to); day = day.AddDate(0, 0, 1) {
		if !m.hits(day) {
			continue
		}
		at := bruteAround(day.Add(time.Duration(second)*time.Second), loc, changes)
		if n := len(want); n == 0 || !want[n-1].Equal(at) {
			want = append(want, at)
		}
	}
	doc := one("start: "+m.start.Format(wallForm), "timezone: "+name, "repeat: "+m.String())
	s, err := schedule.Parse("w", []byte(doc))
	if err != nil {
		if len(want) > 0 {
			t.Errorf("%s: %v, but it occurs on %v", doc, err, want[0])
		}
		return 0
	}
	end := to.AddDate(0, 0, -3) // up to here the walk is complete
	i := 0
	for o := range s.Occurrences(from, end) {
		if i == len(want) || !o.Start.Equal(want[i]) {
			t.Errorf("%s: occurrence %d is %v, want %v", doc, i, o.Start, want[min(i, len(want)):min(i+1, len(want))])
			return i
		}
		i++
	}
	if i < len(want) && want[i].Before(end) {
		t.Errorf("%s: ends after %d, but there is %v", doc, i, want[i])
	}
	// Next and previous, from random times and from the edges.
	w := s.Window("w")
	for k := range 40 {
		at := from.Add(time.Duration(random.Int64N(int64(end.Sub(from)))))
		if len(want) > 0 && k < 20 {
			at = want[random.IntN(len(want))].Add(time.Duration(random.IntN(3)-1) * time.Duration(random.IntN(2)*int(time.Second-1)+1))
		}
		if !at.Before(end) {
			continue
		}
		n, _ := slices.BinarySearchFunc(want, at, func(w, at time.Time) int {
			if w.After(at) {
				return 1
			}
			return -1
		}) // the first start after at
		next, ok := schedule.PlannedAfter(w, at)
		if n < len(want) && (!ok || !next.Equal(want[n])) || n == len(want) && ok && next.Before(end) {
			t.Errorf("%s: after %v comes %v, want %v", doc, at, next, want[min(n, len(want)):min(n+1, len(want))])
		}
		last, ok := schedule.PlannedBy(w, at)
		if ok != (n > 0) || ok && !last.Equal(want[n-1]) {
			t.Errorf("%s: by %v comes %v, want %v", doc, at, last, want[max(0, n-1):n])
		}
	}
	return i
}

// bruteAround is brute with the changes that are near.
func bruteAround(wall time.Time, loc *time.Location, changes []time.Time) time.Time {
	lo, _ := slices.BinarySearchFunc(changes, wall.AddDate(0, 0, -3), time.Time.Compare)
	hi, _ := slices.BinarySearchFunc(changes, wall.AddDate(0, 0, 3), time.Time.Compare)
	if lo == hi {
		_, offset := wall.In(loc).Zone()
		return wall.Add(-time.Duration(offset) * time.Second)
	}
	return brute(wall, loc, changes[lo:hi])
}

// The calendar against a walk from day to day.
func TestCalendarOfAllDays(t *testing.T) {
	t.Parallel()
	lengths := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	y, m, d := 1800, 1, 1
	for day := schedule.DayOf(1800, 1, 1); y < 9100; day++ {
		gotY, gotM, gotD := schedule.DateOf(day)
		if gotY != y || gotM != m || gotD != d || schedule.DayOf(y, m, d) != day {
			t.Fatalf("day %d is %d-%d-%d, want %d-%d-%d", day, gotY, gotM, gotD, y, m, d)
		}
		length := lengths[m-1]
		if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			length++
		}
		if d++; d > length {
			d = 1
			if m++; m > 12 {
				m = 1
				y++
			}
		}
	}
	require.Equal(t, 0, schedule.DayOf(1970, 1, 1))
}

// A rule never panics and always ends; next and previous agree with each other, with the
// order of time and with Occurrences.
func FuzzRule(f *testing.F) {
	for i, c := range oldRules {
		f.Add(c.rule, uint16(i), int64(i)*1_000_003, int64(1772330400))
	}
	for _, rule := range []string{
		"FREQ=MONTHLY;BYMONTHDAY=-1,31;UNTIL=20991231T120000", "FREQ=YEARLY;BYDAY=-53MO,1SU;COUNT=7", "freq=weekly;wkst=su;byday=su,mo;interval=2;until=20400101T000000Z",
		"FREQ=YEARLY;INTERVAL=9999", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;COUNT=10000;BYMONTH=2;BYDAY=MO;INTERVAL=13", ";;=;FREQ==", "FREQ=HOURLY;BYSETPOS=-1",
		"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=WEEKLY;BYMONTH=12;BYDAY=WE,TH,FR;BYSETPOS=-1,2;WKST=SU", "FREQ=YEARLY;BYDAY=TH;BYSETPOS=53;INTERVAL=3", "FREQ=YEARLY;BYMONTHDAY=30,-1;BYSETPOS=366,1",
	} {
		f.Add(rule, uint16(3), int64(1325246400), int64(1325246400))
	}
	zones := []string{"UTC", "Europe/Madrid", "Pacific/Apia", "Australia/Lord_Howe", "America/Santiago", "Antarctica/Troll", "Africa/Cairo", "Africa/Casablanca", "Asia/Gaza"}
	f.Fuzz(func(t *testing.T, rule string, zone uint16, start, at int64) {
		start, at = start%220e9, at%230e9
		if start < 0 {
			start = -start
		}
		quoted, err := json.Marshal(rule)
		if err != nil {
			t.Skip("no string")
		}
		name := zones[int(zone)%len(zones)]
		doc := fmt.Sprintf(`{"windows": [{"id": "w", "start": %q, "timezone": %q, "duration": "1h", "repeat": %s}]}`,
			time.Unix(start, 0).UTC().Format(wallForm), name, quoted)
		s, err := schedule.Parse("w.json", []byte(doc))
		if err != nil {
			var faults schedule.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("no faults: %v", err)
			}
			return
		}
		w := s.Window("w")
		first, ok := schedule.PlannedAfter(w, w.Start.Add(-1))
		if !ok || !first.Equal(w.Start) {
			t.Fatalf("%s: begins at %v, not at %v", doc, first, w.Start)
		}
		for _, t0 := range []time.Time{time.Unix(at, 0), w.Start, w.Start.Add(-1)} {
			next, some := schedule.PlannedAfter(w, t0)
			last, any := schedule.PlannedBy(w, t0)
			if some && !next.After(t0) || any && last.After(t0) || !some && !any {
				t.Fatalf("%s: around %v are %v and %v", doc, t0, last, next)
			}
			if any {
				if again, ok := schedule.PlannedAfter(w, last); ok != some || !again.Equal(next) {
					t.Fatalf("%s: after %v comes %v, and after %v %v", doc, last, again, t0, next)
				}
			}
			if some {
				if again, ok := schedule.PlannedBy(w, next.Add(-1)); ok != any || !again.Equal(last) {
					t.Fatalf("%s: before %v comes %v, and by %v %v", doc, next, again, t0, last)
				}
				n := 0
				for o := range s.Occurrences(next, next.AddDate(3, 0, 0)) {
					if n == 0 && !o.Start.Equal(next) && !o.Start.Equal(last) {
						t.Fatalf("%s: occurs at %v, not at %v", doc, o.Start, next)
					}
					if n++; n == 20 {
						break
					}
				}
				if n == 0 {
					t.Fatalf("%s: does not occur at %v", doc, next)
				}
			}
		}
	})
}

func TestDailyRuleOfWeeks(t *testing.T) {
	t.Parallel()
	parse := func(rule string) (s *schedule.Schedule, took time.Duration, err error) {
		var b strings.Builder
		b.WriteString("windows:\n")
		for i := range 1000 {
			fmt.Fprintf(&b, "- {id: w%d, start: 1970-01-05T02:00:00Z, duration: 1h, repeat: 'FREQ=DAILY;%s'}\n", i, rule)
		}
		began := time.Now()
		s, err = schedule.Parse("windows.yaml", []byte(b.String()))
		return s, time.Since(began), err
	}
	_, daily, err := parse("BYDAY=MO,TU")
	require.NoError(t, err)
	_, never, err := parse("INTERVAL=7;BYDAY=TU") // the start is a Monday
	require.ErrorContains(t, err, "BYDAY: never falls on a day that INTERVAL counts")
	s, weekly, err := parse("INTERVAL=7;BYDAY=TU,MO")
	require.NoError(t, err)
	t.Log(daily, never, weekly)
	require.Less(t, never+weekly, 20*daily+5*time.Second, "it was 19 s, where daily rules took 0.1 s")
	planned, ok := schedule.PlannedAfter(s.Window("w0"), time.Date(2026, 12, 6, 0, 0, 0, 0, time.UTC))
	require.True(t, ok)
	require.Equal(t, time.Monday, planned.Weekday())
}
