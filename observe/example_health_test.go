package observe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/upkeep-go/upkeep/observe"
)

// The disk of the logs is full. Requests are served all the same, and operators see it.
func ExampleObserver_Health() {
	obs, err := observe.New(&observe.Options{Log: fullDisk{slog.DiscardHandler}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer obs.Close()
	service := obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		obs.Logger().InfoContext(r.Context(), "charged the card")
	}))
	service.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/checkout", nil))

	admin := http.NewServeMux() // on a listener of its own
	admin.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(obs.Health())
	})
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	fmt.Println(w.Body.String()[:69], "…")
	fmt.Println(obs.Health().Err())
	// Output:
	// {"status":"degraded","failed":[{"name":"log_errors","count":1,"last": …
	// observe: degraded: log_errors 1 (records that the wrapped log handler could not write)
}

// The statistics of flag providers, guards and pools become metrics.
func ExampleObserver_Gauges() {
	reader := sdkmetric.NewManualReader() // use an exporter's reader here
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer meters.Shutdown(context.Background())
	obs, err := observe.New(&observe.Options{MeterProvider: meters})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer obs.Close()

	stats := func() map[string]float64 { // flags.Provider.Stats, say
		return map[string]float64{"stale": 0, "age_seconds": 7.5}
	}
	if err := obs.Gauges("flags", stats); err != nil {
		fmt.Println(err)
		return
	}

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
		return
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			if gauge, ok := m.Data.(metricdata.Gauge[float64]); ok {
				fmt.Println(m.Name, gauge.DataPoints[0].Value)
			}
		}
	}
	// Output:
	// flags.age_seconds 7.5
	// flags.stale 0
}
