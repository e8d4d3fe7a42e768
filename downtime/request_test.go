package downtime_test

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// What came by a request is in scope as a request is, and its name is for reports alone.
func TestEnterByARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("orders", time.Hour, time.Hour, `, cutoff: 5m, scope: {paths: ["/orders.v1.Orders/**"], methods: [POST], hosts: ["*.example"]}`),
			window("reads", time.Hour, time.Hour, `, mode: read-only, scope: {paths: ["/stock.v1.Stock/**"]}`),
			window("jobs", time.Hour, time.Hour, `, scope: {work: ["*"]}`))), nil)
		call := func(method, host, path string) downtime.Work {
			r := httptest.NewRequest(method, path, nil)
			r.Host = host
			return downtime.Work{Name: path, Request: r}
		}
		refusedBy := func(w downtime.Work) string {
			leave, err := g.Enter(t.Context(), w)
			defer leave()
			if err == nil {
				return ""
			}
			var refused *downtime.UnavailableError
			require.ErrorAs(t, err, &refused)
			return refused.Window
		}
		create := call("POST", "shop.example", "/orders.v1.Orders/Create")
		leave, err := g.Enter(t.Context(), create)
		require.NoError(t, err)
		rep, err := g.Report("orders")
		require.NoError(t, err)
		require.Equal(t, map[string]int{"/orders.v1.Orders/Create": 1}, rep.Work)
		rep, err = g.Report("jobs")
		require.NoError(t, err)
		require.Zero(t, rep.Busy, "a request is no work of a list")
		leave()

		later(55 * time.Minute)
		require.Empty(t, refusedBy(create))
		create.Long = true
		require.Equal(t, "orders", refusedBy(create), "from the cutoff on")
		create.Long = false

		later(5 * time.Minute)
		require.Equal(t, "orders", refusedBy(create))
		require.Equal(t, "orders", refusedBy(call("POST", "shop.example", "/x/%2e%2e/orders.v1.Orders/Create")))
		require.Empty(t, refusedBy(call("POST", "shop.test", "/orders.v1.Orders/Create")))
		require.Empty(t, refusedBy(call("GET", "shop.example", "/orders.v1.Orders/Create")))
		require.Empty(t, refusedBy(call("POST", "shop.example", "/catalogue.v1.Catalogue/List")))

		get := call("POST", "shop.example", "/stock.v1.Stock/Get")
		require.Equal(t, "reads", refusedBy(get), "the zero effect writes, whatever the method")
		get.Effect = downtime.EffectRead
		require.Empty(t, refusedBy(get))

		require.Equal(t, "jobs", refusedBy(downtime.Work{Name: "import"}))
		create.Request.URL = nil
		_, err = g.Enter(t.Context(), create)
		require.ErrorContains(t, err, "URL")
	})
}
