package downtime

import (
	"context"
	"sync/atomic"
	"time"
)

// An ending is a context that a window may end. It creates a context of package context only when
// Done or the cause is needed, which most requests do not.
type ending struct {
	parent context.Context
	made   atomic.Pointer[cancellable] // nil: not created; finished: not created, and ended
}

type cancellable struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// finished means that the context has ended with context.Canceled before it was created.
var finished = &cancellable{}

func (e *ending) Deadline() (deadline time.Time, ok bool) { return e.parent.Deadline() }

func (e *ending) Done() <-chan struct{} { return e.make().ctx.Done() }

func (e *ending) Err() error {
	if e.made.Load() == nil {
		return e.parent.Err()
	}
	return e.make().ctx.Err()
}

// Value uses the created context only for keys of type *int, by which package context finds its own
// contexts. All other values are the parent's.
func (e *ending) Value(key any) any {
	if _, own := key.(*int); own {
		return e.make().ctx.Value(key)
	}
	return e.parent.Value(key)
}

func (e *ending) make() *cancellable {
	for {
		before := e.made.Load()
		if before != nil && before != finished {
			return before
		}
		ctx, cancel := context.WithCancelCause(e.parent)
		if before == finished {
			cancel(context.Canceled)
		}
		made := &cancellable{ctx, cancel}
		if e.made.CompareAndSwap(before, made) {
			return made
		}
		cancel(nil)
	}
}

func (e *ending) end(cause error) { e.make().cancel(cause) }

// finish ends the context with context.Canceled as its cause, unless it has ended.
func (e *ending) finish() {
	if !e.made.CompareAndSwap(nil, finished) {
		e.end(context.Canceled)
	}
}
