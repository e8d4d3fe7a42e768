package observe

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/rerun"
	"github.com/upkeep-go/upkeep/observe/tail"
	"go.opentelemetry.io/otel/log"
)

// An outcome is what became of a request or job. judge makes it; the sinks see it one
// after the other, and may add to it for those after them.
type outcome struct {
	request  *http.Request // nil: it is a job
	name     string        // the route, or the job's name
	status   int32         // 0: none was sent
	duration time.Duration
	err      error  // why it failed
	logged   error  // the part of err that nobody else logs: a panic, or what Fail was given
	aborted  error  // it neither returned nor failed
	kind     string // error.type
	refused  bool   // a 503 with Retry-After

	why        reason // to tell it in full
	told       bool   // the limiter lets that through
	suppressed int64  // how many alike it has not let through before

	records []tail.Record // that waited, if it is told
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

// judge finds out whether the request or job failed, and decides whether it is told in
// full. returned is what a job returned, and panicError the panic that ended it.
func (st *state) judge(out *outcome, returned error, panicError *PanicError) {
	o := st.obs
	defer o.counts.shield()
	if !st.job {
		st.lastRoute(out.request)
	}
	st.mu.Lock()
	out.name = st.route
	failure, site := st.failure, st.site
	if st.seen != nil && panicError == nil && (st.seenLate || out.status >= 500 || out.aborted != nil) {
		panicError = st.seen
	}
	st.mu.Unlock()
	if reported, ok := failure.(*PanicError); ok && panicError == nil {
		panicError = reported
	}
	if out.logged = failure; panicError != nil {
		out.logged = panicError
		o.counts.panics.Add(1)
	}
	if out.err = out.logged; returned != nil {
		out.err = returned
	}
	switch end := cmp.Or(out.err, out.aborted); {
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
	case !out.refused && (out.err != nil || out.status >= 500):
		out.why = failed
	case !st.job && o.opts.Slow > 0 && out.duration >= o.opts.Slow && !st.w.hijacked.Load():
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
	}
	if out.why == notTold {
		return
	}
	fp := fingerprint{name: out.name, kind: out.kind, status: out.status, job: st.job, site: site}
	if p, ok := out.err.(*PanicError); ok && p.site != 0 {
		fp.site = p.site
	}
	if fp.kind == "" {
		fp.kind = out.why.String()
	}
	out.told, out.suppressed = o.limit.allow(fp, time.Now())
}

// measure ends the span of the request or job and records its metric.
func (st *state) measure(out *outcome) {
	o := st.obs
	defer o.counts.shield()
	if st.job {
		o.exception(st.ctx, eventJobException, out.logged)
		conclude(st.span, true, out.kind, out.err)
		o.metrics.job.Record(st.ctx, out.duration.Seconds(), o.metrics.jobSeries.options(jobKey{name: out.name, errorType: out.kind}, &o.counts.seriesFolded)...)
		return
	}
	if st.span.IsRecording() {
		attrs := newSpanAttrs()
		if out.name != "" {
			attrs.add(keyRoute.String(out.name))
		}
		if !o.opts.JoinSpan {
			st.describeEnd(out, attrs)
		}
		st.span.SetAttributes(attrs.attrs[:attrs.n]...)
		attrs.free()
	}
	o.exception(st.ctx, eventRequestException, out.logged)
	conclude(st.span, !o.opts.JoinSpan, out.kind, cmp.Or(out.err, out.aborted))
	if !o.opts.JoinSpan {
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
	if peer, _ := splitHost(out.request.RemoteAddr); peer != "" {
		attrs.add(keyPeerAddress.String(cleantext.Cut(peer, maxText)))
	}
	if out.status != 0 {
		attrs.add(keyStatus.Int(int(out.status)))
	}
	if st.obs.opts.ResponseSize && out.status != 0 {
		attrs.add(keyResponseSize.Int64(st.w.bytes.Load()))
	}
}

// exception emits the event of an error that ended a request or job.
func (o *core) exception(ctx context.Context, name string, err error) {
	if err == nil || !o.events.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityError, EventName: name}) {
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
		r.AddAttributes(keyExceptionStack.String(cleantext.Cut(string(p.Stack), maxStack)))
	}
	o.events.Emit(ctx, r)
}
