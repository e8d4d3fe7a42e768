package history

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/version"
)

// A Dialect selects the SQL for a database.
type Dialect string

const (
	// DialectSQLite is SQLite 3.24 or later, with any driver.
	DialectSQLite Dialect = "sqlite"
	// DialectPostgreSQL is PostgreSQL 10 or later, with any driver that takes $1.
	DialectPostgreSQL Dialect = "postgres"
)

// SQLOptions configure a [SQLStore]. Nil options are the defaults.
type SQLOptions struct {
	// Table is the name of the table with the entries. Two more tables end in _builds and
	// _schema. Empty means "history". A name has at most 40 lowercase letters, digits and _.
	// In PostgreSQL it may begin with the name of a schema and a dot.
	Table string
}

// A SQLStore keeps a history in a database, for more than one machine. It is safe for
// concurrent use, also by several processes.
//
// Its first use creates the tables or migrates them. A user without the right to create tables
// can use existing ones. Each run is one row, and each build is one row. Appends wait for one
// another, so that rows have the order of receipt. The clock is the server's in PostgreSQL and
// the process's in SQLite.
//
// Only [SQLStore.Prune] removes entries. A query reads the runs of its services and
// environments, the events of its time, and the builds in its answer. It skips unreadable rows
// and counts them.
type SQLStore struct {
	db      *sql.DB
	dialect Dialect
	table   string

	migrating sync.Mutex
	migrated  atomic.Bool

	count *counters
}

var tableName = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,39}\.)?[a-z_][a-z0-9_]{0,39}$`)

// NewSQL returns a store that keeps the history in a database, with the user's own driver. It
// does no I/O. It returns an error for a nil database, an unknown dialect or an invalid table
// name.
//
// Use SQLite in WAL mode. A connection without PRAGMA busy_timeout gets one of 5 seconds.
func NewSQL(db *sql.DB, dialect Dialect, opts *SQLOptions) (*SQLStore, error) {
	o := *cmp.Or(opts, new(SQLOptions))
	s := &SQLStore{db: db, dialect: dialect, table: cmp.Or(o.Table, "history"), count: newCounters("appended", "append_failures", "rejected_rows")}
	switch {
	case db == nil:
		return nil, errors.New("history: the database is nil")
	case dialect != DialectSQLite && dialect != DialectPostgreSQL:
		return nil, fmt.Errorf("history: the dialect must be %q or %q, got %q", DialectSQLite, DialectPostgreSQL, cleantext.Line(string(dialect), maxName))
	case !tableName.MatchString(s.table) || dialect == DialectSQLite && strings.Contains(s.table, "."):
		return nil, fmt.Errorf("history: the table's name must be of small letters, digits and _, got %q", cleantext.Line(s.table, maxName))
	}
	return s, nil
}

// migrations[n] migrates the tables from version n. Never change an existing one.
var migrations = []string{
	`CREATE TABLE {table} (
seq {seq},
id TEXT NOT NULL UNIQUE,
kind TEXT NOT NULL,
received BIGINT NOT NULL,
at BIGINT NOT NULL,
time BIGINT NOT NULL,
last_at BIGINT NOT NULL,
last_time BIGINT NOT NULL,
last_received BIGINT NOT NULL,
client TEXT NOT NULL,
every BIGINT NOT NULL,
service TEXT NOT NULL,
environment TEXT NOT NULL,
instance TEXT NOT NULL,
version TEXT NOT NULL,
revision TEXT NOT NULL,
build TEXT NOT NULL,
event TEXT NOT NULL
);
CREATE TABLE {table}_builds (digest TEXT NOT NULL PRIMARY KEY, info TEXT NOT NULL)`,
	`CREATE INDEX {index}_last ON {table} (last_at);
CREATE INDEX {index}_build ON {table} (build)`,
	// The first and the last sighting of a row have their places in the order of receipt.
	`ALTER TABLE {table} ADD COLUMN first_place BIGINT NOT NULL DEFAULT 0;
ALTER TABLE {table} ADD COLUMN last_place BIGINT NOT NULL DEFAULT 0;
UPDATE {table} SET first_place = received, last_place = last_received;
CREATE INDEX {index}_place ON {table} (last_place)`,
	// Older rows do not declare rollbacks.
	`ALTER TABLE {table} ADD COLUMN declared_rollback INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE {table} ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE {table} ADD COLUMN cluster TEXT NOT NULL DEFAULT ''`,
}

func (s *SQLStore) migrate(ctx context.Context) error {
	if s.migrated.Load() {
		return nil
	}
	s.migrating.Lock()
	defer s.migrating.Unlock()
	if s.migrated.Load() {
		return nil
	}
	// A user with only the right to read can use existing tables.
	var at int
	err := s.db.QueryRowContext(ctx, "SELECT version FROM "+s.table+"_schema").Scan(&at)
	if err != nil || at < len(migrations) {
		err = s.transaction(ctx, func(ctx context.Context, conn *sql.Conn) error { return s.step(ctx, conn, &at) })
	}
	if err == nil && at > len(migrations) {
		err = fmt.Errorf("%w: %s is of version %d, known are those up to %d", ErrSchema, s.table, at, len(migrations))
	}
	if err != nil {
		return err
	}
	s.migrated.Store(true)
	return nil
}

func (s *SQLStore) step(ctx context.Context, conn *sql.Conn, at *int) error {
	exec := func(statements string) error {
		for statement := range strings.SplitSeq(statements, ";") {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	if err := exec("CREATE TABLE IF NOT EXISTS " + s.table + "_schema (version INTEGER NOT NULL)"); err != nil {
		return err
	}
	*at = 0
	err := conn.QueryRowContext(ctx, "SELECT version FROM "+s.table+"_schema").Scan(at)
	if errors.Is(err, sql.ErrNoRows) {
		err = exec("INSERT INTO " + s.table + "_schema (version) VALUES (0)")
	}
	if err != nil || *at >= len(migrations) {
		return err
	}
	seq := "INTEGER PRIMARY KEY AUTOINCREMENT"
	if s.dialect == DialectPostgreSQL {
		seq = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	}
	// An index is named without its schema.
	names := strings.NewReplacer("{table}", s.table, "{seq}", seq, "{index}", s.table[strings.IndexByte(s.table, '.')+1:])
	for ; *at < len(migrations); *at++ {
		if err := exec(names.Replace(migrations[*at])); err != nil {
			return err
		}
	}
	return exec("UPDATE " + s.table + "_schema SET version = " + strconv.Itoa(*at))
}

func (s *SQLStore) transaction(ctx context.Context, do func(context.Context, *sql.Conn) error) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := conn.Close(); err == nil && e != nil {
			err = e
		}
	}()
	begin := "BEGIN"
	if s.dialect == DialectSQLite {
		begin = "BEGIN IMMEDIATE" // a transaction that reads first may fail to get the write lock
		// An interrupted transaction may keep its lock for ever: the interrupt can hit ROLLBACK,
		// and then even closing the connection does not help. Statements of SQLite are short,
		// and wait for a lock at most for busy_timeout.
		if err := ctx.Err(); err != nil {
			return err
		}
		ctx = context.WithoutCancel(ctx)
		var timeout int
		if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err == nil && timeout == 0 {
			if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 5000"); err != nil {
				return err
			}
		}
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	err = s.locked(ctx, conn)
	if err == nil {
		err = do(ctx, conn)
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, e := conn.ExecContext(last, "ROLLBACK"); e != nil {
		// The pool must not get a connection that is in a transaction.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

func (s *SQLStore) locked(ctx context.Context, conn *sql.Conn) error {
	if s.dialect != DialectPostgreSQL {
		return nil
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("upkeep history " + s.table))
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock("+strconv.FormatInt(int64(h.Sum64()), 10)+")")
	return err
}

func (s *SQLStore) now(ctx context.Context, conn *sql.Conn) (time.Time, error) {
	if s.dialect != DialectPostgreSQL {
		return time.Now(), nil
	}
	var micros int64
	err := conn.QueryRowContext(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").Scan(&micros)
	return time.UnixMicro(micros), err
}

func (s *SQLStore) bind(statement string) string {
	if s.dialect != DialectPostgreSQL {
		return statement
	}
	for n := 1; strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", "$"+strconv.Itoa(n), 1)
	}
	return statement
}

// Append stores the entries in one transaction. With SQLite, ctx limits only the time until the
// transaction begins; busy_timeout limits the wait for another writer.
func (s *SQLStore) Append(ctx context.Context, entries ...Entry) error {
	kept, err := tidyAll(entries, maxStoredID)
	if err != nil {
		return err
	}
	if err = s.migrate(ctx); err == nil && len(kept) > 0 {
		err = s.transaction(ctx, func(ctx context.Context, conn *sql.Conn) error { return s.insert(ctx, conn, kept) })
	}
	if err != nil {
		s.count.add("append_failures", 1)
		return fmt.Errorf("history: cannot append: %w", err)
	}
	s.count.add("appended", len(kept))
	return nil
}

// An earlier start or a later sighting updates the row of its run. Events are never updated.
const sqlInsert = `INSERT INTO {table} AS h (id, kind, received, at, time, last_at, last_time, last_received, first_place, last_place, client, every, service, environment, instance, version, revision, build, event, declared_rollback, region, cluster)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
kind = CASE WHEN excluded.kind = 'stopped' OR h.kind <> 'stopped' AND excluded.last_at >= h.last_at THEN excluded.kind ELSE h.kind END,
time = CASE WHEN excluded.at < h.at THEN excluded.time ELSE h.time END,
at = CASE WHEN excluded.at < h.at THEN excluded.at ELSE h.at END,
last_time = CASE WHEN excluded.last_at >= h.last_at THEN excluded.last_time ELSE h.last_time END,
last_received = CASE WHEN excluded.last_at >= h.last_at THEN excluded.last_received ELSE h.last_received END,
last_place = CASE WHEN excluded.last_at >= h.last_at THEN excluded.last_place ELSE h.last_place END,
last_at = CASE WHEN excluded.last_at >= h.last_at THEN excluded.last_at ELSE h.last_at END,
build = CASE WHEN h.build = '' THEN excluded.build ELSE h.build END
WHERE h.kind <> 'noted' AND excluded.kind <> 'noted'`

func (s *SQLStore) insert(ctx context.Context, conn *sql.Conn, entries []Entry) error {
	now, err := s.now(ctx, conn)
	if err != nil {
		return err
	}
	var place int64
	if err := conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(last_place), 0) FROM "+s.table).Scan(&place); err != nil {
		return err
	}
	// Places are never before the time of receipt. So rows of older versions of this package,
	// which write no places, fit in: entries uses their time of receipt.
	place = max(place, now.UnixNano()-1)
	insert, err := conn.PrepareContext(ctx, s.bind(strings.Replace(sqlInsert, "{table}", s.table, 1)))
	if err != nil {
		return err
	}
	defer insert.Close()
	written := map[string]bool{}
	for _, e := range entries {
		if e.infoJSON != nil && !written[e.Build] {
			written[e.Build] = true
			_, err := conn.ExecContext(ctx, s.bind("INSERT INTO "+s.table+"_builds (digest, info) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING"), e.Build, string(e.infoJSON))
			if err != nil {
				return err
			}
		}
		e = e.Receive(now)
		id, event := e.Run, ""
		if e.Event != nil {
			id = e.ID
			data, err := json.Marshal(e.Event)
			if err != nil {
				return err
			}
			event = string(data)
		}
		declared := 0
		if e.Rollback {
			declared = 1
		}
		place++
		_, err := insert.ExecContext(ctx, id, string(e.Kind), e.Received.UnixNano(), e.At.UnixNano(), e.Time.UnixNano(),
			e.At.UnixNano(), e.Time.UnixNano(), e.Received.UnixNano(), place, place, e.Client, int64(e.Every),
			e.Service, e.Environment, e.Instance, e.Version, e.Revision, e.Build, event, declared, e.Region, e.Cluster)
		if err != nil {
			return err
		}
	}
	return nil
}

// Entries returns all events, and the first and the last sighting of each run.
func (s *SQLStore) Entries(ctx context.Context) ([]Entry, error) {
	list, rejected, err := s.entries(ctx, Query{})
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	builds, err := s.readBuilds(ctx, "", nil, &rejected)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	s.count.set("rejected_rows", rejected)
	for n := range list {
		list[n].Info = builds[list[n].Build]
	}
	return list, nil
}

// Select reads the rows that the query selects.
func (s *SQLStore) Select(ctx context.Context, q Query) (*Selection, error) {
	list, rejected, err := s.entries(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	s.count.set("rejected_rows", rejected)
	return &Selection{Entries: list, Infos: s.infos}, nil
}

// infos reads 500 builds at a time, because databases limit the number of arguments.
func (s *SQLStore) infos(ctx context.Context, builds []string) (map[string]*version.Info, error) {
	found := make(map[string]*version.Info, len(builds))
	for some := range slices.Chunk(builds, 500) {
		digests := make([]any, len(some))
		for n, b := range some {
			digests[n] = b
		}
		var rejected int64
		read, err := s.readBuilds(ctx, " WHERE digest IN (?"+strings.Repeat(", ?", len(some)-1)+")", digests, &rejected)
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		maps.Copy(found, read)
		s.count.add("rejected_rows", int(rejected))
	}
	return found, nil
}

// where returns the conditions of a query. Events of a time are found by the index of last_at.
func (q *Query) where() (sightings, events string, arguments []any) {
	sightings, events = "kind <> 'noted'", "kind = 'noted'"
	for _, c := range [][2]string{{"service", q.Service}, {"environment", q.Environment}} {
		if c[1] != "" {
			sightings += " AND " + c[0] + " = ?"
			arguments = append(arguments, c[1])
		}
	}
	if !q.From.IsZero() && q.From.Unix() > 0 {
		events += " AND last_at >= ?"
		arguments = append(arguments, q.From.UnixNano())
	}
	if !q.To.IsZero() && inRange(q.To) {
		events += " AND last_at <= ?"
		arguments = append(arguments, q.To.UnixNano())
	}
	return sightings, events, arguments
}

func (s *SQLStore) entries(ctx context.Context, q Query) (list []Entry, rejected int64, err error) {
	if err := s.migrate(ctx); err != nil {
		return nil, 0, err
	}
	columns := "SELECT first_place, last_place, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, declared_rollback <> 0, region, cluster FROM " + s.table
	sightings, events, arguments := q.where()
	rows, err := s.db.QueryContext(ctx, s.bind(columns+" WHERE "+sightings+" UNION ALL "+columns+" WHERE "+events), arguments...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var kind, event string
		var lastSeq, received, at, seenAt, lastAt, lastTime, lastReceived int64
		if err := rows.Scan(&e.Seq, &lastSeq, &e.ID, &kind, &received, &at, &seenAt, &lastAt, &lastTime, &lastReceived, &e.Client, &e.Every,
			&e.Service, &e.Environment, &e.Instance, &e.Version, &e.Revision, &e.Build, &event, &e.Rollback, &e.Region, &e.Cluster); err != nil {
			return nil, 0, err
		}
		e.Seq, lastSeq = max(e.Seq, received), max(lastSeq, lastReceived)
		e.Kind, e.Run = KindStarted, e.ID
		if Kind(kind) == KindNoted {
			e.Kind, e.Event = KindNoted, new(Event)
			if json.Unmarshal([]byte(event), e.Event) != nil { // others may have written to the tables
				rejected++
				continue
			}
		}
		e.Received, e.At, e.Time = time.Unix(0, received).UTC(), time.Unix(0, at).UTC(), time.Unix(0, seenAt).UTC()
		if _, err := e.check(maxStoredID); err != nil {
			rejected++
			continue
		}
		if !q.has(&e) {
			continue
		}
		list = append(list, e)
		if e.Kind == KindNoted || Kind(kind) == KindStarted && lastAt == at {
			continue
		}
		last := e
		last.ID, last.Kind, last.Seq = e.ID+".last", KindSeen, lastSeq
		if Kind(kind) == KindStopped {
			last.Kind = KindStopped
		}
		last.Received, last.At, last.Time = time.Unix(0, lastReceived).UTC(), time.Unix(0, lastAt).UTC(), time.Unix(0, lastTime).UTC()
		list = append(list, last)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return list, rejected, nil
}

func (s *SQLStore) readBuilds(ctx context.Context, where string, digests []any, rejected *int64) (map[string]*version.Info, error) {
	rows, err := s.db.QueryContext(ctx, s.bind("SELECT digest, info FROM "+s.table+"_builds"+where), digests...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	builds := map[string]*version.Info{}
	for rows.Next() {
		var digest string
		var data []byte
		if err := rows.Scan(&digest, &data); err != nil {
			return nil, err
		}
		info := new(version.Info)
		if json.Unmarshal(data, info) != nil {
			*rejected++
			continue
		}
		builds[digest] = info
	}
	return builds, rows.Err()
}

// Prune removes events from before that time and runs that were last seen before it, and
// returns their number. It keeps the last run of each track.
func (s *SQLStore) Prune(ctx context.Context, before time.Time) (removed int64, err error) {
	err = s.migrate(ctx)
	if err == nil {
		err = s.transaction(ctx, func(ctx context.Context, conn *sql.Conn) error {
			result, err := conn.ExecContext(ctx, s.bind("DELETE FROM "+s.table+" WHERE last_at < ? AND seq NOT IN (SELECT MAX(seq) FROM "+s.table+" WHERE kind <> 'noted' GROUP BY service, environment, region, cluster)"), before.UnixNano())
			if err != nil {
				return err
			}
			if removed, err = result.RowsAffected(); err != nil {
				return err
			}
			_, err = conn.ExecContext(ctx, "DELETE FROM "+s.table+"_builds WHERE digest NOT IN (SELECT build FROM "+s.table+")")
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("history: cannot prune: %w", err)
	}
	return removed, nil
}

// Stats returns numbers to export as metrics:
//
//	appended         entries appended
//	append_failures  appends that failed
//	rejected_rows    rows that the last query could not read
func (s *SQLStore) Stats() map[string]float64 { return s.count.all() }
