package migrate

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v5"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/observe"
)

func around(obs *observe.Observer, guard *downtime.Guard, router http.Handler) http.Handler {
	return obs.Handler(guard.Handler(observe.Route(router)))
}

func chiRouter() http.Handler {
	r := chi.NewRouter()
	r.Get("/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(chi.URLParam(r, "id")))
	})
	return r
}

func ginRouter() http.Handler {
	engine := gin.New() // gin.Default has a Recovery, which hides panics from observe
	engine.Use(func(c *gin.Context) { c.Request.Pattern = c.FullPath() })
	engine.GET("/orders/:id", func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
	return engine
}

func echoRouter() http.Handler {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc { // echo v5 can do without
		return func(c *echo.Context) error { c.Request().Pattern = c.Path(); return next(c) }
	})
	e.GET("/orders/:id", func(c *echo.Context) error { return c.String(http.StatusOK, c.Param("id")) })
	return e
}

func connectRouter() http.Handler {
	const procedure = "/orders.v1.Orders/Get" // generated code has it
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewUnaryHandler(procedure, getOrder))
	return mux
}

func getOrder(_ context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
	return connect.NewResponse(r.Msg), nil
}

// connectOptions are for services with streams, which report an error with status 200.
var connectOptions = observe.Options{Outcome: observe.OutcomeConnect, OutcomeBody: 64 << 10}
