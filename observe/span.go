package observe

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// spanAttrs are the attributes that a span starts or ends with.
type spanAttrs []attribute.KeyValue

func newSpanAttrs() spanAttrs { return make(spanAttrs, 0, 12) }

func (a *spanAttrs) add(kv attribute.KeyValue) { *a = append(*a, kv) }

// failSpan marks a span as failed by semconv's rules for recording errors.
func failSpan(span trace.Span, errorType string, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(keyErrorType.String(errorType))
	if err != nil {
		span.SetStatus(codes.Error, errorText(err))
	} else {
		span.SetStatus(codes.Error, "")
	}
}

var (
	kindServer = trace.WithSpanKind(trace.SpanKindServer)
	kindClient = trace.WithSpanKind(trace.SpanKindClient)
)

// conclude ends the span of what is over, a request, a job or an outbound call, unless
// another owns it; errorType is "" when it did not fail.
func conclude(span trace.Span, owned bool, errorType string, err error) {
	if errorType != "" {
		failSpan(span, errorType, err)
	}
	if owned {
		span.End()
	}
}
