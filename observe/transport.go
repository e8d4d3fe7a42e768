package observe

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Transport observes outbound calls. Each gets a client span and the metric
// http.client.request.duration by semconv v1.43.0, and carries the trace context that
// Options.Propagator writes; to Options.InternalHosts also the request's id in X-Request-Id,
// unless the caller has set one. A nil base means http.DefaultTransport.
//
// Span and measurement end when the response's body has been read to its end or closed, so the
// caller must close it. Without a body, and after an error, they end with the call. A status of 400 or
// more is an error. The URL is recorded without user, query and fragment. For hosts beyond the
// first thousand the metric has "_OTHER". http.request.resend_count counts the redirects that
// http.Client followed. Retries of http.Transport happen below, where they cannot be seen, and
// a retry by the application is a call of its own.
func (o *Observer) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{obs: &o.core, base: base}
}

type transport struct {
	obs  *core
	base http.RoundTripper
}

// CloseIdleConnections is for http.Client.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := &call{obs: t.obs, start: time.Now()}
	t.obs.counts.outbound.Add(1)
	t.obs.counts.outboundActive.Add(1)
	r = c.begin(r)
	// Should the base panic, the span still ends, and the panic goes on.
	defer func() {
		if !c.returned {
			c.end(errGoexit)
		}
	}()
	resp, err := t.base.RoundTrip(r)
	c.returned = true
	if err != nil {
		c.end(err)
		return resp, err
	}
	c.exchange.respond(resp)
	c.status = int32(resp.StatusCode)
	c.key.protocol = protocolVersion(resp.ProtoMajor, resp.ProtoMinor)
	switch body := resp.Body.(type) {
	case nil:
		c.end(nil)
	case io.ReadWriteCloser: // after 101
		resp.Body = &callStream{callBody{body, c}, body}
	default:
		if body == http.NoBody {
			c.end(nil)
		} else {
			resp.Body = &callBody{body, c}
		}
	}
	return resp, nil
}

// A call is one outbound request.
type call struct {
	obs      *core
	start    time.Time
	request  *http.Request
	span     trace.Span
	exchange *exchange // nil: not captured
	key      clientKey
	status   int32
	returned bool
	ended    atomic.Bool
}

// begin returns a copy of r, which a RoundTripper must not change.
func (c *call) begin(r *http.Request) (sent *http.Request) {
	o := c.obs
	c.request, sent = r, r // should telemetry panic
	c.span = trace.SpanFromContext(context.Background())
	c.key = clientKey{method: o.metrics.method(r.Method)}
	if r.URL != nil {
		c.key.host, c.key.port = cleantext.Cut(strings.ToLower(r.URL.Hostname()), maxText), port(r.URL)
	}
	defer o.counts.shield()
	attrs := newSpanAttrs()
	defer attrs.free()
	attrs.add(keyMethod.String(c.key.method.name))
	if c.key.method.other {
		attrs.add(keyMethodOriginal.String(cleantext.Cut(r.Method, maxText)))
	}
	attrs.add(keyServerAddress.String(c.key.host))
	if c.key.port != 0 {
		attrs.add(keyServerPort.Int(c.key.port))
	}
	if u := r.URL; u != nil {
		plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, Opaque: u.Opaque}
		attrs.add(keyURL.String(cleantext.Cut(plain.String(), maxPath)))
	}
	if n := resends(r); n > 0 {
		attrs.add(keyResendCount.Int(n))
	}
	ctx, span := o.tracer.Start(r.Context(), c.key.method.spanName(), attrs.start(kindClient)...)
	c.span = span

	sent = r.Clone(ctx)
	sent.Trailer = r.Trailer // its values may be set while the body is sent
	if sent.Header == nil {
		sent.Header = make(http.Header)
	}
	c.request = sent
	o.opts.Propagator.Inject(ctx, propagation.HeaderCarrier(sent.Header))
	if st := stateFrom(ctx); st != nil && o.hosts.has(c.key.host) && len(sent.Header[headerRequestID]) == 0 {
		sent.Header.Set(headerRequestID, st.id)
	}
	stateFrom(ctx).handOnToken(sent.Header, o.debug, c.key.host)
	c.exchange = recordingFrom(ctx).outbound(sent, c.start)
	return sent
}

// resends returns how many requests http.Client sent before r because of redirects.
func resends(r *http.Request) (n int) {
	for n < maxResends && r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
		n++
	}
	return n
}

// end reports the call, once.
func (c *call) end(err error) {
	if !c.ended.CompareAndSwap(false, true) {
		return
	}
	o := c.obs
	c.exchange.end(err)
	o.counts.outboundActive.Add(-1)
	duration := time.Since(c.start)
	defer o.counts.shield()
	switch {
	case err == errGoexit:
		c.key.errorType = other
	case err != nil:
		c.key.errorType = errorType(err)
	case c.status >= 400:
		c.key.errorType = strconv.Itoa(int(c.status))
	}
	c.key.status = c.status
	if c.span.IsRecording() {
		if c.status != 0 {
			c.span.SetAttributes(keyStatus.Int(int(c.status)), keyProtocolVersion.String(c.key.protocol))
		}
	}
	conclude(c.span, true, c.key.errorType, err)
	if c.key.errorType != "" {
		o.counts.outboundFailed.Add(1)
	}
	o.metrics.client.Record(c.request.Context(), duration.Seconds(), o.metrics.clientSeries.options(c.key, &o.counts.seriesFolded)...)
}

// callBody ends its call with the response's body.
type callBody struct {
	io.ReadCloser
	call *call
}

func (b *callBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.call.exchange.read(p[:max(0, min(n, len(p)))], err)
	if err == io.EOF {
		b.call.end(nil)
	} else if err != nil {
		b.call.end(err)
	}
	return n, err
}

func (b *callBody) Close() error {
	b.call.end(nil)
	return b.ReadCloser.Close()
}

// callStream is the body of a connection that changed its protocol.
type callStream struct {
	callBody
	io.Writer
}
