package quorum_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// windowsNear returns a document with a window that begins soon.
func windowsNear() downtime.Source {
	return downtime.Bytes("windows.yaml", fmt.Appendf(nil,
		"windows: [{id: orders-db-upgrade, start: %s, duration: 2h, scope: {work: [import]}}]",
		time.Now().Add(10*time.Minute).UTC().Format(time.RFC3339)))
}

// The whole story, over files: the same program over PostgreSQL says Postgres and
// Drain, and has a database where this one has a folder.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "quorum")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler)

	// In each replica: the guard asks the quorum.
	q, err := quorum.Files(dir, &quorum.Options{Name: "orders", Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	g, err := downtime.Open(ctx, windowsNear(), &downtime.Options{Quorum: q, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	leave, err := g.Enter(ctx, downtime.Work{Name: "import"})
	fmt.Println("a replica may work:", err == nil)
	leave()

	// An operator who gives up has not changed anything.
	bounded, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = quorum.DrainFiles(bounded, dir, "orders-db-upgrade", nil)
	var waiting *quorum.WaitingError
	if errors.As(err, &waiting) {
		fmt.Printf("waiting for %s, which %v\n", waiting.Waiting[0].Name, waiting.Waiting[0].State)
	}

	// The window begins, here for this process alone; a document begins it for all.
	if _, err := g.Begin("orders-db-upgrade"); err != nil {
		log.Fatal(err)
	}
	lock, err := quorum.DrainFiles(ctx, dir, "orders-db-upgrade", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	fmt.Printf("quiet, with %d replica\n", len(lock.Report().Peers))
	_, err = g.Enter(ctx, downtime.Work{Name: "import"})
	fmt.Println("a replica may work:", err == nil)

	// Output:
	// a replica may work: true
	// waiting for orders, which is open
	// quiet, with 1 replica
	// a replica may work: false
}

// A replica of a service over PostgreSQL, with any driver.
func ExamplePostgres() {
	serve := func(ctx context.Context, db *sql.DB, mux http.Handler) error {
		q, err := quorum.Postgres(db, nil)
		if err != nil {
			return err
		}
		defer q.Close() // after the guard, and after the work
		g, err := downtime.Open(ctx, downtime.File("windows.yaml"), &downtime.Options{Quorum: q})
		if err != nil {
			return err
		}
		defer g.Close()
		return http.ListenAndServe("localhost:8080", g.Handler(mux))
	}
	_ = serve
}

// An operator's program: it waits, migrates under the lock, and checks the lock before the point
// of no return.
func ExampleDrain() {
	upgrade := func(ctx context.Context, db *sql.DB, migrate, finish func(context.Context) error) error {
		waiting, cancel := context.WithTimeout(ctx, 30*time.Minute)
		defer cancel()
		lock, err := quorum.Drain(waiting, db, "orders-db-upgrade", &quorum.DrainOptions{Replicas: 3})
		if err != nil {
			return err // it names the replicas in the way
		}
		defer lock.Close()
		work := lock.Context(ctx) // ends when the lock is lost
		if err := migrate(work); err != nil {
			return err
		}
		if err := lock.Check(work); err != nil {
			return err
		}
		if err := finish(work); err != nil {
			return err
		}
		return lock.Close() // an error if the lock was lost before
	}
	_ = upgrade
}

// Look shows an operator the state of each replica during the wait.
func ExampleLook() {
	show := func(ctx context.Context, db *sql.DB) {
		for ctx.Err() == nil {
			report, err := quorum.Look(ctx, db, "orders-db-upgrade")
			if err != nil {
				log.Print(err)
				return
			}
			for _, peer := range report.Waiting() {
				fmt.Println(peer) // pid 4711 "orders@node-1 17" 10.0.0.7 is open, since …
			}
			time.Sleep(time.Second)
		}
	}
	_ = show
}

// A write that is safe even if its replica's guard or session has failed.
func ExampleFence() {
	order := func(ctx context.Context, db *sql.DB, customer string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if err := quorum.Fence(ctx, tx, "orders-db-upgrade"); err != nil {
			return err // errors.Is(err, downtime.ErrWindow): try again later
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (customer) VALUES ($1)", customer); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = order
}

// Two services with separate windows share a database.
func ExampleFleet() {
	const mail = quorum.Fleet("mail")
	serve := func(db *sql.DB) (*quorum.Replica, error) {
		return quorum.Postgres(db, &quorum.Options{Fleet: mail})
	}
	drain := func(ctx context.Context, db *sql.DB) (*quorum.Lock, error) {
		return mail.Drain(ctx, db, "weekly", nil)
	}
	_, _ = serve, drain
}
