package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

var (
	giftWrap = flags.Bool("gift-wrap", false)
	client   = openfeature.NewDefaultClient()
)

type options struct {
	addr, probes, operators string
	documents               string
	drain, grace            time.Duration
	exporter                sdktrace.SpanExporter // nil exports nothing

	// For tests. Nil means none, and for wait a timer.
	listening func(name string, addr net.Addr)
	order     http.HandlerFunc
	wait      func(context.Context, time.Duration)
}

// serve runs the service until ctx ends, and then stops it in this order:
//
//  1. The readiness probe fails. The service goes on, because Kubernetes removes the pod from its
//     endpoints at the same time as it sends SIGTERM, and load balancers need a moment to notice.
//  2. The listener closes. Requests in progress may end. New ones go to other replicas.
//  3. Guard, flags and observer close. They are the last that requests need.
//  4. Telemetry is exported, after the last request has recorded its own.
//  5. The probes and the pages for operators end last, so that both can be read until here.
func serve(ctx context.Context, o options) (err error) {
	// The environment in manifests.yaml gives name, version, environment and pod.
	info := version.Current()
	build, err := resource.New(ctx, resource.WithAttributes(info.Attributes()...), resource.WithFromEnv())
	if err != nil {
		return err
	}
	traces := sdktrace.NewTracerProvider(sdktrace.WithResource(build), sdktrace.WithBatcher(o.exporter))
	obs, err := observe.New(&observe.Options{TracerProvider: traces})
	if err != nil {
		return err
	}
	provider, err := flags.New(flags.File(filepath.Join(o.documents, "flags.yaml")), &flags.Options{Logger: obs.Logger()})
	if err != nil {
		return err
	}
	if err := openfeature.SetProviderWithContextAndWait(ctx, provider); err != nil {
		return err
	}
	openfeature.AddHooks(obs.FlagHook())
	guard, err := downtime.Open(ctx, downtime.File(filepath.Join(o.documents, "windows.yaml")), &downtime.Options{Logger: obs.Logger()})
	if err != nil {
		return err
	}
	pages, err := status.Handler(guard, &status.Options{
		Authorize: func(*http.Request) (who string, err error) { return "an operator with port-forward", nil },
	})
	if err != nil {
		return err
	}
	obs.Logger().Info("starting", "build", info)

	var stopping atomic.Bool
	probes := http.NewServeMux()
	probes.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {}) // a restart would not end a window
	probes.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if stopping.Load() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		}
	})
	operators := http.NewServeMux()
	operators.Handle("GET /version", version.Handler(info, nil))
	operators.Handle("/maintenance/", pages)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", placeOrder)
	if o.order != nil {
		mux.HandleFunc("POST /orders/test", o.order)
	}

	var servers servers
	defer func() {
		err = errors.Join(err, servers.close())
	}()
	for _, s := range []struct {
		name, addr string
		handler    http.Handler
	}{
		{"operators", o.operators, operators},
		{"probes", o.probes, probes},
		{"service", o.addr, obs.Handler(version.Middleware(info, nil)(guard.Handler(observe.Route(mux))))},
	} {
		addr, err := servers.listen(ctx, s.addr, s.handler)
		if err != nil {
			return err
		}
		if o.listening != nil {
			o.listening(s.name, addr)
		}
	}

	<-ctx.Done()
	stopping.Store(true) // 1
	ctx = context.WithoutCancel(ctx)
	if o.wait == nil {
		o.wait = wait
	}
	o.wait(ctx, o.drain)
	end, cancel := context.WithTimeout(ctx, o.grace)
	defer cancel()
	err = servers.shutdownLast(end)                                                          // 2
	err = errors.Join(err, guard.Close(), openfeature.ShutdownWithContext(end), obs.Close()) // 3
	return errors.Join(err, traces.Shutdown(end))                                            // 4, then 5 by defer
}

func wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

func placeOrder(w http.ResponseWriter, r *http.Request) {
	wrapped := giftWrap.Value(r.Context(), client, openfeature.NewEvaluationContext(r.FormValue("user"), nil))
	fmt.Fprintf(w, "ordered, gift wrap: %t\n", wrapped)
}

// servers are HTTP servers in the order in which they began to listen.
type servers struct {
	all     []*http.Server
	serving sync.WaitGroup
}

func (s *servers) listen(ctx context.Context, addr string, h http.Handler) (net.Addr, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	s.all = append(s.all, server)
	s.serving.Go(func() { _ = server.Serve(l) }) // until it is closed
	return l.Addr(), nil
}

// shutdownLast stops the server that began last. Requests in progress may end until ctx does.
func (s *servers) shutdownLast(ctx context.Context) error {
	return s.all[len(s.all)-1].Shutdown(ctx)
}

// close stops all servers at once.
func (s *servers) close() error {
	var errs []error
	for _, server := range s.all {
		errs = append(errs, server.Close())
	}
	s.serving.Wait()
	return errors.Join(errs...)
}
