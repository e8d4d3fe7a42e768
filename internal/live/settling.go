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

// settling loads a document that others may be writing: in place, an editor first empties the
// file, and a copy grows. A change therefore counts once two reads, settleRead apart, were equal.
type settling struct {
	read func(context.Context) ([]byte, error)

	mu     sync.Mutex // keepers may share a source
	looked bool
	loaded bool
	last   [sha256.Size]byte // of what Load returned last, if it ever did
}

func (s *settling) Load(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.looked
	s.looked = true
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

// pause waits, and returns the cause of ctx's end if that comes first.
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
