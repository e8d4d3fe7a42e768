package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
)

// A row of the table is one flag, evaluated by a number of goroutines at once.
type row struct {
	title      string
	flag       string
	goroutines int
}

var rows = []row{
	{"static flag", static, 1},
	{"rule: ends_with AND in, then a 50 % split", rule, 1},
	{"rule of 20 conditions, then a 50 % split", long, 1},
	{"static flag, two goroutines", static, 2},
	{"rule: ends_with AND in, then a 50 % split, two goroutines", rule, 2},
}

// A cost is the cost of one call.
type cost struct {
	ns     []float64 // by round
	allocs int64
}

func (c cost) median() float64 { return median(c.ns) }

// best is the fastest round, which other load on the machine has disturbed least.
func (c cost) best() float64 { return slices.Min(c.ns) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// spread is the difference between the rounds, relative to the median.
func (c cost) spread() float64 { return (slices.Max(c.ns) - slices.Min(c.ns)) / c.median() }

// measure runs the call in each of a number of goroutines. The time is that of a call in one goroutine.
func measure(call func() bool, goroutines int) (ns float64, allocs int64) {
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		if goroutines == 1 {
			for b.Loop() {
				call()
			}
			return
		}
		var done sync.WaitGroup
		for range goroutines {
			done.Go(func() {
				for range b.N {
					call()
				}
			})
		}
		done.Wait()
	})
	return float64(result.T.Nanoseconds()) / float64(result.N), result.AllocsPerOp() / int64(goroutines)
}

func printTables(w io.Writer, all []engine, s settings) error {
	if err := flag.Set("test.benchtime", s.time.String()); err != nil {
		return err
	}
	all = append(slices.Clone(all), engine{"(arithmetic that shares nothing)", arithmetic})
	costs := map[row][]cost{}
	for _, r := range rows {
		costs[r] = make([]cost, len(all))
	}
	for range s.rounds {
		for _, r := range rows {
			for i, e := range all {
				ns, allocs := measure(e.prepare(r.flag, userFor(r.flag, "user-42")), r.goroutines)
				c := &costs[r][i]
				c.ns, c.allocs = append(c.ns, ns), allocs
			}
		}
	}
	for _, r := range rows {
		fmt.Fprintln(w, r.title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "ns a call\tbest\t± %%\tallocs\tratio\tof best\t\t\n")
		for i, e := range all {
			c := costs[r][i]
			fmt.Fprintf(t, "%.1f\t%.1f\t%.0f\t%d\t%.2f\t%.2f\t%s\t\n",
				c.median(), c.best(), 50*c.spread(), c.allocs, c.median()/costs[r][0].median(), c.best()/costs[r][0].best(), e.name)
		}
		_ = t.Flush()
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "best time of a call with two goroutines at it, in that of one; a machine with two idle CPUs has 1 in the last line")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t%s\t\t\n", static, rule)
	for i, e := range all {
		static, rule := costs[rows[3]][i].best()/costs[rows[0]][i].best(), costs[rows[4]][i].best()/costs[rows[1]][i].best()
		fmt.Fprintf(t, "%.2f\t%.2f\t%s\t\n", static, rule, e.name)
	}
	_ = t.Flush()
	fmt.Fprintln(w)
	return nil
}

// arithmetic is not an engine. It shows the cost of two goroutines that share nothing on this machine.
func arithmetic(flag string, u user) func() bool {
	return func() bool {
		hash := uint32(2166136261)
		for i := range 64 {
			hash = (hash ^ uint32(i)) * 16777619
		}
		return hash != 0
	}
}
