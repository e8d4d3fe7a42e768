package observe

import (
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/upkeep-go/upkeep/observe/capture"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Options configure an [Observer]. The zero value is of use: telemetry goes to
// OpenTelemetry's global providers and log records to slog's default handler.
type Options struct {
	// Log receives the records of [Observer.Logger] and the observer's own. Nil means the
	// handler of slog.Default at the time of [New]. If that is slog's built-in one, which must
	// not be wrapped (see [ErrDefaultHandler]), nil means a slog.TextHandler on the log
	// package's writer. The handler of another Observer is used as it is, so ids appear once.
	Log slog.Handler

	// Level is the lowest level of records that are written at once. Nil means what Log's
	// own Enabled says. Set it for handlers that check levels again in Handle, as
	// slog.MultiHandler does, and give those a low level, or they drop the delayed records.
	// It and TailLevel must be nil if Log is the handler of another Observer.
	Level slog.Leveler

	// TailLevel is the lowest level of records that are kept until the end of their request
	// or job, and written if it fails: see [Observer.LogHandler]. Nil means slog.LevelDebug.
	TailLevel slog.Leveler

	// TracerProvider, MeterProvider and LoggerProvider take spans, metrics and
	// events. Nil means OpenTelemetry's global one, also one set after [New].
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	LoggerProvider log.LoggerProvider

	// Propagator reads and writes trace context. Nil means OpenTelemetry's global
	// one, which does nothing until the application sets one.
	Propagator propagation.TextMapPropagator

	// Public is for handlers that strangers call. False: the server span is a child of the
	// caller's span, and the caller's baggage is taken. True: the server span starts a new
	// trace with a link to the caller's, and the baggage is dropped.
	Public bool

	// JoinSpan is for handlers inside another instrumentation, such as otelhttp. False:
	// Handler starts a server span and records the http.server metrics. True: it adds route,
	// request id and failure to the span in the context, which the other one ends, and leaves
	// the metrics to the other one, which finds the route in Request.Pattern. otelhttp sets
	// the span's status again, so the text of an error with a 5xx is only in event and log.
	JoinSpan bool

	// Repanic passes a handler's panic on once it is reported. False: the client gets a
	// problem+json 500, or the connection is cut if the response had begun.
	Repanic bool

	// Route returns the route of a request for routers that leave Request.Pattern empty. It
	// is called after the handler has returned, for requests without a [Route], with the
	// request as the wrapped handler got it. It must return the router's template
	// ("/users/:id") or "", never the path, because the result becomes a metric label. Nil
	// means Request.Pattern.
	Route func(*http.Request) string

	// Slow is how long a request may take before it counts as slow, which is reported like a
	// failure: see [Observer.LogHandler]. Zero means that no request is slow. Jobs and streams
	// never are.
	Slow time.Duration

	// Stream reports whether the response to a request is a stream, or an answer that waits for
	// something to happen: it is not slow however long it takes. Responses that declare a
	// stream by their Content-Type, and connections that were taken over (http.Hijacker), are
	// streams without it. It is called when the response begins, with the request as the
	// wrapped handler got it, or once the handler has returned without a response. It must be
	// safe for concurrent use. Nil means no others are. See the package comment.
	Stream func(*http.Request) bool

	// Outcome returns an error if a response is a failure although its status is below 500,
	// as if the handler had called [Fail]. It is called when the handler has returned, if
	// nothing else says that the request failed and the client is still there. The response
	// has the status, header and trailer as the handler left them; ContentLength is how many
	// bytes the handler wrote, and Body the first OutcomeBody of them. Outcome must be safe
	// for concurrent use, and must not change the request. Nil means that only the status
	// decides. See [OutcomeGRPC], [OutcomeConnect] and [OutcomeGraphQL].
	Outcome func(*http.Request, *http.Response) error

	// OutcomeBody is how many bytes of each response Outcome may read, at most 1 MiB. They are
	// kept in memory until the handler returns. Zero means none.
	OutcomeBody int

	// TrustedProxies are the addresses of proxies whose Forwarded and X-Forwarded-* headers are
	// believed. Then client.address, url.scheme, server.address and server.port are what the
	// nearest proxy in front of them all was asked by the client: see the package comment.
	// Headers from other addresses are ignored. The application's request stays as it is.
	// Nil means that no proxy is trusted.
	TrustedProxies []netip.Prefix

	// WideEvent is the share of requests, from 0 to 1, that log a record at their end though
	// they did not fail: "request served", with method, route, path, status, duration, bytes,
	// the flags it saw, and sample_rate; "request refused" after a 503 with Retry-After;
	// "request aborted" after a panic with http.ErrAbortHandler. Requests that failed, were
	// slow or were debugged always log one. Zero means no others do.
	WideEvent float64

	// Captures stores a bundle of each request that failed, was slow or was debugged: what it
	// was sent and answered, its outbound calls (by [Observer.Transport] and [Value]), the
	// flags that it saw and what it logged, redacted by Capture. A job does not have a
	// bundle of its own. Nil means none, and then requests are not recorded. See capture.Dir.
	//
	// A goroutine of the observer writes bundles; [Observer.Close] ends it. If the store is
	// too slow, bundles are dropped and counted, and requests do not wait.
	Captures capture.Store
	Capture  CaptureOptions

	// InternalHosts names the hosts to which [Observer.Transport] sends the request's id,
	// which third parties must not get: "prices.internal", or ".internal" for all hosts below
	// a domain, in any letter case and without a port. Nil means none.
	InternalHosts []string

	// ResponseSize adds http.response.body.size, which semconv makes optional, to server
	// spans: the bytes of the body that the handler wrote.
	ResponseSize bool

	// GuardedFlags are the keys of at most eight flags whose effect on requests is
	// measured, as upkeep.flag.request.duration: see [Observer.FlagHook]. Nil means none.
	GuardedFlags []string

	// RedactFlag returns what is recorded instead of a text of a flag evaluation: a string
	// value without a variant, or an error message. "" means nothing. It must be safe for
	// concurrent use. Nil means that texts are recorded as they are.
	RedactFlag func(key, text string) string

	// OldFlagErrors adds the error message of a flag evaluation as error.message too, its
	// name before semconv v1.40, for dashboards that still use that.
	OldFlagErrors bool

	// DebugToken lets a signed token raise the level of single requests. Nil means none does.
	DebugToken *DebugToken

	// LevelFlag is the key of an OpenFeature flag of type string that sets the level of
	// single requests and jobs: "debug" writes their records from debug on at once, so "debug
	// for tenant X" is a targeting rule. It never lowers what is written. It is evaluated once
	// a request, with the evaluation context of openfeature.TransactionContext, when [Route]
	// is reached; and once before that if a record below the level comes earlier, or without a
	// Route. Errors and panics are counted and leave the level as it is. An evaluation that
	// takes more than 50 ms stops others for 10 s. Empty means none.
	LevelFlag string

	// FlagClient evaluates LevelFlag. Nil means openfeature.NewDefaultClient().
	FlagClient openfeature.IClient
}

// CaptureOptions say what the bundles in Options.Captures hold. If Options.Log is a
// slog.TextHandler, a struct among the attributes of a log record is one text and hidden as a
// whole; with other handlers it is JSON, and the names of its fields stay.
type CaptureOptions struct {
	// Redact says what may be readable. Nil allows the least, with pseudonyms of this process
	// only; give at least a key for pseudonyms that are the same in all bundles. In its Fields
	// an attribute of log records has the names of all its groups: "wg.page", not "page".
	Redact *capture.Redaction

	// MaxBody is how many bytes are kept of each body and value. Zero means 64 KiB;
	// 1 MiB is the most. A request keeps 16 times that in all.
	MaxBody int

	// Build is the application's version and revision. The bundle has it unchanged, and a
	// replay reports it if its own differs. Empty means none.
	Build string
}

// A DebugToken lets the holder of a signed token have the log of single requests at a lower
// level. The token comes in a header of the request. It is a JWT signed with Ed25519
// (RFC 7519, RFC 8037), with the key's id as "kid" and the claims
//
//	purpose   "upkeep-debug"
//	aud       the service, or a list of them
//	sub       the holder, at most 200 bytes; shown on the span and in the log
//	iat, exp  at most an hour apart; taken from 30 s before iat to 30 s after exp, for
//	          clocks that differ
//	route     the routes it is for, as in http.route, separated by spaces
//	subject   the subject it is for: the targeting key of openfeature.TransactionContext
//	level     the lowest level that is written, as slog.Level spells it; "DEBUG" if missing
//
// A token needs a route, a subject or both; if both, both must fit. They are checked where
// [Route] is reached, so that authentication may have set the subject, and before each record
// that they matter to.
//
// A refused token changes nothing for the request; its span has the reason, as
// upkeep.debug.refused. After a hundred refusals in a second, tokens not seen before are not
// checked, because checking a signature costs. The header is removed from the request before
// the application sees it, and the token is recorded nowhere. It is not a bypass token.
type DebugToken struct {
	// Keys are the public keys by their ids. Required.
	Keys map[string]ed25519.PublicKey

	// Audience is what the token must be for: the service's name. Required.
	Audience string

	// Header is the name of the header. "" means "Upkeep-Debug".
	Header string

	// PerSecond is how many requests one token may debug in a second; the rest are served
	// without. Zero means 5; at most 1000.
	PerSecond int

	// Hosts names the hosts to which [Observer.Transport] sends the token on, in the form of
	// Options.InternalHosts. Anyone who gets the token can use it. Nil means none. To other
	// hosts the header is never sent.
	Hosts []string
}
