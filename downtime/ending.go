package downtime

import (
	"context"
	"sync/atomic"
	"time"
)

// An ending is the context of something that a window may end. A context of package context is
// made only when somebody waits for the end or asks for its cause: most requests do neither.
type ending struct {
	parent context.Context
	made   atomic.Pointer[cancellable] // nil: not made; finished: not made, and it has ended
}

// A cancellable is a context of package context.
type cancellable struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// finished stands for a context that ended by context.Canceled before it was made.
var finished = &cancellable{}

func (e *ending) Deadline() (deadline time.Time, ok bool) { return e.parent.Deadline() }

func (e *ending) Done() <-chan struct{} { return e.make().ctx.Done() }

func (e *ending) Err() error {
	if e.made.Load() == nil {
		return e.parent.Err()
	}
	return e.make().ctx.Err()
}

// Value asks the context of package context only for keys of the kind by which that package
// finds its own contexts. For all others the parent has the same answer.
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

// end ends the context, unless it has ended.
func (e *ending) end(cause error) { e.make().cancel(cause) }

// finish ends the context with context.Canceled as its cause, unless it has ended.
func (e *ending) finish() {
	if !e.made.CompareAndSwap(nil, finished) {
		e.end(context.Canceled)
	}
}
