package quorum_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

var discard = slog.New(slog.DiscardHandler)

// join returns a replica that has joined.
func join(t testing.TB, db *sql.DB, opts quorum.Options) *quorum.Replica {
	opts.Logger = discard
	r, err := quorum.Postgres(db, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	synctest.Wait()
	return r
}

// bystander joins a quiet replica that knows these windows, because Drain needs at least one.
func bystander(t testing.TB, db *sql.DB, names ...string) *quorum.Replica {
	r := join(t, db, quorum.Options{Name: "bystander"})
	known := windows{}
	for _, name := range names {
		known[name] = false
	}
	require.Empty(t, agree(t, r, known))
	return r
}

func agree(t testing.TB, r *quorum.Replica, windows map[string]bool) map[string]bool {
	t.Helper()
	open, err := r.Agree(t.Context(), windows)
	require.NoError(t, err)
	return open
}

type windows = map[string]bool

func rung(r *quorum.Replica) bool {
	synctest.Wait()
	select {
	case <-r.Changed():
		return true
	default:
		return false
	}
}

// A draining is a running call of Drain.
type draining struct {
	done chan struct{}
	lock *quorum.Lock
	err  error
}

func startDrain(ctx context.Context, t testing.TB, db *sql.DB, window string) *draining {
	d := &draining{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.lock, d.err = quorum.Drain(ctx, db, window, nil)
	}()
	t.Cleanup(func() {
		<-d.done
		if d.lock != nil {
			_ = d.lock.Close()
		}
	})
	return d
}

// waits reports whether the call still waits after the given time.
func (d *draining) waits(after time.Duration) bool {
	select {
	case <-d.done:
		return false
	case <-time.After(after):
		return true
	}
}

// states returns the states of a look, in the order of sessions.
func states(t testing.TB, db *sql.DB, window string) []quorum.State {
	t.Helper()
	rep, err := quorum.Look(t.Context(), db, window)
	require.NoError(t, err)
	var all []quorum.State
	for _, p := range rep.Peers {
		all = append(all, p.State)
	}
	return all
}

func TestDrainWaitsForWhoIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		a, b := join(t, db, quorum.Options{Name: "a"}), join(t, db, quorum.Options{Name: "b"})
		require.Equal(t, windows{"w": true}, agree(t, a, windows{"w": true}))
		require.Equal(t, windows{"w": true}, agree(t, b, windows{"w": true, "v": false}))
		require.Equal(t, []quorum.State{quorum.StateOpen, quorum.StateOpen}, states(t, db, "w"))
		require.Equal(t, []quorum.State{quorum.StateUnaware, quorum.StateQuiet}, states(t, db, "v"))

		d := startDrain(t.Context(), t, db, "w")
		require.True(t, d.waits(time.Minute))
		require.Equal(t, windows{"w": true}, agree(t, a, windows{"w": true}), "who waits takes nothing away")
		require.Empty(t, agree(t, a, windows{"w": false}))
		require.Equal(t, []quorum.State{quorum.StateQuiet, quorum.StateOpen}, states(t, db, "w"))
		require.True(t, d.waits(time.Minute))
		require.Empty(t, agree(t, b, windows{"w": false, "v": false}))
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)

		require.Len(t, d.lock.Report().Peers, 2)
		require.Empty(t, d.lock.Report().Waiting())
		var waited []string
		for _, p := range d.lock.Waited() {
			require.Equal(t, quorum.StateOpen, p.State)
			waited = append(waited, p.Name)
		}
		require.Equal(t, []string{"a", "b"}, waited)
		require.NoError(t, d.lock.Check(t.Context()))

		require.Empty(t, agree(t, a, windows{"w": true}), "the operator has it")
		require.Equal(t, windows{"v": true}, agree(t, b, windows{"w": true, "v": true}), "that one alone")
		require.NoError(t, d.lock.Close())
		require.NoError(t, d.lock.Close())
		require.ErrorIs(t, d.lock.Check(t.Context()), quorum.ErrClosed)
		require.Equal(t, windows{"w": true}, agree(t, a, windows{"w": true}))
		require.Equal(t, windows{"w": true, "v": true}, agree(t, b, windows{"w": true, "v": true}))
	})
}

// TestDrainWaitsForWhoDoesNotKnow has a replica with an old document. It does not hold a lock on
// the window, so the open lock alone would be free.
func TestDrainWaitsForWhoDoesNotKnow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		a, b := join(t, db, quorum.Options{Name: "a"}), join(t, db, quorum.Options{Name: "b"})
		agree(t, a, windows{"w": false})
		agree(t, b, windows{"old": true})
		var seized atomic.Int64
		s.set(func() {
			s.before = func(statement string, _ *conn) error {
				if statement == quorum.SQLSeize {
					seized.Add(1)
				}
				return nil
			}
		})
		d := startDrain(t.Context(), t, db, "w")
		require.True(t, d.waits(time.Minute))
		require.Equal(t, windows{"w": true}, agree(t, a, windows{"w": true}), "who waits for others closes nobody")
		agree(t, a, windows{"w": false})
		require.True(t, d.waits(time.Minute))
		require.Zero(t, seized.Load(), "not even for a moment")
		agree(t, b, windows{"w": true})
		require.True(t, d.waits(time.Minute))
		agree(t, b, windows{"w": false})
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)

		// A replica that forgets the window becomes outdated.
		_, err := b.Agree(t.Context(), windows{"old": true})
		require.ErrorIs(t, err, downtime.ErrOutdated)
		var waiting *quorum.WaitingError
		require.ErrorAs(t, d.lock.Check(t.Context()), &waiting)
		require.Equal(t, "b", waiting.Waiting[0].Name)
		require.Equal(t, quorum.StateUnaware, waiting.Waiting[0].State)
		require.Empty(t, agree(t, b, windows{"w": true}))
		require.NoError(t, d.lock.Check(t.Context()))
	})
}

// TestNewcomers joins replicas while the operator has the window.
func TestNewcomers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		require.Len(t, lock.Report().Peers, 1)

		knows := join(t, db, quorum.Options{})
		require.True(t, rung(knows), "it does not know yet")
		require.Equal(t, windows{"v": true}, agree(t, knows, windows{"v": true, "w": true}))

		old := join(t, db, quorum.Options{})
		_, err = old.Agree(t.Context(), windows{"v": true})
		require.ErrorIs(t, err, downtime.ErrOutdated)
		_, err = old.Agree(t.Context(), nil)
		require.ErrorIs(t, err, downtime.ErrOutdated, "as long as it is")
		require.InDelta(t, 1, old.Stats()["outdated"], 0)
		require.True(t, rung(old))
		time.Sleep(time.Minute)
		require.False(t, rung(old), "nothing has changed")

		require.NoError(t, lock.Close())
		time.Sleep(2 * time.Second)
		require.True(t, rung(old), "it may ask again")
		require.Equal(t, windows{"v": true}, agree(t, old, windows{"v": true}))
	})
}

// TestNewcomerInTheMiddle joins after the operator's first look and before it has the lock. The
// second look finds the replica.
func TestNewcomerInTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		var newcomer *quorum.Replica
		var once sync.Once
		s.set(func() {
			s.before = func(statement string, _ *conn) error {
				if statement == quorum.SQLSeize {
					once.Do(func() {
						r, err := quorum.Postgres(db, &quorum.Options{Name: "newcomer", Logger: discard})
						require.NoError(t, err)
						open, err := r.Agree(t.Context(), windows{"other": true})
						require.NoError(t, err, "the operator had not begun")
						require.Equal(t, windows{"other": true}, open)
						newcomer = r
					})
				}
				return nil
			}
		})
		d := startDrain(t.Context(), t, db, "w")
		require.True(t, d.waits(time.Minute))
		defer func() { require.NoError(t, newcomer.Close()) }()
		require.Equal(t, windows{"other": true, "w": true}, agree(t, newcomer, windows{"other": true, "w": true}), "the operator has given it back")
		agree(t, newcomer, windows{"other": true, "w": false})
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)
		require.Equal(t, "newcomer", d.lock.Waited()[0].Name)
	})
}

func TestCutSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		r := join(t, db, quorum.Options{Name: "r"})
		require.False(t, rung(r), "to join is no loss")
		agree(t, r, windows{"w": true})
		time.Sleep(10 * time.Second)
		require.False(t, rung(r))

		begun := time.Now()
		s.kill(s.pids(true)[0])
		require.True(t, rung(r), "at once")
		require.Zero(t, time.Since(begun))
		synctest.Wait()
		require.Equal(t, windows{"w": true}, agree(t, r, windows{"w": true}), "in another session")
		require.InDelta(t, 1, r.Stats()["lost"], 0)

		// If an operator gets the window in between, the replica stays closed.
		agree(t, r, windows{"w": false})
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		s.kill(s.pids(true)[0])
		require.True(t, rung(r))
		require.Empty(t, agree(t, r, windows{"w": true}))
		require.NoError(t, lock.Close())
	})
}

// TestFallsOutWhileAgreeWaits ends the session while a guard waits in Agree. Agree must return,
// because the guard does not read Changed meanwhile.
func TestFallsOutWhileAgreeWaits(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			db := s.open(t)
			r := join(t, db, quorum.Options{Name: "r"})
			agree(t, r, windows{"w": true})
			require.False(t, rung(r), "to join is no loss")
			time.Sleep(time.Minute + 100*time.Millisecond) // in the middle of a beat
			if silent {
				s.set(func() { s.silent = true })
				time.Sleep(3 * time.Second)
			}
			failed := make(chan error)
			go func() {
				_, err := r.Agree(t.Context(), windows{"w": true, "v": true})
				failed <- err
			}()
			synctest.Wait()
			if !silent {
				s.kill(s.pids(true)[0])
			}
			err := <-failed
			fell := time.Now()
			require.ErrorContains(t, err, "fell out")
			require.True(t, rung(r))
			require.Equal(t, fell, time.Now(), "not after the session was put away")
			s.set(func() { s.silent = false })
			synctest.Wait()
			time.Sleep(10 * time.Second)
			require.Equal(t, windows{"w": true, "v": true}, agree(t, r, windows{"w": true, "v": true}))
		})
	}
}

// TestSilence has a network that drops everything. The replica notices it.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		r := join(t, db, quorum.Options{Name: "r"})
		agree(t, r, windows{"w": true})
		require.False(t, rung(r), "to join is no loss")
		s.set(func() { s.silent = true })
		select {
		case <-r.Changed():
		case <-time.After(6 * time.Second):
			require.Fail(t, "nothing was noticed")
		}
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := r.Agree(ctx, windows{"w": true})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(begun))
		begun = time.Now()
		_, err = r.Agree(t.Context(), windows{"w": true})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(begun), 12*time.Second, "a turn, and an attempt")
		s.set(func() { s.silent = false })
		time.Sleep(6 * time.Second)
		require.InDelta(t, 1, r.Stats()["joined"], 0, "by itself")
		require.Equal(t, windows{"w": true}, agree(t, r, windows{"w": true}))
	})
}

func TestOperatorsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		agree(t, join(t, db, quorum.Options{Name: "a"}), windows{"w": true})
		join(t, db, quorum.Options{Name: "b\x1b[2J"})
		held := s.locks()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("time for dinner"))
		defer cancel()
		lock, err := quorum.Drain(ctx, db, "w", nil)
		require.Nil(t, lock)
		pids := s.pids(true)
		require.Len(t, pids, 2)
		require.EqualError(t, err, fmt.Sprintf(`quorum: waiting for "w" to be quiet: pid %d "a" 192.0.2.1 is open, since 2000-01-01T00:00:00Z; `+
			`pid %d "b\x1b[2J" 192.0.2.1 does not know of the window, since 2000-01-01T00:00:00Z: time for dinner`, pids[0], pids[1]))
		var waiting *quorum.WaitingError
		require.ErrorAs(t, err, &waiting)
		require.Len(t, waiting.Waiting, 2)
		require.Equal(t, held, s.locks(), "nothing is held")

		_, err = quorum.Drain(ctx, db, "w", nil)
		require.EqualError(t, err, `quorum: waiting for "w" to be quiet: time for dinner`)
		require.Equal(t, held, s.locks())
	})
}

// TestContextEndsWithTheLock ends ctx at the moment when Drain gets the lock.
func TestContextEndsWithTheLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		held := s.locks()
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		s.set(func() {
			s.before = func(statement string, _ *conn) error {
				if statement == quorum.SQLLook {
					if looks++; looks == 2 {
						cancel()
					}
				}
				return nil
			}
		})
		lock, err := quorum.Drain(ctx, db, "w", nil)
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, lock)
		require.Equal(t, held, s.locks())
	})
}

func TestOperatorLosesTheLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		ctx := lock.Context(t.Context())
		time.Sleep(time.Minute)
		require.NoError(t, ctx.Err())
		begun := time.Now()
		s.kill(s.pids(false)[0])
		<-ctx.Done()
		require.Zero(t, time.Since(begun))
		require.ErrorIs(t, context.Cause(ctx), quorum.ErrLost)
		require.ErrorIs(t, lock.Check(t.Context()), quorum.ErrLost)
		require.ErrorIs(t, lock.Close(), quorum.ErrLost)
		require.ErrorIs(t, lock.Close(), quorum.ErrLost)
		require.Error(t, lock.Context(t.Context()).Err())

		// Without an answer of the server.
		lock, err = quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		ctx = lock.Context(t.Context())
		s.set(func() { s.silent = true })
		begun = time.Now()
		<-ctx.Done()
		require.Less(t, time.Since(begun), 7*time.Second)
		require.ErrorIs(t, lock.Close(), quorum.ErrLost)
	})
}

func TestClosedLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		held := s.locks()
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		parent, cancel := context.WithCancelCause(t.Context())
		ctx, child := lock.Context(t.Context()), lock.Context(parent)
		cancel(errors.New("enough"))
		require.EqualError(t, context.Cause(child), "enough")
		require.NoError(t, ctx.Err())
		require.NoError(t, lock.Close())
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), quorum.ErrClosed)
		require.Equal(t, held, s.locks())
	})
}

func TestOperatorsSessionEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		agree(t, join(t, db, quorum.Options{Name: "a"}), windows{"w": true})
		d := startDrain(t.Context(), t, db, "w")
		require.True(t, d.waits(time.Minute))
		s.kill(s.pids(false)[0])
		require.False(t, d.waits(time.Second))
		require.ErrorIs(t, d.err, errCut)
		var waiting *quorum.WaitingError
		require.ErrorAs(t, d.err, &waiting)
		require.Len(t, waiting.Waiting, 1)
	})
}

func TestSecondOperator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w", "v")
		first, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		other, err := quorum.Drain(t.Context(), db, "v", nil)
		require.NoError(t, err, "another window")
		second := startDrain(t.Context(), t, db, "w")
		require.True(t, second.waits(time.Minute))
		require.Equal(t, []quorum.State{quorum.StateQuiet, quorum.StateDraining}, states(t, db, "w"))
		require.NoError(t, first.Close())
		require.False(t, second.waits(time.Second))
		require.NoError(t, second.err)
		require.Equal(t, quorum.StateDraining, second.lock.Waited()[0].State)
		require.NoError(t, other.Close())
	})
}

func TestFence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		ctx := t.Context()
		begin := func() *sql.Tx {
			tx, err := db.BeginTx(ctx, nil)
			require.NoError(t, err)
			return tx
		}
		written, open := begin(), begin()
		require.NoError(t, quorum.Fence(ctx, written, "w"))
		require.NoError(t, quorum.Fence(ctx, written, "w"), "twice does not matter")
		require.NoError(t, quorum.Fence(ctx, open, "w"))
		require.NoError(t, written.Commit())
		require.Equal(t, []quorum.State{quorum.StateQuiet, quorum.StateWriting}, states(t, db, "w"))

		d := startDrain(ctx, t, db, "w")
		require.True(t, d.waits(time.Minute+300*time.Millisecond), "for the other")
		late := begin()
		err := quorum.Fence(ctx, late, "w")
		var fenced *quorum.FencedError
		require.ErrorAs(t, err, &fenced)
		require.Equal(t, "w", fenced.Window)
		require.ErrorIs(t, err, downtime.ErrWindow)
		require.EqualError(t, err, `quorum: window "w" is being drained and refuses writes`)
		require.NoError(t, quorum.Fence(ctx, open, "w"), "it has it")
		require.NoError(t, late.Rollback())
		require.NoError(t, open.Commit())
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)
		require.Equal(t, quorum.StateWriting, d.lock.Waited()[0].State)

		late = begin()
		require.ErrorIs(t, quorum.Fence(ctx, late, "w"), downtime.ErrWindow)
		require.NoError(t, quorum.Fence(ctx, late, "v"), "another window")
		require.NoError(t, quorum.Fleet("f").Fence(ctx, late, "w"), "another fleet")
		require.NoError(t, late.Rollback())
		require.NoError(t, d.lock.Close())
		late = begin()
		require.NoError(t, quorum.Fence(ctx, late, "w"))
		require.NoError(t, late.Rollback())

		require.EqualError(t, quorum.Fence(ctx, db, "w"), "quorum: a fence needs a transaction")
		require.EqualError(t, quorum.Fence(ctx, nil, "w"), "quorum: a fence needs a transaction")
		require.ErrorIs(t, quorum.Fence(ctx, late, "w"), sql.ErrTxDone)
	})
}

// TestFenceDoesNotStarve has endless overlapping writes from a client without a guard.
func TestFenceDoesNotStarve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for i := range 2 {
			writers.Go(func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				for {
					select {
					case <-stop:
						return
					default:
					}
					tx, err := db.BeginTx(context.Background(), nil)
					require.NoError(t, err)
					_ = quorum.Fence(t.Context(), tx, "w")
					time.Sleep(100 * time.Millisecond)
					require.NoError(t, tx.Rollback())
				}
			})
		}
		time.Sleep(time.Second)
		d := startDrain(t.Context(), t, db, "w")
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)
		close(stop)
		writers.Wait()
	})
}

// TestPooler has sessions shared by several clients.
func TestPooler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		ctx := lock.Context(t.Context())
		r := join(t, db, quorum.Options{Name: "r"})
		agree(t, r, windows{"w": false, "v": true})
		require.True(t, rung(r), "it did not know at first")

		s.set(func() { s.pooled = true })
		select {
		case <-r.Changed():
		case <-time.After(time.Second):
			require.Fail(t, "nothing was noticed")
		}
		_, err = r.Agree(t.Context(), windows{"w": false, "v": true})
		require.ErrorIs(t, err, quorum.ErrPooled)
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), quorum.ErrPooled)
		require.ErrorIs(t, lock.Close(), quorum.ErrLost)
		_, err = quorum.Drain(t.Context(), db, "w", nil)
		require.ErrorIs(t, err, quorum.ErrPooled)
	})
}

// TestIdleConnections has pooled connections that are dead, as behind a server or a firewall that
// cuts idle connections.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		db.SetMaxIdleConns(10)
		var conns []*sql.Conn
		for range 10 {
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		for i, conn := range conns {
			require.NoError(t, conn.Close())
			s.kill(i + 1)
		}
		bystander(t, s.open(t), "w")
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		require.NoError(t, lock.Close())
	})
}

// TestStandby connects to a standby, whose locks differ from the primary's.
func TestStandby(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.standby = true
		db := s.open(t)
		_, err := join(t, db, quorum.Options{}).Agree(t.Context(), windows{"w": true})
		require.ErrorContains(t, err, "standby")
		_, err = quorum.Drain(t.Context(), db, "w", nil)
		require.ErrorContains(t, err, "standby")
		require.Empty(t, s.sessions)
	})
}

func TestNobodyToDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		_, err := quorum.Drain(t.Context(), db, "w", nil)
		require.ErrorIs(t, err, quorum.ErrNobody)
		_, err = quorum.Drain(t.Context(), db, "w", &quorum.DrainOptions{Replicas: 1})
		require.ErrorIs(t, err, quorum.ErrNobody)
		require.Zero(t, s.locks())
		r := bystander(t, db, "w")
		_, err = quorum.Fleet("other").Drain(t.Context(), db, "w", nil)
		require.ErrorIs(t, err, quorum.ErrNobody, "in that fleet")

		// Replicas that have left are not in the way.
		agree(t, r, windows{"w": true})
		d := startDrain(t.Context(), t, db, "w")
		require.True(t, d.waits(time.Minute))
		require.NoError(t, r.Close())
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)
		require.Empty(t, d.lock.Report().Peers)
	})
}

func TestExpectedReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		_, err := quorum.Drain(t.Context(), db, "w", &quorum.DrainOptions{Replicas: -1})
		require.EqualError(t, err, "quorum: DrainOptions.Replicas must not be negative, got -1")
		bystander(t, db, "w")
		gone := bystander(t, db, "w")
		bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = quorum.Drain(bounded, db, "w", &quorum.DrainOptions{Replicas: 4})
		var waiting *quorum.WaitingError
		require.ErrorAs(t, err, &waiting)
		require.Equal(t, 2, waiting.Missing)
		require.EqualError(t, err, `quorum: waiting for "w" to be quiet: replicas that have not joined: 2: context deadline exceeded`)

		d := &draining{done: make(chan struct{})}
		go func() {
			defer close(d.done)
			d.lock, d.err = quorum.Drain(t.Context(), db, "w", &quorum.DrainOptions{Replicas: 3})
		}()
		require.True(t, d.waits(time.Minute))
		require.NoError(t, gone.Close())
		bystander(t, db, "w")
		require.True(t, d.waits(time.Minute), "one for another")
		newcomer := bystander(t, db)
		require.True(t, d.waits(time.Minute), "it does not know the window")
		agree(t, newcomer, windows{"w": false})
		require.False(t, d.waits(time.Second))
		require.NoError(t, d.err)
		require.Len(t, d.lock.Report().Peers, 3)
		require.NoError(t, d.lock.Close())
	})
}

// TestReplicaLeavesInTheMiddle leaves after the operator has counted the replica and before it has
// the lock.
func TestReplicaLeavesInTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		bystander(t, db, "w")
		gone := bystander(t, db, "w")
		var once sync.Once
		s.set(func() {
			s.before = func(statement string, _ *conn) error {
				if statement == quorum.SQLSeize {
					once.Do(func() { require.NoError(t, gone.Close()) })
				}
				return nil
			}
		})
		bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := quorum.Drain(bounded, db, "w", &quorum.DrainOptions{Replicas: 2})
		var waiting *quorum.WaitingError
		require.ErrorAs(t, err, &waiting)
		require.Equal(t, 1, waiting.Missing)
	})
}

func TestFleets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		a, b := join(t, db, quorum.Options{Fleet: "a"}), join(t, db, quorum.Options{Fleet: "b"})
		agree(t, a, windows{"w": false})
		agree(t, b, windows{"w": true})
		lock, err := quorum.Fleet("a").Drain(t.Context(), db, "w", nil)
		require.NoError(t, err, "b is of another fleet")
		require.Len(t, lock.Report().Peers, 1)
		rep, err := quorum.Fleet("b").Look(t.Context(), db, "w")
		require.NoError(t, err)
		require.Equal(t, quorum.StateOpen, rep.Peers[0].State)
		require.Empty(t, agree(t, a, windows{"w": true}))
		require.Equal(t, windows{"w": true, "x": true}, agree(t, b, windows{"w": true, "x": true}))
		require.NoError(t, lock.Close())
		require.NotEqual(t, quorum.Key("a", "bw"), quorum.Key("ab", "w"))
	})
}

func TestReplicaCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		db.SetMaxIdleConns(-1) // so that a session that is left is ours
		r := join(t, db, quorum.Options{})
		require.Equal(t, map[string]float64{"joined": 1, "outdated": 0, "known": 0, "open": 0, "lost": 0}, r.Stats())
		agree(t, r, windows{"w": true, "v": false})
		require.Equal(t, map[string]float64{"joined": 1, "outdated": 0, "known": 2, "open": 1, "lost": 0}, r.Stats())
		require.False(t, rung(r), "to join is no loss")
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		require.True(t, rung(r), "what was agreed on is over")
		require.Zero(t, s.locks())
		require.Empty(t, s.sessions)
		_, err := r.Agree(t.Context(), windows{"w": true, "v": false})
		require.ErrorIs(t, err, quorum.ErrClosed)
		require.Zero(t, r.Stats()["joined"])
	})
}

// TestCloseDoesNotWait closes while the server does not answer.
func TestCloseDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.silent = true
		db := s.open(t)
		r := join(t, db, quorum.Options{})
		failed := make(chan error)
		go func() {
			_, err := r.Agree(context.Background(), windows{"w": true})
			failed <- err
		}()
		time.Sleep(time.Second)
		begun := time.Now()
		require.NoError(t, r.Close())
		require.ErrorIs(t, <-failed, quorum.ErrClosed)
		require.Less(t, time.Since(begun), 3*time.Second)
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := quorum.Postgres(nil, nil)
	require.EqualError(t, err, "quorum: the database is nil")
	_, err = quorum.Drain(t.Context(), nil, "w", nil)
	require.EqualError(t, err, "quorum: the database is nil")
	_, err = quorum.Look(t.Context(), nil, "w")
	require.EqualError(t, err, "quorum: the database is nil")

	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		var text strings.Builder
		r, err := quorum.Postgres(db, &quorum.Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		require.NoError(t, err)
		synctest.Wait()
		rep, err := quorum.Look(t.Context(), db, "w")
		require.NoError(t, err)
		require.Regexp(t, `^quorum\.test@\S+ \d+$`, rep.Peers[0].Name)
		s.set(func() { s.standby = true })
		s.kill(rep.Peers[0].PID)
		time.Sleep(time.Minute)
		s.set(func() { s.standby = false })
		time.Sleep(time.Minute)
		require.NoError(t, r.Close())
		var messages []string
		for line := range strings.Lines(text.String()) {
			_, line, _ = strings.Cut(line, "level=")
			level, rest, _ := strings.Cut(line, " ")
			messages = append(messages, level+strings.Split(rest, `"`)[1])
		}
		require.Equal(t, []string{
			"INFOjoined the quorum of maintenance windows",
			"WARNfell out of the quorum of maintenance windows",
			"WARNcannot join the quorum of maintenance windows", // once, not for an hour
			"INFOjoined the quorum of maintenance windows",
		}, messages)
	})
}

// TestFaults lets the n-th statement of a replica and an operator fail, for each n. A replica's
// answer must match its locks on the server, and an operator that fails must not hold locks.
func TestFaults(t *testing.T) {
	t.Parallel()
	for n := range 60 {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			db := s.open(t)
			var count atomic.Int64
			var draining atomic.Bool // if true, the operator's statements fail
			s.before = func(_ string, c *conn) error {
				if (!draining.Load() || c.name == "") && count.Add(1) == int64(n)+1 {
					return fmt.Errorf("fault %d", n)
				}
				return nil
			}
			r := join(t, db, quorum.Options{Name: "r"})
			for _, told := range []windows{{"w": true}, {"w": true, "v": true}, {"w": false, "v": true}, {"v": true}, {"v": false, "w": false}} {
				open, err := r.Agree(t.Context(), told)
				held := 0
				s.set(func() {
					for _, c := range s.sessions {
						for w := range open {
							held += c.shared[quorum.Key("", w)]
						}
					}
				})
				if held != len(open) {
					require.True(t, rung(r), "%v %v", told, err) // the fault came after the answer
				}
				if err != nil {
					require.Nil(t, open)
				}
			}
			for { // a guard calls until it gets an answer
				if _, err := r.Agree(t.Context(), windows{"v": false, "w": false}); err == nil {
					break
				}
				time.Sleep(time.Second)
			}
			draining.Store(true)
			before := count.Load()
			bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			lock, err := quorum.Drain(bounded, db, "w", nil)
			if int64(n) >= before && err != nil {
				require.Nil(t, lock)
				require.ErrorContains(t, err, "fault")
				require.Empty(t, s.pids(false), "the operator's session is over")
				lock, err = quorum.Drain(bounded, db, "w", nil)
			}
			require.NoError(t, err)
			if err := lock.Close(); err != nil {
				require.ErrorIs(t, err, quorum.ErrLost)
				require.ErrorContains(t, err, "fault")
			}
		})
	}
}

// TestNobodyIsOpenUnderTheLock lets replicas join, leave, lose their sessions and their documents
// at random while operators drain. While an operator holds a lock, no replica may be open. A
// replica is open by its last answer, and closed between a send on Changed and its next call.
func TestNobodyIsOpenUnderTheLock(t *testing.T) {
	t.Parallel()
	rounds := testsize.Pick(5, 20, 200)
	got := 0
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) {
			chance := func(who int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), uint64(who))) }
			s := newServer()
			db := s.open(t)
			type guard struct {
				sync.Mutex
				r     *quorum.Replica
				told  windows
				open  bool // work in the scope of w is admitted
				whole bool // if false, everything is refused
			}
			const many = 4
			var guards [many]*guard
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			ask := func(g *guard) {
				g.Lock()
				told := g.told
				g.Unlock()
				open, err := g.r.Agree(ctx, told)
				g.Lock()
				defer g.Unlock()
				_, knows := g.told["w"]
				g.whole = err == nil || !errors.Is(err, downtime.ErrOutdated)
				g.open = g.whole && (open["w"] && g.told["w"] || !knows)
			}
			for i := range guards {
				g := &guard{r: join(t, db, quorum.Options{Name: fmt.Sprint(i)}), told: windows{"w": true}}
				guards[i] = g
				all.Go(func() {
					rnd := chance(i)
					for {
						ask(g)
						select {
						case <-ctx.Done():
							return
						case <-g.r.Changed():
							g.Lock()
							g.open = false
							g.Unlock()
						case <-time.After(time.Duration(rnd.IntN(1000)) * time.Millisecond):
						}
					}
				})
			}
			all.Go(func() { // the document, and the network
				rnd := chance(many)
				for ctx.Err() == nil {
					time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
					g := guards[rnd.IntN(many)]
					g.Lock()
					g.told = windows{"w": rnd.IntN(3) == 0, "other": true}
					if !g.told["w"] {
						g.open = false
					}
					g.Unlock()
					if rnd.IntN(4) == 0 {
						if pids := s.pids(true); len(pids) > 0 {
							s.kill(pids[rnd.IntN(len(pids))])
							synctest.Wait() // the moment that only a fence covers
						}
					}
				}
			})
			rnd := chance(many + 1)
			for range 20 {
				bounded, stop := context.WithTimeout(ctx, 3*time.Second)
				lock, err := quorum.Drain(bounded, db, "w", nil)
				stop()
				if err != nil {
					continue
				}
				got++
				for range 10 {
					time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
					for i, g := range guards {
						g.Lock()
						require.False(t, g.open, "seed %d: replica %d is open under the lock", seed, i)
						g.Unlock()
					}
				}
				require.NoError(t, lock.Close())
				time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			}
			cancel()
			all.Wait()
		})
	}
	require.Greater(t, got, rounds, "the lock was hardly ever had: nothing was tested")
}
