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
	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
	"github.com/upkeep-go/upkeep/version/history"
)

// A shop is two services in one process, the storefront and the prices, each as it
// would be alone, and the administrative listener of the storefront.
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

// open starts a shop whose storefront listens on addr.
func open(ctx context.Context, addr string, docs documents, out *console) (s *shop, err error) {
	s = &shop{console: out, docs: docs}
	defer func() {
		if err != nil {
			s.close()
		}
	}()

	// What is running: on spans, in the start-up log, on the admin listener.
	s.info = version.New(&version.Options{Name: "storefront"})
	tel := out.providers(s.info)
	s.onClose(tel.shutdown)

	// version/history: what changes, on one timeline.
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
		// The request that fails is kept, without whose it was. What a replay needs to fail
		// alike may be read: what was bought, and for how much.
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

	// pkgmgmt: may this build run? At run time it only warns.
	if err := s.checkPackages(); err != nil {
		return s, err
	}

	// flags: the provider of OpenFeature, whose hook tells observe what was decided.
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
		s.log.Warn("flags", "problem", err) // the code's defaults stand in
	}
	openfeature.AddHooks(s.obs.FlagHook())

	// downtime: the guard in front of everything that the document's scopes name.
	s.guard, err = downtime.Open(ctx, downtime.File(docs.path("windows.yaml")), &downtime.Options{RetryJitter: 2 * time.Second, Logger: s.log})
	if err != nil {
		return s, err
	}
	s.onClose(func(context.Context) { _ = s.guard.Close() })

	s.past.listen(ctx, s.guard)

	// observe again: what the others count becomes metrics.
	for name, stats := range map[string]func() map[string]float64{"flags": s.flags.Stats, "downtime": s.guard.Stats} {
		if err := s.obs.Gauges(name, stats); err != nil {
			return s, err
		}
	}

	if s.pricesURL, err = s.openPrices(ctx); err != nil {
		return s, err
	}
	return s, s.openListeners(ctx, addr)
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

// openPrices starts the second service, with telemetry of its own.
func (s *shop) openPrices(ctx context.Context) (url string, err error) {
	info := version.New(&version.Options{Name: "prices"})
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
	return s.serve(ctx, "127.0.0.1:0", newPrices(info, obs, peers))
}

func (s *shop) openListeners(ctx context.Context, addr string) (err error) {
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
	s.storeURL, err = s.serve(ctx, addr, s.obs.Handler(build(s.guard.Handler(observe.Route(store.routes())))))
	if err != nil {
		return fmt.Errorf("%w (another address: -addr 127.0.0.1:0)", err)
	}

	// What operators see stands on a listener of its own, on loopback.
	admin := http.NewServeMux()
	admin.Handle("GET /version", version.Handler(s.info, &version.HandlerOptions{
		Detail:   func(*http.Request) version.Level { return version.LevelFull },
		Sections: map[string]func() string{"flags": s.flags.Revision, "windows": s.guard.Revision},
	}))
	bi, _ := debug.ReadBuildInfo()
	admin.Handle("GET /sbom", sbom.Handler(bi, &sbom.Options{Name: s.info.Name, Version: s.info.Version}))
	maintenance, err := status.Handler(s.guard, &status.Options{
		Authorize: func(*http.Request) (who string, err error) { return "whoever reaches the listener", nil },
	})
	if err != nil {
		return err
	}
	admin.Handle("/maintenance/", maintenance)
	admin.HandleFunc("GET /explain", func(w http.ResponseWriter, r *http.Request) {
		subject := flags.Attributes{openfeature.TargetingKey: r.FormValue("user"), "email": r.FormValue("email")}
		fmt.Fprintln(w, s.flags.Explain(r.Context(), r.FormValue("flag"), subject))
	})
	admin.HandleFunc("GET /changes", func(w http.ResponseWriter, r *http.Request) {
		changes, err := s.past.lastHour(r.Context())
		if err != nil {
			s.log.ErrorContext(r.Context(), "history", "err", err)
			http.Error(w, "the history cannot be read", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, changes)
	})
	admin.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]map[string]float64{"flags": s.flags.Stats(), "downtime": s.guard.Stats(), "observe": s.obs.Stats()})
	})
	admin.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.obs.Health()) })
	s.adminURL, err = s.serve(ctx, "127.0.0.1:0", admin)
	return err
}

// serve serves on addr until the shop is closed.
func (s *shop) serve(ctx context.Context, addr string, h http.Handler) (url string, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	// The request contexts end with the shop, and the slow with them.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return base }}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("a listener has ended", "addr", addr, "err", err)
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

// settle is a job: it asks the guard, and runs under observe.
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
