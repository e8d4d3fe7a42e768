package schedule_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func TestParseReadsEveryField(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/windows.yaml")
	require.NoError(t, err)
	s, err := schedule.Parse("windows.yaml", data)
	require.NoError(t, err)
	w := s.Window("orders-db-upgrade")
	require.NotNil(t, w)
	require.Equal(t, "Orders database upgrade", w.Title)
	require.Equal(t, "team-orders", w.Owner)
	require.Equal(t, "https://runbooks.example/orders-db", w.Runbook)
	require.Equal(t, "2026-12-06T02:00:00+01:00", w.Start.Format(time.RFC3339))
	require.Equal(t, "Europe/Madrid", w.Timezone.String())
	require.Equal(t, 2*time.Hour, w.Duration)
	require.Equal(t, 72*time.Hour, w.Announce)
	require.Equal(t, 5*time.Minute, w.Cutoff)
	require.Equal(t, 90*time.Minute, w.Rollback)
	require.Equal(t, schedule.ModeClosed, w.Mode)
	require.Equal(t, []string{"/orders/**"}, w.Scope.Paths)
	require.Equal(t, []string{"import"}, w.Scope.Work)
	require.Equal(t, schedule.OverrunReopen, w.Overrun)
	require.Equal(t, schedule.OverrunHold, s.Window("mail").Overrun)
	require.Equal(t, "Orders are read again from 04:00.", w.Message)
	require.Equal(t, "2026-12-06T01:02:00Z", w.Actual.Begin.Format(time.RFC3339))
	require.True(t, w.Actual.End.IsZero())
	require.Nil(t, s.Window("other"))

	ids := []string{}
	for w := range s.Windows() {
		ids = append(ids, w.ID)
	}
	require.Equal(t, []string{"orders-db-upgrade", "mail", "weekly"}, ids)

	weekly := s.Window("weekly")
	require.Equal(t, "FREQ=WEEKLY;BYDAY=TU", weekly.Repeat)
	require.Equal(t, "2026-01-06T03:00:00-05:00", weekly.Start.Format(time.RFC3339), "the first that the rule hits")
	require.Empty(t, w.Repeat)
	starts := []string{}
	for o := range s.Occurrences(instant(t, "2026-12-07T00:00:00Z"), instant(t, "2027-01-14T00:00:00Z")) {
		require.Same(t, weekly, o.Window)
		starts = append(starts, o.Start.Format(time.DateOnly))
	}
	require.Equal(t, []string{"2026-12-08", "2027-01-12"}, starts)
	for f := range s.Freezes() {
		require.Equal(t, "Year end", f.Reason)
		require.Equal(t, "2026-12-20T00:00:00+01:00", f.From.Format(time.RFC3339))
		require.Equal(t, "2027-01-08T00:00:00+01:00", f.To.Format(time.RFC3339), "the last day is in it")
	}
}

// one returns a document of one window. The given lines replace the usual ones.
func one(lines ...string) string {
	all := []string{"id: w", "start: 2026-12-06T02:00:00Z", "duration: 1h"}
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		all = slices.DeleteFunc(all, func(l string) bool { return strings.HasPrefix(l, key+":") })
		all = append(all, line)
	}
	return "windows:\n  - " + strings.Join(all, "\n    ") + "\n"
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, want string }{
		{"", `windows.yaml: the document is empty`},
		{"null", `windows.yaml:1:1: the document is null`},
		{"a: [", `windows.yaml:1`},
		{"[]", `windows.yaml:1:1: the document must be a map, got a list`},
		{"{}", `windows.yaml:1:1: windows: is required; a schedule without windows says []`},
		{"windows: 3", `windows.yaml:1:10: windows: must be a list, got a number`},
		{"windows: [3]", `windows.yaml:1:11: windows[0]: must be a map, got a number`},
		{"windows: []\nallowShrink: 1", `windows.yaml:2:14: allowShrink: must be true or false, got a number`},
		{"windows: []\nwindow: []", `windows.yaml:2:1: unknown field "window" (did you mean "windows"?)`},
		{one("except: []"), `windows.yaml:5:13: window "w": except: has no meaning without repeat`},
		{one("overrun: keep"), `windows.yaml:5:14: window "w": overrun: must be hold or reopen, got "keep"`},
		{one("overrun: 1"), `windows.yaml:5:14: window "w": overrun: must be a string, got a number`},
		{one("dration: 2h"), `windows.yaml:5:5: window "w": unknown field "dration" (did you mean "duration"?)`},
		{one("duration: -2h"), `windows.yaml:4:15: window "w": duration: must be positive, got "-2h"`},
		{one("duration: 0s"), `windows.yaml:4:15: window "w": duration: must be positive, got "0s"`},
		{one("duration: 2"), `windows.yaml:4:15: window "w": duration: must be a duration such as "90m", "2h" or "3d", got a number`},
		{one("duration: two"), `windows.yaml:4:15: window "w": duration: must be a duration such as "90m", "2h" or "3d", got "two"`},
		{one("duration: 367d"), `windows.yaml:4:15: window "w": duration: must be at most 366d, got "367d"`},
		{one("announce: -1d"), `windows.yaml:5:15: window "w": announce: must be positive, got "-1d"`},
		{one("cutoff: 0m"), `windows.yaml:5:13: window "w": cutoff: must be positive, got "0m"`},
		{one("rollback: 90m"), `windows.yaml:5:15: window "w": rollback: must be at most the duration, 1h0m0s, got 1h30m0s`},
		{one("start: 2026-12-06T02:00"), `windows.yaml:4:12: window "w": start: "2026-12-06T02:00" is a wall clock time: add timezone, or write an instant with Z or an offset`},
		{one("start: 2026-12-06"), `windows.yaml:4:12: window "w": start: must be a time such as "2026-12-06T02:00" or "2026-12-06T01:00:00Z", got "2026-12-06"`},
		{one("start: 2026-13-06T02:00:00Z"), `windows.yaml:4:12: window "w": start: must be a time such as`},
		{one("start: 0001-01-01T00:00:00Z"), `windows.yaml:4:12: window "w": start: must lie between the years 1970 and 9000, got "0001-01-01T00:00:00Z"`},
		{one("timezone: Europe/Madird"), `windows.yaml:5:15: window "w": timezone: unknown time zone "Europe/Madird"`},
		{one("timezone: Local"), `windows.yaml:5:15: window "w": timezone: must be a name of the tz database, such as "Europe/Madrid", got "Local"`},
		{one("timezone: ''"), `windows.yaml:5:15: window "w": timezone: must be a name of the tz database`},
		{one("timezone: ../../etc/passwd"), `windows.yaml:5:15: window "w": timezone: unknown time zone`},
		{one("timezone: 3"), `windows.yaml:5:15: window "w": timezone: must be a string, got a number`},
		{one("start: 3"), `windows.yaml:4:12: window "w": start: must be a string, got a number`},
		{one("mode: 3"), `windows.yaml:5:11: window "w": mode: must be a string, got a number`},
		{one("runbook: ''"), `windows.yaml:5:14: window "w": runbook: must be an http or https URL, got ""`},
		{one("message: " + strings.Repeat("x", 2001)), `windows.yaml:5:14: window "w": message: must be at most 2000 bytes, got 2001`},
		{one("duration: " + strings.Repeat("x", 200)), `xx…"`},
		{one("scope: {work: [" + strings.Repeat("a, ", 1001) + "]}"), `window "w": scope.work: must have at most 1000 elements, got 1001`},
		{one("scope: {work: [" + strings.Repeat("a", 501) + "]}"), `window "w": scope.work[0]: must be at most 500 bytes, got 501`},
		{one("scope: {work: [1]}"), `window "w": scope.work[0]: must be a string, got a number`},
		{one("actual: {end: 3}"), `window "w": actual.end: must be a string, got a number`},
		{one("mode: shut"), `windows.yaml:5:11: window "w": mode: must be closed, read-only, rehearse or announce, got "shut"`},
		{one("mode: readonly"), `window "w": mode: must be closed, read-only, rehearse or announce, got "readonly" (did you mean "read-only"?)`},
		{one("strat: x"), `windows.yaml:5:5: window "w": unknown field "strat" (did you mean "start"?)`},
		{one("colour: x"), `windows.yaml:5:5: window "w": unknown field "colour"`},
		{one("title: 3"), `windows.yaml:5:12: window "w": title: must be a string, got a number`},
		{one("message: null"), `windows.yaml:5:14: window "w": message: must be a string, got null`},
		{one("runbook: javascript:alert(1)"), `windows.yaml:5:14: window "w": runbook: must be an http or https URL, got "javascript:alert(1)"`},
		{one("id: a b"), `windows.yaml:4:9: windows[0].id: must be letters, digits`},
		{one("scope:"), `windows.yaml:5:`},
		{one("scope: {paths: null}"), `windows.yaml:5:20: window "w": scope.paths: must be a list, got null`},
		{one("scope: {paths: [orders]}"), `windows.yaml:5:21: window "w": scope.paths[0]: must begin with "/"`},
		{one(`scope: {paths: ["/orders/*"]}`), `window "w": scope.paths[0]: must have "*" only as the segment "**"`},
		{one(`scope: {hosts: ["https://x"]}`), `window "w": scope.hosts[0]: must be a host without scheme and port`},
		{one(`scope: {hosts: ["x:80"]}`), `window "w": scope.hosts[0]: must be a host without scheme and port`},
		{one(`scope: {methods: ["G T"]}`), `window "w": scope.methods[0]: must be an HTTP method, got "G T"`},
		{one(`scope: {work: [""]}`), `window "w": scope.work[0]: must be a name`},
		{one("scope: {path: []}"), `windows.yaml:5:13: window "w": scope: unknown field "path" (did you mean "paths"?)`},
		{one("actual: {end: 2026-12-06T02:10}"), `windows.yaml:5:19: window "w": actual.end: must be an instant with Z or an offset`},
		{one("actual: {end: 2026-12-06T01:59:00Z}"), `windows.yaml:5:13: window "w": actual: the window would end, 2026-12-06T01:59:00Z, before it begins, 2026-12-06T02:00:00Z`},
		{one("actual: {begin: 2026-12-06T03:00:00Z}"), `window "w": actual: the window would end`},
		{one("actual: {ende: null}"), `windows.yaml:5:14: window "w": actual: unknown field "ende" (did you mean "end"?)`},
		{"windows:\n  - start: 2026-12-06T02:00:00Z\n    duration: 1h", `windows.yaml:2:5: windows[0].id: is required`},
		{"windows:\n  - id: x", `windows.yaml:2:5: window "x": start: is required`},
	} {
		s, err := schedule.Parse("windows.yaml", []byte(c.doc))
		require.Error(t, err, c.doc)
		require.Nil(t, s)
		require.Contains(t, err.Error(), c.want, c.doc)
		var fault *schedule.Fault
		require.ErrorAs(t, err, &fault)
		require.Equal(t, "windows.yaml", fault.File)
		require.Equal(t, strings.Contains(c.want, "not supported"), errors.Is(err, errors.ErrUnsupported))
	}
}

func TestParseReportsAllFaultsTogether(t *testing.T) {
	t.Parallel()
	_, err := schedule.Parse("windows.yaml", []byte(`windows:
  - id: db-upgrade
    start: 2026-12-06T02:00
    timezone: Europe/Nowhere
    duration: -2h
    repeat: FREQ=HOURLY
  - id: db-upgrade
    start: tomorrow
    duration: 1h
    scope: {paths: [x, /ok, y]}
`))
	var faults schedule.Faults
	require.ErrorAs(t, err, &faults)
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%d %s %s", f.Line, f.Window, f.Field))
	}
	require.Equal(t, []string{
		"4 db-upgrade timezone", "5 db-upgrade duration", "6 db-upgrade repeat",
		"7 db-upgrade id", "8 db-upgrade start", "10 db-upgrade scope.paths[0]", "10 db-upgrade scope.paths[2]",
	}, got)
	require.Contains(t, err.Error(), `windows.yaml:5:15: window "db-upgrade": duration: must be positive, got "-2h"`)
	require.Contains(t, err.Error(), `is already used on line 2`)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	for _, f := range faults {
		require.Equal(t, schedule.SeverityError, f.Severity)
	}
	require.Equal(t, "error", schedule.SeverityError.String())
	require.Equal(t, "warning", schedule.SeverityWarning.String())
}

func TestManyFaultsAreNotAllPrinted(t *testing.T) {
	t.Parallel()
	_, err := schedule.Parse("w", []byte("windows: ["+strings.TrimSuffix(strings.Repeat("1,", 500), ",")+"]"))
	var faults schedule.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 500)
	require.Contains(t, err.Error(), "and 450 more")
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "90m": 90 * time.Minute, "72h": 72 * time.Hour, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour,
		"1d0h": 24 * time.Hour, "366d": 366 * 24 * time.Hour, "1.5h": 90 * time.Minute,
		"PT2H": 2 * time.Hour, "pt90m": 90 * time.Minute, "P3D": 72 * time.Hour, "P1DT12H": 36 * time.Hour, "P1W": 7 * 24 * time.Hour,
		"PT1H30M5S": 90*time.Minute + 5*time.Second, "P366D": 366 * 24 * time.Hour, "P1DT0S": 24 * time.Hour,
	} {
		s, err := schedule.Parse("w", []byte(one(fmt.Sprintf("duration: %q", text))))
		require.NoError(t, err, text)
		require.Equal(t, want, s.Window("w").Duration, text)
	}
	for _, text := range []string{
		"", "d", "1", "1.5d", "1d1d", "-1h", "-1d12h", "1d-12h", "1d+1h", "--1h", "0d", "0h", "366d1s", "99999999999d",
		"9999999h", "P", "PT", "P1DT", "PT0S", "P0W", "P367D", "P999W", "PT999999M", "P1M", "P1Y", "P1", "PT1D", "P1H", "P1W1D", "-PT2H", "+PT2H", "PT-2H", "1w", "1 h", "NaNh", "+-1h", "-", "+1d-1h",
	} {
		_, err := schedule.Parse("w", []byte(one(fmt.Sprintf("duration: %q", text))))
		require.ErrorContains(t, err, `window "w": duration: must be `, text)
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/windows.yaml")
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(`{"windows":[{"id":"a","start":"2026-12-06T02:00:00Z","duration":"1h","mode":"read-only","scope":{"paths":["/a/{b}/**","/{$}"],"hosts":["*.x.example","[::1]"],"methods":["GET"],"work":["*"]}}],"allowShrink":true}`))
	f.Add([]byte(`windows: []`))
	before, err := schedule.Parse("windows.yaml", data)
	require.NoError(f, err)
	f.Add([]byte(one("duration: -2h", "timezone: Local", "repeat: x", "actual: {end: null}")))
	f.Add([]byte(one("start: 2026-12-06T02:00", "timezone: Pacific/Apia", "duration: 25h", "repeat: FREQ=MONTHLY;INTERVAL=3;BYDAY=2TU,-1SU;COUNT=9", "except: [2027-03-09]") + "freezes:\n  - {from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, reason: x}\n"))
	f.Add([]byte(one("repeat: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1,29;UNTIL=20991231", "actual: {begin: 2027-02-28T01:30:00Z, until: 2027-03-01T00:00:00Z}")))
	f.Add([]byte(one("start: 1970-01-01T02:30", "timezone: Antarctica/Troll", "repeat: FREQ=WEEKLY;INTERVAL=97;WKST=SU;UNTIL=99991231T000000Z")))
	f.Add([]byte(one("start: 9000-12-31T23:59:59-12:00", "duration: 366d", "announce: 366d")))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := schedule.Parse("w", data)
		if kept, faults, refused := schedule.Update(before, "w", data); (err == nil) != (len(faults) == 0) || (kept == nil) == (refused == nil) {
			t.Fatalf("Update disagrees with Parse: %v, %v, %v", faults, refused, err)
		}
		faults := schedule.Lint("w", data, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
		for _, f := range faults {
			require.Equal(t, err == nil, f.Severity == schedule.SeverityWarning, f)
		}
		if err != nil {
			var fault *schedule.Fault
			if s != nil || !errors.As(err, &fault) || err.Error() == "" {
				t.Fatalf("no typed fault: %v", err)
			}
			return
		}
		// At works at the edges of every window.
		n := 0
		for w := range s.Windows() {
			n++
			if w.ID == "" || w.Duration <= 0 || s.Window(w.ID) != w {
				t.Fatalf("accepted %+v", w)
			}
		}
		seen, once := 0, 0
		repeats := map[*schedule.Window]int{}
		for o := range s.Occurrences(time.Unix(-1<<40, 0), time.Unix(1<<40, 0)) {
			if seen++; seen == 3000 {
				return // enough of windows that repeat
			}
			if o.Window.Repeat == "" {
				once++
			} else {
				repeats[o.Window]++
			}
			if o.End.Before(o.Start) || o.Cutoff().After(o.Start) || o.Announced().After(o.Cutoff()) {
				t.Fatalf("out of order: %+v", o)
			}
			if o.Start.Before(o.End) && o.Phase(o.Start) != schedule.PhaseInProgress || o.Phase(o.End) != schedule.PhaseCompleted {
				t.Fatalf("phases of %+v", o)
			}
			s.At(o.Start)
		}
		if once+len(repeats) != n {
			t.Fatalf("%d windows, %d take place once and %d again and again", n, once, len(repeats))
		}
	})
}
