package status

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

const (
	calendarPast    = 30 * 24 * time.Hour  // how long ended occurrences stay in the feed
	calendarAhead   = 366 * 24 * time.Hour // how far ahead the feed goes
	calendarEvents  = 1000                 // in a feed
	calendarVisited = 20_000               // occurrences examined for a feed
)

// CalendarOptions configure [Calendar]. Nil options are the defaults.
type CalendarOptions struct {
	// Name is the feed's name. Empty means "Planned maintenance".
	Name string

	// URL is the http or https URL of a page for users; each event links to it. Its host
	// makes the events' UIDs differ from those of other services. Empty means none.
	URL string

	// Revised is when the document last changed: the DTSTAMP of the events. The zero time
	// means now.
	Revised time.Time

	// Operators makes a feed for operators. It adds unannounced windows and rehearsals, and each
	// window's id, mode, point of no return, owner and runbook.
	Operators bool
}

// Calendar returns the schedule as an iCalendar feed (RFC 5545, with the calendar properties of
// RFC 7986), to be served as text/calendar or published as a file. It has one event for each
// occurrence that is in progress at now, begins within a year, or ended less than 30 days ago;
// at most 1,000, of which the oldest are dropped first. All times are in UTC, so they are exact
// across any change of clocks; fractions of a second are rounded outwards.
//
// A feed for users has the announced, current and past occurrences, without rehearsals. Neither
// feed has cancelled occurrences, whose length is zero.
//
// An event's UID is the window's id and the planned start, so an early begin or an
// extension changes the event in place.
//
// SEQUENCE depends only on the occurrence, so all replicas agree. It rises when the end is moved
// later, when operators write a begin that differs from the plan, and when they write an end. It
// falls when a window is made shorter or such an entry is removed: a calendar that subscribes
// takes the feed as it is, and a calendar that merges by RFC 5546 §2.1.5 keeps the later end.
// DTSTAMP is Revised, on which replicas need not agree.
func Calendar(s *schedule.Schedule, now time.Time, opts *CalendarOptions) []byte {
	var o CalendarOptions
	if opts != nil {
		o = *opts
	}
	o.Name = cmp.Or(o.Name, "Planned maintenance")
	if o.Revised.IsZero() {
		o.Revised = now
	}
	stamp := o.Revised.UTC().Format(icalTime)

	var b icalWriter
	b.line("BEGIN", "VCALENDAR")
	b.line("VERSION", "2.0")
	b.line("PRODID", "-//upkeep-go//downtime//EN")
	b.line("CALSCALE", "GREGORIAN")
	b.text("NAME", o.Name)
	b.text("X-WR-CALNAME", o.Name)
	b.line("LAST-MODIFIED", stamp)
	b.line("REFRESH-INTERVAL;VALUE=DURATION", "PT1H")
	b.line("X-PUBLISHED-TTL", "PT1H")
	if o.URL != "" {
		b.line("URL", uriText(o.URL))
	}
	for _, occ := range calendarOf(s, now, o.Operators) {
		b.event(occ, stamp, &o)
	}
	b.line("END", "VCALENDAR")
	return b.b
}

func calendarOf(s *schedule.Schedule, now time.Time, operators bool) []schedule.Occurrence {
	list := func(from, to time.Time, most int, listed func(schedule.Occurrence) bool) (list []schedule.Occurrence) {
		visited := 0
		for o := range s.Occurrences(from, to) {
			if visited++; visited > calendarVisited || len(list) == most {
				break
			}
			if (operators || isPublic(o, now)) && o.Start.Before(o.End) && listed(o) {
				list = append(list, o)
			}
		}
		return list
	}
	to := now.Add(calendarAhead)
	if !operators {
		to = now.Add(min(calendarAhead, longestLead(s)+1)) // later occurrences are not announced
	}
	next := list(now, to, calendarEvents, func(schedule.Occurrence) bool { return true })
	over := list(now.Add(-calendarPast), now, calendarVisited, func(o schedule.Occurrence) bool { return !now.Before(o.End) })
	over = over[max(0, len(over)+len(next)-calendarEvents):]
	return slices.Concat(over, next)
}

func (b *icalWriter) event(o schedule.Occurrence, stamp string, opts *CalendarOptions) {
	w := o.Window
	uid := occurrenceID(w.ID, o.Planned)
	if u, err := url.Parse(opts.URL); err == nil && u.Hostname() != "" {
		uid += "@" + u.Hostname()
	}
	b.line("BEGIN", "VEVENT")
	b.text("UID", uid)
	b.line("DTSTAMP", stamp)
	b.line("SEQUENCE", strconv.FormatInt(sequence(o), 10))
	b.line("DTSTART", o.Start.UTC().Format(icalTime))
	b.line("DTEND", o.End.Add(time.Second-1).UTC().Format(icalTime)) // the format rounds down
	b.text("SUMMARY", w.Name())
	if text := description(o, opts.Operators); text != "" {
		b.text("DESCRIPTION", text)
	}
	if opts.URL != "" {
		b.line("URL", uriText(opts.URL))
	}
	b.line("STATUS", "CONFIRMED")
	b.line("CATEGORIES", "MAINTENANCE")
	b.line("TRANSP", "TRANSPARENT") // the reader is not busy
	b.line("END", "VEVENT")
}

func sequence(o schedule.Occurrence) int64 {
	const begun, ended = 1 << 29, 1 << 30 // the sum stays below 1<<31, the bound of RFC 5545 §3.3.8
	n := min(max(0, int64(o.End.Sub(o.Planned)/time.Second)), begun-1)
	if !o.Start.Equal(o.Planned) {
		n += begun
	}
	if end := o.Window.Actual.End; !end.IsZero() && end.Equal(o.End) {
		n += ended
	}
	return n
}

func description(o schedule.Occurrence, operators bool) string {
	w := o.Window
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, name+text)
		}
	}
	add("", w.Message)
	if operators {
		add("Window: ", w.ID+", "+w.Mode.String())
		if t := o.Rollback(); !t.IsZero() {
			add("Point of no return: ", t.In(w.Timezone).Format(time.RFC3339))
		}
		add("Owner: ", w.Owner)
		add("Runbook: ", w.Runbook)
	}
	return strings.Join(lines, "\n")
}

func occurrenceID(window string, planned time.Time) string {
	return window + "-" + planned.UTC().Format(icalTime)
}

// icalTime is the form of an instant in UTC (RFC 5545 §3.3.5).
const icalTime = "20060102T150405Z"

type icalWriter struct{ b []byte }

// line writes a property. The value must be safe without escapes.
func (w *icalWriter) line(name, value string) {
	w.b = appendFolded(w.b, name+":"+value)
}

// text writes a property of type TEXT.
func (w *icalWriter) text(name, value string) { w.line(name, escapeText(value)) }

// icalEscapes are the escapes of TEXT (RFC 5545 §3.3.11). All line ends become \n.
var icalEscapes = strings.NewReplacer(
	`\`, `\\`, `;`, `\;`, `,`, `\,`, "\r\n", `\n`, "\r", `\n`, "\n", `\n`, "\u2028", `\n`, "\u2029", `\n`, "\u0085", `\n`)

// escapeText returns any text as a value of type TEXT. It drops control characters except tabs,
// because TEXT cannot have them.
func escapeText(text string) string {
	return without(icalEscapes.Replace(strings.ToValidUTF8(text, "\uFFFD")), func(r rune) bool { return r < ' ' && r != '\t' })
}

// uriText keeps a URL from ending its line. A valid URL does not have the dropped characters.
func uriText(text string) string { return without(text, func(r rune) bool { return r <= ' ' }) }

// without removes the characters that drop selects, and DEL.
func without(text string, drop func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if r == 0x7f || drop(r) {
			return -1
		}
		return r
	}, text)
}

// maxLine is the length of the longest line, in octets (RFC 5545 §3.1).
const maxLine = 75

// appendFolded appends a content line, folded between characters.
func appendFolded(b []byte, line string) []byte {
	b = slices.Grow(b, len(line)+len(line)/(maxLine-1)*3+2)
	for room := maxLine; len(line) > room; room = maxLine - 1 {
		at := room
		for at > room-utf8.UTFMax && !utf8.RuneStart(line[at]) {
			at--
		}
		b = append(append(b, line[:at]...), "\r\n "...)
		line = line[at:]
	}
	return append(append(b, line...), "\r\n"...)
}
