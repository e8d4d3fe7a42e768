package schedule

import (
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

type zone struct {
	loc *time.Location
	err error
}

// timezone reads the name of a zone. A document names few, so each is loaded once.
func (p *parser) timezone(v document.Value) *time.Location {
	if !v.Present() {
		return time.UTC
	}
	name, ok := textOf(v, 100)
	if !ok {
		return time.UTC
	}
	z, known := p.zones[name]
	if !known {
		z = loadZone(name)
		p.zones[name] = z
	}
	if z.err != nil {
		v.Fault(z.err)
		return time.UTC
	}
	return z.loc
}

func loadZone(name string) zone {
	if name == "" || name == "Local" { // time.LoadLocation takes both, and neither names a place
		return zone{err: fmt.Errorf(`must be a name of the tz database, such as "Europe/Madrid", got %q`, name)}
	}
	loc, err := time.LoadLocation(name)
	if err == nil {
		return zone{loc: loc}
	}
	if _, any := time.LoadLocation("Europe/Madrid"); any != nil {
		return zone{err: fmt.Errorf("zone %q cannot be loaded, nor any other: this machine has no tz database; "+
			"install one, or import time/tzdata in package main", document.Clip(name))}
	}
	return zone{err: fmt.Errorf(`unknown time zone %q: must be a name of the tz database, such as "Europe/Madrid"`, document.Clip(name))}
}

// wallLayouts are the forms of a wall clock time; zones of their own have none.
var wallLayouts = [...]string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"}

// parseWall reads a wall clock time or a date, as if of UTC.
func parseWall(text string) (wall time.Time, date, ok bool) {
	for i, layout := range wallLayouts {
		if len(text) != len(layout) { // Parse takes fractions that the layout does not have
			continue
		}
		if wall, err := time.Parse(layout, text); err == nil {
			return wall, i == 0, true
		}
	}
	return time.Time{}, false, false
}

// moment reads a wall clock time of the zone, or an instant. zoned says whether the document
// names a zone.
func (p *parser) moment(v document.Value, zoned bool, loc *time.Location) time.Time {
	text, ok := textOf(v, 100)
	if !ok {
		return time.Time{}
	}
	if wall, date, ok := parseWall(text); ok && !date {
		if !zoned {
			v.Faultf("%q is a wall clock time: say whose with timezone, or write an instant with Z or an offset", text)
			return time.Time{}
		}
		return sane(v, instant(wall, loc))
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return sane(v, t.In(loc))
	}
	v.Faultf(`must be a time such as "2026-12-06T02:00" or "2026-12-06T01:00:00Z", got %q`, document.Clip(text))
	return time.Time{}
}

// edge reads the edge of a freeze: a moment, or a date, to which days are added.
func (p *parser) edge(v document.Value, zoned bool, loc *time.Location, days int) time.Time {
	if !v.Is(document.String) {
		return p.moment(v, zoned, loc)
	}
	wall, date, ok := parseWall(v.Node().Text)
	switch {
	case !ok || !date:
		return p.moment(v, zoned, loc)
	case !zoned:
		v.Faultf("%q is a date: say whose with timezone", v.Node().Text)
		return time.Time{}
	}
	return sane(v, instant(wall.AddDate(0, 0, days), loc))
}

// sane keeps times far from where arithmetic on them could wrap round.
func sane(v document.Value, t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1970 || y > 9000 {
		v.Faultf("must lie between the years 1970 and 9000, got %q", document.Clip(v.Node().Text))
	}
	return t
}
