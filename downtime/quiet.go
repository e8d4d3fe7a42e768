package downtime

import (
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// maxKinds bounds the kinds of work that a report tells apart.
const (
	maxKinds  = 1000
	kindOther = "other"
)

// busy is what is in the way of a window.
type busy struct {
	n, bypassed int
	uncut       int // the grace is over, and they cannot be cut
	oldest      time.Duration
	kinds       map[string]int
}

// counts reports whether an entry is in the way of the window. What a rehearsal would have
// refused is not; what is held was handed on by what was admitted.
func (o *occurrence) counts(e *entry) bool {
	switch {
	case o.Window.Mode == schedule.ModeReadOnly && e.effect == EffectRead:
		return false
	case o.Window.Mode == schedule.ModeRehearse && !e.held && o.epoch > 0 && e.epoch >= o.epoch:
		return false
	}
	return e.isIn(&o.Window.Scope)
}

// count counts what is in the way of a window. Once that is sealed only what bypasses it
// is: anything else that is counted is about to be turned away.
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

// look counts what is in the way of a window, and seals it when nothing is. The view that
// the occurrence is of must have been published before: only then does what is not counted
// not run.
func (r *running) measure(o *occurrence, now time.Time) (b busy, sealed bool) {
	closes := o.isOn() && o.Window.Mode.Closes()
	sealed = closes && o.sealed.Load()
	b = r.countBusy(o, sealed)
	switch {
	case b.n > 0 || sealed:
	case closes:
		if sealed = r.seal(o, now); !sealed { // something was handed on, past the eye
			b = r.countBusy(o, false)
		}
	case o.drains():
		o.noteQuiet(now)
	}
	return b, sealed
}

// seal finds out whether the window is quiet for good, and makes it so.
//
// That all shards were found without work, one after the other, is not enough: admitted
// work may have been handed on by Hold from a shard not yet looked at to one that was, and
// ended. So the shards are looked at again, with sealing held. What is counted then was
// counted before, because nothing can pass: Enter and handlers see the window, and Hold,
// which counts and then asks isSealed, waits. So nothing that runs can escape the second
// look, and if that finds nothing, nothing will ever run.
func (r *running) seal(o *occurrence, now time.Time) bool {
	r.sealing.Lock()
	defer r.sealing.Unlock()
	if !o.sealed.Load() && r.countBusy(o, false).n == 0 {
		o.noteQuiet(now)
		o.sealed.Store(true)
	}
	return o.sealed.Load()
}

// isSealed reports whether not even held work may begin. Where that is being found out it
// waits.
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
