// Package quorum knows a maintenance window quiet in all replicas of a service, and keeps it
// so: by locks of the PostgreSQL server that is going to be maintained, or of one
// machine's files. No clock is compared and no lease runs out.
//
// Two names do most of it. Each replica gives its guard a [Replica], which [Postgres]
// makes; the operator calls [Drain]:
//
//	q, err := quorum.Postgres(db, nil)
//	defer q.Close()
//	g, err := downtime.Open(ctx, downtime.File("windows.yaml"), &downtime.Options{Quorum: q})
//
//	lock, err := quorum.Drain(ctx, db, "orders-db-upgrade", nil)
//	defer lock.Close()
//	err = migrate(lock.Context(ctx))
//
// Drain waits until the window has begun in each replica and nothing in its scope runs any
// more. While the [Lock] is held no replica opens, whatever its clock and its document
// say; after [Lock.Close] they do, when the window is over for them. [Look] shows
// who is waited for. [Fence] makes single transactions safe where even a replica may be wrong.
//
// For the processes of one machine [Files] and [DrainFiles] do the same without a
// database.
//
// # The protocol
//
// All locks are advisory locks of sessions. A replica has one session, in which it holds,
// shared: one lock for having joined, one for each window that it knows to be
// near, and one for each of these that it is open for: it admits work in the window's
// scope, or has some running. The last it asks for without waiting, before it admits anything,
// and lets go when the window is sealed and quiet.
//
// The operator takes the open lock exclusively. Getting it proves that no replica is
// open and that none can be. A replica that has never heard of the window holds no
// lock on it and would be overlooked; so the operator then looks whether all who have joined
// know of it, and otherwise gives the lock back and waits. A newcomer does the same from the
// other side: it joins, and then looks whether an operator holds a window that
// it does not know of. Whichever was first is seen by the other. Such a newcomer gets
// [downtime.ErrOutdated], and its guard admits nothing at all.
//
// A dead replica's locks go with its session. One that has lost its session closes,
// joins again, and opens when it may.
//
// # What it proves, and what not
//
//   - A replica learns of a cut session from the server, within milliseconds, or from
//     silence, within some seconds. Until then it admits work, and what it has running
//     runs on, while its lock is free. Only the store itself can prove that writes have stopped:
//     [Fence] them.
//   - A session whose client is gone without a word holds its locks until the server's TCP
//     keepalive notices; the sessions ask for half a minute. That blocks, and does not lie.
//   - Quiet is said of replicas that have joined. One that has never reached the database
//     is not known, and neither is a process without a Quorum: say how many replicas to
//     expect, in [DrainOptions]. A database, fleet or folder that nobody has joined is
//     refused with [ErrNobody].
//   - Replicas compare a digest of the window's id, scope and mode. Replicas with different
//     digests never agree that a window is quiet, and Drain names them: [StateDiffers]. A
//     replica of an earlier version has no digest, which differs from any digest. The digest
//     is about what documents say, and has 32 bits in PostgreSQL.
//   - A replica that has lost its session while its document lacks the window goes
//     on as it is, until it has joined again.
//   - Locks are of one server and one database. A failover takes them all, with
//     their sessions: the [Lock] is lost then, and says so.
//   - Keys are 64 bits of SHA-256 over fleet and window. Two windows of the same
//     key would wait for one another; nobody has met them.
//
// # Unfinished work
//
// After Guard.Drain has reported a window quiet in one replica, its work counts as begun. It is
// unfinished until Guard.Complete is called in that replica, or actual.end is in the document,
// or Options.OverrunMax has passed since the window's end. As long as it is unfinished, all
// replicas hold the window closed past its end, as "overrun: hold" says, and so does a
// replica that starts meanwhile. The same is true when the process that has drained the window
// has died: then Guard.Complete in any replica releases the others.
//
// With [Files] the mark is a file in the folder, which stays when its process is killed. With
// [Postgres] it is a lock that each replica takes that sees it, and a row of the table
// upkeep_quorum_unfinished, so that it lasts when all replicas end at once. A replica makes the
// table when it first needs it, in the first schema of its search_path. If the server refuses
// that, the replica logs a warning, and the mark lasts as long as one process that has seen it,
// about a second after Drain. To keep it then, make the table for the replicas, with SELECT,
// INSERT and DELETE:
//
//	CREATE TABLE upkeep_quorum_unfinished (fleet text, window_id text, occurrence text, work bigint,
//	    PRIMARY KEY (fleet, window_id, occurrence, work))
//
// The row of work that nobody completes stays. It has no effect once OverrunMax has passed since
// the window's end, and may be deleted.
//
// Replicas see a mark, and that it has gone, about once a second. [Replica.Close] waits up to
// three seconds until the others have seen what was completed. A process that completes
// its work and exits without Close may leave others closed for OverrunMax.
//
// An operator's [Lock] leaves no mark: when its process dies, replicas open at the end of the
// window.
//
// # What PostgreSQL needs
//
// Version 12 or later, the primary; no extension and no privilege, and no table unless work is
// unfinished. A replica takes
// one connection of its own, a second for a moment every five seconds (up to three when it
// joins), and one lock and three for each near window, and one for each piece of unfinished
// or just completed work, of the server's lock table
// (max_locks_per_transaction times max_connections, shared by all); an operator one
// connection, and another for each Look. While a window is near a replica's session is seen
// to run pg_sleep all the time: five statements a second. That is how it hears of its end
// at once.
//
// Any driver for database/sql will do that has PostgreSQL's $1 for parameters.
//
// # Poolers
//
// A session must be the replica's own: a direct connection, or one through a pooler in
// session mode. A pooler in transaction or statement mode (pgbouncer, for example) gives
// one server connection to many clients, so the locks belong to nobody. [Fence] works
// there, because its lock belongs to the transaction, and [Look] does, which takes none.
// Replicas and operators get [ErrPooled].
//
// The check needs a second connection of the same *sql.DB. While the session is idle, it
// begins up to three transactions on other connections at once, in two rounds. A pooler in
// transaction mode uses its idle server connections first, so one of the transactions gets
// that of the session, and finds the session's mark there; or else the session's next
// statement gets another server connection, without the mark. A pooler in statement mode
// refuses the transactions. The check runs before the session takes a lock or changes a
// setting, and so leaves nothing behind. It runs again, with one transaction, every five
// seconds while the session lasts, and every statement of the session looks for the mark.
// Once a replica has seen a pooler it joins only with a check that passed.
//
// The check never refuses a session for want of a second connection: if there is none
// within two seconds, because the *sql.DB, the pooler or the server has no more, the replica
// logs a warning, joins, and checks again after 20 seconds. With SetMaxOpenConns(1) the
// check is weaker: the session is closed and opened again three times, and its mark must be
// gone. A pooler in session mode must therefore reset a server connection between clients,
// which pgbouncer does by default.
//
// Limits: a pooler that prefers to give each client the server connection that it had
// before is recognized only with up to three server connections. A *sql.DB that leads
// to several poolers is recognized only when the connections happen to meet in one of them.
//
// The tests put pgbouncer 1.18 in front of PostgreSQL 15: transaction mode with pools of 1,
// 2 and 20 connections, last in first out and round robin, with and without other clients,
// and statement mode; session mode and direct connections with every limit from one to
// three, and none. A simulated pooler covers other orders: random, and each client's last.
//
// # Whom it trusts
//
// Whoever can open a session in the database, or write to the folder, can take any of
// these locks: keep a window from becoming quiet, keep replicas closed, or pretend to be
// one. Names and addresses of peers are quoted where they are printed.
package quorum
