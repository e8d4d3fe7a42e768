package ofrep

import (
	"errors"
	"fmt"
	"time"
)

// ErrForbidden is for Options.Authorize to return, wrapped or not: the client is known
// and may not. It is answered with 403.
var ErrForbidden = errors.New("forbidden")

// A RateLimitError is for Options.Authorize to return, wrapped or not: the client asks
// too often. It is answered with 429.
type RateLimitError struct {
	RetryAfter time.Duration // sent in whole seconds, rounded up; 0: not sent
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many requests, retry after %v", e.RetryAfter)
}
