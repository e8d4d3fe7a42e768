package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// Options configure an [Observer]. The zero value is of use: telemetry goes to
// OpenTelemetry's global providers and log records to slog's default handler.
type Options struct {
	// Log receives the records of [Observer.Logger] and the observer's own. Nil
	// means the handler of slog.Default at the time of [New]; if that is still the
	// one slog starts with, which must not be wrapped (see [ErrDefaultHandler]), it
	// means a slog.TextHandler on the log package's writer. The handler of another
	// Observer is taken as it is, so ids appear once.
	Log slog.Handler

	// Level is the lowest level of records that are written at once. Nil means what
	// Log's own Enabled says. It is for handlers that look at levels once more when
	// they handle a record, as slog.MultiHandler does: give those a low level, or they
	// refuse what is written later, and say here what is written at once. Where Log is the
	// handler of another Observer, that one's levels hold, and these must be nil.
	Level slog.Leveler

	// TailLevel is the lowest level of records that are kept until the end of their
	// request or job, to be written if it fails: see [Observer.LogHandler]. Nil means
	// slog.LevelDebug. A level that is written at once anyway keeps none.
	TailLevel slog.Leveler

	// TracerProvider, MeterProvider and LoggerProvider take spans, metrics and
	// events. Nil means OpenTelemetry's global one, also one set after [New].
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	LoggerProvider log.LoggerProvider

	// Propagator reads and writes trace context. Nil means OpenTelemetry's global
	// one, which does nothing until the application sets one.
	Propagator propagation.TextMapPropagator

	// Public is for handlers that strangers call. False: a caller's trace context
	// makes the server span its child and its baggage is taken. True: the caller's
	// context becomes a link of a new trace, and its baggage is dropped.
	Public bool

	// JoinSpan is for handlers inside another instrumentation, such as otelhttp.
	// False: Handler starts a server span and records the http.server metrics.
	// True: it enriches the span that it finds in the context (route, request id,
	// failure), which the other one ends, and leaves the metrics to the other one, which
	// finds the route in Request.Pattern. otelhttp sets the span's status once more: of an
	// error with a 5xx its text is then in the event and the log only.
	JoinSpan bool

	// Repanic passes a handler's panic on, with its own value, once it has been
	// reported. False: the client gets a problem+json 500, or the connection is cut
	// when the response had begun.
	Repanic bool

	// Route names the route of a request for routers that leave Request.Pattern
	// empty. It is asked after the handler has returned, for requests that no
	// [Route] has named, with the request as the wrapped handler got it. It must
	// return the router's template ("/users/:id") or "", never the path: the answer
	// becomes a metric label. Nil: what Request.Pattern says.
	Route func(*http.Request) string

	// Slow is how long a request may take before it counts as slow, which is told as
	// a failure is: see [Observer.LogHandler]. Zero: no request is slow. Jobs and
	// connections that were taken over (http.Hijacker) never are.
	Slow time.Duration

	// WideEvent is the share of requests, from 0 to 1, that write a record of their own
	// at their end though they did not fail: "request served", with method, route, path,
	// status, duration, bytes, the flags it saw, and sample_rate, so that each stands for
	// 1/sample_rate requests; "request refused" after a 503 with Retry-After, and "request
	// aborted" after a panic with http.ErrAbortHandler. Requests that failed, were slow or
	// were debugged always write theirs. Zero: no others do.
	WideEvent float64

	// Captures keeps a bundle of each request that is told in full, for it failed, was
	// slow or was asked for: what it was sent and answered, what it asked others (by
	// [Observer.Transport] and [Value]), the flags that it saw and what it logged, redacted by
	// Capture. Jobs have none of their own. Nil: there are none, and nothing is recorded.
	// See capture.Dir.
	//
	// Bundles are written by a goroutine of the observer, which [Observer.Close] ends; when
	// its store cannot follow, bundles are dropped and counted, and requests do not wait.
	Captures capture.Store
	Capture  CaptureOptions

	// InternalHosts names the hosts that [Observer.Transport] tells the request's
	// id, because an id told to a third party is a leak: "prices.internal", or
	// ".internal" for all hosts below a domain. Letter case and port do not matter.
	// Nil: none.
	InternalHosts []string

	// ResponseSize adds http.response.body.size to server spans: the bytes of the body
	// that the handler wrote. Semconv leaves it to opting in. False: only the records of
	// requests have it, as bytes.
	ResponseSize bool

	// GuardedFlags are the keys of at most eight flags whose effect on requests is
	// measured, as upkeep.flag.request.duration: see [Observer.FlagHook]. Nil: none.
	GuardedFlags []string

	// RedactFlag is given each text of a flag evaluation before it is recorded: values
	// that are strings and have no variant, and error messages. What it returns is
	// recorded instead; nothing when that is "". It must be safe for concurrent use. Nil:
	// texts are recorded as they are.
	RedactFlag func(key, text string) string

	// OldFlagErrors adds the error message of a flag evaluation under the name that it had
	// before semconv v1.40, error.message, for dashboards that still look for that. False:
	// it is only in feature_flag.error.message.
	OldFlagErrors bool

	// DebugToken lets a signed token raise the level of single requests. Nil: none does.
	DebugToken *DebugToken

	// LevelFlag is the key of an OpenFeature flag of type string that sets the level of
	// single requests and jobs: "debug" writes their records from debug on at once, "" or
	// "info" changes nothing where info is written anyway. So "debug for tenant X" is a
	// targeting rule. It is evaluated once a request, with the evaluation context of
	// openfeature.TransactionContext, where [Route] stands; once before that, too, when a
	// record below the level comes earlier or there is no Route. It never lowers what is
	// written. Errors and panics are counted, and the level stays; an evaluation that takes
	// more than 50 ms stops others for 10 s. "" means none.
	LevelFlag string

	// FlagClient evaluates LevelFlag. Nil means openfeature.NewDefaultClient().
	FlagClient openfeature.IClient
}

// An Observer instruments one service. All its methods are safe for concurrent
// use.
type Observer struct {
	tracer     trace.Tracer
	events     log.Logger
	propagator propagation.TextMapPropagator
	handler    *logHandler
	logger     *slog.Logger

	public, join, repanic bool
	responseSize          bool
	untraced              bool // the tracer is one that does nothing
	slow                  time.Duration
	wide                  float64
	route                 func(*http.Request) string
	hosts                 hostSet
	debug                 *debugTokens // nil: none are taken
	levelFlag             *levelFlag   // nil: none
	redact                func(key, text string) string
	oldFlagErrors         bool

	limit    limiter
	tails    tails
	guarded  guardedFlags
	captures *captures // nil: none
	metrics  instruments
	meter    metric.Meter
	gauges   gauges
	counts   counts
	vitals   vitals

	registrations registrations
}

// counts are the observer's statistics.
type counts struct {
	requests, requestsActive, requestsFailed, requestsRefused atomic.Int64
	panics, idsReplaced, lateWrites                           atomic.Int64
	jobs, jobsActive, jobsFailed                              atomic.Int64
	outbound, outboundActive, outboundFailed                  atomic.Int64
	debugged, debugRefused                                    atomic.Int64
	flagEvents                                                atomic.Int64

	telemetryPanics, lateAnswers, flagsDropped, seriesFolded, gaugesDropped lossCount
}

// New returns an observer; nil opts are the defaults. It does no I/O, and starts no
// goroutine but the one that writes Options.Captures. It fails when options make no
// sense, naming all of them (errors.Join), and when the MeterProvider refuses a metric.
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
	o := &Observer{
		propagator: opts.Propagator,
		public:     opts.Public,
		join:       opts.JoinSpan,
		repanic:    opts.Repanic,

		responseSize: opts.ResponseSize,
		slow:         opts.Slow,
		wide:         opts.WideEvent,

		redact:        opts.RedactFlag,
		oldFlagErrors: opts.OldFlagErrors,
		route:         opts.Route,
	}
	note := func(err error) { errs = append(errs, err) } // errors.Join leaves out a nil
	var err error
	o.hosts, err = newHostSet("InternalHosts", opts.InternalHosts)
	note(err)
	o.debug, err = newDebugTokens(opts.DebugToken)
	note(err)
	o.captures, err = newCaptures(o, opts)
	note(err)
	note(o.guarded.take(opts.GuardedFlags))
	handler, err := newLogHandler(opts)
	note(err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if opts.LevelFlag != "" {
		o.levelFlag = &levelFlag{key: opts.LevelFlag, client: opts.FlagClient, start: time.Now()}
		if opts.FlagClient == nil {
			o.levelFlag.client = openfeature.NewDefaultClient()
		}
	}
	if o.debug != nil || o.levelFlag != nil {
		handler.root.raises.Store(true)
	}
	o.handler, o.logger = handler, slog.New(handler)

	if o.propagator == nil {
		o.propagator = otel.GetTextMapPropagator()
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
	o.tracer = tracers.Tracer(scopeName, trace.WithSchemaURL(schemaURL))
	_, o.untraced = o.tracer.(tracenoop.Tracer)
	o.events = loggers.Logger(scopeName, log.WithSchemaURL(schemaURL))
	meter := meters.Meter(scopeName, metric.WithSchemaURL(schemaURL))
	if err := o.guarded.init(meter, &o.counts); err != nil {
		return nil, err
	}
	o.meter = meter
	if err := o.metrics.init(meter, &o.counts, &o.registrations); err != nil {
		return nil, err
	}
	o.listVitals()
	if err := o.measureVitals(meter); err != nil {
		return nil, errors.Join(err, o.registrations.close())
	}
	if o.captures != nil {
		go o.captures.run()
	}
	return o, nil
}

// Close stops reporting http.server.active_requests, upkeep.observe.* and what
// [Observer.Gauges] exports, and writes the captures that wait, for at most six
// seconds; it is an error when their store has not returned by then, and those that are
// left count as captures_dropped. Requests are served and observed all the same; the
// providers belong to the application. Close is safe to call twice and while requests run.
func (o *Observer) Close() error {
	return errors.Join(o.registrations.close(), o.captures.stop())
}

// Logger returns a logger on [Observer.LogHandler].
func (o *Observer) Logger() *slog.Logger { return o.logger }

// LogHandler returns Options.Log wrapped so that each record whose context
// belongs to a request, job or span carries request_id, trace_id and span_id: at
// the top level, also from a logger with groups, and unless the record has an
// attribute of that name already.
//
// Records below the level that is written (Options.Level, or what Options.Log says;
// see [Observer.SetLevel]), but not below Options.TailLevel, are kept until the end
// of their request or job. They are written if it failed, panicked, was slow
// (Options.Slow) or was debugged (Options.DebugToken, Options.LevelFlag), else
// forgotten. They are written
//
//   - together, in the order of their times, before the request's own record; so what
//     was written at once stands before them, and only times tell how the two mix;
//   - as logged: own time, level, source line, ids and span, and the attribute tail=true;
//   - for at most ten requests in any second, and three in any minute that are alike in
//     route, status and the place that failed (the caller of [Fail], the frame that
//     panicked, or the error's type). The record of the next that is told says how many
//     were not, as "suppressed"; so does the first of its tail, of a job that has no
//     record of its own.
//
// A request keeps 20 KiB. When that is full its oldest records give way. All requests
// together keep 16 MiB. When that is full the oldest requests give way, but for the first
// of each route or job name. How many gave way the request's record says, as
// "tail_dropped"; of a request that writes none they are no loss. Texts are cut
// to 1 KiB. Attributes that are more than 4 KiB in a record, or 2 KiB in its logger's With,
// are left out and counted as "attrs_left".
//
// Values are packed when they are logged. Those that are no bool, number, string, time or
// duration are rendered then, at the cost that this has: as a slog.TextHandler would if
// Options.Log is one, else as JSON. So a value may be changed later, and a LogValuer is
// asked once, in the goroutine that logs.
//
// A job inside a request hands its records to the request when it ends well. Records
// below the level that a goroutine logs after the end of its request are written at once,
// with tail=true and late=true, if the request was told and up to 20 KiB; others are
// counted as tail_late in [Observer.Stats]. Those that are not below the level are written
// as ever, without a mark.
func (o *Observer) LogHandler() slog.Handler { return o.handler }

// Stats returns what the observer has counted since [New]:
//
//	requests             requests seen
//	requests_active      of them running now
//	requests_failed      of them ended with a status of 500 or more, a panic or Fail
//	requests_refused     of them ended with a 503 and a Retry-After, which is no failure
//	panics               panics of handlers and jobs
//	ids_replaced         malformed request ids that clients sent
//	late_writes          uses of a response after its handler returned
//	late_answers         answers by whoever stands outside after the handler returned
//	jobs                 jobs started by Do, with jobs_active and jobs_failed
//	outbound             calls by Transport, with outbound_active and outbound_failed
//	details              requests and jobs told in full, for they failed, were slow
//	                     or were asked for
//	details_suppressed   those that were not: there were ten in that second, or three
//	                     alike in that minute
//	debug                requests and jobs whose level a token or the flag has set
//	debug_refused        debug tokens that were refused
//	level_flag_errors    evaluations of Options.LevelFlag that failed or named no level
//	levels_set           levels of loggers that SetLevel has set
//	tail_bytes           memory that records hold which wait for the end of their request
//	tail_written         records written at the end of their request
//	tail_dropped         records that found no room, in their request or in the process,
//	                     of requests and jobs that were told in full
//	tail_late            records below the level that came after their request had ended,
//	                     and had ended well or had late ones enough
//	captures_written     bundles in Options.Captures
//	captures_dropped     those that were not taken: too many, or too large, waited, or
//	                     Close was called or gave up waiting for the store
//	captures_failed      those that the store did not take
//	captures_queued      those that wait, with captures_queued_bytes
//	flag_events          feature_flag.evaluation events emitted
//	flags_dropped        evaluations beyond the 64 remembered per request
//	series_folded        measurements whose route, host or job was one too many
//	gauges_dropped       statistics that were not there when Gauges was called
//	log_errors           records that the wrapped log handler could not write
//	telemetry_panics     panics of providers, propagators, log handlers and
//	                     Options.Route that were kept from the request
//
// [Observer.Health] tells of those among them that say something was lost, and the
// metrics upkeep.observe.dropped, upkeep.observe.failed (both by upkeep.observe.what,
// the name here) and upkeep.observe.queued (in bytes) export them.
func (o *Observer) Stats() map[string]float64 {
	c := &o.counts
	stats := make(map[string]float64, 32)
	for name, n := range map[string]interface{ Load() int64 }{
		"requests": &c.requests, "requests_active": &c.requestsActive, "requests_failed": &c.requestsFailed,
		"requests_refused": &c.requestsRefused,
		"panics":           &c.panics, "ids_replaced": &c.idsReplaced, "late_writes": &c.lateWrites,
		"jobs": &c.jobs, "jobs_active": &c.jobsActive, "jobs_failed": &c.jobsFailed,
		"outbound": &c.outbound, "outbound_active": &c.outboundActive, "outbound_failed": &c.outboundFailed,
		"debug": &c.debugged, "debug_refused": &c.debugRefused,
		"details":      &o.limit.told,
		"tail_written": &o.tails.written, "flag_events": &c.flagEvents,
	} {
		stats[name] = float64(n.Load())
	}
	for _, name := range []string{"captures_written", "captures_dropped", "captures_failed", "captures_queued", "captures_queued_bytes"} {
		stats[name] = 0 // without Options.Captures
	}
	if c := o.captures; c != nil {
		stats["captures_written"], stats["captures_queued"] = float64(c.written.Load()), float64(c.queued.Load())
	}
	stats["level_flag_errors"] = 0 // without one
	stats["levels_set"] = float64(o.handler.root.levels.prune(time.Now()))
	for _, v := range o.vitals.losses {
		stats[v.name] = float64(v.count.Load())
	}
	for _, q := range o.vitals.queues {
		stats[q.name] = float64(q.bytes())
	}
	return stats
}

// shield is deferred around calls into providers and handlers that are not ours:
// telemetry never fails a request.
func (o *Observer) shield() {
	if recover() != nil {
		o.counts.telemetryPanics.Add(1)
	}
}

// A hostSet holds names of hosts, and of domains with a leading dot.
type hostSet map[string]bool

func newHostSet(option string, names []string) (hostSet, error) {
	hosts := make(hostSet, len(names))
	var errs []error
	for i, host := range names {
		if strings.Trim(host, ".") == "" || strings.ContainsAny(host, "/:*@ ") {
			errs = append(errs, fmt.Errorf("observe: Options.%s[%d]: %q is neither a host name nor a domain with a leading dot", option, i, host))
		}
		hosts[strings.ToLower(host)] = true
	}
	return hosts, errors.Join(errs...)
}

// has reports whether host is in the set, or below a domain in it.
func (hosts hostSet) has(host string) bool {
	if len(hosts) == 0 {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if hosts[host] {
		return true
	}
	for i := range len(host) {
		if host[i] == '.' && i > 0 && hosts[host[i:]] {
			return true
		}
	}
	return false
}

// exception emits the event of an error that ended a request or job.
func (o *Observer) exception(ctx context.Context, name string, err error) {
	if !o.events.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityError, EventName: name}) {
		return
	}
	var r log.Record
	r.SetEventName(name)
	r.SetSeverity(log.SeverityError)
	r.SetErr(err)
	r.AddAttributes(
		keyExceptionType.String(errorType(err)),
		keyExceptionText.String(errorText(err)),
	)
	if p, ok := err.(*PanicError); ok {
		r.AddAttributes(keyExceptionStack.String(clip(string(p.Stack), maxStack)))
	}
	o.events.Emit(ctx, r)
}
