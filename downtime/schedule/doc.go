// Package schedule reads documents of maintenance windows and computes when each window
// takes place. It does not read a clock or start goroutines. Package downtime guards a service
// with it.
//
// The two main entries are [Parse], which reads a document and returns a [Schedule], and
// [Schedule.At], which returns the windows that are announced or in progress at a time:
//
//	s, err := schedule.Parse("windows.yaml", data)
//	for _, w := range s.At(time.Now()).Windows {
//		fmt.Println(w.Window.ID, w.Phase, w.Start, w.End)
//	}
//
// [Schedule.Occurrences] lists the occurrences in a span of time. [Schedule.Overlaps] lists
// the times at which two windows overlap. [Scope.Covers] reports whether a request is in a
// window's scope. [Lint] checks a document before it is shipped, and also warns of probable
// mistakes.
//
// # The document
//
// YAML or JSON. Unknown fields are refused, and every fault names its line and column:
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
// id, start and duration are required. A window without scope covers everything: see
// [Scope] and [Mode]. Operators write actual when a window does not go as planned: begin
// moves the start, until moves the end, and end ends the window. [Actual] says which
// occurrence of a window that repeats is meant.
//
// A window that repeats starts at the same wall clock time on each day: see [Parse].
//
// Windows may overlap. Then the most restrictive wins: [Schedule.Overlaps] and [State] show
// the winner.
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
// Zones come from the machine. If the machine lacks a tz database, as in an image built from
// scratch, import time/tzdata in package main. This package does not import it, because it
// adds 450 KB to every program.
//
// # Hostile input
//
// Any bytes as a document give a schedule or [Faults]. A request's path is in scope if any
// router could read it as a path in scope, however it is encoded or dotted.
package schedule
