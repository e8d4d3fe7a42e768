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

// A Guard stands in front of a service and refuses what a window closes. It counts what it
// admits, so that it can report when nothing runs any more. All methods may be called from
// any goroutine.
//
// # Count, then check
//
// What is admitted is counted first; then the guard checks that the state that admitted it
// still holds. A guard that closes first publishes the closed state and then looks at the
// counts. So either the entry was counted before and is seen, or it sees the change, is
// uncounted, and asks again. Refused requests are never counted.
//
// A window is quiet only when nothing can begin any more, not even by [Guard.Hold]. It stays
// quiet, unless an operator bypasses it.
//
// # The document
//
// The document is the fleet's state: every replica and every restart sees what it says. A
// document that cannot be read or parsed changes nothing. After an earlier good document, a
// fault affects its own window only, which keeps its last good definition: see
// [schedule.Update]. All faults are in [Guard.Problems] at once. With [Options].Strict a fault
// refuses the whole document.
//
// A window that the document loses while in progress, or whose edited times would end it, is kept to its end, unless the
// document says "allowShrink: true"; of a window that repeats only the occurrence in progress
// is kept. A restart forgets it. End a window with actual.end.
//
// [Guard.Begin], [Guard.Complete] and [Guard.Extend] are for one process in need: until
// the document says otherwise, or the process ends.
//
// # Overrun
//
// At the planned end of a window its work counts as unfinished in a process where [Guard.Drain]
// has reported quiet and neither Complete nor actual.end has followed, or where something that
// bypasses the window runs. With "overrun: hold", the default, the window then stays closed
// ([schedule.PhaseOverrun]) until it is completed or extended, or what bypasses it has ended,
// for [Options].OverrunMax at most. With "overrun: reopen" it opens. Both are logged as errors
// and are [Guard.Events]. After Drain, call Complete in the same process or set actual.end in
// the document.
//
// Without [Options].Quorum, "overrun: hold" is about one process: the other replicas open at the
// end of the window, and a restart forgets it. [Report].Alone says so. With a [FleetQuorum], such
// as those of package quorum, unfinished work holds in all replicas, and a restart of a
// replica does not forget it.
//
// Unfinished work belongs to the occurrence, whatever is edited meanwhile. After Drain has
// reported quiet, an edit that would open something is held back, and is a problem, as when a
// window vanishes: "mode: announce" or "mode: rehearse", a later start, an end in the past, or a
// scope with less in it. What the edit closes besides is closed at once, and "mode: read-only"
// lets reads pass at once. Complete, actual.end and "allowShrink: true" open the window at once.
//
// # The clock
//
// A clock that is set, and a machine that has slept, are noticed within a second. A clock
// that is set back opens nothing: an announced window stays announced, and a window in
// progress stays closed until its end by the clock, a document or a command. A window that is
// over closes again if its end is more than a minute ahead.
//
// A window in progress ends when both the wall clock and the monotonic clock have passed its
// end, so that nothing opens between a step of the wall clock and its correction. A
// disagreement above one minute is a problem. The monotonic clock stops while a machine is
// suspended. So a disagreement keeps a window closed for at most [Options].OverrunMax, and
// then the wall clock alone counts. Complete and actual.end open the window at once.
type Guard struct {
	opts   Options
	pass   *passes
	bypass *bypass // nil: nobody may
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
	wake     bell          // there is a new document, or a window was found quiet
	asking   sync.WaitGroup

	asker          *asker // nil: there is no quorum
	quorumFailures atomic.Int64

	// Under mu, which is held to look at the clock and to publish a view.
	mu       sync.Mutex
	document *live.Snapshot[schedule.Schedule]
	followed map[occurrenceKey]*occurrence
	agreed   agreement
	fresh    bool // no document was looked at yet
	ticked   instant
	notifier notifier
	graces   graces
}

const (
	slowTick = time.Second            // the clock is looked at, at least
	fastTick = 100 * time.Millisecond // the same, while what runs matters
	runUp    = time.Minute            // before a window, in which it matters already
)

// Close stops the watching of document and clock, and the subscriptions of [Guard.Events]. The
// guard stays as it is: what is closed stays closed. With a quorum it closes besides what it
// needed the quorum's answer for. Close may be called more than once.
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

// pause is the time to the next tick. The wall clock may be set, and a machine may
// sleep, so that no timer is ever trusted for longer than a second.
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

// An instant is what both clocks show. That of now alone is of no use once it is compared.
type instant struct {
	now  time.Time     // by the wall clock
	mono time.Duration // by the monotonic clock, since the guard's start
}

func (g *Guard) instant(now time.Time) instant { return instant{now, now.Sub(g.running.begun)} }

// isSteady reports whether the wall clock has gone on since then as the monotonic clock has.
func (i instant) isSteady(before instant) bool {
	const much = 100 * time.Millisecond
	passed := i.now.Round(0).Sub(before.now.Round(0))
	return passed >= 0 && (passed-(i.mono-before.mono)).Abs() < much
}

// update does something under mu, and logs what follows from it.
func (g *Guard) update(do func()) {
	g.mu.Lock()
	do()
	news := g.notifier.news
	g.notifier.news = nil
	cuts := g.graces.cuts
	g.graces.cuts = nil
	g.mu.Unlock()
	for _, c := range cuts {
		c.do()
	}
	g.notifier.log(news)
}

// A change is why a view is made before it is due.
type change struct {
	command *said // what was just said
	of      schedule.Occurrence
}

// advance looks at the clock, and publishes a new view where one is due, or something
// has changed. mu is held.
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
		v = g.look(at, because)
		g.view.Store(v)
	}
	for _, o := range v.shown {
		if o.drains() {
			g.running.look(o, now)
		}
	}
	g.endStreams(v, now, due)
	g.cutOverdue(v, now)
	g.notifier.tell(v, document, now)
	if g.asker != nil && !maps.Equal(g.wanted(v), g.agreed.told) {
		g.asker.again.ring()
	}
	if due {
		g.changed.tell()
		g.published.tell()
	}
}

func (g *Guard) look(at instant, because *change) *view {
	v := &view{epoch: 1, known: map[occurrenceKey]*occurrence{}}
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
	g.followed = v.known
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
		// What has ended not long ago may be held by other replicas, or may be unfinished since
		// before this process began.
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

// moved are the occurrences that are followed. Where the document has moved the start of a
// drained one, it is the same occurrence under another key, because its work is.
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

// endedByDocument reports whether by the document's actual.end the occurrence is over.
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

// overrunIsOver reports whether a window that overruns has no reason to any more.
func (g *Guard) overrunIsOver(v *view) bool {
	return slices.ContainsFunc(v.shown, func(o *occurrence) bool {
		return o.phase == schedule.PhaseOverrun && !o.drained.Load() && !g.agreed.isUnfinished(o) && !g.running.bypassing(o)
	})
}

// wanted is what the quorum is to be told of a view.
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
