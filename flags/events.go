package flags

import (
	"slices"
	"sync"

	"github.com/open-feature/go-sdk/openfeature"
)

// events hands events to OpenFeature without ever waiting for it. What nobody reads
// is bounded: changes of the document are merged, and of the states only the latest
// counts.
type events struct {
	out  chan openfeature.Event
	wake chan struct{}

	mu      sync.Mutex
	pending []openfeature.Event
	ended   chan struct{} // nil while no goroutine hands out
	running sync.WaitGroup
}

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
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *events) run(ended <-chan struct{}) {
	for {
		e.mu.Lock()
		var event openfeature.Event
		has := len(e.pending) > 0
		if has {
			event = e.pending[0]
			e.pending = slices.Delete(e.pending, 0, 1)
		}
		e.mu.Unlock()
		if !has {
			select {
			case <-e.wake:
			case <-ended:
				return
			}
			continue
		}
		select {
		case e.out <- event:
		case <-ended:
			return
		}
	}
}
