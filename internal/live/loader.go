package live

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// grace is the time that a source has to return after its context has ended.
const grace = time.Second

// A loader calls a source in a goroutine of its own, so that a source that hangs costs a goroutine and
// does not block the caller. A source that ignores its context is abandoned, and is called again only
// after it has returned. Only one goroutine uses a loader.
type loader struct {
	src      Source
	timeout  time.Duration
	running  *sync.WaitGroup // counts the goroutines
	returned func()          // called when an abandoned load returns

	pending   <-chan loaded // result of the abandoned load; nil means none
	abandoned bool          // the last load was abandoned
}

type loaded struct {
	data []byte
	err  error
}

func (l *loader) load(ctx context.Context) ([]byte, error) {
	if l.pending != nil {
		select {
		case <-l.pending:
			l.pending = nil
		default:
			return nil, ErrBusy
		}
	}
	bounded, cancel := context.WithTimeout(ctx, l.timeout)
	result := make(chan loaded, 1)
	var timedOut atomic.Bool
	l.running.Go(func() {
		defer cancel()
		data, err := callLoad(bounded, l.src)
		result <- loaded{data, err}
		if timedOut.Load() {
			l.returned()
		}
	})
	select {
	case r := <-result:
		return checked(r)
	case <-bounded.Done():
	}
	select {
	case r := <-result:
		return checked(r)
	case <-time.After(grace):
	}
	timedOut.Store(true)
	l.pending, l.abandoned = result, true
	return nil, fmt.Errorf("the source did not return within %v: %w", l.timeout, context.DeadlineExceeded)
}

func checked(r loaded) ([]byte, error) {
	if r.err == nil && len(r.data) > MaxBytes {
		return nil, ErrTooLarge
	}
	return r.data, r.err
}

func callLoad(ctx context.Context, src Source) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack() // begins with the place of the panic
			data, err = nil, fmt.Errorf("the source panicked: %v\n%s", p, stack[:min(len(stack), 2<<10)])
		}
	}()
	if src == nil {
		return nil, errors.New("the source is nil")
	}
	return src.Load(ctx)
}
