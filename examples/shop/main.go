// Shop is a small service that uses all five packages of upkeep for what they are
// for: a storefront and a price service, with flags, a maintenance window, traces,
// and a policy over the modules that it is built from.
//
//	go run ./examples/shop         a shop to poke at, until Ctrl-C
//	go run ./examples/shop -tour   the story by itself, each step checked
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
	play := set.Bool("tour", false, "play the story, check each step, and end")
	show := version.BindFlag(version.Current(), set)
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
	docs, err := copyDocuments(window{start: time.Now().Add(2 * time.Minute), duration: time.Minute, cutoff: 10 * time.Second})
	if err != nil {
		return err
	}
	out := newConsole(stdout)
	s, err := open(ctx, *addr, docs, out)
	if err != nil {
		return err
	}
	defer s.close()
	welcome(s)
	var busy sync.WaitGroup
	busy.Go(func() { traffic(ctx, s) })
	<-ctx.Done()
	busy.Wait()
	out.printMetrics(context.WithoutCancel(ctx))
	out.printf("stopped; the documents in %s are gone\n", docs.dir)
	return nil
}

// welcome says what to try.
func welcome(s *shop) {
	s.console.printf(`
The shop is open: %[1]s, for its operators: %[2]s

  curl -i '%[1]s/catalogue'
  curl -i -X POST '%[1]s/checkout?user=42&item=tea'
  curl -i -X POST '%[1]s/checkout?user=ada&item=tea&email=ada@shop.example'
  curl -i -X POST '%[1]s/checkout?user=ada&item=gift-card&email=ada@shop.example'   (a bug, behind a flag)
  curl -s '%[2]s/version'
  curl -s '%[2]s/sbom'
  curl -s '%[2]s/explain?flag=express-checkout&user=42'
  curl -s '%[2]s/maintenance/'
  curl -s '%[2]s/stats'
  curl -s '%[2]s/health'

A quarter of the users get the express checkout. Make it all of them, or none:
  %[3]s

In two minutes a window closes /checkout for one minute; the catalogue stays open. Move it, or end it:
  %[4]s

Ctrl-C ends it all.

`, s.storeURL, s.adminURL, s.docs.path("flags.yaml"), s.docs.path("windows.yaml"))
}
