// Package schedule reads documents of maintenance windows and says what holds when. It has
// no clock and no goroutine: package downtime guards a service by it.
//
// Two names do most of it. [Parse] reads a document and gives a [Schedule];
// [Schedule.At] says which windows are announced or in progress at a time:
//
//	s, err := schedule.Parse("windows.yaml", data)
//	for _, w := range s.At(time.Now()).Windows {
//		fmt.Println(w.Window.ID, w.Phase, w.Start, w.End)
//	}
//
// [Schedule.Occurrences] lists what takes place in a span of time, [Schedule.Overlaps] where
// two windows meet, and [Scope.Covers] says whether a window is about a request. [Lint] is
// for the check before a document is shipped: it warns of what is probably a mistake, too.
//
// # The document
//
// YAML or JSON. Unknown fields are refused, and every fault has its place:
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
//	  - {from: 2027-03-01, to: 2027-03-31, timezone: Europe/Madrid, windows: [weekly]}
//
// id, start and duration are required. A window without scope is about everything; see
// [Scope] and [Mode]. actual is what operators write once things go otherwise than
// planned: begin moves the start, until moves the end, end ends; see [Actual] for which
// occurrence that concerns.
//
// What repeats is the time on the clock: see [Parse].
//
// Windows may overlap. Where they do, the most restrictive wins, and [Schedule.Overlaps]
// and [State] say which that is.
//
// In an editor, a YAML document is completed and checked if its first line is this one. A JSON
// document has the same address in its field $schema.
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/upkeep-go/upkeep/main/downtime/schedule/windows.schema.json
//
// # Time zones
//
// Wall clock times become instants by RFC 5545 §3.3.5: a time that occurs twice is the
// first, and one that the clocks jump over is read with the offset before the jump.
// Zones come from the machine. Where there are none, in an image from scratch, import
// time/tzdata in package main; this package does not, because it adds 450 KB to every
// program.
//
// # What it guards against
//
// Documents are input: any bytes give a schedule or [Faults]. Requests are hostile: a path
// that could be read as one in scope is taken to be in scope, however it is encoded or
// dotted.
package schedule
