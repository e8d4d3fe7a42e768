package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A rule says on which days a window takes place, by RFC 5545 §3.3.10. It computes with dates, as
// numbers of days since 1970. recurrence maps them to instants.
//
// The days of a month depend only on the kind of its year: its first weekday, and whether it
// is a leap year. So they are a table of bits, and INTERVAL is arithmetic on units. The search
// alternates between the next day in the table and the next day that INTERVAL counts, until both
// agree. So its cost does not depend on how long ago the rule began.
type rule struct {
	freq     freq
	interval int
	table    [14][12]uint32 // by kind of year and month: a bit for each day, the lowest for the 1st
	months   [14]uint16     // by kind of year: a bit for each month with days in table

	origin    int // the unit (see unit) that the document starts in, the first that counts
	weekStart int // 0 is Monday

	first, last int // the rule's first and last day
}

// A freq is the FREQ of a rule.
type freq uint8

const (
	daily freq = iota
	weekly
	monthly
	yearly
)

var freqNames = [...]string{daily: "DAILY", weekly: "WEEKLY", monthly: "MONTHLY", yearly: "YEARLY"}

const (
	maxInterval = 9999
	maxCount    = 10_000
	maxListed   = 400 // values of one part
)

// lastDay is the last day of every rule: the end of the year 9000, which also bounds starts.
var lastDay = dayOf(9000, 12, 31)

// ruleParts holds the parts of a rule's text.
type ruleParts struct {
	given      map[string]bool // by name
	freq       freq
	interval   int
	count      int   // zero means not given
	until      until // see given
	byDay      []ordinalDay
	byMonthDay []int
	byMonth    uint16 // a bit for each month; zero means not given
	bySetPos   []int
	weekStart  int // 0 is Monday
}

// An ordinalDay is a value of BYDAY: every Monday, or the second or the last.
type ordinalDay struct {
	ordinal int // zero means every one
	weekday int // 0 is Monday
}

// until is an UNTIL: an instant or a reading of the wall clock.
type until struct {
	instant bool
	wall    int64 // seconds since 1970, of the reading or of the instant
}

var weekdays = [...]string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}

// canonicalRule returns the text of a rule in canonical form: in capitals (RFC 5545 §2 ignores
// case), without "RRULE:" before it, and without spaces around separators.
func canonicalRule(text string) string {
	text = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "RRULE:")
	parts := strings.Split(text, ";")
	for i, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		if parts[i] = strings.TrimSpace(name); ok {
			values := strings.Split(value, ",")
			for j := range values {
				values[j] = strings.TrimSpace(values[j])
			}
			parts[i] += "=" + strings.Join(values, ",")
		}
	}
	return strings.Join(parts, ";")
}

// parseRule reads a rule in canonical form: FREQ=WEEKLY;BYDAY=TU. Each error names its part.
func parseRule(text string) (*ruleParts, []error) {
	p := &ruleParts{interval: 1, given: map[string]bool{}}
	var errs []error
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("must be parts such as FREQ=WEEKLY;BYDAY=TU, got %q", document.Clip(part)))
			continue
		}
		if p.given[name] {
			errs = append(errs, fmt.Errorf("%s: is given twice", document.Clip(name)))
			continue
		}
		p.given[name] = true
		if err := p.read(name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", document.Clip(name), err))
		}
	}
	if !p.given["FREQ"] {
		errs = append(errs, errors.New("FREQ: is required"))
	}
	if p.given["COUNT"] && p.given["UNTIL"] {
		errs = append(errs, errors.New("COUNT: must not be given together with UNTIL"))
	}
	if len(errs) == 0 {
		errs = p.check()
	}
	return p, errs
}

func (p *ruleParts) read(name, value string) error {
	var err error
	switch name {
	case "FREQ":
		i := slices.Index(freqNames[:], value)
		switch {
		case i >= 0:
			p.freq = freq(i)
		case value == "HOURLY" || value == "MINUTELY" || value == "SECONDLY":
			return fmt.Errorf("%s %w: write a window with FREQ=DAILY for each time of day", value, errNotSupported)
		default:
			return fmt.Errorf("must be DAILY, WEEKLY, MONTHLY or YEARLY, got %q", document.Clip(value))
		}
	case "INTERVAL":
		p.interval, err = number(value, 1, maxInterval)
	case "COUNT":
		p.count, err = number(value, 1, maxCount)
	case "UNTIL":
		p.until, err = parseUntil(value)
	case "WKST":
		if p.weekStart = slices.Index(weekdays[:], value); p.weekStart < 0 {
			return fmt.Errorf("must be MO, TU, WE, TH, FR, SA or SU, got %q", document.Clip(value))
		}
	case "BYDAY":
		err = each(value, func(v string) error {
			d, err := parseOrdinalDay(v)
			p.byDay = append(p.byDay, d)
			return err
		})
	case "BYMONTHDAY":
		p.byMonthDay, err = signed(value, 31)
	case "BYSETPOS":
		p.bySetPos, err = signed(value, 366)
	case "BYMONTH":
		err = each(value, func(v string) error {
			m, err := number(v, 1, 12)
			p.byMonth |= 1 << (m - 1) & (1<<12 - 1)
			return err
		})
	default:
		if instead := insteadOf[name]; instead != "" {
			return fmt.Errorf("%w: %s", errNotSupported, instead)
		}
		return errors.New("unknown part")
	}
	return err
}

// insteadOf has, for each part that is not supported, what to write instead.
var insteadOf = map[string]string{
	"BYWEEKNO":  "write BYMONTH and BYDAY, such as FREQ=YEARLY;BYMONTH=5;BYDAY=2MO",
	"BYYEARDAY": "write BYMONTH and BYMONTHDAY, such as FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=10 for day 100",
	"BYHOUR":    "the window begins at the time of start: write a window for each time of day",
	"BYMINUTE":  "the window begins at the time of start: write a window for each time of day",
	"BYSECOND":  "the window begins at the time of start: write a window for each time of day",
	"RSCALE":    "rules use the Gregorian calendar: remove RSCALE",
	"SKIP":      "remove SKIP, and write BYMONTHDAY=-1 for the last day of each month, or BYMONTHDAY=30,-1;BYSETPOS=1 for the 30th or the last day",
}

// check finds parts that contradict each other.
func (p *ruleParts) check() []error {
	var errs []error
	if p.given["BYSETPOS"] && !p.given["BYDAY"] && !p.given["BYMONTHDAY"] && !p.given["BYMONTH"] {
		errs = append(errs, errors.New("BYSETPOS: needs BYDAY, BYMONTHDAY or BYMONTH, whose days it counts"))
	}
	if p.freq == weekly && len(p.byMonthDay) > 0 {
		errs = append(errs, errors.New("BYMONTHDAY: has no meaning with FREQ=WEEKLY"))
	}
	for _, d := range p.byDay {
		most := 5
		if p.freq == yearly && p.byMonth == 0 {
			most = 53
		}
		switch {
		case d.ordinal == 0:
		case p.freq == daily || p.freq == weekly:
			errs = append(errs, fmt.Errorf("BYDAY: %d%s counts in a month or year, so it needs FREQ=MONTHLY or YEARLY", d.ordinal, weekdays[d.weekday]))
		case d.ordinal > most || d.ordinal < -most:
			errs = append(errs, fmt.Errorf("BYDAY: %d%s can never occur: a month has at most five of a weekday", d.ordinal, weekdays[d.weekday]))
		}
	}
	return errs
}

func each(list string, read func(string) error) error {
	if n := strings.Count(list, ",") + 1; n > maxListed {
		return fmt.Errorf("must have at most %d values, got %d", maxListed, n)
	}
	for v := range strings.SplitSeq(list, ",") {
		if err := read(v); err != nil {
			return err
		}
	}
	return nil
}

// signed reads a list of numbers from 1 to most, each with an optional sign.
func signed(list string, most int) (numbers []int, err error) {
	err = each(list, func(v string) error {
		digits, negative := strings.CutPrefix(v, "-")
		if !negative {
			digits = strings.TrimPrefix(v, "+")
		}
		n, err := number(digits, 1, most)
		if negative {
			n = -n
		}
		numbers = append(numbers, n)
		return err
	})
	return numbers, err
}

// number reads a whole number without sign.
func number(text string, least, most int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return least, fmt.Errorf("must be a number between %d and %d, got %q", least, most, document.Clip(text))
	case n < uint64(least) || n > uint64(most):
		return least, fmt.Errorf("must lie between %d and %d, got %q", least, most, document.Clip(text))
	}
	return int(n), nil
}

func parseOrdinalDay(text string) (ordinalDay, error) {
	at := max(0, len(text)-2)
	d := ordinalDay{weekday: slices.Index(weekdays[:], text[at:])}
	digits, negative := strings.CutPrefix(text[:at], "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	var err error
	if at > 0 {
		d.ordinal, err = number(digits, 1, 53)
	}
	if err != nil || d.weekday < 0 {
		return ordinalDay{}, fmt.Errorf("must be weekdays such as TU, 2TU or -1SU, got %q", document.Clip(text))
	}
	if negative {
		d.ordinal = -d.ordinal
	}
	return d, nil
}

func parseUntil(text string) (until, error) {
	for _, form := range [...]struct {
		layout  string
		instant bool
		plus    time.Duration
	}{
		{"20060102T150405Z", true, 0},
		{"20060102T150405", false, 0},
		{"20060102", false, 24*time.Hour - time.Second}, // the last day is included
	} {
		if t, err := time.Parse(form.layout, text); err == nil && len(text) == len(form.layout) {
			return until{instant: form.instant, wall: t.Add(form.plus).Unix()}, nil
		}
	}
	return until{}, fmt.Errorf("must be 20261231, 20261231T235959 by the window's clock, or 20261231T235959Z, got %q", document.Clip(text))
}

// newRule returns the rule that starts on day origin, without UNTIL. If no day is left, the error
// names the parts that cause it.
func newRule(p *ruleParts, origin int) (*rule, error) {
	_, month, monthDay := dateOf(origin)
	r := &rule{freq: p.freq, interval: p.interval, weekStart: p.weekStart, last: lastDay}
	r.origin = r.unit(origin)
	// Missing parts are taken from the start (RFC 5545 §3.3.10).
	byDay, byMonthDay, byMonth := p.byDay, p.byMonthDay, p.byMonth
	if len(byDay) == 0 && len(byMonthDay) == 0 {
		switch p.freq {
		case weekly:
			byDay = []ordinalDay{{weekday: weekdayOf(origin)}}
		case yearly:
			if byMonth == 0 {
				byMonth = 1 << (month - 1)
			}
			byMonthDay = []int{monthDay}
		case monthly:
			byMonthDay = []int{monthDay}
		}
	}
	if p.freq == daily && p.interval%7 == 0 && len(byDay) > 0 {
		// INTERVAL counts days of one weekday only, so a search for a different weekday would go on to
		// the year 9000.
		byDay = slices.DeleteFunc(slices.Clone(byDay), func(d ordinalDay) bool { return d.weekday != weekdayOf(origin) })
		if len(byDay) == 0 {
			return nil, fmt.Errorf("%s: never falls on a day that INTERVAL counts", p.limits())
		}
	}
	if byMonth == 0 {
		byMonth = 1<<12 - 1
	}
	inYear := p.freq == yearly && p.byMonth == 0 // where ordinals count
	for kind := range r.table {
		leap, newYear := kind/7, kind%7
		before := 0 // days of the year before the month
		for m, days := range daysIn[leap] {
			mask := uint32(1)<<days - 1
			if byMonth>>m&1 == 0 {
				mask = 0
			}
			if len(byMonthDay) > 0 {
				mask &= monthDays(byMonthDay, days)
			}
			switch {
			case len(byDay) == 0:
			case inYear:
				mask &= weekdaysIn(byDay, newYear, 365+leap, before, days)
			default:
				mask &= weekdaysIn(byDay, (newYear+before)%7, days, 0, days)
			}
			r.table[kind][m] = mask
			before += days
		}
		if len(p.bySetPos) > 0 {
			r.keepPositions(kind, p.bySetPos, byDay, byMonth)
		}
		for m, mask := range r.table[kind] {
			if mask != 0 {
				r.months[kind] |= 1 << m
			}
		}
	}
	if r.months == [14]uint16{} {
		return nil, fmt.Errorf("%s: can never occur: there is no such day", p.limits())
	}
	var ok bool
	if r.first, ok = r.onOrAfter(origin); !ok {
		return nil, fmt.Errorf("%s: never falls on a day that INTERVAL counts", p.limits())
	}
	r.last, _ = r.onOrBefore(lastDay)
	if p.count > 0 {
		last := r.first
		for range p.count - 1 {
			next, ok := r.onOrAfter(last + 1)
			if !ok {
				break
			}
			last = next
		}
		r.last = last
	}
	return r, nil
}

// keepPositions applies BYSETPOS to the days of one kind of year: of the days in each unit of FREQ,
// it keeps those at the positions. A unit is counted whole, also the days before the start.
//
// A week may begin in the year before or end in the year after. A weekly rule cannot
// have BYMONTHDAY or ordinals, so byDay and byMonth decide about the days there.
func (r *rule) keepPositions(kind int, positions []int, byDay []ordinalDay, byMonth uint16) {
	const december, january = 1 << 11, 1 << 0
	leap, newYear := kind/7, kind%7
	listed := func(weekday int) bool {
		return slices.ContainsFunc(byDay, func(d ordinalDay) bool { return d.weekday == weekday })
	}
	type dayInYear struct{ unit, month, monthDay int } // month is outside of the year's twelve for other years
	var days []dayInYear
	add := func(yearDay, month, monthDay int) {
		unit := 0
		switch r.freq {
		case daily:
			unit = yearDay
		case weekly:
			unit = div(yearDay+newYear-r.weekStart, 7)
		case monthly:
			unit = month
		}
		days = append(days, dayInYear{unit, month, monthDay})
	}
	if r.freq == weekly {
		for before := 6; before > 0; before-- {
			if byMonth&december != 0 && listed(mod(newYear-before, 7)) {
				add(-before, -1, 0)
			}
		}
	}
	yearDay := 0
	for m, length := range daysIn[leap] {
		for d := range length {
			if r.table[kind][m]>>d&1 != 0 {
				add(yearDay, m, d)
			}
			yearDay++
		}
		r.table[kind][m] = 0
	}
	if r.freq == weekly {
		for after := range 6 {
			if byMonth&january != 0 && listed((newYear+yearDay+after)%7) {
				add(yearDay+after, 12, 0)
			}
		}
	}
	for first := 0; first < len(days); {
		n := 1
		for first+n < len(days) && days[first+n].unit == days[first].unit {
			n++
		}
		for _, position := range positions {
			if position < 0 {
				position += n + 1
			}
			if position < 1 || position > n {
				continue
			}
			if d := days[first+position-1]; d.month >= 0 && d.month < 12 {
				r.table[kind][d.month] |= 1 << d.monthDay
			}
		}
		first += n
	}
}

// limits returns the names of the parts that the rule's days depend on.
func (p *ruleParts) limits() string {
	names := slices.DeleteFunc([]string{"BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS"}, func(name string) bool { return !p.given[name] })
	return cmp.Or(strings.Join(names, ", "), "FREQ")
}

// monthDays returns the days of BYMONTHDAY in a month of the given length.
func monthDays(list []int, days int) (mask uint32) {
	for _, d := range list {
		if d < 0 {
			d += days + 1
		}
		if d >= 1 && d <= days {
			mask |= 1 << (d - 1)
		}
	}
	return mask
}

// weekdaysIn returns the days of BYDAY in a month. Ordinals count in the month or year that
// begins on the weekday first and has length days. The month begins after before of those days
// and has days days.
func weekdaysIn(list []ordinalDay, first, length, before, days int) (mask uint32) {
	for _, d := range list {
		at := mod(d.weekday-first, 7) // in the span, from 0
		n := (length-1-at)/7 + 1
		for k := max(0, (before-at)/7); k < n && at+7*k < before+days; k++ {
			day := at + 7*k - before
			if day >= 0 && (d.ordinal == 0 || k == d.ordinal-1 || k == n+d.ordinal) {
				mask |= 1 << day
			}
		}
	}
	return mask
}

// onOrAfter returns the first of the rule's days that is not before d.
//
// From any day, the table's next day is at most forty years away. With INTERVAL, the search takes
// at most two steps for each day of the rarer kind: a few, except for daily rules with a large
// INTERVAL and few dates. The worst case found, November 7th every 233 days, takes six thousand
// steps.
func (r *rule) onOrAfter(d int) (int, bool) {
	d = max(d, r.first)
	for d <= r.last {
		d = r.listedFrom(d)
		counted := r.countedFrom(d)
		if counted == d {
			return d, d <= r.last
		}
		d = counted
	}
	return 0, false
}

// onOrBefore returns the last of the rule's days that is not after d.
func (r *rule) onOrBefore(d int) (int, bool) {
	d = min(d, r.last)
	for d >= r.first {
		d = r.listedUpTo(d)
		counted := r.countedUpTo(d)
		if counted == d {
			return d, d >= r.first
		}
		d = counted
	}
	return 0, false
}

func (r *rule) has(d int) bool {
	at, ok := r.onOrAfter(d)
	return ok && at == d
}

// listedFrom returns the first day in the table from d on. There always is a next day.
func (r *rule) listedFrom(d int) int {
	year, month, monthDay := dateOf(d)
	kind := kindOf(year)
	if rest := r.table[kind][month-1] >> (monthDay - 1); rest != 0 {
		return d + bits.TrailingZeros32(rest)
	}
	months := r.months[kind] &^ (1<<month - 1) // those after the month
	for months == 0 {
		year++
		kind = kindOf(year)
		months = r.months[kind]
	}
	m := bits.TrailingZeros16(months)
	return dayOf(year, m+1, 1) + bits.TrailingZeros32(r.table[kind][m])
}

// listedUpTo returns the last day in the table up to d. There always is a previous day.
func (r *rule) listedUpTo(d int) int {
	year, month, monthDay := dateOf(d)
	kind := kindOf(year)
	if rest := r.table[kind][month-1] << (32 - monthDay); rest != 0 {
		return d - bits.LeadingZeros32(rest)
	}
	months := r.months[kind] & (1<<(month-1) - 1) // those before the month
	for months == 0 {
		year--
		kind = kindOf(year)
		months = r.months[kind]
	}
	m := 15 - bits.LeadingZeros16(months)
	return dayOf(year, m+1, 1) + 31 - bits.LeadingZeros32(r.table[kind][m])
}

// unit returns the number of the day, week, month or year that contains d. INTERVAL counts these
// units.
func (r *rule) unit(d int) int {
	switch r.freq {
	case daily:
		return d
	case weekly:
		return div(d+3-r.weekStart, 7)
	}
	year, month, _ := dateOf(d)
	if r.freq == monthly {
		return year*12 + month - 1
	}
	return year
}

// firstOf returns the first day of a unit.
func (r *rule) firstOf(unit int) int {
	switch r.freq {
	case daily:
		return unit
	case weekly:
		return unit*7 - 3 + r.weekStart
	case monthly:
		return dayOf(0, unit+1, 1)
	}
	return dayOf(unit, 1, 1)
}

// countedFrom returns d if INTERVAL counts its unit, or else the first day of the next counted
// unit.
func (r *rule) countedFrom(d int) int {
	if r.interval == 1 {
		return d
	}
	unit := r.unit(d)
	if missing := mod(r.origin-unit, r.interval); missing != 0 {
		return r.firstOf(unit + missing)
	}
	return d
}

// countedUpTo returns d if INTERVAL counts its unit, or else the last day of the previous counted
// unit.
func (r *rule) countedUpTo(d int) int {
	if r.interval == 1 {
		return d
	}
	unit := r.unit(d)
	if over := mod(unit-r.origin, r.interval); over != 0 {
		return r.firstOf(unit-over+1) - 1
	}
	return d
}

// errNotSupported is errors.ErrUnsupported with a better text.
var errNotSupported = unsupported{}

type unsupported struct{}

func (unsupported) Error() string { return "is not supported" }

func (unsupported) Unwrap() error { return errors.ErrUnsupported }
