package downtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
)

// An Effect says whether work changes anything. Its zero value is Write, because
// what nobody has declared may.
type Effect uint8

// The effects.
const (
	Write Effect = iota // may change something: refused by closed and read-only windows
	Read                // changes nothing: refused by closed windows only
)

// String gives "write" or "read".
func (e Effect) String() string {
	switch e {
	case Write:
		return "write"
	case Read:
		return "read"
	}
	return fmt.Sprintf("Effect(%d)", uint8(e))
}

// methodEffect is the effect that RFC 9110 §9.2.1 gives a method: the safe ones read.
func methodEffect(method string) Effect {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return Read
	}
	return Write
}

// Work is what does not come through a Handler: a job, a consumer's message, a run of
// cron.
type Work struct {
	// Name is what a scope's work list and reports call it, the same for all work of
	// the kind: "import", not "import-4711". Required. Of the kinds beyond the first
	// thousand a report says "other".
	Name string

	// Effect is what the work does. The zero value is Write.
	Effect Effect

	// Long work is refused from a window's cutoff on, so that it is not in the way when
	// the window begins.
	Long bool

	// Request is what asked for the work, where that is a request which no Handler
	// stands in front of: a call of gRPC, of which it has path, host and method. Scopes
	// then match it as they match requests, and not by Name, which is left to reports.
	// Effect and Long stand; the guard's Classify, Long and Pass are not asked. Nil: the
	// work is not a request.
	Request *http.Request

	// Stream work lasts until somebody ends it, as a subscription does. The context that
	// [Guard.EnterContext] gives it is ended by the window; nothing else asks.
	Stream bool
}

// Enter asks whether work may begin, and counts it when it may: leave must be called
// when the work has ended, however it ended. leave may be called more than once; it
// is never nil.
//
// The error is an [*UnavailableError] when a window refuses, the cause of ctx's
// end when it has ended, and another when work has no name or a request without URL. Work
// in the context of a request that bypasses windows (see [Bypassed]) bypasses them too. Hand on to others only what will
// have ended when leave is called, or what [Guard.Hold] holds: work that outlives its count is
// not seen.
func (g *Guard) Enter(ctx context.Context, work Work) (leave func(), err error) {
	if err := work.check(); err != nil {
		return func() {}, err
	}
	if ctx.Err() != nil {
		return func() {}, context.Cause(ctx)
	}
	for {
		s := g.now.Load()
		c := s.workClass(work, false)
		if c.refusedBy != nil || c.cutoffBy != nil {
			var by *near
			if c, by = g.workVisitor(ctx).decide(c, work.Long && c.cutoffBy != nil); by != nil {
				return func() {}, g.unavailable(by)
			}
		}
		at := g.running.enter(c)
		if g.now.Load() != s {
			g.leave(at)
			continue
		}
		g.noteRehearsal(c)
		return g.leaveOnce(at), nil
	}
}

// Hold counts work that outlives the request or the work that asks for it: call it
// from what was admitted, before that ends, and release when the work handed on has
// ended, however it ended. release may be called more than once; it is never nil.
//
// What was admitted may hand work on while a window drains, though nothing new may
// begin, and what is held keeps the window from being quiet. So Hold is refused, with an
// [*UnavailableError], only once the window has been found quiet, and then to its end: who
// was admitted, and is counted in the same window, is never refused, unless it was a bypass
// that let it in afterwards. Such a one enters the work that it hands on, with its own
// context ([Guard.Enter]), and keeps that until it has ended. Neither a cutoff nor
// [Work].Long matters. Other errors are those of [Guard.Enter].
//
// Hold finds scopes by the work it is given, not by who calls. Where they list paths only,
// hand on the request as [Work].Request, or list the work's name.
func (g *Guard) Hold(work Work) (release func(), err error) {
	if err := work.check(); err != nil {
		return func() {}, err
	}
	for {
		s := g.now.Load()
		c := s.workClass(work, true)
		// What cannot be had is not counted, not even for a moment.
		if n := g.sealedBy(c); n != nil {
			return func() {}, g.unavailable(n)
		}
		at := g.running.enter(c)
		if g.now.Load() != s {
			g.leave(at)
			continue
		}
		if n := g.sealedBy(c); n != nil {
			g.leave(at)
			return func() {}, g.unavailable(n)
		}
		return g.leaveOnce(at), nil
	}
}

// sealedBy is the window by which class c may not even be held; nil: none.
func (g *Guard) sealedBy(c *class) *near {
	for _, n := range c.refusing {
		gate := n.progress.gate.Load()
		if gate == gateSealing {
			// Who seals looks at the counts now, and will soon know.
			g.sealing.Lock()
			gate = n.progress.gate.Load()
			g.sealing.Unlock()
		}
		if gate == gateSealed {
			return n
		}
	}
	return nil
}

func (w *Work) check() error {
	if w.Name == "" {
		return errors.New("downtime: work must have a name")
	}
	if w.Request != nil && w.Request.URL == nil {
		return errors.New("downtime: the request of work must have a URL")
	}
	return nil
}

// leaveOnce uncounts when it is first called.
func (g *Guard) leaveOnce(at *slot) func() {
	var left atomic.Bool
	return func() {
		if left.CompareAndSwap(false, true) {
			g.leave(at)
		}
	}
}
