package schedule

import (
	"math"
	"time"
)

// reach bounds the offset of a zone from UTC. The largest offset on record is 15:56, in Manila
// before 1845.
const reach = 26 * time.Hour

// instant maps a wall clock reading in a zone to an instant by RFC 5545 §3.3.5: a reading that
// occurs twice means the first of the two, and a reading in a gap is read with the offset
// before the gap. [time.Date] promises neither.
//
// wall has the reading in its own fields, in UTC. The loop visits the spans of one offset around
// it in order of time, and the first span that contains the reading wins. If no span contains
// it, it lies after one span and before the next: that is the gap.
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
			if !fellAfter { // earlier than every span in reach; no real offset is that large
				before = got
			}
			return before.In(loc)
		case end.IsZero() || got.Before(end):
			return got.In(loc)
		}
		before, fellAfter = got, true
		if end.After(limit) { // as above, later
			return before.In(loc)
		}
		at = end
	}
}

// zoneBounds returns the bounds of the span of one offset that contains t, or of a part of that
// span. After a zone's last listed transition, ZoneBounds returns an end in the past on the
// last day of a leap year.
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

// daysIn has the lengths of months, in common years and in leap years.
var daysIn = [2][12]int{
	{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31},
	{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31},
}

// kindOf returns which of the fourteen calendars a year has: the weekday of its first day, plus
// seven in leap years.
func kindOf(year int) int {
	first := newYear(year)
	return weekdayOf(first) + 7*(newYear(year+1)-first-365)
}

// newYear returns dayOf(year, 1, 1). It is fast, because a rule asks for many years.
func newYear(year int) int {
	y := year - 1
	return 365*y + y/4 - y/100 + y/400 - 719162
}

// weekdayOf returns the weekday of a day. 0 is Monday.
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

// A wallClock maps readings of one zone's clock to instants as the function instant does, both
// in seconds since 1970. It keeps the last span of one offset, so most calls are a subtraction.
// It is for one goroutine.
type wallClock struct {
	loc      *time.Location
	offset   int64
	from, to int64 // instants in [from, to) have the offset, and none of their readings can mean an earlier instant
}

// at sets the clock to an instant and returns its reading. calm means that the offset has held
// for long enough: readings up to this one mean instants up to t, and later readings mean later
// instants.
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

// instant returns the instant of a reading by RFC 5545 §3.3.5.
func (c *wallClock) instant(reading int64) int64 {
	if t := reading - c.offset; t >= c.from && t < c.to {
		return t
	}
	t := instant(time.Unix(reading, 0).UTC(), c.loc)
	c.at(t)
	return t.Unix()
}
