package observe

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// spanAttrs collects the attributes that a span starts or ends with. Tracers read them by
// trace.NewSpanStartConfig, which copies, so the array and the options that point into it are
// used again: starting a span allocates nothing here.
type spanAttrs struct {
	attrs  [12]attribute.KeyValue
	n      int
	prefix [13]trace.SpanStartOption // prefix[i] gives attrs[:i]
	opts   [4]trace.SpanStartOption
}

var spanAttrsPool sync.Pool

func newSpanAttrs() *spanAttrs {
	if a, ok := spanAttrsPool.Get().(*spanAttrs); ok {
		return a
	}
	a := new(spanAttrs)
	for i := range a.prefix {
		a.prefix[i] = trace.WithAttributes(a.attrs[:i]...)
	}
	return a
}

func (a *spanAttrs) add(kv attribute.KeyValue) {
	a.attrs[a.n] = kv
	a.n++
}

// start returns the options for a span with the attributes and more.
func (a *spanAttrs) start(more ...trace.SpanStartOption) []trace.SpanStartOption {
	opts := append(a.opts[:0], a.prefix[a.n])
	return append(opts, more...)
}

func (a *spanAttrs) free() {
	clear(a.attrs[:a.n])
	clear(a.opts[2:]) // what start was given more
	a.n = 0
	spanAttrsPool.Put(a)
}

var (
	kindServer = trace.WithSpanKind(trace.SpanKindServer)
	kindClient = trace.WithSpanKind(trace.SpanKindClient)
)

// conclude ends the span of what is over, a request, a job or an outbound call, unless
// another owns it. errorType is "" when it did not fail; else the span is marked by semconv's
// rules for recording errors.
func conclude(span trace.Span, owned bool, errorType string, err error) {
	if errorType != "" && span.IsRecording() {
		span.SetAttributes(keyErrorType.String(errorType))
		text := ""
		if err != nil {
			text = errorText(err)
		}
		span.SetStatus(codes.Error, text)
	}
	if owned {
		span.End()
	}
}
