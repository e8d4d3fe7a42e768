package downtime

import (
	"context"
	"iter"
	"time"
)

// Events yields events from the start of the loop until ctx ends or the guard is closed. The first events
// are an [EventPresent] for each window that is announced or in progress, so that a subscriber knows the
// current state.
//
// Up to 64 events wait for a subscriber. Further events are dropped and counted in [Event].Missed. Events
// that wait when the guard is closed are still yielded. The sequence may be used more than once and by
// many goroutines; each loop is its own subscription.
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
