// Downtime plays a migration from its announcement to its early end, with three replicas of a
// service, an operator, and users who send orders all the time:
//
//	go run ./examples/downtime
//
// It takes about ten seconds and checks each step. If a step fails, its error names the step. With
// -stay the replicas run for two minutes during the announcement, so that you can open the page
// and subscribe to the calendar.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stay := flag.Bool("stay", false, "announce the window two minutes ahead, and print where to look")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *stay)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "downtime:", err)
		os.Exit(1)
	}
}

// run plays the migration in a temporary folder.
func run(ctx context.Context, w io.Writer, stay bool) (err error) {
	dir, err := os.MkdirTemp("", "upkeep-downtime-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := newPlay(ctx, w, dir, stay)
	if err != nil {
		return err
	}
	defer p.close()
	for i, act := range p.acts() {
		fmt.Fprintf(w, "\n%d. %s\n", i+1, act.title)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("%d. %s: %w", i+1, act.title, err)
		}
	}
	return nil
}
