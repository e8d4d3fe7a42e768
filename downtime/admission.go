package downtime

import (
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// An asking is a request, or a piece of work, that asks to be admitted.
type asking struct {
	entry                 // which it becomes
	http    *http.Request // nil: work that is no request
	handler bool          // a Handler asks: Classify and Long of the options apply
	long    bool          // it is refused from a cutoff on
	visitor *visitor      // what it can bypass; nil: nothing
	view    *view         // by which it was refused

	// What windows have to do with it, once it is admitted.
	past      []*occurrence // that refuse it, and that it bypasses
	rehearsed []*occurrence // that would have refused it
}

// admit is the one way in: it counts what asks, or returns the window that refuses it.
//
// It counts, then checks that the view by which it has decided still holds, and if not takes
// the count back and decides anew. What the view refuses is not counted, not even for a
// moment. See Guard for why.
func (g *Guard) admit(a *asking) (place, *occurrence) {
	for {
		v := g.view.Load()
		if by := g.refusing(v, a); by != nil {
			a.view = v
			return place{}, by
		}
		a.epoch = v.epoch
		at := g.running.enter(&a.entry)
		if g.view.Load() == v && (!a.held || g.refusing(v, a) == nil) { // a held one may have been sealed out
			for _, o := range a.rehearsed {
				o.refused.Add(1)
			}
			if len(a.rehearsed) > 0 {
				g.wouldRefuse.Add(1)
			}
			return at, nil
		}
		g.leave(at)
	}
}

// refusing decides: it returns the window that refuses what asks, nil when none does. It
// asks the windows in order, so that the most restrictive is the one named.
func (g *Guard) refusing(v *view, a *asking) *occurrence {
	a.past, a.rehearsed, a.bypassed = nil, nil, false
	classify := a.handler && g.opts.Classify != nil
	if len(v.deciding) == 0 && !classify {
		return nil
	}
	request := schedule.Request{HTTP: a.http} // it reads an odd path once for all scopes
	if classify {
		a.effect = EffectWrite
		if v.covers(&request) && g.opts.Classify(a.http) == EffectRead { // asked only where it matters
			a.effect = EffectRead
		}
	}
	for _, o := range v.deciding {
		scope := &o.Window.Scope
		if !refuses(o.Window.Mode, a.effect) || !a.inScope(scope, &request) {
			continue
		}
		switch {
		case a.held: // what was admitted may hand on, until the window is quiet
			if o.isShut() && g.running.isSealed(o) {
				return o
			}
		case o.rehearses():
			a.rehearsed = append(a.rehearsed, o)
		case o.isCutOff() && !g.isLong(a):
			if a.bypassed && a.visitor.lets(o) {
				a.past = append(a.past, o) // for the work that the request asks for
			}
		case a.visitor.lets(o):
			a.past, a.bypassed = append(a.past, o), true
		default:
			return o
		}
	}
	return nil
}

// inScope reports whether what asks is in scope. request is that of a.http.
func (a *asking) inScope(s *schedule.Scope, request *schedule.Request) bool {
	if a.http == nil {
		return s.CoversWork(a.kind)
	}
	return s.Covers(request)
}

func (g *Guard) isLong(a *asking) bool {
	return a.long || a.handler && g.opts.Long != nil && g.opts.Long(a.http)
}

func (g *Guard) leave(at place) {
	at.leave()
	g.changed.notify()
}

func (g *Guard) refuse(by *occurrence) {
	by.refused.Add(1)
	g.refused.Add(1)
}

func (g *Guard) closure(a *asking, by *occurrence) closure {
	return a.closure(by, g.isLong(a), time.Now())
}
