package downtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// planned opens a guard with one window of orders that begins in so long.
func planned(in, duration time.Duration, more string) (*downtime.Guard, error) {
	doc := fmt.Sprintf(`
windows:
  - id: orders-db-upgrade
    owner: team-orders
    start: %s
    duration: %v
    scope: {paths: ["/orders/**"], work: [invoice]}
    %s
`, time.Now().Add(in).UTC().Format(time.RFC3339Nano), duration, more)
	return downtime.Open(context.Background(), downtime.Bytes("windows.yaml", []byte(doc)),
		&downtime.Options{Logger: slog.New(slog.DiscardHandler)})
}

// What a request leaves to others is held, from before the request ends, and keeps the
// window from being quiet.
func ExampleGuard_Hold() {
	g, err := planned(time.Hour, time.Hour, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	printed := make(chan struct{})
	var invoices sync.WaitGroup
	service := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		release, err := g.Hold(downtime.Work{Name: "invoice"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		invoices.Go(func() {
			defer release()
			<-printed
		})
		w.WriteHeader(http.StatusAccepted)
	}))
	fmt.Println("order", statusCode(service, "/orders/1"))

	rep, err := g.Begin("orders-db-upgrade")
	fmt.Println(rep.Phase, rep.Busy, rep.Work, err)
	close(printed)
	rep, err = g.Drain(context.Background(), "orders-db-upgrade")
	fmt.Println(rep.Quiet, err)

	_, err = g.Hold(downtime.Work{Name: "invoice"})
	fmt.Println("now refused:", errors.Is(err, downtime.ErrWindow))
	invoices.Wait()
	// Output:
	// order 202
	// draining 1 map[invoice:1] <nil>
	// true <nil>
	// now refused: true
}

// Events yields the current state first, and then each change.
func ExampleGuard_Events() {
	g, err := planned(30*time.Minute, time.Hour, "announce: 1h")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	for e := range g.Events(context.Background()) {
		fmt.Println(e.Kind, e.Owner, "-", e)
		switch e.Phase {
		case schedule.PhaseAnnounced:
			_, err = g.Begin(e.Window)
		case schedule.PhaseInProgress:
			_, err = g.Complete(e.Window)
		case schedule.PhaseCompleted:
			note, _ := json.Marshal(e) // for a timeline of deployments
			fmt.Println(json.Valid(note))
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// present team-orders - orders-db-upgrade: announced
	// phase team-orders - orders-db-upgrade: announced -> in progress, quiet after 0s (by times of this process only)
	// phase team-orders - orders-db-upgrade: in progress -> completed (by times of this process only)
	// true
}

// One process may be begun, extended and completed by itself, and says so. For all of
// them the document's "actual" is edited.
func ExampleGuard_Begin() {
	g, err := planned(time.Hour, time.Hour, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	service := g.Handler(http.NotFoundHandler())

	rep, err := g.Begin("orders-db-upgrade")
	fmt.Println(rep, err)
	fmt.Println("an order", statusCode(service, "/orders/1"))

	rep, err = g.Extend("orders-db-upgrade", rep.End.Add(time.Hour))
	fmt.Println("ends in about", time.Until(rep.End).Round(time.Minute), err)

	rep, err = g.Complete("orders-db-upgrade")
	fmt.Println(rep.Phase, "local", rep.Local, err)
	fmt.Println("an order", statusCode(service, "/orders/1"))

	_, err = g.Begin("orders-db-upgrade")
	fmt.Println(errors.Is(err, downtime.ErrEnded))
	// Output:
	// orders-db-upgrade: quiet (by times of this process only) <nil>
	// an order 503
	// ends in about 3h0m0s <nil>
	// completed local true <nil>
	// an order 404
	// true
}

// A migration takes longer than its window: the guard holds what it closed, and says so,
// until it is completed.
func ExampleGuard_Complete_overrun() {
	ctx := context.Background()
	g, err := planned(-time.Hour, time.Hour+300*time.Millisecond, "overrun: hold")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	service := g.Handler(http.NotFoundHandler())
	if _, err := g.Drain(ctx, "orders-db-upgrade"); err != nil {
		fmt.Println(err)
		return
	}
	for e := range g.Events(ctx) { // the migration goes on, past the end
		if e.Phase == schedule.PhaseOverrun {
			fmt.Println(e)
			break
		}
	}
	fmt.Println("an order", statusCode(service, "/orders/1"))
	rep, err := g.Complete("orders-db-upgrade")
	fmt.Println(rep.Phase, err)
	fmt.Println("an order", statusCode(service, "/orders/1"))
	// Output:
	// orders-db-upgrade: in progress -> overrun, its work unfinished
	// an order 503
	// completed <nil>
	// an order 404
}

// Drain waits for a request that was in flight when the window began.
func ExampleGuard_Drain_inFlight() {
	ctx := context.Background()
	g, err := planned(time.Hour, time.Hour, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	begun, finish := make(chan struct{}), make(chan struct{})
	service := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-finish
	}))
	slow := make(chan int)
	go func() { slow <- statusCode(service, "/orders/1") }()
	<-begun
	if _, err := g.Begin("orders-db-upgrade"); err != nil {
		fmt.Println(err)
		return
	}

	impatient, cancel := context.WithTimeoutCause(ctx, 10*time.Millisecond, errors.New("no patience"))
	defer cancel()
	rep, err := g.Drain(impatient, "orders-db-upgrade")
	fmt.Println("quiet:", rep.Quiet, "busy:", rep.Work, "gave up:", err != nil)

	drained := make(chan downtime.Report)
	go func() {
		rep, err := g.Drain(ctx, "orders-db-upgrade")
		if err != nil {
			fmt.Println(err)
		}
		drained <- rep
	}()
	for statusCode(service, "/orders/2") != http.StatusServiceUnavailable {
		runtime.Gosched()
	}
	close(finish)
	fmt.Println("the order", <-slow)
	fmt.Println("quiet:", (<-drained).Quiet)
	// Output:
	// quiet: false busy: map[http:1] gave up: true
	// the order 200
	// quiet: true
}
