// Package live keeps a value that is parsed from a document up to date: a flag
// set, a maintenance schedule, a policy.
//
// [Start] begins; [Keeper.Snapshot] is the value now. The rules, which every
// package that reads documents shares:
//
//   - The document, loaded whole at each poll and compared by content hash, is the
//     truth. A watch is a doorbell that only makes the next poll come early.
//   - A bad document never replaces a good one. What cannot be loaded, is empty,
//     null or refused by the parser leaves the value as it is and is reported by
//     [Keeper.Status].
//   - A file may be read while others write it. A changed one is accepted after two
//     equal reads, 250 ms apart.
//   - At start the value comes from the source, else from the last good copy on
//     disk, else from the fallback.
//   - A source is others' code. One that panics has failed; one that ignores its
//     context is left behind once, and is not called again before it returns.
package live

import (
	"log/slog"
	"time"
)

// Defaults of [Options], and what cannot be set.
const (
	DefaultPoll    = 15 * time.Second
	DefaultTimeout = 10 * time.Second

	settle     = 50 * time.Millisecond  // quiet after a doorbell before loading: a write has many events
	settleMax  = 500 * time.Millisecond // and never longer than this
	retryFirst = time.Second            // between two attempts while there is no value at all
	backoffMax = 30 * time.Second       // the longest that a server which fails is left alone, if Poll is not longer
)

// An Error is why a document could not be loaded.
type Error struct {
	Document string // its name
	Err      error
}

func (e *Error) Error() string { return e.Document + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Options say how a [Keeper] keeps. Parse is required.
type Options[T any] struct {
	// Name is the document's name in errors. Empty: the source's own.
	Name string

	// Parse makes the value of a document. prev is the current value, nil at first. Parse
	// may keep parts of it. An error refuses the document; problems are faults that do not
	// refuse it. A refused document is parsed again at each poll, because the reason may
	// pass, and at the start once more after the last good copy or the fallback, which is
	// prev then. What Parse returns must not change afterwards.
	Parse func(name string, data []byte, prev *T) (next *T, problems []error, err error)

	// Copy makes the last good copy of a value and its document. Nil means the document.
	Copy func(data []byte, value *T) ([]byte, error)

	// Changes names what a new value changes, for the log. Nil means nothing is named.
	Changes func(prev, next *T) []string

	// OnUpdate is told each new value, before Ready returns for the first. OnStatus
	// is told when the keeper starts failing, goes stale or lost, or recovers. Both are
	// called one at a time from the keeper's goroutine. Nil: nobody is told.
	OnUpdate func(*Snapshot[T])
	OnStatus func(Status)

	// Poll is the time between loads, varied by a tenth. 0: DefaultPoll.
	Poll time.Duration

	// Timeout bounds one load. 0: DefaultTimeout.
	Timeout time.Duration

	// StaleAfter and LostAfter are how long the source may be silent or failing before
	// the status is stale, and lost. 0: never.
	StaleAfter time.Duration
	LostAfter  time.Duration

	// StaleFailures is how many attempts in a row may fail before the status is stale. Zero
	// means any number.
	StaleFailures uint64

	// LastGood is a file that holds the last accepted document, replaced
	// atomically. Empty: none.
	LastGood string

	// Revision identifies a value. Nil means by the content of its document.
	Revision func(*T) string

	// Fallback is the document for when neither source nor last good copy can be
	// had at the start. Empty: none.
	Fallback []byte

	// Logger is told of updates, failures and recoveries. Nil: slog.Default().
	Logger *slog.Logger
}

// CopyName is what the last good copy at path is called as a document. It has no extension,
// because the document may have another format than the path's says.
func CopyName(path string) string { return path + " (last good copy)" }

// An Origin says where the document of a [Snapshot] came from.
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
	Revision string // 16 hexadecimal digits, unless Options.Revision gives others
	Origin   Origin
	Since    time.Time // when it was accepted
	Problems []error   // faults that the parser passed over

	content string // revision of the document's content
}

// A Status says how the keeping goes.
type Status struct {
	Started time.Time // when the keeping began
	Checked time.Time // when the source last gave an acceptable document; zero: never
	Err     error     // why the last attempt failed; nil when it did not
	Stale   bool      // StaleAfter has passed since Checked, or since the start
	Lost    bool      // LostAfter has
	SaveErr error     // why the last good copy could not be written; nil when it was

	Attempts  uint64 // loads tried since the start
	Failures  uint64 // of these, how many failed
	InARow    uint64 // failures since the last success
	Updates   uint64 // values published
	Abandoned uint64 // loads left behind because the source ignored its context
}
