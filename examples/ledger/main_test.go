package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/pgtest"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// shared is the server of all tests, or nil if PostgreSQL is not installed.
var shared *pgtest.Cluster

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ledger")
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

// A backend is a database for one test.
type backend struct {
	dialect history.Dialect
	driver  string
	source  string
	db      *sql.DB
}

var databases atomic.Int64

// newBackend creates a database.
func newBackend(t testing.TB, dialect history.Dialect) *backend {
	t.Helper()
	b := &backend{dialect: dialect}
	if dialect == history.DialectSQLite {
		b.driver, b.source = "sqlite", "file:"+filepath.Join(t.TempDir(), "history.db")+"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)"
	} else {
		if shared == nil {
			t.Skip(pgtest.ErrNotInstalled)
		}
		admin, err := sql.Open("pgx", shared.DSN("postgres"))
		require.NoError(t, err)
		defer admin.Close()
		name := fmt.Sprintf("ledger_%d", databases.Add(1))
		_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
		require.NoError(t, err)
		b.driver, b.source = "pgx", shared.DSN(name)
	}
	b.db = b.open(t)
	require.NoError(t, b.db.PingContext(t.Context()), "SQLite makes the file")
	return b
}

func (b *backend) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(b.driver, b.source)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (b *backend) store(opts *history.SQLOptions) *history.SQLStore {
	return storeIn(b.db, b.dialect, opts)
}

func storeIn(db *sql.DB, dialect history.Dialect, opts *history.SQLOptions) *history.SQLStore {
	s, err := history.NewSQL(db, dialect, opts)
	if err != nil {
		panic(err)
	}
	return s
}

// count runs a query that returns a number.
func (b *backend) count(t testing.TB, query string) int {
	t.Helper()
	var n int
	require.NoError(t, b.db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// onEach runs a test on each database.
func onEach(t *testing.T, test func(t *testing.T, b *backend)) {
	t.Parallel()
	for _, d := range []history.Dialect{history.DialectSQLite, history.DialectPostgreSQL} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			test(t, newBackend(t, d))
		})
	}
}

func build(release string) version.Info {
	return version.FromBuildInfo(&debug.BuildInfo{
		GoVersion: "go1.26.8",
		Path:      "example.com/shop",
		Main:      debug.Module{Path: "example.com/shop", Version: release, Sum: "h1:" + release},
		Deps:      []*debug.Module{{Path: "example.com/lib", Version: release, Sum: "h1:" + release}},
	}, nil)
}

func production(instance string) history.Deployment {
	return history.Deployment{Environment: "production", Instance: instance}
}

func timelineText(t testing.TB, s history.Store) string {
	t.Helper()
	l, err := history.Timeline(t.Context(), s, time.Time{}, time.Time{})
	require.NoError(t, err)
	running, err := history.Current(t.Context(), s)
	require.NoError(t, err)
	data, err := json.MarshalIndent(running, "", " ")
	require.NoError(t, err)
	return l.String() + "\n" + string(data)
}

// TestSame appends random entries. Databases must give the same answers as a file.
func TestSame(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		for seed := range 20 {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			file, err := history.NewFile(filepath.Join(t.TempDir(), "history.jsonl"), nil)
			require.NoError(t, err)
			s := b.store(&history.SQLOptions{Table: fmt.Sprint("seed_", seed)})
			now := time.Now().UTC().Truncate(time.Microsecond)
			pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
			var entries []history.Entry
			for n := range 60 {
				// Long ago, and appended in any order.
				ago := time.Duration(random.IntN(100_000)) * time.Second
				e := history.Entry{ID: fmt.Sprint("e", n), Time: now.Add(-ago), Late: ago}
				e.Kind = []history.Kind{history.KindStarted, history.KindSeen, history.KindStopped, history.KindNoted}[random.IntN(4)]
				if e.Kind == history.KindNoted {
					e.Event = &history.Event{Kind: "flag", Subject: fmt.Sprint(n), From: "a", To: "é\"", Actor: "ada", Service: pick("", "shop", "till"), Environment: pick("", "production"), URL: "https://flags.example/a", Share: float64(random.IntN(3)) / 2}
				} else {
					run := random.IntN(12)
					info := build(fmt.Sprintf("v1.%d.0", run%4))
					e.Run, e.Service, e.Environment, e.Instance = fmt.Sprint("run", run), "shop", "production", fmt.Sprint("i", run%5)
					e.Info, e.Version = &info, info.Version
					if run%2 == 0 {
						e.Every = 2 * time.Minute
					}
				}
				entries = append(entries, e)
			}
			for len(entries) > 0 {
				n := 1 + random.IntN(min(8, len(entries)))
				require.NoError(t, file.Append(t.Context(), entries[:n]...))
				require.NoError(t, s.Append(t.Context(), entries[:n]...))
				if random.IntN(3) == 0 { // once more
					require.NoError(t, s.Append(t.Context(), entries[:n]...))
				}
				entries = entries[n:]
			}
			require.Equal(t, timelineText(t, file), timelineText(t, s), "seed %d", seed)
			for _, q := range []history.Query{{}, {Service: "shop"}, {Service: "till"}, {Environment: "production", From: now.Add(-20 * time.Hour), To: now.Add(-10 * time.Hour)}, {From: now.Add(-time.Hour)}} {
				require.Equal(t, timelineText(t, history.Only(whole{s}, q)), timelineText(t, history.Only(s, q)), "seed %d, %+v", seed, q)
			}
			require.NoError(t, file.Close())
		}
	})
}

// A whole is a store that is not a Selector.
type whole struct{ history.Store }

// TestOnly reads the rows and builds of one service. Those of others may be unreadable.
func TestOnly(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		for n, service := range []string{"shop", "till"} {
			info := build(fmt.Sprintf("v1.%d.0", n))
			info.Name = service
			require.NoError(t, history.Record(t.Context(), s, info, production("a")))
			require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: service, Time: time.Now().Add(-time.Duration(n) * 24 * time.Hour)}))
		}
		for _, statement := range []string{
			"UPDATE history_builds SET info = '[' WHERE digest = (SELECT build FROM history WHERE service = 'till')",
			"UPDATE history SET time = -1 WHERE service = 'till'",
			"UPDATE history SET event = '{' WHERE event LIKE '%till%'",
		} {
			_, err := b.db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		list, err := history.Timeline(t.Context(), history.Only(s, history.Query{Service: "shop"}), time.Now().Add(-time.Hour), time.Time{})
		require.NoError(t, err)
		require.Len(t, list.Items, 2)
		require.Len(t, list.Items[0].Change.To.Deps, 1)
		require.Equal(t, "shop", list.Items[1].Event.Subject)
		require.Zero(t, s.Stats()["rejected_rows"])
		list, err = history.Timeline(t.Context(), s, time.Time{}, time.Time{})
		require.NoError(t, err)
		require.Len(t, list.Items, 2)
		require.Equal(t, 2.0, s.Stats()["rejected_rows"])
	})
}

// TestRow: each run and each build is one row, however often it is appended.
func TestRow(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		info := build("v1.0.0")
		start := history.Entry{ID: "e", Kind: history.KindStarted, Run: "r", Time: time.Now(), Service: "shop", Info: &info, Every: time.Minute}
		for n := range 30 {
			e := start
			e.ID = fmt.Sprint("e", n)
			e.Time = time.Now()
			if n > 0 {
				e.Kind, e.Info = history.KindSeen, nil
			}
			require.NoError(t, s.Append(t.Context(), e))
		}
		for range 5 {
			require.NoError(t, history.Record(t.Context(), s, info, history.Deployment{Environment: "production", Instance: "a", Region: "eu", Cluster: "blue", Rollback: true}))
		}
		require.Equal(t, 6, b.count(t, "SELECT COUNT(*) FROM history"))
		require.Equal(t, 1, b.count(t, "SELECT COUNT(*) FROM history_builds"))
		entries, err := s.Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 7)
		require.True(t, entries[1].At.After(entries[0].At))
		require.Equal(t, info.Deps, entries[6].Info.Deps)
		require.False(t, entries[0].Rollback)
		require.True(t, entries[6].Rollback)
		require.Equal(t, "eu blue", entries[6].Region+" "+entries[6].Cluster)
		require.Equal(t, 35.0, s.Stats()["appended"])
	})
}

// TestLateStart has sightings that arrive before the start of their run, and after its end.
func TestLateStart(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		info := build("v1.0.0")
		at := func(kind history.Kind, ago time.Duration) history.Entry {
			e := history.Entry{ID: fmt.Sprint(kind, "-", ago.Seconds()), Kind: kind, Run: "r", Time: time.Now().Add(-ago), Late: ago, Service: "shop", Version: "v1.0.0", Every: time.Minute}
			if kind == history.KindStarted {
				e.Info = &info
			}
			return e
		}
		for _, e := range []history.Entry{at(history.KindSeen, time.Hour), at(history.KindStopped, time.Minute), at(history.KindStarted, 3*time.Hour), at(history.KindSeen, 2*time.Hour)} {
			require.NoError(t, s.Append(t.Context(), e))
		}
		entries, err := s.Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 2)
		require.WithinDuration(t, time.Now().Add(-3*time.Hour), entries[0].At, time.Minute)
		require.Equal(t, history.KindStopped, entries[1].Kind)
		require.WithinDuration(t, time.Now().Add(-time.Minute), entries[1].At, 30*time.Second)
		require.NotNil(t, entries[0].Info)
		running, err := history.Current(t.Context(), s)
		require.NoError(t, err)
		require.Empty(t, running)
	})
}

// TestMigrate creates the tables from many processes at once, migrates old tables, and refuses
// tables of a later version.
func TestMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		var all sync.WaitGroup
		for n := range 8 {
			db := b.open(t)
			all.Go(func() {
				if err := history.Note(context.Background(), storeIn(db, b.dialect, nil), history.Event{Kind: "flag", Subject: fmt.Sprint(n)}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Equal(t, 8, b.count(t, "SELECT COUNT(*) FROM history"))
		require.Equal(t, 5, b.count(t, "SELECT version FROM history_schema"))

		exec := func(statement string) {
			_, err := b.db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		exec("DROP INDEX history_place")
		exec("ALTER TABLE history DROP COLUMN first_place")
		exec("ALTER TABLE history DROP COLUMN last_place")
		exec("ALTER TABLE history DROP COLUMN declared_rollback")
		exec("ALTER TABLE history DROP COLUMN region")
		exec("ALTER TABLE history DROP COLUMN cluster")
		exec("DROP INDEX history_last")
		exec("DROP INDEX history_build")
		exec("UPDATE history_schema SET version = 1")
		require.NoError(t, history.Note(t.Context(), b.store(nil), history.Event{Kind: "flag"}))
		require.Equal(t, 5, b.count(t, "SELECT version FROM history_schema"))
		exec("DROP INDEX history_last") // it is there again
		entries, err := b.store(nil).Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 9)
		require.Equal(t, 9, b.count(t, "SELECT COUNT(*) FROM history"))

		exec("UPDATE history_schema SET version = 99")
		require.ErrorIs(t, history.Note(t.Context(), b.store(nil), history.Event{Kind: "flag"}), history.ErrSchema)
		_, err = history.Current(t.Context(), b.store(nil))
		require.ErrorIs(t, err, history.ErrSchema)
		require.ErrorContains(t, err, "history is of version 99, known are those up to 5")
	})
}

func TestTables(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		a, c := b.store(&history.SQLOptions{Table: "fleet_a"}), b.store(&history.SQLOptions{Table: "fleet_b"})
		require.NoError(t, history.Record(t.Context(), a, build("v1.0.0"), production("a")))
		require.NoError(t, history.Record(t.Context(), c, build("v2.0.0"), production("a")))
		require.Contains(t, timelineText(t, a), "v1.0.0, seen for the first time")
		require.Contains(t, timelineText(t, c), "v2.0.0, seen for the first time")
		for _, name := range []string{"a b", "a;--", "A", "a.b.c", strings.Repeat("a", 41), "1"} {
			_, err := history.NewSQL(b.db, b.dialect, &history.SQLOptions{Table: name})
			require.ErrorContains(t, err, "table's name", name)
		}
		schema, err := history.NewSQL(b.db, b.dialect, &history.SQLOptions{Table: "ops.history"})
		if b.dialect == history.DialectSQLite {
			require.ErrorContains(t, err, "table's name")
			return
		}
		require.NoError(t, err)
		_, err = b.db.ExecContext(t.Context(), "CREATE SCHEMA ops")
		require.NoError(t, err)
		require.NoError(t, history.Note(t.Context(), schema, history.Event{Kind: "flag"}))
		require.Equal(t, 1, b.count(t, "SELECT COUNT(*) FROM ops.history"))
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := history.NewSQL(nil, history.DialectSQLite, nil)
	require.ErrorContains(t, err, "database is nil")
	b := newBackend(t, history.DialectSQLite)
	_, err = history.NewSQL(b.db, "oracle", nil)
	require.ErrorContains(t, err, `the dialect must be "sqlite" or "postgres", got "oracle"`)
}

// TestReader has a user with read access only.
func TestReader(t *testing.T) {
	t.Parallel()
	b := newBackend(t, history.DialectPostgreSQL)
	require.NoError(t, history.Record(t.Context(), b.store(nil), build("v1.0.0"), production("a")))
	role := fmt.Sprintf("reader_%d", databases.Add(1))
	for _, statement := range []string{"CREATE ROLE " + role + " LOGIN", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + role} {
		_, err := b.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	reader := &backend{dialect: b.dialect, driver: b.driver, source: strings.Replace(b.source, "user=postgres", "user="+role, 1)}
	s := storeIn(reader.open(t), history.DialectPostgreSQL, nil)
	require.Contains(t, timelineText(t, s), "v1.0.0, seen for the first time")
	require.ErrorContains(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}), "permission denied")
	require.Equal(t, 1.0, s.Stats()["append_failures"])
}

// TestTogether appends from many goroutines at once. The order is that of the commits.
func TestTogether(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		var all sync.WaitGroup
		for w := range 6 {
			s := storeIn(b.open(t), b.dialect, nil)
			all.Go(func() {
				for n := range 20 {
					if err := history.Note(context.Background(), s, history.Event{Kind: fmt.Sprint(w), Subject: fmt.Sprint(n)}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		entries, err := b.store(nil).Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 120)
		next := map[string]int{}
		for n, e := range entries {
			require.Equal(t, fmt.Sprint(next[e.Event.Kind]), e.Event.Subject)
			next[e.Event.Kind]++
			if n > 0 {
				require.False(t, e.Received.Before(entries[n-1].Received))
			}
		}
	})
}

// TestClock has a service whose clock is wrong by hours. The clock of PostgreSQL counts.
func TestClock(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		for n, off := range []time.Duration{3 * time.Hour, 0, -3 * time.Hour} {
			require.NoError(t, s.Append(t.Context(), history.Entry{ID: fmt.Sprint(n), Kind: history.KindNoted, Time: time.Now().Add(off), Event: &history.Event{Kind: fmt.Sprint(n)}}))
		}
		list, err := history.Timeline(t.Context(), s, time.Time{}, time.Time{})
		require.NoError(t, err)
		require.Len(t, list.Items, 3)
		for n, i := range list.Items {
			require.Equal(t, fmt.Sprint(n), i.Event.Kind)
			require.WithinDuration(t, time.Now(), i.Time, time.Minute)
		}
	})
}

func TestPrune(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		for n := range 10 {
			ago := time.Duration(10-n) * 24 * time.Hour
			info := build(fmt.Sprintf("v1.%d.0", n))
			require.NoError(t, s.Append(t.Context(),
				history.Entry{ID: fmt.Sprint("n", n), Kind: history.KindNoted, Time: time.Now().Add(-ago), Late: ago, Event: &history.Event{Kind: "flag"}},
				history.Entry{ID: fmt.Sprint("r", n), Kind: history.KindStarted, Run: fmt.Sprint("r", n), Time: time.Now().Add(-ago), Late: ago, Service: "shop", Instance: "a", Info: &info}))
		}
		removed, err := s.Prune(t.Context(), time.Now().Add(-84*time.Hour))
		require.NoError(t, err)
		require.Equal(t, int64(14), removed)
		require.Equal(t, 3, b.count(t, "SELECT COUNT(*) FROM history_builds"))
		removed, err = s.Prune(t.Context(), time.Now())
		require.NoError(t, err)
		require.Equal(t, int64(5), removed)
		require.Contains(t, timelineText(t, s), "v1.9.0", "what runs last stays")
	})
}

// TestFaults has a database that fails for a while.
func TestFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		b.db.SetMaxOpenConns(1)
		s := b.store(nil)
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, history.Note(ended, s, history.Event{Kind: "flag"}), context.Canceled)
		for n := range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*100*time.Microsecond)
			_ = history.Note(ctx, s, history.Event{Kind: "flag"})
			cancel()
		}
		if b.dialect == history.DialectPostgreSQL {
			admin, err := sql.Open("pgx", shared.DSN("postgres"))
			require.NoError(t, err)
			defer admin.Close()
			var name string
			require.NoError(t, b.db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name))
			_, err = admin.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return history.Note(t.Context(), s, history.Event{Kind: "flag"}) == nil }, 10*time.Second, time.Millisecond)
		}
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "last"}))
		require.Contains(t, timelineText(t, s), "flag last", "no connection is left in a transaction")
		require.NoError(t, b.db.Close())
		require.ErrorContains(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}), "history: cannot append: ")
	})
}

// TestHostileRows has rows that other programs have written into the tables.
func TestHostileRows(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		exec := func(statement string) {
			t.Helper()
			_, err := b.db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		s := b.store(nil)
		for n, wrong := range []string{"event = '{'", "time = -1", "id = ''"} {
			require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: fmt.Sprint(n)}))
			exec("UPDATE history SET " + wrong + ` WHERE event LIKE '%"` + fmt.Sprint(n) + `"%'`)
		}
		require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
		exec("UPDATE history_builds SET info = '['")
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "fine"}))
		entries, err := s.Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 2, "the start, of which the build is not known, and the note")
		require.Nil(t, entries[0].Info)
		require.Equal(t, "fine", entries[1].Event.Subject)
		require.Equal(t, 4.0, s.Stats()["rejected_rows"])
	})
}

// TestOverlap has many instances that run at the same time for hours. The last sighting of each
// row is later than the first one of the next row. That must not look like a clock that was set
// back.
func TestOverlap(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		sighted := func(kind history.Kind) {
			for n := range 20 {
				info := build("v1.0.0")
				e := history.Entry{
					ID: fmt.Sprint(kind, n), Kind: kind, Time: time.Now(), Run: fmt.Sprint("run", n), Every: time.Minute,
					Service: "shop", Instance: fmt.Sprint("i", n),
				}
				if kind == history.KindStarted {
					e.Info = &info
				}
				require.NoError(t, s.Append(t.Context(), e))
			}
		}
		sighted(history.KindStarted)
		_, err := b.db.ExecContext(t.Context(), fmt.Sprintf(
			"UPDATE history SET at = at - %[1]d, time = time - %[1]d, received = received - %[1]d", 3*time.Hour))
		require.NoError(t, err)
		sighted(history.KindSeen)

		entries, err := s.Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 40)
		for n := range 39 {
			require.Less(t, entries[n].Seq, entries[n+1].Seq)
			require.False(t, entries[n+1].Received.Before(entries[n].Received), "in the order of receipt")
		}
		running, err := history.Current(t.Context(), s)
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Len(t, running[0].Instances, 20)
	})
}

// TestLedger runs the whole program: services report, operators read.
func TestLedger(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	addresses := make(chan [2]string, 1)
	go func() {
		done <- run(ctx, []string{"-sqlite", filepath.Join(t.TempDir(), "history.db"), "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0"},
			"shop=secret1,till=secret2", func(public, operators net.Addr) { addresses <- [2]string{public.String(), operators.String()} })
	}()
	var at [2]string
	select {
	case at = <-addresses:
	case err := <-done:
		require.NoError(t, err)
	}
	for token, drain := range map[string]time.Duration{"secret1": time.Minute, "wrong": 100 * time.Millisecond} {
		r, err := history.NewReporter("http://"+at[0]+"/history", &history.ReportOptions{Drain: drain, Sign: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}})
		require.NoError(t, err)
		require.NoError(t, history.Record(ctx, r, build("v1.4.2"), production(token)))
		if token == "secret1" {
			require.NoError(t, history.Note(ctx, r, history.Event{Kind: "flag", Subject: "checkout", To: "on"}))
		}
		require.NoError(t, r.Close())
	}
	get := func(path string) string {
		response, err := http.Get("http://" + at[1] + path)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Regexp(t, `shop \(production\): v1.4.2, seen for the first time\n.*flag checkout: on\n$`, get("/timeline?hours=1"))
	require.Contains(t, get("/timeline?format=markdown"), "| flag checkout | on |")
	require.Contains(t, get("/timeline?service=shop&environment=production"), "v1.4.2")
	require.Regexp(t, `^[^\n]*flag checkout: on\n$`, get("/timeline?service=till"))
	require.Contains(t, get("/stats"), `"accepted":2`)
	stop()
	require.NoError(t, <-done)
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"name one database": {},
		"LEDGER_TOKENS":     {"-sqlite", filepath.Join(t.TempDir(), "a.db")},
		"not defined":       {"-what"},
	} {
		require.ErrorContains(t, run(t.Context(), args, "shop", nil), want)
	}
}

// BenchmarkCollector has 16 clients that send one start per request over HTTP to a collector with
// a database. The goal is 4000 records/s.
func BenchmarkCollector(b *testing.B) {
	for _, d := range []history.Dialect{history.DialectSQLite, history.DialectPostgreSQL} {
		b.Run(string(d), func(b *testing.B) {
			s := newBackend(b, d).store(nil)
			c, err := history.NewCollector(s, &history.CollectorOptions{
				Authorize:     func(*http.Request) (string, error) { return "shop", nil },
				EntriesPerDay: 1 << 40, BytesPerDay: 1 << 50,
			})
			require.NoError(b, err)
			server := httptest.NewServer(c)
			defer server.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
			defer client.CloseIdleConnections()
			info, err := json.Marshal(build("v1.0.0"))
			require.NoError(b, err)
			var made atomic.Int64
			post := func() {
				n := made.Add(1)
				line := fmt.Sprintf(`{"id":"e%d","kind":"started","run":"e%d","time":%q,"service":"shop","environment":"production","instance":"i%d","info":%s}`,
					n, n, time.Now().Format(time.RFC3339Nano), n%50, info)
				response, err := client.Post(server.URL, "application/x-ndjson", strings.NewReader(line))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					b.Error(response.Status)
				}
			}
			post()
			b.ResetTimer()
			began := time.Now()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					post()
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
			b.ReportMetric(float64(made.Load())/c.Stats()["appends"], "records/append")
		})
	}
}

// BenchmarkQuery queries 10,000 runs of 50 releases.
func BenchmarkQuery(b *testing.B) {
	for _, d := range []history.Dialect{history.DialectSQLite, history.DialectPostgreSQL} {
		s := newBackend(b, d).store(nil)
		var entries []history.Entry
		for n := range 10_000 {
			info := build(fmt.Sprintf("v1.%d.0", n/200))
			entries = append(entries, history.Entry{ID: fmt.Sprint("e", n), Kind: history.KindStarted, Run: fmt.Sprint("e", n), Time: time.Now(), Service: "shop", Instance: fmt.Sprint("i", n%7), Info: &info})
		}
		require.NoError(b, s.Append(b.Context(), entries...))
		b.Run(string(d), func(b *testing.B) {
			for b.Loop() {
				_, err := history.Timeline(b.Context(), s, time.Time{}, time.Time{})
				require.NoError(b, err)
			}
		})
	}
}

// TestMixed has a process of the version before places beside one of this version. Its rows must
// not look like a clock that was set back.
func TestMixed(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		s := b.store(nil)
		seen := func(run string, kind history.Kind) {
			require.NoError(t, s.Append(t.Context(), history.Entry{ID: run + string(kind), Kind: kind, Time: time.Now(), Run: run, Every: time.Minute, Service: run, Instance: run, Version: "v1.0.0"}))
		}
		seen("orders", history.KindStarted)
		seen("shop", history.KindStarted)
		_, err := b.db.ExecContext(t.Context(), "UPDATE history SET received = received - 3600000000000, at = at - 3600000000000, time = time - 3600000000000")
		require.NoError(t, err)
		seen("orders", history.KindSeen)
		seen("shop", history.KindSeen)
		// The earlier version writes no places.
		_, err = b.db.ExecContext(t.Context(), `INSERT INTO history (id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event)
SELECT 'old', 'started', last_received + 1, last_at + 1, last_time + 1, last_at + 1, last_time + 1, last_received + 1, '', every, 'old', '', 'old', version, '', '', '' FROM history WHERE id = 'shop'`)
		require.NoError(t, err)
		// Its events have no service and no share. It ignores those of this version.
		require.NoError(t, history.Note(t.Context(), s, history.Event{ID: "new", Kind: "flag", Subject: "new", To: "on", Service: "shop", URL: "https://flags.example/new", Share: 0.1}))
		_, err = b.db.ExecContext(t.Context(), `INSERT INTO history (id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event)
SELECT 'old-event', 'noted', last_received + 1, last_at + 1, last_time + 1, last_at + 1, last_time + 1, last_received + 1, '', 0, '', '', '', '', '', '', '{"kind":"flag","subject":"old","to":"on","actor":"ada"}' FROM history WHERE id = 'new'`)
		require.NoError(t, err)
		running, err := history.Current(t.Context(), s)
		require.NoError(t, err)
		require.Len(t, running, 3)
		list, err := history.Suspects(t.Context(), history.Only(s, history.Query{Service: "shop"}), history.Failure{Time: time.Now().Add(time.Second), Service: "shop"}, nil)
		require.NoError(t, err)
		require.Equal(t, "new", list[0].Event.Subject)
		require.Equal(t, 0.1, list[0].Event.Share)
		require.Equal(t, history.Event{ID: "old-event", Kind: "flag", Subject: "old", To: "on", Actor: "ada", Time: list[1].Event.Time}, list[1].Event)
	})
}
