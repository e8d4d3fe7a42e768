package quorum

import (
	"math/rand/v2"
	"time"
)

const (
	slice    = 200 * time.Millisecond // how long one beat may block, and so delay Agree
	patience = 5 * time.Second        // the limit for one step of a member or an operator
)

// jitter varies d by a tenth, so that replicas do not act in the same moment.
func jitter(d time.Duration) time.Duration {
	return d - d/20 + rand.N(d/10)
}
