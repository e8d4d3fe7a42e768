package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

// newGin is the service on gin, whose handlers are of its own kind, but whose engine is
// an http.Handler: what can stand in front of it should.
//
// What annoys:
//
//   - gin leaves Request.Pattern empty. Two lines fill it in, as the first middleware.
//   - gin goes on to the next handler when one has returned, also when that has answered
//     already. What adapts a middleware of net/http must say Abort, or a request is refused
//     and served; see ginMiddleware.
//   - gin.Default has Recovery, which takes panics away from [observe.Observer.Handler]: it
//     then records the stack but not the value. It also answers http.ErrAbortHandler,
//     by which a handler cuts the connection, with 200 and an empty body. Take gin.New,
//     or gin.CustomRecovery with a function that calls [observe.Fail] with an
//     [observe.PanicError].
//   - Its ResponseWriter says that it is an http.CloseNotifier and an http.Hijacker,
//     whatever is below it, and panics when asked for what is not there. Context.Stream
//     asks for the first; the writers of package observe have it.
//   - Middlewares of a group run for what is found only: the rest is 404, in a window too.
//   - It writes to standard output unless gin.SetMode, which is global, says release.
func newGin(s *service, group bool) http.Handler {
	engine := gin.New()
	engine.Use(func(c *gin.Context) {
		c.Request.Pattern = c.FullPath() // where observe.Route looks for it
	})
	engine.GET("/version", gin.WrapH(s.version()))
	orders := engine.Group("/orders")
	if group {
		orders.Use(ginMiddleware(s.guard.Handler))
	}
	orders.GET("/:id", func(c *gin.Context) { c.String(http.StatusOK, s.order(c.Param("id"))) })
	orders.POST("", func(c *gin.Context) { c.String(http.StatusOK, s.order("new")) })
	orders.GET("/events", gin.WrapF(s.events))
	orders.GET("/socket", gin.WrapF(s.socket))
	orders.GET("/panic", func(*gin.Context) { panic("an order too many") })

	h := observe.Route(engine)
	if !group {
		h = s.guard.Handler(h)
	}
	return s.obs.Handler(version.Middleware(version.Current(), nil)(h))
}

// ginMiddleware makes a middleware of gin from one of net/http that hands on the
// ResponseWriter as it is, as [downtime.Guard.Handler] does: one that wraps it would be
// left out here.
func ginMiddleware(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		admitted := false
		middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			admitted = true
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !admitted {
			c.Abort()
		}
	}
}
