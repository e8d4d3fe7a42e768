package downtime

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// streams has the state for ending streams. The guard's goroutine ends them at its ticks, without a
// goroutine or timer for each.
type streams struct {
	due      atomic.Bool // some are to be ended soon
	declared atomic.Bool // there is a new one while a window is in progress
}

// declare marks a task as a stream. A window may have begun since the task was admitted. The guard
// publishes a view first and then checks all streams; declare adds the stream first and then checks
// the view, so one of them finds it.
func (g *Guard) declare(t *task) {
	if t.stream.Swap(true) {
		return
	}
	for _, o := range g.view.Load().deciding {
		if o.isOn() {
			g.streams.declared.Store(true)
			g.wake.ring()
			return
		}
	}
}

// endStreams ends the streams that are due at now. If anew is true, because a view was published, it
// first finds the streams to end. mu is held.
func (g *Guard) endStreams(v *view, now time.Time, anew bool) {
	anew = g.streams.declared.Swap(false) || anew
	if !anew && !g.streams.due.Load() {
		return
	}
	due := false
	g.running.each(func(e *entry) {
		if e.task == nil || !e.task.stream.Load() {
			return
		}
		t := e.task.fated()
		if t.ended {
			return
		}
		if anew {
			g.judge(e, v, now)
		}
		switch {
		case t.ends == nil:
		case now.Before(t.due):
			due = true
		default:
			t.ended = true
			e.task.ctx.end(g.opts.unavailable(e.closure(t.ends, v, now)))
		}
	})
	g.streams.due.Store(due)
}

// judge finds the window that ends a stream, if any, and a random time for it, so that not all clients
// come back at once.
func (g *Guard) judge(e *entry, v *view, now time.Time) {
	t := e.task.fated()
	by := e.endedBy(v, g.bypass.marked(e.task.ctx.parent))
	if by != nil && t.ends == nil {
		t.due = now
		most := g.opts.StreamJitter
		if until := by.until(); !until.IsZero() {
			most = min(most, until.Sub(by.Start)/4)
		}
		if most > 0 {
			t.due = now.Add(rand.N(most))
		}
	}
	t.ends = by
}
