package flags

import (
	"slices"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

// events passes events to OpenFeature and never waits for it. The queue is bounded: changes of
// the document are merged, and only the latest of the other events is kept.
//
// When Init returns, OpenFeature sets its state from the result and ignores earlier events. So
// events wait while an Init runs, and for afterInit longer.
type events struct {
	out  chan openfeature.Event
	wake chan struct{}

	mu      sync.Mutex
	pending []openfeature.Event
	inits   int           // calls of Init that run
	resume  time.Time     // no event is sent before
	ended   chan struct{} // nil while no goroutine sends
	running sync.WaitGroup
}

// afterInit bounds the time that OpenFeature needs from the return of Init to its own event.
const afterInit = 100 * time.Millisecond

func newEvents() *events {
	return &events{out: make(chan openfeature.Event), wake: make(chan struct{}, 1)}
}

func (e *events) start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended != nil {
		return
	}
	ended := make(chan struct{})
	e.ended = ended
	e.running.Go(func() { e.run(ended) })
}

// stop drops the queue and waits for the goroutine.
func (e *events) stop() {
	e.mu.Lock()
	if e.ended != nil {
		close(e.ended)
		e.ended = nil
	}
	e.pending = nil
	e.mu.Unlock()
	e.running.Wait()
}

func (e *events) send(event openfeature.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change := event.EventType == openfeature.ProviderConfigChange
	e.pending = slices.DeleteFunc(e.pending, func(old openfeature.Event) bool {
		if change != (old.EventType == openfeature.ProviderConfigChange) {
			return false
		}
		if change {
			event.FlagChanges = append(event.FlagChanges, old.FlagChanges...)
		}
		return true
	})
	if change {
		slices.Sort(event.FlagChanges)
		event.FlagChanges = slices.Compact(event.FlagChanges)
	}
	e.pending = append(e.pending, event)
	e.ring()
}

// holdDuringInit holds events back until afterInit after the returned function is called.
func (e *events) holdDuringInit() (returned func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inits++
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.inits--
		e.resume = time.Now().Add(afterInit)
		e.ring()
	}
}

func (e *events) ring() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *events) run(ended <-chan struct{}) {
	for {
		event, wait, ok := e.next()
		switch {
		case ok:
			select {
			case e.out <- event:
			case <-ended:
				return
			}
		case wait > 0:
			select {
			case <-time.After(wait):
			case <-ended:
				return
			}
		default:
			select {
			case <-e.wake:
			case <-ended:
				return
			}
		}
	}
}

// next takes the first event, or returns how long to wait for it. Zero means until wake.
func (e *events) next() (event openfeature.Event, wait time.Duration, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pending) == 0 || e.inits > 0 {
		return event, 0, false
	}
	if wait = time.Until(e.resume); wait > 0 {
		return event, wait, false
	}
	event = e.pending[0]
	e.pending = slices.Delete(e.pending, 0, 1)
	return event, 0, true
}
