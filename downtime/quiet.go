package downtime

import (
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// maxKinds bounds the kinds of work in a report. Further ones are kindOther.
const (
	maxKinds  = 1000
	kindOther = "other"
)

// busy is what keeps a window from being quiet.
type busy struct {
	n, bypassed int
	uncut       int // the grace is over and they cannot be cut
	oldest      time.Duration
	kinds       map[string]int
}

// counts reports whether an entry keeps the window busy. Entries that a rehearsal would have refused do
// not. Held entries do, because they belong to admitted ones.
func (o *occurrence) counts(e *entry) bool {
	switch {
	case o.Window.Mode == schedule.ModeReadOnly && e.effect == EffectRead:
		return false
	case o.Window.Mode == schedule.ModeRehearse && !e.held && o.epoch > 0 && e.epoch >= o.epoch:
		return false
	}
	return e.isIn(&o.Window.Scope)
}

// countBusy counts the entries that keep a window busy. In a sealed window only those that bypass it do,
// because all others are about to be refused.
func (r *running) countBusy(o *occurrence, sealed bool) (b busy) {
	now := time.Since(r.begun)
	r.each(func(e *entry) {
		if sealed && !e.bypassed || !o.counts(e) {
			return
		}
		b.n++
		if e.bypassed {
			b.bypassed++
		}
		if e.task != nil && e.task.overdue.Load() {
			b.uncut++
		}
		b.oldest = max(b.oldest, now-e.since)
		if b.kinds == nil {
			b.kinds = map[string]int{}
		}
		kind := e.kind
		if len(b.kinds) >= maxKinds && b.kinds[kind] == 0 {
			kind = kindOther
		}
		b.kinds[kind]++
	})
	return b
}

// measure counts what keeps a window busy, and seals the window if nothing does. The view of the occurrence
// must have been published before, because otherwise entries may be admitted that are not counted.
func (r *running) measure(o *occurrence, now time.Time) (b busy, sealed bool) {
	closes := o.isOn() && o.Window.Mode.Closes()
	sealed = closes && o.sealed.Load()
	b = r.countBusy(o, sealed)
	switch {
	case b.n > 0 || sealed:
	case closes:
		if sealed = r.seal(o, now); !sealed { // work was held after the count
			b = r.countBusy(o, false)
		}
	case o.drains():
		o.noteQuiet(now)
	}
	return b, sealed
}

// seal seals a window if it is quiet.
//
// One count over all shards is not enough: admitted work in a shard that is counted later may hold work
// in one that was counted before, and then end. So the shards are counted again with sealing held. During
// that, new entries cannot be admitted: Enter and handlers see the window, and Hold counts first and then
// waits in isSealed. So if the second count is zero, nothing runs and nothing can begin.
func (r *running) seal(o *occurrence, now time.Time) bool {
	r.sealing.Lock()
	defer r.sealing.Unlock()
	if !o.sealed.Load() && r.countBusy(o, false).n == 0 {
		o.noteQuiet(now)
		o.sealed.Store(true)
	}
	return o.sealed.Load()
}

// isSealed reports whether held work is refused too. It waits while seal runs.
func (r *running) isSealed(o *occurrence) bool {
	r.sealing.Lock()
	defer r.sealing.Unlock()
	return o.sealed.Load()
}

func (o *occurrence) noteQuiet(now time.Time) {
	o.quiet.CompareAndSwap(0, max(0, int64(now.Sub(o.began)))+1)
}

func (r *running) bypassing(o *occurrence) bool {
	found := false
	r.each(func(e *entry) { found = found || e.bypassed && o.counts(e) })
	return found
}
