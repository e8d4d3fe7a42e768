// Flagbench measures upkeep's flags and its peers in one run: the cost of one evaluation, its cost while a
// second goroutine evaluates too, the time to load a document of 10,000 flags, and the effect of reloads on
// evaluations.
//
//	go run .
//
// The program does not use the network: each peer gets its flags from memory. Every engine has the same
// three flags. Before anything is measured, a check makes sure that each flag is on for a similar share of
// users in all engines. The user's context is made beforehand, in the engine's own type. Peers run without
// optional parts: events, metrics, logs. upkeep counts usage, which is its default, unless the row says
// otherwise.
//
// Rounds are interleaved, each engine once a round, so that a slower machine affects all of them. The
// tables have the medians, and also the best rounds for a machine with other load.
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

// settings are the sizes of the measurements.
type settings struct {
	rounds int           // of each measurement
	time   time.Duration // of one measurement
	flags  int           // in the large document
	calls  int           // measured one by one, for the percentiles
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
