package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// These tests fail when a problem in the comments on newChi, newGin and newEcho no longer exists.

// chiMounted has a router below a router, with a middleware that replaces the context.
func chiMounted(outer ...func(http.Handler) http.Handler) http.Handler {
	type key struct{}
	inner := chi.NewRouter()
	inner.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, true)))
		})
	})
	inner.Get("/{id}", func(http.ResponseWriter, *http.Request) {})
	r := chi.NewRouter()
	r.Use(outer...)
	r.Mount("/orders", inner)
	return r
}

func TestChiPatternOfMountedRouters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		h    http.Handler
		want string
	}{
		{"Route outside", observe.Route(chiMounted()), "GET /orders/{id}"},
		{"Route inside", chiMounted(observe.Route), "GET /orders/{id}"},
		{"Route on both sides", observe.Route(chiMounted(observe.Route)), "GET /orders/{id}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(s *service) http.Handler { return s.obs.Handler(c.h) })
			k.do("GET", "/orders/7")
			require.Contains(t, k.ended(), c.want)
		})
	}
}

// routes are the routers with a group, a parameter, a middleware that replaces the request,
// and the two lines that each needs.
var routes = map[string]func() http.Handler{
	"chi": func() http.Handler {
		r := chi.NewRouter()
		r.Use(replaceContext)
		r.Route("/orders", func(r chi.Router) {
			r.With(replaceContext).Get("/{id}", func(http.ResponseWriter, *http.Request) {})
			r.Get("/{id}/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
			r.Mount("/old", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		})
		return r
	},
	"gin": func() http.Handler {
		engine := gin.New()
		engine.Use(func(c *gin.Context) { c.Request.Pattern = c.FullPath() })
		engine.Use(func(c *gin.Context) {
			c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), routeKey{}, 1))
		})
		orders := engine.Group("/orders")
		orders.GET("/:id", func(*gin.Context) {})
		orders.GET("/:id/panic", func(*gin.Context) { panic("boom") })
		return engine
	},
	"echo": func() http.Handler {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error { c.Request().Pattern = c.Path(); return next(c) }
		}, echo.WrapMiddleware(replaceContext))
		orders := e.Group("/orders")
		orders.GET("/:id", func(*echo.Context) error { return nil })
		orders.GET("/:id/panic", func(*echo.Context) error { panic("boom") })
		return e
	},
}

type routeKey struct{}

func replaceContext(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, true)))
	})
}

// A Route around the router finds the route.
func TestRoutes(t *testing.T) {
	t.Parallel()
	for name, build := range routes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(s *service) http.Handler { return s.obs.Handler(replaceContext(observe.Route(build()))) })
			for _, path := range []string{"/orders/7", "/orders/7/panic", "/nothing/7"} {
				k.do("GET", path)
			}
			template := map[string]string{"chi": "{id}", "gin": ":id", "echo": ":id"}[name]
			spans := k.ended()
			require.Contains(t, spans, "GET /orders/"+template)
			require.Contains(t, spans, "GET /orders/"+template+"/panic")
			require.Equal(t, "/orders/"+template, attribute(spans["GET /orders/"+template], "http.route"))
			for span := range spans {
				require.NotContains(t, span, "7", "a path is no route")
			}
		})
	}
}

func TestGroupsAndWhatIsNotFound(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"chi": 503, "gin": 404, "echo": 503} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(s *service) http.Handler { return routers[name](s, true) })
			k.begin("closed")
			status, _, _ := k.do("GET", "/orders/7/nothing")
			require.Equal(t, want, status)
		})
	}
}

func TestRecoveryMiddlewaresHidePanics(t *testing.T) {
	t.Parallel()
	boom := func() { panic("an order too many") }
	for name, h := range map[string]func() http.Handler{
		"chi": func() http.Handler {
			r := chi.NewRouter()
			r.Use(quietly, chimiddleware.Recoverer)
			r.Get("/", func(http.ResponseWriter, *http.Request) { boom() })
			return r
		},
		"gin": func() http.Handler {
			engine := gin.New()
			engine.Use(gin.RecoveryWithWriter(io.Discard))
			engine.GET("/", func(*gin.Context) { boom() })
			return engine
		},
		"echo": func() http.Handler {
			e := echo.New()
			e.Use(echomiddleware.Recover())
			e.GET("/", func(*echo.Context) error { boom(); return nil })
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(s *service) http.Handler { return s.obs.Handler(h()) })
			status, _, _ := k.do("GET", "/")
			require.Equal(t, 500, status)
			k.stop()
			require.Contains(t, k.logs.String(), "request failed")
			require.NotContains(t, k.logs.String(), "an order too many")
			// echo answers when the frames that panicked are gone.
			require.Equal(t, name != "echo", strings.Contains(k.logs.String(), "TestRecoveryMiddlewaresHidePanics"), "the stack")
			require.Equal(t, name != "echo", strings.Contains(k.logs.String(), "recovered it"))
		})
	}
}

// A service that must keep such a middleware can report the panic in these ways.
func TestPanicsBelowRecoveryMiddlewaresCanBeTold(t *testing.T) {
	t.Parallel()
	report := func(ctx context.Context, value any) {
		observe.Fail(ctx, &observe.PanicError{Value: value, Stack: debug.Stack()})
	}
	for name, h := range map[string]func() http.Handler{
		"chi": func() http.Handler {
			r := chi.NewRouter()
			r.Use(quietly, chimiddleware.Recoverer, observe.Route) // Route inside
			r.Get("/", func(http.ResponseWriter, *http.Request) { panic("an order too many") })
			return r
		},
		"gin": func() http.Handler {
			engine := gin.New()
			engine.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, value any) {
				report(c.Request.Context(), value)
				c.AbortWithStatus(http.StatusInternalServerError)
			}))
			engine.GET("/", func(*gin.Context) { panic("an order too many") })
			return engine
		},
		"echo": func() http.Handler {
			e := echo.New()
			e.Logger = slog.New(slog.DiscardHandler)
			e.Use(echomiddleware.Recover(), func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c *echo.Context) error {
					defer func() {
						if value := recover(); value != nil {
							report(c.Request().Context(), value)
							panic(value)
						}
					}()
					return next(c)
				}
			})
			e.GET("/", func(*echo.Context) error { panic("an order too many") })
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(s *service) http.Handler { return s.obs.Handler(h()) })
			status, _, _ := k.do("GET", "/")
			require.Equal(t, 500, status)
			k.stop()
			require.Contains(t, k.logs.String(), "an order too many")
			require.Contains(t, k.logs.String(), "TestPanicsBelowRecoveryMiddlewaresCanBeTold", "the stack")
		})
	}
}

func TestGinRecoveryAnswersWhatWasAborted(t *testing.T) {
	t.Parallel()
	build := func(handlers ...gin.HandlerFunc) func(s *service) http.Handler {
		return func(s *service) http.Handler {
			engine := gin.New()
			engine.Use(handlers...)
			engine.GET("/", func(*gin.Context) { panic(http.ErrAbortHandler) })
			return s.obs.Handler(engine)
		}
	}
	k := newRig(t, build(gin.RecoveryWithWriter(io.Discard)))
	status, _, body := k.do("GET", "/")
	require.Equal(t, 200, status)
	require.Empty(t, body)

	k = newRig(t, build())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.srv.URL, nil)
	require.NoError(t, err)
	res, err := k.srv.Client().Do(r)
	if err == nil {
		_ = res.Body.Close()
	}
	require.ErrorIs(t, err, io.EOF)
}

// Context.Stream asks the writer below for an http.CloseNotifier.
func TestGinStream(t *testing.T) {
	t.Parallel()
	streaming := func() http.Handler {
		engine := gin.New()
		engine.GET("/", func(c *gin.Context) {
			c.Stream(func(w io.Writer) bool {
				_, _ = io.WriteString(w, "streamed")
				return false
			})
		})
		return engine
	}
	for name, build := range map[string]func(s *service) http.Handler{
		"behind the guard":  func(s *service) http.Handler { return s.guard.Handler(streaming()) },
		"behind Handler":    func(s *service) http.Handler { return s.obs.Handler(streaming()) },
		"behind both":       func(s *service) http.Handler { return s.obs.Handler(s.guard.Handler(streaming())) },
		"behind the server": func(*service) http.Handler { return streaming() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, build)
			status, _, body := k.do("GET", "/")
			require.Equal(t, 200, status)
			require.Equal(t, "streamed", body)
		})
	}
}

func TestEchoAnswersErrorsWhenMiddlewaresHaveReturned(t *testing.T) {
	t.Parallel()
	build := func(front bool) func(s *service) http.Handler {
		return func(s *service) http.Handler {
			e := echo.New()
			e.Logger = slog.New(slog.DiscardHandler)
			e.GET("/", func(*echo.Context) error { return errors.New("no orders left") })
			if front {
				return s.obs.Handler(observe.Route(e))
			}
			e.Use(echo.WrapMiddleware(s.obs.Handler))
			return e
		}
	}
	for front, recorded := range map[bool]string{true: "500", false: "200"} {
		k := newRig(t, build(front))
		status, _, _ := k.do("GET", "/")
		require.Equal(t, 500, status)
		require.Equal(t, recorded, attribute(k.ended()["GET /"], "http.response.status_code"))
	}
}

// quietly keeps chi's Recoverer from writing to standard error.
func quietly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, chimiddleware.WithLogEntry(r, silence{}))
	})
}

type silence struct{}

func (silence) Write(int, int, http.Header, time.Duration, any) {}
func (silence) Panic(any, []byte)                               {}
