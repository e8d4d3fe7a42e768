package downtime_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// secret is a document with what users may see and what they must not.
func secret() string {
	return windows(
		window("past", -3*time.Hour, time.Hour, `, title: Certificates`),
		window("ancient", -300*time.Hour, time.Hour, ""),
		window("orders", -time.Minute, time.Hour, `, title: "Orders <b>", message: "Back & soon", owner: SECRET-owner, runbook: "https://SECRET.example/", rollback: 30m, timezone: Europe/Madrid, scope: {paths: [/SECRET/**], work: [SECRET-job], hosts: [SECRET.example], methods: [POST]}`),
		window("next", 2*time.Hour, time.Hour, ", announce: 3h, cutoff: 150m, mode: read-only"),
		window("shown", 3*time.Hour, time.Hour, ", announce: 4h, mode: announce"),
		window("SECRET-rehearsal", 0, time.Hour, ", mode: rehearse, announce: 1d"),
		window("SECRET-unannounced", 48*time.Hour, time.Hour, ", announce: 1h"))
}

var publicPaths = []string{
	"/", "/upcoming.json", "/active.json", "/calendar.ics",
	"/api/v2/scheduled-maintenances/upcoming.json", "/api/v2/scheduled-maintenances/active.json",
}

func TestPublicStatusTellsNoSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(secret())
		g := open(t, src, &downtime.Options{Service: "Shop", StatusURL: "https://status.example/"})
		_, err := g.Enter(t.Context(), downtime.Work{Name: "other-SECRET"})
		require.NoError(t, err)
		src.set(`windows: [{id: orders, SECRET: 1}]`, nil) // a problem that names what it is about
		require.NotEmpty(t, g.Problems())
		public, operators := g.PublicStatusHandler(), http.StripPrefix("/maintenance", g.StatusHandler())
		for _, path := range publicPaths {
			w := get(public, "GET", path, "Accept", browser)
			require.Equal(t, 200, w.Code, path)
			require.NotContains(t, strings.ToUpper(w.Body.String()), "SECRET", path)
			require.NotContains(t, w.Body.String(), g.Revision(), path)
		}
		require.Equal(t, 404, get(public, "GET", "/status.json").Code)
		require.Contains(t, get(public, "GET", "/").Body.String(), "Orders &lt;b&gt;")
		require.Contains(t, get(public, "GET", "/").Body.String(), "Certificates")
		require.NotContains(t, get(public, "GET", "/").Body.String(), "ancient")

		page := get(operators, "GET", "/maintenance/", "Accept", browser).Body.String()
		for _, shown := range []string{"SECRET-owner", "https://SECRET.example/", "paths /SECRET/**", "SECRET-rehearsal", "SECRET-unannounced", "SECRET: unknown field", g.Revision(), "1 busy, oldest 1s (other-SECRET 1)"} {
			require.Contains(t, page, shown)
		}
		require.Contains(t, get(operators, "GET", "/maintenance/calendar.ics").Body.String(), "SECRET-unannounced")
		for _, path := range []string{"/upcoming.json", "/active.json"} {
			require.Equal(t, get(public, "GET", path).Body.String(), get(operators, "GET", "/maintenance"+path).Body.String(), "programs get the same from both")
		}
	})
}

func TestStatusHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(secret()), nil)
		public, operators := g.PublicStatusHandler(), g.StatusHandler()
		types := map[string]string{"/": "text/html; charset=utf-8", "/calendar.ics": "text/calendar; charset=utf-8"}
		for _, path := range append(publicPaths, "", "/status.json") {
			for _, h := range []http.Handler{public, operators} {
				serve := func(method string) *httptest.ResponseRecorder {
					return get(http.StripPrefix("/m", h), method, "/m"+path, "Accept", browser)
				}
				w := serve("GET")
				if h == public && path == "/status.json" || h == operators && strings.HasPrefix(path, "/api") {
					require.Equal(t, 404, w.Code)
					continue
				}
				require.Equal(t, 200, w.Code, path)
				want := types["/"+strings.TrimPrefix(path, "/")]
				if want == "" {
					want = "application/json"
				}
				require.Equal(t, want, w.Header().Get("Content-Type"), path)
				require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
				require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
				csp := w.Header().Get("Content-Security-Policy")
				require.True(t, strings.HasPrefix(csp, "default-src 'none'; "), csp)
				require.True(t, strings.HasSuffix(csp, "; frame-ancestors 'none'"), csp)
				require.NotContains(t, csp, "unsafe")
				if h == operators {
					require.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
					require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"), "operators' status is for no other page")
					require.Empty(t, w.Header().Get("Etag"))
				} else {
					require.Regexp(t, `^public, max-age=(5|30)$`, w.Header().Get("Cache-Control"))
					require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
				}
				require.Equal(t, h == operators && want == types["/"], w.Header().Get("Vary") == "Accept", path)

				head := serve("HEAD")
				require.Zero(t, head.Body.Len())
				require.Equal(t, w.Header(), head.Header())
				post := serve("POST")
				require.Equal(t, 405, post.Code)
				require.Equal(t, "GET, HEAD", post.Header().Get("Allow"))
			}
		}
		require.Equal(t, 404, get(public, "GET", "/other").Code)
		require.Equal(t, "application/json", get(operators, "GET", "/").Header().Get("Content-Type"), "JSON, as ever, for who does not ask for a page")
		require.Contains(t, get(operators, "GET", "/", "Accept", browser).Body.String(), `href="calendar.ics"`)
		for _, h := range []http.Handler{public, operators} { // without the slash relative links would lead elsewhere
			require.NotContains(t, get(http.StripPrefix("/m", h), "GET", "/m", "Accept", browser).Body.String(), "href=\"calendar.ics")
		}
	})
}

// What is public can be kept, and is sent again only when it is another.
func TestPublicStatusIsAskedForConditionally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(secret())
		h := open(t, src, nil).PublicStatusHandler()
		for _, path := range publicPaths[1:] {
			tag := get(h, "GET", path).Header().Get("Etag")
			require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
			again := get(h, "GET", path, "If-None-Match", tag)
			require.Equal(t, 304, again.Code)
			require.Zero(t, again.Body.Len())
			require.Equal(t, 304, get(h, "GET", path, "If-None-Match", `"x", W/`+tag).Code)
			require.Equal(t, 200, get(h, "GET", path, "If-None-Match", `"x"`).Code)
		}
		tag := get(h, "GET", "/upcoming.json").Header().Get("Etag")
		later(90 * time.Minute)
		require.Equal(t, 304, get(h, "GET", "/upcoming.json", "If-None-Match", tag).Code, "time alone changes nothing")
		later(40 * time.Minute) // next has begun
		require.Equal(t, 200, get(h, "GET", "/upcoming.json", "If-None-Match", tag).Code)
	})
}

// However many ask, an answer is made once a second, or when the document changes.
func TestPublicStatusIsMadeOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(secret())
		h := open(t, src, nil).PublicStatusHandler()
		made := func() string { return submatches(get(h, "GET", "/").Body.String(), `data-now="([^"]*)"`)[0] }
		require.Equal(t, "2000-01-01T00:00:00Z", made())
		later(999 * time.Millisecond)
		all := make(chan string)
		for range 10 {
			go func() { all <- made() }()
		}
		for range 10 {
			require.Equal(t, "2000-01-01T00:00:00Z", <-all)
		}
		later(time.Millisecond)
		require.Equal(t, "2000-01-01T00:00:01Z", made())
		src.set(windows(window("new", time.Hour, time.Hour, ", announce: 1d")), nil)
		require.Contains(t, get(h, "GET", "/upcoming.json").Body.String(), `"new"`)
		require.Contains(t, get(h, "GET", "/active.json").Body.String(), `"orders-19991231T235900Z"`, "lost from the document while in progress: kept to its end")
	})
}

// An empty feed would clear the calendars that subscribe, and an empty list would say
// that nothing is planned.
func TestPublicStatusWithoutSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, boot := range []downtime.Boot{downtime.BootWait, downtime.BootClosed, downtime.BootOpen} {
			src := newSource("")
			src.err = io.ErrUnexpectedEOF
			g := open(t, src, &downtime.Options{Boot: boot, BootTimeout: time.Second})
			for _, path := range publicPaths {
				w := get(g.PublicStatusHandler(), "GET", path)
				require.Equal(t, 503, w.Code, path)
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				require.Equal(t, "10", w.Header().Get("Retry-After"))
				require.NotContains(t, w.Body.String(), "VCALENDAR")
				require.NotContains(t, w.Body.String(), "No maintenance")
				require.Zero(t, get(g.PublicStatusHandler(), "HEAD", path).Body.Len())
			}
			page := get(g.StatusHandler(), "GET", "/", "Accept", browser)
			require.Equal(t, 200, page.Code)
			require.Contains(t, page.Body.String(), "none yet; boot policy: "+boot.String())
			require.Contains(t, page.Body.String(), "unexpected EOF")
			require.Equal(t, 503, get(g.StatusHandler(), "GET", "/calendar.ics").Code)
			src.set("windows: []\n", nil)
			later(time.Minute)
			require.Equal(t, 200, get(g.PublicStatusHandler(), "GET", "/calendar.ics").Code)
		}
	})
}

// The shape is that of Atlassian Statuspage.
func TestMaintenances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(secret()), &downtime.Options{Service: "Shop", StatusURL: "https://status.example/"})
		h := g.PublicStatusHandler()
		later(time.Second)
		const page = `"page": {"id": "PAGE", "name": "Shop", "url": "https://status.example/", "time_zone": "Etc/UTC", "updated_at": "2000-01-01T00:00:00.000Z"}`
		const rest = `"monitoring_at": null, "resolved_at": null, "shortlink": "https://status.example/", "page_id": "PAGE", "components": []`
		update := func(id, status, body, at string) string {
			return fmt.Sprintf(`{"id": "%[1]s-%[2]s", "status": %[2]q, "body": %[3]q, "incident_id": %[1]q, "created_at": %[4]q, "updated_at": %[4]q, "display_at": %[4]q}`, id, status, body, at)
		}
		id := submatches(get(h, "GET", "/active.json").Body.String(), `"id": "([0-9a-f]{12})"`)[0]
		require.JSONEq(t, strings.ReplaceAll(`{`+page+`, "scheduled_maintenances": [
			{"id": "orders-19991231T235900Z", "name": "Orders <b>", "status": "in_progress", "impact": "maintenance", `+rest+`,
			 "created_at": "1999-12-31T23:59:00.000Z", "updated_at": "1999-12-31T23:59:00.000Z", "started_at": "1999-12-31T23:59:00.000Z",
			 "scheduled_for": "1999-12-31T23:59:00.000Z", "scheduled_until": "2000-01-01T00:59:00.000Z", "incident_updates": [
			 `+update("orders-19991231T235900Z", "in_progress", "Back & soon", "1999-12-31T23:59:00.000Z")+`,
			 `+update("orders-19991231T235900Z", "scheduled", "Back & soon", "1999-12-31T23:59:00.000Z")+`]}
		]}`, "PAGE", id), get(h, "GET", "/active.json").Body.String())
		require.JSONEq(t, strings.ReplaceAll(`{`+page+`, "scheduled_maintenances": [
			{"id": "next-20000101T020000Z", "name": "next", "status": "scheduled", "impact": "maintenance", `+rest+`,
			 "created_at": "1999-12-31T23:00:00.000Z", "updated_at": "1999-12-31T23:00:00.000Z", "started_at": null,
			 "scheduled_for": "2000-01-01T02:00:00.000Z", "scheduled_until": "2000-01-01T03:00:00.000Z", "incident_updates": [
			 `+update("next-20000101T020000Z", "scheduled", "", "1999-12-31T23:00:00.000Z")+`]},
			{"id": "shown-20000101T030000Z", "name": "shown", "status": "scheduled", "impact": "none", `+rest+`,
			 "created_at": "1999-12-31T23:00:00.000Z", "updated_at": "1999-12-31T23:00:00.000Z", "started_at": null,
			 "scheduled_for": "2000-01-01T03:00:00.000Z", "scheduled_until": "2000-01-01T04:00:00.000Z", "incident_updates": [
			 `+update("shown-20000101T030000Z", "scheduled", "", "1999-12-31T23:00:00.000Z")+`]}
		]}`, "PAGE", id), get(h, "GET", "/upcoming.json").Body.String())

		var empty map[string]any
		later(24 * time.Hour)
		require.NoError(t, json.Unmarshal(get(h, "GET", "/active.json").Body.Bytes(), &empty))
		require.Equal(t, []any{}, empty["scheduled_maintenances"], "a list, not null")
	})
}

// What operators do to one process its status tells, of that process.
func TestStatusFollowsCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 2*time.Hour, time.Hour, ", title: Upgrade"))), nil)
		public, operators := g.PublicStatusHandler(), g.StatusHandler()
		phase := func() string {
			var st struct {
				Windows []struct {
					Phase, Start, End string
					Report            struct{ Local bool }
				}
			}
			require.NoError(t, json.Unmarshal(get(operators, "GET", "/").Body.Bytes(), &st))
			require.Len(t, st.Windows, 1)
			w := st.Windows[0]
			return fmt.Sprintf("%s from %s to %s, local %v", w.Phase, w.Start, w.End, w.Report.Local)
		}
		active := func() string {
			later(time.Second)
			return strings.Join(submatches(get(public, "GET", "/active.json").Body.String(), `"scheduled_(?:for|until)": "([^"]*)"`), " ")
		}
		require.Equal(t, "open from 2000-01-01T02:00:00Z to 2000-01-01T03:00:00Z, local false", phase())
		require.NotContains(t, get(public, "GET", "/").Body.String(), "Upgrade", "not announced")

		later(time.Hour)
		_, err := g.Begin("w")
		require.NoError(t, err)
		require.Equal(t, "in progress from 2000-01-01T01:00:00Z to 2000-01-01T03:00:00Z, local true", phase())
		require.Contains(t, get(operators, "GET", "/", "Accept", browser).Body.String(), "quiet (by times of this process only)")
		require.Equal(t, "2000-01-01T01:00:00.000Z 2000-01-01T03:00:00.000Z", active(), "though it was not announced")

		_, err = g.Extend("w", instant(t, "2000-01-01T04:00:00Z"))
		require.NoError(t, err)
		require.Equal(t, "2000-01-01T01:00:00.000Z 2000-01-01T04:00:00.000Z", active())

		_, err = g.Drain(t.Context(), "w") // and nobody says that the work is finished
		require.NoError(t, err)
		later(3 * time.Hour)
		require.Equal(t, "overrun from 2000-01-01T01:00:00Z to 2000-01-01T04:00:00Z, local true", phase())
		require.Equal(t, "2000-01-01T01:00:00.000Z 2000-01-01T04:00:00.000Z", active())
		for _, h := range []http.Handler{public, operators} {
			page := get(h, "GET", "/", "Accept", browser).Body.String()
			require.Contains(t, page, "It takes longer than planned.")
			require.NotContains(t, page, "Ends in")
		}

		_, err = g.Complete("w")
		require.NoError(t, err)
		require.Empty(t, active())
		require.Contains(t, phase(), "completed from 2000-01-01T01:00:00Z to 2000-01-01T04:00:03Z")
		require.Contains(t, get(public, "GET", "/").Body.String(), "No maintenance now")
	})
}

// What is over does not push out what is in progress; of what repeats all that is
// announced is told, and to operators the next that is not.
func TestStatusOfWindowsThatRepeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines := []string{
			window("weekly", 24*time.Hour, time.Hour, ", repeat: FREQ=WEEKLY, announce: 15d"),
			window("monthly", 24*time.Hour, time.Hour, ", repeat: FREQ=MONTHLY, announce: 1h"),
			window("now", -3*time.Hour, 24*time.Hour, ""),
		}
		for i := range 150 {
			lines = append(lines, window(fmt.Sprint("past", i), -2*time.Hour+time.Duration(i)*time.Minute/2, time.Minute, ""))
		}
		g := open(t, newSource(windows(lines...)), nil)
		type answer struct {
			Windows []struct{ ID, Start string }
			More    int `json:"more_windows"`
		}
		var st answer
		require.NoError(t, json.Unmarshal(get(g.StatusHandler(), "GET", "/").Body.Bytes(), &st))
		require.Len(t, st.Windows, 100)
		require.Equal(t, 55, st.More)
		require.Equal(t, "now", st.Windows[0].ID)
		require.Equal(t, "past55", st.Windows[1].ID, "the latest that are over")
		got := ""
		for _, w := range st.Windows[95:] {
			got += w.ID + " " + w.Start + "; "
		}
		require.Equal(t, "past149 1999-12-31T23:14:30Z; monthly 2000-01-02T00:00:00Z; weekly 2000-01-02T00:00:00Z; weekly 2000-01-09T00:00:00Z; weekly 2000-01-16T00:00:00Z; ", got)
		ids := func(path string) []string {
			return submatches(get(g.PublicStatusHandler(), "GET", path).Body.String(), `(?m)^      "id": "(.*)"`)
		}
		require.Equal(t, []string{"now-19991231T210000Z"}, ids("/active.json"))
		require.Equal(t, []string{"weekly-20000102T000000Z", "weekly-20000109T000000Z", "weekly-20000116T000000Z"}, ids("/upcoming.json"))
	})
}
