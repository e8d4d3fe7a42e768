package downtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
)

// A windowsFile is windows.yaml. The examples move its start as an operator would
// in the file.
type windowsFile struct {
	mu      sync.Mutex
	start   time.Time
	changed func()
}

// soon is a document whose window begins so soon.
func soon(in time.Duration) *windowsFile {
	return &windowsFile{start: time.Now().Add(in), changed: func() {}}
}

func (d *windowsFile) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start = time.Now()
	d.changed()
}

func (d *windowsFile) Name() string { return "windows.yaml" }

func (d *windowsFile) Load(context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Appendf(nil, `
windows:
  - id: orders-db-upgrade
    title: Orders database upgrade
    start: %s
    duration: 2h
    scope: {paths: ["/orders/**"], work: [import]}
    message: Orders are back in two hours.
`, d.start.UTC().Format(time.RFC3339Nano)), nil
}

func (d *windowsFile) Watch(ctx context.Context, changed func()) error {
	d.mu.Lock()
	d.changed = changed
	d.mu.Unlock()
	changed()
	<-ctx.Done()
	return ctx.Err()
}

func statusCode(h http.Handler, target string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Code
}

// The whole story: a service is guarded, a window begins while a request is in flight,
// the guard refuses new requests, waits for running ones, and reports when it is quiet.
func Example() {
	ctx := context.Background()
	opts := &downtime.Options{Logger: slog.New(slog.DiscardHandler)}
	windows := soon(time.Hour)
	g, err := downtime.Open(ctx, windows, opts) // usually downtime.File("windows.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()

	begun, finish := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /catalogue", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /orders/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /orders/slow", func(http.ResponseWriter, *http.Request) { close(begun); <-finish })
	service := g.Handler(mux)

	fmt.Println("before: an order", statusCode(service, "/orders/1"))
	slow := make(chan int)
	go func() { slow <- statusCode(service, "/orders/slow") }()
	<-begun

	windows.begin()
	for statusCode(service, "/orders/1") == http.StatusOK {
		runtime.Gosched() // until the edit is read
	}
	rep, err := g.Report("orders-db-upgrade")
	fmt.Println("in the window:", rep.Phase, "busy", rep.Busy, "quiet", rep.Quiet, err)
	fmt.Println("an order", statusCode(service, "/orders/1"), "the catalogue", statusCode(service, "/catalogue"))

	close(finish)
	fmt.Println("the slow order", <-slow)
	rep, err = g.Drain(ctx, "orders-db-upgrade")
	fmt.Println(rep, err)
	// Output:
	// before: an order 200
	// in the window: draining busy 1 quiet false <nil>
	// an order 503 the catalogue 200
	// the slow order 200
	// orders-db-upgrade: quiet <nil>
}

// What a refused client gets.
func ExampleGuard_Handler() {
	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{
		RetryMax: time.Minute, RetryJitter: -1,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	service := g.Handler(http.NotFoundHandler())

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/orders/1", nil)
	r.Header.Set("Accept", "text/plain, text/html;q=0.5")
	service.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Retry-After"), w.Header().Get("Cache-Control"), w.Header().Get("Content-Type"))

	w = httptest.NewRecorder()
	service.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x/%2e%2e/orders%2f1", nil)) // no way round
	var problem struct{ Status, Detail, Window any }
	if err := json.NewDecoder(w.Body).Decode(&problem); err != nil {
		fmt.Println(err)
	}
	fmt.Println(problem.Status, problem.Window, problem.Detail)
	fmt.Println("elsewhere", statusCode(service, "/catalogue"))
	// Output:
	// 503 60 no-store text/plain; charset=utf-8
	// 503 orders-db-upgrade Orders are back in two hours.
	// elsewhere 404
}

// Jobs and consumers ask before they begin, and say when they have ended.
func ExampleGuard_Enter() {
	ctx := context.Background()
	g, err := downtime.Open(ctx, soon(0), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()

	for _, name := range []string{"mail", "import"} {
		leave, err := g.Enter(ctx, downtime.Work{Name: name, Effect: downtime.EffectWrite})
		var refused *downtime.UnavailableError
		switch {
		case errors.As(err, &refused):
			fmt.Println(name, "refused by", refused.Window, "later than", refused.RetryAfter > time.Minute)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(name, "runs")
			leave()
		}
	}
	// Output:
	// mail runs
	// import refused by orders-db-upgrade later than true
}

// What lasts until somebody ends it, such as a subscription, runs in a context that the
// window ends.
func ExampleGuard_EnterContext() {
	windows := soon(time.Hour)
	g, err := downtime.Open(context.Background(), windows, &downtime.Options{StreamJitter: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()

	ctx, leave, err := g.EnterContext(context.Background(), downtime.Work{Name: "import", Stream: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	windows.begin()
	<-ctx.Done() // usually where the next message is waited for
	fmt.Println(context.Cause(ctx).(*downtime.UnavailableError).Window)
	leave()

	rep, err := g.Drain(context.Background(), "orders-db-upgrade")
	fmt.Println(rep, err)
	// Output:
	// orders-db-upgrade
	// orders-db-upgrade: quiet <nil>
}

// Drain may be called long before the window: it waits for the start and for quiet.
func ExampleGuard_Drain() {
	ctx := context.Background()
	windows := soon(time.Hour)
	g, err := downtime.Open(ctx, windows, &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	leave, err := g.Enter(ctx, downtime.Work{Name: "import"})
	if err != nil {
		fmt.Println(err)
		return
	}
	windows.begin()
	time.AfterFunc(200*time.Millisecond, leave) // the import ends

	rep, err := g.Drain(ctx, "orders-db-upgrade")
	if err != nil || !rep.Quiet {
		fmt.Println("not quiet:", rep, err)
		return
	}
	fmt.Println(rep.Phase, "- the migration may start")

	_, err = g.Drain(ctx, "orders-db-upgarde")
	fmt.Println(err)
	// Output:
	// in progress - the migration may start
	// downtime: unknown window "orders-db-upgarde"
}

// Report is what is in the way right now.
func ExampleGuard_Report() {
	ctx := context.Background()
	g, err := downtime.Open(ctx, soon(time.Hour), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	leave, err := g.Enter(ctx, downtime.Work{Name: "import"})
	if err != nil {
		fmt.Println(err)
		return
	}
	rep, err := g.Report("orders-db-upgrade")
	fmt.Println(rep.Phase, rep.Busy, rep.Work, err)
	leave()
	rep, err = g.Report("orders-db-upgrade")
	fmt.Println(rep, err)
	// Output:
	// planned 1 map[import:1] <nil>
	// orders-db-upgrade: planned, nothing in flight <nil>
}
