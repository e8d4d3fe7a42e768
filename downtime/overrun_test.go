package downtime_test

import (
	"context"
	"crypto/ed25519"
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
	synctest.Test(t, func(t *testing.T) { // nobody ends it
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
	synctest.Test(t, func(t *testing.T) { // nobody has drained it: then nobody works
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

// What was let in by a bypass is work of the window: it is waited for at the end.
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

// Unfinished work belongs to the occurrence: an edit to what the window is about, or to its
// mode, does not forget it.
func TestOverrunAfterAnEdit(t *testing.T) {
	t.Parallel()
	for _, edit := range []string{
		`, scope: {paths: ["/o/**", "/invoices/**"]}`,
		`, scope: {paths: ["/o/**"]}, mode: read-only`,
	} {
		synctest.Test(t, func(t *testing.T) {
			line := func(more string) string {
				return windows(`  - {id: w, start: "2000-01-01T00:01:00Z", duration: 30m` + more + "}\n")
			}
			src := newSource(line(`, scope: {paths: ["/o/**"]}`))
			g := open(t, src, nil)
			h := g.Handler(ok)
			later(90 * time.Second)
			rep, err := g.Drain(t.Context(), "w")
			require.NoError(t, err)
			require.True(t, rep.Quiet)
			src.set(line(edit), nil)
			require.Equal(t, 503, get(h, "POST", "/o/1").Code)
			later(30 * time.Minute)
			require.Equal(t, 503, get(h, "POST", "/o/1").Code, edit)
			rep, err = g.Report("w")
			require.NoError(t, err)
			require.Equal(t, schedule.PhaseOverrun, rep.Phase)
			_, err = g.Complete("w")
			require.NoError(t, err)
			require.Equal(t, 200, get(h, "POST", "/o/1").Code)
		})
	}
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
