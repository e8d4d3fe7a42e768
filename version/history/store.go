package history

import "context"

// An Appender takes what happens. It is safe for concurrent use.
type Appender interface {
	// Append keeps the entries. When it returns nil they are there for good: [FileStore]
	// and [SQLStore] have them on the disk, [Reporter] in its queue. After an error some
	// of them may be there; append the same ones again, because an ID is kept once.
	Append(ctx context.Context, entries ...Entry) error
}

// A Store gives back what it was given. It is safe for concurrent use.
type Store interface {
	Appender

	// Entries returns all entries in the order of Seq, which is that of receipt, each as
	// [Entry.Receive] made it. A store may leave out the sightings of a run between the
	// first and the last; the last keeps its own place.
	Entries(ctx context.Context) ([]Entry, error)
}
