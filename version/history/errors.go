package history

import (
	"errors"
	"fmt"
)

var (
	// ErrEntry is returned by every Append, wrapped in an [EntryError], for an invalid
	// entry.
	ErrEntry = errors.New("not an entry of a history")

	// ErrBusy is returned by [FileStore.Append], wrapped, while another process holds the
	// lock.
	ErrBusy = errors.New("locked by another process")

	// ErrFull is returned by [Reporter.Append], wrapped, for dropped entries.
	ErrFull = errors.New("too many entries wait")

	// ErrClosed is what [Reporter.Append] returns after Close.
	ErrClosed = errors.New("history: the reporter is closed")

	// ErrSchema is returned by [SQLStore], wrapped, for tables of a later version.
	ErrSchema = errors.New("the tables are of a later version")
)

// An EntryError is an entry that cannot be kept. None of its call was kept.
type EntryError struct {
	Index int    // among the entries of the call, from 0
	Field string // by its name in JSON
	Err   error  // what is wrong; it wraps ErrEntry
}

// Error gives the place and the fault.
func (e *EntryError) Error() string {
	return fmt.Sprintf("history: entry %d: %s: %v", e.Index, e.Field, e.Err)
}

// Unwrap returns the fault without its place.
func (e *EntryError) Unwrap() error { return e.Err }
