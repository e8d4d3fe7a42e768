// Package quorum proves that a maintenance window is quiet in all replicas of a service, and
// keeps it quiet. It uses locks of the PostgreSQL server that is going to be maintained, or
// locks of files on one machine. It does not compare clocks or use leases.
//
// The two main entries are [Postgres], which returns the [Replica] that each process gives to its
// guard, and [Drain], which the operator calls:
//
//	q, err := quorum.Postgres(db, nil)
//	defer q.Close()
//	g, err := downtime.Open(ctx, downtime.File("windows.yaml"), &downtime.Options{Quorum: q})
//
//	lock, err := quorum.Drain(ctx, db, "orders-db-upgrade", nil)
//	defer lock.Close()
//	err = migrate(lock.Context(ctx))
//
// Drain waits until the window has begun in each replica and nothing in its scope runs. While
// the [Lock] is held, replicas stay closed, even if their clocks or documents differ. After
// [Lock.Close], each replica opens when the window is over for it. [Look] shows what Drain waits
// for. [Fence] protects single transactions against replicas that are wrong.
//
// For the processes of one machine [Files] and [DrainFiles] do the same without a
// database.
//
// # The protocol
//
// All locks are advisory locks of sessions. A replica has one session. In it, it holds shared
// locks: one because it has joined, one for each near window that it knows, and one for each of
// these windows for which it is open, which means that it admits work in the window's scope or
// has work running. It requests the last kind without waiting, before it admits anything, and
// releases it when the window is sealed and quiet.
//
// The operator takes the open lock exclusively. Holding it proves that all replicas are closed
// and stay closed. A replica that does not know the window does not hold a lock on it and would be
// overlooked. So the operator then checks that all joined replicas know the window. If one does
// not, the operator releases the lock and waits. A new replica checks the other side: after it
// has joined, it checks whether an operator holds a window that it does not know. The second of
// the two always sees the first. Such a replica gets [downtime.ErrOutdated], and its guard
// refuses everything.
//
// A dead replica's locks end with its session. A replica that has lost its session closes,
// joins again, and opens when it may.
//
// # Limits
//
//   - The server reports a cut session to its replica within milliseconds. If the server does not
//     answer, the replica notices within some seconds. Until then it admits work, and its work
//     continues, while its lock is free. Only the store can prove that writes have stopped:
//     use [Fence].
//   - If a client vanishes without closing its connection, the session holds its locks until the
//     server's TCP keepalive notices; sessions set it to 30 seconds. That delays Drain, but never
//     makes its answer wrong.
//   - Drain covers replicas that have joined. A replica that never reached the database and a
//     process without a Quorum are unknown to it, so set the expected number in [DrainOptions]. A
//     database, fleet or folder without replicas gives [ErrNobody].
//   - Replicas compare a digest of the window's id, scope and mode. Replicas with different
//     digests never agree that a window is quiet, and Drain names them: [StateDiffers]. A
//     replica of an earlier version does not publish a digest, which counts as different. The
//     digest covers documents, and has 32 bits in PostgreSQL.
//   - A replica that loses its session while its document lacks the window stays as it is until
//     it has joined again.
//   - Locks belong to one server and one database. A failover ends all sessions and their locks.
//     The [Lock] is then lost and reports it.
//   - Keys are 64 bits of SHA-256 over fleet and window. Two windows with the same key would wait
//     for each other, but that is practically impossible.
//
// # Unfinished work
//
// After Guard.Drain has reported a window quiet in one replica, the window's work counts as
// begun. It is unfinished until Guard.Complete is called in that replica, actual.end is in the
// document, or Options.OverrunMax has passed since the window's end. While work is unfinished,
// all replicas with "overrun: hold" keep the window closed past its end, including replicas that
// start later. If the process that drained the window dies, Guard.Complete in any replica
// releases the others.
//
// With [Files], the mark of unfinished work is a file in the folder, which remains if its process
// is killed. With [Postgres], the mark is a lock and a row in the table upkeep_quorum_unfinished.
// Each replica that sees the lock takes the same lock. The row remains when all replicas end
// together. A replica creates the table when it first needs it, in the first schema of its
// search_path. If the server refuses that, the replica logs a warning, and the mark lasts until the
// last process ends that has seen it, about a second after Drain. To keep marks in that case,
// create the table yourself and grant SELECT, INSERT and DELETE:
//
//	CREATE TABLE upkeep_quorum_unfinished (fleet text, window_id text, occurrence text, work bigint,
//	    PRIMARY KEY (fleet, window_id, occurrence, work))
//
// The row of work that nobody completes remains. It has no effect after OverrunMax has passed since
// the window's end, and may then be deleted.
//
// Replicas check marks about once a second. [Replica.Close] waits up to three seconds until the
// others have seen completed work. A process that completes its work and exits without Close may
// leave others closed for OverrunMax.
//
// An operator's [Lock] does not leave a mark: if its process dies, replicas open at the end of
// the window.
//
// # What PostgreSQL needs
//
// Version 12 or later and the primary server. It does not need extensions or privileges, and
// creates a table only for unfinished work.
// A replica keeps one connection, and briefly uses a second one every five seconds (up to three
// when it joins). In the server's lock table (max_locks_per_transaction times max_connections,
// shared by all) it uses one entry, three for each near window, and one for each piece of
// unfinished or recently completed work. An operator uses one connection, and another for each
// Look. While a window is near, a replica's session runs pg_sleep all the time, five statements a
// second, so that it notices the end of its session at once.
//
// Any database/sql driver with PostgreSQL's $1 parameters works.
//
// # Poolers
//
// A replica needs its own session: a direct connection, or a connection through a pooler in
// session mode. A pooler in transaction or statement mode (pgbouncer, for example) gives
// one server connection to many clients, so the locks do not belong to one client. Replicas and
// operators then get [ErrPooled]. [Fence] works there, because its lock belongs to the
// transaction. [Look] works too, because it does not take locks.
//
// The check for a pooler needs a second connection of the same *sql.DB. While the session is
// idle, the check begins up to three transactions on other connections at once, in two rounds. A
// pooler in transaction mode uses its idle server connections first. So one of the transactions
// gets the session's server connection and finds the session's mark there, or the session's
// next statement gets a different server connection, without the mark. A pooler in statement mode
// refuses the transactions. The check runs before the session takes a lock or changes a
// setting, so it leaves nothing behind. It runs again every five seconds, with one transaction,
// and every statement of the session checks the mark. Once a replica has found a pooler, it joins
// only after a check that passed.
//
// The check never refuses a session because a second connection is missing. If the *sql.DB, the
// pooler or the server does not give one within two seconds, the replica logs a warning, joins,
// and checks again after 20 seconds. With SetMaxOpenConns(1) the check is weaker: it closes and
// opens the session three times, and the mark must be gone each time. So a pooler in session mode
// must reset a server connection between clients, which pgbouncer does by default.
//
// Limits: a pooler that prefers to give each client its previous server connection is recognized
// only with up to three server connections. A *sql.DB that leads to several poolers is recognized
// only when connections happen to meet in one of them.
//
// The tests use pgbouncer 1.18 in front of PostgreSQL 15: transaction mode with pools of 1,
// 2 and 20 connections, last in first out and round robin, with and without other clients;
// statement mode; session mode and direct connections with limits of one to three connections and
// without a limit. A simulated pooler covers other orders: random, and each client's previous
// connection.
//
// # Trust
//
// Access to the database, or write access to the folder, is enough to take these locks. An
// attacker with that access can prevent a window from becoming quiet, keep replicas closed, or
// pretend to be a replica. Printed names and addresses of peers are quoted.
package quorum
