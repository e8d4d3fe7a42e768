package grpcguard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

func TestMain(m *testing.M) {
	if err := define(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// The tests' service, in the form that protoc-gen-go-grpc generates from
//
//	service Orders {
//	  rpc Create(StringValue) returns (StringValue);
//	  rpc Get(StringValue) returns (StringValue) { option idempotency_level = NO_SIDE_EFFECTS; }
//	  rpc Watch(StringValue) returns (stream StringValue);
//	  rpc Chat(stream StringValue) returns (stream StringValue);
//	}
const (
	ordersCreate = "/orders.v1.Orders/Create"
	ordersGet    = "/orders.v1.Orders/Get"
	ordersWatch  = "/orders.v1.Orders/Watch"
	ordersChat   = "/orders.v1.Orders/Chat"
)

// define registers the descriptors that generated code registers.
func define() error {
	message := proto.String(".google.protobuf.StringValue")
	method := func(name string, level descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: message, OutputType: message,
			Options: &descriptorpb.MethodOptions{IdempotencyLevel: &level},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:       proto.String("orders/v1/orders.proto"),
		Package:    proto.String("orders.v1"),
		Syntax:     proto.String("proto3"),
		Dependency: []string{"google/protobuf/wrappers.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String("Orders"),
			Method: []*descriptorpb.MethodDescriptorProto{
				method("Create", descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN),
				method("Get", descriptorpb.MethodOptions_NO_SIDE_EFFECTS),
				method("Replace", descriptorpb.MethodOptions_IDEMPOTENT),
			},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return err
	}
	return protoregistry.GlobalFiles.RegisterFile(file)
}

// orders has the methods' behaviour. Nil means that they return the request.
type orders struct {
	unary func(context.Context, string) (string, error)
	watch func(grpc.ServerStream) error
	chat  func(grpc.ServerStream) error
}

func (o *orders) call(ctx context.Context, text string) (string, error) {
	if o.unary == nil {
		return text, nil
	}
	return o.unary(ctx, text)
}

func (o *orders) desc() *grpc.ServiceDesc {
	unary := func(name string) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			in := &wrapperspb.StringValue{}
			if err := decode(in); err != nil {
				return nil, err
			}
			handler := func(ctx context.Context, req any) (any, error) {
				text, err := srv.(*orders).call(ctx, req.(*wrapperspb.StringValue).GetValue())
				return wrapperspb.String(text), err
			}
			if interceptor == nil {
				return handler(ctx, in)
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/orders.v1.Orders/" + name}, handler)
		}}
	}
	stream := func(do func(grpc.ServerStream) error) grpc.StreamHandler {
		return func(_ any, ss grpc.ServerStream) error {
			if do == nil {
				return nil
			}
			return do(ss)
		}
	}
	return &grpc.ServiceDesc{
		ServiceName: "orders.v1.Orders",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{unary("Create"), unary("Get")},
		Streams: []grpc.StreamDesc{
			{StreamName: "Watch", Handler: stream(o.watch), ServerStreams: true},
			{StreamName: "Chat", Handler: stream(o.chat), ServerStreams: true, ClientStreams: true},
		},
	}
}

// window returns a line of a document: a window that starts after the given time from now.
func window(id string, in, duration time.Duration, more string) string {
	return fmt.Sprintf("  - {id: %s, start: %q, duration: %v%s}\n",
		id, time.Now().Add(in).UTC().Format(time.RFC3339Nano), duration, more)
}

func windows(lines ...string) downtime.Source {
	if len(lines) == 0 {
		return downtime.Bytes("windows.yaml", []byte("windows: []\n"))
	}
	return downtime.Bytes("windows.yaml", []byte("windows:\n"+strings.Join(lines, "")))
}

func open(t testing.TB, src downtime.Source) *downtime.Guard {
	g, err := downtime.Open(t.Context(), src, &downtime.Options{Logger: quiet, RetryJitter: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// serve runs a server of orders and health, guarded by the interceptor unless that is nil.
func serve(t testing.TB, l net.Listener, i *grpcguard.Interceptor, o *orders, more ...grpc.ServerOption) {
	opts := append(more, grpc.WaitForHandlers(true))
	if i != nil {
		opts = append(opts, grpc.ChainUnaryInterceptor(recovered, i.Unary), grpc.ChainStreamInterceptor(i.Stream))
	}
	srv := grpc.NewServer(opts...)
	srv.RegisterService(o.desc(), o)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		require.NoError(t, <-served)
	})
}

// recovered turns a panic into an error, as servers do.
func recovered(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = status.Errorf(codes.Internal, "panic: %v", v)
		}
	}()
	return handler(ctx, req)
}

// retrying is the service config of a client that retries on UNAVAILABLE. Without the trailer it
// would retry long before the end of any window.
const retrying = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 5, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

func dial(t testing.TB, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(retrying), grpc.WithIdleTimeout(0),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// rig is a client and a server in a bubble of testing/synctest, connected by pipes.
type rig struct {
	guard *downtime.Guard
	conn  *grpc.ClientConn
}

func newRig(t *testing.T, src downtime.Source, opts *grpcguard.Options, o *orders, more ...grpc.DialOption) *rig {
	return newRigOf(t, open(t, src), opts, o, more...)
}

func newRigOf(t *testing.T, g *downtime.Guard, opts *grpcguard.Options, o *orders, more ...grpc.DialOption) *rig {
	i, err := grpcguard.New(g, opts)
	require.NoError(t, err)
	l := newPipes()
	serve(t, l, i, o)
	conn := dial(t, "passthrough:///orders.example", append([]grpc.DialOption{grpc.WithContextDialer(l.dial)}, more...)...)
	return &rig{g, conn}
}

// call calls a method and returns the status and the trailer.
func (r *rig) call(ctx context.Context, method string, opts ...grpc.CallOption) (*status.Status, metadata.MD) {
	return call(ctx, r.conn, method, opts...)
}

func call(ctx context.Context, conn *grpc.ClientConn, method string, opts ...grpc.CallOption) (*status.Status, metadata.MD) {
	var trailer metadata.MD
	out := &wrapperspb.StringValue{}
	err := conn.Invoke(ctx, method, wrapperspb.String("x"), out, append(opts, grpc.Trailer(&trailer))...)
	return status.Convert(err), trailer
}

func (r *rig) stream(ctx context.Context, t *testing.T, method string) grpc.ClientStream {
	cs, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	require.NoError(t, err)
	return cs
}

func (r *rig) report(t *testing.T, id string) downtime.Report {
	rep, err := r.guard.Report(id)
	require.NoError(t, err)
	return rep
}

// details returns the details of a refusal.
func details(t *testing.T, st *status.Status) (*errdetails.RetryInfo, *errdetails.ErrorInfo) {
	t.Helper()
	require.Len(t, st.Details(), 2)
	retry, ok := st.Details()[0].(*errdetails.RetryInfo)
	require.True(t, ok)
	info, ok := st.Details()[1].(*errdetails.ErrorInfo)
	require.True(t, ok)
	return retry, info
}

// later lets time pass in a bubble and waits until all goroutines have reacted.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// pipes is a listener without a network, for bubbles.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, errors.New("closed")
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func text(s string) *wrapperspb.StringValue { return wrapperspb.String(s) }

var quiet = slog.New(slog.DiscardHandler)

// count counts the calls that reach a server.
func count(n *atomic.Int64) tap.ServerInHandle {
	return func(ctx context.Context, _ *tap.Info) (context.Context, error) {
		n.Add(1)
		return ctx, nil
	}
}

// serverStream is a stream without a server.
type serverStream struct {
	grpc.ServerStream
	ctx     context.Context
	trailer metadata.MD
}

func (s *serverStream) Context() context.Context       { return s.ctx }
func (s *serverStream) SetTrailer(trailer metadata.MD) { s.trailer = trailer }
