// Kubernetes is a service for Kubernetes: probes, documents from a ConfigMap, its identity from the
// downward API, and an end in the right order after SIGTERM. README.md explains it; manifests.yaml
// deploys it.
//
//	go -C examples/kubernetes run . -documents .
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2) // parse has printed the error
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, o); err != nil {
		log.Fatal(err)
	}
}

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("orders", flag.ContinueOnError)
	set.StringVar(&o.addr, "addr", ":8080", "`address` of the service")
	set.StringVar(&o.probes, "probes", ":8081", "`address` of the probes")
	set.StringVar(&o.operators, "operators", "127.0.0.1:8082", "`address` of the pages for operators, for kubectl port-forward")
	set.StringVar(&o.documents, "documents", "/etc/orders", "`folder` with flags.yaml and windows.yaml")
	set.DurationVar(&o.drain, "drain", 5*time.Second, "how long to serve after SIGTERM, until no load balancer sends requests any more")
	set.DurationVar(&o.grace, "grace", 20*time.Second, "how long requests may take after that")
	return o, set.Parse(args)
}
