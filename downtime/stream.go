package downtime

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// streams are the requests that last until somebody ends them. A window has to, or it
// would never be quiet. The guard's own goroutine looks at them, as it looks at the clock
// anyway: none of them has a goroutine or a timer of its own.
type streams struct {
	opts *Options
	due  atomic.Bool // some of all may be about to be ended
	mu   sync.Mutex
	all  map[*stream]struct{}
}

type stream struct {
	entry
	by     *visitor // what it has bypassed; nil: nothing
	cancel context.CancelCauseFunc
	ends   *occurrence // the window that ends it; nil: none
	due    time.Time   // when, if one does
}

// add adds a stream that was admitted. A window may have begun since then. The guard
// publishes a view and then looks at all streams; this adds the stream and then looks at the
// view.
func (ss *streams) add(s *stream, view func() *view) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.all[s] = struct{}{}
	ss.judge(s, view(), time.Now())
}

func (ss *streams) remove(s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.all, s)
}

// judge finds the window that ends the stream, if there is one. Each stream has a
// moment of its own, so that not all come back in the same.
func (ss *streams) judge(s *stream, v *view, now time.Time) {
	by := s.endedBy(v)
	if by != nil && s.ends == nil {
		ss.due.Store(true)
		s.due = now
		most := ss.opts.StreamJitter
		if until := by.until(); !until.IsZero() {
			most = min(most, until.Sub(by.Start)/4)
		}
		if most > 0 {
			s.due = now.Add(rand.N(most))
		}
	}
	s.ends = by
}

// endedBy is the window in progress that ends the stream; nil: none does.
func (s *stream) endedBy(v *view) *occurrence {
	for _, o := range v.deciding {
		if !o.isOn() || !o.isShut() || !refuses(o.Window.Mode, s.effect) || !s.isIn(&o.Window.Scope) {
			continue
		}
		// A stream that has bypassed a window must not hold it shut beyond its end.
		if o.phase == schedule.PhaseOverrun || !s.by.lets(o) {
			return o
		}
	}
	return nil
}

// closure is that of the window that ends the stream.
func (s *stream) closure(v *view, now time.Time) closure {
	a := asking{entry: s.entry, http: s.request(), visitor: s.by, view: v}
	return a.closure(s.ends, false, now)
}

// end ends the streams that are due at now. After something was published, anew says
// so, it first looks which are to be ended.
func (ss *streams) end(v *view, now time.Time, anew bool) {
	if !anew && !ss.due.Load() {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	due := false
	for s := range ss.all {
		if anew {
			ss.judge(s, v, now)
		}
		switch {
		case s.ends == nil:
		case now.Before(s.due):
			due = true
		default:
			s.cancel(ss.opts.unavailable(s.closure(v, now)))
			delete(ss.all, s)
		}
	}
	ss.due.Store(due)
}
