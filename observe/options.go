package observe

import (
	"crypto/ed25519"
	"log/slog"
	"net/http"
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

// CaptureOptions say what the bundles in Options.Captures hold. Where Options.Log is a
// slog.TextHandler, a struct among the attributes of a log record is a text there, and the names
// of its fields are hidden with all else; with other handlers it is JSON, and they stay.
type CaptureOptions struct {
	// Redact says what may be readable. Nil allows the least, with pseudonyms that
	// only this process knows; give at least a key, so that they are the same in all bundles.
	// In its Fields an attribute of log records has the names of all groups it is in, also
	// those of Logger.WithGroup: "wg.page", where "page" alone does not match.
	Redact *capture.Redaction

	// MaxBody is how many bytes are kept of each body and value. Zero means 64 KiB;
	// 1 MiB is the most. A request keeps 16 times that in all.
	MaxBody int

	// Build is what the application calls itself, such as its version and revision. It
	// stands in the bundle as it is, and a replay says when it is another.
	Build string
}

// A DebugToken lets whoever holds a signed token have the log of single requests at
// a lower level: the token comes with the request, in a header of its own. It is a JWT
// signed with Ed25519 (RFC 7519, RFC 8037), with the key's id as "kid" and the claims
//
//	purpose   "upkeep-debug"
//	aud       the service, or a list of them
//	sub       who holds it, at most 200 bytes; shown on the span and in the log
//	iat, exp  at most an hour apart; taken from 30 s before iat to 30 s after exp, for
//	          clocks that differ
//	route     the routes it is for, as in http.route, separated by spaces
//	subject   the subject it is for: the targeting key of openfeature.TransactionContext
//	level     the lowest level that is written, as slog.Level spells it; "DEBUG" if missing
//
// One of route and subject at least; with both, both must fit. They are looked at when
// [Route] is reached, so that authentication may have set the subject, and before each
// record that it would matter to.
//
// A token that is refused changes nothing for the request; its span says why, as
// upkeep.debug.refused. After a hundred refusals in a second those that were not seen
// before are not looked at, because checking a signature costs. The header is taken from
// the request before the application sees it, good token or not, and the token is
// recorded nowhere. It opens nothing else: a debug token is no bypass token.
type DebugToken struct {
	// Keys are the public keys by their ids. Required.
	Keys map[string]ed25519.PublicKey

	// Audience is what the token must be for: the service's name. Required.
	Audience string

	// Header is the name of the header. "" means "Upkeep-Debug".
	Header string

	// PerSecond is how many requests in a second one token may debug; more are served
	// without. Zero means 5; at most 1000.
	PerSecond int

	// Hosts names the hosts that [Observer.Transport] hands the token on to, as
	// Options.InternalHosts does for ids. It is a list of its own because who has the
	// token can use it. Nil: none. To all others the header is never sent.
	Hosts []string
}
