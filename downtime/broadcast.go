package downtime

import (
	"sync"
	"sync/atomic"
)

// broadcast wakes all who wait, and costs next to nothing while nobody does.
type broadcast struct {
	awaited atomic.Bool // since it was last told
	mu      sync.Mutex
	ch      chan struct{}
}

func (b *broadcast) init() { b.ch = make(chan struct{}) }

// next is closed when it is next told.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaited.Store(true)
	return b.ch
}

func (b *broadcast) tell() {
	if b.awaited.Load() {
		b.wake()
	}
}

func (b *broadcast) wake() {
	if !b.awaited.CompareAndSwap(true, false) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
