package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver is the user's choice

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// window is the window that is drained, and work is in its scope.
const (
	window = "orders-db-upgrade"
	work   = "orders"
)

// config configures a replica. It is passed in an environment variable.
type config struct {
	Name     string
	Database string
	Windows  string // the document's file
	Table    string // written to
	Batch    int    // guarded writes in one statement
	Alone    bool   // no quorum: the guard decides by its own clock and document
	Fence    bool   // each transaction asks whether it may write
}

// A replica is a small service with a guard, a store, and a constant stream of orders. Each order
// is guarded and is one row.
type replica struct {
	config
	db    *sql.DB
	guard *downtime.Guard

	written atomic.Int64 // rows
	refused atomic.Int64 // batches, by the guard
	fenced  atomic.Int64 // batches, by the store
	failed  atomic.Int64 // batches, for another reason
}

// polled is a document without a watch, so changes are found by polling.
type polled struct{ src downtime.Source }

func (p polled) Load(ctx context.Context) ([]byte, error) { return p.src.Load(ctx) }

// run serves until in ends. Each line of in is a command, which it answers with one line.
func run(ctx context.Context, c config, in io.Reader, out io.Writer) (err error) {
	db, err := sql.Open("pgx", c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	logger := slog.New(slog.DiscardHandler)
	opts := downtime.Options{Poll: 200 * time.Millisecond, Logger: logger}
	src := downtime.File(c.Windows)
	if c.Alone {
		src, opts.Poll = polled{src}, 3*time.Second
	} else {
		q, err := quorum.Postgres(db, &quorum.Options{Name: c.Name, Logger: logger})
		if err != nil {
			return err
		}
		defer q.Close() // after the guard
		opts.Quorum = q
	}
	guard, err := downtime.Open(ctx, src, &opts)
	if err != nil {
		return err
	}
	defer guard.Close()
	r := &replica{config: c, db: db, guard: guard}

	ctx, stop := context.WithCancel(ctx)
	var orders sync.WaitGroup
	defer orders.Wait()
	defer stop()
	orders.Go(func() { r.serve(ctx) })
	fmt.Fprintln(out, "serving")

	release := func() {}
	defer func() { release() }()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch lines.Text() {
		case "stats":
			fmt.Fprintln(out, r.written.Load(), r.refused.Load(), r.fenced.Load(), r.failed.Load())
		case "job": // starts work that goes on writing, even when a window begins
			leave, err := guard.Enter(ctx, downtime.Work{Name: work})
			if err != nil {
				fmt.Fprintln(out, err)
				continue
			}
			job, end := context.WithCancel(ctx)
			var done sync.WaitGroup
			done.Go(func() {
				for job.Err() == nil {
					r.note(r.write(job))
					time.Sleep(time.Millisecond)
				}
			})
			release = func() {
				end()
				done.Wait()
				leave()
			}
			fmt.Fprintln(out, "running")
		case "drain": // and then counts as working in the window
			rep, err := guard.Drain(ctx, window)
			fmt.Fprintln(out, rep.Quiet, err)
		case "complete":
			_, err := guard.Complete(window)
			fmt.Fprintln(out, err)
		case "unfinished":
			rep, err := guard.Report(window)
			fmt.Fprintln(out, rep.Unfinished, err)
		case "release":
			release()
			release = func() {}
			fmt.Fprintln(out, "released")
		default:
			fmt.Fprintln(out, "what?")
		}
	}
	return lines.Err()
}

// serve accepts orders without pause.
func (r *replica) serve(ctx context.Context) {
	leaves := make([]func(), 0, r.Batch)
	for ctx.Err() == nil {
		leaves = leaves[:0]
		var err error
		for range r.Batch { // each row is guarded by itself
			var leave func()
			if leave, err = r.guard.Enter(ctx, downtime.Work{Name: work}); err != nil {
				break
			}
			leaves = append(leaves, leave)
		}
		if err == nil {
			err = r.write(ctx)
		}
		for _, leave := range leaves {
			leave()
		}
		r.note(err)
		if err != nil {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

func (r *replica) note(err error) {
	var unavailable *downtime.UnavailableError
	var fenced *quorum.FencedError
	switch {
	case err == nil:
		r.written.Add(int64(r.Batch))
	case errors.As(err, &unavailable):
		r.refused.Add(1)
	case errors.As(err, &fenced):
		r.fenced.Add(1)
	default:
		r.failed.Add(1)
	}
}

// write writes a batch of orders in one transaction.
func (r *replica) write(ctx context.Context) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if r.Fence {
		if err := quorum.Fence(ctx, tx, window); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO "+r.Table+" SELECT $1, generate_series(1, $2::int)", r.Name, r.Batch); err != nil {
		return err
	}
	return tx.Commit()
}

// asReplica is the environment variable that makes the program a replica.
const asReplica = "UPKEEP_EXAMPLE_REPLICA"

// beReplica is main for a replica.
func beReplica(text string) int {
	c, err := parseConfig(text)
	if err == nil {
		err = run(context.Background(), c, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
