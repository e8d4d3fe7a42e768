package tail

import (
	"cmp"
	"container/list"
	"log/slog"
	"sync"
	"sync/atomic"
)

// A store is what the tails of a handler share: the bound on all of them.
type store struct {
	base     slog.Handler // that tails are written to
	maxBytes int          // of one tail
	maxTotal int64        // of all
	bytes    atomic.Int64 // what the records of all tails count

	mu    sync.Mutex // taken before that of a tail
	tails list.List  // *Tail: those that hold records, in the order in which they began to
}

func newStore(base slog.Handler, maxBytes, maxTotal int) *store {
	return &store{base: base, maxBytes: cmp.Or(maxBytes, 20<<10), maxTotal: int64(cmp.Or(maxTotal, 16<<20))}
}

// Bytes returns what all records that wait count, as "Bounds" says.
func (h *Handler) Bytes() int64 { return h.store.bytes.Load() }

// grew is called when t has one more record, which is the only one if first.
func (s *store) grew(t *Tail, first bool) {
	if !first && s.bytes.Load() <= s.maxTotal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	if t.place == nil && !t.ended && len(t.records) > 0 {
		t.place, t.listed = s.tails.PushBack(t), true
	}
	t.mu.Unlock()
	for s.bytes.Load() > s.maxTotal && s.tails.Len() > 0 {
		s.evict()
	}
}

// evict takes the records of the tail that has waited longest. The first of each name
// stays while there is a second, because nothing else is known of what still runs.
// s.mu is held.
func (s *store) evict() {
	victim := s.tails.Front()
	seen := map[string]bool{}
	for e := s.tails.Front(); e != nil && len(seen) < 16; e = e.Next() {
		name := e.Value.(*Tail).currentName()
		if seen[name] {
			victim = e
			break
		}
		seen[name] = true
	}
	t := s.tails.Remove(victim).(*Tail)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.place = nil
	t.dropped += len(t.records)
	s.bytes.Add(-int64(t.size))
	t.forget()
}

// remove takes t out of the list.
func (s *store) remove(t *Tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.place != nil {
		s.tails.Remove(t.place)
		t.place = nil
	}
}
