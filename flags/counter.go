package flags

import (
	"maps"
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

// counterOf gives a flag its counter, with what an earlier definition has counted, and
// the flag's variants their places in them.
func counterOf(f, before *flag) *counter {
	names := slices.Sorted(maps.Keys(f.variants))
	names = slices.Insert(names, 0, "")
	u := &counter{names: names, counts: make([]atomic.Uint64, len(names))}
	if before != nil && slices.Equal(before.counter.names, names) {
		u = before.counter
	} else if before != nil {
		for i, name := range names {
			if at := slices.Index(before.counter.names, name); at >= 0 {
				u.counts[i].Store(before.counter.counts[at].Load())
			}
		}
		u.last.Store(before.counter.last.Load())
	}
	for i, name := range names[1:] {
		f.variants[name].index = i + 1
	}
	return u
}

// note counts an evaluation; a nil variant is the caller's default. chance is a random
// number that is at hand, 0 for none.
func (u *counter) note(v *variant, chance uint32) {
	i := 0
	if v != nil {
		i = v.index
	}
	count := &u.counts[i]
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
	u.last.Store(time.Now().UnixNano())
}
