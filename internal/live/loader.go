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

// grace is for a source to return once its context has ended.
const grace = time.Second

// A loader calls a source, which is others' code: in a goroutine of its own, so that one
// that hangs costs a goroutine and not the caller. One that ignores its context is
// left behind, and not called again before it has returned. A loader is used by one
// goroutine.
type loader struct {
	src      Source
	timeout  time.Duration
	running  *sync.WaitGroup // of the goroutines that are started
	returned func()          // called when a load that was left behind returns

	behind    <-chan loaded // the load that was left behind, if any
	abandoned bool          // the last one was
}

type loaded struct {
	data []byte
	err  error
}

func (l *loader) load(ctx context.Context) ([]byte, error) {
	if l.behind != nil {
		select {
		case <-l.behind:
			l.behind = nil
		default:
			return nil, ErrBusy
		}
	}
	bounded, cancel := context.WithTimeout(ctx, l.timeout)
	result := make(chan loaded, 1)
	var left atomic.Bool
	l.running.Go(func() {
		defer cancel()
		data, err := callLoad(bounded, l.src)
		result <- loaded{data, err}
		if left.Load() {
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
	left.Store(true)
	l.behind, l.abandoned = result, true
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
			stack := debug.Stack() // which begins with the place of the panic
			data, err = nil, fmt.Errorf("the source panicked: %v\n%s", p, stack[:min(len(stack), 2<<10)])
		}
	}()
	if src == nil {
		return nil, errors.New("the source is nil")
	}
	return src.Load(ctx)
}
