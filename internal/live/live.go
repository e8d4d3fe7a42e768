// Package live keeps a value up to date that is parsed from a document: a flag set, a maintenance
// schedule, a policy.
//
// [Start] starts the updates, and [Keeper.Snapshot] returns the present value. Every package that reads
// documents has these rules:
//
//   - The whole document is loaded at each poll and compared by its hash. A watch only makes the next
//     poll come early.
//   - A bad document never replaces a good one. If the document cannot be loaded, is empty or null, or
//     is refused by the parser, the value stays and [Keeper.Status] reports the error.
//   - A file may be read while another process writes it. A changed file is accepted after two equal
//     reads, 250 ms apart.
//   - At a start the value comes from the source, else from the last good copy on disk, else from the
//     fallback.
//   - A source is not our code. A panic in it is a failure. A source that ignores its context is
//     abandoned once, and is called again only after it has returned.
package live

import (
	"log/slog"
	"time"
)

// Defaults of [Options], and fixed times.
const (
	DefaultPoll    = 15 * time.Second
	DefaultTimeout = 10 * time.Second

	settle     = 50 * time.Millisecond  // time without events before a load, because one write has many events
	settleMax  = 500 * time.Millisecond // upper bound of that time
	retryFirst = time.Second            // time between two attempts before the first value
	backoffMax = 30 * time.Second       // longest time between two attempts while a server fails, unless Poll is longer
)

// An Error is the reason why a document could not be loaded.
type Error struct {
	Document string // its name
	Err      error
}

func (e *Error) Error() string { return e.Document + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Options configure a [Keeper]. Parse is required.
type Options[T any] struct {
	// Name is the document's name in errors. Empty means the source's name.
	Name string

	// Parse makes the value of a document. prev is the present value, nil at first; Parse may keep
	// parts of it. An error refuses the document; problems do not. A refused document is parsed
	// again at each poll, because the reason may pass. At a start it is also parsed again after
	// the last good copy or the fallback, which is then prev. The value must not change
	// afterwards.
	Parse func(name string, data []byte, prev *T) (next *T, problems []error, err error)

	// Copy makes the last good copy of a value and its document. Nil means a copy of the document.
	Copy func(data []byte, value *T) ([]byte, error)

	// Changes lists what a new value changes, for the log. Nil means that nothing is listed.
	Changes func(prev, next *T) []string

	// OnUpdate is called with each new value; for the first one before Ready returns. OnStatus is
	// called when the keeper starts to fail, becomes stale or lost, or recovers. Both are called
	// one at a time from the keeper's goroutine. Nil means no call.
	OnUpdate func(*Snapshot[T])
	OnStatus func(Status)

	// Poll is the time between two loads, varied by a tenth. Zero means DefaultPoll.
	Poll time.Duration

	// Timeout bounds one load. Zero means DefaultTimeout.
	Timeout time.Duration

	// StaleAfter and LostAfter are how long the source may fail or not answer before the status is
	// stale, and lost. Zero means never.
	StaleAfter time.Duration
	LostAfter  time.Duration

	// StaleFailures is how many attempts in a row may fail before the status is stale. Zero means
	// any number.
	StaleFailures uint64

	// LastGood is a file for the last accepted document, replaced atomically. Empty means none.
	LastGood string

	// Revision identifies a value. Nil means a hash of the document.
	Revision func(*T) string

	// Fallback is the document for a start without source and last good copy. Empty means none.
	Fallback []byte

	// Logger logs updates, failures and recoveries. Nil means slog.Default().
	Logger *slog.Logger
}

// CopyName is the name of the last good copy at path in errors. It is without extension, because the
// document may have another format than that of the path.
func CopyName(path string) string { return path + " (last good copy)" }

// An Origin is where the document of a [Snapshot] came from.
type Origin string

// The origins of a document.
const (
	FromSource   Origin = "source"
	FromLastGood Origin = "last-good"
	FromFallback Origin = "fallback"
)

// A Snapshot is a value and the document that it came from. It never changes.
type Snapshot[T any] struct {
	Value    *T
	Revision string // 16 hexadecimal digits, unless Options.Revision is set
	Origin   Origin
	Since    time.Time // when it was accepted
	Problems []error   // faults that did not refuse the document

	content string // hash of the document
}

// A Status is the state of a [Keeper].
type Status struct {
	Started time.Time // when the keeper was started
	Checked time.Time // when the source last gave an acceptable document; zero means never
	Err     error     // the error of the last attempt; nil means success
	Stale   bool      // StaleAfter has passed since Checked, or since the start
	Lost    bool      // LostAfter has passed since Checked, or since the start
	SaveErr error     // the error of the last write of the last good copy; nil means success

	Attempts  uint64 // loads since the start
	Failures  uint64 // attempts that failed
	InARow    uint64 // failures since the last success
	Updates   uint64 // values published
	Abandoned uint64 // loads that were abandoned because the source ignored its context
}
