package downtime_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// press opens a page, presses a button, and waits for the next page.
func (p *tab) press(url, label string) {
	p.t.Helper()
	p.open(url)
	eval[int](p, `document.querySelector('button[aria-label="`+label+`"]').click(), 1`)
	p.loaded()
}

// An operator extends, drains, completes and cancels windows on the page of one replica, with and without
// script. All three replicas follow within a second.
func TestCommandsInABrowser(t *testing.T) {
	t.Parallel()
	b := browse(t)
	for name, as := range map[string]reader{"with script": {zone: "Asia/Tehran"}, "without script": {noScript: true}, "narrow and dark": {width: 320, dark: true}} {
		path := filepath.Join(t.TempDir(), "windows.yaml")
		now := time.Now().Truncate(time.Minute).UTC()
		at := func(in time.Duration) string { return now.Add(in).Format(time.RFC3339) }
		require.NoError(t, os.WriteFile(path, []byte("windows:\n"+
			"- {id: w, start: "+at(-time.Hour)+", duration: 2h} # the database\n"+
			"- {id: later, start: "+at(5*time.Hour)+", duration: 1h, announce: 1d}\n"), 0o600))
		var guards []*downtime.Guard
		for range 3 {
			guards = append(guards, open(t, downtime.File(path), nil))
		}
		h, err := status.Handler(guards[0], &status.Options{
			Authorize: func(*http.Request) (string, error) { return "anna", nil },
			Editor:    downtime.FileEditor(path),
		})
		require.NoError(t, err)
		url, _ := site(t, http.StripPrefix("/maintenance", h))
		p := b.tab(as)
		p.open(url + "/maintenance/")
		ground := lightness(p.picture("commands, " + name))
		p.looksRight(as, url+"/maintenance/", ground)

		all := func(holds func(rep downtime.Report) bool, window string) {
			t.Helper()
			require.Eventually(t, func() bool {
				for _, g := range guards {
					if rep, err := g.Report(window); err != nil || !holds(rep) {
						return false
					}
				}
				return true
			}, time.Minute, 10*time.Millisecond, name)
		}
		until := now.Add(time.Hour + 15*time.Minute)
		p.press(url+"/maintenance/", "Extend w")
		all(func(rep downtime.Report) bool { return rep.End.Equal(until) }, "w")
		p.press(url+"/maintenance/", "Drain w")
		rep, err := guards[0].Report("w")
		require.NoError(t, err)
		require.True(t, rep.Unfinished, "this process knows that the work has begun")
		pressed := time.Now()
		p.press(url+"/maintenance/", "Complete w")
		all(func(rep downtime.Report) bool { return rep.Phase == schedule.PhaseCompleted }, "w")
		t.Logf("%s: all replicas had the command after %v", name, time.Since(pressed))
		p.press(url+"/maintenance/", "Cancel later")
		all(func(rep downtime.Report) bool { return rep.End.Equal(rep.Start) }, "later")

		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(text), "} # the database\n")
		require.Equal(t, 2, strings.Count(string(text), "actual: {"))
		require.NotContains(t, p.text("main"), "Complete")
	}
}
