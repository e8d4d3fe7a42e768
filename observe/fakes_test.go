package observe_test

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/propagation"
)

// brokenPropagator panics whenever it is used.
type brokenPropagator struct{ propagation.TextMapPropagator }

func (brokenPropagator) Extract(context.Context, propagation.TextMapCarrier) context.Context {
	panic("extract")
}

func (brokenPropagator) Inject(context.Context, propagation.TextMapCarrier) { panic("inject") }

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
