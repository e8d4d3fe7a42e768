// Package downtime stops part of a live service for planned work: announced, no longer
// than needed, and with an honest answer to the question that a migration has to ask
// first: is it quiet yet?
//
// Two names do most of it. [Open] reads a document of windows and gives a [Guard];
// [Guard.Handler] stands in front of the service:
//
//	g, err := downtime.Open(ctx, downtime.File("windows.yaml"), nil)
//	defer g.Close()
//	http.ListenAndServe(addr, g.Handler(mux))
//
// [Guard.Enter] does for jobs and consumers what Handler does for requests, and
// [Guard.Hold] counts what they hand on to others. [Guard.Drain] waits until a window has
// begun and nothing in its scope runs any more in this process; [Guard.Report] says at any
// time what is in the way. [Guard.Events] tells what happens. [Guard.Begin],
// [Guard.Complete] and [Guard.Extend] act on one process; the document acts on all of
// them, and a [Quorum] makes them quiet together.
// [Guard.StatusHandler] tells operators and [Guard.PublicStatusHandler] users, by page,
// JSON and calendar. [Bypass] lets operators in all the same, and [Transport] makes
// clients understand the refusals of others.
//
// # The document
//
// YAML or JSON. What is not known is refused, and every fault has its place:
//
//	windows:
//	  - id: orders-db-upgrade            # for logs, commands and answers
//	    title: Orders database upgrade
//	    owner: team-orders
//	    runbook: https://runbooks.example/orders-db
//	    start: 2026-12-06T02:00          # wall clock of timezone; or an instant, with Z or an offset
//	    timezone: Europe/Madrid
//	    duration: 2h                     # exact, across any change of clocks
//	    announce: 3d                     # shown from then on
//	    cutoff: 5m                       # work declared long is refused from then on
//	    rollback: 1h30m                  # after the start: the point of no return, for operators
//	    mode: closed                     # closed | read-only | announce | rehearse
//	    scope: {paths: ["/orders/**"], work: [import]}
//	    message: Orders are read again from 04:00.
//	    overrun: hold                    # hold | reopen, when work is unfinished at the end
//	    actual: {begin: 2026-12-06T01:02:00Z, end: null, until: null}
//	  - id: weekly
//	    start: 2026-01-06T03:00
//	    timezone: America/New_York
//	    duration: 1h
//	    repeat: FREQ=WEEKLY;BYDAY=TU     # a rule of RFC 5545
//	    except: [2026-12-22, 2026-12-29] # days of the rule on which it does not take place
//	    mode: read-only
//	freezes:                             # no window that repeats begins from the first day to the last
//	  - {from: 2026-12-20, to: 2027-01-07, timezone: Europe/Madrid, reason: Year end}
//
// id, start and duration are required. A window without scope is about everything; see
// [Scope] and [Mode]. actual is what operators write once things go otherwise than
// planned: begin moves the start, until moves the end, end ends; see [Actual] for which
// occurrence that concerns.
//
// What repeats is the time on the clock. repeat has FREQ (DAILY, WEEKLY, MONTHLY or
// YEARLY), INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, WKST, and COUNT or UNTIL. Whatever else
// RFC 5545 has is refused, and so is what can never occur, an exception that the rule
// does not have, and a window that would last into its own next occurrence.
// [ParseSchedule] has the details.
//
// Windows may overlap. Where they do the most restrictive wins, and
// [Schedule.Overlaps] and [State] tell.
//
// [ParseSchedule] is the document alone, pure: [Schedule.At] and
// [Schedule.Occurrences] say what holds when, with no clock and no goroutine.
//
// # Time zones
//
// Wall clock times become instants by RFC 5545 §3.3.5: a time that occurs twice is the
// first, and one that the clocks jump over is read with the offset before the jump.
// Zones come from the machine. Where there are none, in an image from scratch, import
// time/tzdata in package main; this package does not, for it adds 450 KB to every
// program.
//
// # What it guards against, and what it does not
//
// Whoever writes the document can close the service or open what should be closed:
// protect its place as a deployment. Requests are hostile: a path that could be read as
// one in scope is taken to be in scope, however it is encoded or dotted, and nothing of
// a request is echoed, logged, or made the name of anything. A guard fails safe: what
// is closed stays closed while the document cannot be read, and without any document
// [Options].Boot decides.
//
// Whoever has the private key of a [Bypass], or an address in its networks, is let in
// past what is closed, and what they do is theirs to answer for: it is counted as busy,
// marked and audited. A token is good for one window, one service and some hours, for whoever
// holds it; it cannot be taken back before but by taking its key away. It is taken off the request
// before any handler sees it, and nothing of it is logged but who, by which key
// and until when. What cannot be verified is a refusal as any other, and counted. A proxy
// that is trusted and does not add to X-Forwarded-For lets clients choose
// their address.
//
// What answers a [Transport] is hostile too: of a refusal a bounded part is read, and
// neither its text nor the request's path gets into an error's text.
//
// Quiet is said of one process and of what passes its guard: not of other
// replicas (see [Quorum]), of what Options.Pass lets through, of goroutines that a handler
// leaves behind without [Guard.Hold], nor of clients that reach the store another way. Routers that ignore the case
// of paths, and method override headers, go round a scope that lists paths or methods.
package downtime
