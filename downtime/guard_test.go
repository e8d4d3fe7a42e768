package downtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func logTo(b *logBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// source is a document that a test changes.
type source struct {
	mu   sync.Mutex
	text string
	err  error
	bell chan struct{}
}

func newSource(text string) *source { return &source{text: text, bell: make(chan struct{}, 1)} }

func (s *source) Name() string { return "windows.yaml" }

func (s *source) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.text), s.err
}

func (s *source) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.bell:
			changed()
		}
	}
}

// set changes the document and, in a bubble, waits until it has been looked at.
func (s *source) set(text string, err error) {
	s.mu.Lock()
	s.text, s.err = text, err
	s.mu.Unlock()
	s.bell <- struct{}{}
	time.Sleep(time.Second)
	synctest.Wait()
}

// window is a line of a document: a window that starts so long from now.
func window(id string, in, duration time.Duration, more string) string {
	return fmt.Sprintf("  - {id: %s, start: %q, duration: %v%s}\n",
		id, time.Now().Add(in).UTC().Format(time.RFC3339Nano), duration, more)
}

func windows(lines ...string) string {
	if len(lines) == 0 {
		return "windows: []\n"
	}
	return "windows:\n" + strings.Join(lines, "")
}

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, src downtime.Source, opts *downtime.Options) *downtime.Guard {
	if opts == nil {
		opts = &downtime.Options{}
	}
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	g, err := downtime.Open(t.Context(), src, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") })

func get(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// later lets time pass, and the guard see it.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestHandlerThroughAWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("orders", time.Hour, 30*time.Minute, `, title: Orders <db>, message: "Back & soon", scope: {paths: ["/orders/**"]}`)))
		g := open(t, src, nil)
		h := g.Handler(ok)
		require.Equal(t, 200, get(h, "GET", "/orders/1").Code)
		later(time.Hour - time.Nanosecond)
		require.Equal(t, 200, get(h, "GET", "/orders/1").Code)
		later(time.Nanosecond)

		w := get(h, "GET", "/orders/1")
		require.Equal(t, 503, w.Code)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, seconds, 1800)
		require.LessOrEqual(t, seconds, 1830)
		var problem map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
		require.Equal(t, map[string]any{
			"type": "about:blank", "title": "Service Unavailable", "status": 503.0, "detail": "Back & soon", "window": "orders", "window_title": "Orders <db>",
			"mode": "closed", "start": "2000-01-01T01:00:00Z", "end": "2000-01-01T01:30:00Z",
		}, problem)
		require.Equal(t, 200, get(h, "GET", "/catalogue").Code, "outside the scope")
		require.Equal(t, 503, get(h, "GET", "/x/%2e%2e/orders").Code)

		later(30*time.Minute - time.Nanosecond)
		require.Equal(t, 503, get(h, "GET", "/orders/1").Code)
		later(time.Nanosecond)
		require.Equal(t, 200, get(h, "GET", "/orders/1").Code)
		require.InDelta(t, 3, g.Stats()["refused"], 0)
	})
}

func TestRefusalByAccept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, time.Hour, `, title: "<script>", message: "a\n<b>", timezone: Europe/Madrid`))), nil)
		h := g.Handler(ok)
		const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
		for accept, want := range map[string]string{
			"": "application/problem+json", "*/*": "application/problem+json", browser: "text/html; charset=utf-8",
			"application/json": "application/problem+json", "application/problem+json, text/html;q=0.9": "application/problem+json",
			"text/plain": "text/plain; charset=utf-8", "text/*": "text/html; charset=utf-8", "text/*, text/html;q=0": "text/plain; charset=utf-8",
			"text/html;q=0.1, */*": "application/problem+json", "TEXT/HTML": "text/html; charset=utf-8", "image/png": "application/problem+json",
			"text/html;q=2, text/plain": "text/plain; charset=utf-8", "*/*;q=0": "application/problem+json", ";;,,=q;q=": "application/problem+json",
			"text/html;q=NaN": "application/problem+json", strings.Repeat("x/x,", 5000) + "text/html": "application/problem+json",
		} {
			w := get(h, "GET", "/", "Accept", accept)
			require.Equal(t, want, w.Header().Get("Content-Type"), accept)
			require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
			require.Equal(t, 503, w.Code)
		}
		page := get(h, "GET", "/", "Accept", browser)
		require.Equal(t, 1, strings.Count(page.Body.String(), "<script>"), "the page's own")
		require.Contains(t, page.Body.String(), "&lt;script&gt;")
		require.Contains(t, page.Body.String(), "a\n&lt;b&gt;")
		require.Contains(t, page.Body.String(), `<meta http-equiv="refresh" content="`+page.Header().Get("Retry-After")+`">`)
		require.Contains(t, page.Body.String(), `<time datetime="2000-01-01T01:00:00Z">Saturday 1 January 2000, 02:00 Europe/Madrid (UTC+01:00)</time>`)
		require.NotRegexp(t, `\{[a-z]+\}`, page.Body.String())
		require.Equal(t, "<script>\n\na\n<b>\nUntil Saturday 1 January 2000, 02:00 Europe/Madrid (UTC+01:00).\n", get(h, "GET", "/", "Accept", "text/plain").Body.String())

		head := get(h, "HEAD", "/", "Accept", browser)
		require.Equal(t, 503, head.Code)
		require.Zero(t, head.Body.Len())
	})
}

func TestRetryAfterIsCappedAndJittered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", 0, 10*time.Hour, "")))
		seen := func(opts downtime.Options) (lo, hi int) {
			lo = 1 << 30
			h := open(t, src, &opts).Handler(ok)
			for range 200 {
				n, err := strconv.Atoi(get(h, "GET", "/").Header().Get("Retry-After"))
				require.NoError(t, err)
				lo, hi = min(lo, n), max(hi, n)
			}
			return lo, hi
		}
		lo, hi := seen(downtime.Options{})
		require.GreaterOrEqual(t, lo, 3570)
		require.LessOrEqual(t, hi, 3600)
		require.Less(t, lo, hi)
		lo, hi = seen(downtime.Options{RetryJitter: -1, RetryMax: time.Minute})
		require.Equal(t, []int{60, 60}, []int{lo, hi})
		lo, hi = seen(downtime.Options{RetryMax: 24 * time.Hour})
		require.GreaterOrEqual(t, lo, 36000)
		require.LessOrEqual(t, hi, 36030)
		require.Less(t, lo, hi)
	})
}

func TestReadOnlyAndClassify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", 0, time.Hour, ", mode: read-only")))
		h := open(t, src, nil).Handler(ok)
		for method, want := range map[string]int{
			"GET": 200, "HEAD": 200, "OPTIONS": 200, "TRACE": 200,
			"POST": 503, "PUT": 503, "DELETE": 503, "PATCH": 503, "CONNECT": 503, "get": 503, "QUERY": 200,
		} {
			require.Equal(t, want, get(h, method, "/").Code, method)
		}
		graph := open(t, src, &downtime.Options{Classify: func(r *http.Request) downtime.Effect {
			if r.URL.Query().Get("q") == "read" {
				return downtime.EffectRead
			}
			return downtime.EffectWrite
		}}).Handler(ok)
		require.Equal(t, 200, get(graph, "POST", "/?q=read").Code)
		require.Equal(t, 503, get(graph, "GET", "/?q=write").Code)
	})
}

func TestPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", 0, time.Hour, "")))
		h := open(t, src, nil).Handler(ok)
		for _, target := range []string{"/healthz", "/readyz", "/livez", "/health", "/robots.txt"} {
			require.Equal(t, 200, get(h, "GET", target).Code, target)
			require.Equal(t, 200, get(h, "HEAD", target).Code, target)
			require.Equal(t, 503, get(h, "POST", target).Code, target)
		}
		for _, target := range []string{"//healthz", "/%68ealthz", "/healthz/x", "/x/../healthz", "/healthz;x", "/"} {
			require.Equal(t, 503, get(h, "GET", target).Code, target)
		}
		own := open(t, src, &downtime.Options{Pass: []string{"/hooks/**", "POST /pay/{id}"}}).Handler(ok)
		require.Equal(t, 503, get(own, "GET", "/healthz").Code)
		require.Equal(t, 200, get(own, "PUT", "/hooks/x/y").Code)
		require.Equal(t, 200, get(own, "POST", "/pay/1").Code)
		require.Equal(t, 503, get(own, "GET", "/pay/1").Code)
		require.Equal(t, 503, get(own, "PUT", "/hooks/../x").Code)
		none := open(t, src, &downtime.Options{Pass: []string{}}).Handler(ok)
		require.Equal(t, 503, get(none, "GET", "/healthz").Code)
	})
}

func TestOpenRefusesNonsense(t *testing.T) {
	t.Parallel()
	src := downtime.Bytes("w", []byte("windows: []"))
	for _, o := range []downtime.Options{
		{Pass: []string{"healthz"}}, {Pass: []string{"G?T /x"}}, {Boot: "maybe"}, {Poll: -1}, {BootTimeout: -1}, {RetryMax: -1}, {StaleAfter: -1},
	} {
		_, err := downtime.Open(t.Context(), src, &o)
		require.Error(t, err)
	}
	_, err := downtime.Open(t.Context(), nil, nil)
	require.Error(t, err)
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrUnexpectedEOF)
	_, err = downtime.Open(ended, src, nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestEnter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(
			window("w", time.Hour, time.Hour, ", cutoff: 5m, message: Soon., scope: {work: [import, report]}"),
			window("ro", time.Hour, time.Hour, ", mode: read-only, scope: {work: [export]}")))
		g := open(t, src, nil)
		enter := func(w downtime.Work) error {
			leave, err := g.Enter(t.Context(), w)
			leave()
			leave() // safe twice
			return err
		}
		long := downtime.Work{Name: "import", Long: true}
		require.NoError(t, enter(long))
		require.Zero(t, g.Stats()["in_flight"])
		require.Error(t, enter(downtime.Work{}))
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(io.ErrUnexpectedEOF)
		_, err := g.Enter(ended, long)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)

		later(55 * time.Minute)
		var refused *downtime.UnavailableError
		require.ErrorAs(t, enter(long), &refused)
		require.Equal(t, "w", refused.Window)
		require.NoError(t, enter(downtime.Work{Name: "import"}), "short work before the start")
		require.NoError(t, enter(downtime.Work{Name: "other", Long: true}), "outside the scope")

		later(5 * time.Minute)
		err = enter(downtime.Work{Name: "report", Effect: downtime.EffectRead})
		require.ErrorAs(t, err, &refused)
		require.ErrorIs(t, err, downtime.ErrWindow)
		require.Equal(t, "w", refused.Window)
		require.Equal(t, "Soon.", refused.Reason)
		require.Equal(t, time.Now().Add(time.Hour).UTC(), refused.Until.UTC())
		require.GreaterOrEqual(t, refused.RetryAfter, time.Hour-30*time.Second)
		require.Equal(t, `downtime: refused by window "w" (closed) until 2000-01-01T02:00:00Z`, err.Error())
		require.NoError(t, enter(downtime.Work{Name: "export", Effect: downtime.EffectRead}))
		require.Error(t, enter(downtime.Work{Name: "export"}), "the zero effect writes")
		require.NoError(t, enter(downtime.Work{Name: "other"}))
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.EqualValues(t, 2, rep.Refused)
	})
}

func TestLongRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", 10*time.Minute, time.Hour, ", cutoff: 5m")))
		h := open(t, src, &downtime.Options{Long: func(r *http.Request) bool { return r.URL.Path == "/export" }}).Handler(ok)
		require.Equal(t, 200, get(h, "GET", "/export").Code)
		later(5 * time.Minute)
		require.Equal(t, 503, get(h, "GET", "/export").Code)
		require.Equal(t, 200, get(h, "GET", "/x").Code)
	})
}

func TestDrainWaitsForTheStartAndForQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("orders", time.Hour, time.Hour, `, scope: {paths: ["/orders/**"], work: [import]}`)))
		g := open(t, src, nil)
		finish := make(chan struct{})
		slow := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-finish }))
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "import"})
		require.NoError(t, err)
		_, err = g.Enter(t.Context(), downtime.Work{Name: "unrelated"}) // runs on, and is not in the way
		require.NoError(t, err)

		var rep downtime.Report
		drained := make(chan error, 1)
		go func() {
			var err error
			rep, err = g.Drain(t.Context(), "orders")
			drained <- err
		}()
		later(time.Hour - 4*time.Second)
		served := make(chan int, 2)
		go func() { served <- get(slow, "POST", "/orders/1").Code }()
		go func() { served <- get(slow, "GET", "/catalogue").Code }()
		later(4*time.Second + 100*time.Millisecond)
		require.Empty(t, drained)
		require.Equal(t, 503, get(slow, "POST", "/orders/2").Code)
		now, err := g.Report("orders")
		require.NoError(t, err)
		require.Equal(t, 2, now.Busy)
		require.Equal(t, map[string]int{"http": 1, "import": 1}, now.Work)
		require.Equal(t, schedule.PhaseDraining, now.Phase)
		require.False(t, now.Quiet)
		require.Equal(t, "orders: 2 busy, oldest 1h0m0.1s (http 1, import 1)", now.String())

		leave()
		later(0)
		now, err = g.Report("orders")
		require.NoError(t, err)
		require.Equal(t, "orders: 1 busy, oldest 4.1s (http 1)", now.String())
		require.Empty(t, drained)

		close(finish)
		require.NoError(t, <-drained)
		require.True(t, rep.Quiet)
		require.Equal(t, schedule.PhaseInProgress, rep.Phase)
		require.Equal(t, "orders: quiet", rep.String())
		require.Equal(t, 100*time.Millisecond, rep.QuietAfter)
		require.Equal(t, 200, <-served)
		require.Equal(t, 200, <-served)
		rep, err = g.Drain(t.Context(), "orders")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
}

func TestDrainEndsWithAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := windows(
			window("over", -2*time.Hour, time.Hour, ""),
			window("busy", time.Second, time.Minute, ", scope: {work: [job]}"),
			window("shown", time.Second, time.Minute, ", mode: announce"),
			window("tried", time.Second, time.Minute, ", mode: rehearse, scope: {work: [job]}"),
			window("gone", time.Hour, time.Minute, ""))
		src := newSource(text)
		g := open(t, src, nil)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "job"})
		require.NoError(t, err)
		later(2 * time.Second)

		fails := func(ctx context.Context, id string, want error) downtime.Report {
			rep, err := g.Drain(ctx, id)
			require.ErrorIs(t, err, want)
			require.False(t, rep.Quiet)
			return rep
		}
		fails(t.Context(), "unheard-of", downtime.ErrUnknownWindow)
		_, err = g.Report("unheard-of")
		require.ErrorIs(t, err, downtime.ErrUnknownWindow)
		fails(t.Context(), "over", downtime.ErrEnded)
		fails(t.Context(), "shown", downtime.ErrNotClosed)

		timeout, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("patience"))
		defer cancel()
		rep, err := g.Drain(timeout, "busy")
		require.EqualError(t, err, "downtime: waiting for quiet: busy: 1 busy, oldest 7s (job 1): patience")
		require.Equal(t, 1, rep.Busy)
		ended := fails(t.Context(), "busy", downtime.ErrEnded) // after a minute, not quiet
		require.Equal(t, schedule.PhaseCompleted, ended.Phase)
		leave()

		vanished := make(chan error, 1)
		go func() {
			_, err := g.Drain(t.Context(), "gone")
			vanished <- err
		}()
		later(0)
		src.set(windows(), nil)
		require.ErrorIs(t, <-vanished, downtime.ErrUnknownWindow)

		src.set(windows(window("far", time.Hour, time.Minute, "")), nil)
		go func() {
			_, err := g.Drain(t.Context(), "far")
			vanished <- err
		}()
		later(0)
		require.NoError(t, g.Close())
		require.ErrorIs(t, <-vanished, downtime.ErrClosed)
		_, err = g.Drain(t.Context(), "far")
		require.ErrorIs(t, err, downtime.ErrClosed)
	})
}

func TestRehearsalRefusesNothingAndTellsWhatWouldHaveBeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("try", time.Minute, time.Hour, ", mode: rehearse")))
		g := open(t, src, nil)
		h := g.Handler(ok)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "job"})
		require.NoError(t, err)
		later(time.Minute + time.Second)
		during, err := g.Enter(t.Context(), downtime.Work{Name: "job"}) // would have been refused
		require.NoError(t, err)
		defer during()
		require.Equal(t, 200, get(h, "GET", "/").Code)
		rep, err := g.Report("try")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseDraining, rep.Phase)
		require.Equal(t, 1, rep.Busy, "only what began before")
		drained := make(chan error, 1)
		go func() {
			rep, err = g.Drain(t.Context(), "try")
			drained <- err
		}()
		later(2 * time.Second)
		leave()
		require.ErrorIs(t, <-drained, downtime.ErrNotClosed)
		require.False(t, rep.Quiet)
		require.Equal(t, 3*time.Second, rep.QuietAfter)
		require.EqualValues(t, 2, rep.Refused)
		require.InDelta(t, 2, g.Stats()["would_have_refused"], 0)
		require.InDelta(t, 0, g.Stats()["refused"], 0)
	})
}

func TestARehearsalThatBecomesEarnestCountsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := window("w", 0, time.Hour, ", mode: rehearse")
		src := newSource(windows(start))
		g := open(t, src, nil)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "job"}) // only rehearsed
		require.NoError(t, err)
		src.set(windows(strings.Replace(start, "rehearse", "closed", 1)), nil)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy)
		require.False(t, rep.Quiet)
		leave()
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
}

func TestWhatRanBeforeTheScopeWasKnownIsJudgedByIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows())
		g := open(t, src, nil)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "old", Effect: downtime.EffectRead})
		require.NoError(t, err)
		src.set(windows(
			window("w", time.Second, time.Hour, `, scope: {paths: ["/orders/**"]}`),
			window("all", time.Second, time.Hour, ""),
			window("ro", time.Second, time.Hour, `, mode: read-only, scope: {paths: ["/orders/**"], methods: [POST]}`)), nil)
		later(2 * time.Second)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Zero(t, rep.Busy, "it is outside the scope")
		require.True(t, rep.Quiet)
		rep, err = g.Report("all")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy)
		rep, err = g.Report("ro")
		require.NoError(t, err)
		require.True(t, rep.Quiet, "a read is not in the way of a read-only window")
		leave()
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
}

func TestADocumentThatCannotBeReadChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := windows(window("w", time.Minute, time.Hour, ""))
		src := newSource(good)
		g := open(t, src, nil)
		h := g.Handler(ok)
		revision := g.Revision()
		require.Len(t, revision, 16)
		for _, bad := range []struct {
			text string
			err  error
		}{{"", nil}, {"null", nil}, {"windows: 3", nil}, {"windows: [", nil}, {"{}", nil}, {good, io.ErrUnexpectedEOF}} {
			src.set(bad.text, bad.err)
			require.Equal(t, revision, g.Revision())
			require.Len(t, g.Problems(), 1)
			require.InDelta(t, 1, g.Stats()["problems"], 0)
		}
		require.Equal(t, 200, get(h, "GET", "/").Code)
		later(time.Minute)
		require.Equal(t, 503, get(h, "GET", "/").Code, "it closes on time all the same")
		later(time.Hour)
		require.Equal(t, 200, get(h, "GET", "/").Code, "and opens on time")
		src.set(good, nil)
		require.Empty(t, g.Problems())
	})
}

func TestAWindowThatVanishesWhileInProgressIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		both := windows(window("now", 0, time.Hour, ""), window("soon", time.Minute, time.Hour, ", scope: {paths: [/x]}"))
		src := newSource(both)
		g := open(t, src, nil)
		h := g.Handler(ok)
		src.set(windows(), nil)
		require.Equal(t, 503, get(h, "GET", "/").Code)
		require.Len(t, g.Problems(), 1)
		require.ErrorContains(t, g.Problems()[0], `windows.yaml: window "now": is gone from the document while in progress and is kept to its end, 2000-01-01T01:00:00Z`)
		require.InDelta(t, 1, g.Stats()["windows_held"], 0)
		_, err := g.Report("soon")
		require.ErrorIs(t, err, downtime.ErrUnknownWindow, "what has not begun may go")
		src.set(windows(window("other", 10*time.Hour, time.Hour, "")), nil)
		require.Equal(t, 503, get(h, "GET", "/").Code, "kept through a second change")
		later(time.Hour)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		require.Empty(t, g.Problems())
	})
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("now", 0, time.Hour, "")))
		h := open(t, src, nil).Handler(ok)
		src.set(windows()+"allowShrink: true\n", nil)
		require.Equal(t, 200, get(h, "GET", "/").Code)
	})
	synctest.Test(t, func(t *testing.T) {
		now := window("now", 0, time.Hour, ", actual: {end: 2000-01-01T00:10:00Z}")
		src := newSource(windows(window("now", 0, time.Hour, "")))
		h := open(t, src, nil).Handler(ok)
		src.set(windows(now), nil)
		require.Equal(t, 503, get(h, "GET", "/").Code)
		later(10 * time.Minute)
		require.Equal(t, 200, get(h, "GET", "/").Code, "ended early, as the document says")
	})
}

func TestBoot(t *testing.T) {
	t.Parallel()
	missing := func() *source { s := newSource(""); s.err = os.ErrNotExist; return s }
	for _, c := range []struct {
		boot      downtime.Boot
		waits     time.Duration
		get, post int
	}{
		{downtime.BootWait, 10 * time.Second, 200, 503},
		{downtime.BootClosed, 0, 503, 503},
		{downtime.BootOpen, 0, 200, 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			src := missing()
			began := time.Now()
			g := open(t, src, &downtime.Options{Boot: c.boot})
			require.Equal(t, c.waits, time.Since(began))
			h := g.Handler(ok)
			require.Equal(t, c.get, get(h, "GET", "/").Code)
			w := get(h, "POST", "/")
			require.Equal(t, c.post, w.Code)
			if c.post == 503 {
				require.Contains(t, w.Body.String(), "has not been read yet")
				require.NotEmpty(t, w.Header().Get("Retry-After"))
				_, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
				require.ErrorIs(t, err, downtime.ErrWindow)
				require.EqualError(t, err, "downtime: The maintenance schedule has not been read yet.")
			}
			require.Empty(t, g.Revision())
			require.Empty(t, g.State().Windows)
			require.Len(t, g.Problems(), 1)
			_, err := g.Report("w")
			require.ErrorIs(t, err, downtime.ErrUnknownWindow)
			require.InDelta(t, -1, g.Stats()["document_age_seconds"], 0)
			require.Contains(t, get(operators(t, g, status.Options{}), "GET", "/").Body.String(), `"boot": "`+c.boot.String()+`"`)

			src.set(windows(window("w", time.Hour, time.Hour, "")), nil)
			require.Equal(t, 200, get(h, "POST", "/").Code, "a document opens it")
			require.NotEmpty(t, g.Revision())
		})
	}
	synctest.Test(t, func(t *testing.T) { // a document comes while Open waits
		src := missing()
		go func() {
			time.Sleep(3 * time.Second)
			src.set(windows(window("w", 0, time.Hour, "")), nil)
		}()
		began := time.Now()
		h := open(t, src, nil).Handler(ok)
		require.Less(t, time.Since(began), 5*time.Second)
		require.Equal(t, 503, get(h, "GET", "/").Code)
		time.Sleep(2 * time.Second)
	})
	for text, waits := range map[string]time.Duration{
		"windows: 3": 0, "windows: [": 0, // there, and faulty: that does not mend itself
		"": 10 * time.Second, "null": 10 * time.Second, // not there yet
	} {
		synctest.Test(t, func(t *testing.T) {
			src := newSource(text)
			began := time.Now()
			h := open(t, src, nil).Handler(ok)
			require.Equal(t, waits, time.Since(began), "%q", text)
			require.Equal(t, 503, get(h, "POST", "/").Code)
			require.Equal(t, 200, get(h, "GET", "/").Code)
			src.set(windows(), nil)
			require.Equal(t, 200, get(h, "POST", "/").Code, "mended")
		})
	}
	synctest.Test(t, func(t *testing.T) { // missing at first, and then faulty
		src := missing()
		go func() {
			time.Sleep(3 * time.Second)
			src.set("windows: 3", nil)
		}()
		began := time.Now()
		open(t, src, nil)
		require.Greater(t, time.Since(began), 3*time.Second)
		require.Less(t, time.Since(began), 4*time.Second)
		time.Sleep(2 * time.Second)
	})
	synctest.Test(t, func(t *testing.T) { // the caller's patience ends first
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := downtime.Open(ctx, missing(), &downtime.Options{Logger: quiet})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	synctest.Test(t, func(t *testing.T) { // fallback
		h := open(t, missing(), &downtime.Options{Fallback: []byte(windows(window("w", 0, time.Hour, "")))}).Handler(ok)
		require.Equal(t, 503, get(h, "GET", "/").Code)
	})
}

func TestLastGoodOutlivesTheSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, copy := filepath.Join(dir, "windows.yaml"), filepath.Join(dir, "last-good")
	require.NoError(t, os.WriteFile(path, []byte(windows(window("w", -time.Minute, time.Hour, ""))), 0o600))
	opts := downtime.Options{LastGood: copy, Logger: quiet}
	g, err := downtime.Open(t.Context(), downtime.File(path), &opts)
	require.NoError(t, err)
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	require.Equal(t, 503, get(g.Handler(ok), "GET", "/").Code, "closed stays closed")
	require.NoError(t, os.Remove(path))
	require.Equal(t, 503, get(open(t, downtime.File(path), &opts).Handler(ok), "GET", "/").Code)
}

type koanf struct{ tree map[string]any }

func (k koanf) ReadBytes() ([]byte, error)    { return nil, errors.New("no bytes") }
func (k koanf) Read() (map[string]any, error) { return k.tree, nil }

func TestSources(t *testing.T) {
	t.Parallel()
	text := windows(window("w", -time.Minute, time.Hour, ""))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer x" {
			_, _ = io.WriteString(w, text)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	for name, src := range map[string]downtime.Source{
		"bytes": downtime.Bytes("w", []byte(text)),
		"fs":    downtime.FS(fstest.MapFS{"w.yaml": {Data: []byte(text)}}, "w.yaml"),
		"http":  downtime.HTTP(server.URL, &downtime.HTTPOptions{Client: server.Client(), Header: http.Header{"Authorization": {"Bearer x"}}}),
		"koanf": downtime.Koanf(koanf{map[string]any{"ops": map[string]any{"windows": text}}}, "ops.windows"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, 503, get(open(t, src, nil).Handler(ok), "GET", "/").Code)
		})
	}
}

// The guard looks at what is written, and hands it on to the writer that it got.
func TestWritersAreHandedOnWrapped(t *testing.T) {
	t.Parallel()
	g := open(t, downtime.Bytes("w", []byte("windows: []")), nil)
	var in, out http.ResponseWriter = httptest.NewRecorder(), nil
	g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { out = w })).
		ServeHTTP(in, httptest.NewRequest("GET", "/", nil))
	require.Same(t, in, out.(interface{ Unwrap() http.ResponseWriter }).Unwrap())
	require.Implements(t, (*http.Flusher)(nil), out)
	require.NotImplements(t, (*http.Hijacker)(nil), out, "as the recorder")
	g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { out = w })).
		ServeHTTP(nil, httptest.NewRequest("GET", "/", nil))
	require.Nil(t, out)
}

func TestAPanicIsUncounted(t *testing.T) {
	t.Parallel()
	g := open(t, downtime.Bytes("w", []byte("windows: []")), nil)
	h := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		require.InDelta(t, 1, g.Stats()["in_flight"], 0)
		panic(http.ErrAbortHandler)
	}))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { get(h, "GET", "/") })
	require.InDelta(t, 0, g.Stats()["in_flight"], 0)
}

func TestManyAtOnceAndManyKinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		for i := range 20 {
			lines = append(lines, window(fmt.Sprintf("w%d", i), time.Second, time.Hour, fmt.Sprintf(`, scope: {paths: ["/a%d/**"], work: [k%d, many]}`, i, i)))
		}
		g := open(t, newSource(windows(lines...)), nil)
		var leaves []func()
		for i := range 3000 {
			leave, err := g.Enter(t.Context(), downtime.Work{Name: fmt.Sprintf("k%d", i)})
			require.NoError(t, err)
			leaves = append(leaves, leave)
			many, err := g.Enter(t.Context(), downtime.Work{Name: "many"})
			require.NoError(t, err)
			leaves = append(leaves, many)
		}
		require.InDelta(t, 6000, g.Stats()["in_flight"], 0)
		h := g.Handler(ok)
		require.Equal(t, 200, get(h, "GET", "/a3/x").Code)
		later(time.Second)
		require.Equal(t, 503, get(h, "GET", "/a3/x").Code)
		require.Equal(t, 200, get(h, "GET", "/b").Code)
		rep, err := g.Report("w7")
		require.NoError(t, err)
		require.Equal(t, map[string]int{"k7": 1, "many": 3000}, rep.Work)
		for _, leave := range leaves {
			leave()
		}
		rep, err = g.Report("w7")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
}

func TestEachPhaseIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "start" || a.Key == "end" {
				return slog.Attr{}
			}
			return a
		}}))
		g := open(t, newSource(windows(window("w", time.Hour, time.Hour, ", announce: 30m, cutoff: 5m, rollback: 30m, owner: me, runbook: https://r.example/"))),
			&downtime.Options{Logger: logger})
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.NoError(t, err)
		later(time.Hour + 3*time.Second)
		leave()
		get(g.Handler(ok), "GET", "/")
		later(2 * time.Hour)
		var got []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "maintenance window") {
				got = append(got, strings.TrimSpace(strings.TrimPrefix(line, `msg="maintenance window" window=w `)))
			}
		}
		require.Equal(t, []string{
			"phase=announced mode=closed owner=me runbook=https://r.example/",
			"phase=cutoff mode=closed owner=me runbook=https://r.example/",
			"phase=draining mode=closed owner=me runbook=https://r.example/",
			`phase="in progress" mode=closed owner=me runbook=https://r.example/ rollback=2000-01-01T01:30:00.000Z quiet_after=3.1s`,
			"phase=completed mode=closed owner=me runbook=https://r.example/ refused=1",
		}, got)
	})
}

func TestScopesOfFewWindowsAreToldApartAlways(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc := windows(window("w", 10*time.Hour, time.Hour, `, scope: {work: [job]}`))
		g := open(t, newSource(doc), nil)
		_, err := g.Enter(t.Context(), downtime.Work{Name: "stream"}) // runs for ever, and is not in scope
		require.NoError(t, err)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Zero(t, rep.Busy)
		later(10 * time.Hour)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
	synctest.Test(t, func(t *testing.T) { // of many, once they are near
		lines := []string{window("w", 10*time.Hour, time.Hour, `, scope: {work: [job]}`)}
		for i := range 10 {
			lines = append(lines, window(fmt.Sprint("other", i), 20*time.Hour, time.Hour, fmt.Sprintf(`, scope: {work: [k%d]}`, i)))
		}
		g := open(t, newSource(windows(lines...)), nil)
		stream, err := g.Enter(t.Context(), downtime.Work{Name: "stream"})
		require.NoError(t, err)
		job, err := g.Enter(t.Context(), downtime.Work{Name: "job"})
		require.NoError(t, err)
		later(9*time.Hour + time.Minute)
		_, err = g.Enter(t.Context(), downtime.Work{Name: "stream"}) // within the lead: known to be outside
		require.NoError(t, err)
		later(time.Hour)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy, "what is in its scope, and nothing else")
		require.Equal(t, map[string]int{"job": 1}, rep.Work)
		job()
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		stream()
	})
}

func TestAWindowThatIsPutOffBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows("  - {id: w, start: 2000-01-01T00:00:10Z, duration: 1h}\n"))
		g := open(t, src, nil)
		later(20 * time.Second)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseInProgress, rep.Phase)

		src.set(windows("  - {id: w, start: 2000-01-01T00:00:10Z, duration: 1h, actual: {begin: 2000-01-01T00:10:00Z}}\n"), nil)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.NoError(t, err, "open again")
		later(10 * time.Minute)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, schedule.PhaseDraining, rep.Phase)
		require.Equal(t, 1, rep.Busy)

		src.set(windows("  - {id: w, start: 2000-01-01T00:00:10Z, duration: 1h, actual: {begin: 2000-01-01T00:10:00Z, until: 2000-01-01T02:00:00Z}}\n"), nil)
		leave()
		rep, err = g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.Equal(t, "2000-01-01T02:00:00Z", rep.End.UTC().Format(time.RFC3339), "extended")
		require.Greater(t, rep.QuietAfter, time.Second)
	})
}

// Two calls of Drain both return, and many refused requests do not count as work.
func TestDrainUnderRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Second, time.Hour, ""))), nil)
		h := g.Handler(ok)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.NoError(t, err)
		reports := make(chan bool, 2)
		for range 2 {
			go func() {
				rep, err := g.Drain(t.Context(), "w")
				reports <- err == nil && rep.Quiet
			}()
		}
		later(2 * time.Second)
		for range 1000 {
			require.Equal(t, 503, get(h, "GET", "/").Code)
		}
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy)
		require.EqualValues(t, 1000, rep.Refused)
		leave()
		require.True(t, <-reports)
		require.True(t, <-reports)
	})
}

func FuzzAccept(f *testing.F) {
	for _, accept := range []string{"", "*/*", "text/html;q=0.5, text/plain", "text/*;q=1e-9;q=x,,;=", "application/json;q=0"} {
		f.Add(accept)
	}
	h := open(f, downtime.Bytes("w", []byte(windows(window("w", -time.Minute, 300*time.Hour, "")))), nil).Handler(ok)
	f.Fuzz(func(t *testing.T, accept string) {
		w := get(h, "GET", "/", "Accept", accept)
		switch w.Header().Get("Content-Type") {
		case "application/problem+json", "text/html; charset=utf-8", "text/plain; charset=utf-8":
		default:
			t.Fatalf("%q: %v", accept, w.Header())
		}
		if w.Code != 503 || w.Body.Len() == 0 {
			t.Fatalf("%q: %d", accept, w.Code)
		}
	})
}

// A guard goes through the occurrences of a window that repeats one after another, and
// keeps the one in progress when the document changes its mind.
func TestGuardOfAWindowThatRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc := func(lines string) string {
			return windows("  - {id: w, start: 2000-01-01T00:10:00Z, duration: 1h, announce: 30m, overrun: reopen, repeat: FREQ=DAILY" + lines + "}\n")
		}
		src := newSource(doc(""))
		g := open(t, src, nil)
		h := g.Handler(ok)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Start.Day(), "what comes next")
		rep, err = g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.Equal(t, "2000-01-01T01:10:00Z", rep.End.UTC().Format(time.RFC3339))
		require.Equal(t, 503, get(h, "GET", "/").Code)
		later(time.Hour)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 2, rep.Start.Day(), "and what comes next then")

		later(23 * time.Hour) // 2000-01-02T00:10
		require.Equal(t, 503, get(h, "GET", "/").Code)
		src.set(doc(", except: [2000-01-02]"), nil)
		require.Equal(t, 503, get(h, "GET", "/").Code)
		require.Len(t, g.Problems(), 1)
		require.EqualError(t, g.Problems()[0], `windows.yaml: window "w": is in progress, though by the document it no longer takes place, and is kept to its end, 2000-01-02T01:10:00Z`)
		require.InDelta(t, 1, g.Stats()["windows_held"], 0)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.Equal(t, 2, rep.Start.Day())
		later(time.Hour)
		require.Equal(t, 200, get(h, "GET", "/").Code)
		require.Empty(t, g.Problems())
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 3, rep.Start.Day(), "the next one is as planned")
	})
}

// A guard with many scopes, more than it makes classes for beforehand and more than it
// keeps, refuses what is in each of them and nothing else.
func TestManyScopes(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 60 {
		lines = append(lines, window(fmt.Sprintf("p%d", i), -1e9, 1e12, fmt.Sprintf(`, mode: read-only, scope: {paths: ["/a%d/**", "/**/x%d"], hosts: ["h%d.example", both.example]}`, i, i, i)))
	}
	g := open(t, downtime.Bytes("w", []byte(windows(lines...))), nil)
	h := g.Handler(ok)
	code := func(method, host, target string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, nil)
		r.Host = host
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 200, code("POST", "h1.example", "/b"))
	require.Equal(t, 200, code("POST", "h1.example", "/a2"))
	for i := range 60 {
		own := fmt.Sprintf("h%d.example", i)
		require.Equal(t, 503, code("POST", own, fmt.Sprintf("/a%d/1", i)))
		require.Equal(t, 200, code("GET", own, fmt.Sprintf("/a%d/1", i)))
		require.Equal(t, 503, code("POST", own, fmt.Sprintf("/b/x%d", i)))
		require.Equal(t, 503, code("POST", "both.example", fmt.Sprintf("/a%d/x%d", i, (i+1)%60)), "in two")
		require.Equal(t, 200, code("POST", "other.example", fmt.Sprintf("/a%d/1", i)))
	}
	for i := range 60 {
		for j := range 60 { // each another class: more than are kept
			require.Equal(t, 503, code("POST", "both.example", fmt.Sprintf("/a%d/x%d", i, j)))
		}
	}
	require.InDelta(t, 0, g.Stats()["in_flight"], 0)
}

func TestWordsOfTheGuard(t *testing.T) {
	t.Parallel()
	require.Equal(t, "write", downtime.Effect(0).String())
	require.Equal(t, "wait", downtime.Boot("").String())
}
