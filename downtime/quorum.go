package downtime

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A Quorum makes the guards of many replicas one: none admits work in the scope of a
// window unless all that matters to the one who will do the maintenance knows of it.
// Package quorum has two, over PostgreSQL and over the files of one machine. It is
// for those who drain a window in one place and must know it quiet in all.
//
// A guard asks by telling what it knows, again and again, so that a quorum can be
// written without memory of what was asked before. It fails closed: where it has no word
// that a scope may be open, the scope is closed.
//
// A window is near from a minute more than an hour before its start, or before it is
// announced where that is earlier, until its end, and after that until the guard was
// told that it may open again. [Guard.Drain] and [Report].Quiet go on to speak of this
// process.
type Quorum interface {
	// Agree is told the windows that are near, by id, as far as their mode closes
	// anything: true where this replica wants to admit work in the window's scope, or has
	// work running there; false where the window is quiet here, so that others may rely
	// on it. Before it is told false for the first time, the guard has closed the scope
	// and counted. It answers which of them this replica may admit work for; what is
	// missing it may not. With an error it may for none. A window that Agree is not told
	// of any more is of no interest to the guard.
	//
	// An error that is [ErrOutdated] says more: others rely on a window that Agree was
	// not told of, so that nobody knows what this replica must not do. It may admit
	// nothing at all, and asks again every second. From then on the guard tells of all
	// windows of the document, for one that is over here may be in use elsewhere, until
	// all of them may be open.
	//
	// Agree is called once before the guard admits anything, even when no window is
	// near, and from then on by one goroutine at a time, whenever something changes, at
	// least every second while a window is near or the last call failed. It has five
	// seconds; after that ctx ends and the call has failed, and Agree must return soon. It
	// must not wait for others: what cannot be had now is asked for again. The map is
	// the callee's.
	Agree(ctx context.Context, windows map[string]bool) (open map[string]bool, err error)

	// Changed is sent to, without blocking, when Agree should be called at once, even
	// when no window is near: what was agreed on is lost, for instance with a
	// connection. The guard closes the scopes of all windows that are near, and asks.
	Changed() <-chan struct{}
}

// agreed is what the quorum has said. It is under the guard's mutex.
type agreed struct {
	asked    bool            // it has answered, or failed to
	outdated bool            // it said ErrOutdated last
	all      bool            // it is told of all windows
	open     map[string]bool // what may be open
	refused  map[string]bool // what it said last must not be
	told     map[string]bool // what it was told last
	err      error           // why it did not answer the last time
	stale    bool            // the snapshot does not say so yet
}

const (
	askAhead  = time.Minute     // before its word is needed
	askEvery  = time.Second     // while it matters
	askWithin = 5 * time.Second // or it has not answered
)

// quorumWindow stands in for what the quorum could close.
func quorumWindow() *schedule.Window {
	return &schedule.Window{Timezone: time.UTC, Mode: schedule.ModeClosed, Message: "The service is closed for a moment, until all of its replicas agree."}
}

// attend asks the quorum, and closes asked when it has for the first time. That is done
// in a goroutine of its own, for the guard's has a clock to keep.
func (g *Guard) attend(ctx context.Context, asked chan struct{}) {
	defer close(g.attended)
	changed := g.opts.Quorum.Changed()
	timer := time.NewTimer(askEvery)
	defer timer.Stop()
	for first := true; ; first = false {
		again := g.ask(ctx)
		if first {
			close(asked)
		}
		timer.Stop()
		if again {
			timer.Reset(askEvery)
		}
		select {
		case <-ctx.Done():
			g.settle(answer{lost: true}) // for nobody will hear of a loss any more
			return
		case <-g.question:
		case _, ok := <-changed:
			if !ok {
				changed = nil
			}
			g.settle(answer{lost: true})
		case <-timer.C:
		}
	}
}

// An answer of a quorum.
type answer struct {
	told, open map[string]bool
	err        error
	lost       bool // it is none: what was said no longer holds
}

// ask asks once, and says whether to ask again before long.
func (g *Guard) ask(ctx context.Context) (again bool) {
	a := answer{told: g.toTell()}
	bounded, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	closed := make(chan struct{})
	inTime := context.AfterFunc(bounded, func() { // what is open closes even if Agree does not return
		g.settle(answer{lost: true})
		close(closed)
	})
	a.open, a.err = g.opts.Quorum.Agree(bounded, maps.Clone(a.told))
	if !inTime() {
		<-closed
		a.err = errors.Join(context.Cause(bounded), a.err)
	}
	if ctx.Err() != nil {
		return false
	}
	g.settle(a)
	return len(a.told) > 0 || a.err != nil
}

// toTell is what to tell the quorum now. What it is to be told that the guard does not
// want, is not open from then on, until it is said again.
func (g *Guard) toTell() map[string]bool {
	g.mu.Lock()
	told := g.wanted(g.now.Load())
	g.agreed.told = told
	open := maps.Clone(g.agreed.open)
	maps.DeleteFunc(open, func(id string, _ bool) bool { return !told[id] })
	news := g.setAgreed(open)
	g.mu.Unlock()
	g.log(news)
	return told
}

// settle makes what the quorum has answered hold.
func (g *Guard) settle(a answer) {
	g.mu.Lock()
	before := g.agreed.err
	open := map[string]bool{}
	if !a.lost {
		was := g.agreed
		g.agreed.asked, g.agreed.err = true, a.err
		g.agreed.outdated = errors.Is(a.err, ErrOutdated)
		all := g.agreed.outdated
		refused := map[string]bool{}
		for id, wanted := range a.told {
			switch {
			case a.err == nil && wanted && a.open[id]:
				open[id] = true
			case wanted:
				refused[id] = a.err == nil
				all = true // somebody may rely on it
			}
		}
		if a.err == nil && !maps.Equal(refused, was.refused) { // else what it said holds
			g.agreed.refused, g.agreed.stale = refused, true
		}
		g.agreed.all = g.agreed.outdated || was.all && all
		if was.asked != g.agreed.asked || was.outdated != g.agreed.outdated || was.all != g.agreed.all {
			g.agreed.stale = true
		}
	}
	news := g.setAgreed(open)
	g.mu.Unlock()
	g.log(news)
	switch {
	case a.lost:
	case a.err != nil:
		g.quorumFailures.Add(1)
		if before == nil || before.Error() != a.err.Error() {
			g.logger.Warn("quorum of maintenance windows does not answer: what is near is closed", "err", a.err)
		}
	case before != nil:
		g.logger.Info("quorum of maintenance windows answers again")
	}
}

// setAgreed publishes what may be open, if that is anything new.
func (g *Guard) setAgreed(open map[string]bool) []news {
	if g.agreed.stale || !maps.Equal(open, g.agreed.open) {
		g.agreed.open, g.agreed.stale = open, false
		g.advance(time.Now(), true)
	}
	return g.takeNews()
}

// wanted is what the quorum is to be told of a snapshot.
func (g *Guard) wanted(s *snapshot) map[string]bool {
	windows := map[string]bool{}
	on := map[string]bool{}
	for _, n := range s.near { // those that are on come first
		id := n.Window.ID
		switch {
		case !n.asks:
		case n.isOn():
			on[id] = true
			windows[id] = windows[id] || n.progress.gate.Load() != gateSealed || g.bypassing(n.Window) > 0
		case !on[id]:
			windows[id] = true
		}
	}
	return windows
}

// consult has the quorum asked when there is something new to tell.
func (g *Guard) consult(s *snapshot) {
	if g.opts.Quorum == nil || maps.Equal(g.wanted(s), g.agreed.told) {
		return
	}
	select {
	case g.question <- struct{}{}:
	default:
	}
}

// addUnagreed adds a window that is over and stays closed until the quorum agrees that
// it may be open; false when it does not.
func (g *Guard) addUnagreed(s *snapshot, p *progress, now time.Time) bool {
	if !p.asked || g.agreed.open[p.key.id] {
		p.asked = false
		return false
	}
	n := &near{WindowState: p.last, progress: p, local: p.local, asks: true, waits: true}
	p.seen = s
	s.differs = true
	g.addNear(s, n, now)
	return true
}

// addAll adds all windows of the document that close anything and are not near.
func (g *Guard) addAll(s *snapshot, now time.Time) {
	for w := range s.schedule.Windows() {
		if !w.Mode.Closes() || s.named(w.ID) != nil {
			continue
		}
		o, isLocal := s.localized(s.schedule.Current(w, now))
		phase := o.Phase(now)
		g.addNear(s, &near{
			WindowState: schedule.WindowState{Occurrence: o, Phase: phase}, progress: &progress{told: phase},
			local: isLocal, asks: true, waits: !g.agreed.open[w.ID],
		}, now)
	}
}

// quorumProblem is why the quorum did not answer.
func (g *Guard) quorumProblem() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.agreed.err
}
