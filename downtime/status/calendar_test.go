package status_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// calendar returns the feed with unfolded lines.
func calendar(t testing.TB, s *schedule.Schedule, now string, opts *status.CalendarOptions) string {
	t.Helper()
	feed := string(status.Calendar(s, instant(t, now), opts))
	require.True(t, utf8.ValidString(feed))
	for line := range strings.SplitSeq(strings.TrimSuffix(feed, "\r\n"), "\r\n") {
		require.LessOrEqual(t, len(line), 75)
		require.NotContains(t, line, "\r")
		require.NotContains(t, line, "\n")
	}
	return strings.ReplaceAll(feed, "\r\n ", "")
}

// values returns the values of a property, in order.
func values(feed, property string) []string {
	return submatches(feed, `(?m)^`+property+`:(.*)\r$`)
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - id: orders-db-upgrade
    title: Orders database upgrade
    owner: team-orders
    runbook: https://runbooks.example/orders-db
    start: 2026-10-25T02:30
    timezone: Europe/Madrid
    duration: 2h
    announce: 3d
    rollback: 90m
    message: "Orders are read again; later, on paper.\nThank you."
    actual: {until: 2026-10-25T03:00:00.5Z}
  - {id: try, start: 2026-10-25T10:00:00Z, duration: 1h, announce: 30d, mode: rehearse}
`)
	opts := &status.CalendarOptions{
		Name: "Shop maintenance", URL: "https://status.example:8443/shop?a=1,2;b", Revised: instant(t, "2026-10-20T10:00:00+02:00"),
	}
	want := `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//upkeep-go//downtime//EN
CALSCALE:GREGORIAN
NAME:Shop maintenance
X-WR-CALNAME:Shop maintenance
LAST-MODIFIED:20261020T080000Z
REFRESH-INTERVAL;VALUE=DURATION:PT1H
X-PUBLISHED-TTL:PT1H
URL:https://status.example:8443/shop?a=1,2;b
BEGIN:VEVENT
UID:orders-db-upgrade-20261025T003000Z@status.example
DTSTAMP:20261020T080000Z
SEQUENCE:9000
DTSTART:20261025T003000Z
DTEND:20261025T030001Z
SUMMARY:Orders database upgrade
DESCRIPTION:Orders are read again\; later\, on paper.\nThank you.
URL:https://status.example:8443/shop?a=1,2;b
STATUS:CONFIRMED
CATEGORIES:MAINTENANCE
TRANSP:TRANSPARENT
END:VEVENT
END:VCALENDAR
`
	require.Equal(t, strings.ReplaceAll(want, "\n", "\r\n"), calendar(t, s, "2026-10-24T00:00:00Z", opts))

	operators := *opts
	operators.Operators = true
	feed := calendar(t, s, "2026-10-24T00:00:00Z", &operators)
	require.Equal(t, []string{"Orders database upgrade", "try"}, values(feed, "SUMMARY"))
	require.Equal(t, []string{
		`Orders are read again\; later\, on paper.\nThank you.\nWindow: orders-db-upgrade\, closed\nPoint of no return: 2026-10-25T03:00:00+01:00\nOwner: team-orders\nRunbook: https://runbooks.example/orders-db`,
		`Window: try\, rehearse`,
	}, values(feed, "DESCRIPTION"))

	feed = calendar(t, s, "2026-10-24T00:00:00Z", nil)
	require.Equal(t, []string{"Planned maintenance"}, values(feed, "X-WR-CALNAME"))
	require.Equal(t, []string{"orders-db-upgrade-20261025T003000Z"}, values(feed, "UID"))
	require.Equal(t, []string{"20261024T000000Z"}, values(feed, "DTSTAMP"))
	require.Empty(t, values(feed, "URL"))
}

// Unannounced windows are hidden from users. Past ones stay for a month.
func TestCalendarHorizon(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - {id: w, start: 2026-10-25T00:00:00Z, duration: 2h, announce: 3d, cutoff: 5m}
  - {id: cutoff-only, start: 2026-10-25T12:00:00Z, duration: 2h, cutoff: 5m}
`)
	for _, c := range []struct{ now, public, operators string }{
		{"2025-10-23T23:59:59Z", "", ""},
		{"2026-10-21T23:59:59Z", "", "w cutoff-only"},
		{"2026-10-22T00:00:00Z", "w", "w cutoff-only"},
		{"2026-10-25T11:54:59Z", "w", "w cutoff-only"},
		{"2026-10-25T11:55:00Z", "w cutoff-only", "w cutoff-only"},
		{"2026-11-24T01:59:59Z", "w cutoff-only", "w cutoff-only"},
		{"2026-11-24T02:00:00Z", "cutoff-only", "cutoff-only"},
		{"2026-12-01T00:00:00Z", "", ""},
	} {
		require.Equal(t, c.public, strings.Join(values(calendar(t, s, c.now, nil), "SUMMARY"), " "), c.now)
		require.Equal(t, c.operators, strings.Join(values(calendar(t, s, c.now, &status.CalendarOptions{Operators: true}), "SUMMARY"), " "), c.now)
	}

	var many strings.Builder
	many.WriteString("windows:\n")
	for i := range 1100 {
		fmt.Fprintf(&many, "  - {id: w%d, start: %s, duration: 1h}\n", i, instant(t, "2026-10-25T00:00:00Z").Add(time.Duration(i)*time.Hour).Format(time.RFC3339))
	}
	got := values(calendar(t, parse(t, many.String()), "2026-10-25T00:00:00Z", &status.CalendarOptions{Operators: true}), "SUMMARY")
	require.Len(t, got, 1000)
	require.Equal(t, []string{"w0", "w999"}, []string{got[0], got[999]}, "the earliest")
}

// A full feed drops past events first.
func TestCalendarIsFull(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - {id: often, start: 2026-01-01T00:00:00Z, duration: 1m, repeat: FREQ=DAILY, announce: 1d}
  - {id: too, start: 2026-01-01T01:00:00Z, duration: 1m, repeat: FREQ=DAILY, announce: 1d}
  - {id: third, start: 2026-01-01T02:00:00Z, duration: 1m, repeat: FREQ=DAILY, announce: 1d}
  - {id: last, start: 2027-10-24T00:00:00Z, duration: 1h, announce: 365d}
`)
	got := values(calendar(t, s, "2026-10-25T00:00:30Z", &status.CalendarOptions{Operators: true}), "DTSTART")
	require.Len(t, got, 1000)
	require.Equal(t, "20261025T000000Z", got[0], "in progress")
	got = values(calendar(t, s, "2026-10-25T00:00:30Z", nil), "DTSTART")
	require.Len(t, got, 3*30+3+1+1, "a month of what is over, today, what is announced for tomorrow, and the last")
	require.Equal(t, "20260925T000000Z", got[0])
	require.Equal(t, "20271024T000000Z", got[len(got)-1])

	var many strings.Builder
	many.WriteString("windows:\n")
	for i := range 40 {
		fmt.Fprintf(&many, "  - {id: w%d, start: 2026-01-01T%02d:00:00Z, duration: 1m, repeat: FREQ=DAILY}\n", i, i%24)
	}
	many.WriteString("  - {id: next, start: 2026-10-26T00:00:00Z, duration: 1h, announce: 2d}\n")
	got = values(calendar(t, parse(t, many.String()), "2026-10-25T00:00:30Z", nil), "SUMMARY")
	require.Len(t, got, 1000)
	require.Equal(t, []string{"w0", "w24", "next"}, got[997:], "that and what is in progress, after the latest that are over")
}

// A window that repeats has an event for each occurrence, at the same time of day in its zone.
// Exceptions are left out, and actual changes one event.
func TestCalendarRepeats(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - id: weekly
    start: 2026-10-13T03:00
    timezone: Europe/Madrid
    duration: 2h
    announce: 365d
    repeat: FREQ=WEEKLY;BYDAY=TU;COUNT=6
    except: [2026-10-20]
    actual: {begin: 2026-11-03T02:10:00Z, until: 2026-11-03T06:00:00Z}
freezes:
  - {from: 2026-11-10, to: 2026-11-11, timezone: Europe/Madrid, reason: Sales}
`)
	feed := calendar(t, s, "2026-10-13T00:00:00Z", &status.CalendarOptions{URL: "https://status.example/"})
	require.Equal(t, []string{"20261013T010000Z", "20261027T020000Z", "20261103T021000Z", "20261117T020000Z"}, values(feed, "DTSTART"))
	require.Equal(t, []string{"20261013T030000Z", "20261027T040000Z", "20261103T060000Z", "20261117T040000Z"}, values(feed, "DTEND"))
	require.Equal(t, []string{"7200", "7200", strconv.Itoa(4*3600 + 1<<29), "7200"}, values(feed, "SEQUENCE"))
	require.Equal(t, []string{
		"weekly-20261013T010000Z@status.example", "weekly-20261027T020000Z@status.example",
		"weekly-20261103T020000Z@status.example", "weekly-20261117T020000Z@status.example",
	}, values(feed, "UID"))
}

func TestCalendarSequence(t *testing.T) {
	t.Parallel()
	last := int64(-1)
	uid := ""
	for _, c := range []struct{ duration, actual string }{ // successive edits of one window
		{"1h", ""},
		{"2h", ""},
		{"2h", "until: 2026-10-25T02:00:01Z"},
		{"2h", "until: 2026-10-25T03:00:00Z"},
		{"2h", "until: 2026-10-25T03:00:00Z, begin: 2026-10-24T23:00:00Z"},
		{"2h", "until: 2030-01-01T00:00:00Z, begin: 2026-10-24T23:00:00Z"},
		{"2h", "until: 2030-01-01T00:00:00Z, begin: 2026-10-24T23:00:00Z, end: 2026-10-24T23:30:00Z"},
	} {
		s := parse(t, `windows: [{id: w, start: 2026-10-25T00:00:00Z, duration: `+c.duration+`, announce: 1d, actual: {`+c.actual+`}}]`)
		feed := calendar(t, s, "2026-10-25T00:00:00Z", nil)
		n, err := strconv.ParseInt(values(feed, "SEQUENCE")[0], 10, 32)
		require.NoError(t, err, "RFC 5545 §3.3.8")
		require.Greater(t, n, last, c)
		last = n
		if uid != "" {
			require.Equal(t, uid, values(feed, "UID")[0])
		}
		uid = values(feed, "UID")[0]
	}
	s := parse(t, `windows: [{id: w, start: 2026-10-25T00:00:00Z, duration: 2h, actual: {until: 8999-01-01T00:00:00Z, begin: 2026-10-25T00:00:01Z, end: 8999-01-01T00:00:00Z}}]`)
	require.Equal(t, []string{strconv.Itoa(1<<31 - 1)}, values(calendar(t, s, "2026-10-25T00:00:01Z", nil), "SEQUENCE"), "no overflow")
}

func TestCalendarLeavesOutWhatNeverTookPlace(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows: [{id: w, start: 2026-10-25T00:00:00Z, duration: 2h, announce: 1d, actual: {end: 2026-10-25T00:00:00Z}}]`)
	require.Empty(t, values(calendar(t, s, "2026-10-25T00:00:00Z", nil), "UID"))
}

// Texts of a document cannot end a line or add a property or an event.
func TestCalendarHostileText(t *testing.T) {
	t.Parallel()
	evil := "a\r\nEND:VEVENT\rb\nc\u2028d\u0085e\u2029f\x00g\x1fh\x7f\ti,;\\n\\"
	s := parse(t, fmt.Sprintf(`{"windows": [{"id": "w", "title": %[1]s, "message": %[1]s, "start": "2026-10-25T00:00:00Z", "duration": "1h"}]}`,
		`"a\r\nEND:VEVENT\rb\nc\u2028d\u0085e\u2029f\u0000g\u001fh\u007f\ti,;\\n\\"`))
	require.Equal(t, evil, s.Window("w").Title)
	feed := calendar(t, s, "2026-10-25T00:00:00Z", &status.CalendarOptions{Name: evil, URL: "https://status.example/\r\nEND:VCALENDAR"})
	const escaped = `a\nEND:VEVENT\nb\nc\nd\ne\nfgh` + "\t" + `i\,\;\\n\\`
	require.Equal(t, []string{escaped}, values(feed, "SUMMARY"))
	require.Equal(t, []string{escaped}, values(feed, "DESCRIPTION"))
	require.Equal(t, []string{escaped}, values(feed, "X-WR-CALNAME"))
	require.Equal(t, []string{"VEVENT", "VCALENDAR"}, values(feed, "END"))
	require.Equal(t, "https://status.example/END:VCALENDAR", values(feed, "URL")[0])
}

func FuzzCalendarText(f *testing.F) {
	for _, text := range []string{"", "plain", strings.Repeat("a", 74), strings.Repeat("é", 40), strings.Repeat("🛠️", 30), "a\\n\\;\\,\\\\", "\r\n\r \n,;\\", "\xff\xfe\x80", strings.Repeat("\x80", 100), "\u2028\u0085"} {
		f.Add(text)
	}
	controls := regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f]") // without tab and newline
	f.Fuzz(func(t *testing.T, text string) {
		line := "X:" + status.EscapeText(text)
		folded := string(status.FoldLine(line))
		lines := strings.SplitAfter(folded, "\r\n")
		for i, part := range lines[:len(lines)-1] {
			if len(part) > 77 || !utf8.ValidString(part) || strings.ContainsAny(part[:len(part)-2], "\r\n") || (i > 0) != strings.HasPrefix(part, " ") {
				t.Fatalf("%q", folded)
			}
		}
		if lines[len(lines)-1] != "" || strings.ReplaceAll(folded, "\r\n ", "") != line+"\r\n" {
			t.Fatalf("%q does not unfold to %q", folded, line)
		}
		// Unescape by RFC 5545 §3.3.11.
		read := strings.NewReplacer(`\\`, `\`, `\;`, `;`, `\,`, `,`, `\n`, "\n", `\N`, "\n").Replace(line[len("X:"):])
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(strings.ToValidUTF8(text, "\uFFFD"))
		if want = controls.ReplaceAllString(want, ""); read != want {
			t.Fatalf("%q is read as %q", want, read)
		}
		// Lines of any bytes are folded as well.
		if raw := string(status.FoldLine(text)); !strings.Contains(text, "\r\n ") && strings.ReplaceAll(raw, "\r\n ", "") != text+"\r\n" && !strings.Contains(text, "\r") && !strings.Contains(text, "\n") {
			t.Fatalf("%q does not unfold to %q", raw, text)
		}
	})
}
