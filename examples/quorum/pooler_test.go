package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// pooler starts a pgbouncer in front of the stage's database, with additional settings.
func (s *stage) pooler(mode string, settings ...string) *sql.DB {
	t := s.t
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // of Debian, often not on PATH
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Skip("no pgbouncer is installed: run ./setup")
	}
	dir, err := shared.Dir(fmt.Sprint(mode, stages.Add(1))) // a socket's path must be short
	require.NoError(t, err)
	users := filepath.Join(dir, "users")
	require.NoError(t, os.WriteFile(users, []byte("\"postgres\" \"\"\n"), 0o644))
	ini := filepath.Join(dir, "ini")
	require.NoError(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
* = host=%s
[pgbouncer]
pool_mode = %s
listen_addr =
unix_socket_dir = %s
auth_type = trust
auth_file = %s
max_client_conn = 100
default_pool_size = 20
%s
`, shared.Host(), mode, dir, users, strings.Join(settings, "\n")), 0o644))
	server, err := shared.Run("TERM", program, ini)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	// Prepared statements do not pass an old pgbouncer in transaction mode.
	db, err := sql.Open("pgx", fmt.Sprintf("host=%s port=6432 user=postgres dbname=%s default_query_exec_mode=exec", dir, s.name))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s.until("pgbouncer answers", func() bool {
		err = db.PingContext(t.Context())
		return err == nil
	})
	return db
}

// TestPoolerInTransactionMode has a pooler that shares sessions between replicas. The replicas
// notice and report it.
func TestPoolerInTransactionMode(t *testing.T) {
	s := newStage(t)
	db := s.pooler("transaction")
	var replicas []*quorum.Replica
	for range 2 {
		q, err := quorum.Postgres(db, nil)
		require.NoError(t, err)
		defer q.Close()
		replicas = append(replicas, q)
	}
	s.until("both see it", func() bool {
		seen := 0
		for _, q := range replicas {
			if _, err := q.Agree(t.Context(), map[string]bool{window: true}); errors.Is(err, quorum.ErrPooled) || q.Stats()["lost"] > 0 {
				seen++
			}
		}
		return seen == len(replicas)
	})
	s.refuses(db, replicas, false)
}

// refuses requires that replicas have not joined and do not join. In a pool that is too full for a
// server connection for seconds, they may have joined with a warning.
func (s *stage) refuses(db *sql.DB, replicas []*quorum.Replica, full bool) {
	t := s.t
	t.Helper()
	for _, q := range replicas {
		s.until("it is refused", func() bool {
			_, err := q.Agree(t.Context(), map[string]bool{window: true})
			require.True(t, full || errors.Is(err, quorum.ErrPooled), "%v", err)
			return errors.Is(err, quorum.ErrPooled)
		})
	}
	for range 10 {
		for _, q := range replicas {
			_, err := q.Agree(t.Context(), map[string]bool{window: true})
			require.ErrorIs(t, err, quorum.ErrPooled)
			require.Zero(t, q.Stats()["joined"])
			require.True(t, full || q.Stats()["lost"] == 0, "it has not even joined")
		}
	}
	if full {
		return
	}
	_, err := quorum.Drain(t.Context(), db, window, nil)
	require.ErrorIs(t, err, quorum.ErrPooled)
	require.Empty(t, s.states(), "nobody is counted")
	var locks int
	require.NoError(t, s.db.QueryRowContext(t.Context(),
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&locks))
	require.Zero(t, locks, "nothing is left behind in the pooler's connections")
}

// TestPoolersAreRefused has poolers of other sizes and settings, alone and with other
// clients that keep them busy.
func TestPoolersAreRefused(t *testing.T) {
	for _, settings := range [][]string{
		{"transaction", "default_pool_size = 1"},
		{"transaction", "default_pool_size = 2"},
		{"transaction", "server_round_robin = 1"},
		{"transaction", "server_reset_query_always = 1"},
		{"transaction", "min_pool_size = 10"},
		{"statement"},
		{"statement", "server_round_robin = 1"},
	} {
		for _, others := range []int{0, 4} {
			t.Run(fmt.Sprint(settings, others), func(t *testing.T) {
				s := newStage(t)
				db := s.pooler(settings[0], settings[1:]...)
				ctx, cancel := context.WithCancel(t.Context())
				var busy sync.WaitGroup
				defer busy.Wait()
				defer cancel()
				for range others {
					busy.Go(func() {
						for ctx.Err() == nil {
							_, _ = db.ExecContext(ctx, "SELECT pg_sleep(random() / 100)")
							if tx, err := db.BeginTx(ctx, nil); err == nil {
								_, _ = tx.ExecContext(ctx, "SELECT pg_sleep(random() / 100)")
								_ = tx.Rollback()
							}
						}
					})
				}
				var replicas []*quorum.Replica
				for range 3 {
					q, err := quorum.Postgres(db, nil)
					require.NoError(t, err)
					defer q.Close()
					replicas = append(replicas, q)
				}
				s.refuses(db, replicas, others > 0 && strings.Contains(t.Name(), "default_pool_size"))
			})
		}
	}
}

// TestSessionsOfOnesOwn: direct sessions are never refused, and those of a pooler in session mode
// are not either, even without a spare connection for the check.
func TestSessionsOfOnesOwn(t *testing.T) {
	for _, mode := range []string{"direct", "session", "session with a pool of one"} {
		for _, limit := range []int{0, 1, 2, 3} {
			t.Run(fmt.Sprint(mode, limit), func(t *testing.T) {
				s := newStage(t)
				db, rounds := s.db, 20
				switch mode {
				case "session":
					db = s.pooler("session")
				case "session with a pool of one":
					db, rounds = s.pooler("session", "default_pool_size = 1"), 2
				}
				db.SetMaxOpenConns(limit)
				for range rounds {
					q, err := quorum.Postgres(db, nil)
					require.NoError(t, err)
					open, err := q.Agree(t.Context(), map[string]bool{window: true})
					require.NoError(t, err)
					require.True(t, open[window])
					require.Zero(t, q.Stats()["lost"])
					require.NoError(t, q.Close())
				}
			})
		}
	}
}

// TestFenceThroughPooler: the fence works in transaction mode, because its lock belongs to one
// transaction.
func TestFenceThroughPooler(t *testing.T) {
	s := newStage(t)
	db := s.pooler("transaction")
	q, err := quorum.Postgres(s.db, nil) // without a replica there is nothing to drain
	require.NoError(t, err)
	defer q.Close()
	_, err = q.Agree(t.Context(), map[string]bool{window: false})
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, quorum.Fence(t.Context(), tx, window))
	d := s.drain(t.Context())
	s.until("it is waited for", func() bool {
		late, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, late.Rollback()) }()
		var fenced *quorum.FencedError
		return errors.As(quorum.Fence(t.Context(), late, window), &fenced)
	})
	require.False(t, d.isDone())
	require.NoError(t, tx.Commit())
	<-d.done
	require.NoError(t, d.err)
	require.Equal(t, quorum.StateWriting, d.lock.Waited()[0].State)
}

func TestPoolerInSessionMode(t *testing.T) {
	s := newStage(t)
	db := s.pooler("session")
	q, err := quorum.Postgres(db, nil)
	require.NoError(t, err)
	defer q.Close()
	open, err := q.Agree(t.Context(), map[string]bool{window: true})
	require.NoError(t, err)
	require.True(t, open[window])
	d := s.drain(t.Context())
	time.Sleep(time.Second)
	require.False(t, d.isDone())
	require.Zero(t, q.Stats()["lost"])
	_, err = q.Agree(t.Context(), map[string]bool{window: false})
	require.NoError(t, err)
	<-d.done
	require.NoError(t, d.err)
}
