package downtime

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A Guard refuses requests and work that a window closes, counts what it admits, and reports when
// nothing runs any more. [Open] creates one. It follows the document until [Guard.Close]; after
// Close, closed windows stay closed. If the document cannot be read, closed windows stay closed
// and open ones stay open. All methods may be called from any goroutine. The package comment has
// the rules on faults, unfinished work and clocks.
type Guard struct {
	opts   Options
	pass   *passes
	bypass *bypass // nil: without a bypass
	keeper *live.Keeper[schedule.Schedule]

	// Read and written by every request.
	view        atomic.Pointer[view] // stored under mu
	running     *running
	refused     atomic.Int64
	wouldRefuse atomic.Int64 // by rehearsals
	cut         atomic.Int64 // when the grace was over

	streams   streams
	held      heldNames
	changed   broadcast // a view was published, or something left
	published broadcast // a view was published

	lifetime context.Context // ends when Close is called
	cancel   context.CancelFunc
	ended    chan struct{} // closed when the guard's goroutine has ended
	wake     bell          // wakes the guard's goroutine
	asking   sync.WaitGroup

	asker          *asker // nil: without a quorum
	quorumFailures atomic.Int64

	// Under mu, which is held to look at the clock and to publish a view.
	mu       sync.Mutex
	document *live.Snapshot[schedule.Schedule]
	followed map[occurrenceKey]*occurrence
	agreed   agreement
	fresh    bool // no document was processed yet
	ticked   instant
	notifier notifier
	graces   graces
}

const (
	slowTick = time.Second            // the longest time between two ticks
	fastTick = 100 * time.Millisecond // the same near a window and while one drains
	runUp    = time.Minute            // near: this long before a window's start
)

// Close stops following the document and the clock, and ends the loops over [Guard.Events]. Closed
// windows stay closed. With a quorum, Close also closes the windows that were open by the quorum's
// answer. Close may be called more than once.
func (g *Guard) Close() error {
	g.cancel()
	<-g.ended
	g.asking.Wait()
	return g.keeper.Close()
}

func (g *Guard) run(ctx context.Context) {
	defer close(g.ended)
	timer := time.NewTimer(g.pause(time.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-timer.C:
		}
		now := time.Now()
		g.tick(now)
		timer.Reset(g.pause(now))
	}
}

// pause returns the time to the next tick, at most one second, because the wall clock may be set
// and the machine may be suspended.
func (g *Guard) pause(now time.Time) time.Duration {
	v := g.view.Load()
	pause := slowTick
	for _, o := range v.shown {
		if o.drains() || o.phase.Before(schedule.PhaseInProgress) && o.Window.Mode != schedule.ModeAnnounce && o.Start.Sub(now) < runUp {
			pause = fastTick
		}
	}
	if g.streams.due.Load() {
		pause = fastTick
	}
	if !v.next.IsZero() {
		pause = min(pause, v.next.Sub(now))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if next := g.graces.next; !next.IsZero() {
		pause = min(pause, next.Sub(now))
	}
	return max(pause, time.Nanosecond)
}

func (g *Guard) tick(now time.Time) {
	g.update(func() { g.advance(g.instant(now), nil) })
}

// An instant has the readings of both clocks. The monotonic reading inside of now is not used.
type instant struct {
	now  time.Time     // by the wall clock
	mono time.Duration // by the monotonic clock, since the guard's start
}

func (g *Guard) instant(now time.Time) instant { return instant{now, now.Sub(g.running.begun)} }

// isSteady reports whether both clocks have advanced by the same time since before.
func (i instant) isSteady(before instant) bool {
	const much = 100 * time.Millisecond
	passed := i.now.Round(0).Sub(before.now.Round(0))
	return passed >= 0 && (passed-(i.mono-before.mono)).Abs() < much
}

// update calls do with mu held, and then logs and cuts what do has collected.
func (g *Guard) update(do func()) {
	g.mu.Lock()
	do()
	records := g.notifier.records
	g.notifier.records = nil
	cuts := g.graces.cuts
	g.graces.cuts = nil
	g.mu.Unlock()
	for _, c := range cuts {
		c.do()
	}
	g.notifier.log(records)
}

// A change is the reason why a view is made before it is due.
type change struct {
	command *said
	of      schedule.Occurrence
}

// advance publishes a new view if one is due or something has changed. mu is held.
func (g *Guard) advance(at instant, because *change) {
	now := at.now
	g.running.tick(at.mono)
	v := g.view.Load()
	document, err := g.keeper.Snapshot(), g.keeper.Status().Err
	due := document == nil && g.notifier.isNew(err) || because != nil || v == nil || document != g.document ||
		!v.next.IsZero() && !now.Before(v.next) ||
		!at.isSteady(g.ticked) || g.overrunIsOver(v)
	g.notifier.noteDocument(document, document != g.document, err, now)
	g.document, g.ticked = document, at
	if due {
		v = g.newView(at, because)
		g.view.Store(v)
	}
	for _, o := range v.shown {
		if o.drains() {
			g.running.measure(o, now)
		}
	}
	g.endStreams(v, now, due)
	g.cutOverdue(v, now)
	g.notifier.emit(v, document, now)
	if g.asker != nil && !maps.Equal(g.wanted(v), g.agreed.sent) {
		g.asker.again.ring()
	}
	if due {
		g.changed.notify()
		g.published.notify()
	}
}

func (g *Guard) newView(at instant, because *change) *view {
	v := &view{epoch: 1, followed: map[occurrenceKey]*occurrence{}}
	if before := g.view.Load(); before != nil {
		v.epoch = before.epoch + 1
	}
	if g.document != nil {
		g.step(v, at, because)
	} else if w := g.opts.Boot.window(g.keeper.Status().Err); w != nil {
		v.add(standIn(w, g.running.begun))
	}
	if g.asker != nil && g.agreed.closed {
		v.add(standIn(&schedule.Window{
			Timezone: time.UTC, Mode: schedule.ModeClosed,
			Message: "The service is closed for a moment, until all of its replicas agree.",
		}, g.running.begun))
	}
	v.complete()
	return v
}

func (g *Guard) step(v *view, at instant, because *change) {
	s, now := g.document.Value, at.now
	v.schedule = s
	before := g.moved(s, now)
	g.followed = v.followed
	seen := map[occurrenceKey]bool{}
	step := func(key occurrenceKey, planned *schedule.Occurrence) {
		if seen[key] {
			return
		}
		seen[key] = true
		var o occurrence
		if was := before[key]; was != nil {
			o = *was
		}
		f := facts{
			now: now, mono: at.mono, epoch: v.epoch,
			planned: planned, lost: s.Window(key.id) == nil, allowShrink: s.AllowShrink(),
			reminders: g.opts.Reminders, overrunMax: g.opts.OverrunMax,
		}
		if g.asker != nil {
			f.quorum = &g.agreed
		}
		if because != nil && because.command != nil && keyOf(because.of) == key {
			f.command = because.command
		}
		if o.tally != nil {
			f.ended, f.drained = endedByDocument(s, o.Occurrence), o.drained.Load() || g.agreed.isUnfinished(&o)
			f.working = o.isOn() && !now.Before(o.End) && g.running.bypassing(&o)
		}
		o = o.step(f)
		if o.gone {
			v.due(o.next)
			g.notifier.forget(key, &o, now)
			return
		}
		v.add(&o)
	}
	for o := range s.Pending(now) {
		step(keyOf(o), &o)
	}
	if g.asker != nil && g.fresh {
		// Other replicas may hold a window that ended a short time ago, and its work may be
		// unfinished since before this process started.
		g.fresh = false
		for o := range s.Occurrences(now.Add(-g.opts.OverrunMax), now) {
			if !now.Before(o.End) && o.Window.Mode.Closes() && o.Actual().End.IsZero() {
				step(keyOf(o), &o)
			}
		}
	}
	for key, o := range before {
		if w := s.Window(key.id); w != nil {
			if planned, ok := w.Occurrence(o.Planned); ok {
				step(key, &planned)
				continue
			}
		}
		step(key, nil)
	}
	if because != nil && because.command != nil {
		step(keyOf(because.of), &because.of)
	}
	if g.asker != nil && g.agreed.all {
		for w := range s.Windows() {
			if o := s.Current(w, now); w.Mode.Closes() {
				step(keyOf(o), &o)
			}
		}
	}
}

// moved returns the occurrences that are followed. If the document has moved the start of a drained
// one, its work continues, so it stays the same occurrence under a new key.
func (g *Guard) moved(s *schedule.Schedule, now time.Time) map[occurrenceKey]*occurrence {
	followed, cloned := g.followed, false
	for key, o := range g.followed {
		w := s.Window(key.id)
		if w == nil || !o.isOn() || !o.drained.Load() {
			continue
		}
		if _, planned := w.Occurrence(o.Planned); planned {
			continue
		}
		to := s.Current(w, now)
		if was := g.followed[keyOf(to)]; to.Phase(now) != schedule.PhaseInProgress || was != nil && was.isOn() {
			continue
		}
		if !cloned { // others read it
			followed, cloned = maps.Clone(g.followed), true
		}
		same := *o
		same.Planned = to.Planned
		followed[keyOf(to)] = &same
		delete(followed, key)
		g.notifier.move(key, keyOf(to))
	}
	return followed
}

// endedByDocument reports whether the document's actual.end has ended the occurrence.
func endedByDocument(s *schedule.Schedule, o schedule.Occurrence) bool {
	w := s.Window(o.Window.ID)
	if w == nil || w.Actual.End.IsZero() {
		return false
	}
	if planned, ok := w.Occurrence(o.Planned); ok {
		return !planned.Actual().End.IsZero()
	}
	return !w.Actual.End.Before(o.Start) // as schedule.Keeping has it
}

// overrunIsOver reports whether the reason for an overrun has ended.
func (g *Guard) overrunIsOver(v *view) bool {
	return slices.ContainsFunc(v.shown, func(o *occurrence) bool {
		return o.phase == schedule.PhaseOverrun && !o.drained.Load() && !g.agreed.isUnfinished(o) && !g.running.bypassing(o)
	})
}

// wanted returns the positions that the quorum needs for a view.
func (g *Guard) wanted(v *view) map[string]Position {
	windows := map[string]Position{}
	for _, o := range v.shown { // those that are on come first, then those that are over
		id := o.Window.ID
		before, known := windows[id]
		switch {
		case !o.asks:
		case o.isOn():
			wanted := !o.sealed.Load() || g.running.bypassing(o)
			if !known || !before.Unfinished && o.drained.Load() {
				windows[id] = o.position(before.Wanted || wanted)
			} else if wanted {
				before.Wanted = true
				windows[id] = before
			}
		case !known:
			windows[id] = o.position(true)
		}
	}
	return windows
}

func (g *Guard) agree(next func(agreement) agreement) {
	g.update(func() {
		before := g.agreed
		g.agreed = next(before)
		if !g.agreed.isLike(&before) {
			g.advance(g.instant(time.Now()), &change{})
		}
	})
}
