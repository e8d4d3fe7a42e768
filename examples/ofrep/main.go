// Ofrep shows a web page with a flag that changes while the page is open. A Go service evaluates the flags in
// a file and serves them over OFREP, and OpenFeature's own provider for browsers uses one. From this folder:
//
//	./setup     # once: gets the browser's packages (and, for the test, Chromium)
//	go run .    # then edit flags.yaml
//
// The page, web/index.html, contains no code of this library.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

//go:embed web/index.html
var pages embed.FS

// modules is the folder in which npm puts the packages of web/package.json.
const modules = "web/node_modules"

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	file := flag.String("flags", "flags.yaml", "flag document")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *file); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, file string) error {
	if _, err := os.Stat(modules); err != nil {
		return errors.New("the page's packages are missing: run ./setup in examples/ofrep, and this program from there")
	}
	provider, err := flags.Open(ctx, flags.File(file), nil)
	if err != nil {
		return err
	}
	defer provider.Close()
	// Done ends the streams: otherwise an open page would block Shutdown.
	site, err := newSite(provider, &ofrep.Options{Done: ctx.Done()})
	if err != nil {
		return err
	}
	server := &http.Server{Addr: addr, Handler: site, ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() { stopped <- server.Shutdown(context.WithoutCancel(ctx)) })
	log.Printf("http://%s shows a flag of %s", addr, file)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// newSite serves the page, the packages that it imports, and the flags that it may see.
func newSite(provider *flags.Provider, opts *ofrep.Options) (http.Handler, error) {
	opts.Expose = func(key string) bool { return strings.HasPrefix(key, "web-") }
	h, err := ofrep.NewHandler(provider, opts)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ofrep/", h)
	mux.Handle("GET /modules/", http.StripPrefix("/modules", http.FileServerFS(os.DirFS(modules))))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pages, "web/index.html")
	})
	return mux, nil
}
