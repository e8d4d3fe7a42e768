package observe

import (
	"net/http"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Route marks the mux of a service, so that span, metric and log of [Observer.Handler] have the
// route that the mux found. It may sit below any number of middlewares, also ones that replace
// the request's context, and below http.StripPrefix. The innermost of several Routes wins.
// Without a Handler around it does nothing.
//
// An http.ServeMux is asked for the pattern before it serves, so the span has its name while
// the handler runs; its attribute comes at the end. http.route leaves out the pattern's method
// and host: "GET example.com/users/{id}" is "/users/{id}". Of a router of chi Route reads what
// chi has found, directly around it or as a middleware in it. Of other routers it reads
// Request.Pattern when they return or panic. gin and echo v4 need a middleware for that, as
// their first:
//
//	engine.Use(func(c *gin.Context) { c.Request.Pattern = c.FullPath() })
//
//	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
//		return func(c echo.Context) error { c.Request().Pattern = c.Path(); return next(c) }
//	})
//
// Route notes a panic and passes it on, so that Handler can report it, with its stack, if a
// middleware between the two recovers it and the status is 500 or more, or was sent before.
func Route(mux http.Handler) http.Handler {
	matcher, _ := mux.(interface {
		Handler(*http.Request) (http.Handler, string)
	})
	chi := newChiRouter(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := stateFrom(r.Context())
		// A ServeMux may give a CONNECT request's own path for its pattern.
		if st == nil || r.Method == http.MethodConnect || r.URL == nil {
			mux.ServeHTTP(w, r)
			return
		}
		path, asked := r.URL.Path, ""
		if matcher != nil {
			_, asked = matcher.Handler(r)
			st.setRoute(asked, path)
		}
		if st.claim != nil || st.obs.levelFlag != nil {
			st.raised(r.Context(), true)
		}
		before := r.Pattern
		given := r
		r = chi.with(r, st)
		defer func() {
			if r != given {
				handBack(given, r)
			}
			// Patterns of an outer mux, and of an inner Route with a request of its own, do
			// not count.
			if pattern := st.chiPattern(r.Context()); pattern != "" {
				st.setRoute(pattern, path)
			} else if r.Pattern != before && r.Pattern != asked {
				st.setRoute(r.Pattern, path)
			}
			if value := recover(); value != nil {
				st.panicSeen(value)
				panic(value)
			}
		}()
		mux.ServeHTTP(w, r)
	})
}

// panicSeen notes a panic on its way through a Route; it must be called from the
// function that recovered.
func (st *state) panicSeen(value any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if value == http.ErrAbortHandler {
		st.seenAbort = true
		return
	}
	if st.seen.is(value) {
		return // by an inner Route, nearer to its cause
	}
	st.seen = newPanicError(value)
	st.seenLate = st.w.begun()
}

// panicRecovered notes a panic that a middleware inside of every Route has recovered, if that
// answers it with a 500 in the function that recovered: the frames that panicked are still on
// the stack. The value is not to be had.
func (st *state) panicRecovered() {
	site := panicSite()
	if site == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.seen == nil && st.failure == nil && !st.seenAbort {
		st.seen = newPanicError(errRecovered)
	}
}

// setRoute hands out the pattern that matched path.
func (st *state) setRoute(pattern, path string) {
	route := routeName(pattern)
	if route == "" {
		return
	}
	st.mu.Lock()
	if outer, ok := stripped(st.route, st.routed, path); ok {
		route = outer + route
	}
	same := route == st.route
	st.route, st.routed = route, path
	st.mu.Unlock()
	st.tail.SetName(route)
	if same || !st.span.IsRecording() {
		return
	}
	defer st.obs.counts.shield()
	st.span.SetName(st.method.spanName() + " " + route)
}

// stripped gives the prefix that http.StripPrefix took from the path outerPath
// before it became path, when the outer route is that prefix.
func stripped(outerRoute, outerPath, path string) (prefix string, ok bool) {
	if outerRoute == "" || len(path) >= len(outerPath) || !strings.HasSuffix(outerPath, path) {
		return "", false
	}
	prefix = outerPath[:len(outerPath)-len(path)]
	return prefix, prefix == strings.TrimSuffix(outerRoute, "/")
}

// lastRoute looks for a route that no Route has handed out.
func (st *state) lastRoute(r *http.Request) {
	defer st.obs.counts.shield()
	st.mu.Lock()
	known := st.route != ""
	st.mu.Unlock()
	if known {
		return
	}
	if name := st.obs.opts.Route; name != nil {
		st.setRoute(name(r), r.URL.Path)
	} else if r.Pattern != "" && r.Method != http.MethodConnect {
		st.setRoute(r.Pattern, r.URL.Path)
	}
}

// routeName returns the path of a pattern "[METHOD ][HOST]/[PATH]" of http.ServeMux, or "".
// Wildcards stay, and so does {$}, which makes a home page different from a catch-all.
func routeName(pattern string) string {
	if i := strings.IndexAny(pattern, " \t/"); i >= 0 && pattern[i] != '/' {
		pattern = strings.TrimLeft(pattern[i+1:], " \t")
	}
	i := strings.IndexByte(pattern, '/')
	if i < 0 {
		return ""
	}
	return cleantext.Cut(pattern[i:], maxText)
}
