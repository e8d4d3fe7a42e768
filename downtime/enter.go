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

// Enter admits and counts work. Call leave when the work has ended or failed. leave may be called more
// than once and is never nil. Work that continues in another goroutine must call leave there, or use
// [Guard.Hold].
//
// The error is an [*UnavailableError] when a window refuses the work, and the cause of ctx's end when
// ctx has ended. Any other error means that the name of the work or the URL of its request is missing.
// Work in the context of a request that bypasses windows (see [Bypassed]) bypasses them too.
func (g *Guard) Enter(ctx context.Context, work Work) (leave func(), err error) {
	at, _, err := g.enter(ctx, &work, g.bypass.marked(ctx))
	if err != nil {
		return func() {}, err
	}
	return g.leaveOnce(at), nil
}

// EnterWait is [Guard.Enter] for work that can wait. It returns when the windows that refuse the work
// have ended, also if they end early. The error is the cause of ctx's end or [ErrClosed], together with
// the [*UnavailableError] of the window. Any other error means that the name of the work or the URL of
// its request is missing. Waiting is not counted as a refusal.
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

// EnterContext is [Guard.Enter] for servers without net/http, such as gRPC servers. It also returns the
// context for the work, which ends with leave for streams and with [Options].Grace.
//
// [Work].Request may use a [Bypass], by its headers or its RemoteAddr. [Bypassed] then reports that for
// the context, and work that is entered in it bypasses the same windows. The headers are not changed.
// When a window begins that refuses a [Work].Stream, the context ends with an [*UnavailableError] as
// its cause, at a time that [Options].StreamJitter spreads.
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
			if !audited { // Audit has panicked
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

// Hold counts work that outlives the request or work that starts it. Call Hold before the caller ends,
// and release when the work has ended or failed. release may be called more than once and is never nil.
//
// Admitted requests and work may hold work while a window drains, and held work keeps the window busy.
// Hold returns an [*UnavailableError] only after the window was found quiet, which cannot happen while
// the caller counts in that window. A bypassed request must call [Guard.Enter] with its own context
// instead. A cutoff and [Work].Long do not matter. Other errors are those of [Guard.Enter].
//
// Scopes match the held work, not its caller. If a scope only lists paths, set [Work].Request, or add
// the name of the work to the scope. If a document has windows and none of their scopes can match the
// work, Hold logs a warning, once for each name.
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

// leaveOnce returns leave for work whose context is not the guard's.
func (g *Guard) leaveOnce(at place) func() {
	if g.opts.Grace > 0 {
		at.attach(&task{})
	}
	return sync.OnceFunc(func() { g.leave(at) })
}

// heldNames has the names of held work that were checked.
type heldNames struct {
	schedules sync.Map     // by name, the *schedule.Schedule that was checked; nil after a warning
	warnings  atomic.Int64 // at most maxKinds
}

// check logs a warning about work that none of the scopes can match.
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
