package flags

import (
	"slices"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

// events hands events to OpenFeature without ever waiting for it. What nobody reads
// is bounded: changes of the document are merged, and of the states only the latest
// counts.
//
// When Init returns, OpenFeature sets the state that its result stands for, whatever
// events it was given before. So events wait while an Init runs, and a moment longer.
type events struct {
	out  chan openfeature.Event
	wake chan struct{}

	mu      sync.Mutex
	pending []openfeature.Event
	inits   int           // that run
	resume  time.Time     // nothing is handed out before
	ended   chan struct{} // nil while no goroutine hands out
	running sync.WaitGroup
}

// afterInit is how long OpenFeature may take from the return of Init to its event.
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

// stop drops what is waiting and waits for the goroutine.
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

// duringInit holds events back until the function that it returns is called, and a
// moment longer.
func (e *events) duringInit() (returned func()) {
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

// next takes the first event, or says how long to wait for it; 0 is until the bell.
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
