package downtime

import (
	"context"
	"iter"
	"time"
)

// Events yields what happens, from when the loop over it begins, until ctx ends or the
// guard is closed. First comes how the windows stand that are announced or in progress,
// so that nothing is missed between one subscription and the next: [EventPresent].
//
// Up to 64 events wait for a subscriber. What it does not take in time is dropped and
// counted in the next that it gets: the guard waits for nobody. A window is known by its id
// and Planned, so that who writes events down can tell what it has. When the guard is
// closed what waits is still yielded. The sequence may be gone through more than once,
// and by many at once, each for itself.
func (g *Guard) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := g.subscribe()
		defer g.notifier.subscribers.remove(s)
		for ctx.Err() == nil {
			var e Event
			select {
			case e = <-s.room:
			default:
				select {
				case e = <-s.room:
				case <-ctx.Done():
					return
				case <-g.ended:
					if len(s.room) == 0 {
						return
					}
					continue
				}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// subscribe begins a subscription with how things stand.
func (g *Guard) subscribe() *subscriber {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.notifier.subscribers.add(g.notifier.present(g.view.Load(), time.Now()))
}
