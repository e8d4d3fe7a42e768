package migrate

import (
	"log/slog"
	"net/http"

	sloghttp "github.com/samber/slog-http"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/observe"
)

func otelhttpBefore(traces trace.TracerProvider, mux *http.ServeMux) http.Handler {
	return otelhttp.NewHandler(mux, "orders", otelhttp.WithTracerProvider(traces))
}

func otelhttpAfter(traces trace.TracerProvider, mux *http.ServeMux) (http.Handler, error) {
	obs, err := observe.New(&observe.Options{TracerProvider: traces})
	if err != nil {
		return nil, err
	}
	return obs.Handler(observe.Route(mux)), nil
}

func besideOtelhttp(traces trace.TracerProvider, mux *http.ServeMux) (http.Handler, error) {
	obs, err := observe.New(&observe.Options{TracerProvider: traces, JoinSpan: true})
	if err != nil {
		return nil, err
	}
	return otelhttp.NewHandler(obs.Handler(observe.Route(mux)), "orders", otelhttp.WithTracerProvider(traces)), nil
}

func slogHTTPBefore(logs slog.Handler, mux *http.ServeMux) http.Handler {
	logger := slog.New(logs)
	return sloghttp.Recovery(sloghttp.New(logger)(mux))
}

func slogHTTPAfter(logs slog.Handler, mux *http.ServeMux) (http.Handler, error) {
	obs, err := observe.New(&observe.Options{Log: logs, WideEvent: 1}) // one record for each request
	if err != nil {
		return nil, err
	}
	return obs.Handler(observe.Route(mux)), nil
}
