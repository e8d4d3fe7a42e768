package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

// routers has a constructor of the service for each router. With group, the guard is inside the
// router, around the orders only. Otherwise it is in front of the router. Prefer that, because
// there it also sees requests that the router redirects or does not find.
var routers = map[string]func(s *service, group bool) http.Handler{
	"chi":  newChi,
	"gin":  newGin,
	"echo": newEcho,
}

// A service takes orders:
//
//	GET  /orders/{id}
//	POST /orders
//	GET  /orders/events   server-sent events
//	GET  /orders/socket   a connection that is taken over, as for WebSocket
//	GET  /orders/panic
//	GET  /version
type service struct {
	guard *downtime.Guard
	obs   *observe.Observer

	served atomic.Int64 // orders asked for and made
}

// pass lets monitoring ask for the version while all is closed.
func pass() []string { return append(downtime.DefaultPass(), "GET /version") }

// version answers with what the program is. On a service of your own it belongs on the
// operators' listener; here it shows how a handler of net/http is mounted.
func (s *service) version() http.Handler { return version.Handler(version.Current(), nil) }

// order is what the handlers of all routers answer, each in its own way.
func (s *service) order(id string) string {
	s.served.Add(1)
	return "order " + id + "\n"
}

// events sends an event, and another each second until the client goes or a window
// begins. Flush and the deadlines of http.ResponseController must get through whatever
// writers the router and its middlewares have put around the server's.
func (s *service) events(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Time{}); err != nil { // events outlive the server's WriteTimeout
		observe.Fail(r.Context(), err)
		http.Error(w, "cannot stream", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(w, "data: %d orders\n\n", n); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// socket takes over the connection and echoes all bytes. The handshake is that of WebSocket, which
// would need another module. The guard ends the handler with the request's context, because
// nothing else reaches a handler that waits for its client.
func (s *service) socket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "parrot" {
		w.Header().Set("Upgrade", "parrot")
		http.Error(w, "upgrade to parrot", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		observe.Fail(r.Context(), err)
		http.Error(w, "cannot upgrade", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(r.Context(), func() { _ = conn.Close() })() // a window ends it
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: parrot\r\n\r\n"); err != nil {
		return
	}
	_, _ = io.Copy(conn, rw) // until the client ends
}
