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
// them, and a [Quorum] makes them quiet together. [Bypass] lets operators in all the same,
// and [Transport] makes clients understand the refusals of others. Package status shows all
// of it to operators and users: by page, JSON and calendar.
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
// # What it guards against, and what it does not
//
// The document can close the service or open what should be closed: protect its place as a
// deployment. Requests are hostile: a path that could be read as one in scope is taken to be
// in scope, however it is encoded or dotted, and nothing of a request is echoed, logged, or
// made the name of anything. A guard fails safe: what is closed stays closed while the
// document cannot be read, and without any document [Options].Boot decides.
//
// The holder of a token of a [Bypass], and a client with an address in its networks, are let in
// past what is closed; that is counted as busy, marked and audited. A token is good for one
// window, one service and some hours. It can only be revoked by removing its key. It is taken
// off the request before any handler sees it; who, by which key and until when is logged.
// A trusted proxy that does not add to X-Forwarded-For lets clients choose their address.
//
// What answers a [Transport] is hostile too: a bounded part of a refusal is read, and
// neither its text nor the request's path gets into an error's text.
//
// Quiet is said of one process and of what passes its guard: not of other
// replicas (see [Quorum]), of what Options.Pass lets through, nor of clients that reach the
// store another way. Routers that ignore the case of paths, and method override headers, bypass
// such a scope.
//
// # What cannot be counted
//
// A guard counts a request until its handler returns, and a connection that was taken over until
// it is closed. Three things go on after the handler has returned, and one line makes each of
// them count:
//
// An [http.TimeoutHandler] answers when the time is over and leaves the handler running. Put the
// guard inside of it, so that the guard sees the handler return:
//
//	http.TimeoutHandler(guard.Handler(orders), 5*time.Second, "")
//
// An httputil.ReverseProxy returns when its client has gone, while the service behind it may
// still write. Let it wait for the answer:
//
//	proxy.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
//
// A goroutine that a handler starts is not seen. Hold its work before the handler returns:
//
//	release, err := guard.Hold(downtime.Work{Name: "invoice", Request: r})
//	go func() { defer release(); sendInvoice() }()
//
// The examples TimeoutHandler and ReverseProxy of [Guard.Handler] and Goroutine of [Guard.Hold]
// show them at work.
package downtime
