package downtime

import (
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

var (
	// ErrUnknownWindow is returned by [Guard.Report], [Guard.Drain], [Guard.Begin],
	// [Guard.Complete] and [Guard.Extend] when the document in use has no window of that id.
	ErrUnknownWindow = errors.New("downtime: unknown window")

	// ErrEnded is returned by [Guard.Drain], [Guard.Begin], [Guard.Complete] and [Guard.Extend]
	// when the window is over.
	ErrEnded = errors.New("downtime: the window has ended")

	// ErrNotClosed is returned by [Guard.Drain] when the window's mode refuses
	// nothing, so that nothing can become quiet.
	ErrNotClosed = errors.New("downtime: the window's mode closes nothing")

	// ErrWindow matches every *[UnavailableError], by errors.Is.
	ErrWindow = errors.New("downtime: refused by a maintenance window")

	// ErrBegun is returned by [Guard.Begin] when the window is in progress.
	ErrBegun = errors.New("downtime: the window has begun")

	// ErrNotBegun is returned by [Guard.Complete] when the window has not begun.
	ErrNotBegun = errors.New("downtime: the window has not begun")

	// ErrTooEarly is returned by [Guard.Begin] when the window is neither announced nor
	// begins within a day.
	ErrTooEarly = errors.New("downtime: the window is too far away to begin it now")

	// ErrClosed is returned by [Guard.EnterWait], [Guard.Drain], [Guard.Begin], [Guard.Complete] and
	// [Guard.Extend] when the guard was closed.
	ErrClosed = errors.New("downtime: the guard is closed")

	// ErrOutdated is returned by a [Quorum] when others rely on a window that this process,
	// with an older document, does not know of. A guard then admits nothing.
	ErrOutdated = errors.New("downtime: a window is being drained that this process does not know of")
)

// An UnavailableError says what refused, and until when. [Guard.Enter] and
// [Guard.Hold] return it for this process, and [Transport] for another service.
type UnavailableError struct {
	Window string        // id of the window that refused; empty while no schedule has been read yet, or another service does not say
	Mode   schedule.Mode // of that window; ModeClosed when another service does not say
	Reason string        // the window's message for users, or a sentence in its place

	// Host is the service that refused, as the request's URL names it, without path and
	// query. Empty: this process did.
	Host string

	// Until is the end of the last window in the chain that keeps out what was refused: Window,
	// and those in whose scope it is too and that begin before the one before them ends. Of
	// another service that names no end it is now plus RetryAfter. The zero time means unknown:
	// no schedule has been read yet, the window takes longer than planned, or it waits for the
	// quorum.
	Until time.Time

	// RetryAfter is when to try again, from now: the time to Until with jitter, at most
	// [Options].RetryMax; of another service what it says, at most 366 days.
	RetryAfter time.Duration
}

// Error names window, host and time, and none of the words of another service.
func (e *UnavailableError) Error() string {
	if e.Host == "" && e.Window == "" {
		return "downtime: " + e.Reason
	}
	host, by, until := "", "refused", ": "+e.Reason
	if e.Host != "" {
		host = fmt.Sprintf("%q is not available: ", e.Host)
	}
	if e.Window != "" {
		by = fmt.Sprintf("refused by window %q (%s)", e.Window, e.Mode)
	}
	if !e.Until.IsZero() {
		until = " until " + e.Until.Format(time.RFC3339)
	}
	return "downtime: " + host + by + until
}

// Unwrap makes errors.Is(err, [ErrWindow]) true.
func (e *UnavailableError) Unwrap() error { return ErrWindow }
