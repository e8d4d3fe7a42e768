// Flagbench measures upkeep's flags and its peers in one run: what one evaluation
// costs, what it costs while a second goroutine evaluates too, how long a document of
// 10,000 flags takes to load, and what reloads do to evaluations.
//
//	go run .
//
// Nothing here dials out: each peer is fed from memory. Every engine has the same
// three flags, which must give a like share of users before anything is measured, and
// is asked for a user whose context was made beforehand in its own type. Peers leave
// out what they can: events, metrics, logs. upkeep counts usage, as it does by
// default, unless the row says otherwise.
//
// Rounds are interleaved, each engine once a round, so that a drift of the machine
// hits all of them alike; the tables have the medians, and the best rounds for a
// machine that does other things besides.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"
)

// settings say how long to measure.
type settings struct {
	rounds int           // of everything
	time   time.Duration // of one measurement
	flags  int           // of the large document
	calls  int           // timed one by one, for the percentiles
}

func main() {
	testing.Init()
	s := settings{}
	flag.IntVar(&s.rounds, "rounds", 7, "measurements of each engine and flag, of which the median is shown")
	flag.DurationVar(&s.time, "time", 50*time.Millisecond, "time of one measurement")
	flag.IntVar(&s.flags, "flags", 10_000, "flags of the large document")
	flag.IntVar(&s.calls, "calls", 1_000_000, "evaluations timed one by one")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, "flagbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, s settings) error {
	all, closeAll, err := engines(ctx)
	if err != nil {
		return err
	}
	defer closeAll()

	shares, err := sharesOf(all)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs, GOMAXPROCS %d\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	printShares(w, all, shares)
	if err := printTables(w, all, s); err != nil {
		return err
	}
	if err := printLoads(ctx, w, s); err != nil {
		return err
	}
	return printReloads(ctx, w, s)
}
