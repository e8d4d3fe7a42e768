package downtime

import (
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// An asking is a request or a piece of work that asks to be admitted.
type asking struct {
	entry                 // for the list of what runs
	http    *http.Request // nil: work without a request
	handler bool          // from a Handler: Classify and Long of the options apply
	long    bool          // refused from a cutoff on
	visitor *visitor      // what it can bypass; may be nil
	view    *view         // that refused it

	// Set when it is admitted.
	past      []*occurrence // the windows that it bypasses
	rehearsed []*occurrence // the rehearsals that would have refused it
}

// admit counts an asking, or returns the window that refuses it. All requests and work pass here.
//
// It counts first and then checks that the view is still current. If not, it removes the count and
// decides again. Refused askings are never counted. See "Count, then check" in the package comment.
func (g *Guard) admit(a *asking) (place, *occurrence) {
	for {
		v := g.view.Load()
		if by := g.refusing(v, a); by != nil {
			a.view = v
			return place{}, by
		}
		a.epoch = v.epoch
		at := g.running.enter(&a.entry)
		if g.view.Load() == v && (!a.held || g.refusing(v, a) == nil) { // held work may be too late
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

// refusing returns the window that refuses an asking, or nil. It checks the windows in their order, so
// it returns the most restrictive.
func (g *Guard) refusing(v *view, a *asking) *occurrence {
	a.past, a.rehearsed, a.bypassed = nil, nil, false
	classify := a.handler && g.opts.Classify != nil
	if len(v.deciding) == 0 && !classify {
		return nil
	}
	request := schedule.Request{HTTP: a.http} // parses an unusual path once for all scopes
	if classify {
		a.effect = EffectWrite
		if v.covers(&request) && g.opts.Classify(a.http) == EffectRead { // called only if a scope covers the request
			a.effect = EffectRead
		}
	}
	for _, o := range v.deciding {
		scope := &o.Window.Scope
		if !refuses(o.Window.Mode, a.effect) || !a.inScope(scope, &request) {
			continue
		}
		switch {
		case a.held: // admitted until the window is quiet
			if o.isShut() && g.running.isSealed(o) {
				return o
			}
		case o.rehearses():
			a.rehearsed = append(a.rehearsed, o)
		case o.isCutOff() && !g.isLong(a):
			if a.bypassed && a.visitor.lets(o) {
				a.past = append(a.past, o) // for the work of the request
			}
		case a.visitor.lets(o):
			a.past, a.bypassed = append(a.past, o), true
		default:
			return o
		}
	}
	return nil
}

// inScope reports whether an asking is in scope. request is that of a.http.
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
