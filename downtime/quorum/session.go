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

// A session is a connection of our own. Its locks end with it.
//
// Two things show that a pooler gives the session's server connection to others. Each
// statement reads back a setting that only this session has made: on another server connection
// it is missing. And check looks for the setting from other connections of db.
type session struct {
	db    *sql.DB
	conn  *sql.Conn
	nonce string
	pid   int

	broken  bool      // a statement has failed: send no more
	doubt   error     // why the last check could not be made; nil after one that passed
	recheck time.Time // when the next is due
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
	sqlWho   = `SELECT pg_backend_pid(), coalesce(current_setting('upkeep.quorum', true), '')`
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

	// The marks of unfinished and of completed work: $1 are the upper halves of their keys,
	// joined by commas.
	sqlMarks = sqlLocks + `
SELECT DISTINCT key FROM l WHERE granted AND NOT exclusive AND key >> 32 = ANY(string_to_array($1, ',')::bigint[])`

	// Everyone: $1 to $3 are joinedLock, knowsLock and openLock, $4 is our pid, $5 is the upper
	// half of the keys whose lower half is a digest. A session that waits for a lock is not in
	// the way.
	sqlLook = sqlLocks + `
SELECT p.pid, p.joined, p.knows, p.shares, p.drains, coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
(extract(epoch FROM CASE WHEN p.joined OR p.drains THEN a.backend_start ELSE coalesce(a.xact_start, a.backend_start) END) * 1000000)::bigint, p.digest
FROM (SELECT pid, bool_or(key = $1) AS joined, bool_or(key = $2) AS knows,
bool_or(key = $3 AND NOT exclusive) AS shares, bool_or(key = $3 AND exclusive) AS drains,
coalesce(string_agg(DISTINCT lpad(to_hex(key & 4294967295), 8, '0'), '+') FILTER (WHERE key >> 32 = $5 AND key NOT IN ($1, $2, $3)), '') AS digest
FROM l WHERE granted AND pid <> $4 AND (key IN ($1, $2, $3) OR key >> 32 = $5) GROUP BY pid) p
LEFT JOIN pg_stat_activity a ON a.pid = p.pid ORDER BY p.pid`
)

// connect takes a connection of db and keeps it. An empty name leaves the session's own.
// With strict, the check for a pooler must pass; otherwise it must not fail.
//
// An idle connection of the pool may be dead, and others with it, so each gets an attempt.
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
		err = fmt.Errorf("%w; this was seen before, and cannot be checked now: %w", ErrPooled, s.doubt)
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

// begin opens the session and checks it, before there is anything in it that others would find.
func (s *session) begin(ctx context.Context, name string) error {
	if err := s.open(ctx, name); err != nil {
		return err
	}
	if s.db.Stats().MaxOpenConnections != 1 {
		return s.check(ctx, 2*time.Second, 1, 3)
	}
	// There is no other connection to check from. At least, what the session has set must
	// be gone when its connection is.
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
	recheckAfter = 5 * time.Second  // a check that passed
	recheckDoubt = 20 * time.Second // one that could not be made
)

// check looks whether a pooler gives the session's server connection to others, and returns
// ErrPooled, wrapped, when it does. It sets doubt when it could not be made within that time.
//
// While the session is idle, transactions begin on other connections of db, as many at
// once as a round says. A pooler in transaction mode has the session's server connection
// among its idle ones, and uses these first: one of the transactions gets it and finds our
// nonce. If somebody else gets it, the session's next statement, sent while the
// transactions are open or just after, gets another and misses the nonce. A pooler in
// statement mode refuses transactions. None of this happens on a direct connection, or on
// one of a pooler in session mode.
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

// round is one round of check, with up to so many probes, within bounded. It has failed
// when not even the first could be made.
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
			break // wait for the first only
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

// A probe is a transaction on another connection of the session's db.
type probe struct {
	conn *sql.Conn
	tx   *sql.Tx
}

func (p *probe) end() {
	_ = p.tx.Rollback()
	_ = p.conn.Close()
}

// probe begins one that is not on the session's server connection. That a connection
// refuses a transaction may be chance, but not three times.
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

// isOther returns ErrPooled on the session's own server connection. The backend's pid alone is no
// proof of that: connections of one db may lead to several servers, which number their
// processes alike.
func (s *session) isOther(ctx context.Context, other querier) error {
	var pid int
	var nonce string
	err := query(ctx, other, sqlWho, nil, func(rows *sql.Rows) error { return rows.Scan(&pid, &nonce) })
	if err == nil && pid == s.pid && nonce == s.nonce {
		err = ErrPooled
	}
	return err
}

// end closes the connection, and with it all locks. They are let go by word first, for
// a server may be slow to notice the other.
func (s *session) end() {
	if !s.broken {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = s.conn.ExecContext(ctx, sqlLetAll, s.nonce)
	}
	s.drop()
}

// drop closes the connection, which must not go back to the pool.
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

// must is do for what has to succeed: nobody asks for these locks otherwise.
func (s *session) must(ctx context.Context, statement string, keys ...int64) error {
	done, err := s.do(ctx, statement, keys...)
	if err == nil && len(done) != len(keys) {
		err = errors.New("the advisory locks are used by others")
	}
	return err
}

// verify returns an error when the session is lost or shared, after the server has waited
// d for that.
func (s *session) verify(ctx context.Context, d time.Duration) error {
	var nonce string
	err := s.query(ctx, sqlBeat, []any{d.Seconds()}, func(rows *sql.Rows) error { return rows.Scan(&nonce) })
	if err == nil && nonce != s.nonce {
		err = ErrPooled
	}
	return err
}

// beat is verify, with a check when one is due.
func (s *session) beat(ctx context.Context, d time.Duration) error {
	if s.db.Stats().MaxOpenConnections != 1 && time.Now().After(s.recheck) {
		if err := s.check(ctx, time.Second, 1); err != nil {
			return err
		}
	}
	return s.verify(ctx, d)
}
