package status_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// secret is a document with public and secret texts.
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
	"/scheduled-maintenances.json", "/api/v2/scheduled-maintenances.json", "/summary.json", "/api/v2/summary.json", "/api/v2/status.json",
}

func TestPublicStatusTellsNoSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := secret()
		src := newSource(text)
		g := open(t, src, nil)
		_, err := g.Enter(t.Context(), downtime.Work{Name: "other-SECRET"})
		require.NoError(t, err)
		src.set(text+"  - {id: more, SECRET: 1}\n", nil) // a problem with a secret text
		require.NotEmpty(t, g.Problems())
		shop := status.Options{Service: "Shop", URL: "https://status.example/"}
		public, operators := users(t, g, shop), http.StripPrefix("/maintenance", operators(t, g, shop))
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
		for _, shown := range []string{"SECRET-owner", "https://SECRET.example/", "paths /SECRET/**", "SECRET-rehearsal", "SECRET-unannounced", `unknown field &#34;SECRET&#34;`, g.Revision(), "1 busy, oldest 1s (other-SECRET 1)"} {
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
		public, operators := users(t, g, status.Options{}), operators(t, g, status.Options{})
		types := map[string]string{"/": "text/html; charset=utf-8", "/calendar.ics": "text/calendar; charset=utf-8"}
		for _, path := range append(publicPaths, "", "/status.json") {
			for _, h := range []http.Handler{public, operators} {
				serve := func(method string) *httptest.ResponseRecorder {
					return get(http.StripPrefix("/m", h), method, "/m"+path, "Accept", browser)
				}
				w := serve("GET")
				if h == public && path == "/status.json" {
					require.Equal(t, 404, w.Code)
					continue
				}
				if path == "" { // its links are relative
					require.Equal(t, 308, w.Code)
					require.Equal(t, "./m/", w.Header().Get("Location"))
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
				require.Contains(t, csp, "; frame-ancestors 'none'")
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
				put, allow := serve("PUT"), "GET, HEAD"
				if h == operators && path == "/" {
					allow += ", POST"
				}
				require.Equal(t, 405, put.Code)
				require.Equal(t, allow, put.Header().Get("Allow"))
			}
		}
		require.Equal(t, 404, get(public, "GET", "/other.json").Code)
		require.Equal(t, "application/json", get(operators, "GET", "/").Header().Get("Content-Type"), "JSON, as ever, for who does not ask for a page")
		require.Contains(t, get(operators, "GET", "/", "Accept", browser).Body.String(), `href="calendar.ics"`)
	})
}

// Public responses can be cached, and are sent again only when they have changed.
func TestPublicStatusIsAskedForConditionally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(secret())
		h := users(t, open(t, src, nil), status.Options{})
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

// A public response is rendered at most once a second, and when the document changes.
func TestPublicStatusIsMadeOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(secret())
		h := users(t, open(t, src, nil), status.Options{})
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

// An empty feed would clear the calendars that subscribe, and an empty list would mean that
// nothing is planned.
func TestPublicStatusWithoutSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, boot := range []downtime.Boot{downtime.BootWait, downtime.BootClosed, downtime.BootOpen} {
			src := newSource("")
			src.err = io.ErrUnexpectedEOF
			g := open(t, src, &downtime.Options{Boot: boot, BootTimeout: time.Second})
			for _, path := range publicPaths {
				w := get(users(t, g, status.Options{}), "GET", path)
				require.Equal(t, 503, w.Code, path)
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				require.Equal(t, "10", w.Header().Get("Retry-After"))
				require.NotContains(t, w.Body.String(), "VCALENDAR")
				require.NotContains(t, w.Body.String(), "No maintenance")
				require.Zero(t, get(users(t, g, status.Options{}), "HEAD", path).Body.Len())
			}
			page := get(operators(t, g, status.Options{}), "GET", "/", "Accept", browser)
			require.Equal(t, 200, page.Code)
			require.Contains(t, page.Body.String(), "none yet; boot policy: "+boot.String())
			require.Contains(t, page.Body.String(), "unexpected EOF")
			require.Equal(t, 503, get(operators(t, g, status.Options{}), "GET", "/calendar.ics").Code)
			src.set("windows: []\n", nil)
			later(time.Minute)
			require.Equal(t, 200, get(users(t, g, status.Options{}), "GET", "/calendar.ics").Code)
		}
	})
}

// Without a document, the operators' page begins with what is refused, and why.
func TestOperatorsReadFirstWhatIsRefused(t *testing.T) {
	t.Parallel()
	const faulty = "windows:\n  - {id: w, start: \"2000-01-01T00:00:00Z\", duration: 1h, mode: clsed}\n"
	for boot, want := range map[downtime.Boot]string{
		"": "Writes are refused", downtime.BootWait: "Writes are refused", downtime.BootClosed: "Everything is refused", downtime.BootOpen: "Nothing is refused",
	} {
		synctest.Test(t, func(t *testing.T) {
			src := newSource(faulty)
			g := open(t, src, &downtime.Options{Boot: boot})
			for _, why := range []string{"the maintenance document is faulty, at windows.yaml:2:64", "no maintenance document has been read yet"} {
				h := operators(t, g, status.Options{})
				_, main, found := strings.Cut(get(h, "GET", "/", "Accept", browser).Body.String(), "<header>")
				require.True(t, found)
				require.Contains(t, main, want+": "+why)
				require.Less(t, strings.Index(main, want), strings.Index(main, "Problems"), "it comes first")
				require.Contains(t, get(h, "GET", "/status.json").Body.String(), `"verdict": "`+want+": "+why+`"`)
				public := get(users(t, g, status.Options{}), "GET", "/", "Accept", browser).Body.String()
				require.Contains(t, public, "The schedule has not been read yet")
				require.NotContains(t, public, "windows.yaml")
				src.set("", io.ErrUnexpectedEOF)
			}
			src.set("windows: []\n", nil)
			require.NotContains(t, get(operators(t, g, status.Options{}), "GET", "/", "Accept", browser).Body.String(), "refused:")
		})
	}
}

// The format is that of Atlassian Statuspage.
func TestMaintenances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(secret()), nil)
		h := users(t, g, status.Options{Service: "Shop", URL: "https://status.example/"})
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

// The status shows the commands of its own process.
func TestStatusFollowsCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 2*time.Hour, time.Hour, ", title: Upgrade"))), nil)
		public, operators := users(t, g, status.Options{}), operators(t, g, status.Options{})
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
		require.Equal(t, "planned from 2000-01-01T02:00:00Z to 2000-01-01T03:00:00Z, local false", phase())
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

		_, err = g.Drain(t.Context(), "w") // without Complete
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

// Past windows do not push out current ones. All announced occurrences of a window that repeats
// are shown, and to operators also the next unannounced one.
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
		require.NoError(t, json.Unmarshal(get(operators(t, g, status.Options{}), "GET", "/").Body.Bytes(), &st))
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
			return submatches(get(users(t, g, status.Options{}), "GET", path).Body.String(), `(?m)^      "id": "(.*)"`)
		}
		require.Equal(t, []string{"now-19991231T210000Z"}, ids("/active.json"))
		require.Equal(t, []string{"weekly-20000102T000000Z", "weekly-20000109T000000Z", "weekly-20000116T000000Z"}, ids("/upcoming.json"))
	})
}

func TestStatusListsAtMostAHundred(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		for i := range 130 {
			lines = append(lines, window(fmt.Sprint("w", i), time.Duration(i)*time.Hour, time.Hour, ", announce: 1h"))
		}
		g := open(t, newSource(windows(lines...)), nil)
		var st struct {
			Windows []any
			More    int `json:"more_windows"`
		}
		require.NoError(t, json.Unmarshal(get(operators(t, g, status.Options{}), "GET", "/").Body.Bytes(), &st))
		require.Len(t, st.Windows, 100)
		require.Equal(t, 30, st.More)
		ids := ""
		for _, w := range g.State().Windows {
			ids += w.Window.ID + " " + w.Phase.String() + "; "
		}
		require.Equal(t, "w0 in progress; w1 announced; ", ids)
	})
}

func TestStatusHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("past", -3*time.Hour, time.Hour, ""),
			window("ancient", -300*time.Hour, time.Hour, ""),
			window("now", 0, time.Hour, ", title: Now, owner: me, rollback: 30m, timezone: Europe/Madrid, scope: {work: [job]}"),
			window("next", 2*time.Hour, time.Hour, ", announce: 90m"))), nil)
		h := http.StripPrefix("/maintenance", operators(t, g, status.Options{}))
		for _, target := range []string{"/maintenance", "/maintenance/", "/maintenance/status.json"} {
			w := get(h, "GET", target)
			require.Equal(t, 200, w.Code, target)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
		require.Equal(t, 404, get(h, "GET", "/maintenance/other.json").Code)
		require.Equal(t, 405, get(h, "PUT", "/maintenance/").Code)
		require.Equal(t, 400, get(h, "POST", "/maintenance/").Code, "a command without a form")
		require.Zero(t, get(h, "HEAD", "/maintenance/").Body.Len())

		var st struct {
			Next     time.Time
			Document map[string]any
			Problems []string
			Windows  []struct {
				ID, Title, Phase, Mode, Start, Rollback string
				Report                                  *struct {
					Quiet bool
					Busy  int
				}
			}
		}
		require.NoError(t, json.Unmarshal(get(h, "GET", "/maintenance/").Body.Bytes(), &st))
		require.Equal(t, g.Revision(), st.Document["revision"])
		require.Equal(t, "2000-01-01T00:30:00Z", st.Next.UTC().Format(time.RFC3339))
		require.Empty(t, st.Problems)
		require.Len(t, st.Windows, 3)
		require.Equal(t, "past completed", st.Windows[0].ID+" "+st.Windows[0].Phase)
		require.Nil(t, st.Windows[0].Report)
		require.Equal(t, "now in progress closed", st.Windows[1].ID+" "+st.Windows[1].Phase+" "+st.Windows[1].Mode)
		require.Equal(t, "2000-01-01T01:00:00+01:00", st.Windows[1].Start)
		require.Equal(t, "2000-01-01T01:30:00+01:00", st.Windows[1].Rollback)
		require.True(t, st.Windows[1].Report.Quiet)
		require.Equal(t, "next planned", st.Windows[2].ID+" "+st.Windows[2].Phase)
	})
}

func TestStatusDeniesByDefault(t *testing.T) {
	t.Parallel()
	g := open(t, downtime.Bytes("w", []byte(windows(window("SECRET", 0, time.Hour, "")))), nil)
	for name, authorize := range map[string]func(*http.Request) (string, error){
		"nil":     nil,
		"refuses": func(*http.Request) (string, error) { return "ada", errors.New("SECRET reason") },
	} {
		h, err := status.Handler(g, &status.Options{Authorize: authorize})
		require.NoError(t, err)
		for _, path := range append(publicPaths, "/status.json", "/other", "/other.json") {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				w := get(h, method, path, "Accept", browser)
				require.Equal(t, 403, w.Code, "%s: %s %s", name, method, path)
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				require.NotContains(t, w.Body.String(), "SECRET")
			}
		}
	}
	h, err := status.Handler(g, nil)
	require.NoError(t, err)
	require.Equal(t, 403, get(h, "GET", "/").Code)
	require.Equal(t, 200, get(users(t, g, status.Options{}), "GET", "/").Code, "public reading")
}

// TestStatusUnderAnyPrefix follows the links of the page wherever the handler is mounted.
func TestStatusUnderAnyPrefix(t *testing.T) {
	t.Parallel()
	g := open(t, downtime.Bytes("w", []byte(windows(window("w", 0, time.Hour, "")))), nil)
	for name, h := range map[string]http.Handler{"operators": operators(t, g, status.Options{}), "users": users(t, g, status.Options{})} {
		mux := http.NewServeMux()
		mux.Handle("/plain/", h)
		mux.Handle("/bare", h)
		mux.Handle("/bare/", h)
		mux.Handle("/stripped/", http.StripPrefix("/stripped", h))
		mux.Handle("/stripped", http.StripPrefix("/stripped", h))
		mux.Handle("/deep/er/", http.StripPrefix("/deep/er/", h))
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		client := server.Client()
		follow := func(at string) (string, string) {
			r, err := http.NewRequest("GET", at, nil)
			require.NoError(t, err)
			r.Header.Set("Accept", browser)
			resp, err := client.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode, "%s: %s", name, at)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			return resp.Request.URL.String(), string(body)
		}
		for _, prefix := range []string{"/plain", "/plain/", "/bare", "/stripped", "/stripped/", "/deep/er/"} {
			at, body := follow(server.URL + prefix)
			links := submatches(body, `href="([^"]*)"`)
			require.Len(t, links, map[string]int{"operators": 4, "users": 3}[name])
			for _, link := range links {
				base, err := url.Parse(at)
				require.NoError(t, err)
				target, err := base.Parse(link)
				require.NoError(t, err)
				follow(target.String())
			}
			_, _ = follow(strings.TrimSuffix(at, "/") + "/api/v2/scheduled-maintenances/active.json")
		}
	}
}

func TestHandlersRefuseNonsense(t *testing.T) {
	t.Parallel()
	g := open(t, downtime.Bytes("w", []byte(windows())), nil)
	for _, make := range []func(*downtime.Guard, *status.Options) (http.Handler, error){status.Handler, status.PublicHandler} {
		_, err := make(nil, nil)
		require.EqualError(t, err, "status: the guard is nil")
		for _, bad := range []string{"x", "/status", "ftp://x/", "https://", "https:// x"} {
			_, err := make(g, &status.Options{URL: bad})
			require.ErrorContains(t, err, "status: Options.URL must be an http or https URL, got ", bad)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", 2*time.Hour, time.Hour, "")))
		g := open(t, src, nil)
		line := func() string {
			ok, line := status.Summary(g)(t.Context())
			return fmt.Sprint(ok, " ", line)
		}
		require.Equal(t, "true no maintenance now, next w from 2000-01-01T02:00:00Z", line())
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "import"})
		require.NoError(t, err)
		later(2 * time.Hour)
		require.Equal(t, "true w: 1 busy, oldest 2h0m0s (import 1)", line())
		leave()
		require.Equal(t, "true w: quiet", line())
		_, err = g.Drain(t.Context(), "w")
		require.NoError(t, err)
		src.set("windows: [", nil)
		require.Contains(t, line(), "false w: quiet; 1 problem: windows.yaml:1")
		later(time.Hour)
		require.Contains(t, line(), "false w: quiet, and over its time; 1 problem: ")
		require.NotContains(t, line(), "\n")

		none := newSource("")
		none.err = io.ErrUnexpectedEOF
		g = open(t, none, &downtime.Options{Boot: downtime.BootClosed})
		require.Equal(t, "false no schedule yet; boot policy: closed; 1 problem: windows.yaml: unexpected EOF", line())
	})
}

// A window affects the components whose scope it meets, in every format of Statuspage.
func TestStatuspage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("past", -3*time.Hour, time.Hour, `, title: Certificates, scope: {hosts: [pay.example]}`),
			window("orders", 0, time.Hour, `, scope: {paths: ["/orders/export", "/carts/**"], work: [import]}`),
			window("shown", 0, 10*time.Hour, `, mode: announce, scope: {hosts: [pay.example]}`),
			window("all", 3*time.Hour, time.Hour, `, mode: read-only, announce: 4h`),
			window("unannounced", 48*time.Hour, time.Hour, `, announce: 1h`),
			window("tried", 0, time.Hour, `, mode: rehearse`))), nil)
		h := users(t, g, status.Options{Service: "Shop", Components: []status.Component{
			{Name: "Orders", Scope: schedule.Scope{Hosts: []string{"shop.example"}, Paths: []string{"/orders/**"}}},
			{Name: "Search", Scope: schedule.Scope{Hosts: []string{"shop.example"}, Paths: []string{"/order", "/search/**"}}},
			{Name: "Payment", Scope: schedule.Scope{Hosts: []string{"pay.example"}, Paths: []string{"/pay/**"}}},
			{Name: "Imports", Scope: schedule.Scope{Work: []string{"*"}}},
		}})
		type part struct {
			ID, Name, Status string
			Position         int
		}
		type answer struct {
			Page       struct{ ID, Name string }
			Status     *struct{ Indicator, Description string }
			Components []part
			Incidents  []any
			All        []struct {
				ID, Status string
				ResolvedAt *time.Time `json:"resolved_at"`
				Components []part
				Updates    []struct{ Status string } `json:"incident_updates"`
			} `json:"scheduled_maintenances"`
		}
		read := func(path string) (a answer) {
			later(time.Second) // a response is rendered once a second
			w := get(h, "GET", path)
			require.Equal(t, 200, w.Code, path)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), path)
			require.Equal(t, "Shop", a.Page.Name)
			return a
		}
		text := func(a answer) (all []string) {
			for _, m := range a.All {
				id, _, _ := strings.Cut(m.ID, "-2")
				id, _, _ = strings.Cut(id, "-1999")
				line := id + " " + m.Status + ":"
				for _, c := range m.Components {
					line += " " + c.Name
				}
				line += ";"
				for _, u := range m.Updates {
					line += " " + u.Status
				}
				require.Equal(t, m.Status == "completed", m.ResolvedAt != nil)
				all = append(all, line)
			}
			return all
		}
		const (
			past   = "past completed: Payment; completed in_progress scheduled"
			orders = "orders in_progress: Orders Imports; in_progress scheduled"
			shown  = "shown in_progress: Payment; in_progress scheduled"
			all    = "all scheduled: Orders Search Payment Imports; scheduled"
		)
		for _, prefix := range []string{"/", "/api/v2/"} {
			sum := read(prefix + "summary.json")
			require.Equal(t, []string{orders, shown, all}, text(sum))
			require.Equal(t, "maintenance: Service Under Maintenance", sum.Status.Indicator+": "+sum.Status.Description)
			require.NotNil(t, sum.Incidents)
			require.Empty(t, sum.Incidents)
			var parts []string
			for i, c := range sum.Components {
				require.Equal(t, i+1, c.Position)
				require.Regexp(t, "^[0-9a-f]{12}$", c.ID)
				parts = append(parts, c.Name+" "+c.Status)
			}
			require.Equal(t, []string{"Orders under_maintenance", "Search operational", "Payment operational", "Imports under_maintenance"}, parts)
			require.Equal(t, []string{all, shown, orders, past}, text(read(prefix+"scheduled-maintenances.json")), "the most recent first")
		}
		now := read("/api/v2/status.json")
		require.Equal(t, "maintenance", now.Status.Indicator)
		require.Nil(t, now.All)
		require.NotContains(t, get(h, "GET", "/api/v2/status.json").Body.String(), "scheduled_maintenances")
		require.Equal(t, []string{orders, shown}, text(read("/active.json")))
		require.Equal(t, []string{all}, text(read("/upcoming.json")))
		later(time.Hour)
		require.Equal(t, "none: All Systems Operational", func() string { s := read("/api/v2/status.json").Status; return s.Indicator + ": " + s.Description }(), "what is only announced closes nothing")
		later(2 * time.Hour)
		require.Equal(t, "maintenance", read("/api/v2/status.json").Status.Indicator, "reads pass, and writes do not")

		for _, bad := range [][]status.Component{{{}}, {{Name: "x"}, {Name: "x"}}} {
			_, err := status.PublicHandler(g, &status.Options{Components: bad})
			require.ErrorContains(t, err, "must not be empty or used twice")
		}
	})
}
