package quorum

import (
	"math/rand/v2"
	"time"
)

const (
	slice    = 200 * time.Millisecond // of a beat that waits, and so the time that Agree may have to wait
	patience = 5 * time.Second        // with one step of a member or an operator
)

// jitter varies d by a tenth, so that a fleet does not do everything at once.
func jitter(d time.Duration) time.Duration {
	return d - d/20 + rand.N(d/10)
}
