package grpcguard_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

// BenchmarkUnary measures the interceptor without a network: without a window, with an announced
// window whose scope has the call, and with a refusal.
func BenchmarkUnary(b *testing.B) {
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(":authority", "orders.example", "user-agent", "grpc-go/1.79.3"))
	info := &grpc.UnaryServerInfo{FullMethod: ordersCreate}
	req := any(text("x"))
	handler := func(_ context.Context, req any) (any, error) { return req, nil }
	for _, c := range []struct {
		name    string
		src     downtime.Source
		refused bool
	}{
		{"open", windows(), false},
		{"open, 1 scope, in it", windows(window("w", time.Hour, time.Hour, `, announce: 72h, scope: {paths: ["/orders.v1.Orders/**"]}`)), false},
		{"refused", windows(window("w", 0, time.Hour, `, message: Back soon.`)), true},
	} {
		i, err := grpcguard.New(open(b, c.src), nil)
		require.NoError(b, err)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Unary(ctx, req, info, handler); (err != nil) != c.refused {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCall measures a call over loopback, bare and guarded.
func BenchmarkCall(b *testing.B) {
	i, err := grpcguard.New(open(b, windows()), nil)
	require.NoError(b, err)
	for _, c := range []struct {
		name        string
		interceptor *grpcguard.Interceptor
	}{{"bare", nil}, {"guarded", i}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		serve(b, l, c.interceptor, &orders{})
		conn := dial(b, l.Addr().String())
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			in, out := text("x"), &wrapperspb.StringValue{}
			for b.Loop() {
				if err := conn.Invoke(b.Context(), ordersCreate, in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
