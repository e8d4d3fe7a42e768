package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/propagation"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
	"github.com/upkeep-go/upkeep/version/history"
)

// A shop is two services in one process, the storefront and the prices, and the storefront's
// pages for operators.
type shop struct {
	console *console
	docs    documents
	info    version.Info
	log     *slog.Logger
	obs     *observe.Observer
	flags   *flags.Provider
	guard   *downtime.Guard
	past    *chronicle

	storeURL, adminURL, pricesURL string

	closers []func(context.Context) // in the order of opening
}

// open starts a shop. Its storefront listens on addr, its pages for operators on operators.
func open(ctx context.Context, addr, operators string, docs documents, out *console) (s *shop, err error) {
	s = &shop{console: out, docs: docs}
	defer func() {
		if err != nil {
			s.close()
		}
	}()

	// version: the build, for spans, the log at start and the pages for operators.
	s.info = identify("storefront")
	tel := out.providers(s.info)
	s.onClose(tel.shutdown)

	// version/history: one timeline of all changes.
	past, err := history.NewFile(docs.path("history.jsonl"), nil)
	if err != nil {
		return s, err
	}
	s.past = &chronicle{store: past, report: func(err error) { s.log.Error("history", "err", err) }}
	s.onClose(func(context.Context) { s.past.close() })

	// observe: spans, metrics, ids and logs of each request.
	bundles, err := capture.NewDir(docs.path("captures"), nil)
	if err != nil {
		return s, err
	}
	s.obs, err = observe.New(&observe.Options{
		Log:            slog.NewTextHandler(out, nil),
		TracerProvider: tel.traces, MeterProvider: tel.metrics, LoggerProvider: tel.logs,
		Propagator:    propagation.TraceContext{},
		Public:        true,
		InternalHosts: []string{"127.0.0.1"},
		// A request that fails is stored without its user. The fields that a replay needs stay
		// readable: the item, the delay and the prices.
		Captures: failures{bundles, s.past},
		Capture: observe.CaptureOptions{
			Redact: &capture.Redaction{Fields: []string{"item", "slow"}, JSON: []string{"$.*"}, URLs: []string{"/prices"}},
			Build:  s.info.Name + " " + s.info.Version,
		},
	})
	if err != nil {
		return s, err
	}
	s.onClose(func(context.Context) { _ = s.obs.Close() })
	s.log = s.obs.Logger()
	s.log.Info("starting", "build", s.info)
	s.past.keep(ctx, s.info, history.Deployment{Environment: "demo", Instance: "storefront-1"}, s.log)

	// pkgmgmt: at run time violations are only logged.
	if err := s.checkPackages(); err != nil {
		return s, err
	}

	// flags: an OpenFeature provider. The hook of observe records its evaluations.
	s.flags, err = flags.New(flags.File(docs.path("flags.yaml")), &flags.Options{
		Static: flags.Attributes{"service": s.info.Name, "version": s.info.Version},
		Logger: s.log,
	})
	if err != nil {
		return s, err
	}
	if err := openfeature.SetProviderWithContextAndWait(ctx, s.flags); err != nil {
		return s, err
	}
	s.onClose(func(ctx context.Context) { _ = openfeature.ShutdownWithContext(ctx) })
	if err := s.flags.Require(expressCheckout, banner); err != nil {
		s.log.Warn("flags", "problem", err) // the defaults in the code are used
	}
	openfeature.AddHooks(s.obs.FlagHook())

	// downtime: the guard refuses what the document's windows close.
	s.guard, err = downtime.Open(ctx, downtime.File(docs.path("windows.yaml")), &downtime.Options{RetryJitter: 2 * time.Second, Logger: s.log})
	if err != nil {
		return s, err
	}
	s.onClose(func(context.Context) { _ = s.guard.Close() })

	s.past.listen(ctx, s.guard)

	// observe: the statistics of the other packages become metrics.
	for name, stats := range map[string]func() map[string]float64{"flags": s.flags.Stats, "downtime": s.guard.Stats} {
		if err := s.obs.Gauges(name, stats); err != nil {
			return s, err
		}
	}

	if s.pricesURL, err = s.openPrices(ctx); err != nil {
		return s, err
	}
	return s, s.openListeners(ctx, addr, operators)
}

func (s *shop) checkPackages() error {
	text, err := s.docs.read("packages.yaml")
	if err != nil {
		return err
	}
	policy, err := pkgmgmt.ParsePolicy(s.docs.path("packages.yaml"), text)
	if err != nil {
		return err
	}
	build, _ := debug.ReadBuildInfo()
	violations := policy.Check(build)
	for _, v := range violations {
		s.log.Warn("package policy", "violation", v)
	}
	if len(violations) == 0 {
		s.log.Info("packages are within the policy", "modules", len(build.Deps))
	}
	return nil
}

// openPrices starts the second service, which has its own telemetry.
func (s *shop) openPrices(ctx context.Context) (url string, err error) {
	info := identify("prices")
	tel := s.console.providers(info)
	s.onClose(tel.shutdown)
	obs, err := observe.New(&observe.Options{
		Log:            slog.NewTextHandler(s.console, nil),
		TracerProvider: tel.traces, MeterProvider: tel.metrics, LoggerProvider: tel.logs,
		Propagator: propagation.TraceContext{},
	})
	if err != nil {
		return "", err
	}
	s.onClose(func(context.Context) { _ = obs.Close() })
	peers, err := compat.OpenPolicy(ctx, compat.File(s.docs.path("peers.yaml")), &compat.Options{Logger: obs.Logger()})
	if err != nil {
		return "", err
	}
	s.onClose(func(context.Context) { _ = peers.Close() })
	return s.listen(ctx, "127.0.0.1:0", newPrices(info, obs, peers))
}

func (s *shop) openListeners(ctx context.Context, addr, operators string) (err error) {
	transport := &http.Transport{}
	s.onClose(func(context.Context) { transport.CloseIdleConnections() })
	store := &storefront{
		flags:  openfeature.NewDefaultClient(),
		prices: s.pricesURL,
		client: &http.Client{Timeout: 5 * time.Second, Transport: version.Transport(s.info, s.obs.Transport(transport))},
		log:    s.log,
		carts:  map[string][]string{},
	}
	build := version.Middleware(s.info, &version.MiddlewareOptions{Header: "X-Service-Version"})
	s.storeURL, err = s.listen(ctx, addr, s.obs.Handler(build(s.guard.Handler(observe.Route(store.routes())))))
	if err != nil {
		return fmt.Errorf("%w (another address: -addr 127.0.0.1:0)", err)
	}

	pages, err := s.operators()
	if err != nil {
		return err
	}
	s.adminURL, err = s.listen(ctx, operators, pages)
	if err != nil {
		return fmt.Errorf("%w (another address: -operators 127.0.0.1:0)", err)
	}
	return nil
}

// listen serves on addr until the shop is closed.
func (s *shop) listen(ctx context.Context, addr string, h http.Handler) (url string, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	// When the shop closes, the contexts of its requests end, so that slow requests end too.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return base }}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("listener ended", "addr", addr, "err", err)
		}
	})
	s.onClose(func(ctx context.Context) {
		cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		serving.Wait()
	})
	return "http://" + l.Addr().String(), nil
}

// settle is a job: observe records it, and the guard may refuse it.
func (s *shop) settle(ctx context.Context) error {
	return s.obs.Do(ctx, "settle", func(ctx context.Context) error {
		leave, err := s.guard.Enter(ctx, downtime.Work{Name: "settle"})
		if err != nil {
			s.log.InfoContext(ctx, "payments are settled later", "reason", err)
			return nil
		}
		defer leave()
		s.log.InfoContext(ctx, "payments are settled")
		return nil
	})
}

func (s *shop) onClose(f func(context.Context)) { s.closers = append(s.closers, f) }

// close ends everything in the reverse order of opening.
func (s *shop) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i](ctx)
	}
	_ = os.RemoveAll(s.docs.dir)
}
