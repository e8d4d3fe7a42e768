package downtime

import (
	"context"
	"sync"
	"time"
)

// An ending is the context of something that a window may end. A context of package context is
// made only when somebody waits for the end or asks for its cause: most requests do neither.
type ending struct {
	parent context.Context

	mu     sync.Mutex
	inner  context.Context // of package context; nil: not made
	cancel context.CancelCauseFunc
	cause  error // it ended before inner was made
}

func (e *ending) Deadline() (deadline time.Time, ok bool) { return e.parent.Deadline() }

func (e *ending) Done() <-chan struct{} { return e.made().Done() }

func (e *ending) Err() error {
	e.mu.Lock()
	plain := e.inner == nil && e.cause == nil
	e.mu.Unlock()
	if plain {
		return e.parent.Err()
	}
	return e.made().Err()
}

// Value asks the context of package context only for keys of the kind by which that package
// finds its own contexts. For all others the parent has the same answer.
func (e *ending) Value(key any) any {
	if _, own := key.(*int); own {
		return e.made().Value(key)
	}
	return e.parent.Value(key)
}

func (e *ending) made() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inner == nil {
		e.inner, e.cancel = context.WithCancelCause(e.parent)
		if e.cause != nil {
			e.cancel(e.cause)
		}
	}
	return e.inner
}

// end ends the context, unless it has ended.
func (e *ending) end(cause error) {
	e.mu.Lock()
	cancel := e.cancel
	if cancel == nil && e.cause == nil {
		e.cause = cause
	}
	e.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}
