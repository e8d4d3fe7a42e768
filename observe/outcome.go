package observe

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/rerun"
	"github.com/upkeep-go/upkeep/observe/tail"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
)

// An outcome is what became of a request or job. judge makes it; the sinks see it one
// after the other, and may add to it for those after them.
type outcome struct {
	request    *http.Request // nil: it is a job
	name       string        // the route, or the job's name
	status     int32         // 0: none was sent
	begun      bool          // the handler has sent something
	stream     bool
	duration   time.Duration
	err        error  // why it failed
	logged     error  // the part of err that is logged only here: a panic, or the error of Fail
	incomplete error  // the handler sent less than it announced
	shown      bool   // the response showed err, and not the handler
	aborted    error  // it ended without returning or failing
	kind       string // error.type
	refused    bool   // a 503 with Retry-After
	gone       bool   // the client went away, or a job was canceled with its request

	why        reason // to report it in full
	reported   bool   // the limiter lets that through
	suppressed int64  // how many alike it did not let through before
	record     bool   // the limiter lets an ERROR record through
	repeated   int64  // how many such records it did not let through before

	records []tail.Record // that waited, if it is reported
	dropped int           // records that found no room
	bundle  string        // the name of its bundle
}

// A sink makes something of the outcome of a request or job.
type sink interface {
	// begin is called when st begins, for a request with what the application is given.
	begin(st *state, r *http.Request)

	// end is called once, when the application has returned. It returns the outcome for the
	// sinks after it.
	end(st *state, out outcome) outcome
}

// judge finds out whether the request or job failed, and decides whether it is reported in
// full. returned is what a job returned, and panicError the panic that ended it.
func (st *state) judge(out *outcome, returned error, panicError *PanicError) {
	o := st.obs
	defer o.counts.shield()
	if !st.job {
		st.lastRoute(out.request)
	}
	st.mu.Lock()
	out.name = st.route
	failure, site, earlier := st.failure, st.site, st.earlier
	if st.seen != nil && panicError == nil && (st.seenLate || out.status >= 500 || out.aborted != nil) {
		panicError = st.seen
	}
	st.mu.Unlock()
	if reported, ok := failure.(*PanicError); ok && panicError == nil {
		panicError = reported
	}
	out.logged = failure
	switch {
	case panicError != nil:
		out.logged = panicError
	case out.logged == nil:
		out.logged = returned
	}
	if out.err = out.logged; returned != nil {
		out.err = returned
	}
	if st.job {
		out.gone = panicError == nil && failure == nil && errors.Is(out.err, context.Canceled) && st.clientGone()
	} else {
		st.judgeResponse(out, panicError, earlier || st.w.earlier.Load())
	}
	if panicError != nil && !out.gone {
		o.counts.panics.Add(1)
	}
	switch end := cmp.Or(out.err, out.aborted); {
	case out.gone && !st.job:
		out.kind = kindGone
	case end == errGoexit:
		out.kind = "runtime.Goexit"
	case end == errAborted:
		out.kind = "http.ErrAbortHandler"
	case end != nil:
		out.kind = errorType(end)
	case out.status >= 500:
		out.kind = strconv.Itoa(int(out.status))
	}
	out.refused = out.err == nil && out.status == http.StatusServiceUnavailable && st.w.Header().Get("Retry-After") != ""

	g := st.grant.Load()
	if g == nil && st.claim != nil { // the route may be known only now
		g = st.raised(st.ctx, false)
	}
	_, panics := out.err.(*PanicError)
	switch {
	case panics:
		out.why = panicked
	case !out.refused && !out.gone && (out.err != nil || out.status >= 500):
		out.why = failed
	case !st.job && o.opts.Slow > 0 && out.duration >= o.opts.Slow && !out.stream && !out.gone:
		out.why = slow
	case g != nil:
		out.why = asked
	}
	if replay := rerun.From(st.Context); replay != nil && panicError != nil && !st.job {
		replay.Panicked(panicError.Value, panicError.Stack)
	}
	switch {
	case out.refused:
		o.counts.requestsRefused.Add(1)
	case out.why >= failed && st.job:
		o.counts.jobsFailed.Add(1)
	case out.why >= failed:
		o.counts.requestsFailed.Add(1)
	case out.gone && !st.job && !out.stream:
		o.counts.requestsGone.Add(1)
	}
	if out.why == notReported {
		return
	}
	fp := fingerprint{name: out.name, kind: out.kind, status: out.status, job: st.job, site: site}
	if p, ok := out.err.(*PanicError); ok && p.site != 0 {
		fp.site = p.site
	}
	if fp.kind == "" {
		fp.kind = out.why.String()
	}
	o.limit.allow(fp, time.Now(), out)
}

// kindGone is the error.type of requests whose client went away.
const kindGone = "client_gone"

// judgeResponse finds failures that only the response shows, and clients that went away.
// earlier says that a failure was known while the client was there.
func (st *state) judgeResponse(out *outcome, panicError *PanicError, earlier bool) {
	if st.clientGone() && !earlier && (panicError == nil || isDeparture(panicError)) {
		hijacked := st.w.hijacked.Load()
		trouble := out.err != nil || out.aborted != nil || out.incomplete != nil || out.status >= 500
		if out.stream && !hijacked || trouble || !out.begun || st.w.broken.Load() {
			out.gone, out.err, out.logged = true, nil, nil
			if !out.begun || out.status >= 500 {
				out.status = 0 // the client did not get it
			}
			return
		}
	}
	found := out.incomplete
	if found == nil && st.obs.opts.Outcome != nil && !st.w.hijacked.Load() && out.aborted == nil && out.status < 500 {
		found = st.askOutcome(out)
	}
	if found == nil || out.err != nil {
		return
	}
	out.err, out.logged, out.shown = found, found, true
	if replay := rerun.From(st.Context); replay != nil {
		replay.Failed(found)
	}
}

// askOutcome returns what Options.Outcome says of the response.
func (st *state) askOutcome(out *outcome) (err error) {
	defer st.obs.counts.shield()
	body := &visibleBody{}
	if st.w.head != nil {
		st.w.head.mu.Lock()
		body.data = st.w.head.data
		st.w.head.max = len(body.data) // nothing is added any more
		st.w.head.mu.Unlock()
	}
	body.Reset(body.data)
	header, trailer := splitTrailer(st.w.Header())
	r := out.request
	return st.obs.opts.Outcome(r, &http.Response{
		Status: http.StatusText(int(out.status)), StatusCode: int(out.status),
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: header, Trailer: trailer, Body: body, ContentLength: st.w.bytes.Load(), Request: r,
	})
}

// isDeparture reports whether a panic says no more than that the client has gone.
func isDeparture(p *PanicError) bool {
	err := p.Unwrap()
	var broken *net.OpError
	return err != nil && (errors.Is(err, context.Canceled) || errors.As(err, &broken) && !broken.Timeout())
}

// measure ends the span of the request or job and records its metric.
func (st *state) measure(out *outcome) {
	o := st.obs
	defer o.counts.shield()
	if st.job {
		if !out.gone {
			o.exception(st.ctx, eventJobException, out.logged)
		}
		conclude(st.span, true, out.kind, out.err)
		o.metrics.job.Record(st.ctx, out.duration.Seconds(), o.metrics.jobSeries.options(jobKey{name: out.name, errorType: out.kind}, &o.counts.seriesFolded)...)
		return
	}
	if out.stream {
		st.measureStream(out)
	}
	if st.span.IsRecording() {
		attrs := newSpanAttrs()
		if out.name != "" {
			attrs.add(keyRoute.String(out.name))
		}
		if !o.opts.JoinSpan {
			st.describeEnd(out, attrs)
		}
		if out.stream {
			attrs.add(keyStreamEnd.String(out.streamEnd()))
		}
		if out.gone {
			attrs.add(keyErrorType.String(kindGone))
		}
		st.span.SetAttributes(attrs.attrs[:attrs.n]...)
		attrs.free()
	}
	o.exception(st.ctx, eventRequestException, out.logged)
	kind := out.kind
	if out.gone {
		kind = "" // no error of ours
	}
	conclude(st.span, !o.opts.JoinSpan, kind, cmp.Or(out.err, out.aborted))
	if !o.opts.JoinSpan && !out.stream {
		o.metrics.server.Record(st.ctx, out.duration.Seconds(), o.metrics.serverSeries.options(serverKey{
			route: out.name, errorType: out.kind, status: out.status, method: st.method, protocol: st.protocol, secure: st.secure,
		}, &o.counts.seriesFolded)...)
	}
}

// describeEnd adds what no sampler asks for.
func (st *state) describeEnd(out *outcome, attrs *spanAttrs) {
	attrs.add(keyRequestID.String(st.id))
	if st.protocol != "" {
		attrs.add(keyProtocolVersion.String(st.protocol))
	}
	if peer, port := splitHost(out.request.RemoteAddr); peer != "" {
		peer = cleantext.Cut(peer, maxText)
		attrs.add(keyPeerAddress.String(peer))
		if port != 0 {
			attrs.add(keyPeerPort.Int(port))
		}
		if st.via == nil {
			attrs.add(keyClientAddress.String(peer))
		}
	}
	if st.via != nil && st.via.client != "" {
		attrs.add(keyClientAddress.String(st.via.client))
		if st.via.clientPort != 0 {
			attrs.add(keyClientPort.Int(st.via.clientPort))
		}
	}
	if out.status != 0 {
		attrs.add(keyStatus.Int(int(out.status)))
	}
	if st.obs.opts.ResponseSize && out.status != 0 {
		attrs.add(keyResponseSize.Int64(st.w.bytes.Load()))
	}
}

// How a stream ended, as upkeep.stream.end.
const (
	streamDone   = "done"
	streamGone   = "client_gone"
	streamFailed = "failed"
)

func (out *outcome) streamEnd() string {
	switch {
	case out.gone:
		return streamGone
	case out.why >= failed || out.aborted != nil:
		return streamFailed
	}
	return streamDone
}

// measureStream counts how a stream ended.
func (st *state) measureStream(out *outcome) {
	o := st.obs
	switch out.streamEnd() {
	case streamGone:
		o.counts.streamsGone.Add(1)
	case streamFailed:
		o.counts.streamsFailed.Add(1)
	}
	key := streamKey{route: out.name, end: out.streamEnd(), status: out.status, method: st.method}
	if option, ok := o.metrics.streamSeries.options(key, &o.counts.seriesFolded)[0].(metric.AddOption); ok {
		o.metrics.streams.Add(st.ctx, 1, option)
	}
}

// exception emits the event of an error that ended a request or job.
func (o *core) exception(ctx context.Context, name string, err error) {
	if err == nil || !o.events.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityError, EventName: name}) {
		return
	}
	now := time.Now()
	var r log.Record
	r.SetEventName(name)
	r.SetTimestamp(now)
	r.SetObservedTimestamp(now)
	r.SetSeverity(log.SeverityError)
	r.SetErr(plainError(err))
	r.AddAttributes(
		keyExceptionType.String(errorType(err)),
		keyExceptionText.String(errorText(err)),
	)
	if p, ok := err.(*PanicError); ok {
		r.AddAttributes(keyExceptionStack.String(cleantext.Cut(string(p.Stack), maxStack)))
	}
	o.events.Emit(ctx, r)
}
