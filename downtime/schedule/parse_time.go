package schedule

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

type zone struct {
	loc *time.Location
	err error
}

// timezone reads the name of a zone. Each zone is loaded once for a document.
func (p *parser) timezone(v document.Value) *time.Location {
	if !v.Present() {
		return time.UTC
	}
	name, ok := textOf(v, 100)
	if !ok {
		return time.UTC
	}
	z, loaded := p.zones[name]
	if !loaded {
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
	if name == "" || name == "Local" { // time.LoadLocation accepts both
		return zone{err: fmt.Errorf(`must be a name of the tz database, such as "Europe/Madrid", got %q`, name)}
	}
	loc, err := time.LoadLocation(name)
	if err == nil {
		return zone{loc: loc}
	}
	if _, any := time.LoadLocation("Europe/Madrid"); any != nil {
		return zone{err: fmt.Errorf("zone %q cannot be loaded, because this machine does not have a tz database: "+
			"install one, or import time/tzdata in package main", document.Clip(name))}
	}
	return zone{err: fmt.Errorf(`unknown time zone %q: must be a name of the tz database, such as "Europe/Madrid"`, document.Clip(name))}
}

// wallLayouts are the forms of a wall clock time. They do not name a zone.
var wallLayouts = [...]string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"}

// parseWall reads a wall clock time or a date, and returns it in UTC.
func parseWall(text string) (wall time.Time, date, ok bool) {
	for i, layout := range wallLayouts {
		if len(text) != len(layout) { // time.Parse accepts fractions of a second with any layout
			continue
		}
		if wall, err := time.Parse(layout, text); err == nil {
			return wall, i == 0, true
		}
	}
	return time.Time{}, false, false
}

// noDates as the last argument of moment refuses dates.
const noDates = -1

// moment reads a wall clock time of the zone, an instant, or a date, to which it adds days.
// zoned says whether the document names a zone.
func moment(v document.Value, zoned bool, loc *time.Location, days int) time.Time {
	text, ok := textOf(v, 100)
	if !ok {
		return time.Time{}
	}
	wall, date, ok := parseWall(text)
	switch {
	case !ok || date && days == noDates:
		t, err := time.Parse(time.RFC3339, text)
		if err == nil {
			return sane(v, t.In(loc))
		}
		v.Faultf(`must be a time such as "2026-12-06T02:00" or "2026-12-06T01:00:00Z", got %q`, document.Clip(text))
	case zoned && date:
		return sane(v, instant(wall.AddDate(0, 0, days), loc))
	case zoned:
		return sane(v, instant(wall, loc))
	case date:
		v.Faultf("%q is a date: add timezone", text)
	default:
		v.Faultf("%q is a wall clock time: add timezone, or write an instant with Z or an offset", text)
	}
	return time.Time{}
}

// sane refuses times for which arithmetic could overflow.
func sane(v document.Value, t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1970 || y > 9000 {
		v.Faultf("must lie between the years 1970 and 9000, got %q", document.Clip(v.Node().Text))
	}
	return t
}

// MaxDuration is the longest duration that a document may have. A longer one is probably a
// mistake.
const MaxDuration = 366 * 24 * time.Hour

// duration reads a duration in Go's form with days, or in the form of RFC 5545 §3.3.6.
func duration(v document.Value) time.Duration {
	if !v.Is(document.String) {
		return v.Duration(MaxDuration)
	}
	text := v.Node().Text
	m := calendarDuration.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(strings.ToUpper(text), "T") || strings.EqualFold(text, "P") {
		return v.Duration(MaxDuration)
	}
	var total time.Duration
	for i, unit := range [...]time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+1]) // at most eight digits; empty means zero
		total += time.Duration(n) * unit
	}
	switch {
	case total == 0:
		v.Faultf("must be positive, got %q", text)
	case total > MaxDuration:
		v.Faultf("must be at most %dd, got %q", MaxDuration/(24*time.Hour), text)
	}
	return total
}

var calendarDuration = regexp.MustCompile(`(?i)^P(?:(\d{1,3})W|(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?)$`)
