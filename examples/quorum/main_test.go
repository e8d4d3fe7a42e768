package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/internal/pgtest"
)

// shared is the server of all tests, each with its own database. It is nil if PostgreSQL is not
// installed.
var shared *pgtest.Cluster

func TestMain(m *testing.M) {
	if text := os.Getenv(asReplica); text != "" {
		os.Exit(beReplica(text))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "quorum")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shared, err = pgtest.Start(ctx, filepath.Join(dir, "pg"))
	switch {
	case errors.Is(err, pgtest.ErrNotInstalled) && os.Getenv("CI") != "true":
		fmt.Fprintln(os.Stderr, err, "(./setup does that)")
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		defer shared.Stop()
	}
	return m.Run()
}

var stages atomic.Int64 // makes names unique, so that a test can run twice

// A stage is a database with a table, a document, and replicas.
type stage struct {
	t     *testing.T
	name  string // of the database
	db    *sql.DB
	url   string
	doc   document
	procs []*process
}

func newStage(t *testing.T) *stage {
	if shared == nil {
		t.Skip(pgtest.ErrNotInstalled)
	}
	admin, err := sql.Open("pgx", shared.DSN("postgres"))
	require.NoError(t, err)
	defer admin.Close()
	name := fmt.Sprintf("stage_%d", stages.Add(1))
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	s := &stage{t: t, name: name, url: shared.DSN(name)}
	s.db, err = sql.Open("pgx", s.url)
	require.NoError(t, err)
	_, err = s.db.ExecContext(t.Context(), "CREATE UNLOGGED TABLE orders (replica text, n int)")
	require.NoError(t, err)
	s.doc, err = newDocument(filepath.Join(t.TempDir(), "windows.yaml"))
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, p := range s.procs {
			p.kill()
		}
		require.NoError(t, s.db.Close())
	})
	return s
}

// replica starts another replica.
func (s *stage) replica(c config) *process {
	c.Name = fmt.Sprintf("orders-%d", len(s.procs)+1)
	c.Database, c.Table = s.url, "orders"
	if c.Windows == "" {
		c.Windows = s.doc.path
	}
	if c.Batch == 0 {
		c.Batch = 100
	}
	p, err := start(c)
	require.NoError(s.t, err)
	s.procs = append(s.procs, p)
	return p
}

func (s *stage) ask(p *process, line, want string) {
	s.t.Helper()
	answer, err := p.ask(line)
	require.NoError(s.t, err)
	require.Equal(s.t, want, answer)
}

func (s *stage) stats(p *process) stats {
	s.t.Helper()
	got, err := p.stats()
	require.NoError(s.t, err)
	return got
}

func (s *stage) count() int64 {
	s.t.Helper()
	n, err := count(s.t.Context(), s.db, "orders")
	require.NoError(s.t, err)
	return n
}

// until waits for a condition that must become true.
func (s *stage) until(what string, holds func() bool) {
	s.t.Helper()
	require.Eventually(s.t, holds, time.Minute, 20*time.Millisecond, what)
}

// states returns the states of the replicas by name.
func (s *stage) states() map[string]quorum.State {
	s.t.Helper()
	rep, err := quorum.Look(s.t.Context(), s.db, window)
	require.NoError(s.t, err)
	states := map[string]quorum.State{}
	for _, p := range rep.Peers {
		if p.Name != "" {
			states[p.Name] = p.State
		}
	}
	return states
}

// A draining is a call of Drain in progress.
type draining struct {
	done  chan struct{}
	looks looks
	lock  *quorum.Lock
	err   error
}

// looks returns how often an operator has looked for replicas.
type looks struct{ atomic.Int64 }

func (n *looks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, n, strings.Contains(data.SQL, "pg_locks"))
}

func (n *looks) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if look, _ := ctx.Value(n).(bool); look && data.Err == nil {
		n.Add(1)
	}
}

func (s *stage) drain(ctx context.Context) *draining {
	s.t.Helper()
	d := &draining{done: make(chan struct{})}
	c, err := pgx.ParseConfig(s.url)
	require.NoError(s.t, err)
	c.Tracer = &d.looks
	db := stdlib.OpenDB(*c)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	go func() {
		defer close(d.done)
		d.lock, d.err = quorum.Drain(ctx, db, window, nil)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-d.done
		if d.lock != nil {
			_ = d.lock.Close()
		}
		require.NoError(s.t, db.Close())
	})
	return d
}

func (d *draining) isDone() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// quiet returns the number of rows when the operator got the lock, after it has checked that none
// is added while each replica tries a few times.
func (s *stage) quiet(d *draining) int64 {
	s.t.Helper()
	<-d.done
	require.NoError(s.t, d.err)
	// Rows that were not committed when the operator got the lock would be counted later.
	rows := s.count()
	refused := make([]int64, len(s.procs))
	for i, p := range s.procs {
		if p.cmd.ProcessState == nil {
			refused[i] = s.stats(p).refused
		}
	}
	for i, p := range s.procs {
		if p.cmd.ProcessState == nil {
			s.until(p.name+" tries to write", func() bool { return s.stats(p).refused > refused[i]+20 })
		}
	}
	require.Equal(s.t, rows, s.count(), "rows were written after the lock was had")
	require.NoError(s.t, d.lock.Check(s.t.Context()))
	return rows
}

// TestMillions has five replicas that write millions of rows, each row guarded by itself. One has
// work in flight, one is killed, one starts in the middle. After the operator has the lock, no
// row is written.
func TestMillions(t *testing.T) {
	many := int64(2_000_000)
	if testing.Short() {
		many = 200_000
	}
	s := newStage(t)
	for range 5 {
		s.replica(config{Batch: 1000})
	}
	for _, p := range s.procs {
		s.until(p.name+" writes", func() bool { return s.stats(p).written > 0 })
	}
	busy, doomed := s.procs[1], s.procs[3]
	s.ask(busy, "job", "running")
	d := s.drain(t.Context())
	s.until("millions", func() bool {
		written := int64(0)
		for _, p := range s.procs {
			written += s.stats(p).written
		}
		return written >= many
	})
	require.False(t, d.isDone(), "nothing has begun")

	require.NoError(t, s.doc.begin())
	s.until("only the job is in the way", func() bool {
		states := s.states()
		open := 0
		for _, state := range states {
			if state == quorum.StateOpen {
				open++
			}
		}
		return open == 1 && states[busy.name] == quorum.StateOpen
	})
	doomed.kill()
	newcomer := s.replica(config{Batch: 1000})
	s.until("the newcomer is quiet", func() bool {
		state, joined := s.states()[newcomer.name]
		return joined && state == quorum.StateQuiet
	})
	s.until("the dead is gone", func() bool { return len(s.states()) == 5 })
	before := s.count()
	s.until("the job writes on", func() bool { return s.count() > before })
	require.False(t, d.isDone(), "the job is in the way")
	s.ask(busy, "release", "released")

	rows := s.quiet(d)
	require.GreaterOrEqual(t, rows, many)
	require.Len(t, d.lock.Report().Peers, 5)
	waited := map[string]bool{}
	for _, p := range d.lock.Waited() {
		waited[p.Name] = true
	}
	require.Contains(t, waited, busy.name) // the operator sees the other replicas only if they were still open when it first looked
	require.Zero(t, s.stats(newcomer).written)

	// A replica that starts under the lock waits closed. All stay closed when the lock is
	// released, because the window is not over. All open when it is over.
	late := s.replica(config{Batch: 1000})
	require.Equal(t, rows, s.quiet(d))
	require.NoError(t, d.lock.Close())
	time.Sleep(500 * time.Millisecond)
	require.Equal(t, rows, s.count())
	require.NoError(t, s.doc.complete())
	for _, p := range s.procs {
		if p != doomed {
			s.until(p.name+" opens", func() bool { return s.stats(p).written > 0 })
		}
	}
	s.until("rows", func() bool { return s.count() > rows })
	for _, p := range []*process{newcomer, late} {
		require.NoError(t, p.quit())
	}
	t.Logf("%d guarded writes before the lock, none under it", rows)
}

// TestOverrun has a window that ends by the document while the operator still works. The lock
// keeps it closed.
func TestOverrun(t *testing.T) {
	s := newStage(t)
	for range 2 {
		s.replica(config{})
	}
	s.until("rows", func() bool { return s.count() > 1000 })
	require.NoError(t, s.doc.begin())
	d := s.drain(t.Context())
	rows := s.quiet(d)
	require.NoError(t, s.doc.complete())
	time.Sleep(time.Second)
	require.Equal(t, rows, s.quiet(d))
	newcomer := s.replica(config{}) // for it the window is over
	require.Equal(t, rows, s.quiet(d))
	require.NoError(t, d.lock.Close())
	for _, p := range s.procs {
		s.until(p.name+" opens", func() bool { return s.stats(p).written > 0 })
	}
	require.Positive(t, s.stats(newcomer).refused)
}

// TestKilledWithItsWorkUnfinished kills the replica that has drained the window and works in it.
// The others keep the window past its end, and so does the replica after a restart.
func TestKilledWithItsWorkUnfinished(t *testing.T) {
	s := newStage(t)
	doomed, other := s.replica(config{}), s.replica(config{})
	s.until("rows", func() bool { return s.count() > 1000 })
	begun := now()
	require.NoError(t, s.doc.write("begin: "+begun))
	s.ask(doomed, "drain", "true <nil>")
	unfinished := func(p *process) bool {
		answer, err := p.ask("unfinished")
		require.NoError(t, err)
		return answer == "true <nil>"
	}
	s.until("the other has heard of it", func() bool { return unfinished(other) })
	doomed.kill()
	rows := s.count()
	end := time.Now().Add(3 * time.Second)
	require.NoError(t, s.doc.write("begin: "+begun+", until: "+end.UTC().Format(time.RFC3339Nano)))
	closed := func(p *process) {
		t.Helper()
		refused := s.stats(p).refused
		s.until("it is refused", func() bool { return s.stats(p).refused > refused+20 })
		require.True(t, unfinished(p))
	}
	s.until("the end", func() bool { return time.Now().After(end.Add(2 * time.Second)) })
	closed(other)
	again := s.replica(config{})
	closed(again)
	require.Zero(t, s.stats(again).written)
	other.kill()
	closed(again)
	again.kill()
	again = s.replica(config{})
	closed(again) // though nobody was left who had heard of it
	require.Equal(t, rows, s.count())
	s.ask(again, "complete", "<nil>")
	s.until("it opens", func() bool { return s.stats(again).written > 0 })
}

// TestWithoutQuorum shows why the protocol is needed. The operator's own process loads the document
// first, closes and is quiet, and takes that for the whole fleet. The replicas still write, which
// is correct by their own polls.
func TestWithoutQuorum(t *testing.T) {
	s := newStage(t)
	for range 2 {
		s.replica(config{Alone: true})
	}
	s.until("rows", func() bool { return s.count() > 1000 })
	operator, err := downtime.Open(t.Context(), downtime.File(s.doc.path), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer operator.Close()
	require.NoError(t, s.doc.begin())
	rep, err := operator.Drain(t.Context(), window)
	require.NoError(t, err)
	require.True(t, rep.Quiet)
	rows := s.count()
	s.until("rows come in after quiet was believed", func() bool { return s.count() > rows })
}

// TestCutConnection cuts the session of a replica with work in flight again and again, until the
// operator gets the lock in between. The replica closes, but its work goes on. The fence keeps it
// from the store.
func TestCutConnection(t *testing.T) {
	s := newStage(t)
	p := s.replica(config{Fence: true})
	d := s.cutUnderWork(p)
	rows := s.quiet(d)
	late := s.stats(p).fenced
	s.until("the job tries to write", func() bool { return s.stats(p).fenced > late+20 })
	require.Equal(t, rows, s.quiet(d), "the fence holds")
	s.until("it has joined again", func() bool { return len(s.states()) == 1 })
	s.ask(p, "release", "released")
	require.NoError(t, s.doc.complete())
	require.NoError(t, d.lock.Close())
	s.until("it opens", func() bool { return s.count() > rows })
}

// TestCutConnectionWithoutFence shows the limit that the package states.
func TestCutConnectionWithoutFence(t *testing.T) {
	s := newStage(t)
	p := s.replica(config{})
	d := s.cutUnderWork(p)
	<-d.done
	require.NoError(t, d.err)
	rows := s.count()
	s.until("the job writes under the lock", func() bool { return s.count() > rows })
	s.ask(p, "release", "released")
	s.quiet(d)
}

// cutUnderWork cuts sessions until the operator gets the lock from a replica with work in flight.
func (s *stage) cutUnderWork(p *process) *draining {
	s.t.Helper()
	s.until("rows", func() bool { return s.count() > 1000 })
	s.ask(p, "job", "running")
	require.NoError(s.t, s.doc.begin())
	s.until("only the job is in the way", func() bool { return s.stats(p).refused > 0 })
	d := s.drain(s.t.Context())
	before := s.count()
	s.until("the job writes on", func() bool { return s.count() > before })
	s.until("the operator has seen the replica", func() bool { return d.looks.Load() > 0 })
	require.False(s.t, d.isDone())
	s.until("the operator gets between", func() bool {
		if _, joined := s.states()[p.name]; joined {
			s.cut(p.name)
		}
		return d.isDone()
	})
	return d
}

// cut ends a replica's session, if it has one.
func (s *stage) cut(name string) {
	s.t.Helper()
	_, err := s.db.ExecContext(s.t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name)
	require.NoError(s.t, err)
}

// TestCutWhileOpen cuts sessions while nothing is drained. A replica joins again and goes on.
func TestCutWhileOpen(t *testing.T) {
	s := newStage(t)
	p := s.replica(config{})
	for range 5 {
		s.until("it is open", func() bool { return s.states()[p.name] == quorum.StateOpen && len(s.states()) == 1 })
		rows := s.count()
		s.until("rows", func() bool { return s.count() > rows })
		s.cut(p.name)
	}
	s.until("it is open", func() bool { return s.states()[p.name] == quorum.StateOpen })
	require.NoError(t, s.doc.begin())
	s.quiet(s.drain(t.Context()))
}

// TestOperatorGivesUp: an operator that gives up leaves everything unchanged.
func TestOperatorGivesUp(t *testing.T) {
	s := newStage(t)
	for range 3 {
		s.replica(config{Fence: true})
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("time for dinner"))
	defer cancel()
	d := s.drain(ctx)
	<-d.done
	require.ErrorContains(t, d.err, "time for dinner")
	require.Nil(t, d.lock)
	for _, p := range s.procs {
		require.ErrorContains(t, d.err, fmt.Sprintf("%q is open", p.name))
	}
	require.Equal(t, 0, s.exclusive())
	for _, p := range s.procs {
		before := s.stats(p)
		s.until(p.name+" writes on", func() bool { return s.stats(p).written > before.written })
		require.Zero(t, s.stats(p).refused)
		require.Zero(t, s.stats(p).fenced)
	}

	// While it waits for the lock, which a transaction holds.
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, quorum.Fence(t.Context(), tx, window))
	require.NoError(t, s.doc.begin())
	for _, p := range s.procs {
		s.until(p.name+" is quiet", func() bool { return s.states()[p.name] == quorum.StateQuiet })
	}
	ctx, cancel = context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	d = s.drain(ctx)
	s.until("it is in line", func() bool {
		late, err := s.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, late.Rollback()) }()
		var fenced *quorum.FencedError
		return errors.As(quorum.Fence(t.Context(), late, window), &fenced)
	})
	<-d.done
	require.ErrorIs(t, d.err, context.DeadlineExceeded)
	require.ErrorContains(t, d.err, "is writing")
	s.until("nothing is held or asked for", func() bool { return s.exclusive() == 0 })
	require.NoError(t, tx.Commit())
	s.quiet(s.drain(t.Context()))
}

// exclusive counts the exclusive advisory locks of this database that are held or requested.
func (s *stage) exclusive() (n int) {
	s.t.Helper()
	require.NoError(s.t, s.db.QueryRowContext(s.t.Context(),
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&n))
	return n
}

// TestStaleDocument has a replica whose document lacks the window. It writes. The operator still
// waits for it. A replica that starts later closes for everything.
func TestStaleDocument(t *testing.T) {
	s := newStage(t)
	old := document{filepath.Join(t.TempDir(), "windows.yaml"), s.doc.start}
	require.NoError(t, old.none())
	s.replica(config{})
	stale := s.replica(config{Windows: old.path})
	require.NoError(t, s.doc.begin())
	s.until("one is quiet and one does not know", func() bool {
		states := s.states()
		return states["orders-1"] == quorum.StateQuiet && states[stale.name] == quorum.StateUnaware
	})
	d := s.drain(t.Context())
	for range 10 {
		rows := s.count()
		s.until("the other writes", func() bool { return s.count() > rows })
	}
	require.False(t, d.isDone(), "that is not quiet")
	require.NoError(t, old.begin())
	rows := s.quiet(d)
	require.Len(t, d.lock.Waited(), 1)
	require.Equal(t, stale.name, d.lock.Waited()[0].Name)

	require.NoError(t, old.none())
	newcomer := s.replica(config{Windows: old.path})
	s.until("it is refused", func() bool { return s.stats(newcomer).refused > 20 })
	require.Zero(t, s.stats(newcomer).written)
	var waiting *quorum.WaitingError
	require.ErrorAs(t, d.lock.Check(t.Context()), &waiting)
	require.Equal(t, newcomer.name, waiting.Waiting[len(waiting.Waiting)-1].Name)
	require.Equal(t, rows, s.count())
	require.NoError(t, d.lock.Close())
	s.until("it opens", func() bool { return s.stats(newcomer).written > 0 })
}

// TestOperatorIsCut: an operator that loses the lock returns an error at once.
func TestOperatorIsCut(t *testing.T) {
	s := newStage(t)
	s.replica(config{})
	require.NoError(t, s.doc.begin())
	d := s.drain(t.Context())
	s.quiet(d)
	work := d.lock.Context(t.Context())
	_, err := s.db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	require.NoError(t, err)
	cut := time.Now()
	<-work.Done()
	t.Logf("noticed after %v", time.Since(cut))
	require.ErrorIs(t, context.Cause(work), quorum.ErrLost)
	require.ErrorIs(t, d.lock.Close(), quorum.ErrLost)
}

// TestRoles: the quorum needs no privileges.
func TestRoles(t *testing.T) {
	s := newStage(t)
	as := func(role string, settings ...string) *sql.DB {
		role += s.name // roles belong to the whole server
		_, err := s.db.ExecContext(t.Context(), "CREATE ROLE "+role+" LOGIN")
		require.NoError(t, err)
		for _, setting := range settings {
			_, err := s.db.ExecContext(t.Context(), "ALTER ROLE "+role+" SET "+setting)
			require.NoError(t, err)
		}
		db, err := sql.Open("pgx", strings.Replace(s.url, "user=postgres", "user="+role, 1))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}
	q, err := quorum.Postgres(as("nobody_", "statement_timeout = '500ms'"), &quorum.Options{Name: "ours"})
	require.NoError(t, err)
	defer q.Close()
	open, err := q.Agree(t.Context(), map[string]bool{window: true})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{window: true}, open)
	time.Sleep(time.Second)
	require.Zero(t, q.Stats()["lost"], "what the role has set does not cut the session")

	// The timeouts of the role apply until a session is checked for a pooler. They must leave
	// time for the check on a slow machine.
	operator := as("somebody_", "idle_session_timeout = '1s'", "lock_timeout = '10ms'")
	rep, err := quorum.Look(t.Context(), operator, window)
	require.NoError(t, err)
	require.Len(t, rep.Peers, 1)
	require.Equal(t, "ours", rep.Peers[0].Name)
	require.Equal(t, quorum.StateOpen, rep.Peers[0].State)
	_, err = q.Agree(t.Context(), map[string]bool{window: false})
	require.NoError(t, err)
	lock, err := quorum.Drain(t.Context(), operator, window, nil)
	require.NoError(t, err)
	time.Sleep(2 * time.Second)
	require.NoError(t, lock.Check(t.Context()))
	require.NoError(t, lock.Close())
}

// TestPlay runs the program.
func TestPlay(t *testing.T) {
	s := newStage(t)
	var out strings.Builder
	require.NoError(t, play(t.Context(), s.url, &out))
	require.Contains(t, out.String(), "quiet in all 3 replicas")
	require.Contains(t, out.String(), "orders are taken again")
}
