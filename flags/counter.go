package flags

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A counter counts the evaluations of one flag that gave one variant. A counter that several
// processors write at once costs many times more than an evaluation. So only the first exactly
// evaluations are counted one by one, and after that a random one in sampling counts for all.
type counter struct {
	n    atomic.Uint64
	last atomic.Int64 // Unix time in nanoseconds; zero means never
}

const (
	exactly  = 1000
	sampling = 64
)

func (c *counter) count() {
	step := uint64(1)
	if c.n.Load() >= exactly {
		if rand.Uint32()%sampling != 0 {
			return
		}
		step = sampling
	}
	c.n.Add(step)
	c.last.Store(time.Now().UnixNano())
}

// count gives a flag its counters: those of the definition before, or new ones.
func (f *flag) count(before *flag) {
	f.withoutVariant = new(counter)
	if before != nil {
		f.withoutVariant = before.withoutVariant
		f.withoutVariant.last.Store(before.last()) // includes variants that no longer exist
	}
	for name, v := range f.variants {
		v.counter = new(counter)
		if before != nil && before.variants[name] != nil {
			v.counter = before.variants[name].counter
		}
	}
}

func (f *flag) last() int64 {
	last := f.withoutVariant.last.Load()
	for _, v := range f.variants {
		last = max(last, v.counter.last.Load())
	}
	return last
}
