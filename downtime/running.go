package downtime

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// running is the set of what runs now: one slot for each request or piece of work
// that was admitted. It is the guard's counter, but a counter that can say of whom
// the count consists: a slot names the class of its entry, and with it the scopes
// that it is in and the snapshot that admitted it.
//
// The order of operations is the whole point; see [Guard]. Entering is one
// compare-and-swap, leaving one store. A goroutine tends to find the same slot
// again, as where to look is derived from the place of its stack, so that processors
// do not fight for one word.
type running struct {
	first slots
	clock atomic.Int64 // nanoseconds since the guard's start, at the last tick
	grow  sync.Mutex   // held to append slots
}

// slots is a table of slots, and the next one, for when it is too full.
type slots struct {
	slots []slot
	next  atomic.Pointer[slots]
}

// A slot is a cache line of its own.
type slot struct {
	class atomic.Pointer[class] // nil: free
	since atomic.Int64          // running.clock at the entry
	_     [48]byte
}

const (
	firstSlots = 256
	nearProbes = 4 // from where the goroutine tends to be
	farProbes  = 8 // anywhere, for one goroutine may enter a thousand times
)

func (r *running) init() { r.first.slots = make([]slot, firstSlots) }

// enter notes one more of class c. When it has returned, whoever looks sees it.
//
// A table is left for the next when a few slots in it, chosen at random, are all taken:
// when it is half full that is seldom, and when it is nearly full it is the rule. So
// there are tables for about as many as ever ran at once, and they stay.
func (r *running) enter(c *class) *slot {
	h, now := stackHash(), r.clock.Load()
	for t := &r.first; ; t = r.after(t) {
		mask := uint32(len(t.slots) - 1)
		for i := range uint32(nearProbes) {
			if s := &t.slots[(h+i)&mask]; s.take(c, now) {
				return s
			}
		}
		for range farProbes {
			if s := &t.slots[rand.Uint32()&mask]; s.take(c, now) {
				return s
			}
		}
	}
}

// take makes the slot that of an entry, if it is free. The time is written first, so
// that nobody ever sees the entry with the time of the one before. Of two that take
// the slot at once, the loser's time may stay: it is the same, but for the moment
// between its look and its writing.
func (s *slot) take(c *class, now int64) bool {
	if s.class.Load() != nil {
		return false
	}
	s.since.Store(now)
	return s.class.CompareAndSwap(nil, c)
}

func (s *slot) leave() { s.class.Store(nil) }

// after is the next table, made four times as large when there is none.
func (r *running) after(t *slots) *slots {
	if next := t.next.Load(); next != nil {
		return next
	}
	r.grow.Lock()
	defer r.grow.Unlock()
	if next := t.next.Load(); next != nil {
		return next
	}
	next := &slots{slots: make([]slot, 4*len(t.slots))}
	t.next.Store(next)
	return next
}

// each tells visit of all that runs. now is the time since the guard's start. An age is
// too large by at most a tick.
func (r *running) each(now time.Duration, visit func(c *class, age time.Duration)) {
	for t := &r.first; t != nil; t = t.next.Load() {
		for i := range t.slots {
			c := t.slots[i].class.Load()
			if c == nil {
				continue
			}
			visit(c, max(0, now-time.Duration(t.slots[i].since.Load())))
		}
	}
}

// stackHash differs between goroutines and tends to be the same for one. The
// address is a number here and nothing else: it is never turned back into a pointer,
// and when the stack moves the hash is merely another.
func stackHash() uint32 {
	var here byte
	return uint32(uint64(uintptr(unsafe.Pointer(&here))) >> 10 * 0x9E3779B97F4A7C15 >> 40)
}
