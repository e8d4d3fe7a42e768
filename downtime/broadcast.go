package downtime

import "sync/atomic"

// A broadcast wakes all waiting goroutines. It is cheap while none waits.
type broadcast struct{ awaited atomic.Pointer[chan struct{}] }

// next returns a channel that the next notify closes.
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

// A bell, a channel with room for one, wakes a goroutine, also one that waits later.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
