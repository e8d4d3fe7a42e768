package main

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
)

// newGin is the service on gin. Its handlers have their own type, but its engine is an
// http.Handler, so put middlewares in front of it if you can.
//
// Known problems:
//
//   - gin leaves Request.Pattern empty. Two lines fill it in, as the first middleware.
//   - gin calls the next handler when one has returned, even if that has already answered. An
//     adapter of a net/http middleware must call Abort, or a request is both refused and
//     served; see ginMiddleware.
//   - gin.Default has Recovery, which takes panics away from [observe.Observer.Handler]: it
//     then records the stack but not the value. It also answers http.ErrAbortHandler, with
//     which a handler cuts the connection, with 200 and an empty body. Use gin.New,
//     or gin.CustomRecovery with a function that calls [observe.Fail] with an
//     [observe.PanicError].
//   - Its ResponseWriter says that it is an http.CloseNotifier and an http.Hijacker,
//     even if the writer below it is not, and then panics when it is used. Context.Stream
//     uses the first; the writers of package observe have it.
//   - Middlewares of a group run only for routes that are found. Other paths get 404, also in
//     a window.
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

// ginMiddleware makes a middleware of gin from one of net/http. What that puts around the
// ResponseWriter, as [downtime.Guard.Handler] does to see streams, goes around gin's.
func ginMiddleware(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		admitted, own := false, c.Writer
		middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			admitted = true
			c.Request, c.Writer = r, &ginWriter{own, w}
			defer func() { c.Writer = own }()
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !admitted {
			c.Abort()
		}
	}
}

// A ginWriter is gin's ResponseWriter with another around it.
type ginWriter struct {
	gin.ResponseWriter
	around http.ResponseWriter
}

func (w *ginWriter) Unwrap() http.ResponseWriter       { return w.around }
func (w *ginWriter) WriteHeader(status int)            { w.around.WriteHeader(status) }
func (w *ginWriter) Write(p []byte) (int, error)       { return w.around.Write(p) }
func (w *ginWriter) WriteString(s string) (int, error) { return io.WriteString(w.around, s) }

func (w *ginWriter) Flush() { _ = http.NewResponseController(w.around).Flush() }

func (w *ginWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.around).Hijack()
}
