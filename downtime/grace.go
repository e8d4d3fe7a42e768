package downtime

import (
	"cmp"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// graces give what runs in the scope of a window some time to end, and then cut it.
type graces struct {
	windows map[occurrenceKey]*period // that are in progress
	next    time.Time                 // when something is to be cut; the zero time: nothing known
	cuts    []cut                     // to be done once Guard.mu is free
}

// A period is the time in which a window is in progress without a break.
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

// cutOverdue finds what has been in the way of a window for as long as Options.Grace. That counts
// from the window's start, or from the edit that brought it into scope. mu is held.
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
			continue // nothing is in the way, except what bypasses it
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
