// Otlp is a shop whose services export traces, metrics and logs to an OpenTelemetry Collector, by OTLP over
// HTTP.
//
//	./setup                          builds a collector that prints its input
//	go run . -collector              runs it, on 127.0.0.1:4318
//	go run .                         the shop, in another terminal
//
// Then buy something, and read what the collector prints:
//
//	curl -X POST 'http://…/checkout/tea?user=42'
//	curl -X POST 'http://…/checkout/tea?user=ada&email=ada@shop.example'    (a bug, behind a flag)
//
// With this data in a back end, "which release broke it" and "which variant broke it" are queries: each span,
// measurement and record has service.version, the metric upkeep.flag.request.duration has the variant, and
// each evaluation is an event feature_flag.evaluation of the request's trace.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "otlp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	build := flag.Bool("build-collector", false, "build the collector, unless it is there, and end")
	collect := flag.Bool("collector", false, "run the collector")
	address := flag.String("address", "127.0.0.1:4318", "`address` of the collector")
	release := flag.String("release", "v1.0.0", "`version` that the services say they are")
	flag.Parse()
	switch {
	case *build:
		path, err := buildCollector(ctx, out)
		if err == nil {
			fmt.Fprintln(out, "the collector is", path)
		}
		return err
	case *collect:
		dir, err := os.MkdirTemp("", "otlp-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		cmd, err := collectorCommand(ctx, dir, *address)
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		if err := cmd.Run(); ctx.Err() == nil {
			return err
		}
		return nil
	}
	s, err := openShop(ctx, "http://"+*address, *release)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the shop is %s, and exports to %s\n", s.url, *address)
	<-ctx.Done()
	return s.close(ctx)
}

// collectorCommand runs the collector, with its configuration in dir, until ctx ends.
func collectorCommand(ctx context.Context, dir, address string) (*exec.Cmd, error) {
	path, err := collectorPath()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no collector: run ./setup once (%w)", err)
	}
	config := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(config, collectorConfig, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "--config", config)
	cmd.Env = append(os.Environ(), "OTLP_ADDRESS="+address)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd, nil
}
