// Shop is a small service that uses all five packages of upkeep: a storefront and a price
// service, with flags, a maintenance window, traces, and a policy for the modules in the build.
//
//	go run ./examples/shop         a shop to try, until Ctrl-C
//	go run ./examples/shop -tour   the story by itself; each step is checked
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("shop", flag.ContinueOnError)
	set.SetOutput(stderr)
	addr := set.String("addr", "127.0.0.1:8080", "`address` of the storefront")
	operators := set.String("operators", "127.0.0.1:8081", "`address` of the pages for operators")
	play := set.Bool("tour", false, "play the story, check each step, and end")
	show := version.BindFlag(identify("shop"), set)
	if err := set.Parse(args); err != nil {
		return err
	}
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q", set.Args())
	case *show: // and printed
		return nil
	case *play:
		return tour(ctx, stdout)
	}
	return serve(ctx, *addr, *operators, stdout)
}

// serve runs the shop until ctx ends. What the shop logs goes to a file, so that the list of what
// to try stays on the screen.
func serve(ctx context.Context, addr, operators string, stdout io.Writer) error {
	docs, err := copyDocuments(window{start: time.Now().Add(2 * time.Minute), duration: time.Minute, cutoff: 10 * time.Second})
	if err != nil {
		return err
	}
	log, err := os.CreateTemp("", "upkeep-shop-*.log")
	if err != nil {
		return err
	}
	defer log.Close()
	out := newConsole(log)
	s, err := open(ctx, addr, operators, docs, out)
	if err != nil {
		_ = os.Remove(log.Name())
		return err
	}
	defer s.close()
	welcome(stdout, s, log.Name())
	var busy sync.WaitGroup
	busy.Go(func() { traffic(ctx, s) })
	<-ctx.Done()
	busy.Wait()
	fmt.Fprintln(stdout)
	out.printMetrics(context.WithoutCancel(ctx), stdout)
	fmt.Fprintf(stdout, "The shop is closed. Its documents in %s are deleted; the log is still in %s\n", docs.dir, log.Name())
	return nil
}

// welcome prints what to try.
func welcome(out io.Writer, s *shop, log string) {
	fmt.Fprintf(out, `The shop is open.

  %[1]s     the storefront
  %[2]s     pages for operators

Buy something:
  curl -i '%[1]s/catalogue'
  curl -i -X POST '%[1]s/checkout?user=42&item=tea'
  curl -i -X POST '%[1]s/checkout?user=ada&item=tea&email=ada@shop.example'

This one fails, because of a bug behind a flag:
  curl -i -X POST '%[1]s/checkout?user=ada&item=gift-card&email=ada@shop.example'

A quarter of the users get the express checkout. Edit the file to give it to all of them, or to none:
  %[3]s

In two minutes a window closes /checkout for one minute. The catalogue stays open. Edit the file to move or end the window:
  %[4]s

A few customers buy something now and then. Logs, traces and events are in this file:
  tail -f %[5]s

Ctrl-C stops the shop.
`, s.storeURL, s.adminURL, s.docs.path("flags.yaml"), s.docs.path("windows.yaml"), log)
}
