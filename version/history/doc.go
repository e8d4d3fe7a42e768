// Package history tells what ran, when and where, and what else has changed: the first page
// of a post-mortem.
//
// Two names are needed: [Record], when a service starts, and [Timeline], when somebody asks.
//
//	store, err := history.NewFile("/var/lib/shop/history.jsonl", nil)
//	…
//	err = history.Record(ctx, store, version.Current(), history.Deployment{Environment: "production"})
//	…
//	changes, err := history.Timeline(ctx, store, from, to)
//	fmt.Println(changes)            // or changes.Markdown()
//
// [Note] adds what else changes a system: a flag that was edited, a window, a migration.
// [Keep] is Record for as long as the service runs, so that [Current] knows which
// instances are still there. [At] tells what ran at a time, [Between] which versions took
// the place of which others; each change has its [version.Diff].
//
// # Where it is kept
//
// A [FileStore] is enough for one machine. A [SQLStore] keeps the history in SQLite or
// PostgreSQL, for a fleet that can reach a database. A [Reporter] sends it to a [Collector],
// for a fleet that cannot; the
// collector has one of the other two behind it. Whatever the store, its error is no
// reason for a service not to start.
//
// # Rollback and rolling update
//
// Versions follow one another in a service, an environment, a region and a cluster. While a new build is
// rolled out both are seen in turn. That is one change, which is done when the old one was
// last seen. It is known to be gone when its instances have said that they stop, have been
// seen with the new one, or were silent for 10 minutes. When it is the new one that goes,
// that is a rollback; and so is every change to a build that ran there before the one that
// it takes the place of, or that its deployer calls one. A lower version, and an older commit
// where versions have no order, are guesses, and are marked so: see [Rollback]. What is tried
// and taken back is told as both, however short it was. Restarts, crash loops, and instances
// that come and go, are no changes. A process that dies silently has ended by its silence,
// even if its instance's name comes back later. Instances that run at the same time must have different names.
//
// # Clocks
//
// The order of a history is that of its store's clock, [Entry.At], and where that is equal
// that of receipt. A reporter's own clock is believed when it agrees to within 5 seconds.
// When it does not, what counts is when the store received the entry, less the time that
// it has waited before, which is measured by a clock that nobody sets. What the reporter's
// clock said is shown beside it. When a store's own clock is set back by more than a
// tenth of a second, what it receives afterwards still comes later in the order. So the
// same list comes out each time, and what one service did first stands first, to within
// 5 seconds between two services.
//
// # Threat model
//
// Entries are claims: who may append to a store can tell any story about any service. A
// file belongs to its service alone, tables need the protection of the deployment, and a
// Collector takes entries only from those whom its Authorize knows, and keeps their names
// with what they say, their ids apart, and each to a daily budget. Entries, files, tables
// and answers are hostile input: text is cut to a stated length, and what is not
// printable is replaced before it reaches a log, a terminal or a page; in Markdown it stands
// for itself. Of builds only what [version.Info] shows is kept, but that has all
// dependencies in it, which is a list of known weaknesses: who may read a history reads
// that too. Every buffer is bounded: a file by FileOptions, a request by the Collector,
// what waits by ReportOptions. A query holds all of its store in memory, about 1 KiB for
// an entry: bound a database with [SQLStore.Prune].
package history
