package downtime_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
)

// busy is what a window waits for in this process.
func busy(g *downtime.Guard) int {
	rep, err := g.Report("orders-db-upgrade")
	if err != nil {
		fmt.Println(err)
	}
	return rep.Busy
}

// An http.TimeoutHandler answers while its handler runs on. With the guard inside of it, the
// request counts until that has returned.
func ExampleGuard_Handler_timeoutHandler() {
	g, err := planned(time.Hour, time.Hour, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	orders := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-finish
	})

	outside := g.Handler(http.TimeoutHandler(orders, time.Millisecond, ""))
	status := statusCode(outside, "/orders/1")
	<-begun
	fmt.Println("answered", status, "and it runs on, and is not counted:", busy(g))

	inside := http.TimeoutHandler(g.Handler(orders), time.Millisecond, "")
	status = statusCode(inside, "/orders/1")
	<-begun
	fmt.Println("answered", status, "and it runs on, and is counted:", busy(g))
	close(finish)
	// Output:
	// answered 503 and it runs on, and is not counted: 0
	// answered 503 and it runs on, and is counted: 1
}

// A reverse proxy returns when its client has gone, although the service behind it may still
// write. Without the client's end it waits for the answer, and counts.
func ExampleGuard_Handler_reverseProxy() {
	g, err := planned(time.Hour, time.Hour, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	asked, finish := make(chan struct{}), make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-finish // it writes, and does not look at its context
	}))
	defer behind.Close()
	target, err := url.Parse(behind.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}

	service := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}))
	client, gone := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		service.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders/1", nil).WithContext(client))
		close(served)
	}()
	<-asked
	gone()
	fmt.Println("the client has gone, and the service behind writes:", busy(g))
	close(finish)
	<-served
	fmt.Println("it has answered:", busy(g))
	// Output:
	// the client has gone, and the service behind writes: 1
	// it has answered: 0
}

// What a handler starts in a goroutine is held before the handler returns.
func ExampleGuard_Hold_goroutine() {
	g, err := planned(time.Hour, time.Hour, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	finish, sent := make(chan struct{}), make(chan struct{})
	sendInvoice := func() { <-finish }
	service := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		release, err := g.Hold(downtime.Work{Name: "invoice", Request: r})
		if err != nil {
			return
		}
		go func() {
			defer close(sent)
			defer release()
			sendInvoice()
		}()
	}))
	fmt.Println("answered", statusCode(service, "/orders/1"), "and the invoice is being sent:", busy(g))
	close(finish)
	<-sent
	fmt.Println("sent:", busy(g))
	// Output:
	// answered 200 and the invoice is being sent: 1
	// sent: 0
}

// Requests that run longer than the grace after a window's start are cut.
func ExampleOptions_grace() {
	windows := soon(time.Hour)
	g, err := downtime.Open(context.Background(), windows, &downtime.Options{Grace: time.Millisecond, Logger: silent})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	begun := make(chan struct{})
	service := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		fmt.Println("cut by a window:", errors.Is(context.Cause(r.Context()), downtime.ErrWindow))
	}))
	answered := make(chan int)
	go func() { answered <- statusCode(service, "/orders/1") }()
	<-begun
	windows.begin()
	fmt.Println("answered", <-answered)
	rep, err := g.Drain(context.Background(), "orders-db-upgrade")
	fmt.Println("quiet:", rep.Quiet, "cut:", rep.Cut, err)
	// Output:
	// cut by a window: true
	// answered 503
	// quiet: true cut: 1 <nil>
}
