package downtime

import (
	"math/rand/v2"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

const (
	bootRetry    = 10 * time.Second
	overrunRetry = time.Minute
)

// retryAfter is when to come back after a refusal: the end, plus jitter, at most
// RetryMax. Where the bound cuts, the jitter is taken off instead, because those who are
// refused at one moment should not come back at one moment either.
func (o *Options) retryAfter(by *occurrence) time.Duration {
	wait, length := bootRetry, bootRetry
	if until := by.until(); !until.IsZero() {
		length = until.Sub(by.Start)
		if left := time.Until(until); left > 0 { // else it takes longer than planned
			wait = left
		}
	}
	if by.phase == schedule.PhaseOverrun {
		wait = min(wait, overrunRetry) // it may be over at any moment
	}
	jitter := time.Duration(0)
	if most := min(o.RetryJitter, o.RetryMax/2, length/4); most > 0 {
		jitter = rand.N(most)
	}
	if wait+jitter > o.RetryMax {
		wait = min(wait, o.RetryMax-jitter)
	} else {
		wait += jitter
	}
	return max(time.Second, wait)
}

// unavailable is a refusal as an error.
func (o *Options) unavailable(by *occurrence) *UnavailableError {
	return &UnavailableError{
		Window:     by.Window.ID,
		Mode:       by.Window.Mode,
		Reason:     by.reason(),
		Until:      by.knownEnd(),
		RetryAfter: o.retryAfter(by),
	}
}
