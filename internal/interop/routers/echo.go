package main

import (
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

// newEcho is the service on echo, whose handlers are of its own kind, but which is an
// http.Handler itself, and has adapters for handlers and middlewares of net/http.
//
// Known problems:
//
//   - A handler's error becomes an answer only when all middlewares have returned.
//     [observe.Observer.Handler] as one, by echo.WrapMiddleware, lets that answer through
//     but has recorded a 200 by then. So put it in front of echo. The guard only counts, so
//     it also works in a group.
//   - middleware.Recover makes an error of a panic before [observe.Observer.Handler] sees
//     it, which then records a 500 without error and stack. Leave it out, or put a
//     middleware inside of it that calls [observe.Fail] with an [observe.PanicError].
func newEcho(s *service, group bool) http.Handler {
	e := echo.New()
	// echo v5 writes the pattern into the request itself, v4 does not.
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error { c.Request().Pattern = c.Path(); return next(c) }
	})
	e.GET("/version", echo.WrapHandler(s.version()))
	orders := e.Group("/orders")
	if group {
		orders.Use(echo.WrapMiddleware(s.guard.Handler))
	}
	orders.GET("/:id", func(c *echo.Context) error { return c.String(http.StatusOK, s.order(c.Param("id"))) })
	orders.POST("", func(c *echo.Context) error { return c.String(http.StatusOK, s.order("new")) })
	orders.GET("/events", echo.WrapHandler(http.HandlerFunc(s.events)))
	orders.GET("/socket", echo.WrapHandler(http.HandlerFunc(s.socket)))
	orders.GET("/panic", func(*echo.Context) error { panic("an order too many") })

	h := observe.Route(e)
	if !group {
		h = s.guard.Handler(h)
	}
	return s.obs.Handler(version.Middleware(version.Current(), nil)(h))
}
