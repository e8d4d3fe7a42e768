package observe_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/propagation"
)

// brokenPropagator panics whenever it is used.
type brokenPropagator struct{ propagation.TextMapPropagator }

func (brokenPropagator) Extract(context.Context, propagation.TextMapCarrier) context.Context {
	panic("extract")
}

func (brokenPropagator) Inject(context.Context, propagation.TextMapCarrier) { panic("inject") }

func typeOf(v any) string { return fmt.Sprintf("%T", v) }
