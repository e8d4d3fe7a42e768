package observe_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/upkeep-go/upkeep/observe"
)

// logging gives an observer that prints its log.
func logging(opts *observe.Options) *observe.Observer {
	opts.Log = slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: steady})
	obs, err := observe.New(opts)
	if err != nil {
		panic(err)
	}
	return obs
}

// request asks a service for a path, with the request id that its records then have.
func request(service http.Handler, path, id string, header ...string) {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("X-Request-Id", id)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	service.ServeHTTP(httptest.NewRecorder(), r)
}

// Debug records cost next to nothing while all goes well, and are there when it
// does not.
func ExampleObserver_LogHandler_tail() {
	obs := logging(&observe.Options{})
	defer obs.Close()
	logger := obs.Logger()
	stock := map[string]int{"boots": 3}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{name}", func(w http.ResponseWriter, r *http.Request) {
		n, known := stock[r.PathValue("name")]
		logger.DebugContext(r.Context(), "asked the warehouse", "stock", n, "known", known)
		if !known {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	service := obs.Handler(observe.Route(mux))
	request(service, "/items/boots", "req-1") // writes nothing
	request(service, "/items/hats", "req-2")
	// Output:
	// level=DEBUG msg="asked the warehouse" stock=0 known=false request_id=req-2 tail=true
	// level=ERROR msg="request failed" method=GET route=/items/{name} path=/items/hats status=500 bytes=0 request_id=req-2
}

// Ana wants to know what happens to her own requests to one route. The owner of the private
// key mints a token with any JWT tool, and Ana sends it with her requests.
func ExampleDebugToken() {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"purpose": "upkeep-debug", "aud": "shop", "sub": "ana", "route": "/carts/{id}",
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
	})
	token.Header["kid"] = "ops"
	text, err := token.SignedString(private)
	if err != nil {
		fmt.Println(err)
		return
	}

	obs := logging(&observe.Options{DebugToken: &observe.DebugToken{
		Keys:     map[string]ed25519.PublicKey{"ops": public},
		Audience: "shop",
		Hosts:    []string{".internal"}, // obs.Transport hands the token on to these
	}})
	defer obs.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /carts/{id}", func(_ http.ResponseWriter, r *http.Request) {
		obs.Logger().DebugContext(r.Context(), "loaded the cart", "header", r.Header.Get("Upkeep-Debug"))
	})
	service := obs.Handler(observe.Route(mux))
	request(service, "/carts/7", "req-1")
	request(service, "/carts/7", "req-2", "Upkeep-Debug", text)
	// Output:
	// level=DEBUG msg="loaded the cart" header="" request_id=req-2 debug=token
	// level=INFO msg="request served" method=GET route=/carts/{id} path=/carts/7 status=200 bytes=0 debug=token debug_holder=ana request_id=req-2
}

// "Debug for tenant acme" is a targeting rule of a flag, and ends when the rule does.
func ExampleOptions_levelFlag() {
	flags := isolated.NewAPI()
	defer flags.Shutdown(context.Background())
	acme := func(_ memprovider.InMemoryFlag, ctx openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail) {
		if ctx["tenant"] == "acme" {
			return "debug", openfeature.ProviderResolutionDetail{Variant: "debug", Reason: openfeature.TargetingMatchReason}
		}
		return "", openfeature.ProviderResolutionDetail{Variant: "normal", Reason: openfeature.DefaultReason}
	}
	err := flags.SetProviderAndWait(context.Background(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"log-level": {State: memprovider.Enabled, DefaultVariant: "normal", Variants: map[string]any{"normal": ""}, ContextEvaluator: &acme},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}

	obs := logging(&observe.Options{LevelFlag: "log-level", FlagClient: flags.NewClient()})
	defer obs.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		obs.Logger().DebugContext(r.Context(), "deep inside")
	})
	// Authentication says who it is, in the way that OpenFeature has for it.
	auth := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tenant := openfeature.NewTargetlessEvaluationContext(map[string]any{"tenant": r.Header.Get("Tenant")})
			next.ServeHTTP(w, r.WithContext(openfeature.WithTransactionContext(r.Context(), tenant)))
		})
	}
	service := obs.Handler(auth(observe.Route(mux)))
	request(service, "/", "req-1", "Tenant", "initech")
	request(service, "/", "req-2", "Tenant", "acme")
	// Output:
	// level=DEBUG msg="deep inside" request_id=req-2 debug=flag
	// level=INFO msg="request served" method=GET route=/ path=/ status=200 bytes=0 debug=flag request_id=req-2
}

func ExampleObserver_SetLevel() {
	obs := logging(&observe.Options{})
	defer obs.Close()
	sql := obs.Logger().With("logger", "sql") // what a library is given
	sql.Debug("not written")
	if err := obs.SetLevel("sql", slog.LevelDebug, 10*time.Minute); err != nil {
		fmt.Println(err)
	}
	sql.Debug("written for ten minutes")
	obs.Logger().Debug("of another logger")
	fmt.Println("levels set:", obs.Stats()["levels_set"])
	// Output:
	// level=DEBUG msg="written for ten minutes" logger=sql
	// levels set: 1
}

// A share of the requests that end well logs a record, which says how many requests it
// represents.
func ExampleOptions_wideEvent() {
	obs := logging(&observe.Options{WideEvent: 1, Slow: time.Minute})
	defer obs.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "ann")
	})
	request(obs.Handler(observe.Route(mux)), "/users/42", "req-1")
	// Output:
	// level=INFO msg="request served" method=GET route=/users/{id} path=/users/42 status=200 bytes=3 sample_rate=1 request_id=req-1
}

// Which variant broke it is one query.
func ExampleObserver_FlagHook_guarded() {
	reader := sdkmetric.NewManualReader()
	obs := logging(&observe.Options{
		GuardedFlags:  []string{"new-checkout"},
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		Level:         slog.Level(100), // nothing
	})
	defer obs.Close()
	service := obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		variant := r.URL.Query().Get("variant") // of a flag client with obs.FlagHook, in truth
		observe.RecordFlag(r.Context(), "upkeep", openfeature.InterfaceEvaluationDetails{
			EvaluationDetails: openfeature.EvaluationDetails{
				FlagKey: "new-checkout", ResolutionDetail: openfeature.ResolutionDetail{Variant: variant},
			},
		})
		if variant == "on" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	request(service, "/?variant=off", "req-1")
	request(service, "/?variant=off", "req-2")
	request(service, "/?variant=on", "req-3")

	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if m.Name != "upkeep.flag.request.duration" {
			continue
		}
		for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
			fmt.Println(p.Attributes.Encoded(attribute.DefaultEncoder()), p.Count)
		}
	}
	// Unordered output:
	// feature_flag.key=new-checkout,feature_flag.result.variant=off,upkeep.response.status_class=2xx 2
	// feature_flag.key=new-checkout,feature_flag.result.variant=on,upkeep.response.status_class=5xx 1
}
