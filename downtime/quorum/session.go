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

// A session is a dedicated connection. Its locks end with it.
//
// Two checks find a pooler that gives the session's server connection to others. Each statement
// reads back a setting that only this session has made, which is missing on a different server
// connection. And check searches for the setting from other connections of db.
type session struct {
	db    *sql.DB
	conn  *sql.Conn
	nonce string
	pid   int

	broken  bool      // a statement has failed; the session must not be used
	doubt   error     // why the last check could not be made; nil after a check that passed
	recheck time.Time // when the next check is due
}

const (
	// Settings of a role or database could cut a waiting session, so they are overridden. With
	// keepalives the server notices within 30 seconds that a client has vanished. The join leaves
	// out settings that the server does not have.
	sqlSettings = `SELECT count(set_config(s.name, v.value, false)) FROM pg_settings s JOIN (VALUES
('statement_timeout', '0'), ('idle_session_timeout', '0'), ('lock_timeout', '1s'),
('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '30000')
) AS v (name, value) ON s.name = v.name`
	sqlNonce = `SELECT pg_backend_pid(), pg_is_in_recovery(), set_config('upkeep.quorum', $1, false), set_config('application_name', CASE WHEN $2 = '' THEN current_setting('application_name') ELSE $2 END, false)`
	sqlWho   = `SELECT pg_backend_pid(), coalesce(current_setting('upkeep.quorum', true), '')`
	sqlBeat  = `SELECT coalesce(current_setting('upkeep.quorum', true), '') FROM pg_sleep($1)`

	// $1 has keys joined by commas, because drivers differ in arrays; $2 is the nonce. In a
	// session without our nonce, the statement does nothing and returns no rows.
	sqlShare = `SELECT k, pg_try_advisory_lock_shared(k)` + sqlKeys
	sqlLetGo = `SELECT k, pg_advisory_unlock_shared(k)` + sqlKeys
	sqlSeize = `SELECT k, count(pg_advisory_lock(k)) > 0` + sqlKeys + ` GROUP BY k`
	sqlYield = `SELECT k, pg_advisory_unlock(k)` + sqlKeys
	sqlKeys  = ` FROM unnest(string_to_array($1, ',')::bigint[]) AS k WHERE current_setting('upkeep.quorum', true) = $2`

	sqlLetAll = `SELECT pg_advisory_unlock_all() WHERE current_setting('upkeep.quorum', true) = $1`

	// The locks of this database by their 64-bit keys. They are read once, because a second read
	// could show a different moment.
	sqlLocks = `WITH l AS MATERIALIZED (
SELECT pid, (classid::bigint << 32) | objid::bigint AS key, mode = 'ExclusiveLock' AS exclusive, granted
FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

	// The windows that operators hold: $1 is drainsLock.
	sqlDrained = sqlLocks + `
SELECT DISTINCT key FROM l WHERE exclusive AND granted AND pid IN (SELECT pid FROM l WHERE key = $1)`

	// The marks of unfinished and of completed work: $1 are the upper halves of their keys,
	// joined by commas.
	sqlMarks = sqlLocks + `
SELECT DISTINCT key FROM l WHERE granted AND NOT exclusive AND key >> 32 = ANY(string_to_array($1, ',')::bigint[])`

	// All peers: $1 to $3 are joinedLock, knowsLock and openLock, $4 is our pid, $5 is the upper
	// half of the keys whose lower half is a digest. Sessions that wait for a lock are left out.
	sqlLook = sqlLocks + `
SELECT p.pid, p.joined, p.knows, p.shares, p.drains, coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
(extract(epoch FROM CASE WHEN p.joined OR p.drains THEN a.backend_start ELSE coalesce(a.xact_start, a.backend_start) END) * 1000000)::bigint, p.digest
FROM (SELECT pid, bool_or(key = $1) AS joined, bool_or(key = $2) AS knows,
bool_or(key = $3 AND NOT exclusive) AS shares, bool_or(key = $3 AND exclusive) AS drains,
coalesce(string_agg(DISTINCT lpad(to_hex(key & 4294967295), 8, '0'), '+') FILTER (WHERE key >> 32 = $5 AND key NOT IN ($1, $2, $3)), '') AS digest
FROM l WHERE granted AND pid <> $4 AND (key IN ($1, $2, $3) OR key >> 32 = $5) GROUP BY pid) p
LEFT JOIN pg_stat_activity a ON a.pid = p.pid ORDER BY p.pid`
)

// connect takes a connection of db and keeps it. An empty name keeps the session's
// application_name. With strict, the check for a pooler must pass; otherwise it may remain
// undecided.
//
// The pool's idle connections may all be dead, so each gets an attempt.
func connect(ctx context.Context, db *sql.DB, name string, strict bool) (*session, error) {
	for idle := db.Stats().Idle; ; idle-- {
		s, err := begin(ctx, db, name, strict)
		if err == nil || idle <= 0 || ctx.Err() != nil || errors.Is(err, ErrPooled) {
			return s, err
		}
	}
}

func begin(ctx context.Context, db *sql.DB, name string, strict bool) (*session, error) {
	s := &session{db: db, nonce: rand.Text()}
	err := s.begin(ctx, name)
	if err == nil && strict && s.doubt != nil {
		err = fmt.Errorf("%w; an earlier check found that, and a new check is not possible: %w", ErrPooled, s.doubt)
	}
	if err == nil {
		var n int
		err = s.conn.QueryRowContext(ctx, sqlSettings).Scan(&n)
	}
	if err != nil {
		s.broken = true
		s.end()
		return nil, fmt.Errorf("beginning a session: %w", err)
	}
	return s, nil
}

// begin opens the session and checks it before it has any lock or setting that a different client
// could find.
func (s *session) begin(ctx context.Context, name string) error {
	if err := s.open(ctx, name); err != nil {
		return err
	}
	if s.db.Stats().MaxOpenConnections != 1 {
		return s.check(ctx, 2*time.Second, 1, 3)
	}
	// There is only one connection. So check only that the session's settings end with its
	// connection.
	s.doubt = errors.New("the *sql.DB is limited to one connection, which the session has")
	for range 3 {
		if err := s.verify(ctx, 0); err != nil {
			return err
		}
		s.drop()
		if err := s.open(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) open(ctx context.Context, name string) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	s.conn = conn
	if err := s.isOther(ctx, conn); err != nil {
		return err
	}
	var standby bool
	var nonce, app string
	err = conn.QueryRowContext(ctx, sqlNonce, s.nonce, strings.ToValidUTF8(name, "?")).Scan(&s.pid, &standby, &nonce, &app)
	if err == nil && standby {
		err = errors.New("the server is a standby, whose locks the primary does not have")
	}
	return err
}

const (
	recheckAfter = 5 * time.Second  // after a check that passed
	recheckDoubt = 20 * time.Second // after a check that could not be made
)

// check returns ErrPooled, wrapped, if a pooler gives the session's server connection to others.
// It sets doubt if it cannot decide within the given time.
//
// While the session is idle, each round begins the given number of transactions at once on other
// connections of db. A pooler in transaction mode has the session's server connection among its
// idle ones and uses these first, so one of the transactions gets it and finds our nonce. If a
// foreign client gets it, the session's next statement, sent while the transactions are open or
// just after, gets a different server connection and misses the nonce. A pooler in statement mode
// refuses transactions. A direct connection and a pooler in session mode do neither.
func (s *session) check(ctx context.Context, within time.Duration, rounds ...int) error {
	s.doubt = nil
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for i, many := range rounds {
		failed, err := s.round(ctx, bounded, many)
		if err != nil {
			return err
		}
		if failed != nil {
			if i == 0 {
				s.doubt = failed
			}
			break
		}
	}
	after := recheckAfter
	if s.doubt != nil {
		after = recheckDoubt
	}
	s.recheck = time.Now().Add(jitter(after))
	return nil
}

// round is one round of check with up to many probes, within bounded. It fails if it cannot make
// the first probe.
func (s *session) round(ctx, bounded context.Context, many int) (failed, err error) {
	var open []*probe
	rollback := func() {
		for _, p := range open {
			p.end()
		}
		open = nil
	}
	defer rollback()
	for range many {
		if pool := s.db.Stats(); len(open) > 0 && pool.MaxOpenConnections > 0 && pool.InUse >= pool.MaxOpenConnections {
			break // wait only for the first
		}
		p, err := s.probe(bounded)
		if errors.Is(err, ErrPooled) {
			return nil, err
		}
		if err != nil {
			if len(open) == 0 {
				failed = err
			}
			break
		}
		open = append(open, p)
	}
	if err := s.verify(ctx, 0); err != nil {
		return nil, err
	}
	rollback()
	return failed, s.verify(ctx, 0)
}

// A probe is a transaction on a different connection of the session's db.
type probe struct {
	conn *sql.Conn
	tx   *sql.Tx
}

func (p *probe) end() {
	_ = p.tx.Rollback()
	_ = p.conn.Close()
}

// probe begins a transaction on a different server connection than the session's. One refused
// transaction may be chance; three mean a pooler in statement mode.
func (s *session) probe(ctx context.Context) (*probe, error) {
	for attempt := 1; ; attempt++ {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		tx, err := conn.BeginTx(ctx, nil)
		if err == nil {
			p := &probe{conn, tx}
			if err = s.isOther(ctx, tx); err != nil {
				p.end()
				return nil, err
			}
			return p, nil
		}
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, err
		}
		if attempt == 3 {
			return nil, fmt.Errorf("%w; it refuses transactions: %w", ErrPooled, err)
		}
	}
}

// isOther returns ErrPooled on the session's own server connection. The backend's pid alone does
// not prove that, because connections of one db may lead to several servers with equal pids.
func (s *session) isOther(ctx context.Context, other querier) error {
	var pid int
	var nonce string
	err := query(ctx, other, sqlWho, nil, func(rows *sql.Rows) error { return rows.Scan(&pid, &nonce) })
	if err == nil && pid == s.pid && nonce == s.nonce {
		err = ErrPooled
	}
	return err
}

// end releases all locks and closes the connection. It releases them explicitly, because a server
// may be slow to notice a closed connection.
func (s *session) end() {
	if !s.broken {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = s.conn.ExecContext(ctx, sqlLetAll, s.nonce)
	}
	s.drop()
}

// drop closes the connection. It must not return to the pool.
func (s *session) drop() {
	if s.conn != nil {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = s.conn.Close()
		s.conn = nil
	}
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

// querier is a *sql.DB, *sql.Conn or *sql.Tx.
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

// must is do for locks that only this package takes in this mode, so they must be free.
func (s *session) must(ctx context.Context, statement string, keys ...int64) error {
	done, err := s.do(ctx, statement, keys...)
	if err == nil && len(done) != len(keys) {
		err = errors.New("other programs use the same advisory locks")
	}
	return err
}

// verify lets the server wait for d and returns an error if the session is lost or shared.
func (s *session) verify(ctx context.Context, d time.Duration) error {
	var nonce string
	err := s.query(ctx, sqlBeat, []any{d.Seconds()}, func(rows *sql.Rows) error { return rows.Scan(&nonce) })
	if err == nil && nonce != s.nonce {
		err = ErrPooled
	}
	return err
}

// beat is verify, preceded by a check if one is due.
func (s *session) beat(ctx context.Context, d time.Duration) error {
	if s.db.Stats().MaxOpenConnections != 1 && time.Now().After(s.recheck) {
		if err := s.check(ctx, time.Second, 1); err != nil {
			return err
		}
	}
	return s.verify(ctx, d)
}
