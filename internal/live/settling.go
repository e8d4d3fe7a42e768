package live

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// settleRead is the time between the two reads that a changed document needs.
const settleRead = 250 * time.Millisecond

var errChanging = errors.New("the file changes while it is read")

// settling loads a document that another process may be writing. An editor that writes in place first
// empties the file, and a copy grows. So a change is accepted when two reads, settleRead apart, are
// equal.
type settling struct {
	read func(context.Context) ([]byte, error)

	mu        sync.Mutex // keepers may share a source
	attempted bool
	loaded    bool
	last      [sha256.Size]byte // hash of the last result, if loaded
}

func (s *settling) Load(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.attempted
	s.attempted = true
	data, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	for settled := first || s.loaded && sum == s.last; !settled; {
		if pause(ctx, settleRead) != nil {
			return nil, errChanging
		}
		if data, err = s.read(ctx); err != nil {
			return nil, err
		}
		again := sha256.Sum256(data)
		sum, settled = again, again == sum
	}
	s.loaded, s.last = true, sum
	return data, nil
}

// pause waits. If ctx ends first, it returns the cause.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
