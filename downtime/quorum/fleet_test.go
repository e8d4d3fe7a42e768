package quorum_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// A place is a backend: a database or a folder.
type place struct {
	join  func(name string) *quorum.Replica
	look  func(window string) quorum.Report
	drain func(ctx context.Context, window string) (*quorum.Lock, error)
}

func postgresPlace(t *testing.T) place {
	db := newServer().open(t)
	return placeOf(t, db)
}

func placeOf(t *testing.T, db *sql.DB) place {
	return place{
		join: func(name string) *quorum.Replica { return join(t, db, quorum.Options{Name: name}) },
		look: func(window string) quorum.Report {
			rep, err := quorum.Look(t.Context(), db, window)
			require.NoError(t, err)
			return rep
		},
		drain: func(ctx context.Context, window string) (*quorum.Lock, error) {
			return quorum.Drain(ctx, db, window, nil)
		},
	}
}

func filesPlace(t *testing.T) place {
	dir := t.TempDir()
	return place{
		join: func(name string) *quorum.Replica {
			r, err := quorum.Files(dir, &quorum.Options{Name: name, Logger: discard})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, r.Close()) })
			synctest.Wait()
			return r
		},
		look: func(window string) quorum.Report {
			rep, err := quorum.LookFiles(dir, window)
			require.NoError(t, err)
			return rep
		},
		drain: func(ctx context.Context, window string) (*quorum.Lock, error) {
			return quorum.DrainFiles(ctx, dir, window, nil)
		},
	}
}

// inPlaces runs a test with both backends, each in a bubble.
func inPlaces(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	for name, at := range map[string]func(*testing.T) place{"postgres": postgresPlace, "files": filesPlace} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, at(t)) })
		})
	}
}

func position(t *testing.T, r *quorum.Replica, window string, p downtime.Position) (open, unfinished bool) {
	t.Helper()
	opens, held, err := r.AgreeOn(t.Context(), map[string]downtime.Position{window: p})
	require.NoError(t, err)
	return opens[window], held[window]
}

// Replicas that know a window by different definitions never agree that it is quiet.
func TestDigests(t *testing.T) {
	t.Parallel()
	const one, two = "11111111aaaa", "22222222aaaa"
	inPlaces(t, func(t *testing.T, p place) {
		a, b, c := p.join("a"), p.join("b"), p.join("c")
		all := []*quorum.Replica{a, b, c}
		for _, r := range all {
			position(t, r, "w", downtime.Position{Digest: one})
		}
		for _, peer := range p.look("w").Peers {
			require.Equal(t, "11111111", peer.Digest)
			require.Equal(t, quorum.StateQuiet, peer.State)
		}

		// One replica has an older document.
		position(t, b, "w", downtime.Position{Digest: two})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := p.drain(ctx, "w")
		var waiting *quorum.WaitingError
		require.ErrorAs(t, err, &waiting)
		require.Len(t, waiting.Waiting, 1)
		require.Equal(t, quorum.StateDiffers, waiting.Waiting[0].State)
		require.Equal(t, "b", waiting.Waiting[0].Name)
		require.ErrorContains(t, err, "knows the window with another scope or mode than others (digest 22222222)")

		// Two definitions are equally frequent, or missing: all replicas are named.
		for _, digest := range []string{"", two} {
			position(t, c, "w", downtime.Position{Digest: digest})
			position(t, b, "w", downtime.Position{Digest: digest})
			require.NoError(t, a.Close())
			a = p.join("a")
			position(t, a, "w", downtime.Position{Digest: one})
			require.Len(t, p.look("w").Waiting(), 1)
			require.Equal(t, "a", p.look("w").Waiting()[0].Name)
			require.NoError(t, c.Close())
			require.Len(t, p.look("w").Waiting(), 2)
			c = p.join("c")
		}

		// With one definition the window is quiet. While the lock is held, Check notices a new
		// definition.
		for _, r := range []*quorum.Replica{a, b, c} {
			position(t, r, "w", downtime.Position{Digest: two})
		}
		lock, err := p.drain(t.Context(), "w")
		require.NoError(t, err)
		require.NoError(t, lock.Check(t.Context()))
		for _, r := range []*quorum.Replica{a, b, c} {
			position(t, r, "w", downtime.Position{Digest: one})
		}
		require.ErrorAs(t, lock.Check(t.Context()), &waiting)
		require.Len(t, waiting.Waiting, 3, "it was another window that is quiet")
		for _, r := range []*quorum.Replica{a, b, c} {
			position(t, r, "w", downtime.Position{Digest: two})
		}
		require.NoError(t, lock.Check(t.Context()))
		require.NoError(t, lock.Close())
	})
}

// All replicas see marks of unfinished work. Marks outlast their replica and end when the work is
// completed.
func TestUnfinishedMarks(t *testing.T) {
	t.Parallel()
	at := func(unfinished, completed bool) downtime.Position {
		return downtime.Position{Digest: "11111111", Occurrence: "2000-01-01T00:00:00Z", Unfinished: unfinished, Completed: completed}
	}
	inPlaces(t, func(t *testing.T, p place) {
		a, b := p.join("a"), p.join("b")
		held := func(r *quorum.Replica, p downtime.Position) bool {
			t.Helper()
			_, unfinished := position(t, r, "w", p)
			return unfinished
		}
		require.False(t, held(b, at(false, false)))
		require.True(t, held(a, at(true, false)), "its own, too")
		require.True(t, held(b, at(false, false)))
		other := at(false, false)
		other.Occurrence = "2000-01-08T00:00:00Z"
		require.False(t, held(b, other), "another occurrence")
		require.True(t, held(b, at(false, false)))

		require.NoError(t, a.Close()) // it ends with its work unfinished
		require.True(t, held(b, at(false, false)))
		a = p.join("a again")
		require.True(t, held(a, at(false, false)), "it has heard from others, or from before")
		require.NoError(t, b.Close())
		require.True(t, held(a, at(false, false)))
		b = p.join("b again")
		require.True(t, held(b, at(false, false)))

		require.False(t, held(a, at(false, true)), "completed there")
		require.False(t, held(b, at(false, false)))
		require.False(t, held(a, at(false, false)))
		require.NoError(t, a.Close())
		c := p.join("c")
		require.False(t, held(c, at(false, false)), "nobody remembers it as unfinished")

		// Two replicas work at once. Only one has completed.
		require.True(t, held(b, at(true, false)))
		require.True(t, held(c, at(true, false)))
		require.False(t, held(b, at(false, true)) && held(c, at(true, false)))
		require.True(t, held(c, at(true, false)))
		require.True(t, held(b, at(false, false)))
		require.False(t, held(c, at(false, false)), "it is unfinished no more")
		require.False(t, held(b, at(false, false)))
	})
}

// Unfinished work is remembered when all replicas have ended at once.
func TestUnfinishedWorkOutlastsTheFleet(t *testing.T) {
	t.Parallel()
	at := func(unfinished, completed bool) downtime.Position {
		return downtime.Position{Digest: "11111111", Occurrence: "2000-01-01T00:00:00Z", Unfinished: unfinished, Completed: completed}
	}
	held := func(t *testing.T, r *quorum.Replica, p downtime.Position) bool {
		t.Helper()
		_, unfinished := position(t, r, "w", p)
		return unfinished
	}
	inPlaces(t, func(t *testing.T, p place) {
		a := p.join("a")
		require.True(t, held(t, a, at(true, false)))
		require.NoError(t, a.Close())
		a = p.join("a again")
		require.True(t, held(t, a, at(false, false)))
		require.NoError(t, a.Close())
		a = p.join("a once more")
		require.True(t, held(t, a, at(false, false)))
		require.False(t, held(t, a, at(false, true)), "completed")
		require.NoError(t, a.Close())
		a = p.join("a at last")
		require.False(t, held(t, a, at(false, false)))

		// It is begun anew, and completed by the replica that has begun it.
		require.True(t, held(t, a, at(true, false)))
		require.False(t, held(t, a, at(false, true)))
		require.NoError(t, a.Close())
		require.False(t, held(t, p.join("b"), at(false, false)))
	})
	synctest.Test(t, func(t *testing.T) { // without the table, a replica that lives remembers it
		s := newServer()
		s.refuses = true
		p := placeOf(t, s.open(t))
		var log bytes.Buffer
		a, err := quorum.Postgres(s.open(t), &quorum.Options{Name: "a", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, held(t, a, at(true, false)))
		require.True(t, held(t, a, at(true, false)))
		synctest.Wait()
		require.Equal(t, 1, strings.Count(log.String(), "table upkeep_quorum_unfinished cannot be used"))
		b := p.join("b")
		require.True(t, held(t, b, at(false, false)))
		require.NoError(t, a.Close())
		require.True(t, held(t, b, at(false, false)))
		require.NoError(t, b.Close())
		require.False(t, held(t, p.join("c"), at(false, false)))
	})
}

// TestUnfinishedWorkHoldsTheFleet lets a replica drain a window and then end without Complete. All
// replicas hold the window past its end, and so does a new one.
func TestUnfinishedWorkHoldsTheFleet(t *testing.T) {
	t.Parallel()
	type replica struct {
		g *downtime.Guard
		q *quorum.Replica
	}
	const (
		end        = 5 * time.Minute
		overrunMax = 10 * time.Minute
	)
	start := func(t *testing.T, p place, name string) replica {
		q := p.join(name)
		doc := "windows:\n  - {id: w, start: \"2000-01-01T00:00:00Z\", duration: 5m, scope: {work: [orders]}}\n"
		g, err := downtime.Open(t.Context(), downtime.Bytes("w", []byte(doc)), &downtime.Options{Quorum: q, Logger: discard, OverrunMax: overrunMax})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		return replica{g, q}
	}
	code := func(r replica) string {
		leave, err := r.g.Enter(context.Background(), downtime.Work{Name: "orders"})
		leave()
		rep, reportErr := r.g.Report("w")
		if reportErr != nil {
			return reportErr.Error()
		}
		return fmt.Sprint(err == nil, " ", rep.Phase)
	}
	until := func(d time.Duration) {
		time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d)))
		synctest.Wait()
	}
	inPlaces(t, func(t *testing.T, p place) {
		a, b := start(t, p, "a"), start(t, p, "b")
		until(time.Minute)
		_, err := a.g.Drain(t.Context(), "w")
		require.NoError(t, err)
		until(2 * time.Minute)
		require.NoError(t, a.g.Close())
		require.NoError(t, a.q.Close())
		until(end + 2*time.Second)
		require.Equal(t, "false overrun", code(b))
		a = start(t, p, "a again")
		require.Equal(t, "false overrun", code(a), "at once")
		until(end + 4*time.Minute)
		require.Equal(t, []string{"false overrun", "false overrun"}, []string{code(a), code(b)})
		require.NoError(t, b.g.Close())
		require.NoError(t, b.q.Close())
		b = start(t, p, "b again")
		require.Equal(t, "false overrun", code(b))
		_, err = a.g.Complete("w")
		require.NoError(t, err)
		until(end + 4*time.Minute + 3*time.Second)
		require.Equal(t, []string{"true completed", "true completed"}, []string{code(a), code(b)})
	})
	inPlaces(t, func(t *testing.T, p place) { // for OverrunMax at most
		a, b := start(t, p, "a"), start(t, p, "b")
		until(time.Minute)
		_, err := a.g.Drain(t.Context(), "w")
		require.NoError(t, err)
		until(end + overrunMax - time.Second)
		require.Equal(t, []string{"false overrun", "false overrun"}, []string{code(a), code(b)})
		until(end + overrunMax + 3*time.Second)
		require.Equal(t, []string{"true completed", "true completed"}, []string{code(a), code(b)})
		require.Equal(t, "true completed", code(start(t, p, "c")))
	})
	inPlaces(t, func(t *testing.T, p place) { // completed in time, and ended at once
		a, b := start(t, p, "a"), start(t, p, "b")
		until(time.Minute)
		_, err := a.g.Drain(t.Context(), "w")
		require.NoError(t, err)
		until(2 * time.Minute)
		_, err = a.g.Complete("w")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, a.g.Close())
		require.NoError(t, a.q.Close())
		until(end - time.Second)
		require.Equal(t, "false in progress", code(b), "its own window goes on")
		until(end + 2*time.Second)
		require.Equal(t, "true completed", code(b))
	})
}

func FuzzDigest(f *testing.F) {
	for _, seed := range []string{"", "11111111aaaa", "x", "11111111AAAA", string(make([]byte, 100))} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		digest := quorum.ParseDigest(data)
		require.Equal(t, len(data) == 0, digest == "", "only an empty file says nothing")
		require.LessOrEqual(t, len(digest), 10)
	})
}
