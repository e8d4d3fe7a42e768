// alerts is a service whose metrics Prometheus scrapes, with all that the rules and the dashboard
// beside it need. README.md says what to alert on.
//
//	go run .                          # then: curl http://localhost:8081/metrics
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/version/compat"
)

//go:embed documents
var documents embed.FS

func main() {
	public := flag.String("public", "localhost:8080", "the address for users")
	operators := flag.String("operators", "localhost:8081", "the address for operators and Prometheus")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *public, *operators); err != nil {
		slog.Error("the service has ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, public, operators string) error {
	s, err := newService(ctx)
	if err != nil {
		return err
	}
	servers := []*http.Server{{Addr: public, Handler: s.public}, {Addr: operators, Handler: s.operators}}
	ended := make(chan error, len(servers))
	for _, server := range servers {
		go func() { ended <- server.ListenAndServe() }()
	}
	fmt.Printf("http://%s/ is the service, http://%s/metrics has its metrics\n", public, operators)
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	for _, server := range servers {
		err = errors.Join(err, server.Shutdown(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, s.close())
}

// A service has two handlers, and closes what feeds them.
type service struct {
	public, operators http.Handler
	observer          *observe.Observer
	provider          *flags.Provider
	close             func() error
}

func newService(ctx context.Context) (s *service, err error) {
	var closers []func() error
	s = &service{close: func() error {
		var errs []error
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i]())
		}
		return errors.Join(errs...)
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()

	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	closers = append(closers, func() error { return meters.Shutdown(context.WithoutCancel(ctx)) })

	s.observer, err = observe.New(&observe.Options{MeterProvider: meters, GuardedFlags: []string{"new-checkout"}})
	if err != nil {
		return nil, err
	}
	closers = append(closers, s.observer.Close)
	s.provider, err = flags.Open(ctx, flags.FS(documents, "documents/flags.yaml"), nil)
	if err != nil {
		return nil, err
	}
	closers = append(closers, s.provider.Close)
	guard, err := downtime.Open(ctx, downtime.FS(documents, "documents/windows.yaml"), nil)
	if err != nil {
		return nil, err
	}
	closers = append(closers, guard.Close)
	packages, err := pkgmgmt.OpenPolicy(ctx, pkgmgmt.FS(documents, "documents/packages.yaml"), nil)
	if err != nil {
		return nil, err
	}
	closers = append(closers, packages.Close)
	peers, err := compat.OpenPolicy(ctx, compat.FS(documents, "documents/peers.yaml"), nil)
	if err != nil {
		return nil, err
	}
	closers = append(closers, peers.Close)

	// The rules and the dashboard expect these names.
	err = errors.Join(
		s.observer.Gauges("upkeep.flags", s.provider.Stats),
		s.observer.Gauges("upkeep.downtime", guard.Stats),
		s.observer.Gauges("upkeep.packages", packages.Stats),
		s.observer.Gauges("upkeep.compat", peers.Stats),
		s.observer.Gauges("upkeep.observer", s.observer.Stats),
	)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Good day to you.") })
	s.public = s.observer.Handler(compat.Require(peers)(guard.Handler(observe.Route(mux))))
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	s.operators = metrics
	return s, nil
}
