// Package history records what ran, when and where, and what else has changed: the first
// page of a post-mortem.
//
// [Keep] records a service while it runs. Ask for a [Timeline]:
//
//	store, err := history.NewFile("/var/lib/shop/history.jsonl", nil)
//	…
//	go func() { kept <- history.Keep(ctx, store, version.Current(), history.Deployment{Environment: "production"}, nil) }()
//	…
//	changes, err := history.Timeline(ctx, store, from, to)
//	fmt.Println(changes)            // or changes.Markdown()
//
// [Note] adds what else changes a system: a flag that was edited, a window, a migration.
// [At] lists what ran at a time, [Current] what runs now, and [Between] the changes of
// versions, each with its [version.Diff]. [Only] restricts a question to one service or
// environment.
//
// [Record] records the start and nothing more. It is for programs that cannot run Keep. A
// history of records alone cannot see that a canary was aborted, or that a process died.
// Instance.Unknown and Change.Unknown report what is not known.
//
// # Where it is kept
//
// A [FileStore] is enough for one machine, also with several processes. A [SQLStore] uses SQLite or PostgreSQL, for a
// fleet that can reach a database. A [Reporter] sends to a [Collector], for a fleet that
// cannot; the collector has one of the other two behind it. An error of a store is no
// reason for a service not to start.
//
// # Rollback and rolling update
//
// Versions follow one another in a service, an environment, a region and a cluster. While
// a new build is rolled out both are seen in turn. That is one change, which is done when
// the old build was last seen. A build is gone when its instances have reported that they
// stop, were seen with another build, or were silent for 10 minutes. When the new build
// goes, that is a rollback; and so is every change to a build that ran there before the one
// that it replaces, or that its deployer declares one. A lower version, and an older commit
// where versions have no order, are guesses, and are marked so: see [Rollback]. What is
// tried and taken back appears as both, however short it was, if it was seen by Keep. Restarts, crash loops, and
// instances that come and go, are no changes. A process that dies silently ends by its
// silence, even if its instance's name comes back later. Instances that run at the same
// time must have different names.
//
// # Clocks
//
// The order of a history is that of its store's clock, [Entry.At], then that of receipt. A
// reporter's own clock counts when it agrees to within 5 seconds. Otherwise the time of
// receipt counts, less the time that the entry has waited by a clock that is never set; the
// reporter's own time is shown beside it. When a store's own clock is set back by more than
// a tenth of a second, what it receives afterwards still comes later in the order.
//
// # Threat model
//
// Entries are claims: a client that may append to a store can claim anything about any
// service. A file belongs to its service alone, tables need the protection of the
// deployment, and a Collector takes entries only from clients that its Authorize knows; it
// keeps their names with their entries, their ids apart, and each to a daily budget.
// Entries, files, tables and answers are hostile input: text is cut to a stated length, and
// what is not printable is replaced; in Markdown it stands for itself. Of builds only what
// [version.Info] shows is kept, but that includes all dependencies, which is a list of
// known weaknesses. Every buffer is bounded: a request by the Collector, what waits by
// ReportOptions. A file grows without bound unless FileOptions has one, and a database until
// [SQLStore.Prune]. A query holds in memory the first and the last sighting of each run, and
// the events of its time, about 1 KiB each.
package history
