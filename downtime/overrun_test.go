package downtime_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func TestOverrunAfterDrain(t *testing.T) {
	t.Parallel()
	type guarded struct {
		g     *downtime.Guard
		h     http.Handler
		src   *source
		heard func() []string
		log   *logBuffer
	}
	// begin has a window of an hour drained, and lets its end pass.
	begin := func(t *testing.T, more string, opts downtime.Options) guarded {
		var log logBuffer
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		src := newSource(windows(`  - {id: w, start: "2000-01-01T00:00:00Z", duration: 1h` + more + "}\n"))
		g := open(t, src, &opts)
		rep, err := g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		heard := listen(t, g)
		later(time.Hour)
		return guarded{g, g.Handler(ok), src, heard, &log}
	}
	synctest.Test(t, func(t *testing.T) { // it is not completed
		o := begin(t, "", downtime.Options{})
		require.Equal(t, 503, get(o.h, "GET", "/").Code)
		rep, err := o.g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseOverrun, rep.Phase)
		require.True(t, rep.Quiet)
		require.Equal(t, "w: quiet, and over its time", rep.String())
		require.InDelta(t, 1, o.g.Stats()["windows_overrun"], 0)
		require.InDelta(t, 0, o.g.Stats()["windows_in_progress"], 0)
		require.Equal(t, "w overrun", states(o.g))
		require.Equal(t, at(2, 0), o.g.State().Next.UTC())
		_, err = o.g.Enter(t.Context(), downtime.Work{Name: "x"})
		var refused *downtime.UnavailableError
		require.ErrorAs(t, err, &refused)
		require.Zero(t, refused.Until, "nobody knows")
		require.EqualError(t, err, `downtime: refused by window "w" (closed): This part of the service is down for maintenance.`)
		_, err = o.g.Hold(downtime.Work{Name: "x"})
		require.ErrorIs(t, err, downtime.ErrWindow, "it is quiet still")
		page := get(o.h, "GET", "/", "Accept", "text/plain")
		require.NotContains(t, page.Body.String(), "Until")
		seconds, err := strconv.Atoi(page.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.Positive(t, seconds)
		require.LessOrEqual(t, seconds, 3600)

		later(time.Hour - time.Nanosecond)
		require.Equal(t, 503, get(o.h, "GET", "/").Code)
		later(time.Nanosecond)
		require.Equal(t, 200, get(o.h, "GET", "/").Code)
		require.Equal(t, []string{
			"0s w: in progress",
			"1h0m0s w: in progress -> overrun, its work unfinished",
			"2h0m0s w: overrun -> completed, its work unfinished",
		}, o.heard())
		require.Equal(t, 2, strings.Count(o.log.String(), "level=ERROR msg=\"maintenance window\" window=w"))
		require.Contains(t, o.log.String(), "phase=overrun mode=closed start=2000-01-01T00:00:00.000Z end=2000-01-01T01:00:00.000Z closed_until=2000-01-01T02:00:00.000Z unfinished=true")
		rep, err = o.g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseCompleted, rep.Phase)
	})
	synctest.Test(t, func(t *testing.T) { // somebody completes it late
		o := begin(t, "", downtime.Options{OverrunMax: 3 * time.Hour})
		later(2 * time.Hour)
		require.Equal(t, 503, get(o.h, "GET", "/").Code)
		rep, err := o.g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseCompleted, rep.Phase)
		require.Equal(t, 200, get(o.h, "GET", "/").Code)
		require.Equal(t, []string{
			"0s w: in progress",
			"1h0m0s w: in progress -> overrun, its work unfinished",
			"3h0m0s w: overrun -> completed (by times of this process only)",
		}, o.heard())
	})
	synctest.Test(t, func(t *testing.T) { // or extends it
		o := begin(t, "", downtime.Options{})
		later(time.Minute)
		rep, err := o.g.Extend("w", at(1, 30))
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseInProgress, rep.Phase)
		require.True(t, rep.Quiet, "it was, all the time")
		later(28 * time.Minute)
		_, err = o.g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, 200, get(o.h, "GET", "/").Code)
	})
	for _, end := range []string{", actual: {until: 2000-01-01T01:10:00Z, end: 2000-01-01T01:00:30Z}", ", actual: {end: 2000-01-01T01:01:00Z}"} {
		synctest.Test(t, func(t *testing.T) { // or the document does
			o := begin(t, "", downtime.Options{})
			later(2 * time.Minute)
			require.Equal(t, 503, get(o.h, "GET", "/").Code)
			o.src.set(windows(`  - {id: w, start: "2000-01-01T00:00:00Z", duration: 1h`+end+"}\n"), nil)
			require.Equal(t, 200, get(o.h, "GET", "/").Code)
			heard := o.heard()
			require.Contains(t, heard[len(heard)-1], "w: overrun -> completed")
			require.NotContains(t, heard[len(heard)-1], "unfinished")
		})
	}
	synctest.Test(t, func(t *testing.T) { // the document has said so before
		src := newSource(windows(`  - {id: w, start: "2000-01-01T00:00:00Z", duration: 1h, actual: {end: 2000-01-01T00:30:00Z}}` + "\n"))
		g := open(t, src, nil)
		_, err := g.Drain(t.Context(), "w")
		require.NoError(t, err)
		later(30 * time.Minute)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
	})
	synctest.Test(t, func(t *testing.T) { // lost from the document meanwhile
		o := begin(t, "", downtime.Options{})
		o.src.set(windows(), nil)
		require.Equal(t, 503, get(o.h, "GET", "/").Code)
		rep, err := o.g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseOverrun, rep.Phase)
		later(time.Hour)
		require.Equal(t, 200, get(o.h, "GET", "/").Code)
	})
	synctest.Test(t, func(t *testing.T) { // to be reopened
		o := begin(t, ", overrun: reopen", downtime.Options{})
		require.Equal(t, 200, get(o.h, "GET", "/").Code)
		require.Equal(t, []string{"0s w: in progress", "1h0m0s w: in progress -> completed, its work unfinished"}, o.heard())
		require.Equal(t, 1, strings.Count(o.log.String(), "level=ERROR msg=\"maintenance window\" window=w phase=completed"))
	})
	synctest.Test(t, func(t *testing.T) { // the machine slept through all of it
		src := newSource(windows(window("w", 0, time.Hour, "")))
		g := open(t, src, nil)
		_, err := g.Drain(t.Context(), "w")
		require.NoError(t, err)
		heard := listen(t, g)
		downtime.Tick(g, time.Now().Add(10*time.Hour))
		require.Equal(t, []string{"0s w: in progress", "10h0m0s w: in progress -> completed, its work unfinished"}, heard())
	})
	synctest.Test(t, func(t *testing.T) { // without Drain, work is not unfinished
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""))), nil)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		later(time.Hour)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
	})
	_, err := downtime.Open(t.Context(), downtime.Bytes("w", []byte("windows: []")), &downtime.Options{OverrunMax: -1})
	require.ErrorContains(t, err, "OverrunMax")
}

// Requests that bypass a window are its work, so the end waits for them.
func TestOverrunByABypass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		public, private, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		signed := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"purpose": downtime.BypassPurpose, "aud": "shop", "sub": "ana", "window": "w",
			"iat": time.Now().Unix(), "exp": time.Now().Add(12 * time.Hour).Unix(),
		})
		signed.Header["kid"] = "k"
		token, err := signed.SignedString(private)
		require.NoError(t, err)
		src := newSource(windows(window("w", time.Minute, time.Hour, "")))
		g := open(t, src, &downtime.Options{Bypass: &downtime.Bypass{Keys: map[string]ed25519.PublicKey{"k": public}, Audience: "shop"}})
		finish := make(chan struct{})
		slow := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-finish }))
		later(2 * time.Minute)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		served := make(chan int)
		serve := func() {
			r := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), "POST", "/", nil)
			r.Header.Set("Upkeep-Bypass", token)
			w := httptest.NewRecorder()
			slow.ServeHTTP(w, r)
			served <- w.Code
		}
		go serve()
		synctest.Wait()
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.False(t, rep.Quiet, "an operator is at it")
		require.Equal(t, 1, rep.Busy)
		require.Equal(t, schedule.PhaseInProgress, rep.Phase)
		_, err = g.Hold(downtime.Work{Name: "x"})
		require.ErrorIs(t, err, downtime.ErrWindow, "it is sealed all the same")
		finish <- struct{}{}
		require.Equal(t, 200, <-served)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)

		go serve()
		later(time.Hour)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseOverrun, rep.Phase)
		require.Equal(t, 503, get(slow, "POST", "/").Code)
		finish <- struct{}{}
		<-served
		later(time.Second)
		go func() { close(finish) }()
		require.Equal(t, 200, get(slow, "POST", "/").Code, "over, as soon as it has ended")
	})
}

// Unfinished work belongs to the occurrence: no edit opens what was drained, and each that
// would is a problem and in the log, until the window is completed or actual.end is set.
func TestUnfinishedWorkSurvivesEdits(t *testing.T) {
	t.Parallel()
	const (
		start = `start: "2000-01-01T00:01:00Z"`
		half  = ", duration: 30m"
		scope = `, scope: {paths: ["/o/**", "/p/**"]}`
	)
	line := func(id, fields string) string { return "  - {id: " + id + ", " + fields + "}\n" }
	for name, c := range map[string]struct {
		edit    string
		open    string // paths that POST may use after the edit
		reads   bool   // GET may
		late    time.Duration
		problem string // the field that is held back; "-": no problem
	}{
		"more paths":          {edit: line("w", start+half+`, scope: {paths: ["/o/**", "/p/**", "/q/**"]}`), problem: "-"},
		"a wider path":        {edit: line("w", start+half+`, scope: {paths: ["/**"]}`), problem: "-"},
		"everything":          {edit: line("w", start+half), problem: "-"},
		"fewer paths":         {edit: line("w", start+half+`, scope: {paths: ["/o/**"]}`), problem: "scope"},
		"other paths":         {edit: line("w", start+half+`, scope: {paths: ["/x/**"]}`), problem: "scope"},
		"methods":             {edit: line("w", start+half+`, scope: {paths: ["/o/**", "/p/**"], methods: [DELETE]}`), problem: "scope"},
		"hosts":               {edit: line("w", start+half+`, scope: {paths: ["/o/**", "/p/**"], hosts: [x.example]}`), problem: "scope"},
		"work":                {edit: line("w", start+half+`, scope: {work: [import]}`), problem: "scope"},
		"read-only":           {edit: line("w", start+half+scope+", mode: read-only"), reads: true, problem: "-"},
		"announce":            {edit: line("w", start+half+scope+", mode: announce"), problem: "mode"},
		"rehearse":            {edit: line("w", start+half+scope+", mode: rehearse"), problem: "mode"},
		"announce, and moved": {edit: line("w", start+`, duration: 40m, mode: announce`), problem: "mode", late: 10 * time.Minute},
		"extended":            {edit: line("w", start+", duration: 40m"+scope), problem: "-", late: 10 * time.Minute},
		"cut short":           {edit: line("w", start+", duration: 1m"+scope), problem: "-"},
		"cut short for good":  {edit: line("w", start+half+scope+`, actual: {until: "2000-01-01T00:01:10Z"}`), problem: "end"},
		"put off":             {edit: line("w", start+half+scope+`, actual: {begin: "2000-01-01T00:20:00Z"}`), problem: "start"},
		"begun earlier":       {edit: line("w", start+half+scope+`, actual: {begin: "2000-01-01T00:00:30Z"}`), problem: "-"},
		"another start, past": {edit: line("w", `start: "2000-01-01T00:00:30Z"`+half+scope), problem: "-"},
		"another start, soon": {edit: line("w", `start: "2000-01-01T00:20:00Z"`+half+scope), problem: "", late: 20 * time.Minute},
		"another time zone":   {edit: line("w", `start: "2000-01-01T02:01", timezone: Europe/Madrid`+half+scope), problem: ""},
		"it repeats":          {edit: line("w", start+half+scope+", repeat: FREQ=DAILY"), problem: "-"},
		"removed":             {edit: "", problem: ""},
		"another id":          {edit: line("v", start+half+scope), problem: ""},
		"split":               {edit: line("w", start+half+`, scope: {paths: ["/o/**"]}`) + line("v", start+half+`, scope: {paths: ["/p/**"]}`), problem: "scope"},
		"faulty":              {edit: line("w", start+half+scope+", mode: shut"), problem: "mode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				src := newSource(windows(line("w", start+half+scope)))
				g := open(t, src, &downtime.Options{Logger: logTo(&log)})
				h := g.Handler(ok)
				refused := func(when string) {
					t.Helper()
					for _, path := range []string{"/o/1", "/p/1"} {
						require.Equal(t, 503, get(h, "POST", path).Code, when+path)
						require.Equal(t, c.reads, get(h, "GET", path).Code == 200, when+path)
					}
				}
				later(90 * time.Second)
				rep, err := g.Drain(t.Context(), "w")
				require.NoError(t, err)
				require.True(t, rep.Quiet)
				edit := windows()
				if c.edit != "" {
					edit = windows(c.edit)
				}
				src.set(edit, nil)
				refused("after the edit ")
				var fields []string
				for _, p := range g.Problems() {
					var fault *schedule.Fault
					require.ErrorAs(t, p, &fault)
					require.Equal(t, "w", fault.Window)
					require.Contains(t, log.String(), fault.Err.Error()[:20])
					fields = append(fields, fault.Field)
				}
				if c.problem == "-" {
					require.Empty(t, fields)
				} else {
					require.Equal(t, []string{c.problem}, fields)
				}
				require.InDelta(t, len(fields), g.Stats()["problems"], 0)
				for range 29 {
					later(time.Minute)
					refused("before the end ")
				}
				later(35 * time.Second)
				refused("after the end ")
				later(c.late)
				refused("after the later end ")
				rep, err = g.Report("w")
				require.NoError(t, err)
				require.Equal(t, schedule.PhaseOverrun, rep.Phase)
				_, err = g.Complete("w")
				require.NoError(t, err)
				require.Equal(t, 200, get(h, "POST", "/o/1").Code)
				require.Equal(t, 200, get(h, "POST", "/p/1").Code)
			})
		})
	}
	// What ends it all the same.
	for name, edit := range map[string]string{
		"actual.end":            windows(line("w", start+half+scope+`, actual: {end: "2000-01-01T00:01:30Z"}`)),
		"announce, with an end": windows(line("w", start+half+scope+`, mode: announce, actual: {end: "2000-01-01T00:01:30Z"}`)),
		"allowShrink":           windows() + "allowShrink: true\n",
		"allowShrink, announce": windows(line("w", start+half+scope+", mode: announce")) + "allowShrink: true\n",
		"allowShrink, scope":    windows(line("w", start+half+`, scope: {paths: ["/x/**"]}`)) + "allowShrink: true\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := newSource(windows(line("w", start+half+scope)))
				g := open(t, src, nil)
				later(90 * time.Second)
				_, err := g.Drain(t.Context(), "w")
				require.NoError(t, err)
				src.set(windows(line("w", start+half+`, scope: {paths: ["/p/**"]}`)), nil) // held back
				require.Equal(t, 503, get(g.Handler(ok), "POST", "/o/1").Code)
				src.set(edit, nil)
				require.Equal(t, 200, get(g.Handler(ok), "POST", "/o/1").Code)
				later(30 * time.Minute)
				require.Equal(t, 200, get(g.Handler(ok), "POST", "/o/1").Code)
			})
		})
	}
}

// Between a step of the wall clock and its correction nothing opens.
func TestTheWallClockSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		src := newSource(windows(window("w", 10*time.Minute, time.Hour, ""), window("far", 72*time.Hour, time.Hour, "")))
		g := open(t, src, &downtime.Options{Logger: logTo(&log)})
		h := g.Handler(ok)
		code := func() int { return get(h, "POST", "/").Code }
		later(20 * time.Minute)
		require.Equal(t, 503, code())
		heard := listen(t, g)
		for _, ahead := range []time.Duration{49 * time.Minute, 2 * time.Hour, 100 * time.Hour, -time.Hour, -100 * time.Hour} {
			downtime.TickClocks(g, ahead)
			require.Equal(t, 503, code(), ahead)
			problems := g.Problems()
			require.Len(t, problems, 1, ahead)
			require.ErrorContains(t, problems[0], "disagree by "+ahead.Abs().String())
			require.Contains(t, log.String(), "disagree by "+ahead.Abs().String())
			downtime.TickClocks(g, 0)
			require.Equal(t, 503, code(), ahead)
			require.Empty(t, g.Problems())
		}
		downtime.TickClocks(g, 59*time.Second)
		require.Empty(t, g.Problems(), "that is not much")
		downtime.TickClocks(g, 2*time.Hour)
		require.Equal(t, 503, code())
		events := heard()
		require.Equal(t, "0s w: in progress", events[0])
		require.Len(t, events, 7)
		for _, event := range events[1:] {
			require.Contains(t, event, "the wall clock and the monotonic clock disagree by", "nothing opens and nothing begins")
		}
		src.set(windows(window("w", -10*time.Minute, time.Hour, fmt.Sprintf(", actual: {end: %q}", time.Now().Format(time.RFC3339)))), nil)
		require.Equal(t, 200, code(), "actual.end opens it at once")
	})
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""))), nil)
		later(10 * time.Minute)
		downtime.TickClocks(g, 2*time.Hour)
		require.Equal(t, 503, get(g.Handler(ok), "POST", "/").Code)
		_, err := g.Complete("w")
		require.NoError(t, err)
		require.Equal(t, 200, get(g.Handler(ok), "POST", "/").Code, "and so does Complete")
	})
}

func TestDrainBeforeTheStartSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 24*time.Hour, time.Hour, ""))), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := g.Drain(ctx, "w")
		require.EqualError(t, err, `downtime: window "w" begins at 2000-01-02T00:00:00Z and has not begun: context deadline exceeded`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
