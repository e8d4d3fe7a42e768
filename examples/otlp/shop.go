package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/propagation"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

// The flag decides how a checkout ships. A quarter of the users get the new way, which has a bug.
var expressCheckout = flags.Bool("express-checkout", false)

const flagDocument = `{"flags": {"express-checkout": {
	"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
	"targeting": {"if": [{"ends_with": [{"var": "email"}, "@shop.example"]}, "on", {"fractional": [["on", 25], ["off", 75]]}]}
}}}`

// A shop is two services in one process, the storefront and the prices. They are composed like those of
// examples/shop, except for the destination of their telemetry.
type shop struct {
	url     string
	release string
	closers []func(context.Context) error // in the order of opening
}

func openShop(ctx context.Context, endpoint, release string) (s *shop, err error) {
	s = &shop{release: release}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	prices, _, err := s.observer(ctx, endpoint, "prices")
	if err != nil {
		return s, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices/{item}", func(w http.ResponseWriter, r *http.Request) {
		prices.Logger().InfoContext(r.Context(), "priced", "item", r.PathValue("item"))
		_, _ = io.WriteString(w, "890")
	})
	pricesURL, err := s.serve(ctx, "127.0.0.1:0", prices.Handler(observe.Route(mux)))
	if err != nil {
		return s, err
	}
	return s, s.openStorefront(ctx, endpoint, pricesURL)
}

// observer makes what both services need: a release, an SDK that exports, and an observer whose records also
// go to OpenTelemetry.
func (s *shop) observer(ctx context.Context, endpoint, name string) (*observe.Observer, version.Info, error) {
	info := version.New(&version.Options{Name: name, Version: s.release})
	tel, err := newProviders(ctx, endpoint, info)
	if err != nil {
		return nil, info, err
	}
	s.onClose(tel.shutdown)
	obs, err := observe.New(&observe.Options{
		Log:            otelslog.NewHandler(name, otelslog.WithLoggerProvider(tel.logs)),
		Level:          slog.LevelInfo, // the bridge accepts all levels; lower records are kept for failed requests
		TracerProvider: tel.traces, MeterProvider: tel.metrics, LoggerProvider: tel.logs,
		Propagator:    propagation.TraceContext{},
		InternalHosts: []string{"127.0.0.1"},
		GuardedFlags:  []string{expressCheckout.Key()},
	})
	if err == nil {
		// A closed observer has lost its gauges, so they are exported before.
		s.onClose(func(ctx context.Context) error { return errors.Join(tel.metrics.ForceFlush(ctx), obs.Close()) })
	}
	return obs, info, err
}

func (s *shop) openStorefront(ctx context.Context, endpoint, pricesURL string) error {
	obs, info, err := s.observer(ctx, endpoint, "storefront")
	if err != nil {
		return err
	}
	provider, err := flags.New(flags.Bytes("flags.json", []byte(flagDocument)), &flags.Options{Logger: obs.Logger()})
	if err != nil {
		return err
	}
	features := isolated.NewAPI()
	if err := features.SetProviderAndWait(ctx, provider); err != nil {
		return err
	}
	s.onClose(features.Shutdown)
	client := features.NewClient()
	client.AddHooks(obs.FlagHook())
	guard, err := downtime.Open(ctx, downtime.Bytes("windows.yaml", []byte("windows: []")), &downtime.Options{Logger: obs.Logger()})
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { return guard.Close() })
	if err := errors.Join(obs.Gauges("upkeep.flags", provider.Stats), obs.Gauges("upkeep.downtime", guard.Stats)); err != nil {
		return err
	}

	transport := &http.Transport{}
	s.onClose(func(context.Context) error { transport.CloseIdleConnections(); return nil })
	calls := &http.Client{Timeout: 5 * time.Second, Transport: version.Transport(info, obs.Transport(transport))}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /checkout/{item}", func(w http.ResponseWriter, r *http.Request) {
		subject := openfeature.NewEvaluationContext(r.FormValue("user"), map[string]any{"email": r.FormValue("email")})
		price, err := ask(r.Context(), calls, pricesURL+"/prices/"+r.PathValue("item"))
		if err != nil {
			observe.Fail(r.Context(), err)
			http.Error(w, "no price", http.StatusBadGateway)
			return
		}
		obs.Logger().DebugContext(r.Context(), "checking out", "price", price)
		if expressCheckout.Value(r.Context(), client, subject) {
			var parcels []string
			fmt.Fprintln(w, "sent by", parcels[0]) // the bug
			return
		}
		fmt.Fprintln(w, "sold for", price)
	})
	s.url, err = s.serve(ctx, "127.0.0.1:0", obs.Handler(version.Middleware(info, nil)(guard.Handler(observe.Route(mux)))))
	return err
}

func ask(ctx context.Context, client *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return string(body), err
}

// serve serves on addr until the shop is closed.
func (s *shop) serve(ctx context.Context, addr string, h http.Handler) (url string, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	s.onClose(func(ctx context.Context) error {
		defer serving.Wait()
		return server.Shutdown(ctx)
	})
	return "http://" + l.Addr().String(), nil
}

func (s *shop) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

// close ends everything in the reverse order of opening, and exports the rest.
func (s *shop) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i](ctx))
	}
	s.closers = nil
	return errors.Join(errs...)
}
