// Package downtime stops part of a live service for planned work: announced, for a bounded time,
// and with a reliable answer to the question that a migration asks first: is it quiet yet?
//
// Two names do most of it. [Open] reads a document of windows and returns a [Guard].
// [Guard.Handler] is middleware for the service:
//
//	g, err := downtime.Open(ctx, downtime.File("windows.yaml"), nil)
//	defer g.Close()
//	http.ListenAndServe(addr, g.Handler(mux))
//
// [Guard.Enter] admits jobs and consumers as Handler admits requests, and [Guard.Hold] counts work
// that they pass on. [Guard.Drain] waits until a window has begun and nothing in its scope runs in
// this process any more. [Guard.Report] says at any time what still runs. [Guard.Events] yields
// changes of windows, reminders and problems. [Guard.Begin], [Guard.Complete] and [Guard.Extend]
// act on one process; the document acts on all of them, and a [Quorum] coordinates them. [Bypass]
// admits operators to a closed window, and [Transport] lets clients handle refusals. Package status
// shows windows to operators and users as a page, JSON and a calendar.
//
// # The document
//
// Package [schedule] reads it, and its comment shows all fields:
//
//	windows:
//	  - id: orders-db-upgrade
//	    start: 2026-12-06T02:00
//	    timezone: Europe/Madrid
//	    duration: 2h
//	    mode: closed
//	    scope: {paths: ["/orders/**"], work: [import]}
//	    message: Orders are read again from 04:00.
//
// The document is the fleet's state: every replica and every restart sees it. [Guard.Begin],
// [Guard.Complete] and [Guard.Extend] are for one process in an emergency. They hold until the
// document changes the same time, or until the process ends.
//
// # Faults
//
// A text that cannot be read changes nothing. After an earlier good document, a fault affects only
// its own window, which keeps its last good definition: see [schedule.Update]. [Guard.Problems]
// reports all faults at once; they are also logged and are [Guard.Events]. With [Options].Strict, a
// fault refuses the whole document. Before the first document, [Options].Boot decides.
//
// If an edit removes a window while it is in progress, or would end it, the guard keeps the window
// to its end, unless the document says "allowShrink: true". Of a window that repeats it keeps only
// the occurrence in progress. A restart forgets it. Use actual.end to end a window.
//
// # Count, then check
//
// A guard counts a request or piece of work first, and then checks that the state that admitted it
// is still current. When a window closes, the guard publishes the closed state first and then reads
// the counts. So an entry is either counted before and seen, or it sees the change, is removed from
// the count, and is checked again. Refused requests are never counted.
//
// A window is quiet when nothing in its scope runs and nothing can begin, not even by [Guard.Hold].
// It stays quiet to its end, unless an operator bypasses it.
//
// # Unfinished work
//
// After [Guard.Drain] has reported a window quiet, its work counts as unfinished in that process
// until [Guard.Complete] is called there or actual.end is in the document. Running requests and work
// that bypass the window count as unfinished too. If work is unfinished at the planned end, "overrun:
// hold", which is the default, keeps the window closed ([schedule.PhaseOverrun]) until the work is
// completed, the window is extended, or [Options].OverrunMax has passed. "overrun: reopen" opens it.
// Both are logged as errors and are events.
//
// Without [Options].Quorum, unfinished work holds only in its own process: other replicas open at the
// end of the window, and a restart forgets it. [Report].Alone says so. With a [FleetQuorum], such as
// those of package quorum, it holds in all replicas and survives restarts.
//
// Unfinished work belongs to the occurrence. While it is unfinished, an edit that would open
// something is held back, and is a problem and an event: "mode: announce" or "mode: rehearse", a
// later start, an end in the past, or a smaller scope. What the same edit closes is closed at once,
// and "mode: read-only" admits reads at once. Complete, actual.end and "allowShrink: true" open the
// window at once.
//
// # Clocks
//
// The guard notices within a second that the wall clock was set or that the machine was suspended. A
// clock that is set back does not open anything: an announced window stays announced, and a window
// in progress stays closed until its end, a document or a command. A window that is over closes again
// if its end is more than a minute ahead.
//
// A window in progress ends when both the wall clock and the monotonic clock have passed its end, so
// a step of the wall clock does not open it. A disagreement above one minute is a problem. The
// monotonic clock stops while a machine is suspended, so a disagreement keeps a window closed for at
// most [Options].OverrunMax; after that, only the wall clock counts. Complete and actual.end open the
// window at once.
//
// # Threat model
//
// A writer of the document can close or open the service: protect it like a deployment.
// Requests are hostile. If a path could be read as one in scope, in any encoding, it counts as in
// scope. Nothing of a request is echoed, logged or used as a name. A closed guard stays closed while
// the document cannot be read.
//
// The holder of a token of a [Bypass], and clients in its networks, pass closed windows; they count
// as busy, are marked and audited. A token is for one window and one service and expires after some
// hours. It can only be revoked by removing its key. The guard removes it from the request before the
// handler runs, and logs its subject, key id and expiry. A trusted proxy that does not set
// X-Forwarded-For lets clients choose their address.
//
// A [Transport] treats responses as hostile: it reads a bounded part of a refusal, and its errors
// do not contain the refusal's text or the request's path.
//
// Quiet is about one process and what passes its guard. It does not cover other replicas (see
// [Quorum]), requests that Options.Pass names, and clients that reach the store on another way.
// Routers that ignore the case of paths, and method override headers, bypass scopes.
//
// # What cannot be counted
//
// A guard counts a request until its handler returns, and a hijacked connection until it is closed.
// Three things continue after the handler has returned. Each needs one line of code to be counted:
//
// An [http.TimeoutHandler] answers after its time and leaves the handler running. Put the guard
// inside, where it sees the handler return:
//
//	http.TimeoutHandler(guard.Handler(orders), 5*time.Second, "")
//
// An httputil.ReverseProxy returns when its client has gone, while the service behind it may
// still write. Let it wait for the response:
//
//	proxy.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
//
// The guard does not see goroutines that a handler starts. Hold their work before the handler
// returns:
//
//	release, err := guard.Hold(downtime.Work{Name: "invoice", Request: r})
//	go func() { defer release(); sendInvoice() }()
//
// The examples TimeoutHandler and ReverseProxy of [Guard.Handler] and Goroutine of [Guard.Hold]
// show them.
package downtime
