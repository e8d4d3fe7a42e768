package observe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/rerun"
	"github.com/upkeep-go/upkeep/observe/tail"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// core is what requests, jobs and outbound calls need of their Observer.
type core struct {
	tracer trace.Tracer
	events log.Logger
	logger *slog.Logger
	logs   *logRoot

	opts      Options // with a Propagator
	hosts     hostSet
	debug     *debugTokens // nil: none are taken
	levelFlag *levelFlag   // nil: none

	chiKey  atomic.Pointer[any] // chi.RouteCtxKey, once it was seen
	limit   limiter
	metrics instruments
	counts  counts
}

// state is what this package knows of one request or job. It is itself the
// context that it is found in, which saves an allocation, and it is never reused:
// goroutines of the application may hold that context long after the request.
type state struct {
	context.Context // the parent's

	obs   *core
	start time.Time
	id    string
	span  trace.Span
	ctx   context.Context // the state with its span: what the application gets

	job      bool
	returned bool // the handler or job came back by itself
	secure   bool
	bodyCut  atomic.Bool // the client went while it sent its body
	method   *method
	protocol string
	request  *http.Request // what the application gets
	via      *forwarded    // nil: what proxies say is not asked for
	w        writer
	headers  [2]string // backs the values of the two response headers

	tail  tail.Tail
	rec   *recording // nil: nothing is captured
	outer *state     // of a job: the request or job of this observer that it is a part of

	claim     *debugClaim // of a good debug token
	grant     atomic.Pointer[grant]
	flagAsked atomic.Uint32

	mu        sync.Mutex
	route     string // or the name of the job
	routed    string // the path that route was matched with
	failure   error
	earlier   bool        // the client was there when Fail was called
	seenLate  bool        // the response had begun when the panic was seen
	seenAbort bool        // a Route saw http.ErrAbortHandler
	seen      *PanicError // by a Route, and maybe recovered outside of it
	site      uintptr     // who called Fail
	flags     []evaluation
	guarded   *[maxGuarded]string // labels of the guarded flags; nil or "": not seen
}

// clientGone reports whether the client of the request went away, or, in a job, the client of
// the request that the job is a part of.
func (st *state) clientGone() bool {
	for st.outer != nil {
		st = st.outer
	}
	return !st.job && (st.bodyCut.Load() || st.Context.Err() != nil && context.Cause(st.Context) == context.Canceled)
}

// A bodyWatch notices a client that goes while it sends its body, which package http reports
// to readers of the body only.
type bodyWatch struct {
	io.ReadCloser
	st *state
}

func (b *bodyWatch) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		var broken *net.OpError
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) && !broken.Timeout() {
			b.st.bodyCut.Store(true)
		}
	}
	return n, err
}

type stateKey struct{}

// Value answers with the state itself and leaves all else to the parent.
func (st *state) Value(key any) any {
	if key == (stateKey{}) {
		return st
	}
	st.obs.noteKey(key)
	return st.Context.Value(key)
}

// String keeps the fmt verbs, which print contexts, away from the fields.
func (st *state) String() string { return "observe " + st.id }

func stateFrom(ctx context.Context) *state {
	st, _ := ctx.Value(stateKey{}).(*state)
	return st
}

// RequestID returns the id of the request or job that ctx belongs to, or "" when
// it belongs to none. In a replay without a Handler it is that of the recorded request.
// It is safe to show to people.
func RequestID(ctx context.Context) string {
	if st := stateFrom(ctx); st != nil {
		return st.id
	}
	if replay := rerun.From(ctx); replay != nil {
		if id := replay.RequestID(); validID(id) { // it is read from a file
			return id
		}
	}
	return ""
}

// Fail marks the request or job that ctx belongs to as failed. Use it for failures that the
// status and a returned error do not show: an error inside a GraphQL answer, a stream that broke
// half-way. Span, metric and log record get the first error that it was given. A [*PanicError]
// is reported like a panic that was not recovered, with its stack. User, query and fragment of URLs
// in the error are not recorded. It does nothing for a nil err, without a request, and after its
// end. Fail is safe for concurrent use.
func Fail(ctx context.Context, err error) {
	if err == nil {
		return
	}
	if replay := rerun.From(ctx); replay != nil {
		replay.Failed(err)
	}
	st := stateFrom(ctx)
	if st == nil {
		return
	}
	gone := st.clientGone()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.failure == nil {
		st.failure, st.earlier = err, !gone
		var caller [1]uintptr
		runtime.Callers(2, caller[:])
		st.site = caller[0]
	}
}

// name is the route, "" while it is not known, or the name of the job.
func (st *state) name() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.route
}

const (
	logRequestID = "request_id"
	logTraceID   = "trace_id"
	logSpanID    = "span_id"
)

// correlate returns the ids of ctx as log attributes. st is the state of ctx, if any.
func correlate(ctx context.Context, st *state) []slog.Attr {
	attrs := make([]slog.Attr, 0, 3)
	if st != nil {
		attrs = append(attrs, slog.String(logRequestID, st.id))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		attrs = append(attrs, slog.String(logTraceID, sc.TraceID().String()), slog.String(logSpanID, sc.SpanID().String()))
	}
	return attrs
}
