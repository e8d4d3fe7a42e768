package downtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Enter asks whether work may begin, and counts it when it may: call leave when the work has
// ended, however it ended. leave may be called more than once; it is never nil.
//
// The error is an [*UnavailableError] when a window refuses, the cause of ctx's end when it has
// ended, and another when work has no name or a request without URL. Work in the context of a
// request that bypasses windows (see [Bypassed]) bypasses them too. Work that outlives its
// count is not seen: call leave after what it has handed on, or use [Guard.Hold].
func (g *Guard) Enter(ctx context.Context, work Work) (leave func(), err error) {
	at, _, err := g.enter(ctx, &work, g.bypass.marked(ctx))
	if err != nil {
		return func() {}, err
	}
	return g.leaveOnce(at), nil
}

// EnterWait is [Guard.Enter] for work that can wait: it returns once the windows that refuse
// the work have ended, also early. The error is the cause of ctx's end or [ErrClosed], which
// then wrap the [*UnavailableError] that it waited for; or another when work has no name or a
// request without URL. Waiting is not counted as a refusal.
func (g *Guard) EnterWait(ctx context.Context, work Work) (leave func(), err error) {
	asked, err := work.asking(g.bypass.marked(ctx))
	if err != nil {
		return func() {}, err
	}
	for {
		published := g.published.next() // first, so that no view is missed
		if ctx.Err() != nil {
			return func() {}, context.Cause(ctx)
		}
		at, by := g.admit(&asked)
		if by == nil {
			return g.leaveOnce(at), nil
		}
		select {
		case <-published:
		case <-ctx.Done():
			return func() {}, fmt.Errorf("downtime: waiting to enter: %w: %w", context.Cause(ctx), g.opts.unavailable(g.closure(&asked, by)))
		case <-g.lifetime.Done():
			return func() {}, fmt.Errorf("%w: %w", ErrClosed, g.opts.unavailable(g.closure(&asked, by)))
		}
	}
}

// EnterContext is [Guard.Enter] for what serves requests without net/http, such as a server of
// gRPC: it also returns the context that the work has to run in.
//
// [Work].Request may bring a [Bypass], in its headers or by its RemoteAddr; the context then
// says so, by [Bypassed], and what is entered in it may bypass the same. The headers are
// not changed. The context of a [Work].Stream ends with an [*UnavailableError] as its cause
// after a window begins that refuses the work, spread by [Options].StreamJitter. All streams
// end with leave.
func (g *Guard) EnterContext(ctx context.Context, work Work) (entered context.Context, leave func(), err error) {
	v := g.bypass.marked(ctx)
	if r := work.Request; v == nil && r != nil && r.URL != nil && g.bypass != nil {
		v, work.Request = g.bypass.visitor(r)
	}
	at, asked, err := g.enter(ctx, &work, v)
	if err != nil {
		return ctx, func() {}, err
	}
	left := g.leaveOnce(at)
	if asked.bypassed && v.mark == nil {
		audited := false
		defer func() {
			if !audited { // the application's Audit has panicked
				left()
			}
		}()
		ctx = v.audit(work.Request.WithContext(ctx), asked.past).Context()
		audited = true
	}
	if !work.Stream && g.opts.Grace == 0 {
		return ctx, left, nil
	}
	t := &task{ctx: ending{parent: ctx}}
	at.attach(t)
	if work.Stream {
		g.declare(t)
	}
	return &t.ctx, func() {
		t.ctx.finish()
		left()
	}, nil
}

// Hold counts work that outlives the request or the work that asks for it: call it
// from what was admitted, before that ends, and release when the work handed on has
// ended, however it ended. release may be called more than once; it is never nil.
//
// What was admitted may hand work on while a window drains, and what is held keeps the window
// from being quiet. Hold is refused, with an [*UnavailableError], only once the window was found
// quiet, which it is not while the caller is counted in it. A bypassed request must call
// [Guard.Enter], with its own context, for the work it starts. Neither a cutoff nor
// [Work].Long matters. Other errors are those of [Guard.Enter].
//
// Hold finds scopes by the work it is given, not by who calls. Where they list paths only,
// hand on the request as [Work].Request, or list the work's name. If no scope of the document
// can match the work, so that no window waits for it, that is logged as a warning, once for each
// name.
func (g *Guard) Hold(work Work) (release func(), err error) {
	asked, err := work.asking(nil)
	if err != nil {
		return func() {}, err
	}
	asked.held = true
	if work.Request == nil {
		g.held.check(work.Name, g.view.Load().schedule, g.opts.Logger)
	}
	at, by := g.admit(&asked)
	if by != nil {
		return func() {}, g.unavailable(&asked, by)
	}
	return g.leaveOnce(at), nil
}

func (g *Guard) enter(ctx context.Context, work *Work, v *visitor) (place, asking, error) {
	asked, err := work.asking(v)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return place{}, asked, err
	}
	at, by := g.admit(&asked)
	if by != nil {
		v.refused(by)
		return place{}, asked, g.unavailable(&asked, by)
	}
	return at, asked, nil
}

func (w *Work) asking(v *visitor) (asking, error) {
	switch {
	case w.Name == "":
		return asking{}, errors.New("downtime: work must have a name")
	case w.Request != nil && w.Request.URL == nil:
		return asking{}, errors.New("downtime: the request of work must have a URL")
	}
	asked := asking{entry: entry{kind: w.Name}, long: w.Long, visitor: v}
	if w.Effect == EffectRead {
		asked.effect = EffectRead
	}
	if w.Request != nil {
		asked.setRequest(w.Request)
		asked.http = w.Request
	}
	return asked, nil
}

func (g *Guard) unavailable(a *asking, by *occurrence) *UnavailableError {
	g.refuse(by)
	return g.opts.unavailable(g.closure(a, by))
}

// leaveOnce is for work that the guard has given no context.
func (g *Guard) leaveOnce(at place) func() {
	if g.opts.Grace > 0 {
		at.attach(&task{})
	}
	return sync.OnceFunc(func() { g.leave(at) })
}

// heldNames are the names of work that was held.
type heldNames struct {
	schedules sync.Map     // name: the *schedule.Schedule in which it was looked for; nil: it was warned of
	warnings  atomic.Int64 // at most maxKinds
}

// check warns of work that is in no window's scope.
func (h *heldNames) check(name string, s *schedule.Schedule, logger *slog.Logger) {
	before, known := h.schedules.Load(name)
	if s == nil || known && (before == s || before == (*schedule.Schedule)(nil)) {
		return
	}
	windows, matched := 0, false
	for w := range s.Windows() {
		windows++
		matched = matched || w.Scope.CoversWork(name)
	}
	if matched || windows == 0 {
		h.schedules.Store(name, s)
		return
	}
	if h.warnings.Load() >= maxKinds {
		return
	}
	if _, known := h.schedules.Swap(name, (*schedule.Schedule)(nil)); !known || before != nil {
		h.warnings.Add(1)
		logger.Warn("held work is in no window's scope, so no window waits for it: hand on its request, or list its name under work", "work", cleantext.Clip(name, 80))
	}
}
