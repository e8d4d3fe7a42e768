package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"testing"
	"text/tabwriter"
)

// A table compares contenders that do one thing.
type table struct {
	title      string
	contenders []contender
	goals      []goal
}

// A contender does the thing once a call.
type contender struct {
	name  string
	call  func()
	costs cost
}

// A goal compares the costs of two contenders.
type goal struct {
	text      string
	who, over string                     // contenders
	value     func(who, over cost) value // each must be at most most
	most      value
}

type value struct {
	ns, ratio float64
	allocs    int64
}

// above returns how much more one costs than the other, in its best round.
func above(who, over cost) value {
	return value{ns: who.best() - over.best(), allocs: who.allocs - over.allocs}
}

// partOf returns the ratio of the times of the two, and the allocations.
func partOf(who, over cost) value {
	return value{ratio: who.best() / over.best(), allocs: who.allocs}
}

// A cost is the time and the allocations of one call.
type cost struct {
	ns     []float64 // by round
	allocs int64
}

func (c cost) median() float64 {
	sorted := slices.Sorted(slices.Values(c.ns))
	return sorted[len(sorted)/2]
}

// best is the fastest round, which other programs disturbed least.
func (c cost) best() float64 { return slices.Min(c.ns) }

// spread is the range of the rounds as a part of the median.
func (c cost) spread() float64 { return (slices.Max(c.ns) - slices.Min(c.ns)) / c.median() }

func (t *table) cost(name string) cost {
	for _, c := range t.contenders {
		if c.name == name {
			return c.costs
		}
	}
	panic("no contender " + name) // goals are constants
}

// measureAll measures each contender of all tables once a round.
func measureAll(tables []*table, s settings) error {
	if err := flag.Set("test.benchtime", s.time.String()); err != nil {
		return err
	}
	for range s.rounds {
		for _, t := range tables {
			for i := range t.contenders {
				c := &t.contenders[i]
				result := testing.Benchmark(func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						c.call()
					}
				})
				c.costs.ns = append(c.costs.ns, float64(result.T.Nanoseconds())/float64(result.N))
				c.costs.allocs = result.AllocsPerOp()
			}
		}
	}
	return nil
}

func printTables(w io.Writer, tables []*table, s settings) error {
	if err := measureAll(tables, s); err != nil {
		return err
	}
	for _, t := range tables {
		fmt.Fprintln(w, t.title)
		out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(out, "ns\tbest\t± %%\tallocs\tratio of best\t\t\n")
		for _, c := range t.contenders {
			fmt.Fprintf(out, "%.0f\t%.0f\t%.0f\t%d\t%.2f\t%s\t\n",
				c.costs.median(), c.costs.best(), 50*c.costs.spread(), c.costs.allocs, c.costs.best()/t.contenders[0].costs.best(), c.name)
		}
		_ = out.Flush()
		for _, g := range t.goals {
			fmt.Fprintf(w, "  %s\n", g.verdict(t))
		}
		fmt.Fprintln(w)
	}
	return nil
}

// verdict says whether the goal is met, with the figures.
func (g goal) verdict(t *table) string {
	got := g.value(t.cost(g.who), t.cost(g.over))
	word := "met"
	if got.ns > g.most.ns || got.ratio > g.most.ratio || got.allocs > g.most.allocs {
		word = "NOT MET"
	}
	found := fmt.Sprintf("%.0f ns", got.ns)
	if got.ratio > 0 {
		found = fmt.Sprintf("%.2f of the time", got.ratio)
	}
	return fmt.Sprintf("%s: %s: %s, %d allocations", word, g.text, found, got.allocs)
}
