package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

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
	// refuse what is written later, and say here what is written at once.
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
	// failure), which the other one ends, and leaves the metrics to the other one.
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

	// Captures keeps a bundle of each request that is told in full, for it failed, was
	// slow or was asked for: what it was sent and answered, what it asked others (by
	// [Observer.Transport] and [Value]), the flags that it saw and what it logged, redacted by
	// Capture. Nil: there are none, and nothing is recorded. See capture.Dir.
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
	slow                  time.Duration
	route                 func(*http.Request) string
	hosts                 map[string]bool // names, and domains with a leading dot

	limit    limiter
	tails    tails
	captures *captures // nil: none
	metrics  instruments
	counts   counts
	close    sync.Once
}

// counts are the observer's statistics.
type counts struct {
	requests, requestsActive, requestsFailed, requestsRefused atomic.Int64
	panics, idsReplaced, lateWrites                           atomic.Int64
	jobs, jobsActive, jobsFailed                              atomic.Int64
	outbound, outboundActive, outboundFailed                  atomic.Int64
	flagEvents, flagsDropped                                  atomic.Int64
	seriesFolded, telemetryPanics                             atomic.Int64
}

// New returns an observer; nil opts are the defaults. It does no I/O, and starts no
// goroutine but the one that writes Options.Captures. It fails when an option makes no sense, naming it, and when the
// MeterProvider refuses a metric.
func New(opts *Options) (*Observer, error) {
	if opts == nil {
		opts = &Options{}
	}
	if opts.Public && opts.JoinSpan {
		return nil, fmt.Errorf("observe: Options.Public has no effect with Options.JoinSpan: whoever starts the span decides about the caller's context")
	}
	if opts.Slow < 0 {
		return nil, fmt.Errorf("observe: Options.Slow must not be negative, got %v", opts.Slow)
	}
	o := &Observer{
		propagator: opts.Propagator,
		public:     opts.Public,
		join:       opts.JoinSpan,
		repanic:    opts.Repanic,
		slow:       opts.Slow,
		route:      opts.Route,
		hosts:      make(map[string]bool, len(opts.InternalHosts)),
	}
	for i, host := range opts.InternalHosts {
		if strings.Trim(host, ".") == "" || strings.ContainsAny(host, "/:*@ ") {
			return nil, fmt.Errorf("observe: Options.InternalHosts[%d]: %q is neither a host name nor a domain with a leading dot", i, host)
		}
		o.hosts[strings.ToLower(host)] = true
	}
	handler, err := newLogHandler(opts)
	if err != nil {
		return nil, err
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
	o.events = loggers.Logger(scopeName, log.WithSchemaURL(schemaURL))
	if o.captures, err = newCaptures(o, opts); err != nil {
		return nil, err
	}
	if err := o.metrics.init(meters.Meter(scopeName, metric.WithSchemaURL(schemaURL)), &o.counts); err != nil {
		return nil, err
	}
	if o.captures != nil {
		go o.captures.run()
	}
	return o, nil
}

// Close stops reporting http.server.active_requests, and writes the captures that wait,
// for at most six seconds; it is an error when the store has not returned by then. Requests
// are served and observed all the same; the providers belong to the application. Close
// is safe to call twice and while requests run.
func (o *Observer) Close() error {
	var err error
	o.close.Do(func() {
		err = o.metrics.registration.Unregister()
		if o.captures != nil {
			err = errors.Join(err, o.captures.stop())
		}
	})
	return err
}

// Logger returns a logger on [Observer.LogHandler].
func (o *Observer) Logger() *slog.Logger { return o.logger }

// LogHandler returns Options.Log wrapped so that each record whose context
// belongs to a request, job or span carries request_id, trace_id and span_id: at
// the top level, also from a logger with groups, and unless the record has an
// attribute of that name already.
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
//	jobs                 jobs started by Do, with jobs_active and jobs_failed
//	outbound             calls by Transport, with outbound_active and outbound_failed
//	details              requests and jobs told in full, for they failed, were slow
//	                     or were asked for
//	details_suppressed   those that were not: there were ten in that second, or three
//	                     alike in that minute
//	tail_bytes           memory that records hold which wait for the end of their request
//	tail_written         records written at the end of their request
//	tail_dropped         records that found no room, in their request or in the process
//	tail_late            records that came after their request had ended well
//	captures_written     bundles in Options.Captures
//	captures_dropped     those that were not taken: too many, or too large, waited
//	captures_failed      those that the store did not take
//	captures_queued      those that wait, with captures_queued_bytes
//	flag_events          feature_flag.evaluation events emitted
//	flags_dropped        evaluations beyond the 64 remembered per request
//	series_folded        measurements whose route, host or job was one too many
//	telemetry_panics     panics of providers, propagators, log handlers and
//	                     Options.Route that were kept from the request
func (o *Observer) Stats() map[string]float64 {
	c := &o.counts
	stats := make(map[string]float64, 32)
	for name, n := range map[string]*atomic.Int64{
		"requests": &c.requests, "requests_active": &c.requestsActive, "requests_failed": &c.requestsFailed,
		"requests_refused": &c.requestsRefused,
		"panics":           &c.panics, "ids_replaced": &c.idsReplaced, "late_writes": &c.lateWrites,
		"jobs": &c.jobs, "jobs_active": &c.jobsActive, "jobs_failed": &c.jobsFailed,
		"outbound": &c.outbound, "outbound_active": &c.outboundActive, "outbound_failed": &c.outboundFailed,
		"details": &o.limit.told, "details_suppressed": &o.limit.suppressed,
		"tail_written": &o.tails.written, "tail_dropped": &o.tails.dropped, "tail_late": &o.tails.late,
		"flag_events": &c.flagEvents, "flags_dropped": &c.flagsDropped,
		"series_folded": &c.seriesFolded, "telemetry_panics": &c.telemetryPanics,
	} {
		stats[name] = float64(n.Load())
	}
	if c := o.captures; c != nil {
		stats["captures_written"], stats["captures_dropped"] = float64(c.written.Load()), float64(c.dropped.Load())
		stats["captures_failed"], stats["captures_queued"] = float64(c.failed.Load()), float64(c.queued.Load())
		stats["captures_queued_bytes"] = float64(c.queuedBytes.Load())
	}
	stats["tail_bytes"] = float64(o.tails.bytes())
	return stats
}

// shield is deferred around calls into providers and handlers that are not ours:
// telemetry never fails a request.
func (o *Observer) shield() {
	if recover() != nil {
		o.counts.telemetryPanics.Add(1)
	}
}

// internal reports whether host is one of Options.InternalHosts.
func (o *Observer) internal(host string) bool {
	if len(o.hosts) == 0 {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if o.hosts[host] {
		return true
	}
	for i := range len(host) {
		if host[i] == '.' && i > 0 && o.hosts[host[i:]] {
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
