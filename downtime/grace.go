package downtime

import (
	"cmp"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// graces has the state of Options.Grace. It is under Guard.mu.
type graces struct {
	windows map[occurrenceKey]*period // in progress
	next    time.Time                 // the next cut; zero if none is known
	cuts    []cut                     // to do after Guard.mu is released
}

// A period is an uninterrupted time in which a window is in progress with one mode and scope.
type period struct {
	mode  schedule.Mode
	scope string
	since time.Time // when it began, or its mode or scope was edited
}

type cut struct {
	task *task
	why  closure
	by   *UnavailableError
}

// cutOverdue finds tasks that have kept a window busy for Options.Grace, counted from the window's start
// or from the edit that brought them into scope. mu is held.
func (g *Guard) cutOverdue(v *view, now time.Time) {
	grace := g.opts.Grace
	if grace == 0 {
		return
	}
	before := g.graces.windows
	g.graces.windows, g.graces.next = map[occurrenceKey]*period{}, time.Time{}
	for _, o := range v.shown {
		if !o.isOn() || !o.Window.Mode.Closes() || o.Window.ID == "" {
			continue
		}
		key, scope := keyOf(o.Occurrence), o.Window.Scope.Key()
		p := cmp.Or(before[key], &period{mode: o.Window.Mode, scope: scope, since: now})
		if p.mode != o.Window.Mode || p.scope != scope {
			p.mode, p.scope, p.since = o.Window.Mode, scope, now
		}
		g.graces.windows[key] = p
		if o.sealed.Load() {
			continue // only what bypasses it still runs
		}
		g.running.each(func(e *entry) {
			if e.task == nil {
				return
			}
			t := e.task.fated()
			if t.cut {
				return
			}
			i := slices.IndexFunc(t.inWay, func(w inWay) bool { return w.of == p })
			switch counts := !e.bypassed && o.counts(e); {
			case !counts && i >= 0:
				t.inWay = slices.Delete(t.inWay, i, i+1)
				return
			case !counts:
				return
			case i < 0:
				i = len(t.inWay)
				t.inWay = append(t.inWay, inWay{p, p.since})
			}
			over := t.inWay[i].since.Add(grace)
			switch {
			case now.Before(over):
				if g.graces.next.IsZero() || over.Before(g.graces.next) {
					g.graces.next = over
				}
			case !e.task.canCut():
				e.task.overdue.Store(true)
			default:
				t.cut = true
				o.cut.Add(1)
				g.cut.Add(1)
				why := e.closure(o, v, now)
				g.graces.cuts = append(g.graces.cuts, cut{e.task, why, g.opts.unavailable(why)})
			}
		})
	}
}

func (c cut) do() {
	c.task.ctx.end(c.by)
	if x := c.task.exchange; x != nil {
		x.cut(c.by, c.why)
	}
}
