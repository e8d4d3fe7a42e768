package downtime_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// A fault affects its own window only: the same edit ends another window at once.
func TestAFaultDoesNotBlockAnEnd(t *testing.T) {
	t.Parallel()
	const (
		w      = `  - {id: w, start: "2000-01-01T00:00:00Z", duration: 1h, scope: {paths: [/w]}`
		ended  = w + `, actual: {end: "2000-01-01T00:00:05Z"}}` + "\n"
		other  = `  - {id: other, start: "2000-01-01T01:00:00Z", duration: 1h, scope: {paths: [/other]}, repeat: FREQ=DAILY`
		freeze = "freezes:\n  - {from: 2000-01-03, to: 2000-01-04, timezone: UTC}\n"
	)
	for name, c := range map[string]struct{ edit, window, fault string }{
		"an except that no longer fits": {ended + other + ", except: [1999-12-01]}\n" + freeze, "other", "except[0]"},
		"a mode that does not exist":    {ended + other + ", mode: shut}\n" + freeze, "other", "mode"},
		"an unknown field":              {ended + other + ", colour: red}\n" + freeze, "other", "colour"},
		"a scope that is no pattern":    {ended + strings.Replace(other, "[/other]", "['{']", 1) + "}\n" + freeze, "other", "scope.paths[0]"},
		"an end for no occurrence":      {ended + other + `, actual: {end: "1999-01-01T00:00:00Z"}}` + "\n" + freeze, "other", "actual"},
		"an id used twice":              {ended + other + "}\n" + other + ", mode: read-only}\n" + freeze, "other", "id"},
		"an id that is no id":           {ended + strings.Replace(other, "id: other", "id: other!", 1) + "}\n" + freeze, "", "windows[1].id"},
		"a freeze that ends first":      {ended + other + "}\n" + strings.Replace(freeze, "to: 2000-01-04", "to: 2000-01-01", 1), "", "freezes[0].to"},
		"a freeze of an unknown window": {ended + other + "}\n" + strings.Replace(freeze, "UTC}", "UTC, windows: [othr]}", 1), "", "freezes[0].windows[0]"},
		"freezes that are no list":      {ended + other + "}\nfreezes: never\n", "", "freezes"},
		"an unknown field outside":      {ended + other + "}\n" + freeze + "owner: me\n", "", "owner"},
		"a faulty allowShrink":          {ended + other + "}\n" + freeze + "allowShrink: maybe\n", "", "allowShrink"},
		"a key that is there twice":     {ended + other + ", duration: 2h}\n" + freeze, "other", ""},
		"an unknown tag":                {ended + other + ", title: !secret x}\n" + freeze, "other", "title"},
		"freezes that are there twice":  {ended + other + "}\n" + freeze + "freezes: []\n", "", ""},
		"a faulty window that is new":   {ended + other + "}\n  - {id: new, start: soon, duration: 1h}\n" + freeze, "new", "start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				src := newSource("windows:\n" + w + "}\n" + other + "}\n" + freeze)
				g := open(t, src, &downtime.Options{Logger: logTo(&log)})
				h := g.Handler(ok)
				require.Equal(t, 503, get(h, "POST", "/w").Code)
				revision := g.Revision()
				later(10 * time.Second)
				heard := listen(t, g)
				src.set("windows:\n"+c.edit, nil)
				require.Equal(t, 200, get(h, "POST", "/w").Code, "it is ended")
				require.NotEqual(t, revision, g.Revision())

				var fault *schedule.Fault
				problems := g.Problems()
				require.NotEmpty(t, problems)
				require.ErrorAs(t, problems[0], &fault)
				require.Equal(t, []string{c.window, c.fault}, []string{fault.Window, fault.Field})
				require.Positive(t, fault.Line)
				require.InDelta(t, len(problems), g.Stats()["problems"], 0)
				events := strings.Join(heard(), "\n")
				for _, problem := range problems {
					require.Contains(t, log.String(), `level=WARN msg="document has a problem" document=`+src.Name()+" err="+strconv.Quote(problem.Error()))
					require.Contains(t, events, problem.Error())
				}
				operators, err := status.Handler(g, &status.Options{Authorize: func(*http.Request) (string, error) { return "", nil }})
				require.NoError(t, err)
				require.Contains(t, get(operators, "GET", "/", "Accept", "text/html").Body.String(), c.fault)

				// The other window, and the freeze, are as they were.
				later(time.Hour)
				require.Equal(t, 503, get(h, "POST", "/other").Code)
				later(48 * time.Hour)
				require.Equal(t, 200, get(h, "POST", "/other").Code, "frozen")
				later(48 * time.Hour)
				require.Equal(t, 503, get(h, "POST", "/other").Code)

				src.set("windows:\n"+w+"}\n"+other+"}\n"+freeze, nil)
				require.Empty(t, g.Problems())
			})
		})
	}
}

// A window that becomes faulty while it is in progress or announced stays as it was. A new window with
// a fault does not take place.
func TestAFaultyWindowKeepsItsDefinition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := func(id, start, more string) string {
			return `  - {id: ` + id + `, start: "2000-01-01T` + start + `:00Z", duration: 1h, scope: {paths: [/` + id + `]}` + more + "}\n"
		}
		src := newSource(windows(line("a", "00:00", ""), line("b", "02:00", "")))
		g := open(t, src, nil)
		h := g.Handler(ok)
		for range 3 { // edit after edit
			later(time.Minute)
			src.set(windows(line("a", "00:00", ", mode: off"), line("b", "03:00", ", cutoff: -1m"), line("c", "00:00", ", overrun: never")), nil)
			require.Len(t, g.Problems(), 3)
			require.Equal(t, 503, get(h, "POST", "/a").Code)
			require.Equal(t, 200, get(h, "POST", "/c").Code)
		}
		later(2 * time.Hour)
		require.Equal(t, 200, get(h, "POST", "/a").Code)
		require.Equal(t, 503, get(h, "POST", "/b").Code)
		_, err := g.Report("c")
		require.ErrorIs(t, err, downtime.ErrUnknownWindow)

		src.set("windows:\n"+line("b", "02:00", ", title: new")+"window: []\n", nil)
		require.Len(t, g.Problems(), 1)
		_, err = g.Report("a")
		require.NoError(t, err, "it may be what is in the unknown field")
		rep, err := g.Report("b")
		require.NoError(t, err)
		require.Equal(t, "new", rep.Occurrence.Window.Title, "it is as the document says")
	})
	synctest.Test(t, func(t *testing.T) { // Strict refuses the document
		good := windows(window("w", 0, time.Hour, ""))
		src := newSource(good)
		g := open(t, src, &downtime.Options{Strict: true})
		before := g.Revision()
		src.set(good+"  - {id: x, start: soon, duration: 1h}\n", nil)
		require.Equal(t, before, g.Revision())
		require.Len(t, g.Problems(), 1)
	})
}

// The last good copy is without faults, because a start without the source could not use it otherwise.
func TestLastGoodCopyIsWithoutFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "last-good")
		line := func(more string) string {
			return windows(`  - {id: w, start: "2000-01-01T00:00:00Z", duration: 2h` + more + "}\n")
		}
		const faulty = "  - {id: x, start: soon, duration: 1h}\n"
		good, ended := line(""), line(`, actual: {end: "2000-01-01T00:10:00Z"}`)+faulty
		src := newSource(good)
		g := open(t, src, &downtime.Options{LastGood: path})
		later(11 * time.Minute)
		src.set(ended, nil)
		require.Equal(t, 200, get(g.Handler(ok), "POST", "/").Code)
		copied, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, good, string(copied))

		// A start with the faulty document uses the copy only for the window with the fault.
		again := open(t, src, &downtime.Options{LastGood: path})
		require.Equal(t, 200, get(again.Handler(ok), "POST", "/").Code)
		require.Len(t, again.Problems(), 1)
		copied, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, good, string(copied))
		sound := line(", title: new")
		src.set(sound, nil)
		copied, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, sound, string(copied))

		// Without a copy the rule of Boot holds.
		src.set(ended, nil)
		cold := open(t, src, nil)
		require.Equal(t, 503, get(cold.Handler(ok), "POST", "/").Code)
		require.Equal(t, 200, get(cold.Handler(ok), "GET", "/").Code)
		src.set("", errors.New("away"))
	})
}

// A restart reads the document as a running guard does: the emergency end stays in effect.
func TestARestartKeepsAnEndBesideAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const (
			before = `windows:
  - {id: w, start: "2000-01-01T00:00:00Z", duration: 2h, scope: {paths: [/w]}}
  - {id: other, start: "2000-01-01T00:00:00Z", duration: 2h, scope: {paths: [/other]}}
`
			after = `windows:
  - {id: w, start: "2000-01-01T00:00:00Z", duration: 2h, scope: {paths: [/w]}, actual: {end: "2000-01-01T00:00:10Z"}}
  - {id: other, start: "2000-01-01T00:00:00Z", duration: soon, scope: {paths: [/other]}}
`
		)
		for _, strict := range []bool{false, true} {
			copied := filepath.Join(t.TempDir(), "windows")
			require.NoError(t, os.WriteFile(copied, []byte(before), 0o600))
			later(20 * time.Second)
			var log logBuffer
			g, err := downtime.Open(t.Context(), newSource(after), &downtime.Options{LastGood: copied, Logger: logTo(&log), Strict: strict})
			if strict {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			defer g.Close()
			h := g.Handler(ok)
			require.Equal(t, 200, get(h, "POST", "/w").Code, "ended")
			require.Equal(t, 503, get(h, "POST", "/other").Code, "as before")
			require.Len(t, g.Problems(), 1)
			data, err := os.ReadFile(copied)
			require.NoError(t, err)
			require.Equal(t, before, string(data), "the copy has no fault")
		}
	})
}
