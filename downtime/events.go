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
		defer g.unsubscribe(s)
		for ctx.Err() == nil {
			select {
			case e := <-s.room:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
			case <-g.ended:
				if len(s.room) == 0 {
					return
				}
			}
		}
	}
}

// subscribe begins a subscription with how things stand.
func (g *Guard) subscribe() *subscriber {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.notifier.add(g.notifier.present(g.view.Load(), time.Now()))
}

func (g *Guard) unsubscribe(s *subscriber) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.notifier.subscribers, s)
}
