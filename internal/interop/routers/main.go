// Routers is one small service on three routers, chi, gin and echo, with what upkeep puts
// around handlers: the guard of package downtime, in front of the router or around a
// group, package observe with the route that the router found, and package version.
//
//	go run . -router chi|gin|echo [-group]
//
// Then edit windows.yaml, and look at http://127.0.0.1:8080/orders/1 meanwhile.
//
// Code for all routers is in service.go. The needs and the known problems of each router are in the
// file with its name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/observe"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	router := flag.String("router", "chi", "chi, gin or echo")
	group := flag.Bool("group", false, "guard the orders only, inside of the router")
	file := flag.String("windows", "windows.yaml", "document of the maintenance windows")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *router, *file, *group); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, router, file string, group bool) error {
	build, ok := routers[router]
	if !ok {
		return fmt.Errorf("no router %q: chi, gin or echo", router)
	}
	guard, err := downtime.Open(ctx, downtime.File(file), &downtime.Options{Pass: pass()})
	if err != nil {
		return err
	}
	defer guard.Close()
	obs, err := observe.New(nil)
	if err != nil {
		return err
	}
	defer obs.Close()
	server := &http.Server{
		Addr:              addr,
		Handler:           build(&service{guard: guard, obs: obs}, group),
		ReadHeaderTimeout: 5 * time.Second,
	}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(bounded)
	})
	log.Printf("http://%s/orders/1 by %s", addr, router)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
