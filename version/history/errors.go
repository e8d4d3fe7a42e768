package history

import (
	"errors"
	"fmt"
)

var (
	// ErrEntry is returned by every Append for an invalid entry, wrapped in an [EntryError].
	ErrEntry = errors.New("not an entry of a history")

	// ErrBusy is returned by [FileStore.Append], wrapped, if other processes have locked all
	// segments.
	ErrBusy = errors.New("locked by another process")

	// ErrFull is returned by [Reporter.Append], wrapped, for dropped entries.
	ErrFull = errors.New("too many entries wait")

	// ErrClosed is returned by [Reporter.Append] after Close.
	ErrClosed = errors.New("history: the reporter is closed")

	// ErrSchema is returned by [SQLStore], wrapped, for tables of a later version.
	ErrSchema = errors.New("the tables are of a later version")
)

// An EntryError says which entry is invalid. No entry of its call was stored.
type EntryError struct {
	Index int    // of the entry in the call, from 0
	Field string // name in JSON
	Err   error  // wraps ErrEntry
}

// Error returns index, field and fault.
func (e *EntryError) Error() string {
	return fmt.Sprintf("history: entry %d: %s: %v", e.Index, e.Field, e.Err)
}

// Unwrap returns Err.
func (e *EntryError) Unwrap() error { return e.Err }
