// Quorum plays the draining of a window over three replicas of a service that share a
// PostgreSQL database: github.com/upkeep-go/upkeep/downtime/quorum with a real server,
// real processes and pgx.
//
//	./setup    # installs PostgreSQL and pgbouncer if they are missing
//	go run .   # with its own server, or with the server of DATABASE_URL
//
// The tests do the same with millions of writes. They kill replicas, cut their connections, and
// give them wrong documents.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/internal/pgtest"
)

func main() {
	if text := os.Getenv(asReplica); text != "" {
		os.Exit(beReplica(text))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := play(ctx, os.Getenv("DATABASE_URL"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play drains a window in the database at url, or in a new one, and prints what happens.
func play(ctx context.Context, url string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "quorum")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if url == "" {
		c, err := pgtest.Start(ctx, filepath.Join(dir, "pg"))
		if err != nil {
			return fmt.Errorf("%w (./setup does that; or set DATABASE_URL)", err)
		}
		defer c.Stop()
		url = c.DSN("postgres")
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE UNLOGGED TABLE upkeep_example_orders (replica text, n int)"); err != nil {
		return err
	}
	defer func() { _, _ = db.ExecContext(context.WithoutCancel(ctx), "DROP TABLE upkeep_example_orders") }()
	doc, err := newDocument(filepath.Join(dir, "windows.yaml"))
	if err != nil {
		return err
	}

	var replicas []*process
	for i := range 3 {
		p, err := start(config{Name: fmt.Sprintf("orders-%d", i+1), Database: url, Windows: doc.path, Table: "upkeep_example_orders", Batch: 10, Fence: true})
		if err != nil {
			return err
		}
		defer p.kill()
		replicas = append(replicas, p)
	}
	if _, err := replicas[1].ask("job"); err != nil {
		return err
	}
	fmt.Fprintln(out, "three replicas take orders; in the second a job runs")

	// An operator may begin to wait before the window begins.
	drained := make(chan error, 1)
	var lock *quorum.Lock
	begun := time.Now()
	waiting, giveUp := context.WithTimeout(ctx, time.Minute)
	defer giveUp()
	go func() {
		var err error
		lock, err = quorum.Drain(waiting, db, window, nil)
		drained <- err
	}()
	printed := ""
	report := func(after time.Duration) error { // prints the replicas that Drain waits for
		end := time.After(after)
		for {
			rep, err := quorum.Look(ctx, db, window)
			if err != nil {
				return err
			}
			text := ""
			for _, p := range rep.Peers {
				if p.State != quorum.StateWriting { // there are many of these, none for long
					text += fmt.Sprintf(" %s (pid %d) %v;", cmp.Or(p.Name, "an operator"), p.PID, p.State)
				}
			}
			if text != printed {
				printed = text
				fmt.Fprintf(out, "%6.1fs%s\n", time.Since(begun).Seconds(), text)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-end:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	if err := report(time.Second); err != nil {
		return err
	}
	fmt.Fprintln(out, "the window begins")
	if err := doc.begin(); err != nil {
		return err
	}
	if err := report(2 * time.Second); err != nil {
		return err
	}
	fmt.Fprintln(out, "the job ends")
	if _, err := replicas[1].ask("release"); err != nil {
		return err
	}
	if err := <-drained; err != nil {
		return err
	}
	defer lock.Close()
	fmt.Fprintf(out, "%6.1fs quiet in all %d replicas; of these and their writes %d were waited for\n",
		time.Since(begun).Seconds(), len(lock.Report().Peers), len(lock.Waited()))

	// The migration runs now, while the lock is held.
	work := lock.Context(ctx)
	before, err := count(work, db, "upkeep_example_orders")
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(work, "ALTER TABLE upkeep_example_orders ALTER n TYPE bigint"); err != nil {
		return err
	}
	if err := report(time.Second); err != nil {
		return err
	}
	after, err := count(work, db, "upkeep_example_orders")
	if err != nil {
		return err
	}
	if err := lock.Check(work); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d orders when it was quiet, %d after the migration\n", before, after)
	if before != after {
		return fmt.Errorf("%d orders came in under the lock", after-before)
	}
	if err := doc.complete(); err != nil {
		return err
	}
	if err := lock.Close(); err != nil {
		return err
	}
	fmt.Fprintln(out, "the window is completed, and the lock is let go")
	for after == before {
		if err := report(50 * time.Millisecond); err != nil {
			return err
		}
		if after, err = count(ctx, db, "upkeep_example_orders"); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "orders are taken again")
	for _, p := range replicas {
		if err := p.quit(); err != nil {
			return err
		}
	}
	return nil
}

func count(ctx context.Context, db *sql.DB, table string) (n int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}
