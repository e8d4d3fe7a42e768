package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// pooler starts a pgbouncer in front of the stage's database.
func (s *stage) pooler(mode string) *sql.DB {
	t := s.t
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's place, which is not on everybody's PATH
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Skip("no pgbouncer is installed: run ./setup")
	}
	dir := filepath.Join(shared.dir, fmt.Sprint(mode, stages.Load())) // a socket's path must be short
	require.NoError(t, os.Mkdir(dir, 0o755))
	if shared.as != nil {
		require.NoError(t, os.Chown(dir, int(shared.as.Uid), int(shared.as.Gid)))
	}
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
`, shared.dir, mode, dir, users), 0o644))
	exited := make(chan struct{})
	stdin, err := shared.start(exited, "TERM", program, ini)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = stdin.Close()
		<-exited
	})
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

// TestPoolerInTransactionMode gives the sessions of replicas to one another: that is
// seen, and said.
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
}

// TestFenceThroughPooler works in transaction mode, for what it holds is of one
// transaction.
func TestFenceThroughPooler(t *testing.T) {
	s := newStage(t)
	db := s.pooler("transaction")
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
	require.Equal(t, quorum.Writing, d.lock.Waited()[0].State)
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
