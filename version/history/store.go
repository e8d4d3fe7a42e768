package history

import "context"

// An Appender takes what happens. It is safe for concurrent use.
type Appender interface {
	// Append keeps the entries. When it returns nil they are there for good, as far as
	// the appender promises: [FileStore] and [SQLStore] have them on the disk, [Reporter]
	// has them in its queue. With an error some of them may be there; the same ones may
	// be appended again, because what has an ID that is there already is not kept twice.
	Append(ctx context.Context, entries ...Entry) error
}

// A Store gives back what it was given. It is safe for concurrent use.
type Store interface {
	Appender

	// Entries gives all entries in the order of Seq, which is that in which they were
	// received, each as [Entry.Receive] made it. Of the sightings of one run a store may
	// leave out those between the first and the last; the last keeps its own place, behind
	// all that was received before it, or it would look as if the clock was set back.
	Entries(ctx context.Context) ([]Entry, error)
}
