package observe

import (
	"sync/atomic"
	"time"
)

// counts are the observer's statistics.
type counts struct {
	requests, requestsActive, requestsFailed, requestsRefused, requestsGone atomic.Int64
	streams, streamsActive, streamsGone, streamsFailed                      atomic.Int64
	panics, idsReplaced, lateWrites                                         atomic.Int64
	jobs, jobsActive, jobsFailed                                            atomic.Int64
	outbound, outboundActive, outboundFailed                                atomic.Int64
	debugged, debugRefused                                                  atomic.Int64
	flagEvents, tailWritten                                                 atomic.Int64

	telemetryPanics, lateAnswers, flagsDropped, seriesFolded, gaugesDropped, tailDropped, tailLate lossCount
}

// A lossCount counts what should not happen, and knows when it last did.
type lossCount struct{ n, last atomic.Int64 }

func (c *lossCount) Add(n int64) {
	c.last.Store(time.Now().UnixNano())
	c.n.Add(n)
}

func (c *lossCount) Load() int64 { return c.n.Load() }

// shield is deferred around calls into providers and handlers that are not ours:
// telemetry never fails a request.
func (c *counts) shield() {
	if recover() != nil {
		c.telemetryPanics.Add(1)
	}
}
