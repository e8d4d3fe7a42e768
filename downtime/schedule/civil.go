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

// The calendar, with days as numbers: 0 is 1970-01-01.

const secondsOfDay = 24 * 60 * 60

func dayOf(year, month, day int) int {
	return int(div(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix(), secondsOfDay))
}

func dateOf(day int) (year, month, monthDay int) {
	year, m, monthDay := time.Unix(int64(day)*secondsOfDay, 0).UTC().Date()
	return year, int(m), monthDay
}

// kindOf is which of the fourteen calendars a year has: the weekday of its first day, and
// seven more in leap years.
func kindOf(year int) int {
	first := dayOf(year, 1, 1)
	return weekdayOf(first) + 7*(dayOf(year+1, 1, 1)-first-365)
}

// weekdayOf is the weekday of a day. 0 is Monday.
func weekdayOf(day int) int { return mod(day+3, 7) }

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
