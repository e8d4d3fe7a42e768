package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// check returns an error unless the condition holds.
func check(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// until repeats a request until the answer has that status.
func (p *play) until(ctx context.Context, what string, ask func() (answer, error), status int) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("it took half a minute"))
	defer cancel()
	for {
		a, err := ask()
		if err == nil && a.status == status {
			return a, nil
		}
		if wait := pause(ctx); wait != nil {
			if err == nil {
				err = fmt.Errorf("the last answer is %d: %s", a.status, a.body)
			}
			return answer{}, fmt.Errorf("waiting until %s: %w; %w", what, wait, err)
		}
	}
}

// pause waits between two attempts.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}
