// Observebench measures package observe and its peers in one run: what a request costs
// behind each handler, what a log record costs that waits for the end of its request,
// what telling of a flag evaluation costs, and what captures cost: a request that is not
// captured, and requests that fail while the store of captures does not write.
//
//	go run .
//
// Nothing here dials out. Spans and metrics go to OpenTelemetry's SDK, which hands them
// to nobody; where it says no-op, to providers that do nothing. Its tests hold the
// requests of one table to what package observe promises, and note what otelhttp makes of
// the same.
//
// Rounds are interleaved, each contender once a round, so that a drift of the machine
// hits all of them alike; the tables have the medians, and the best rounds for a machine
// that does other things besides. The goals, which are those of package observe's design,
// are held against the best. A heap of 32 MiB stands by, as services have one: without,
// the garbage collector would run all the time, and be what is measured.
package main

import (
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
	load   time.Duration // of one measurement of latencies
}

func main() {
	testing.Init()
	s := settings{}
	flag.IntVar(&s.rounds, "rounds", 7, "measurements of each contender, of which the median is shown")
	flag.DurationVar(&s.time, "time", 50*time.Millisecond, "time of one measurement")
	flag.DurationVar(&s.load, "load", time.Second, "time of one measurement of latencies")
	flag.Parse()
	if err := run(os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, "observebench:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, s settings) error {
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs, GOMAXPROCS %d\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close()
	heap := make([]byte, 32<<20)
	defer runtime.KeepAlive(heap)
	if err := printTables(w, b.tables, s); err != nil {
		return err
	}
	return printStalled(w, s)
}
