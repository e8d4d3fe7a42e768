package schedule_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func TestLint(t *testing.T) {
	t.Parallel()
	const freeze = "freezes: [{from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid}]\n"
	now := instant(t, "2026-02-01T12:00:00Z")
	for _, c := range []struct {
		doc  string
		want string // empty: nothing is wrong
	}{
		{one(), ""},
		{one() + freeze, ""},
		{"windows: []\n", ""},
		{one("actual: {end: 2026-12-06T02:10:00Z}"), ""},
		{one("start: 2026-02-01T10:30:00Z"), `windows.yaml:4:12: window "w": start: is past: the window ended for good at 2026-02-01T11:30:00Z`},
		{one("start: 2026-02-01T11:30:00Z"), ""}, // in progress
		{one("start: 2026-02-01T11:30:00Z", "actual: {end: 2026-02-01T11:45:00Z}"), `is past: the window ended for good at 2026-02-01T11:45:00Z`},
		{one("start: 2026-01-01T02:00:00Z", "repeat: FREQ=DAILY"), ""},
		{one("start: 2026-01-01T02:00:00Z", "repeat: FREQ=DAILY;COUNT=3"), `start: is past: the window ended for good at 2026-01-03T03:00:00Z`},
		{one("start: 2026-01-01T02:00:00Z", "repeat: FREQ=DAILY;UNTIL=20260201"), `ended for good at 2026-02-01T03:00:00Z`},

		{one("start: 2026-03-29T02:30", "timezone: Europe/Madrid"), `windows.yaml:4:12: window "w": start: the clocks of Europe/Madrid jump over 2026-03-29T02:30:00: 2026-03-29T03:30:00+02:00 is meant`},
		{one("start: 2026-10-25T02:30", "timezone: Europe/Madrid"), `start: the clocks of Europe/Madrid show 2026-10-25T02:30:00 twice: the first is meant, 2026-10-25T02:30:00+02:00, and not 2026-10-25T02:30:00+01:00`},
		{one("start: 2026-10-25T02:30:00+01:00", "timezone: Europe/Madrid"), ""}, // an instant is plain
		{one("start: 2026-10-25T03:00", "timezone: Europe/Madrid"), ""},
		{one("start: 2026-10-25T01:59:59", "timezone: Europe/Madrid"), ""},
		{one("start: 2026-03-29T02:00", "timezone: Europe/Madrid"), `jump over 2026-03-29T02:00:00`},
		{one("start: 2026-03-29T03:00", "timezone: Europe/Madrid"), ""},
		{one("start: 2026-09-06T00:30", "timezone: America/Santiago"), `jump over 2026-09-06T00:30:00: 2026-09-06T01:30:00-03:00 is meant`},
		{one("start: 2026-01-05T02:30", "timezone: Europe/Madrid", "repeat: FREQ=DAILY"), `window "w": start: the clocks of Europe/Madrid jump over 2026-03-29T02:30:00`},
		{one("start: 2026-01-05T02:30", "timezone: Europe/Madrid", "repeat: FREQ=DAILY", "except: [2026-03-29]"), `show 2026-10-25T02:30:00 twice`},
		{one("start: 2026-01-05T02:30", "timezone: Europe/Madrid", "repeat: FREQ=WEEKLY;BYDAY=MO"), ""}, // clocks change on Sundays
		{one("start: 2026-01-05T04:30", "timezone: Europe/Madrid", "repeat: FREQ=DAILY"), ""},

		{one() + "freezes: [{from: 2025-12-20, to: 2026-01-07, timezone: Europe/Madrid}]\n", `windows.yaml:5:34: freezes[0].to: is past`},
		{one() + "freezes: [{from: 2026-03-29T02:30, to: 2026-04-01, timezone: Europe/Madrid}]\n", `freezes[0].from: the clocks of Europe/Madrid jump over 2026-03-29T02:30:00`},
		{one() + "freezes: [{from: 2026-03-29, to: 2026-04-01, timezone: Europe/Madrid, windows: [w]}]\n", `freezes[0].windows[0]: window "w" does not repeat, so freezes do not affect it`},
	} {
		faults := schedule.Lint("windows.yaml", []byte(c.doc), now)
		if c.want == "" {
			require.Empty(t, faults, c.doc)
			continue
		}
		require.Len(t, faults, 1, c.doc)
		require.Contains(t, faults.Error(), c.want)
		require.Equal(t, schedule.SeverityWarning, faults[0].Severity)
	}
	faults := schedule.Lint("windows.yaml", []byte(one("duration: -2h", "mode: shut")), now)
	require.Len(t, faults, 2, "what is wrong comes first")
	require.Equal(t, schedule.SeverityError, faults[0].Severity)
	require.Len(t, schedule.Lint("w", []byte("windows: ["), now), 1)
}
