package flags

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

type counter struct {
	n    atomic.Uint64
	last atomic.Int64 // Unix time in nanoseconds; 0: never
}

const (
	exactly  = 1000
	sampling = 64
)

func (c *counter) note() {
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

func (f *flag) count(before *flag) {
	f.unnamed = new(counter)
	if before != nil {
		f.unnamed = before.unnamed
		f.unnamed.last.Store(before.last()) // also of variants that are gone
	}
	for name, v := range f.variants {
		v.counter = new(counter)
		if before != nil && before.variants[name] != nil {
			v.counter = before.variants[name].counter
		}
	}
}

func (f *flag) last() int64 {
	last := f.unnamed.last.Load()
	for _, v := range f.variants {
		last = max(last, v.counter.last.Load())
	}
	return last
}
