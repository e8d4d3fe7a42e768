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
// seconds, http.server.active_requests; and upkeep.job.duration for jobs. A request that
// fails logs one record, see [Observer.Handler]; of others at most a sample does
// (Options.WideEvent).
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
// [Value] is for what a handler gets by other ways than HTTP. See package observe/capture.
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
// redacted. Paths and error texts are recorded as they are elsewhere too, so neither should
// hold secrets. Trace context goes to every host that [Observer.Transport] calls, ids only to
// Options.InternalHosts, debug tokens only to DebugToken.Hosts. A debug token opens only the
// log of its requests; it is taken off the request, and recorded nowhere.
//
// Telemetry never fails a request: panics of providers, log handlers and hooks are caught and
// counted in [Observer.Stats]. A request holds at most 64 flag evaluations. On spans and
// events texts are cut to 256 bytes, paths to 1 KiB and stacks to 16 KiB. A process keeps at
// most 1,000 attribute sets for each metric. Log records that wait count up to 20 KiB of a
// request and 16 MiB of a process (see package observe/tail). With Options.Captures each
// request that runs is recorded, in up to 16 times Capture.MaxBody and 32 MiB of the process;
// bundles that wait for their store take another 32 MiB.
package observe
