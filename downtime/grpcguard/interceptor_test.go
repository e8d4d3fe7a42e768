package grpcguard_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

func TestUnaryThroughAWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(
			window("orders", time.Hour, time.Hour, `, message: Back at two., scope: {paths: ["/orders.v1.Orders/Create"]}`),
			window("jobs", time.Hour, time.Hour, `, scope: {work: ["*"]}`)), nil, &orders{})
		ctx := t.Context()
		st, trailer := r.call(ctx, ordersCreate)
		require.Equal(t, codes.OK, st.Code())
		require.Empty(t, trailer)

		later(time.Hour)
		st, trailer = r.call(ctx, ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
		require.Equal(t, "Back at two.", st.Message())
		require.Equal(t, []string{"-1"}, trailer["grpc-retry-pushback-ms"], "an hour without a deadline is too long")
		retry, info := details(t, st)
		require.Equal(t, time.Hour, retry.RetryDelay.AsDuration())
		require.Equal(t, "MAINTENANCE_WINDOW", info.Reason)
		require.Equal(t, "github.com/upkeep-go/upkeep/downtime", info.Domain)
		require.Equal(t, map[string]string{"window": "orders", "mode": "closed", "until": "2000-01-01T02:00:00Z"}, info.Metadata)
		require.EqualValues(t, 1, r.report(t, "orders").Refused, "-1 is not tried again")

		st, _ = r.call(ctx, ordersGet)
		require.Equal(t, codes.OK, st.Code(), "outside the scope")
		require.Zero(t, r.report(t, "jobs").Refused, "a call is no job")

		later(time.Hour)
		st, _ = r.call(ctx, ordersCreate)
		require.Equal(t, codes.OK, st.Code())
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]codes.Code{
		"{}":                                 codes.Unavailable,
		`{paths: ["/orders.v1.Orders/**"]}`:  codes.Unavailable,
		`{paths: ["/orders.v1.Orders/"]}`:    codes.Unavailable,
		`{paths: ["/orders.v1.Orders/Get"]}`: codes.OK,
		`{paths: ["/stock.v1.Stock/**"]}`:    codes.OK,
		`{methods: [POST]}`:                  codes.Unavailable,
		`{methods: [GET]}`:                   codes.OK,
		`{hosts: [orders.example]}`:          codes.Unavailable,
		`{hosts: ["*.example"]}`:             codes.Unavailable,
		`{hosts: [stock.example]}`:           codes.OK,
		`{work: ["*"]}`:                      codes.OK,
	} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, windows(window("w", 0, time.Hour, ", scope: "+scope)), nil, &orders{}, grpc.WithAuthority("orders.example:443"))
				st, _ := r.call(t.Context(), ordersCreate)
				require.Equal(t, want, st.Code())
			})
		})
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		readOnly := windows(window("w", 0, time.Hour, ", mode: read-only"))
		r := newRig(t, readOnly, nil, &orders{})
		st, _ := r.call(t.Context(), ordersGet)
		require.Equal(t, codes.OK, st.Code())
		st, _ = r.call(t.Context(), ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
		require.Equal(t, "Changes are not possible during maintenance.", st.Message())
		_, info := details(t, st)
		require.Equal(t, "read-only", info.Metadata["mode"])

		asked := map[string]int{}
		r = newRig(t, readOnly, &grpcguard.Options{Classify: func(fullMethod string) downtime.Effect {
			asked[fullMethod]++
			if strings.HasSuffix(fullMethod, "/Create") {
				return downtime.EffectRead
			}
			return downtime.EffectWrite
		}}, &orders{})
		for range 3 {
			st, _ = r.call(t.Context(), ordersGet)
			require.Equal(t, codes.Unavailable, st.Code())
			st, _ = r.call(t.Context(), ordersCreate)
			require.Equal(t, codes.OK, st.Code())
		}
		require.Equal(t, map[string]int{ordersGet: 1, ordersCreate: 1}, asked)
	})
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	for fullMethod, want := range map[string]downtime.Effect{
		ordersGet:                      downtime.EffectRead,
		ordersCreate:                   downtime.EffectWrite,
		"/orders.v1.Orders/Replace":    downtime.EffectWrite, // idempotent, but with an effect
		"/orders.v1.Orders/Nothing":    downtime.EffectWrite,
		"/orders.v1.Orders/":           downtime.EffectWrite,
		"/orders.v1/Orders":            downtime.EffectWrite, // a service
		"/google.protobuf/StringValue": downtime.EffectWrite, // a message
		"":                             downtime.EffectWrite,
		"orders.v1.Orders/Get":         downtime.EffectWrite,
		"//":                           downtime.EffectWrite,
		"/\xff/..":                     downtime.EffectWrite,
	} {
		require.Equal(t, want, grpcguard.Idempotency(fullMethod), fullMethod)
	}
}

func TestLongCallsAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(window("w", time.Hour, time.Hour, ", cutoff: 5m")), &grpcguard.Options{
			Long: func(fullMethod string) bool { return fullMethod == ordersGet },
		}, &orders{})
		later(55 * time.Minute)
		st, _ := r.call(t.Context(), ordersGet)
		require.Equal(t, codes.Unavailable, st.Code())
		st, _ = r.call(t.Context(), ordersCreate)
		require.Equal(t, codes.OK, st.Code())
	})
}

func TestPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		closed := windows(window("w", 0, time.Hour, ""))
		check := func(r *rig) codes.Code {
			st, _ := r.call(t.Context(), "/grpc.health.v1.Health/Check")
			return st.Code()
		}
		r := newRig(t, closed, nil, &orders{})
		// The health server answers by the name of the service in the request.
		answer, err := healthpb.NewHealthClient(r.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
		require.NoError(t, err)
		require.Equal(t, healthpb.HealthCheckResponse_SERVING, answer.Status)
		watch, err := healthpb.NewHealthClient(r.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		require.NoError(t, err)
		answer, err = watch.Recv()
		require.NoError(t, err)
		require.Equal(t, healthpb.HealthCheckResponse_SERVING, answer.Status)
		require.Zero(t, r.report(t, "w").Busy, "what passes is not counted")

		r = newRig(t, closed, &grpcguard.Options{Pass: []string{}}, &orders{})
		require.Equal(t, codes.Unavailable, check(r))

		r = newRig(t, closed, &grpcguard.Options{Pass: append(grpcguard.DefaultPass(), ordersGet)}, &orders{})
		require.NotEqual(t, codes.Unavailable, check(r))
		st, _ := r.call(t.Context(), ordersGet)
		require.Equal(t, codes.OK, st.Code())
		st, _ = r.call(t.Context(), ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
	})
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, err := grpcguard.New(nil, nil)
	require.Error(t, err)
	g := open(t, windows())
	for _, pass := range []string{"", "/", "//", "/a", "a/b", "//b", "/a/b/c", "/a//", "grpc.health.v1.Health"} {
		_, err := grpcguard.New(g, &grpcguard.Options{Pass: []string{"/a/b", pass}})
		require.ErrorContains(t, err, "Options.Pass[1]", pass)
	}
}

func TestCallsCountUntilTheyReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		r := newRig(t, windows(window("w", time.Minute, time.Hour, "")), nil, &orders{
			unary: func(_ context.Context, text string) (string, error) {
				<-finish
				panic("at the end")
			},
			watch: func(grpc.ServerStream) error { <-finish; return errors.New("at the end") },
		})
		ended := make(chan codes.Code, 2)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			st, _ := r.call(ctx, ordersCreate)
			ended <- st.Code()
		}()
		watch := r.stream(t.Context(), t, ordersWatch)
		later(time.Minute)
		rep := r.report(t, "w")
		require.Equal(t, map[string]int{ordersCreate: 1, ordersWatch: 1}, rep.Work)
		require.False(t, rep.Quiet)

		cancel() // the client has gone; its work continues
		require.Equal(t, codes.Canceled, <-ended)
		synctest.Wait()
		require.Equal(t, 2, r.report(t, "w").Busy)

		close(finish)
		rep, err := r.guard.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.Error(t, watch.RecvMsg(nil))
	})
}

func TestStreamsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(window("w", 0, time.Hour, "")), nil, &orders{})
		cs := r.stream(t.Context(), t, ordersWatch)
		err := cs.RecvMsg(nil)
		st := status.Convert(err)
		require.Equal(t, codes.Unavailable, st.Code())
		retry, _ := details(t, st)
		require.Equal(t, time.Hour, retry.RetryDelay.AsDuration())
		require.Equal(t, []string{"-1"}, cs.Trailer()["grpc-retry-pushback-ms"])
	})
}

// Clients choose the names of unregistered methods. Scopes match them like all others, and reports
// leave them out.
func TestUnknownMethods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, windows(window("w", time.Minute, time.Hour, `, scope: {paths: ["/orders.v1.Orders/**"]}`)))
		i, err := grpcguard.New(g, nil)
		require.NoError(t, err)
		l := newPipes()
		finish := make(chan struct{})
		serve(t, l, i, &orders{}, grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { <-finish; return nil }))
		r := &rig{g, dial(t, "passthrough:///x", grpc.WithContextDialer(l.dial))}
		cs := r.stream(t.Context(), t, "/orders.v1.Orders/Invented")
		later(time.Minute)
		require.Equal(t, map[string]int{"grpc": 1}, r.report(t, "w").Work)
		close(finish)
		require.Error(t, cs.RecvMsg(nil))

		for method, want := range map[string]codes.Code{
			"/orders.v1.Orders/Invented":         codes.Unavailable,
			"/orders.v1.Orders//Invented":        codes.Unavailable,
			"/x/../orders.v1.Orders/Invented":    codes.Unavailable,
			"/x/%2e%2e/orders.v1.Orders/Create":  codes.Unavailable,
			"/stock.v1.Stock/Invented":           codes.OK,
			"/grpc.health.v1.Health/Invented":    codes.OK,
			"/grpc.health.v1.Health/../x/Create": codes.OK,
		} {
			err := r.stream(t.Context(), t, method).RecvMsg(nil)
			if want == codes.OK {
				require.ErrorIs(t, err, io.EOF, method)
			} else {
				require.Equal(t, want, status.Code(err), method)
			}
		}
	})
}

// If a message does not fit into trailers, the client loses the whole response.
func TestLongMessagesAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(window("w", 0, time.Hour, `, message: "`+strings.Repeat("é", 1000)+`"`)), nil, &orders{})
		st, trailer := r.call(t.Context(), ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
		require.LessOrEqual(t, len(st.Message()), 1024)
		require.Equal(t, strings.Repeat("é", 510)+"…", st.Message())
		require.Equal(t, []string{"-1"}, trailer["grpc-retry-pushback-ms"])
	})
}

func TestBootIsRefusedWithoutAWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", []byte("no")), &downtime.Options{
			Boot: downtime.BootClosed, Logger: quiet, RetryJitter: -1,
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, g.Close()) }()
		i, err := grpcguard.New(g, nil)
		require.NoError(t, err)
		called := false
		_, err = i.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: ordersCreate}, func(context.Context, any) (any, error) {
			called = true
			return nil, nil
		})
		require.False(t, called)
		require.Equal(t, codes.Unavailable, status.Code(err))
		retry, info := details(t, status.Convert(err))
		require.Equal(t, 10*time.Second, retry.RetryDelay.AsDuration())
		require.Equal(t, map[string]string{"mode": "closed"}, info.Metadata)
	})
}

func TestACallThatHasEndedIsNotBegun(t *testing.T) {
	t.Parallel()
	i, err := grpcguard.New(open(t, windows()), nil)
	require.NoError(t, err)
	unary := func(ctx context.Context) error {
		_, err := i.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: ordersCreate}, func(context.Context, any) (any, error) {
			return nil, errors.New("was called")
		})
		return err
	}
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrUnexpectedEOF)
	require.Equal(t, codes.Canceled, status.Code(unary(canceled)))
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	require.Equal(t, codes.DeadlineExceeded, status.Code(unary(late)))
}
