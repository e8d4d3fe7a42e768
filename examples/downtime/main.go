// Downtime plays a migration from its announcement to its early end, over three replicas
// of a service, an operator, and users who order all the while:
//
//	go run ./examples/downtime
//
// It takes about ten seconds, checks each step, and ends with an error that names the
// one that did not go as told. With -stay the replicas stay up for two minutes in the
// announcement, for you to look at the page and to subscribe to the calendar.
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

// run plays the migration in a folder of its own, which it removes.
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
