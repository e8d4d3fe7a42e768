package grpcguard_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

// example starts a server of orders on loopback and returns a connection to it.
func example(document, serviceConfig string, opts *grpcguard.Options) (conn *grpc.ClientConn, stop func(), err error) {
	g, err := downtime.Open(context.Background(), downtime.Bytes("windows.yaml", []byte(document)), // usually downtime.File("windows.yaml")
		&downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	i, err := grpcguard.New(g, opts)
	if err != nil {
		return nil, nil, err
	}
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(i.Unary), // before all others
		grpc.ChainStreamInterceptor(i.Stream),
	)
	service := &orders{}
	srv.RegisterService(service.desc(), service)
	healthpb.RegisterHealthServer(srv, health.NewServer())

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(serviceConfig))
	return conn, func() {
		_ = conn.Close()
		srv.Stop()
		<-served
		_ = g.Close()
	}, err
}

// A window refuses the calls in its scope. The refusal says when to retry.
func Example() {
	conn, stop, err := example(fmt.Sprintf(`
windows:
  - id: orders-db-upgrade
    start: %s
    duration: 30m
    mode: read-only
    scope: {paths: ["/orders.v1.Orders/**"]}
    message: Orders are taken again in half an hour.
`, time.Now().UTC().Format(time.RFC3339)), "{}", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()

	in, out := wrapperspb.String("an order"), &wrapperspb.StringValue{}
	err = conn.Invoke(ctx, "/orders.v1.Orders/Get", in, out) // rpc Get … { option idempotency_level = NO_SIDE_EFFECTS; }
	fmt.Println("get:", out.GetValue(), err)

	err = conn.Invoke(ctx, "/orders.v1.Orders/Create", in, out)
	refused := status.Convert(err)
	fmt.Println("create:", refused.Code(), "-", refused.Message())
	for _, detail := range refused.Details() {
		switch d := detail.(type) {
		case *errdetails.RetryInfo:
			fmt.Println("in about half an hour:", d.RetryDelay.AsDuration() > 29*time.Minute)
		case *errdetails.ErrorInfo:
			fmt.Println(d.Reason, d.Metadata["window"], d.Metadata["mode"])
		}
	}

	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println("health:", answer.GetStatus(), err)
	// Output:
	// get: an order <nil>
	// create: Unavailable - Orders are taken again in half an hour.
	// in about half an hour: true
	// MAINTENANCE_WINDOW orders-db-upgrade read-only
	// health: SERVING <nil>
}

// A client waits for the end of a window with only a retry policy, in its service config or from
// its resolver. Without the trailer this one would have tried four times in half a second.
func ExampleInterceptor_retryPolicy() {
	start := time.Now()
	conn, stop, err := example(fmt.Sprintf(`
windows:
  - {id: switch-over, start: %s, duration: 2s}
`, start.UTC().Format(time.RFC3339Nano)), `{
  "methodConfig": [{
    "name": [{"service": "orders.v1.Orders"}],
    "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	// The deadline says how long the caller waits. If it came before the window's end, the call
	// would fail at once.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := &wrapperspb.StringValue{}
	err = conn.Invoke(ctx, "/orders.v1.Orders/Create", wrapperspb.String("an order"), out)
	fmt.Println(out.GetValue(), err)
	fmt.Println("after the end:", time.Since(start) >= 2*time.Second)
	// Output:
	// an order <nil>
	// after the end: true
}

// Classify declares methods that only read, if their definitions do not.
func ExampleOptions_classify() {
	conn, stop, err := example(fmt.Sprintf(`
windows:
  - {id: switch-over, start: %s, duration: 1h, mode: read-only}
`, time.Now().UTC().Format(time.RFC3339)), "{}", &grpcguard.Options{
		Classify: func(fullMethod string) downtime.Effect {
			if fullMethod == "/orders.v1.Orders/Create" { // assume that it only reads
				return downtime.EffectRead
			}
			return grpcguard.Idempotency(fullMethod)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	out := &wrapperspb.StringValue{}
	err = conn.Invoke(context.Background(), "/orders.v1.Orders/Create", wrapperspb.String("an order"), out)
	fmt.Println(out.GetValue(), err)
	// Output:
	// an order <nil>
}
