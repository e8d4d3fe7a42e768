package observe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/observe"
)

// Propagators find in a request what they find in its header, and the response names the span
// in W3C's form.
func TestHeadersOfPropagators(t *testing.T) {
	t.Parallel()
	propagator := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, legacy{})
	k := newRig(t, func(o *observe.Options) { o.Propagator = propagator })
	h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sc := trace.SpanContextFromContext(r.Context())
		w.Header().Set("X-Trace", sc.TraceID().String())
		w.Header().Set("X-State", sc.TraceState().Get("vendor"))
		w.Header().Set("X-Baggage", baggage.FromContext(r.Context()).Member("user").Value()+baggage.FromContext(r.Context()).Member("tier").Value())
		w.Header().Set("X-Want", "00-"+sc.TraceID().String()+"-"+sc.SpanID().String()+"-"+sc.TraceFlags().String())
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	r.Header.Set("tracestate", "vendor=x")
	r.Header.Add("baggage", "user=ann")
	r.Header.Add("baggage", "tier=gold")
	h.ServeHTTP(w, r)
	require.Equal(t, "0123456789abcdef0123456789abcdef", w.Header().Get("X-Trace"))
	require.Equal(t, "x", w.Header().Get("X-State"))
	require.Equal(t, "anngold", w.Header().Get("X-Baggage"))
	require.Equal(t, w.Header().Get("X-Want"), w.Header().Get("traceresponse"))

	w, r = httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("x-legacy-trace", "fedcba9876543210fedcba9876543210")
	h.ServeHTTP(w, r)
	require.Equal(t, "fedcba9876543210fedcba9876543210", w.Header().Get("X-Trace"), "a propagator with headers of its own")
}

// legacy reads a trace id from a header of its own.
type legacy struct{}

func (legacy) Inject(context.Context, propagation.TextMapCarrier) {}

func (legacy) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	id, err := trace.TraceIDFromHex(c.Get("x-legacy-trace"))
	if err != nil {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true}))
}

func (legacy) Fields() []string { return []string{"x-legacy-trace"} }
