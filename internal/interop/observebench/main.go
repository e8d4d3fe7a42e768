// Observebench measures package observe and its peers in one run: the cost of a request behind
// each handler, of a log record that waits for the end of its request, of reporting a flag
// evaluation, and of captures: a request that is not captured, and requests that fail while the
// store of captures does not write.
//
//	go run .
//
// Nothing here dials out. Spans and metrics go to OpenTelemetry's SDK, which discards them, or for
// "no-op" to providers that do nothing. The tests check the requests of one table against what
// package observe promises, and what otelhttp does with the same requests.
//
// Rounds are interleaved, with each contender once per round, so that a drift of the machine
// affects all of them equally. The tables have the medians and the best rounds. The goals of
// package observe's design are compared with the best rounds, because the machine may do other
// things. The program keeps a heap of 32 MiB, as services do. Without it the garbage collector
// would run all the time and dominate the measurement.
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
