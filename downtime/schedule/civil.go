package schedule

import (
	"math"
	"time"
)

// reach is how far, in instants, a wall clock reading may stand from the same
// reading in UTC. The largest offset on record is that of Manila before 1845,
// 15:56 behind; a day leaves room and still sees few transitions.
const reach = 26 * time.Hour

// instant maps a wall clock reading in a zone to an instant by the rule of RFC
// 5545 §3.3.5: a reading that occurs twice is the first of the two, and one
// that does not occur is read with the offset in use before the gap.
//
// wall carries the reading in its own fields, in UTC. time.Date is not used
// because it promises neither: which of two instants it gives, and which offset
// it takes in a gap, is left to the zone.
//
// The zone's offsets around the reading are walked in order of time. The reading
// belongs to a span of one offset when, taken at that offset, it falls inside the
// span. The first such span wins. When there is none, the reading falls after
// one span and before the next: that is the gap, and the former's offset holds.
func instant(wall time.Time, loc *time.Location) time.Time {
	at := wall.Add(-reach).In(loc)
	limit := wall.Add(reach)
	var before time.Time // the reading at the offset of the last span it fell after
	var fellAfter bool
	for {
		_, offset := at.Zone()
		start, end := zoneBounds(at)
		got := wall.Add(-time.Duration(offset) * time.Second)
		switch {
		case !start.IsZero() && got.Before(start):
			if fellAfter {
				return before.In(loc)
			}
			// The reading is earlier than all that is in reach: not possible with real
			// offsets, and this is the nearest answer.
			return got.In(loc)
		case end.IsZero() || got.Before(end):
			return got.In(loc)
		}
		before, fellAfter = got, true
		if end.After(limit) { // as above
			return before.In(loc)
		}
		at = end
	}
}

// zoneBounds are the bounds of the span of one offset that t is in, or of a part of it.
// Beyond the last transition that a zone lists, Go takes every year for one of 365 days:
// on the last day of a leap year [time.Time.ZoneBounds] gives an end that is
// past.
func zoneBounds(t time.Time) (start, end time.Time) {
	start, end = t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = end.Add(24 * time.Hour)
	}
	return start, end
}

// The calendar, with days as numbers: 0 is 1970-01-01. The rules are those of the
// Gregorian calendar, in all years.

const secondsOfDay = 24 * 60 * 60

// dayOf is the number of a date. Its year may be any after 0.
func dayOf(year, month, day int) int {
	return newYear(year) + daysBefore(month-1, leap(year)) + day - 1
}

// newYear is the number of a year's first day.
func newYear(year int) int {
	y := year - 1
	return 365*y + y/4 - y/100 + y/400 - 719162
}

// dateOf is the date of a day. The year is at first guessed too large by one at most.
func dateOf(day int) (year, month, monthDay int) {
	year = (day+719162)*400/146097 + 1
	start := newYear(year)
	switch {
	case day < start:
		year--
		start = newYear(year)
	case day >= newYear(year+1):
		year++
		start = newYear(year)
	}
	rest, isLeap := day-start, leap(year)
	m := rest / 31 // too small by one at most
	if m < 11 && rest >= daysBefore(m+1, isLeap) {
		m++
	}
	return year, m + 1, rest - daysBefore(m, isLeap) + 1
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// kindOf is which of the fourteen calendars a year has: the weekday of its first day, and
// seven more in leap years.
func kindOf(year int) int { return weekdayOf(newYear(year)) + 7*b2i(leap(year)) }

// weekdayOf is the weekday of a day. 0 is Monday.
func weekdayOf(day int) int { return mod(day+3, 7) }

var beforeMonth = [...]int{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365}

// daysBefore is how many days of the year come before a month, of which 0 is January.
func daysBefore(month int, leap bool) int {
	if leap && month > 1 {
		return beforeMonth[month] + 1
	}
	return beforeMonth[month]
}

// daysIn is the length of a month, of which 0 is January.
func daysIn(month int, leap bool) int { return daysBefore(month+1, leap) - daysBefore(month, leap) }

// div and mod round down: mod is never negative.
func div[T int | int64](a, b T) T {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func mod[T int | int64](a, b T) T {
	if m := a % b; m < 0 {
		return m + b
	} else {
		return m
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A wallClock maps readings of one zone's clock to instants as instant does, both as
// seconds since 1970, and remembers the span of one offset that the last one lay in:
// most are then a subtraction. It is not for several goroutines at once.
type wallClock struct {
	loc      *time.Location
	offset   int64
	from, to int64 // instants in [from, to) have the offset, and no reading of theirs can be an earlier instant
}

// at sets the clock to an instant and tells what it shows then; calm says whether
// the offset has been in use for so long that no reading up to this one can be of an instant
// after it, nor a reading after this one of an instant before it.
func (c *wallClock) at(t time.Time) (reading int64, calm bool) {
	t = t.In(c.loc)
	_, offset := t.Zone()
	start, end := zoneBounds(t)
	c.offset, c.from, c.to = int64(offset), math.MinInt64, math.MaxInt64
	if !start.IsZero() {
		c.from = start.Unix() + int64(reach/time.Second)
	}
	if !end.IsZero() {
		c.to = end.Unix()
	}
	return t.Unix() + c.offset, t.Unix() >= c.from
}

// instant is when the clock shows the reading, by RFC 5545 §3.3.5.
func (c *wallClock) instant(reading int64) int64 {
	if t := reading - c.offset; t >= c.from && t < c.to {
		return t
	}
	t := instant(time.Unix(reading, 0).UTC(), c.loc)
	c.at(t)
	return t.Unix()
}
