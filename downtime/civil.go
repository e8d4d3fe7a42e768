package downtime

import "time"

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
		start, end := at.ZoneBounds()
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
