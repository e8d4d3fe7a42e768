// Package history records which versions of services ran, when and where, and what else
// changed in the system. It answers the first question of an incident: what changed?
//
// [Keep] records a service while it runs, and [Timeline] lists the changes:
//
//	store, err := history.NewFile("/var/lib/shop/history.jsonl", nil)
//	…
//	go func() { kept <- history.Keep(ctx, store, version.Current(), history.Deployment{Environment: "production"}, nil) }()
//	…
//	changes, err := history.Timeline(ctx, store, from, to)
//	fmt.Println(changes)            // or changes.Markdown()
//
// [Note] adds other changes of a system: an edited flag, a window, a migration. [At] lists
// what ran at a time, [Current] what runs now, and [Between] the changes of versions, each
// with its [version.Diff]. [Only] restricts a question to one service or environment.
//
// [Record] records only the start. Use it in programs that cannot run Keep. A history of
// starts alone cannot show that a canary was aborted or that a process died. Its answers
// mark what is unknown: see Instance.Unknown and Change.Unknown.
//
// # Stores
//
// A [FileStore] is enough for one machine, also with several processes. A [SQLStore] keeps
// the history of a fleet in SQLite or PostgreSQL. A service that cannot reach the database
// sends its entries with a [Reporter] to a [Collector], which appends them to one of the two
// stores. Start a service even if its store returns an error.
//
// # Rollbacks and rolling updates
//
// Versions replace one another within a track: one service in one environment, region and
// cluster. While a new build is rolled out, both builds are seen in turn. That is one change.
// It is done when the old build was last seen. A build is gone when all of its instances have
// reported that they stop, were seen with another build, or were silent for 10 minutes.
//
// A change is a rollback if its deployer declares it, if the new build is removed again, or
// if the build ran in the track before the one that it replaces. A lower version is a guess,
// and so is an older commit if versions cannot be compared. Guesses are marked: see [Rollback].
// A build that Keep has seen appears in the history even if it ran only for moments.
// Restarts, crash loops and a changing number of instances are not changes.
//
// The run of a process that dies silently ends with its silence, even if the name of its
// instance is used again later. Instances that run at the same time must have different
// names.
//
// # Clocks
//
// Entries are ordered by the store's clock ([Entry.At]), then by receipt. A reporter's own
// clock counts if it agrees with the store's to within 5 seconds. Otherwise At is the time
// of receipt, less the time for which the entry has waited by a monotonic clock. The
// reporter's own time is shown beside it. After a store's clock is set back by 100 ms or
// more, new entries still come after the older ones.
//
// # Suspects
//
// [Suspects] answers the second question of an incident: which change caused it? It ranks the
// changes of the 7 days before a [Failure] and gives the evidence for each in a sentence. An
// [Incident] prints the suspects with the timeline.
//
//   - Exposure: the part of the failed requests that had the change (Failure.Variants, Builds,
//     Regions), compared with the part of all requests that should have it: Event.Share for
//     events, the instances of the build for deployments. Good requests are a poor measure for
//     a recent change, because many of them are from before it. So they mainly exonerate a
//     change whose Share is unknown.
//   - Time: the weight of a change is halved 10 minutes before the failure, and again 30, 70
//     and 150 minutes before it.
//   - Service: changes of the service that failed come first, then those of services that it
//     calls, then of its callers, then of all others. This needs SuspectOptions.Callers.
//   - Difference: a deployment is more likely if a module that it changes is in the stack
//     trace.
//   - Environment and build: changes in environments where the build does not run are unlikely.
//
// Links lead to an event's URL, and for a change of versions to the page that compares the two
// revisions: see [Change.CompareURL]. The command go tool version (version/cmd/version) prints
// timelines and incidents, and notes events from CI.
//
// Events of the kinds failure, incident, alert, outage and error are never suspects.
//
// # Segments of a file
//
// Several processes of one machine may write to one path of a FileStore. The first process
// appends to the file at the path. While it runs, the next one appends to a file beside it that
// ends in ".segment2", and so on up to ".segment64". These files are the segments of the
// history. A process locks its segment (flock(2)) from its first append until Close or its end,
// also a sudden one. A process that starts takes the first free segment, so there are never
// more segments than processes that ran at the same time. No process writes to the segment of
// another process. Without flock(2) only one process may write. Do not remove or rename single
// segments.
//
// After a crash the last line may be incomplete. The next append ends it. Invalid lines stay in
// the file and are counted. The info of a build is written once in each segment.
//
// Readers take no lock. They read all segments in the order of receipt by the machine's clock,
// and skip repeated ids. They decode only what a query needs: the first and the last sighting
// of each run, the events of its time, and the builds in its answer.
//
// If FileOptions.MaxBytes is zero, nothing is deleted. Otherwise the process that has a segment
// rewrites it before it grows beyond MaxBytes. It leaves out the sightings of a run between the
// first and the last one. If that is not enough, it moves the oldest entries to a file that
// ends in ".old", which replaces the earlier one. Queries do not read it. The last run of each
// track and instance stays in the segment, up to a quarter of MaxBytes. Invalid lines move to a
// file that ends in ".rejected". All files of one segment together take at most five times
// MaxBytes. If a segment is longer than four times MaxBytes, only its end is read. A reader
// that has opened a segment before it is rewritten reads the old one.
//
// # Protocol of the collector
//
// A Collector accepts POST requests of application/x-ndjson with one [Entry] per line, at most
// 1000 lines and 2 MiB. It answers with the number of accepted entries:
//
//	{"accepted": 2, "refused": [{"line": 3, "reason": "…"}]}
//
// It refuses invalid lines one by one, and returns the first 20 reasons. Entries may be sent
// again, because one id is stored once. Requests that arrive at the same time are appended
// together, with one commit.
//
// Refusals of whole requests are RFC 9457 problem+json, and nothing is stored:
//
//   - 401 with WWW-Authenticate: the Authorization header is missing.
//   - 403: Authorize returned an error.
//   - 400: no line is an entry. 405, 408, 413 and 415: wrong method, too slow, too large,
//     wrong media type.
//   - 429 with Retry-After: the client has used up its budget, or has 16 requests at the same
//     time.
//   - 503 with Retry-After: too many requests arrive at the same time, or the store fails.
//
// A refusal never waits for the body. It closes the connection if the body was not read.
//
// Slow clients cannot block others. A body must arrive within 10 seconds. A request takes one
// of 64 places only when its body has arrived. While 256 bodies arrive, each client may
// send only one at a time. A body of more than 64 KiB is decoded as it arrives, 4
// of them at a time, each with at least 128 KiB a second; the others wait. So a collector needs
// at most about 100 MiB, however many requests arrive at once.
//
// # Threat model
//
// Entries are claims: a client that may append to a store can claim anything about any
// service. A file must belong to its service alone. Tables need the protection of a
// deployment. A Collector accepts entries only from clients that its Authorize accepts. It
// keeps their names with their entries, separates the ids of clients, and limits how much
// each client may send in a day.
//
// Entries, files, tables and responses are hostile input. Text is cut to a stated length,
// and unprintable characters are replaced. Markdown is escaped. Of builds only the fields of
// [version.Info] are kept. They include all dependencies, from which an attacker can derive
// known vulnerabilities.
//
// Buffers are bounded: a request by the Collector, a queue by ReportOptions. A file grows
// without bound unless FileOptions has one, and a database grows until [SQLStore.Prune]. A
// query holds the first and the last sighting of each run and the events of its time in
// memory, about 1 KiB each.
package history
