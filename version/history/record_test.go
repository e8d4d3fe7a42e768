package history_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	m := &memory{}
	info := build("v1.4.2")
	info.Environment = "staging"
	require.NoError(t, history.Record(t.Context(), m, info, history.Deployment{}))
	host, err := os.Hostname()
	require.NoError(t, err)
	e := m.all()[0]
	require.Equal(t, []string{"shop", "staging", host, "v1.4.2"}, []string{e.Service, e.Environment, e.Instance, e.Version})
	require.Equal(t, history.KindStarted, e.Kind)

	require.NoError(t, history.Record(t.Context(), m, version.Info{}, production("a")))
	require.Equal(t, "production", m.all()[1].Environment)
	running, err := history.Current(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, running, 2)
	require.Equal(t, "shop", running[0].Service)
	require.Equal(t, "v1.4.2", running[0].Info.Version)

	// The same instance with another build no longer runs the earlier build.
	require.NoError(t, history.Record(t.Context(), m, build("v1.4.3"), history.Deployment{Environment: "staging"}))
	running, err = history.Current(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, running, 2)
	require.Equal(t, "v1.4.3", running[0].Info.Version)
}

func TestNoteRefuses(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	err := history.Note(t.Context(), s, history.Event{From: "a", To: "b"})
	require.ErrorIs(t, err, history.ErrEntry)
	fault, ok := errors.AsType[*history.EntryError](err)
	require.True(t, ok)
	require.Equal(t, "event", fault.Field)
	require.Equal(t, "history: entry 0: event: not an entry of a history: has neither kind nor subject", err.Error())
	require.ErrorContains(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Time: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}), "between the years 1970 and 2200")
}

// TestAppendRefuses has an invalid entry after a valid one. None is stored.
func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	good := beat("run", 1)
	for field, change := range map[string]func(*history.Entry){
		"id":    func(e *history.Entry) { e.ID = "" },
		"kind":  func(e *history.Entry) { e.Kind = "more" },
		"time":  func(e *history.Entry) { e.Time = time.Time{} },
		"run":   func(e *history.Entry) { e.Run = "\n" },
		"build": func(e *history.Entry) { e.Build = "0" },
		"event": func(e *history.Entry) { e.Kind = history.KindNoted },
	} {
		bad := beat("run", 2)
		change(&bad)
		err := s.Append(t.Context(), good, bad)
		fault, ok := errors.AsType[*history.EntryError](err)
		require.True(t, ok, field)
		require.Equal(t, 1, fault.Index)
		require.Equal(t, field, fault.Field)
	}
	_, err := os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestHostileText: no text can change a terminal or a page.
func TestHostileText(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	evil := "\x1b[31m\r\n\u202e|<script>`x`[a](http://b)**\x00 @all"
	info := build(evil)
	info.Name, info.Revision = evil, evil
	require.NoError(t, history.Record(t.Context(), s, info, history.Deployment{Environment: evil, Instance: strings.Repeat(evil, 100)}))
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: evil, Subject: evil, From: evil, To: strings.Repeat("é", 5000), Actor: evil}))
	l := timeline(t, s)
	for line := range strings.SplitSeq(l.String()+"\n"+l.Markdown(), "\n") {
		require.NotContains(t, line, "\x1b")
		require.NotContains(t, line, "\u202e")
		require.NotContains(t, line, "\r")
	}
	require.Len(t, strings.Split(l.String(), "\n"), 2)
	require.Len(t, strings.Split(l.Markdown(), "\n"), 5)
	require.Len(t, l.Items[1].Event.To, 1024)
	require.NotContains(t, l.Markdown(), "<script>")
	require.NotContains(t, l.Markdown(), "http://")
	for row := range strings.Lines(l.Markdown()) {
		require.Equal(t, 4, strings.Count(strings.ReplaceAll(row, `\|`, ""), "|"))
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- history.Keep(ctx, m, build("v1.0.0"), production("a"), nil) }()
		synctest.Wait()
		require.Len(t, m.all(), 1)
		began := time.Now()
		pass(time.Hour)
		require.InDelta(t, 31, len(m.all()), 2)
		running, err := history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Equal(t, began.UTC(), running[0].First)
		require.WithinDuration(t, time.Now(), running[0].Last, 2*time.Minute)
		require.Len(t, running[0].Info.Deps, 2)

		cancel()
		require.NoError(t, <-done)
		stopped := time.Now()
		running, err = history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Empty(t, running)
		running, err = history.At(t.Context(), m, stopped.Add(-time.Second))
		require.NoError(t, err)
		require.Len(t, running, 1)
		running, err = history.At(t.Context(), m, began.Add(-time.Second))
		require.NoError(t, err)
		require.Empty(t, running)
	})
}

// TestKeepKilled has a process that cannot report its stop.
func TestKeepKilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		lossyStore := &lossy{Appender: m}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- history.Keep(ctx, lossyStore, build("v1.0.0"), production("a"), &history.KeepOptions{Interval: 10 * time.Minute})
		}()
		pass(time.Hour)
		lossyStore.dead.Store(true)
		cancel()
		<-done
		count := func() int {
			running, err := history.Current(t.Context(), m)
			require.NoError(t, err)
			return len(running)
		}
		pass(19 * time.Minute)
		require.Equal(t, 1, count(), "three of its intervals have not passed")
		pass(12 * time.Minute)
		require.Zero(t, count())
	})
}

// TestKeepFaults has a store that fails for a while.
func TestKeepFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		m := &memory{fault: errors.New("disk on fire")}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		began := time.Now()
		go func() {
			done <- history.Keep(ctx, m, build("v1.0.0"), production("a"), &history.KeepOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		}()
		pass(time.Hour)
		m.mu.Lock()
		m.fault = nil
		m.mu.Unlock()
		pass(10 * time.Minute)
		require.Equal(t, 1, strings.Count(log.String(), "disk on fire"), "it is said once")
		require.Equal(t, 1, strings.Count(log.String(), "has recorded"))
		running, err := history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, began.UTC(), running[0].First, "the start loses nothing of its time")

		m.mu.Lock()
		m.fault = errors.New("disk on fire")
		m.mu.Unlock()
		cancel()
		require.ErrorContains(t, <-done, "disk on fire")
	})
}

// TestKeepBuild has sightings without the start, which was lost.
func TestKeepBuild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := fileIn(t, nil)
		require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
		m := &memory{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- history.Keep(ctx, m, build("v1.0.0"), production("b"), nil) }()
		pass(time.Hour)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, s.Append(t.Context(), m.all()[3:]...))
		require.Equal(t, []string{"first v1.0.0"}, moves(t, s), "it is known as the same build")
	})
}
