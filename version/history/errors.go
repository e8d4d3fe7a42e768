package history

import (
	"errors"
	"fmt"
)

var (
	// ErrEntry is what every store's Append returns, wrapped in an [EntryError], for an
	// entry that cannot be kept: one without an id, an event that says nothing.
	ErrEntry = errors.New("not an entry of a history")

	// ErrBusy is what [FileStore.Append] returns, wrapped, when another process has held
	// the file's lock all the time.
	ErrBusy = errors.New("locked by another process")

	// ErrFull is what [Reporter.Append] returns, wrapped, for entries that it has dropped
	// because too many wait already.
	ErrFull = errors.New("too many entries wait")

	// ErrClosed is what [Reporter.Append] returns after Close.
	ErrClosed = errors.New("history: the reporter is closed")

	// ErrSchema is what the methods of [SQLStore] return, wrapped, for tables that a later
	// version of this package has made.
	ErrSchema = errors.New("the tables are of a later version")
)

// An EntryError says which of the entries that were to be appended cannot be kept, and
// why. Then none of them was.
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
