package schedule_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// plan lists the windows and freezes of a schedule, each with a field that shows its definition.
func plan(s *schedule.Schedule) string {
	var all []string
	for w := range s.Windows() {
		line := w.ID + " " + w.Title
		if !w.Actual.End.IsZero() {
			line += " ended"
		}
		all = append(all, line)
	}
	for f := range s.Freezes() {
		all = append(all, "freeze "+f.Reason)
	}
	return strings.Join(all, ", ")
}

// A fault affects only its own window. The others follow the new document.
func TestUpdate(t *testing.T) {
	t.Parallel()
	const (
		a      = "  - {id: a, title: %, start: 2026-01-06T03:00:00Z, duration: 1h, repeat: FREQ=DAILY"
		b      = "  - {id: b, title: %, start: 2026-01-06T03:00:00Z, duration: 1h"
		freeze = "freezes:\n  - {from: 2026-02-01, to: 2026-02-02, timezone: UTC, reason: old}\n"
	)
	line := func(window, title, more string) string {
		return strings.Replace(window, "%", title, 1) + more + "}\n"
	}
	before := parse(t, "windows:\n"+line(a, "A1", "")+line(b, "B1", "")+freeze)
	old := strings.TrimPrefix(freeze, "freezes:\n")
	for _, c := range []struct{ name, doc, want, faults string }{
		{"sound", line(a, "A2", "") + line(b, "B2", "") + freeze, "a A2, b B2, freeze old", ""},
		{
			"another window's except no longer fits", line(a, "A2", ", except: [2026-01-05]") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}") + freeze,
			"a A1, b B2 ended, freeze old", `window "a": except[0]: must be a day on which the window takes place by repeat, got "2026-01-05"`,
		},
		{"its own other field", line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}, mode: shut"), "b B1", `window "b": mode: must be`},
		{"an unknown field of a window", line(a, "A2", ", colour: red") + line(b, "B2", ""), "a A1, b B2", `unknown field "colour"`},
		{"twice", line(a, "A2", "") + line(b, "B2", "") + line(a, "A3", ""), "a A1, b B2", "is already used on line 2"},
		{"new and faulty", line(b, "B2", "") + "  - {id: c, start: soon, duration: 1h}\n", "b B2", "must be a time such as"},
		{"new and twice", line(b, "B2", "") + "  - {id: c, start: 2026-01-06T03:00:00Z, duration: 1h}\n  - {id: c, start: 2026-01-07T03:00:00Z, duration: 1h}\n", "b B2", "is already used"},
		{"no id", line(b, "B2", "") + "  - {start: 2026-01-06T03:00:00Z, duration: 1h}\n", "b B2, a A1", "windows[1].id: is required"},
		{"a misspelt id", strings.Replace(line(a, "A2", ""), "id: a", "id: a!", 1) + line(b, "B2", ""), "b B2, a A1", `windows[0].id: must be letters`},
		{"no map", line(b, "B2", "") + "  - 3\n", "b B2, a A1", "windows[1]: must be a map"},
		{
			"a faulty freeze", line(a, "A2", "") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}") + freeze + "  - {from: 2026-03-01, to: 2026-02-01, timezone: UTC}\n",
			"a A2, b B2 ended, freeze old", "freezes[1].to: must be after from",
		},
		{"a freeze of no window", line(b, "B2", "") + "freezes:\n  - {from: 2026-03-01, to: 2026-03-02, timezone: UTC, reason: new, windows: [x]}\n", "b B2, freeze old", `unknown window "x"`},
		{"an unknown field of the document", "window: []\nwindows:\n" + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "b B2 ended, a A1", `unknown field "window" (did you mean "windows"?)`},
		{"a faulty allowShrink", "allowShrink: maybe\nwindows:\n" + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "b B2 ended, a A1", "allowShrink: must be true or false"},
		{"windows twice", "windows:\n" + line(a, "A2", "") + "windows:\n" + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "a A2, b B2 ended", `key "windows" is already given on line 1`},
		{"windows twice, one with all", "windows: []\nwindows:\n" + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "b B2 ended, a A1", `key "windows" is already given on line 1`},
		{"windows in JSON", `{"windows": [{"id": "b", "title": "B2", "start": "2026-01-06T03:00:00Z", "duration": "1h", "actual": {"end": "2026-01-06T03:30:00Z"}}, {"id": "a", "id": "a"}], "x": 1}` + "#windows:\n", "b B2 ended, a A1", `window "a": key "id" is already given`},
		{"allowShrink twice", "allowShrink: true\nallowShrink: true\nwindows:\n" + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "b B2 ended, a A1", `key "allowShrink" is already given on line 1`},
		{"freezes twice", line(a, "A2", "") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}") + freeze + "freezes: []\n", "a A2, b B2 ended, freeze old", `key "freezes" is already given`},
		{"a key of a window twice", line(a, "A2", ", title: A3") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "a A1, b B2 ended", `window "a": key "title" is already given on line 2`},
		{"a key of a scope twice", line(a, "A2", ", scope: {paths: [/a], paths: [/b]}") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "a A1, b B2 ended", `window "a": scope: key "paths" is already given`},
		{"an id twice in one window", line(b, "B2", ", id: a"), "b B1, a A1", `window "b": key "id" is already given`},
		{"a key that is a list", line(a, "A2", ", [x]: y") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "a A1, b B2 ended", `window "a": a key must be a plain text`},
		{"an unknown tag", line(a, "!x A2", "") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "a A1, b B2 ended", `window "a": title: tag !x is not supported`},
		{"a merge of no map", line(a, "A2", ", <<: 3") + line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}"), "a A1, b B2 ended", `window "a": <<: must be a map or a list of maps`},
		{"a key of a freeze twice", line(b, "B2", ", actual: {end: 2026-01-06T03:30:00Z}") + "freezes:\n  - {from: 2026-03-01, to: 2026-03-02, timezone: UTC, to: 2026-03-03}\n", "b B2 ended, freeze old", `freezes[0]: key "to" is already given`},
		{"no freezes", line(b, "B2", "") + "freezes: 3\n", "b B2, freeze old", "freezes: must be a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc := strings.TrimSuffix(c.doc, "#windows:\n")
			if !strings.Contains(c.doc, "windows:\n") {
				doc = "windows:\n" + doc
			}
			s, faults, err := schedule.Update(before, "windows.yaml", []byte(doc))
			require.NoError(t, err)
			require.Equal(t, c.want, plan(s))
			if c.faults == "" {
				require.Empty(t, faults)
				return
			}
			require.ErrorContains(t, faults, c.faults)
			_, err = schedule.Parse("windows.yaml", []byte(doc))
			require.Equal(t, faults, err, "Parse reports the same, all of it")
			_, _, err = schedule.Update(nil, "windows.yaml", []byte(doc))
			require.Equal(t, faults, err, "there is nothing to keep")
		})
	}
	for name, doc := range map[string]string{
		"no document": "windows: [", "empty": "", "a list": "[]", "no windows": "freezes: []", "windows: no list": "windows: 3",
		"a second document": "windows: []\n---\nwindows: []", "an unknown anchor": "windows: [*a]",
	} {
		s, faults, err := schedule.Update(before, "windows.yaml", []byte(doc))
		require.Error(t, err, name)
		require.Nil(t, s, name)
		require.Equal(t, faults, err, name)
	}

	// A kept definition obeys the freezes of the new document, unless they would leave no
	// occurrence.
	kept := func(freeze string) string {
		s, faults, err := schedule.Update(before, "w", []byte("windows:\n"+line(a, "A2", ", mode: shut")+"freezes:\n"+freeze))
		require.NoError(t, err)
		require.Len(t, faults, 1)
		require.Equal(t, "a A1", strings.Split(plan(s), ",")[0])
		return what(s, instant(t, "2026-01-31T00:00:00Z"), instant(t, "2026-02-05T00:00:00Z"))
	}
	require.Equal(t, "31 03:00-04:00, 03 03:00-04:00, 04 03:00-04:00", kept(old))
	require.Equal(t, "31 03:00-04:00, 01 03:00-04:00, 04 03:00-04:00", kept("  - {from: 2026-02-02, to: 2026-02-03, timezone: UTC}\n"))
	require.Equal(t, "31 03:00-04:00, 03 03:00-04:00, 04 03:00-04:00", kept("  - {from: 2000-01-01, to: 9000-12-31T23:00:00Z, timezone: UTC}\n"), "as before")
	require.Equal(t, "31 03:00-04:00, 03 03:00-04:00, 04 03:00-04:00", what(before, instant(t, "2026-01-31T00:00:00Z"), instant(t, "2026-02-05T00:00:00Z")), "what was in use is not changed")
}

// After an update with any two documents, the schedule works, its ids are unique, and each window
// without faults follows the new document.
func FuzzUpdate(f *testing.F) {
	data, err := os.ReadFile("testdata/windows.yaml")
	require.NoError(f, err)
	f.Add(data, []byte("windows:\n  - {id: a, start: soon, duration: 1h}\n"))
	f.Add([]byte("windows: [{id: a, start: 2026-01-06T03:00:00Z, duration: 1h, repeat: FREQ=DAILY}]"), data)
	f.Add([]byte("windows: [{id: a, start: 2026-01-06T03:00:00Z, duration: 1h, repeat: FREQ=DAILY, actual: {end: 2026-01-07T03:30:00Z}}]"),
		[]byte("windows: [{id: a, mode: shut}, {id: b!}, {id: a, start: 2026-01-06T03:00:00Z, duration: 1h}]\nfreezes: [{from: 2026-01-07, to: 2026-01-08, timezone: UTC}, {from: 1}]"))
	f.Add([]byte("windows: [{id: a, start: 2026-01-06T03:00:00Z, duration: 1h, repeat: FREQ=WEEKLY}]\nfreezes: [{from: 2026-01-07, to: 2026-01-08, timezone: UTC, windows: [a]}]"),
		[]byte("windows: [{}]\nfreezes: [{from: 2026-01-01, to: 2026-12-31, timezone: UTC, windows: [a]}]\nallowShrink: true"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		prev, err := schedule.Parse("w", first)
		if err != nil {
			return
		}
		now := time.Date(2026, 1, 7, 3, 15, 0, 0, time.UTC)
		s, faults, err := schedule.Update(prev, "w", second)
		if err != nil {
			require.Nil(t, s)
			return
		}
		faulty := map[string]bool{}
		for _, fault := range faults {
			faulty[fault.Window] = true
			require.NotEmpty(t, fault.Error())
		}
		seen := map[string]bool{}
		for w := range s.Windows() {
			require.False(t, seen[w.ID], w.ID)
			seen[w.ID] = true
			require.Same(t, w, s.Window(w.ID))
			if faulty[w.ID] {
				require.NotNil(t, prev.Window(w.ID), "only what was known can be kept")
			}
			s.Current(w, now)
		}
		for w := range prev.Windows() {
			require.True(t, !faulty[w.ID] || seen[w.ID], "a faulty window is kept")
		}
		for range s.Keeping(prev, now).Pending(now) {
		}
		s.At(now)
		if again, faults, err := schedule.Update(s, "w", second); err != nil || again == nil {
			t.Fatalf("the same document is refused the second time: %v, %v", faults, err)
		}
	})
}
