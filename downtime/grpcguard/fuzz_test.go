package grpcguard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

// FuzzMethod calls unregistered methods at invalid hosts. Methods that could be in scope must be
// refused, without a panic.
func FuzzMethod(f *testing.F) {
	for _, seed := range []string{
		ordersCreate, "/orders.v1.Orders/", "/orders.v1.Orders", "", "/", "//", "/x/../orders.v1.Orders/Create", "/orders.v1.Orders%2fCreate",
		"/stock.v1.Stock/Get", "/grpc.health.v1.Health/Check", "/\xff/\x00", strings.Repeat("/a", 3000),
	} {
		f.Add(seed, "orders.example:443")
	}
	f.Add(ordersCreate, "")
	f.Add(ordersCreate, "[::1")
	g := open(f, windows(window("w", 0, 24*time.Hour, `, scope: {paths: ["/orders.v1.Orders/**"], hosts: [orders.example]}`)))
	i, err := grpcguard.New(g, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, method, authority string) {
		for _, srv := range []any{nil, t} {
			called := false
			ss := &serverStream{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs(":authority", authority))}
			err := i.Stream(srv, ss, &grpc.StreamServerInfo{FullMethod: method}, func(any, grpc.ServerStream) error {
				called = true
				return nil
			})
			switch {
			case err == nil:
				require.True(t, called)
				require.False(t, authority == "orders.example" && strings.HasPrefix(method, "/orders.v1.Orders/"), "%q went through", method)
			default:
				require.False(t, called)
				require.Equal(t, codes.Unavailable, status.Code(err))
				require.NotEmpty(t, ss.trailer)
			}
		}
		require.Zero(t, g.Stats()["in_flight"])
	})
}
