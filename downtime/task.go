package downtime

import (
	"sync/atomic"
	"time"
)

// A task is a request or a call that a window may end by its context or, with Options.Grace, work
// that has none.
type task struct {
	ctx      ending      // its parent is nil for work without a context
	exchange *exchange   // nil unless a Handler serves it
	stream   atomic.Bool // it lasts until somebody ends it
	overdue  atomic.Bool // the grace is over and it cannot be cut
	fate     *fate       // under Guard.mu; nil until a window ends or cuts it
}

// A fate is how windows end or cut a task. It is under Guard.mu.
type fate struct {
	// Of a stream.
	ends  *occurrence // the window that ends it; may be nil
	due   time.Time   // when that window ends it
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

// inWay is since when a task keeps a window busy.
type inWay struct {
	of    *period
	since time.Time
}

func (t *task) canCut() bool { return t.ctx.parent != nil }
