package downtime

import (
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

var (
	// ErrUnknownWindow is returned by [Guard.Report], [Guard.Drain], [Guard.Begin],
	// [Guard.Complete] and [Guard.Extend] when the document in use does not have the window.
	ErrUnknownWindow = errors.New("downtime: unknown window")

	// ErrEnded is returned by [Guard.Drain], [Guard.Begin], [Guard.Complete] and [Guard.Extend]
	// when the window is over.
	ErrEnded = errors.New("downtime: the window has ended")

	// ErrNotClosed is returned by [Guard.Drain] when the window's mode does not refuse anything, so
	// that it cannot become quiet.
	ErrNotClosed = errors.New("downtime: the window's mode closes nothing")

	// ErrWindow matches every *[UnavailableError], by errors.Is.
	ErrWindow = errors.New("downtime: refused by a maintenance window")

	// ErrBegun is returned by [Guard.Begin] when the window is in progress.
	ErrBegun = errors.New("downtime: the window has begun")

	// ErrNotBegun is returned by [Guard.Complete] when the window has not begun.
	ErrNotBegun = errors.New("downtime: the window has not begun")

	// ErrTooEarly is returned by [Guard.Begin] when the window is not announced and begins in more
	// than a day.
	ErrTooEarly = errors.New("downtime: the window is too far away to begin it now")

	// ErrClosed is returned by [Guard.EnterWait], [Guard.Drain], [Guard.Begin], [Guard.Complete] and
	// [Guard.Extend] when the guard was closed.
	ErrClosed = errors.New("downtime: the guard is closed")

	// ErrOutdated is returned by a [Quorum] when others rely on a window that the document of this
	// process does not have. The guard then refuses everything.
	ErrOutdated = errors.New("downtime: a window is being drained that this process does not know of")
)

// An UnavailableError is a refusal by a window. [Guard.Enter] and [Guard.Hold] return it for this process,
// and [Transport] for another service.
type UnavailableError struct {
	Window string        // id; empty until a schedule has been read, or if another service does not name it
	Mode   schedule.Mode // of that window; ModeClosed if another service does not name it
	Reason string        // the window's message for users, or a sentence of the guard

	// Host is the host of the request's URL, if another service refused. Empty means this process.
	Host string

	// Until is the end of the chain of windows that refuse the request or work: Window, and others
	// that also refuse it and begin before the one before them ends. If another service does not
	// name an end, Until is now plus RetryAfter. The zero time means unknown: a schedule has not
	// been read yet, the window takes longer than planned, or it waits for the quorum.
	Until time.Time

	// RetryAfter is the time from now to the next attempt: the time to Until with jitter, at most
	// [Options].RetryMax. For another service it is that of the response, at most 366 days.
	RetryAfter time.Duration
}

// Error names window, host and time. It does not contain texts of another service.
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
