// Service is the smallest service with all five packages around its handler. It reads its
// documents from the folder in which it runs:
//
//	go -C examples/service run .
//
// An edit of flags.yaml or windows.yaml takes effect within a second.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/version"
)

var (
	greeting = flags.String("greeting", "Hello.") // the default if flags.yaml lacks the flag
	client   = openfeature.NewDefaultClient()
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var exporter sdktrace.SpanExporter // yours, such as otlptracehttp.New; nil exports nothing
	server := &http.Server{Addr: "127.0.0.1:8080", ReadHeaderTimeout: 5 * time.Second}
	operators := &http.Server{Addr: "127.0.0.1:8081", ReadHeaderTimeout: 5 * time.Second}
	log.Printf("http://%s/?user=ada, for operators http://%s/maintenance/ and /version", server.Addr, operators.Addr)
	run(ctx, exporter, server, operators)
}

// run serves until ctx ends.
func run(ctx context.Context, exporter sdktrace.SpanExporter, server, operators *http.Server) {
	info := version.Current()
	build := resource.NewSchemaless(info.Attributes()...)
	traces := sdktrace.NewTracerProvider(sdktrace.WithResource(build), sdktrace.WithBatcher(exporter))
	obs := must(observe.New(&observe.Options{TracerProvider: traces}))
	guard := must(downtime.Open(ctx, downtime.File("windows.yaml"), nil))
	check(openfeature.SetProviderWithContextAndWait(ctx, must(flags.New(flags.File("flags.yaml"), nil))))
	openfeature.AddHooks(obs.FlagHook())

	// The fifth package warns of modules that packages.yaml does not allow.
	policy := must(pkgmgmt.ParsePolicy("packages.yaml", must(os.ReadFile("packages.yaml"))))
	modules, _ := debug.ReadBuildInfo()
	for _, v := range policy.Check(modules) {
		obs.Logger().Warn("package policy", "violation", v)
	}

	// Pages for operators, on a listener that only they reach.
	pages := http.NewServeMux()
	pages.Handle("GET /version", version.Handler(info, nil))
	pages.Handle("/maintenance/", must(status.Handler(guard, &status.Options{
		Authorize: func(*http.Request) (who string, err error) { return "an operator", nil },
	})))
	operators.Handler = pages
	go serve(operators)
	defer operators.Close()

	mux := http.NewServeMux()

	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, greeting.Value(r.Context(), client, user(r)))
	})
	server.Handler = obs.Handler(version.Middleware(info, nil)(guard.Handler(observe.Route(mux))))
	go serve(server)

	<-ctx.Done() // SIGTERM: requests in progress may end, then traces are sent
	end, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	check(errors.Join(server.Shutdown(end), guard.Close(), openfeature.ShutdownWithContext(end), obs.Close(), traces.Shutdown(end)))
}

// user is for whom flags are evaluated. A real service takes it from the session.
func user(r *http.Request) openfeature.EvaluationContext {
	return openfeature.NewEvaluationContext(r.FormValue("user"), nil)
}

func serve(s *http.Server) {
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
