package downtime

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// streams are the tasks that last until somebody ends them. A window has to, or it would never
// be quiet. The guard's own goroutine looks at them, as it looks at the clock anyway: none of
// them has a goroutine or a timer of its own.
type streams struct {
	due      atomic.Bool // some may be about to be ended
	declared atomic.Bool // there is a new one, and a window in progress
}

// declare says that a task is a stream. A window may have begun since it was admitted: the guard
// publishes a view and then looks at all streams, while this first adds the stream and then
// looks at the view.
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

// endStreams ends the streams that are due at now. After something was published, anew says
// so, it first looks which are to be ended. mu is held.
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

// judge finds the window that ends a stream, if there is one. Each stream has a moment of its
// own, so that not all come back in the same.
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
