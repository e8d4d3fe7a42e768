package quorum_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
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

	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// A pooler gives each transaction of a client a server connection: an idle one, chosen by pick,
// or a new one if all are busy.
type pooler struct {
	server *server
	pick   func(idle []*conn, last *conn) int

	statements bool        // statement mode: a transaction closes its server connection
	sessions   atomic.Bool // a client keeps its server connection

	mu   sync.Mutex
	idle []*conn // the longest idle first
}

// picks are the ways in which poolers choose a connection.
var picks = map[string]func(idle []*conn, last *conn) int{
	"last in, first out": func(idle []*conn, _ *conn) int { return len(idle) - 1 },
	"round robin":        func([]*conn, *conn) int { return 0 },
	"any":                func(idle []*conn, _ *conn) int { return rand.IntN(len(idle)) },
	sticky: func(idle []*conn, last *conn) int {
		for i, c := range idle {
			if c == last {
				return i
			}
		}
		return 0
	},
}

const sticky = "the same, or the longest idle"

// newPooler returns a pooler with some idle server connections.
func newPooler(t testing.TB, pick string, idle int) *pooler {
	p := &pooler{server: newServer(), pick: picks[pick]}
	for range idle {
		c, err := p.server.Connect(t.Context())
		require.NoError(t, err)
		p.idle = append(p.idle, c.(*conn))
	}
	return p
}

func (p *pooler) open(t testing.TB) *sql.DB {
	db := sql.OpenDB(p)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (p *pooler) Connect(context.Context) (driver.Conn, error) { return &client{pooler: p}, nil }
func (p *pooler) Driver() driver.Driver                        { return nil }

func (p *pooler) take(last *conn) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		c, _ := p.server.Connect(context.Background())
		return c.(*conn)
	}
	i := p.pick(p.idle, last)
	c := p.idle[i]
	p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
	return c
}

func (p *pooler) give(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
}

// A client is a connection to the pooler.
type client struct {
	pooler *pooler
	last   *conn
	tx     *conn // while a transaction is open
}

func (c *client) Prepare(string) (driver.Stmt, error) { return nil, errNotHere }
func (c *client) Commit() error                       { return c.Rollback() }

func (c *client) Close() error {
	err := c.Rollback()
	if c.pooler.sessions.Load() && c.last != nil {
		return errors.Join(err, c.last.Close())
	}
	return err
}

func (c *client) Begin() (driver.Tx, error) {
	c.tx = c.last
	if !c.pooler.sessions.Load() || c.tx == nil {
		c.tx = c.pooler.take(c.last)
	}
	if c.pooler.statements {
		err := c.tx.Close()
		c.tx = nil
		return nil, errors.Join(errors.New("transaction blocks not allowed in statement pooling mode"), err)
	}
	return c, nil
}

func (c *client) Rollback() error {
	if c.tx == nil {
		return nil
	}
	err := c.tx.Rollback()
	if c.last = c.tx; !c.pooler.sessions.Load() {
		c.pooler.give(c.tx)
	}
	c.tx = nil
	return err
}

func (c *client) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	_, err := c.QueryContext(ctx, query, args)
	return driver.ResultNoRows, err
}

func (c *client) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.tx != nil {
		return c.tx.QueryContext(ctx, query, args)
	}
	if !c.pooler.sessions.Load() || c.last == nil {
		c.last = c.pooler.take(c.last)
	}
	if !c.pooler.sessions.Load() {
		defer c.pooler.give(c.last)
	}
	return c.last.QueryContext(ctx, query, args)
}

// TestPoolersAreRefused lets replicas and operators join through poolers that choose server
// connections in different ways, with and without other clients. All are refused.
func TestPoolersAreRefused(t *testing.T) {
	t.Parallel()
	for pick := range picks {
		for _, idle := range []int{0, 2, 20} {
			for _, others := range []int{0, 3} {
				if pick == sticky && (idle > 2 || others > 0) {
					continue // the limit that the documentation states
				}
				for _, statements := range []bool{false, true} {
					t.Run(fmt.Sprint(pick, idle, others, statements), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							p := newPooler(t, pick, idle)
							p.statements = statements
							p.refuses(t, others, 0)
						})
					})
				}
			}
		}
	}
}

// TestPoolersAreRefusedWithOneConnection covers the weaker check without a second connection.
func TestPoolersAreRefusedWithOneConnection(t *testing.T) {
	t.Parallel()
	for pick := range picks {
		synctest.Test(t, func(t *testing.T) { newPooler(t, pick, 0).refuses(t, 0, 1) })
	}
}

// refuses lets two replicas try to join beside a number of busy clients. Each has a separate db
// with the given limit.
func (p *pooler) refuses(t *testing.T, others, limit int) {
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	defer busy.Wait()
	defer cancel()
	for range others {
		busy.Go(func() {
			c := &client{pooler: p}
			for ctx.Err() == nil {
				_, _ = c.QueryContext(ctx, quorum.SQLBeat, []driver.NamedValue{{Value: float64(rand.IntN(20)) / 1000}})
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				if _, err := c.Begin(); err == nil {
					time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
					_ = c.Rollback()
				}
			}
		})
	}
	open := func() *sql.DB {
		db := p.open(t)
		db.SetMaxOpenConns(limit)
		return db
	}
	replicas := []*quorum.Replica{join(t, open(), quorum.Options{Name: "a"}), join(t, open(), quorum.Options{Name: "b"})}
	for range 5 {
		for _, r := range replicas {
			_, err := r.Agree(t.Context(), windows{"w": true})
			require.ErrorIs(t, err, quorum.ErrPooled)
			require.Zero(t, r.Stats()["joined"])
			require.Zero(t, r.Stats()["lost"], "it has not even joined")
		}
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
	}
	_, err := quorum.Drain(t.Context(), open(), "w", nil)
	require.ErrorIs(t, err, quorum.ErrPooled)
	require.Zero(t, p.server.locks(), "nothing is left behind")
}

// TestSmallPools has pools without a connection for the check. Replicas do not wait for long, and a
// replica with a dedicated session is never refused.
func TestSmallPools(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 3} {
		for taken := range limit {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				db := s.open(t)
				db.SetMaxOpenConns(limit)
				for range taken {
					conn, err := db.Conn(t.Context())
					require.NoError(t, err)
					defer conn.Close()
				}
				begun := time.Now()
				var text strings.Builder
				r, err := quorum.Postgres(db, &quorum.Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
				require.NoError(t, err)
				defer r.Close()
				require.Equal(t, windows{"w": true}, agree(t, r, windows{"w": true}))
				require.LessOrEqual(t, time.Since(begun), 2*time.Second)
				time.Sleep(10 * time.Minute)
				require.Zero(t, r.Stats()["lost"])
				require.Equal(t, limit-taken == 1, strings.Contains(text.String(), "cannot check"), text.String())
			})
		}
	}
}

// TestPoolerIsFoundLater finds the pooler when the check gets a connection, or when a foreign client
// gets the session's. After that the check must pass before the replica joins again, and it does
// not pass if it cannot be made.
func TestPoolerIsFoundLater(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			p := newPooler(t, "last in, first out", 0)
			p.sessions.Store(limit == 1)
			db := p.open(t)
			db.SetMaxOpenConns(limit)
			var app []*sql.Conn
			for range limit - 1 {
				conn, err := db.Conn(t.Context())
				require.NoError(t, err)
				app = append(app, conn)
			}
			r := join(t, db, quorum.Options{Name: "r"})
			require.Empty(t, agree(t, r, windows{}), "nothing shows that it is shared")
			require.False(t, rung(r))
			if limit == 1 {
				p.mu.Lock()
				p.idle = []*conn{p.server.sessions[p.server.pids(true)[0]]}
				p.sessions.Store(false) // its settings have changed
				p.mu.Unlock()
				time.Sleep(time.Minute)
				require.False(t, rung(r), "nobody else is there")
				other := &client{pooler: p}
				_, err := other.Begin()
				require.NoError(t, err)
			}
			for _, conn := range app {
				require.NoError(t, conn.Close())
			}
			select {
			case <-r.Changed():
			case <-time.After(2 * time.Minute):
				require.Fail(t, "nothing was noticed")
			}
			db.SetMaxOpenConns(1)
			for range 100 {
				_, err := r.Agree(t.Context(), windows{"w": true})
				require.ErrorIs(t, err, quorum.ErrPooled)
				time.Sleep(time.Second)
			}
			require.InDelta(t, 1, r.Stats()["lost"], 0)

			db.SetMaxOpenConns(2)
			p.mu.Lock()
			p.idle = nil
			p.sessions.Store(true)
			p.mu.Unlock()
			require.Equal(t, windows{"w": true}, agree(t, r, windows{"w": true}), "a session of its own at last")
		})
	}
}

// TestChecksDoNotRefuse lets many sessions of one database join, check and leave.
func TestChecksDoNotRefuse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		db := s.open(t)
		db.SetMaxOpenConns(12)
		for range 3 {
			var replicas []*quorum.Replica
			for range 10 {
				r := join(t, db, quorum.Options{})
				require.Equal(t, windows{"w": true}, agree(t, r, windows{"w": true}))
				replicas = append(replicas, r)
			}
			time.Sleep(5 * time.Minute)
			for _, r := range replicas {
				require.Zero(t, r.Stats()["lost"])
				require.NoError(t, r.Close())
			}
		}
	})
}

// Idle connections that the server has closed, after a timeout or a restart, are replaced.
func TestIdleConnectionsThatTheServerHasClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := join(t, s.open(t), quorum.Options{})
		require.Empty(t, agree(t, r, windows{"w": false}))

		db := s.open(t)
		db.SetMaxIdleConns(2)
		var idle []*sql.Conn
		for range 2 {
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			idle = append(idle, conn)
		}
		for _, conn := range idle {
			require.NoError(t, conn.Close())
		}
		s.set(func() {
			newest := s.lastPID
			s.before = func(_ string, c *conn) error {
				if c.pid == newest || c.pid == newest-1 {
					return errors.New("write: broken pipe")
				}
				return nil
			}
		})
		lock, err := quorum.Drain(t.Context(), db, "w", nil)
		require.NoError(t, err)
		require.NoError(t, lock.Close())
	})
}
