package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// A wire is a transport to a handler that works in a bubble.
type wire struct {
	mu      sync.Mutex
	handler http.Handler
	at      []time.Time
}

func (w *wire) set(h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handler = h
}

// times returns the times of requests.
func (w *wire) times() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.at)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	h := w.handler
	w.at = append(w.at, time.Now())
	w.mu.Unlock()
	rec := httptest.NewRecorder()
	if h != nil {
		h.ServeHTTP(rec, r)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

var (
	hangs   = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	refuses = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
)

// reporting returns a reporter that sends to h, for a bubble.
func reporting(t *testing.T, h http.Handler, opts history.ReportOptions) (*history.Reporter, *wire) {
	t.Helper()
	w := &wire{handler: h}
	opts.Client = &http.Client{Transport: w}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Sign = func(r *http.Request) error {
		r.Header.Set("Authorization", "shop")
		return nil
	}
	r, err := history.NewReporter("http://collector.example/history", &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r, w
}

func TestReport(t *testing.T) {
	t.Parallel()
	m := &memory{}
	server := httptest.NewServer(newCollector(t, m, nil))
	defer server.Close()
	r, err := history.NewReporter(server.URL, &history.ReportOptions{Drain: time.Minute, Sign: func(r *http.Request) error {
		r.Header.Set("Authorization", "shop")
		return nil
	}})
	require.NoError(t, err)
	require.NoError(t, history.Record(t.Context(), r, build("v1.0.0"), production("a")))
	require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag", Subject: "a"}))
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	require.Len(t, m.all(), 2)
	require.Equal(t, "shop", m.all()[0].Client)
	require.Equal(t, 2.0, r.Stats()["sent"])
	require.ErrorIs(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}), history.ErrClosed)

	// A build is the same with and without a reporter.
	direct := &memory{}
	require.NoError(t, history.Record(t.Context(), direct, build("v1.0.0"), production("a")))
	require.Equal(t, direct.entries[0].Build, m.all()[0].Build)
	require.Equal(t, direct.entries[0].Info.Deps, m.all()[0].Info.Deps)
}

func TestReportAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "collector", "ftp://collector/", "http://", "http://a b/", "\x00"} {
		_, err := history.NewReporter(address, nil)
		require.ErrorContains(t, err, "history: the collector's address", "%q", address)
	}
	_, err := history.NewReporter("ftp://user:secret@collector/", nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

// TestReportFaults has a collector that hangs, refuses, fails and answers nonsense. Entries wait,
// and arrive with their correct time.
func TestReportFaults(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, fault := range map[string]http.Handler{
		"hangs":     hangs,
		"refuses":   refuses,
		"fails":     status(http.StatusInternalServerError),
		"throttles": status(http.StatusTooManyRequests),
		"is away":   status(http.StatusNotFound),
		"moves":     http.RedirectHandler("http://elsewhere.example/", http.StatusTemporaryRedirect),
		"nonsense":  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }),
		"lies":      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"accepted":1000}`) }),
		"endless": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log lines
				m := &memory{ahead: 5 * time.Hour} // the collector's clock is wrong
				r, w := reporting(t, fault, history.ReportOptions{Drain: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				began := time.Now()
				require.NoError(t, history.Record(t.Context(), r, build("v1.0.0"), production("a")))
				require.Equal(t, began, time.Now(), "a start does not wait")
				pass(30 * time.Minute)
				require.Equal(t, 1.0, r.Stats()["failing"])
				require.Equal(t, 1.0, r.Stats()["queued"])
				require.Less(t, len(w.times()), 80)
				require.Greater(t, len(w.times()), 25)
				w.set(newCollector(t, m, nil))
				pass(2 * time.Minute)
				require.Len(t, m.all(), 1)
				require.Equal(t, began.Add(5*time.Hour).UTC(), m.all()[0].At)
				require.Zero(t, r.Stats()["failing"])
				require.Equal(t, 1.0, r.Stats()["sent"])
				require.Equal(t, 1, strings.Count(log.String(), "does not accept"))
				require.Equal(t, 1, strings.Count(log.String(), "accepts entries again"))
			})
		})
	}
}

// TestReportFull fills the queue, by number and by size.
func TestReportFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := reporting(t, hangs, history.ReportOptions{Queue: 10})
		for n := range 30 {
			err := history.Note(t.Context(), r, history.Event{Kind: "flag", Subject: fmt.Sprint(n)})
			if n < 10 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, history.ErrFull)
			}
		}
		require.Equal(t, 20.0, r.Stats()["dropped_full"])
		m := &memory{}
		w.set(newCollector(t, m, nil))
		pass(time.Minute)
		require.Len(t, m.all(), 10)
		require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}))
	})
	synctest.Test(t, func(t *testing.T) {
		r, _ := reporting(t, hangs, history.ReportOptions{Drain: -1})
		info := build("v1.0.0")
		for n := range 5000 {
			info.Deps = append(info.Deps, info.Deps[0])
			info.Deps[len(info.Deps)-1].Path += fmt.Sprint(n)
		}
		n := 0
		for ; !errors.Is(history.Record(t.Context(), r, info, production("a")), history.ErrFull); n++ {
		}
		require.Less(t, n, 60)
		require.Greater(t, n, 5)
	})
}

// TestReportOld drops entries that have waited too long.
func TestReportOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := reporting(t, hangs, history.ReportOptions{GiveUp: 10 * time.Minute})
		require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}))
		pass(12 * time.Minute)
		require.Equal(t, 1.0, r.Stats()["dropped_old"])
		require.Zero(t, r.Stats()["queued"])
		n := len(w.times())
		pass(time.Hour)
		require.Equal(t, n, len(w.times()))
	})
}

// TestReportMalformed drops only the malformed entry of a request.
func TestReportMalformed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{}
			c := newCollector(t, m, nil)
			r, w := reporting(t, hangs, history.ReportOptions{})
			for n := range 20 {
				require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag", Subject: fmt.Sprint("<", n, ">")}))
			}
			synctest.Wait()
			w.set(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || bytes.Contains(body, []byte(`u003c7\u003e`)) {
					w.WriteHeader(status)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
				c.ServeHTTP(w, r)
			}))
			pass(time.Minute)
			require.Len(t, m.all(), 19)
			require.Equal(t, 1.0, r.Stats()["dropped_refused"])
			require.Equal(t, 19.0, r.Stats()["sent"])
		})
	}
}

// TestReportKeep runs Keep while the collector is down for days. The sightings take one place in
// the queue.
func TestReportKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r, w := reporting(t, refuses, history.ReportOptions{Queue: 5, GiveUp: 100 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- history.Keep(ctx, r, build("v1.0.0"), production("a"), nil) }()
		began := time.Now()
		pass(48 * time.Hour)
		require.Equal(t, 2.0, r.Stats()["queued"])
		require.Zero(t, r.Stats()["dropped_full"])
		w.set(newCollector(t, m, nil))
		pass(3 * time.Minute)
		running, err := history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Equal(t, began.UTC(), running[0].First)
		require.WithinDuration(t, time.Now(), running[0].Last, 3*time.Minute)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, r.Close())
		running, err = history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Empty(t, running, "the last word has been sent")
	})
}

// TestReportClose: Close ends in time, whatever the collector does.
func TestReportClose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.Handler
		drain   time.Duration
		most    time.Duration
		sent    float64
	}{
		"a collector that hangs":   {hangs, 0, 5 * time.Second, 0},
		"a collector that refuses": {refuses, time.Second, time.Second + 100*time.Millisecond, 0},
		"not at all":               {hangs, -1, 0, 0},
		"a collector that works":   {nil, 0, 0, 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := c.handler
				if h == nil {
					h = newCollector(t, &memory{}, nil)
				}
				var log bytes.Buffer
				r, _ := reporting(t, h, history.ReportOptions{Drain: c.drain, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				for range 300 {
					require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}))
				}
				pass(20 * time.Second)
				began := time.Now()
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() { _ = r.Close() })
				}
				both.Wait()
				require.LessOrEqual(t, time.Since(began), c.most)
				require.Equal(t, c.sent, r.Stats()["sent"])
				require.Equal(t, 300-c.sent, r.Stats()["dropped_closed"])
				require.Zero(t, r.Stats()["queued"])
				if c.sent == 0 {
					require.Equal(t, 1, strings.Count(log.String(), `msg="history: entries were dropped at Close" url=http://collector.example/history dropped=300`), log.String())
				} else {
					require.Empty(t, log.String())
				}
			})
		})
	}
}

// TestReportSign has a Sign that fails for a while.
func TestReportSign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		w := &wire{handler: newCollector(t, m, nil)}
		began := time.Now()
		r, err := history.NewReporter("http://collector.example/", &history.ReportOptions{
			Client: &http.Client{Transport: w}, Logger: slog.New(slog.DiscardHandler),
			Sign: func(r *http.Request) error {
				if time.Since(began) < time.Minute {
					return errors.New("no token yet")
				}
				r.Header.Set("Authorization", "shop")
				return nil
			},
		})
		require.NoError(t, err)
		require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}))
		pass(3 * time.Minute)
		require.Equal(t, 1, len(w.times()))
		require.Len(t, m.all(), 1)
		require.NoError(t, r.Close())
	})
}

// TestReportRetryAfter: the reporter waits for Retry-After, within limits.
func TestReportRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := reporting(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusServiceUnavailable)
		}), history.ReportOptions{Drain: -1})
		require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}))
		pass(10 * time.Minute)
		at := w.times()
		require.GreaterOrEqual(t, len(at), 9)
		for n := range at[1:] {
			require.Equal(t, time.Minute, at[n+1].Sub(at[n]))
		}
	})
}

// TestReportBudget has a client whose requests are larger than its daily budget. They arrive
// later.
func TestReportBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r, _ := reporting(t, newCollector(t, m, &history.CollectorOptions{Authorize: byName, EntriesPerDay: 50}), history.ReportOptions{GiveUp: 100 * time.Hour})
		var entries []history.Entry
		for n := range 60 {
			entries = append(entries, history.Entry{ID: fmt.Sprint(n), Kind: history.KindNoted, Time: time.Now(), Event: &history.Event{Kind: "flag"}})
		}
		require.NoError(t, r.Append(t.Context(), entries...))
		require.NoError(t, r.Append(t.Context(), entries[0]))
		pass(72 * time.Hour)
		require.Len(t, m.all(), 60)
	})
}

// TestReportSecret keeps an address's secrets out of logs and errors.
func TestReportSecret(t *testing.T) {
	t.Parallel()
	var log lines
	r, err := history.NewReporter("http://ada:hunter2@127.0.0.1:1/history?token=hunter2", &history.ReportOptions{Drain: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.NoError(t, history.Note(t.Context(), r, history.Event{Kind: "flag"}))
	require.Eventually(t, func() bool { return r.Stats()["failures"] > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, r.Close())
	require.Contains(t, log.String(), "does not accept")
	require.NotContains(t, log.String(), "hunter2")
	for _, address := range []string{"http://ada:hunter2@host:port/", "ftp://host/?token=hunter2"} {
		_, err := history.NewReporter(address, nil)
		require.ErrorContains(t, err, "address")
		require.NotContains(t, err.Error(), "hunter2")
	}
}
