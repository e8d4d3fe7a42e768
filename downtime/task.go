package downtime

import (
	"sync/atomic"
	"time"
)

// A task is what a window may end before it ends by itself. Everything that was admitted has
// one, except work without context while there is no Options.Grace.
type task struct {
	ctx      ending      // parent is nil: the guard has given it no context
	exchange *exchange   // nil: it is no request that a Handler serves
	stream   atomic.Bool // it lasts until somebody ends it

	// Of a stream, under Guard.mu.
	ends  *occurrence // the window that ends it; nil: none
	due   time.Time   // when, if one does
	ended bool

	// With Options.Grace, under Guard.mu.
	inWay []inWay
	cut   bool

	overdue atomic.Bool // the grace is over, and it cannot be cut
}

// inWay says since when a task is in the way of a window.
type inWay struct {
	of    *period
	since time.Time
}

// canCut reports whether the guard can do something about the task.
func (t *task) canCut() bool { return t.ctx.parent != nil }
