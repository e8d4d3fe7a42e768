package observe_test

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// brokenPropagator panics whenever it is used.
type brokenPropagator struct{ propagation.TextMapPropagator }

func (brokenPropagator) Extract(context.Context, propagation.TextMapCarrier) context.Context {
	panic("extract")
}

func (brokenPropagator) Inject(context.Context, propagation.TextMapCarrier) { panic("inject") }

// brokenTracers starts spans that panic when they end.
type brokenTracers struct{ tracenoop.TracerProvider }

func (brokenTracers) Tracer(string, ...trace.TracerOption) trace.Tracer { return brokenTracer{} }

type brokenTracer struct{ tracenoop.Tracer }

func (brokenTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	return trace.ContextWithSpan(ctx, brokenSpan{}), brokenSpan{}
}

type brokenSpan struct{ tracenoop.Span }

func (brokenSpan) IsRecording() bool          { return true }
func (brokenSpan) End(...trace.SpanEndOption) { panic("end") }

func typeOf(v any) string { return fmt.Sprintf("%T", v) }

// routeLog notes the route of each record.
type routeLog struct {
	slog.Handler
	routes *[]string
}

func (h routeLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "route" {
			*h.routes = append(*h.routes, a.Value.String())
		}
		return true
	})
	return nil
}
