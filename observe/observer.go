package observe

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// An Observer instruments one service. All its methods are safe for concurrent
// use.
type Observer struct {
	core
	sinks    []sink // in this order: an outcome passes from one to the next
	handler  *logHandler
	captures *captures // nil: none
	meter    metric.Meter
	gauges   gauges
	vitals   vitals

	registrations registrations
}

// gauges are the statistics of others that an observer exports.
type gauges struct {
	mu    sync.Mutex
	names map[string]bool
	keys  int
}

// New returns an observer. Nil opts are the defaults. It does no I/O, and starts no goroutine
// but the one that writes Options.Captures. It returns all faults of the options together
// (errors.Join), or the error of a MeterProvider that refuses a metric.
func New(opts *Options) (*Observer, error) {
	if opts == nil {
		opts = &Options{}
	}
	var errs []error
	if opts.Public && opts.JoinSpan {
		errs = append(errs, fmt.Errorf("observe: Options.Public has no effect with Options.JoinSpan: whoever starts the span decides about the caller's context"))
	}
	if opts.Slow < 0 {
		errs = append(errs, fmt.Errorf("observe: Options.Slow must not be negative, got %v", opts.Slow))
	}
	if !(opts.WideEvent >= 0 && opts.WideEvent <= 1) {
		errs = append(errs, fmt.Errorf("observe: Options.WideEvent must be 0 to 1, got %v", opts.WideEvent))
	}
	if opts.OutcomeBody < 0 || opts.OutcomeBody > maxOutcomeBody {
		errs = append(errs, fmt.Errorf("observe: Options.OutcomeBody must be between 0 and %d, got %d", maxOutcomeBody, opts.OutcomeBody))
	}
	for i, prefix := range opts.TrustedProxies {
		if !prefix.IsValid() {
			errs = append(errs, fmt.Errorf("observe: Options.TrustedProxies[%d] is no valid prefix", i))
		}
	}
	o := &Observer{core: core{opts: *opts}}
	o.opts.TrustedProxies = slices.Clone(opts.TrustedProxies)
	o.opts.GuardedFlags = slices.Clone(opts.GuardedFlags)
	note := func(err error) { errs = append(errs, err) } // errors.Join leaves out a nil
	var err error
	o.hosts, err = newHostSet("InternalHosts", opts.InternalHosts)
	note(err)
	o.debug, err = newDebugTokens(opts.DebugToken)
	note(err)
	o.captures, err = newCaptures(opts.Captures, opts.Capture)
	note(err)
	guarded := &guardedFlags{}
	note(guarded.take(o.opts.GuardedFlags))
	o.handler, err = newLogHandler(opts.Log, opts.Level, opts.TailLevel)
	note(err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o.logs, o.logger = o.handler.root, slog.New(o.handler)
	if opts.LevelFlag != "" {
		o.levelFlag = &levelFlag{key: opts.LevelFlag, client: opts.FlagClient}
		if opts.FlagClient == nil {
			o.levelFlag.client = openfeature.NewDefaultClient()
		}
	}
	if o.debug != nil || o.levelFlag != nil {
		o.logs.raises.Store(true)
	}

	if opts.Propagator == nil {
		o.opts.Propagator = otel.GetTextMapPropagator()
	}
	tracers, meters, loggers := opts.TracerProvider, opts.MeterProvider, opts.LoggerProvider
	if tracers == nil {
		tracers = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	if loggers == nil {
		loggers = otel.GetLoggerProvider()
	}
	scopeVersion := ownVersion()
	o.tracer = tracers.Tracer(scopeName, trace.WithSchemaURL(schemaURL), trace.WithInstrumentationVersion(scopeVersion))
	o.events = loggers.Logger(scopeName, log.WithSchemaURL(schemaURL), log.WithInstrumentationVersion(scopeVersion))
	o.meter = meters.Meter(scopeName, metric.WithSchemaURL(schemaURL), metric.WithInstrumentationVersion(scopeVersion))
	if err := o.metrics.init(o.meter, &o.registrations, &o.counts.streamsActive); err != nil {
		return nil, err
	}
	if err := guarded.init(o.meter); err != nil {
		return nil, errors.Join(err, o.registrations.close())
	}
	o.listVitals()
	if err := o.vitals.register(o.meter, &o.registrations); err != nil {
		return nil, errors.Join(err, o.registrations.close())
	}

	o.sinks = append(o.sinks, &tailSink{handler: o.logs.plain, counts: &o.counts})
	if c := o.captures; c != nil {
		c.counts, c.logger = &o.counts, o.logger
		if o.debug != nil {
			c.hidden = o.debug.header
		}
		o.sinks = append(o.sinks, c)
		go c.run()
	}
	o.sinks = append(o.sinks, &logSink{logger: o.logger, root: o.logs, counts: &o.counts, wide: opts.WideEvent})
	if len(opts.GuardedFlags) > 0 {
		o.sinks = append(o.sinks, guarded)
	}
	return o, nil
}

// finish turns what the application did with a request or job into an outcome, and gives
// that to the sinks. returned is what a job returned, and panicError the panic that
// ended it. A part that breaks does not keep the others from it.
func (o *Observer) finish(st *state, out outcome, returned error, panicError *PanicError) {
	out.duration = time.Since(st.start)
	st.judge(&out, returned, panicError)
	st.measure(&out)
	for _, s := range o.sinks {
		out = s.end(st, out)
	}
}

// Close stops reporting http.server.active_requests, upkeep.observe.* and what
// [Observer.Gauges] exports, and writes the captures that wait, for at most six seconds. If
// that was not enough, it returns an error with how many captures are lost and the names of the
// first ten; they count as captures_failed or captures_dropped. Requests are still observed, and the providers are left to the
// application. Close is safe to call twice and while requests run.
func (o *Observer) Close() error {
	return errors.Join(o.registrations.close(), o.captures.stop())
}

// Logger returns a logger on [Observer.LogHandler].
func (o *Observer) Logger() *slog.Logger { return o.logger }

// LogHandler returns Options.Log wrapped so that each record whose context belongs to a
// request, job or span carries request_id, trace_id and span_id: at the top level, also from a
// logger with groups, and unless the record has an attribute of that name already.
//
// Records below the level that is written (Options.Level, or what Options.Log says; see
// [Observer.SetLevel]), from Options.TailLevel on, are kept until the end of their request or
// job. They are written if it failed, panicked, was slow (Options.Slow) or was debugged
// (Options.DebugToken, Options.LevelFlag); otherwise they are dropped. They are written
//
//   - together, in the order of their times, before the request's own record, but after
//     records that were written at once;
//   - as logged: own time, level, source line, ids and span, and the attribute tail=true;
//   - for at most ten requests in any second, and three in any minute with the same route,
//     status and place of failure (the caller of [Fail], the frame that panicked, or the
//     error's type). The record of the next reported one counts the others as "suppressed".
//     If its own ERROR record is left out, because one alike was written in that second, the
//     first kept record has the counts.
//
// A request keeps 20 KiB, and all of them 16 MiB, counted as package observe/tail says, which
// also says what gives way when they are full. The request's record counts what gave way as
// "tail_dropped". See there, too, for how values are rendered and cut.
//
// A job inside a request hands its records to the request when it ends well. Records below
// the level that a goroutine logs after the end of its request are written at once, with
// tail=true and late=true, if the request was reported, up to 20 KiB; others are counted as
// tail_late in [Observer.Stats].
func (o *Observer) LogHandler() slog.Handler { return o.handler }

// Stats returns what the observer has counted since [New]:
//
//	requests               requests seen
//	requests_active        requests that run now
//	requests_failed        requests that failed, as the package comment says
//	requests_refused       requests answered with 503 and a Retry-After; not failures
//	requests_gone          requests whose client went away before the response; not failures
//	streams                responses that were streams
//	streams_active         streams that run now
//	streams_failed         streams that failed
//	streams_gone           streams whose client went away
//	panics                 panics of handlers and jobs
//	ids_replaced           malformed request ids that clients sent
//	late_writes            uses of a response after its handler returned
//	late_answers           responses that other code wrote after the handler had returned
//	jobs                   jobs started by Do
//	jobs_active            jobs that run now
//	jobs_failed            jobs that failed
//	outbound               calls by Transport
//	outbound_active        calls by Transport that run now
//	outbound_failed        calls by Transport that failed
//	details                requests and jobs reported in full, because they failed, were
//	                       slow or were asked for
//	details_suppressed     requests and jobs that were to be reported in full and were not:
//	                       there were ten in that second, or three alike in that minute
//	records_repeated       ERROR records that were left out, because one with the same
//	                       fingerprint was written in that second; the next one counts them
//	debug                  requests and jobs whose level a token or the flag has set
//	debug_refused          debug tokens that were refused
//	level_flag_errors      evaluations of Options.LevelFlag that failed or named no level
//	levels_set             levels of loggers that SetLevel has set
//	tail_bytes             size of the records that wait for the end of their request
//	tail_written           records written at the end of their request
//	tail_dropped           records of requests and jobs reported in full that were dropped,
//	                       because the memory of their request or of the process was full
//	tail_late              records below the level that came after their request had ended,
//	                       and were not written
//	captures_written       bundles written to Options.Captures
//	captures_dropped       bundles that were not taken: too many or too large ones waited,
//	                       or Close had given up
//	captures_failed        bundles that the store did not take
//	captures_queued        bundles that wait to be written
//	captures_queued_bytes  size of the bundles that wait to be written
//	flag_events            feature_flag.evaluation events emitted
//	flags_dropped          evaluations beyond the 64 that a request remembers
//	series_folded          measurements whose route, host or job was one too many
//	gauges_dropped         statistics that were not there when Gauges was called
//	log_errors             records that the wrapped log handler could not write
//	telemetry_panics       panics of providers, propagators, log handlers and Options.Route
//	                       that were kept from the request
//
// [Observer.Health] reports those that mean that something was lost. The metrics
// upkeep.observe.dropped and upkeep.observe.failed export them, with the name above in the
// attribute upkeep.observe.what, and upkeep.observe.queued exports what waits, in bytes.
func (o *Observer) Stats() map[string]float64 {
	c := &o.counts
	stats := make(map[string]float64, 32)
	for name, n := range map[string]interface{ Load() int64 }{
		"requests": &c.requests, "requests_active": &c.requestsActive, "requests_failed": &c.requestsFailed,
		"requests_refused": &c.requestsRefused, "requests_gone": &c.requestsGone,
		"streams": &c.streams, "streams_active": &c.streamsActive, "streams_gone": &c.streamsGone, "streams_failed": &c.streamsFailed,
		"panics": &c.panics, "ids_replaced": &c.idsReplaced, "late_writes": &c.lateWrites,
		"jobs": &c.jobs, "jobs_active": &c.jobsActive, "jobs_failed": &c.jobsFailed,
		"outbound": &c.outbound, "outbound_active": &c.outboundActive, "outbound_failed": &c.outboundFailed,
		"debug": &c.debugged, "debug_refused": &c.debugRefused, "details": &o.limit.reported,
		"tail_written": &c.tailWritten, "flag_events": &c.flagEvents,
	} {
		stats[name] = float64(n.Load())
	}
	for _, name := range []string{"captures_written", "captures_dropped", "captures_failed", "captures_queued", "captures_queued_bytes", "level_flag_errors"} {
		stats[name] = 0 // without Options.Captures or LevelFlag
	}
	if c := o.captures; c != nil {
		stats["captures_written"], stats["captures_queued"] = float64(c.written.Load()), float64(c.queued.Load())
	}
	stats["levels_set"] = float64(len(o.logs.levels.current(time.Now())))
	for _, v := range o.vitals.losses {
		stats[v.name] = float64(v.count.Load())
	}
	for _, q := range o.vitals.queues {
		stats[q.name] = float64(q.bytes())
	}
	return stats
}

// SetLevel sets the lowest level that is written at once for loggers of that name, up or
// down, for the time d from now. Records that it keeps from being written are still kept for
// requests that fail, from Options.TailLevel on.
//
// A logger's name is the attribute "logger" that it was given with With, before any
// WithGroup, so libraries that are given a logger need not know of this:
//
//	store := NewStore(db, obs.Logger().With("logger", "sql"))
//
// The name "" means all loggers without a level of their own. A d of zero or less ends a
// level that was set before. Stats counts the levels that are set as levels_set.
//
// SetLevel returns an error for a name of more than 256 bytes, and when a hundred levels are
// set already. Observers that share a handler share its levels.
func (o *Observer) SetLevel(name string, level slog.Level, d time.Duration) error {
	return o.logs.levels.put(name, level, d)
}

// Health returns how the observer does now. It is cheap enough to call every second.
func (o *Observer) Health() Health {
	now := time.Now()
	return o.vitals.health(o.logs.levels.current(now), now)
}

func (o *Observer) listVitals() {
	c := &o.counts
	o.vitals.losses = []vital{
		{name: "telemetry_panics", means: "panics of providers, propagators, log handlers and hooks", failed: true, count: &c.telemetryPanics},
		{name: "log_errors", means: "records that the wrapped log handler could not write", failed: true, count: &o.logs.errors},
		{name: "late_answers", means: "answers given when Handler had reported: it belongs in front of the framework", failed: true, count: &c.lateAnswers},
		{name: "tail_dropped", means: "log records that found no room, of requests reported in full", count: &c.tailDropped},
		{name: "tail_late", means: "log records below the level that came after the end of their request", meant: true, count: &c.tailLate},
		{name: "details_suppressed", means: "requests that were to be reported in full and were too many", meant: true, count: &o.limit.suppressed},
		{name: "records_repeated", means: "ERROR records that were left out, because one alike was written in that second", meant: true, count: &o.limit.repeated},
		{name: "flags_dropped", means: "flag evaluations beyond those remembered of a request", count: &c.flagsDropped},
		{name: "series_folded", means: "measurements whose route, host or job was one too many", count: &c.seriesFolded},
		{name: "gauges_dropped", means: "statistics that were not there when Gauges was called", count: &c.gaugesDropped},
	}
	if o.levelFlag != nil {
		o.vitals.losses = append(o.vitals.losses, vital{
			name: "level_flag_errors", means: "evaluations of Options.LevelFlag that failed or named no level", failed: true, count: &o.levelFlag.errors,
		})
	}
	o.vitals.queues = []queue{{name: "tail_bytes", bytes: o.handler.Bytes}}
	if o.captures != nil {
		o.vitals.losses = append(o.vitals.losses,
			vital{name: "captures_failed", means: "bundles that Options.Captures did not take", failed: true, count: &o.captures.failed},
			vital{name: "captures_dropped", means: "bundles that were not written: too many, or too large, waited, or Close did not wait longer", count: &o.captures.dropped})
		o.vitals.queues = append(o.vitals.queues, queue{name: "captures_queued_bytes", bytes: o.captures.queuedBytes.Load})
	}
}

// Problems returns an error for each loss of the last five minutes that is not [Loss.Meant]:
// [Observer.Health] for programs that collect the problems of all that they run.
func (o *Observer) Problems() []error { return o.Health().problems(time.Now()) }
