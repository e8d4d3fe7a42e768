package main

import (
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

// newChi is the service on chi, whose middlewares are those of net/http: nothing has to
// be adapted.
//
// Known problems:
//
//   - chi serves a copy of the request, so that nothing outside of it sees the pattern that
//     it found. [observe.Route] finds it in chi's own notes, around the router or as a
//     middleware in it.
//   - middleware.Recoverer takes panics away from [observe.Observer.Handler], which then
//     records the stack but not the value. Leave it out, or put [observe.Route] inside of it.
//   - Middlewares of Group and With run only for routes that are found. Other paths get 404,
//     also in a window. Middlewares of Route, as here, and of mounted routers run for all
//     paths below.
func newChi(s *service, group bool) http.Handler {
	r := chi.NewRouter()
	r.Method(http.MethodGet, "/version", s.version())
	r.Route("/orders", func(r chi.Router) {
		if group {
			r.Use(s.guard.Handler) // sees the whole path: chi leaves it as it was
		}
		r.Get("/{id}", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, s.order(chi.URLParam(r, "id")))
		})
		r.Post("/", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, s.order("new"))
		})
		r.Get("/events", s.events)
		r.Get("/socket", s.socket)
		r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("an order too many") })
	})
	h := observe.Route(r)
	if !group {
		h = s.guard.Handler(h)
	}
	return s.obs.Handler(version.Middleware(version.Current(), nil)(h))
}
