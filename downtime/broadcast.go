package downtime

import "sync/atomic"

// broadcast wakes all who wait, and costs next to nothing while nobody does.
type broadcast struct{ awaited atomic.Pointer[chan struct{}] }

// next is closed when it is next told.
func (b *broadcast) next() <-chan struct{} {
	ch := make(chan struct{})
	for !b.awaited.CompareAndSwap(nil, &ch) {
		if awaited := b.awaited.Load(); awaited != nil {
			return *awaited
		}
	}
	return ch
}

func (b *broadcast) notify() {
	if b.awaited.Load() == nil {
		return
	}
	if awaited := b.awaited.Swap(nil); awaited != nil {
		close(*awaited)
	}
}

// A bell of room for one wakes a goroutine, also one that waits only later.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
