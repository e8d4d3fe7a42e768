package downtime

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// progress is what the guard has seen of one occurrence. It outlives snapshots.
type progress struct {
	key      occurrenceKey
	mode     schedule.Mode // a window that changes its mode or scope on the way
	scope    string
	refused  atomic.Int64  // what it refused; of a rehearsal, what it would have
	bypassed atomic.Int64  // requests let in all the same
	began    time.Time     // when a snapshot first had it in progress
	quiet    atomic.Int64  // from then to when it was first seen quiet, in ns, and one more; 0: not yet
	gate     atomic.Uint32 // gateOpen, gateSealing or gateSealed

	// The rest is under the guard's mutex.
	told       schedule.Phase       // the phase that was told last
	last       schedule.WindowState // what was published last
	local      bool                 // last is not what the document says
	seen       *snapshot            // the last that it was in
	reminded   time.Time            // reminders up to then were told, or came too early
	drained    bool                 // Drain has said here that it is quiet
	asked      bool                 // the quorum was told of it while it was in progress
	unfinished bool                 // it was over, and its work seemed not to have ended
}

// The gate of a closing window in progress, for [Guard.Hold].
const (
	gateOpen    = iota // what was admitted may hand work on
	gateSealing        // whether it may is being found out
	gateSealed         // the window is quiet: nothing may, to its end
)

// occurrenceKey tells occurrences apart.
type occurrenceKey struct {
	id      string
	planned int64
}

func keyOf(o schedule.Occurrence) occurrenceKey { return occurrenceKey{o.Window.ID, o.Planned.Unix()} }

// setBack is by how much a clock may be set back after a window's end before the
// window is in progress again.
const setBack = time.Minute

// follow returns the progress of an occurrence that is not over by the clock, and its
// phase now. It is nil for one that was over before the clock was set back a little.
//
// The clock alone never takes a phase back: a window that was announced or has begun
// stays so when the clock is set back, for people were told, perhaps even that it is
// quiet. Only a document, or a command, puts it off, and then it begins anew.
func (g *Guard) follow(o schedule.Occurrence, now time.Time) (*progress, schedule.Phase) {
	phase := o.Phase(now)
	p := g.progress[keyOf(o)]
	if p == nil {
		return g.begin(o, schedule.PhaseOpen, now), phase
	}
	same := p.mode == o.Window.Mode && p.scope == o.Window.Scope.Key()
	untouched := same && p.last.Start.Equal(o.Start) && p.last.End.Equal(o.End) &&
		p.last.Announced().Equal(o.Announced()) && p.last.Cutoff().Equal(o.Cutoff())
	switch {
	case untouched && p.last.Phase == schedule.PhaseCompleted:
		if o.End.Sub(now) <= setBack {
			return nil, phase
		}
	case untouched:
		if phase.Before(p.last.Phase) {
			phase = p.last.Phase
		}
		return p, phase
	case same && p.last.Phase.Before(schedule.PhaseInProgress), same && p.last.Phase.Before(schedule.PhaseCompleted) && phase == schedule.PhaseInProgress:
		return p, phase
	}
	return g.begin(o, p.told, now), phase
}

// begin begins to follow an occurrence, of which told was told so far.
func (g *Guard) begin(o schedule.Occurrence, told schedule.Phase, now time.Time) *progress {
	p := &progress{
		key: keyOf(o), mode: o.Window.Mode, scope: o.Window.Scope.Key(),
		told: told, reminded: now.Round(0).Add(-1),
	}
	g.progress[p.key] = p
	return p
}

// snapshotAt makes the snapshot for now.
func (g *Guard) snapshotAt(now time.Time) *snapshot {
	s := &snapshot{}
	if g.document == nil {
		if w := g.opts.Boot.window(); w != nil {
			g.addStandIn(s, w, now)
		}
	} else {
		g.addWindows(s, g.document.Value, now)
	}
	if g.opts.Quorum != nil && (!g.agreed.asked || g.agreed.outdated) {
		g.addStandIn(s, quorumWindow(), now)
	}
	s.seal()
	return s
}

// addStandIn adds what is in progress for want of knowledge.
func (g *Guard) addStandIn(s *snapshot, w *schedule.Window, now time.Time) {
	g.addNear(s, &near{
		WindowState: schedule.WindowState{Occurrence: schedule.Occurrence{Planned: g.begun, Start: g.begun, Window: w}, Phase: schedule.PhaseInProgress},
		progress:    &progress{},
	}, now)
}

func (g *Guard) addNear(s *snapshot, n *near, now time.Time) {
	n.pages = sync.OnceValue(func() *pages { return newPages(n, &g.opts, now) })
	s.near = append(s.near, n)
}

// addWindows adds the windows of the schedule that matter now, and of those that are
// over the ones that are not let go yet.
func (g *Guard) addWindows(s *snapshot, document *schedule.Schedule, now time.Time) {
	s.schedule, s.locals = document, g.currentLocals(document, now)
	few := few(document, now)
	for o := range document.Pending(now) {
		g.addPending(s, o, few, now)
	}
	for _, l := range s.locals {
		if o := l.of; !now.Before(o.End) { // else it is pending
			g.addPending(s, o, few, now)
		}
	}
	g.addEnded(s, now)
	if g.agreed.all {
		g.addAll(s, now)
	}
}

// addPending adds an occurrence of the document, as it is here.
func (g *Guard) addPending(s *snapshot, o schedule.Occurrence, few bool, now time.Time) {
	documented := o
	o, isLocal := s.localized(o)
	if isLocal {
		s.due(documented.Next(now)) // then something else may be pending
	}
	if !now.Before(o.End) {
		return
	}
	if from := o.Announced().Add(-lead - askAhead); now.Before(from) && !few && !isLocal {
		s.due(from)
		return
	}
	p, phase := g.follow(o, now)
	if p == nil {
		return
	}
	s.due(o.Next(now))
	for _, r := range g.opts.Reminders {
		if at := o.Start.Add(-r); at.After(now) && r <= o.Window.Announce {
			s.due(at)
		}
	}
	n := g.add(s, p, o, phase, now)
	p.local = isLocal
	n.local = isLocal
	if isLocal {
		s.differs = true
	}
	if g.opts.Quorum == nil || !o.Window.Mode.Closes() || schedule.PhaseCutoff.Before(phase) {
		return
	}
	// The quorum is asked a little before its word is needed, so that a window that comes
	// near does not close anything for a moment.
	needed := o.Announced()
	if at := o.Start.Add(-lead); at.Before(needed) {
		needed = at
	}
	ask := needed.Add(-askAhead)
	n.asks = !now.Before(ask) || g.agreed.all
	n.waits = (!now.Before(needed) || g.agreed.all || g.agreed.refused[o.Window.ID]) && !g.agreed.open[o.Window.ID]
	for _, at := range [...]time.Time{ask, needed} {
		if at.After(now) {
			s.due(at)
		}
	}
}

// add adds an occurrence whose progress is p.
func (g *Guard) add(s *snapshot, p *progress, o schedule.Occurrence, phase schedule.Phase, now time.Time) *near {
	p.last, p.seen = schedule.WindowState{Occurrence: o, Phase: phase}, s
	if phase == schedule.PhaseInProgress && p.began.IsZero() {
		p.began = now
	}
	n := &near{WindowState: p.last, progress: p, overrunMax: g.opts.OverrunMax}
	if phase == schedule.PhaseInProgress || phase == schedule.PhaseOverrun {
		n.asks = g.opts.Quorum != nil && o.Window.Mode.Closes()
		p.asked = p.asked || n.asks
	}
	g.addNear(s, n, now)
	return n
}

// addEnded goes through what is followed and not in the snapshot, for it is over,
// withdrawn, or lost.
func (g *Guard) addEnded(s *snapshot, now time.Time) {
	for key, p := range g.progress {
		if p.seen == s {
			continue
		}
		o := p.last.Occurrence
		timeIsUp := !now.Before(o.End)
		switch {
		case p.last.Phase == schedule.PhaseCompleted:
			if !g.addUnagreed(s, p, now) && now.Sub(o.End) > lead {
				delete(g.progress, key)
			}
		case p.last.Phase.Before(schedule.PhaseInProgress) && !timeIsUp:
			g.tell(p, schedule.PhaseOpen, now)
			delete(g.progress, key)
		case p.last.Phase.Before(schedule.PhaseInProgress):
			g.complete(s, p, now) // while the machine slept
		case !timeIsUp && p.local && s.schedule.Window(key.id) == nil && !s.schedule.AllowShrink() && !s.wasCompleted(o):
			// The document has lost what was begun here. It is kept to its end, as what
			// the document itself had in progress is by Schedule.keeping.
			s.due(o.End)
			g.add(s, p, o, p.last.Phase, now).local = true
			s.differs = true
		case timeIsUp && g.overruns(s, p, now):
			if w := s.schedule.Window(key.id); w != nil && w.Mode == p.mode && w.Scope.Key() == p.scope {
				o.Window = w // it may say more by now
			}
			s.due(o.End.Add(g.opts.OverrunMax))
			g.add(s, p, o, schedule.PhaseOverrun, now).local = p.local
			s.differs = true
		default:
			g.complete(s, p, now)
		}
	}
}

// complete notes that an occurrence is over, and when.
func (g *Guard) complete(s *snapshot, p *progress, now time.Time) {
	p.unfinished = !now.Before(p.last.End) && g.isUnfinished(s, p)
	if w := s.schedule.Window(p.key.id); w != nil {
		if o, isLocal := s.localized(s.schedule.Current(w, now)); keyOf(o) == p.key && !now.Before(o.End) {
			p.last.Start, p.last.End, p.local = o.Start, o.End, isLocal // when it was over
		}
	}
	p.last.Phase = schedule.PhaseCompleted
	if schedule.PhaseOpen.Before(p.told) {
		g.tell(p, schedule.PhaseCompleted, now)
	}
	g.addUnagreed(s, p, now)
}

// overruns says whether an occurrence whose end has come is held closed: its work is
// unfinished, and nobody has said otherwise.
func (g *Guard) overruns(s *snapshot, p *progress, now time.Time) bool {
	return p.last.Window.Overrun == schedule.OverrunHold && now.Before(p.last.End.Add(g.opts.OverrunMax)) && g.isUnfinished(s, p)
}

// isUnfinished says whether the work that the window is for seems to go on in this
// process: something runs by a bypass in its scope, or somebody was told here that it is
// quiet, and neither Complete nor actual.end has ended it.
func (g *Guard) isUnfinished(s *snapshot, p *progress) bool {
	w := p.last.Window
	if !w.Mode.Closes() || p.last.Phase.Before(schedule.PhaseInProgress) || s.wasCompleted(p.last.Occurrence) {
		return false
	}
	return p.drained || g.bypassing(w) > 0
}

// wasCompleted says whether somebody has ended the occurrence, here or in the document.
func (s *snapshot) wasCompleted(o schedule.Occurrence) bool {
	if l := s.locals[keyOf(o)]; l != nil && !l.completed.IsZero() {
		return true
	}
	if s.schedule == nil {
		return false
	}
	w := s.schedule.Window(o.Window.ID)
	switch {
	case w == nil || w.Actual.End.IsZero():
		return false
	}
	if documented, ok := w.Occurrence(o.Planned); ok {
		return !documented.Actual().End.IsZero()
	}
	return !w.Actual.End.Before(o.Start) // as Schedule.Keeping has it
}

// bypassing is how much runs in the window's scope by a bypass.
func (g *Guard) bypassing(w *schedule.Window) (n int) {
	g.running.each(0, func(c *class, _ time.Duration) {
		if counts, _ := c.counts(w); counts && c.bypassed {
			n++
		}
	})
	return n
}

// overrunIsOver says whether a window that overruns has no reason to any more.
func (g *Guard) overrunIsOver(s *snapshot) bool {
	if s == nil {
		return false
	}
	for _, n := range s.near {
		if n.Phase == schedule.PhaseOverrun && !g.isUnfinished(s, n.progress) {
			return true
		}
	}
	return false
}
