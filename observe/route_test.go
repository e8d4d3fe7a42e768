package observe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/upkeep-go/upkeep/observe"
)

// router is a mux as others write them: it sets the pattern and cannot be asked.
func router(pattern string) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { r.Pattern = pattern })
}

func TestRouteName(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"/":                           "/",
		"/{$}":                        "/{$}",
		"GET /users/{id}":             "/users/{id}",
		"GET\t /files/{path...}":      "/files/{path...}",
		"example.com/users/{id}":      "/users/{id}",
		"POST example.com/users/{id}": "/users/{id}",
		"":                            "",
		"GET":                         "",
		"example.com":                 "",
		"GET /\xff":                   "/\uFFFD",
		"/users/:id":                  "/users/:id",
		"/{a}/b c":                    "/{a}/b c",
		"GET /a b":                    "/a b",
	} {
		k := newRig(t, nil)
		k.serve(k.obs.Handler(rewrap(observe.Route(router(pattern)))), "GET", "/x")
		require.Equal(t, want, attr(k.span(), "http.route"), "%q", pattern)
		name := "GET"
		if want != "" {
			name += " " + want
		}
		require.Equal(t, name, k.span().Name())
	}
}

func TestRouteHEADIsNamedByItsMethod(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	mux := http.NewServeMux()
	mux.Handle("GET /x", handler(200))
	k.serve(k.obs.Handler(observe.Route(mux)), "HEAD", "/x")
	require.Equal(t, "HEAD /x", k.span().Name())
}

func TestRouteIsThereWhileTheHandlerRuns(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x/{id}", func(http.ResponseWriter, *http.Request) {
		require.Equal(t, "GET /x/{id}", k.spans.Started()[0].Name())
	})
	k.serve(k.obs.Handler(observe.Route(mux)), "GET", "/x/1")
}

func TestRouteNothingMatched(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	mux := http.NewServeMux()
	mux.Handle("GET /x", handler(200))
	h := k.obs.Handler(observe.Route(mux))
	require.Equal(t, 404, k.serve(h, "GET", "/nowhere").Code)
	require.Equal(t, 405, k.serve(h, "POST", "/x").Code)
	require.Equal(t, map[string]int64{
		"http.request.method=GET,http.response.status_code=404,network.protocol.version=1.1,url.scheme=http":  1,
		"http.request.method=POST,http.response.status_code=405,network.protocol.version=1.1,url.scheme=http": 1,
	}, k.points(serverDuration))
}

// ServeMux gives the path of a CONNECT request that it redirects for its pattern.
func TestRouteCONNECT(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/tree/{id}/", handler(200))
	for _, h := range []http.Handler{observe.Route(mux), mux} {
		r := httptest.NewRequest("CONNECT", "http://h/tree/secret", nil)
		r.URL.Path = "/tree/secret"
		k.obs.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	}
	for point := range k.points(serverDuration) {
		require.NotContains(t, point, "secret")
	}
}

func TestRouteNested(t *testing.T) {
	t.Parallel()
	inner := http.NewServeMux()
	inner.Handle("GET /users/{id}", handler(200))

	// Below StripPrefix the route is the outer one's and the inner one's.
	outer := http.NewServeMux()
	outer.Handle("/api/", http.StripPrefix("/api", observe.Route(inner)))
	k := newRig(t, nil)
	k.serve(k.obs.Handler(rewrap(observe.Route(outer))), "GET", "/api/users/42")
	require.Equal(t, "/api/users/{id}", attr(k.span(), "http.route"))
	require.Equal(t, "GET /api/users/{id}", k.span().Name())

	// A mux below a mux gets the same request: the inner pattern says more.
	outer = http.NewServeMux()
	outer.Handle("/users/", inner)
	k = newRig(t, nil)
	k.serve(k.obs.Handler(observe.Route(outer)), "GET", "/users/42")
	require.Equal(t, "/users/{id}", attr(k.span(), "http.route"))

	outer = http.NewServeMux()
	outer.Handle("/users/", rewrap(observe.Route(inner)))
	k = newRig(t, nil)
	k.serve(k.obs.Handler(observe.Route(outer)), "GET", "/users/42")
	require.Equal(t, "/users/{id}", attr(k.span(), "http.route"))

	// A Handler below the mux knows the pattern that led to it.
	k = newRig(t, nil)
	outer = http.NewServeMux()
	outer.Handle("GET /x/{id}", k.obs.Handler(handler(200)))
	k.serve(outer, "GET", "/x/1")
	require.Equal(t, "/x/{id}", attr(k.span(), "http.route"))
}

// recovery is a middleware that hides panics, as routers have them.
func recovery(status int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					w.WriteHeader(status)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}

func TestRouteSeesPanicsThatAreRecoveredOutside(t *testing.T) {
	t.Parallel()
	for name, panicking := range map[string]http.Handler{
		"comparable":   panics(errors.New("boom")),
		"uncomparable": panics([]error{errors.New("boom")}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			mux := http.NewServeMux()
			mux.Handle("GET /x", observe.Route(panicking)) // the outer one must not report its own stack
			w := k.serve(k.obs.Handler(recovery(502)(observe.Route(mux))), "GET", "/x")
			require.Equal(t, 502, w.Code, "the answer is that of the middleware")
			line := k.logs.line(t)
			require.Contains(t, line["error"], "boom")
			require.Contains(t, line["stack"], ".panics.func")
			require.Equal(t, 502.0, line["status"])
			require.Equal(t, codes.Error, k.span().Status().Code)
			require.Len(t, k.events.named("http.server.request.exception"), 1)
			require.Equal(t, 1.0, k.obs.Stats()["panics"])
		})
	}

	k := newRig(t, nil)
	k.serve(k.obs.Handler(recovery(422)(observe.Route(panics("no number")))), "GET", "/")
	require.Empty(t, k.logs.String(), "some panic by way of an answer")
	require.Zero(t, k.obs.Stats()["panics"])

	k.serve(k.obs.Handler(recovery(422)(observe.Route(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		panic("half-way")
	})))), "GET", "/")
	require.Contains(t, k.logs.line(t)["error"], "half-way", "no status can show it any more")

	k.serve(k.obs.Handler(recovery(500)(observe.Route(panics(http.ErrAbortHandler)))), "GET", "/")
	require.Len(t, k.logs.lines(t), 2)
	require.NotContains(t, k.logs.lines(t)[1], "stack", "who aborts does not panic")
	require.Equal(t, 1.0, k.obs.Stats()["panics"])
}

// TimeoutHandler runs its handler in a goroutine and passes the panic on without its stack.
func TestRouteKnowsTheStackOfAPanicThatMoved(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	w := k.serve(k.obs.Handler(http.TimeoutHandler(observe.Route(panics("boom")), time.Minute, "")), "GET", "/")
	require.Equal(t, 500, w.Code)
	require.Contains(t, k.logs.line(t)["stack"], ".panics.func")
	require.Equal(t, 1.0, k.obs.Stats()["panics"])
}

func TestRouteWithoutHandler(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("GET /x", handler(204))
	w := httptest.NewRecorder()
	observe.Route(mux).ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	require.Equal(t, 204, w.Code)
}

func TestRouteByOption(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) {
		o.Route = func(r *http.Request) string { return r.Header.Get("X-Template") }
	})
	h := k.obs.Handler(handler(200))
	k.serve(h, "GET", "/users/42", "X-Template", "/users/:id")
	require.Equal(t, "GET /users/:id", k.span().Name())

	mux := http.NewServeMux()
	mux.Handle("GET /x", handler(200))
	k.serve(k.obs.Handler(rewrap(observe.Route(mux))), "GET", "/x", "X-Template", "/ignored")
	require.Equal(t, "GET /x", k.spans.Ended()[1].Name(), "a Route knows better")
}

// A middleware that recovers a panic inside of every Route leaves the stack, if it answers where
// it recovers; what it answers otherwise shows no panic.
func TestPanicThatIsRecoveredInside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   bool
	}{
		"500":        {func(w http.ResponseWriter) { w.WriteHeader(500) }, true},
		"http.Error": {func(w http.ResponseWriter) { http.Error(w, "oops", http.StatusServiceUnavailable) }, true},
		"400":        {func(w http.ResponseWriter) { w.WriteHeader(400) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				defer func() {
					_ = recover()
					c.answer(w)
				}()
				panic("boom")
			})
			k.serve(k.obs.Handler(observe.Route(h)), "GET", "/")
			if !c.want {
				require.Empty(t, k.logs.String())
				return
			}
			line := k.logs.line(t)
			require.Contains(t, line["stack"], "TestPanicThatIsRecoveredInside")
			require.Contains(t, line["error"], "recovered")
			require.Equal(t, 1.0, k.obs.Stats()["panics"])
		})
	}
	// No panic, no stack.
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer w.WriteHeader(500)
	})), "GET", "/")
	require.NotContains(t, k.logs.line(t), "stack")
	require.Zero(t, k.obs.Stats()["panics"])
}
