package downtime

import (
	"sync/atomic"
	"time"
)

// A task is what a window may end before it ends by itself: a request or a call with a context
// of the guard's, or, with Options.Grace, work without one.
type task struct {
	ctx      ending      // parent is nil: the guard has given it no context
	exchange *exchange   // nil: it is no request that a Handler serves
	stream   atomic.Bool // it lasts until somebody ends it
	overdue  atomic.Bool // the grace is over, and it cannot be cut
	fate     *fate       // under Guard.mu; nil: no window ends or cuts it
}

// A fate is what windows do to a task. It is under Guard.mu.
type fate struct {
	// Of a stream.
	ends  *occurrence // the window that ends it; nil: none
	due   time.Time   // when, if one does
	ended bool

	// With Options.Grace.
	inWay []inWay
	cut   bool
}

// fated returns the task's fate. Guard.mu is held.
func (t *task) fated() *fate {
	if t.fate == nil {
		t.fate = &fate{}
	}
	return t.fate
}

// inWay says since when a task is in the way of a window.
type inWay struct {
	of    *period
	since time.Time
}

// canCut reports whether the guard can do something about the task.
func (t *task) canCut() bool { return t.ctx.parent != nil }
