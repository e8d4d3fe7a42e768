package flags

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// A counter counts the evaluations of one flag. Counters that several processors write at
// once cost many times what an evaluation does, so only the first evaluations of a
// variant are counted one by one, and then one in sampling, at random, for all.
type counter struct {
	names  []string // of variants, the caller's default first
	counts []atomic.Uint64
	last   atomic.Int64 // Unix time in nanoseconds; 0: never
}

const (
	exactly  = 1000
	sampling = 64 // a power of two
)

// newCounter makes a counter for the variants of these names, which begins with what an
// earlier one has counted. The caller's default has index 0, the variants follow.
func newCounter(names []string, before *counter) *counter {
	names = slices.Insert(names, 0, "")
	c := &counter{names: names, counts: make([]atomic.Uint64, len(names))}
	switch {
	case before == nil:
	case slices.Equal(before.names, names):
		return before
	default:
		for i, name := range names {
			if at := slices.Index(before.names, name); at >= 0 {
				c.counts[i].Store(before.counts[at].Load())
			}
		}
		c.last.Store(before.last.Load())
	}
	return c
}

// note counts an evaluation that gave the variant of an index. chance is a random number
// that is at hand, 0 for none.
func (c *counter) note(index int, chance uint32) {
	count := &c.counts[index]
	step := uint64(1)
	if count.Load() >= exactly {
		if chance == 0 {
			chance = rand.Uint32()
		}
		if chance&(sampling-1) != 0 {
			return
		}
		step = sampling
	}
	count.Add(step)
	c.last.Store(time.Now().UnixNano())
}
