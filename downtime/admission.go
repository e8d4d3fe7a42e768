package downtime

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
)

// EnterContext is [Guard.Enter] for what serves requests without net/http, such as a
// server of gRPC: besides it gives the context that the work has to run in, and is to
// the request what [Guard.Handler] is to others.
//
// [Work].Request may bring a [Bypass], in its headers or by its RemoteAddr; the context then
// says so, by [Bypassed], and what is entered in it may bypass the same. The headers are
// not changed. The context of a [Work].Stream ends when a window begins that refuses the
// work, a little later for some than for others, as [Options].StreamJitter has it; its
// cause is an [*UnavailableError]. All streams end with leave.
func (g *Guard) EnterContext(ctx context.Context, work Work) (entered context.Context, leave func(), err error) {
	switch {
	case work.Name == "":
		return ctx, func() {}, errors.New("downtime: work must have a name")
	case work.Request != nil && work.Request.URL == nil:
		return ctx, func() {}, errors.New("downtime: the request of work must have a URL")
	case ctx.Err() != nil:
		return ctx, func() {}, context.Cause(ctx)
	}
	v := g.workVisitor(ctx)
	if v == nil && work.Request != nil && g.bypass != nil {
		v, work.Request = g.bypass.visitor(work.Request)
	}
	at, c, by := g.admitWork(work, v)
	if by != nil {
		v.refused(by)
		return ctx, func() {}, g.unavailable(by)
	}
	if c.bypassed && v.mark == nil {
		told := false
		defer func() {
			if !told { // the application's Audit has panicked
				g.leave(at)
			}
		}()
		ctx = v.audit(g, work.Request.WithContext(ctx), c).Context()
		told = true
	}
	var left atomic.Bool
	if !work.Stream {
		return ctx, func() {
			if left.CompareAndSwap(false, true) {
				g.leave(at)
			}
		}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{effect: c.effect, by: g.workVisitor(ctx), cancel: cancel}
	if r := work.Request; r != nil {
		s.target = http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, Opaque: r.URL.Opaque}}
	} else {
		s.work = work.Name
	}
	g.streams.add(g, s)
	return ctx, func() {
		if left.CompareAndSwap(false, true) {
			g.streams.remove(s)
			cancel(nil)
			g.leave(at)
		}
	}, nil
}

// admitWork is admit for work.
func (g *Guard) admitWork(work Work, v *visitor) (*slot, *class, *near) {
	for {
		s := g.now.Load()
		c := s.workClass(work, false)
		if c.refusedBy != nil || c.cutoffBy != nil {
			var by *near
			if c, by = v.decide(c, work.Long && c.cutoffBy != nil); by != nil {
				return nil, nil, by
			}
		}
		at := g.running.enter(c)
		if g.now.Load() != s {
			g.leave(at)
			continue
		}
		g.noteRehearsal(c)
		return at, c, nil
	}
}
