// Service is the smallest service with all five packages around its handler. Its
// documents are embedded so that it runs from anywhere; a service of your own reads
// them with flags.File and downtime.File, and sees each edit at once.
package main

import (
	"context"
	"embed"
	"fmt"
	"log"
	"net/http"
	"runtime/debug"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/version"
)

//go:embed *.yaml
var documents embed.FS

var greeting = flags.String("greeting", "Hello.")

func main() {
	ctx := context.Background()
	handler, admin, err := newService(ctx)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:8081", admin)) }()
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}

func newService(ctx context.Context) (handler, admin http.Handler, err error) {
	info := version.Current()
	obs, err := observe.New(nil) // OpenTelemetry's global providers, slog's default
	if err != nil {
		return nil, nil, err
	}
	obs.Logger().Info("starting", "build", info)

	packages, _ := documents.ReadFile("packages.yaml")
	policy, err := pkgmgmt.ParsePolicy("packages.yaml", packages)
	if err != nil {
		return nil, nil, err
	}
	build, _ := debug.ReadBuildInfo()
	for _, v := range policy.Check(build) {
		obs.Logger().Warn("package policy", "violation", v)
	}

	provider, err := flags.New(flags.FS(documents, "flags.yaml"), nil)
	if err != nil {
		return nil, nil, err
	}
	if err := openfeature.SetProviderWithContextAndWait(ctx, provider); err != nil {
		return nil, nil, err
	}
	openfeature.AddHooks(obs.FlagHook())
	client := openfeature.NewDefaultClient()

	guard, err := downtime.Open(ctx, downtime.FS(documents, "windows.yaml"), nil)
	if err != nil {
		return nil, nil, err
	}

	maintenance, err := status.Handler(guard, &status.Options{
		Authorize: func(*http.Request) (who string, err error) { return "whoever reaches the listener", nil },
	})
	if err != nil {
		return nil, nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		user := openfeature.NewEvaluationContext(r.FormValue("user"), nil)
		fmt.Fprintln(w, greeting.Value(r.Context(), client, user))
	})
	operators := http.NewServeMux()
	operators.Handle("GET /version", version.Handler(info, nil))
	operators.Handle("/maintenance/", maintenance)

	return obs.Handler(version.Middleware(info, nil)(guard.Handler(observe.Route(mux)))), operators, nil
}
