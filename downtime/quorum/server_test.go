package quorum_test

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// A server has PostgreSQL's advisory locks and sessions, and runs the package's statements only.
// Unlike a real server, it can fail in any statement, stop answering, and let a test act between
// two statements.
type server struct {
	mu       sync.Mutex
	changed  chan struct{} // closed when a lock was let go
	sessions map[int]*conn
	lastPID  int
	line     map[int64]int // waiting operators, by key

	table   bool                      // was made
	rows    map[string]map[int64]bool // of the table: works by fleet, window and occurrence
	refuses bool                      // statements on the table are refused

	standby bool
	silent  bool                                  // statements wait for the end of their context
	pooled  bool                                  // each statement gets a new session
	before  func(statement string, c *conn) error // called before each statement, unlocked
}

func newServer() *server {
	return &server{changed: make(chan struct{}), sessions: map[int]*conn{}, line: map[int64]int{}}
}

// open returns a pool of connections to the server.
func (s *server) open(t testing.TB) *sql.DB {
	db := sql.OpenDB(s)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (s *server) Connect(context.Context) (driver.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPID++
	c := &conn{server: s, pid: s.lastPID, began: time.Now(), shared: map[int64]int{}, exclusive: map[int64]int{}, tx: map[int64]bool{}, cut: make(chan struct{})}
	s.sessions[c.pid] = c
	return c, nil
}

func (s *server) Driver() driver.Driver { return nil }

// kill ends a session.
func (s *server) kill(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(s.sessions[pid])
}

func (s *server) end(c *conn) {
	if c == nil || s.sessions[c.pid] != c {
		return
	}
	delete(s.sessions, c.pid)
	close(c.cut)
	s.tell()
}

func (s *server) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// pids returns the sessions with a name, or those without one.
func (s *server) pids(named bool) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pids []int
	for pid, c := range s.sessions {
		if c.nonce != "" && (c.name != "") == named {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// locks returns the number of held locks.
func (s *server) locks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.sessions {
		n += len(c.shared) + len(c.exclusive) + len(c.tx)
	}
	return n
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// can reports whether the locks of other sessions allow a lock.
func (s *server) can(c *conn, key int64, exclusive bool) bool {
	for _, other := range s.sessions {
		if other != c && (other.exclusive[key] > 0 || exclusive && (other.shared[key] > 0 || other.tx[key])) {
			return false
		}
	}
	return exclusive || s.line[key] == 0 || c.shared[key] > 0 || c.tx[key]
}

// A conn is a session, and its connection.
type conn struct {
	server            *server
	pid               int
	began             time.Time
	nonce, name       string
	shared, exclusive map[int64]int
	tx                map[int64]bool
	cut               chan struct{}
}

var (
	errCut     = errors.New("terminating connection due to administrator command")
	errNotHere = errors.New("not a statement of this package")
)

// lockTimeout is PostgreSQL's error for a lock that timed out.
type lockTimeout struct{}

func (lockTimeout) Error() string    { return "canceling statement due to lock timeout" }
func (lockTimeout) SQLState() string { return "55P03" }

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errNotHere }
func (c *conn) Begin() (driver.Tx, error)           { return c, nil }
func (c *conn) Commit() error                       { return c.Rollback() }

func (c *conn) Rollback() error {
	c.server.set(func() {
		clear(c.tx)
		c.server.tell()
	})
	return nil
}

func (c *conn) Close() error {
	c.server.set(func() { c.server.end(c) })
	return nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	_, err := c.QueryContext(ctx, query, args)
	return driver.ResultNoRows, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s := c.server
	s.mu.Lock()
	before, silent := s.before, s.silent
	s.mu.Unlock()
	if before != nil {
		if err := before(query, c); err != nil {
			return nil, err
		}
	}
	if silent {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.cut:
			return nil, errCut
		}
	}
	if query == quorum.SQLBeat {
		select {
		case <-time.After(time.Duration(args[0].Value.(float64) * float64(time.Second))):
		case <-ctx.Done():
			_ = c.Close() // drivers do the same
			return nil, ctx.Err()
		case <-c.cut:
			return nil, errCut
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.pid] != c {
		return nil, errCut
	}
	if s.pooled && c.nonce != "" {
		c.nonce = "of another"
	}
	return c.run(ctx, query, args)
}

// run runs a statement with the server locked.
func (c *conn) run(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s := c.server
	number := func(i int) int64 { return args[i].Value.(int64) }
	switch query {
	case quorum.SQLNonce:
		c.nonce, c.name = args[0].Value.(string), args[1].Value.(string)
		return rowsOf([]driver.Value{int64(c.pid), s.standby, c.nonce, c.name}), nil
	case quorum.SQLSettings:
		return rowsOf([]driver.Value{int64(7)}), nil
	case quorum.SQLWho:
		return rowsOf([]driver.Value{int64(c.pid), c.nonce}), nil
	case quorum.SQLBeat:
		return rowsOf([]driver.Value{c.nonce}), nil
	case quorum.SQLLetAll:
		if args[0].Value.(string) != c.nonce {
			return rowsOf(), nil
		}
		clear(c.shared)
		clear(c.exclusive)
		s.tell()
		return rowsOf([]driver.Value{""}), nil
	case quorum.SQLFence:
		can := s.can(c, number(0), false)
		if can {
			c.tx[number(0)] = true
		}
		return rowsOf([]driver.Value{can}), nil
	case quorum.SQLShare, quorum.SQLLetGo, quorum.SQLSeize, quorum.SQLYield:
		if args[1].Value.(string) != c.nonce {
			return rowsOf(), nil
		}
		var rows [][]driver.Value
		for text := range strings.SplitSeq(args[0].Value.(string), ",") {
			key, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, err
			}
			done, err := c.lock(ctx, query, key)
			if err != nil {
				return nil, err
			}
			rows = append(rows, []driver.Value{key, done})
		}
		return rowsOf(rows...), nil
	case quorum.SQLDrained:
		var rows [][]driver.Value
		for _, other := range s.sessions {
			if other.shared[number(0)] > 0 {
				for key := range other.exclusive {
					rows = append(rows, []driver.Value{key})
				}
			}
		}
		return rowsOf(rows...), nil
	case quorum.SQLTable, quorum.SQLMakeTable, quorum.SQLReadRows, quorum.SQLAddRow, quorum.SQLDropRow:
		return c.onTable(query, args)
	case quorum.SQLMarks:
		uppers := strings.Split(args[0].Value.(string), ",")
		keys := map[int64]bool{}
		for _, other := range s.sessions {
			for key := range other.shared {
				if slices.Contains(uppers, strconv.FormatInt(key>>32, 10)) {
					keys[key] = true
				}
			}
		}
		var rows [][]driver.Value
		for key := range keys {
			rows = append(rows, []driver.Value{key})
		}
		return rowsOf(rows...), nil
	case quorum.SQLLook:
		var rows [][]driver.Value
		for _, other := range s.sessions {
			joined, knows := other.shared[number(0)] > 0, other.shared[number(1)] > 0
			shares, drains := other.shared[number(2)] > 0 || other.tx[number(2)], other.exclusive[number(2)] > 0
			var digests []string
			for key := range other.shared {
				if key>>32 == number(4) && key != number(0) && key != number(1) && key != number(2) {
					digests = append(digests, fmt.Sprintf("%08x", uint32(key)))
				}
			}
			slices.Sort(digests)
			if int64(other.pid) != number(3) && (joined || knows || shares || drains) {
				rows = append(rows, []driver.Value{
					int64(other.pid), joined, knows, shares, drains, other.name, "192.0.2.1", other.began.UnixMicro(), strings.Join(digests, "+"),
				})
			}
		}
		slices.SortFunc(rows, func(a, b []driver.Value) int { return cmp.Compare(a[0].(int64), b[0].(int64)) })
		return rowsOf(rows...), nil
	}
	return nil, errNotHere
}

// refusal is an error that the server answers with.
type refusal string

func (r refusal) Error() string    { return "refused with " + string(r) }
func (r refusal) SQLState() string { return string(r) }

func (c *conn) onTable(query string, args []driver.NamedValue) (driver.Rows, error) {
	s := c.server
	switch {
	case query == quorum.SQLTable:
		return rowsOf([]driver.Value{s.table}), nil
	case s.refuses:
		return nil, refusal("42501") // insufficient_privilege
	case query == quorum.SQLMakeTable:
		s.table = true
		return rowsOf(), nil
	case !s.table:
		return nil, refusal("42P01") // undefined_table
	}
	of := fmt.Sprintf("%q %q %q", args[0].Value, args[1].Value, args[2].Value)
	if s.rows == nil {
		s.rows = map[string]map[int64]bool{}
	}
	if s.rows[of] == nil {
		s.rows[of] = map[int64]bool{}
	}
	if query == quorum.SQLReadRows {
		var rows [][]driver.Value
		for work := range s.rows[of] {
			rows = append(rows, []driver.Value{work})
		}
		return rowsOf(rows...), nil
	}
	work := args[3].Value.(int64)
	if query == quorum.SQLAddRow {
		s.rows[of][work] = true
	} else {
		delete(s.rows[of], work)
	}
	return rowsOf([]driver.Value{work}), nil
}

func (c *conn) lock(ctx context.Context, query string, key int64) (bool, error) {
	s := c.server
	drop := func(held map[int64]int) bool {
		if held[key] == 0 {
			return false
		}
		if held[key]--; held[key] == 0 {
			delete(held, key)
		}
		s.tell()
		return true
	}
	switch query {
	case quorum.SQLLetGo:
		return drop(c.shared), nil
	case quorum.SQLYield:
		return drop(c.exclusive), nil
	case quorum.SQLShare:
		can := s.can(c, key, false)
		if can {
			c.shared[key]++
		}
		return can, nil
	}
	// SQLSeize waits for the lock.
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	s.line[key]++
	defer func() { s.line[key]-- }()
	for !s.can(c, key, true) {
		changed := s.changed
		s.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-timer.C:
			err = lockTimeout{}
		case <-ctx.Done():
			_ = c.Close()
			err = ctx.Err()
		case <-c.cut:
			err = errCut
		}
		s.mu.Lock()
		if err != nil {
			return false, err
		}
	}
	c.exclusive[key]++
	return true, nil
}

// rows is a result.
type rows struct{ left [][]driver.Value }

func rowsOf(all ...[]driver.Value) *rows { return &rows{all} }

func (r *rows) Columns() []string {
	if len(r.left) == 0 {
		return nil
	}
	return make([]string, len(r.left[0]))
}

func (r *rows) Close() error { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if len(r.left) == 0 {
		return io.EOF
	}
	copy(dest, r.left[0])
	r.left = r.left[1:]
	return nil
}
