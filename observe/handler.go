package observe

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/problem"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Handler observes the requests that next serves. Each gets a server span and the metrics
// http.server.request.duration and http.server.active_requests (semantic conventions v1.43.0),
// and an id: the client's X-Request-Id if that is 1 to 128 ASCII letters, digits, '-', '_' and
// '.' and begins with a letter or digit, or else a new one. The response has the id in
// X-Request-Id and the span in traceresponse. A panic is answered with a 500 that shows only the
// id; see Options.Repanic. A Handler inside a Handler of the same Observer does nothing. The
// ResponseWriter returns [ErrResponseEnded] after next has returned. Put [Route] around the mux.
// The package comment says what counts as a failure, what is a stream, and what middlewares see.
func (o *Observer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if st := stateFrom(r.Context()); st != nil && st.obs == &o.core && !st.job {
			next.ServeHTTP(w, r)
			return
		}
		given := r
		st := &state{Context: r.Context(), obs: &o.core, start: time.Now()}
		st.method = o.metrics.method(r.Method)
		st.protocol = protocolVersion(r.ProtoMajor, r.ProtoMinor)
		st.secure = r.TLS != nil
		if o.opts.TrustedProxies != nil {
			st.via = proxies(o.opts.TrustedProxies).forwarded(r)
			st.secure = st.via.secure
		}
		st.begin(r)
		if r.Body != nil && r.Body != http.NoBody && r.Trailer == nil && r.ContentLength < 0 {
			// Package http adds a trailer that was not announced to the request that it made.
			r.Trailer = http.Header{}
		}
		r = st.takeToken(r).WithContext(st.ctx)
		st.request, st.w.st = r, st
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &bodyWatch{r.Body, st}
		}
		for _, s := range o.sinks {
			s.begin(st, r)
		}
		if n := o.opts.OutcomeBody; n > 0 && o.opts.Outcome != nil {
			st.w.head = &bodyHead{max: n}
		}

		header := w.Header()
		st.headers[0] = st.id
		header[headerRequestID] = st.headers[0:1:1]
		if sc := st.span.SpanContext(); sc.IsValid() && !sc.IsRemote() {
			st.headers[1] = traceResponse(sc)
			header[headerTraceResponse] = st.headers[1:2:2]
		}

		defer o.end(st, given, r)
		next.ServeHTTP(st.w.wrap(w), r)
		st.returned = true
	})
}

// ownHeaders sees to it that the response has one id and one span. A handler that copies the
// header of another response, as a reverse proxy does, adds those of that one. cleared says
// that the header may have been emptied, as a reverse proxy does after a 1xx. What a handler
// sets in their place stays.
func (st *state) ownHeaders(h http.Header, cleared bool) {
	if cleared || len(h[headerRequestID]) > 1 && slices.Contains(h[headerRequestID], st.id) {
		h[headerRequestID] = st.headers[0:1:1]
	}
	if st.headers[1] != "" && (cleared || len(h[headerTraceResponse]) > 1 && slices.Contains(h[headerTraceResponse], st.headers[1])) {
		h[headerTraceResponse] = st.headers[1:2:2]
	}
}

// handBack gives the request that Handler got what the application set on its copy, such
// as forms, whose files package http then removes, pattern and path values. Header and
// body stay: those of the copy are ours where a token was taken or a bundle is recorded.
func handBack(given, r *http.Request) {
	header, body := given.Header, given.Body
	*given = *r.WithContext(given.Context())
	given.Header, given.Body = header, body
}

// begin counts the request, names it and starts its span.
func (st *state) begin(r *http.Request) {
	o := st.obs
	o.counts.requests.Add(1)
	o.counts.requestsActive.Add(1)
	if !o.opts.JoinSpan {
		st.active().begin()
	}
	if outer := stateFrom(st.Context); outer != nil {
		st.id = outer.id
	} else {
		var replaced bool
		if st.id, replaced = requestID(r.Header, st.start); replaced {
			o.counts.idsReplaced.Add(1)
		}
	}
	st.ctx, st.span = st, trace.SpanFromContext(st.Context)

	defer o.counts.shield()
	if o.opts.JoinSpan {
		if st.span.IsRecording() {
			st.span.SetAttributes(keyRequestID.String(st.id))
		}
		return
	}
	// A span of this process that is in the context already is a nearer parent than
	// the caller's.
	var foreign []trace.SpanStartOption
	if sc := st.span.SpanContext(); !sc.IsValid() || sc.IsRemote() {
		headers := carrier{propagation.HeaderCarrier(r.Header)}
		if o.opts.Public {
			if baggage.FromContext(st.Context).Len() > 0 {
				st.Context = baggage.ContextWithoutBaggage(st.Context)
			}
			sc = trace.SpanContextFromContext(o.opts.Propagator.Extract(context.Background(), headers))
			foreign = append(foreign, trace.WithNewRoot())
			if sc.IsValid() {
				foreign = append(foreign, trace.WithLinks(trace.Link{SpanContext: sc}))
			}
		} else {
			st.Context = o.opts.Propagator.Extract(st.Context, headers)
		}
	}
	attrs := newSpanAttrs()
	defer attrs.free()
	st.describe(r, attrs)
	opts := append(attrs.start(kindServer), foreign...)
	st.ctx, st.span = o.tracer.Start(st, st.method.spanName(), opts...)
}

// describe adds what samplers may want to know of a request, by semconv; what else is
// known waits for the end, when SDKs need not make room for it twice.
func (st *state) describe(r *http.Request, attrs *spanAttrs) {
	attrs.add(keyMethod.String(st.method.name))
	if st.method.other {
		attrs.add(keyMethodOriginal.String(cleantext.Cut(r.Method, maxText)))
	}
	attrs.add(keyScheme.String(scheme(st.secure)))
	attrs.add(keyPath.String(cleantext.Cut(r.URL.EscapedPath(), maxPath)))
	host, port := splitHost(r.Host)
	if st.via != nil {
		if st.via.host != "" {
			host, port = st.via.host, st.via.port
		} else if st.via.port != 0 {
			port = st.via.port
		}
	}
	if host != "" {
		attrs.add(keyServerAddress.String(cleantext.Cut(host, maxText)))
		if port != 0 {
			attrs.add(keyServerPort.Int(port))
		}
	}
	if agent := r.Header["User-Agent"]; len(agent) > 0 {
		attrs.add(keyUserAgent.String(cleantext.Cut(agent[0], maxText)))
	}
}

func (st *state) active() *activeCount {
	secure := 0
	if st.secure {
		secure = 1
	}
	return &st.method.active[secure]
}

// end is deferred by Handler: it recovers, answers and reports. given is the request
// that Handler got, and r the copy that it handed on.
func (o *Observer) end(st *state, given, r *http.Request) {
	value := recover()
	var panicked *PanicError
	var aborted error
	switch {
	case value == http.ErrAbortHandler:
		aborted = errAborted
	case value != nil:
		st.mu.Lock()
		panicked = st.seen
		st.mu.Unlock()
		if !panicked.is(value) {
			panicked = newPanicError(value)
		}
	case !st.returned:
		aborted = errGoexit
	}

	begun := st.w.begun()
	if panicked != nil && !begun && !o.opts.Repanic {
		st.answerPanic(r)
	}
	st.w.end()
	status := st.w.status.Load()
	switch {
	case status != 0:
	case st.w.hijacked.Load():
		if upgrades(r.Header) {
			status = http.StatusSwitchingProtocols // sent on the connection itself
		}
	case panicked != nil:
		status = http.StatusInternalServerError // for whoever recovers outside
	case aborted == nil:
		status = http.StatusOK // what package http sends now
	}
	o.counts.requestsActive.Add(-1)
	if !o.opts.JoinSpan {
		st.active().n.Add(-1)
	}
	out := outcome{request: r, status: status, aborted: aborted, begun: begun, stream: st.w.endStream()}
	if value == nil && st.returned {
		out.incomplete = st.w.missing(r.Method)
	}
	o.finish(st, out, nil, panicked)
	handBack(given, r)
	if o.opts.JoinSpan {
		// A handler outside reads the pattern from the request that it gave us. otelhttp
		// does, for its metric.
		if route := st.name(); route != "" && route != routeName(given.Pattern) {
			given.Pattern = route
		}
	}

	switch {
	case value == nil, panicked != nil && st.w.hijacked.Load() && !o.opts.Repanic:
	case aborted != nil, o.opts.Repanic:
		panic(value)
	case begun, st.w.status.Load() == 0: // the second: not even our answer got through
		panic(http.ErrAbortHandler)
	}
}

// answerPanic answers a request whose handler panicked with only the id to ask about. The id
// is safe without escaping: see validID.
func (st *state) answerPanic(r *http.Request) {
	defer st.obs.counts.shield()
	st.w.phase.Store(phaseAnswer)
	h := st.w.Header()
	// What the handler said of the body that it meant to send.
	for _, name := range []string{
		"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Content-Range", "Etag", "Expires", "Last-Modified", "Trailer",
	} {
		delete(h, name)
	}
	problem.Write(&st.w, r, problem.Problem{
		Status:  http.StatusInternalServerError,
		Members: map[string]any{"request_id": st.id},
		Page: []byte("<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1>" +
			"<p>If you report this, please give this id: <code>" + st.id + "</code></p>\n"),
	})
}
