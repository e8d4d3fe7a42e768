package quorum

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Postgres makes this process a replica in the quorum of a PostgreSQL database, the
// one that writes go to. It keeps one connection of db's for itself.
//
// db must lead to PostgreSQL 12 or later itself or through a pooler in session mode, to
// the primary server, to the same database as all others of the fleet. No privileges
// are needed. The error is a nil db; what cannot be reached is tried again.
func Postgres(db *sql.DB, opts *Options) (*Replica, error) {
	if db == nil {
		return nil, errNoDB
	}
	o := opts.resolve()
	return newReplica(o, slice, func(ctx context.Context) (member, error) { return joinPostgres(ctx, db, o) }), nil
}

var errNoDB = errors.New("quorum: the database is nil")

// A session is a connection of our own, and what its locks hang on.
//
// Whether it is our own is seen by a setting that only it has: a pooler that shares
// server connections between transactions sends us to one without, or with another's.
type session struct {
	conn  *sql.Conn
	nonce string
	pid   int

	broken bool // it has failed once, and is not spoken to any more
}

const (
	// What a role or database may have set would cut a session that waits; keepalives
	// make the server notice within half a minute that a client is gone without a word.
	// The names are joined with what the server has.
	sqlSettings = `SELECT count(set_config(s.name, v.value, false)) FROM pg_settings s JOIN (VALUES
('statement_timeout', '0'), ('idle_session_timeout', '0'), ('lock_timeout', '1s'),
('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '30000')
) AS v (name, value) ON s.name = v.name`
	sqlNonce = `SELECT pg_backend_pid(), pg_is_in_recovery(), set_config('upkeep.quorum', $1, false), set_config('application_name', CASE WHEN $2 = '' THEN current_setting('application_name') ELSE $2 END, false)`
	sqlBeat  = `SELECT coalesce(current_setting('upkeep.quorum', true), '') FROM pg_sleep($1)`

	// $1 are keys, joined by commas, for an array is a matter of drivers; $2 is the nonce.
	// In a session that is not ours nothing is done and nothing returned.
	sqlShare = `SELECT k, pg_try_advisory_lock_shared(k)` + sqlKeys
	sqlLetGo = `SELECT k, pg_advisory_unlock_shared(k)` + sqlKeys
	sqlSeize = `SELECT k, count(pg_advisory_lock(k)) > 0` + sqlKeys + ` GROUP BY k`
	sqlYield = `SELECT k, pg_advisory_unlock(k)` + sqlKeys
	sqlKeys  = ` FROM unnest(string_to_array($1, ',')::bigint[]) AS k WHERE current_setting('upkeep.quorum', true) = $2`

	sqlLetAll = `SELECT pg_advisory_unlock_all() WHERE current_setting('upkeep.quorum', true) = $1`

	// The locks of this database by their 64-bit keys, in one look: a second one might
	// see another moment.
	sqlLocks = `WITH l AS MATERIALIZED (
SELECT pid, (classid::bigint << 32) | objid::bigint AS key, mode = 'ExclusiveLock' AS exclusive, granted
FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

	// The windows that operators hold: $1 is drainsLock.
	sqlDrained = sqlLocks + `
SELECT DISTINCT key FROM l WHERE exclusive AND granted AND pid IN (SELECT pid FROM l WHERE key = $1)`

	// Everyone: $1 to $3 are joinedLock, knowsLock and openLock, $4 is our pid. Who
	// stands in line for a lock is in nobody's way.
	sqlLook = sqlLocks + `
SELECT p.pid, p.joined, p.knows, p.shares, p.drains, coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
(extract(epoch FROM CASE WHEN p.joined OR p.drains THEN a.backend_start ELSE coalesce(a.xact_start, a.backend_start) END) * 1000000)::bigint
FROM (SELECT pid, bool_or(key = $1) AS joined, bool_or(key = $2) AS knows,
bool_or(key = $3 AND NOT exclusive) AS shares, bool_or(key = $3 AND exclusive) AS drains
FROM l WHERE granted AND pid <> $4 AND key IN ($1, $2, $3) GROUP BY pid) p
LEFT JOIN pg_stat_activity a ON a.pid = p.pid ORDER BY p.pid`
)

// connect takes a connection for good. An empty name leaves the session's as it is. A
// connection that has lain idle in the pool may be dead; then it is not the only one.
func connect(ctx context.Context, db *sql.DB, name string) (*session, error) {
	for idle := db.Stats().Idle; ; idle-- {
		s, err := begin(ctx, db, name)
		if err == nil || idle <= 0 || ctx.Err() != nil {
			return s, err
		}
	}
}

func begin(ctx context.Context, db *sql.DB, name string) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	s := &session{conn: conn, nonce: rand.Text()}
	var n int
	var standby bool
	var nonce, app string
	err = conn.QueryRowContext(ctx, sqlNonce, s.nonce, strings.ToValidUTF8(name, "?")).Scan(&s.pid, &standby, &nonce, &app)
	if err == nil && standby {
		err = errors.New("the server is a standby, whose locks the primary does not have")
	}
	if err == nil {
		err = conn.QueryRowContext(ctx, sqlSettings).Scan(&n)
	}
	if err != nil {
		s.broken = true
		s.end()
		return nil, fmt.Errorf("beginning a session: %w", err)
	}
	return s, nil
}

// end closes the connection, and with it all locks. They are let go by word first, for
// a server may be slow to notice the other.
func (s *session) end() {
	if !s.broken {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = s.conn.ExecContext(ctx, sqlLetAll, s.nonce)
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn }) // not back to the pool
	_ = s.conn.Close()
}

// do runs a statement on keys and returns those for which it was done.
func (s *session) do(ctx context.Context, statement string, keys ...int64) (done map[int64]bool, err error) {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = strconv.FormatInt(key, 10)
	}
	n := 0
	done = make(map[int64]bool, len(keys))
	err = s.query(ctx, statement, []any{strings.Join(texts, ","), s.nonce}, func(rows *sql.Rows) error {
		var key int64
		var ok bool
		n++
		if err := rows.Scan(&key, &ok); err != nil {
			return err
		}
		if ok {
			done[key] = true
		}
		return nil
	})
	if err == nil && n != len(keys) {
		err = ErrPooled
	}
	return done, err
}

// query calls each for each row.
func (s *session) query(ctx context.Context, statement string, args []any, each func(*sql.Rows) error) error {
	err := query(ctx, s.conn, statement, args, each)
	if err != nil {
		s.broken = true
	}
	return err
}

// querier is a *sql.DB or a *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func query(ctx context.Context, db querier, statement string, args []any, each func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// must is do for what has to succeed: nobody asks for these locks otherwise.
func (s *session) must(ctx context.Context, statement string, keys ...int64) error {
	done, err := s.do(ctx, statement, keys...)
	if err == nil && len(done) != len(keys) {
		err = errors.New("the advisory locks are used by others")
	}
	return err
}

func (s *session) beat(ctx context.Context, d time.Duration) error {
	var nonce string
	err := s.query(ctx, sqlBeat, []any{d.Seconds()}, func(rows *sql.Rows) error { return rows.Scan(&nonce) })
	if err == nil && nonce != s.nonce {
		err = ErrPooled
	}
	return err
}

// A postgresMember is a replica's session.
type postgresMember struct {
	*session
	fleet Fleet
}

func joinPostgres(ctx context.Context, db *sql.DB, opts Options) (member, error) {
	s, err := connect(ctx, db, opts.Name)
	if err != nil {
		return nil, err
	}
	if err := s.must(ctx, sqlShare, opts.Fleet.key(joinedLock, "")); err != nil {
		s.end()
		return nil, err
	}
	return &postgresMember{s, opts.Fleet}, nil
}

func (m *postgresMember) keys(kind byte, windows []string) []int64 {
	keys := make([]int64, len(windows))
	for i, w := range windows {
		keys[i] = m.fleet.key(kind, w)
	}
	return keys
}

func (m *postgresMember) know(ctx context.Context, windows []string) error {
	return m.must(ctx, sqlShare, m.keys(knowsLock, windows)...)
}

func (m *postgresMember) forget(ctx context.Context, windows []string) error {
	return m.must(ctx, sqlLetGo, m.keys(knowsLock, windows)...)
}

func (m *postgresMember) leave(ctx context.Context, windows []string) error {
	return m.must(ctx, sqlLetGo, m.keys(openLock, windows)...)
}

func (m *postgresMember) enter(ctx context.Context, windows []string) (entered []string, err error) {
	done, err := m.do(ctx, sqlShare, m.keys(openLock, windows)...)
	for _, w := range windows {
		if done[m.fleet.key(openLock, w)] {
			entered = append(entered, w)
		}
	}
	return entered, err
}

func (m *postgresMember) outdated(ctx context.Context, known map[string]bool) (outdated bool, err error) {
	keys := make(map[int64]bool, len(known))
	for w := range known {
		keys[m.fleet.key(openLock, w)] = true
	}
	err = m.query(ctx, sqlDrained, []any{m.fleet.key(drainsLock, "")}, func(rows *sql.Rows) error {
		var key int64
		err := rows.Scan(&key)
		if !keys[key] {
			outdated = true
		}
		return err
	})
	return outdated, err
}

// Look says who stands how to a window now, without waiting and without holding
// anything: it shows what [Drain] waits for, in an operator's program or on a page.
func Look(ctx context.Context, db *sql.DB, window string) (Report, error) {
	return Fleet("").Look(ctx, db, window)
}

// lookArgs are those of sqlLook: everyone but the session of pid is looked for.
func lookArgs(fleet Fleet, window string, pid int) []any {
	return []any{fleet.key(joinedLock, ""), fleet.key(knowsLock, window), fleet.key(openLock, window), pid}
}

// scanPeer adds a row of sqlLook.
func (r *Report) scanPeer(rows *sql.Rows) error {
	var p Peer
	var joined, knows, shares, drains bool
	var since sql.NullInt64
	if err := rows.Scan(&p.PID, &joined, &knows, &shares, &drains, &p.Name, &p.Addr, &since); err != nil {
		return err
	}
	if since.Valid {
		p.Since = time.UnixMicro(since.Int64)
	}
	switch {
	case drains:
		p.State = Draining
	case joined && !knows:
		p.State = Unaware
	case joined && shares:
		p.State = Open
	case shares:
		p.State = Writing
	case !joined:
		return nil // about to leave
	}
	r.Peers = append(r.Peers, p)
	return nil
}

// Drain waits until no replica admits work in the window's scope or has any running, and
// returns the lock that keeps it so. It may be called long before the window; ctx
// bounds the wait, not the lock.
//
// It waits for every replica that has joined to know of the window, and for those that
// are open; then for transactions that have passed [Fence], while new ones
// are refused. Of two operators of one window the second waits for the first.
//
// Nothing is held with an error, and none is quiet: a [*WaitingError] with the cause of
// ctx's end, or with the fault when the session was lost on the way; [ErrPooled],
// wrapped. A window of which nobody has heard is waited for in vain: the error names
// every replica. With no replica at all the wait is over at once: look at
// [Lock.Report] when the wrong database is what you fear.
func Drain(ctx context.Context, db *sql.DB, window string) (*Lock, error) {
	return Fleet("").Drain(ctx, db, window)
}

func drainPostgres(ctx context.Context, db *sql.DB, fleet Fleet, window string) (*Lock, error) {
	if db == nil {
		return nil, errNoDB
	}
	return drain(ctx, window, func(ctx context.Context) (operator, error) {
		s, err := connect(ctx, db, "")
		if err != nil {
			return nil, err
		}
		if err := s.must(ctx, sqlShare, fleet.key(drainsLock, "")); err != nil {
			s.end()
			return nil, err
		}
		return &postgresOperator{s, fleet, window}, nil
	})
}

// A postgresOperator is an operator's session.
type postgresOperator struct {
	*session
	fleet  Fleet
	window string
}

func (o *postgresOperator) look(ctx context.Context) (Report, error) {
	rep := Report{Window: o.window}
	err := o.query(ctx, sqlLook, lookArgs(o.fleet, o.window, o.pid), rep.scanPeer)
	return rep, err
}

// seize stands in line for the lock, for up to the second of lock_timeout. While it does
// nobody else gets in: not a write, and not a replica.
func (o *postgresOperator) seize(ctx context.Context) (bool, error) {
	err := o.must(ctx, sqlSeize, o.fleet.key(openLock, o.window))
	var state interface{ SQLState() string } // as pgx and lib/pq have it
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrPooled):
		return false, err
	case errors.As(err, &state) && state.SQLState() != lockNotAvailable:
		return false, err
	}
	// It was the time, or else the session has ended and says so now.
	o.broken = false
	return false, o.beat(ctx, 0)
}

const lockNotAvailable = "55P03"

func (o *postgresOperator) yield(ctx context.Context) error {
	return o.must(ctx, sqlYield, o.fleet.key(openLock, o.window))
}
