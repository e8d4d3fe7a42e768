package downtime

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A closure is how long one request or piece of work is refused: by a window, and by those that follow
// it without a gap.
type closure struct {
	by    *occurrence
	until time.Time // the end of the last window in the chain; the zero time means unknown
}

const (
	bootRetry    = 10 * time.Second
	overrunRetry = time.Minute
)

// closure follows the chain of windows that refuse an asking, beginning with by.
func (a *asking) closure(by *occurrence, long bool, now time.Time) closure {
	c := closure{by: by}
	at := now.Add(bootRetry) // the end of the chain so far
	switch end := by.end(); {
	case by.phase == schedule.PhaseOverrun: // it may be over at any moment
		at = now.Add(overrunRetry)
	case end.After(now):
		at, c.until = end, end
	}
	request := schedule.Request{HTTP: a.http}
	links := 0
	for grows := true; grows; {
		grows = false
		for _, o := range a.view.following(by, now) {
			if links == maxFollowing {
				return c
			}
			from := o.Start
			if long {
				from = o.Cutoff()
			}
			if from.After(at) || !o.End.After(at) ||
				!refuses(o.Window.Mode, a.effect) || !a.inScope(&o.Window.Scope, &request) || a.visitor.lets(o) {
				continue
			}
			at, c.until, grows = o.End, o.End, true
			links++
		}
	}
	return c
}

// end returns the planned end of the closure, which may be past. The zero time means unknown.
func (c closure) end() time.Time {
	if c.until.IsZero() {
		return c.by.end()
	}
	return c.until
}

// retryAfter returns the time to the end plus jitter, at most RetryMax. At that bound the jitter is
// subtracted, so that clients still come back at different times.
func (o *Options) retryAfter(c closure) time.Duration {
	wait, length := bootRetry, bootRetry
	if end := cmp.Or(c.until, c.by.until()); !end.IsZero() {
		length = end.Sub(c.by.Start)
		if left := time.Until(end); left > 0 { // otherwise it takes longer than planned
			wait = left
		}
	}
	if c.by.phase == schedule.PhaseOverrun && c.until.IsZero() {
		wait = min(wait, overrunRetry) // it may be over at any moment
	}
	jitter := time.Duration(0)
	if most := min(o.RetryJitter, o.RetryMax/2, length/4); most > 0 {
		jitter = rand.N(most)
	}
	if wait+jitter > o.RetryMax {
		wait = min(wait, o.RetryMax-jitter)
	} else {
		wait += jitter
	}
	return max(time.Second, wait)
}

func (o *Options) unavailable(c closure) *UnavailableError {
	refused := &UnavailableError{
		Window: c.by.Window.ID, Mode: c.by.Window.Mode, Reason: c.by.reason(),
		Until: c.end(), RetryAfter: o.retryAfter(c),
	}
	if c.by.phase == schedule.PhaseOverrun {
		refused.Until = c.until
	}
	return refused
}

const (
	maxFollowing = 1000           // occurrences of a chain that are not near yet
	maxLooked    = 10_000         // occurrences that are searched for them
	maxCutoff    = 24 * time.Hour // a longer cutoff is ignored
)

// following caches the occurrences that may come after a window.
type following struct {
	mu sync.Mutex
	of map[*occurrence][]*occurrence
}

// following returns the occurrences that may prolong what by closes: their scopes overlap with by's, and
// they begin before by or another of them ends. They are in the order of their start, and are found once
// for a view.
func (v *view) following(by *occurrence, now time.Time) []*occurrence {
	v.chains.mu.Lock()
	defer v.chains.mu.Unlock()
	found, known := v.chains.of[by]
	if !known {
		found = v.follow(by, now)
		if v.chains.of == nil {
			v.chains.of = map[*occurrence][]*occurrence{}
		}
		v.chains.of[by] = found
	}
	return found
}

func (v *view) follow(by *occurrence, now time.Time) []*occurrence {
	if v.schedule == nil || by.Window.ID == "" {
		return nil
	}
	var candidates []*occurrence
	add := func(o *occurrence) {
		if o != by && o.Window.Mode.Closes() && o.End.After(now) && by.Window.Scope.Meets(&o.Window.Scope) {
			candidates = append(candidates, o)
		}
	}
	for _, o := range v.followed {
		if o.phase != schedule.PhaseCompleted && o.phase != schedule.PhaseOverrun {
			add(o)
		}
	}
	// An unknown end counts as soon: only the next hour is searched.
	until := now.Add(time.Hour)
	if end := by.until(); end.After(until) {
		until = end
	}
	for _, o := range candidates {
		if o.isOn() && o.End.After(until) {
			until = o.End
		}
	}
	looked, near := 0, len(candidates)
	for planning := range v.schedule.Occurrences(now, now.Add(schedule.MaxDuration)) {
		if looked++; looked > maxLooked || len(candidates) >= near+maxFollowing || planning.Start.After(until.Add(maxCutoff)) {
			break
		}
		if v.followed[keyOf(planning)] == nil { // otherwise it is a candidate with its times in this process
			add(&occurrence{Occurrence: planning})
		}
		if !planning.Cutoff().After(until) && planning.End.After(until) {
			until = planning.End
		}
	}
	slices.SortFunc(candidates, func(a, b *occurrence) int { return a.Start.Compare(b.Start) })
	return candidates
}
