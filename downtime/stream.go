package downtime

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// eventStream is the media type of server-sent events (HTML §9.2).
const eventStream = "text/event-stream"

// streams are the requests that last until somebody ends them. A window has to, or it
// would never be quiet. They are looked at by the guard's own goroutine, as it looks
// at the clock anyway: none of them has a goroutine or a timer of its own.
type streams struct {
	mu   sync.Mutex
	all  map[*stream]struct{}
	dues atomic.Int64 // how many of all are to be ended
}

type stream struct {
	target http.Request // what scopes look at, of the stream's own: handlers change requests
	work   string       // instead of a target: the name of work that is no request
	effect Effect
	by     *visitor // what it has bypassed; nil: nothing
	cancel context.CancelCauseFunc
	ends   *near     // the window that ends it; nil: none
	due    time.Time // when, if one does
}

// isStream says whether the request is for a stream: it would switch protocols (RFC 9110
// §7.8, RFC 8441 §4), or would rather have server-sent events than anything else.
func isStream(r *http.Request) bool { return len(r.Header) > 0 && hasStream(r) }

func hasStream(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet:
		for _, line := range r.Header["Accept"] {
			if strings.Contains(line, "event-stream") {
				return preferred(r.Header["Accept"], true) == formatStream
			}
		}
	case http.MethodConnect:
		if r.Header[":protocol"] != nil {
			return true
		}
	}
	if r.Header["Upgrade"] == nil {
		return false
	}
	for _, line := range r.Header["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}

// serveStream serves a stream that was admitted, with a context that a window ends.
func (g *Guard) serveStream(next http.Handler, w http.ResponseWriter, r *http.Request, c *class) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s := &stream{effect: c.effect, by: g.workVisitor(ctx), cancel: cancel}
	at := url.URL{Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, Opaque: r.URL.Opaque}
	s.target = http.Request{Method: r.Method, Host: r.Host, URL: &at}
	g.streams.add(g, s)
	defer g.streams.remove(s)
	next.ServeHTTP(w, r.WithContext(ctx))
}

func (ss *streams) add(g *Guard, s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.all == nil {
		ss.all = map[*stream]struct{}{}
	}
	ss.all[s] = struct{}{}
	// A window may have begun since the stream was admitted. Who publishes it looks at all
	// streams after, and this looks at what is published after it is one of them.
	ss.judge(g, s, g.now.Load(), time.Now())
}

func (ss *streams) remove(s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.forget(s)
}

func (ss *streams) forget(s *stream) {
	if _, there := ss.all[s]; !there {
		return
	}
	delete(ss.all, s)
	if s.ends != nil {
		ss.dues.Add(-1)
	}
}

// judge finds the window that ends the stream, if there is one. Each stream has a
// moment of its own, so that not all come back in the same.
func (ss *streams) judge(g *Guard, s *stream, now *snapshot, at time.Time) {
	by := now.ends(s)
	switch {
	case by == nil && s.ends != nil:
		ss.dues.Add(-1)
	case by != nil && s.ends == nil:
		ss.dues.Add(1)
		s.due = at
		most := g.opts.StreamJitter
		if until := by.until(); !until.IsZero() {
			most = min(most, until.Sub(by.Start)/4)
		}
		if most > 0 {
			s.due = at.Add(rand.N(most))
		}
	}
	s.ends = by
}

// ends is the window that ends a stream; nil: none does.
func (s *snapshot) ends(st *stream) *near {
	t := schedule.Request{HTTP: &st.target}
	for _, n := range s.near {
		in := n.Window.Scope.Covers
		if st.work != "" {
			in = func(*schedule.Request) bool { return n.Window.Scope.CoversWork(st.work) }
		}
		if !n.refuses(st.effect) || !in(&t) {
			continue
		}
		// A stream that has bypassed a window must not hold it shut beyond its end.
		if n.Phase == schedule.PhaseOverrun || !st.by.lets(n) {
			return n
		}
	}
	return nil
}

// end ends the streams that are due at now. After something was published, anew says
// so, it first looks which are to be ended.
func (ss *streams) end(g *Guard, s *snapshot, now time.Time, anew bool) {
	if !anew && ss.dues.Load() == 0 {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for st := range ss.all {
		if anew {
			ss.judge(g, st, s, now)
		}
		if st.ends != nil && !now.Before(st.due) {
			st.cancel(g.unavailableBy(st.ends))
			ss.forget(st)
		}
	}
}
