package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// A replica is one instance of the service, with its own guard. Here all replicas run in one
// program. They share a document and a folder of locks, as processes of one machine would.
// Replicas on several machines use quorum.Postgres.
type replica struct {
	name   string
	url    string
	guard  *downtime.Guard
	quorum *quorum.Replica
	server *http.Server
	served sync.WaitGroup
}

// orders is the table that will be migrated. It records writes during the migration, which must
// not happen.
type orders struct {
	written   atomic.Int64
	migrating atomic.Bool
	broken    atomic.Int64
}

func (o *orders) write() {
	if o.migrating.Load() {
		o.broken.Add(1)
	}
	o.written.Add(1)
}

func startReplica(ctx context.Context, name, document, locks string, table *orders) (*replica, error) {
	r := &replica{name: name}
	var err error
	if r.quorum, err = quorum.Files(locks, &quorum.Options{Name: name, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	r.guard, err = downtime.Open(ctx, downtime.File(document), &downtime.Options{
		Quorum:    r.quorum,
		StatusURL: "https://status.example/",
		Service:   "Orders",
		Logger:    slog.New(slog.DiscardHandler), // the play prints the events instead
	})
	if err != nil {
		return nil, errors.Join(err, r.quorum.Close())
	}
	users, err := status.PublicHandler(r.guard, &status.Options{Service: "Orders", URL: "https://status.example/"})
	if err != nil {
		return nil, errors.Join(err, r.guard.Close(), r.quorum.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /catalogue", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "tea, coffee") })
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, req *http.Request) {
		pause, _ := time.ParseDuration(cmp.Or(req.FormValue("takes"), "0s"))
		select {
		case <-time.After(pause):
			table.write()
			fmt.Fprintln(w, "ordered")
		case <-req.Context().Done():
		}
	})
	root := http.NewServeMux()
	root.Handle("/", r.guard.Handler(mux))
	root.Handle("/status/", users)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, r.guard.Close(), r.quorum.Close())
	}
	r.url = "http://" + listener.Addr().String()
	r.server = &http.Server{Handler: root, ReadHeaderTimeout: 5 * time.Second}
	r.served.Go(func() { _ = r.server.Serve(listener) })
	return r, nil
}

func (r *replica) close() {
	_ = r.server.Close()
	r.served.Wait()
	_ = r.guard.Close()
	_ = r.quorum.Close()
}

// order sends an order to the replica, as a browser or as a program.
func (r *replica) order(ctx context.Context, query, accept string) (answer, error) {
	return r.ask(ctx, http.MethodPost, "/orders?"+query, accept)
}

func (r *replica) ask(ctx context.Context, method, path, accept string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// An answer is a response of the service with its whole body.
type answer struct {
	status int
	header http.Header
	body   string
}
