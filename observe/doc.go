// Package observe prepares a service for the question "what happened to this
// request?": one id, span, metrics and log lines that find each other, and the
// flags that the request saw. It stands on OpenTelemetry's API and log/slog; the
// application brings the SDK, or none.
//
// The two names most services need are [New] and [Observer.Handler]; then [Route]
// around the mux:
//
//	obs, err := observe.New(&observe.Options{Log: slog.NewJSONHandler(os.Stderr, nil)})
//	slog.SetDefault(obs.Logger())
//	openfeature.AddHooks(obs.FlagHook())
//	client := &http.Client{Transport: obs.Transport(nil)}
//	http.ListenAndServe(addr, obs.Handler(auth(observe.Route(mux))))
//
// Messages, scheduled tasks and goroutines run under [Observer.Do]. Inside a request or job,
// [RequestID] returns the id, and [Fail] reports a failure that the status does not show.
//
// # What is recorded
//
// Spans and metrics follow OpenTelemetry's semantic conventions v1.43.0: spans named
// "GET /users/{id}", http.server.request.duration and http.client.request.duration in
// seconds, http.server.active_requests; and upkeep.job.duration for jobs. A request or job that
// fails logs one ERROR record; of other requests at most a sample logs one (Options.WideEvent).
// The variable OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS replaces the list of known methods.
//
// # What counts as a failure
//
// A request fails if its status is 500 or more, its handler panics, [Fail] was called, the
// handler wrote less than its Content-Length announced, or Options.Outcome returns an error.
// Options.Outcome is for protocols that report failures with status 200; [OutcomeGRPC],
// [OutcomeConnect] and [OutcomeGraphQL] are ready. The span's status is Error, the metric has
// an error.type, and a log record "request failed" has method, route, path, status, duration,
// bytes, error, the flags that the request saw, and the stack of a panic. An error is also an
// OpenTelemetry event, http.server.request.exception.
//
// ERROR records with the same fingerprint (route, error type, status, place of the failure) are
// limited: the first is written, and then one in any second, with the number of those that were
// left out as "repeated". Metrics count every request.
//
// These do not count as failures. They do not log an ERROR record, and are logged only if they
// are sampled or debugged:
//
//   - A client that went away before it was answered, if nothing had failed before that. Span
//     and metric have the error.type "client_gone". A status of 500 or more is left out, because
//     the client did not receive it. The record is "request canceled". There is no bundle. A panic
//     for another reason is still a failure. If the service cancels the context of its requests when it
//     stops (http.Server.BaseContext), those requests look the same.
//   - A 503 with Retry-After (RFC 9110 §15.6.4): a deliberate refusal, for maintenance or too
//     much load. Span and metric have it like any 503. The record is "request refused".
//   - A panic with http.ErrAbortHandler. It is passed on, and is on span and metric. The record
//     is "request aborted".
//
// # Streams
//
// A response is a stream if its Content-Type says so (text/event-stream,
// multipart/x-mixed-replace, JSON lines, Connect's streams), if its connection was taken over
// (http.Hijacker), or if Options.Stream says so. gRPC is not, because most of its calls are not
// streams. A stream is never slow, and no histogram of durations counts it:
// upkeep.http.server.active_streams counts those that run until their handler returns, and
// upkeep.http.server.streams those that ended, with upkeep.stream.end "done", "client_gone" or
// "failed".
//
// The status of a connection that was taken over is read from what the handler writes through
// the buffer that Hijack returns. If it writes to the connection itself, the status is 101 when
// the client asked for an upgrade, and else is missing. The connection keeps its type.
//
// # Handlers and middlewares
//
// A panic is answered with a 500 as problem+json (RFC 9457), or as HTML for a browser. If the
// response had begun, the connection is cut instead, so that the client does not take a part for
// the whole, and the metric has the status that was sent.
//
// The ResponseWriter keeps Flusher, Hijacker, ReaderFrom and Pusher where the server's has them,
// and http.ResponseController works. What the application sets on its request, such as forms,
// pattern and path values, reaches the request that [Observer.Handler] was given. Put Handler
// around frameworks that answer after their middlewares have returned, as echo does.
// http.MaxBytesReader closes the connection only with the server's own writer; Handler does it
// for a 413 over HTTP/1. For other statuses put http.MaxBytesHandler around Handler, or set
// "Connection: close".
//
// If a middleware inside recovers a panic, the record has the stack if that middleware answers
// with a 500 or more where it recovers. It has value and stack if [Route] is inside of the
// middleware, or if the middleware reports the panic:
//
//	observe.Fail(ctx, &observe.PanicError{Value: v, Stack: debug.Stack()})
//
// # Behind proxies
//
// network.peer.address is the address that opened the connection. With Options.TrustedProxies,
// client.address, url.scheme and server.address come from Forwarded (RFC 7239) or
// X-Forwarded-For, -Proto, -Host and -Port. The addresses are read from the end, where each
// proxy adds the address of its caller: the first address that is not trusted is the client.
// A client can invent only the addresses before that, and they are ignored. If there are both
// headers and they name different clients, a proxy has passed on one of them without knowing it,
// and both are ignored. A name such as "_hidden" is used as client.address; "unknown" is not.
// Reading ends at a malformed element, and the last address before it is the client.
//
// # Secrets in URLs
//
// User, query and fragment of a URL are cut from every error that is recorded, on spans, in log
// records, events and bundles: in *url.Error and the errors of url.Parse, wrapped, nested and
// joined, and in texts that have a scheme and "://", a query such as "shop.test/items?key=", or
// "user:password@host" with a port or path. The error that a job returns, or that a
// handler gets, stays as it is. Log handlers get an error itself if none of its forms has such a
// URL, and else only the text.
//
// Debug records are kept in memory while their request runs, and written only if it fails, is
// slow, or is debugged; see [Observer.LogHandler]. A signed token ([DebugToken]) or an
// OpenFeature flag (Options.LevelFlag) debugs one request, [Observer.SetLevel] one logger for
// a time.
//
// The flags that a request saw are on its span, in events and in its record. The metric of
// Options.GuardedFlags shows which variant is slow or fails; see [Observer.FlagHook].
//
// With Options.Captures a request that failed, was slow or was debugged is also stored as a
// bundle, a file that package observe/replay makes a test of: what it was sent and answered,
// its outbound calls, the flags it saw and what it logged, redacted by Options.Capture.
// [Value] adds data that a handler does not get by HTTP. See package observe/capture.
//
// # Whether it can be relied on
//
// [Observer.Health] reports what was dropped, what failed, what waits, and which levels are
// raised; the metrics upkeep.observe.dropped, upkeep.observe.failed and
// upkeep.observe.queued export it. [Observer.Gauges] exports the statistics of flag
// providers, guards and pools.
//
// # Trust and bounds
//
// Everything in a request is hostile. No part of it becomes a metric label: unknown methods
// are "_OTHER", routes come from the mux's patterns. A malformed X-Request-Id is replaced and
// not repeated anywhere; a well-formed one is the client's choice, so it proves nothing.
// Queries, cookies, bodies and headers (but User-Agent) are recorded in bundles only,
// redacted. Paths are recorded elsewhere too, and so are error texts, with their URLs cut: so
// neither should hold secrets. Trace context goes to every host that [Observer.Transport] calls, ids only to
// Options.InternalHosts, debug tokens only to DebugToken.Hosts. A debug token opens only the
// log of its requests; it is removed from the request and never recorded.
//
// Telemetry never fails a request: panics of providers, log handlers and hooks are caught and
// counted in [Observer.Stats]. A request holds at most 64 flag evaluations. On spans and
// events texts are cut to 256 bytes, paths to 1 KiB and stacks to 16 KiB. A process keeps at
// most 1,000 attribute sets for each metric. Log records that wait count up to 20 KiB of a
// request and 16 MiB of a process (see package observe/tail). With Options.Captures each
// request that runs is recorded, in up to 16 times Capture.MaxBody and 32 MiB of the process;
// bundles that wait for their store take another 32 MiB. With Options.Outcome each request that
// runs keeps up to Options.OutcomeBody bytes. Of Forwarded and X-Forwarded-For the last 32
// elements are read. 1,000 fingerprints are kept, and all others count as one.
package observe
