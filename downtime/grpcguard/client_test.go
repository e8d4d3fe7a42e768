package grpcguard_test

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

// A client of grpc-go whose retry policy alone would try five times within a few milliseconds.
func TestClientWaitsAsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		window   time.Duration
		deadline time.Duration // 0: none
		maxWait  time.Duration
		code     codes.Code
		waits    time.Duration
		refused  int64
	}{
		{"to the end", 50 * time.Second, 0, 0, codes.OK, 50 * time.Second, 1},
		{"longer than MaxWait", 61 * time.Second, 0, 0, codes.Unavailable, 0, 1},
		{"MaxWait of one's own", 10 * time.Minute, 0, time.Hour, codes.OK, 10 * time.Minute, 1},
		{"never", 2 * time.Second, 0, -1, codes.Unavailable, 0, 1},
		{"a deadline after the end", 10 * time.Minute, 20 * time.Minute, 0, codes.OK, 10 * time.Minute, 1},
		{"a deadline after the end, never without", time.Minute, 20 * time.Minute, -1, codes.OK, time.Minute, 1},
		{"a deadline before the end", 10 * time.Second, 5 * time.Second, 0, codes.Unavailable, 0, 1},
		{"in stages of RetryMax", 150 * time.Minute, 4 * time.Hour, 0, codes.OK, 150 * time.Minute, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				// Not a whole number of milliseconds, so that rounding shows: a client must not retry
				// exactly at the window's end, where the order of events is undefined.
				length := c.window - time.Microsecond
				r := newRig(t, windows(window("w", 0, length, "")), &grpcguard.Options{MaxWait: c.maxWait}, &orders{})
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				start := time.Now()
				st, trailer := r.call(ctx, ordersCreate)
				require.Equal(t, c.code, st.Code(), st.Message())
				require.Equal(t, c.waits, time.Since(start))
				require.InDelta(t, c.refused, r.guard.Stats()["refused"], 0)
				if c.code == codes.Unavailable {
					require.Equal(t, []string{"-1"}, trailer["grpc-retry-pushback-ms"])
					retry, _ := details(t, st)
					require.Equal(t, length, retry.RetryDelay.AsDuration(), "those who look are told all the same")
				}
			})
		})
	}
}

func TestClientOfAStreamWaitsAsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(window("w", 0, 50*time.Second-time.Microsecond, "")), nil, &orders{watch: func(ss grpc.ServerStream) error {
			return ss.SendMsg(text("served"))
		}})
		start := time.Now()
		cs := r.stream(t.Context(), t, ordersWatch)
		out := text("")
		require.NoError(t, cs.RecvMsg(out))
		require.Equal(t, "served", out.GetValue())
		require.Equal(t, 50*time.Second, time.Since(start))
	})
}

func TestClientWithoutARetryPolicyIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(window("w", 0, 50*time.Second, "")), nil, &orders{}, grpc.WithDefaultServiceConfig("{}"))
		st, trailer := r.call(t.Context(), ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
		require.Equal(t, []string{"50000"}, trailer["grpc-retry-pushback-ms"])
	})
}

// Over a real network and with the real clock, the client retries after the window's end and not
// before.
func TestClientWaitsOverTheNetwork(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(2 * time.Second)
	g := open(t, windows(window("w", -time.Hour, time.Until(end.Add(time.Hour)), "")))
	i, err := grpcguard.New(g, nil)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var attempts, served atomic.Int64
	serve(t, l, i, &orders{unary: func(_ context.Context, text string) (string, error) {
		served.Store(time.Now().UnixNano())
		return text, nil
	}}, grpc.InTapHandle(count(&attempts)))
	conn := dial(t, l.Addr().String())

	st, _ := call(t.Context(), conn, ordersCreate)
	require.Equal(t, codes.OK, st.Code(), st.Message())
	if g.Stats()["refused"] == 0 {
		t.Skip("the window was over before the client came")
	}
	require.GreaterOrEqual(t, time.Unix(0, served.Load()).Add(time.Millisecond), end)
	require.GreaterOrEqual(t, attempts.Load(), int64(2))

	over := open(t, windows(window("w", 0, time.Hour, "")))
	i, err = grpcguard.New(over, nil)
	require.NoError(t, err)
	l, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	attempts.Store(0)
	serve(t, l, i, &orders{}, grpc.InTapHandle(count(&attempts)))
	conn = dial(t, l.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	st, trailer := call(ctx, conn, ordersCreate)
	require.Equal(t, codes.Unavailable, st.Code(), st.Message())
	require.Equal(t, []string{"-1"}, trailer["grpc-retry-pushback-ms"])
	require.EqualValues(t, 1, attempts.Load())
}

// The trailer is a number of milliseconds for every window.
func TestPushbackIsANumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := windows(window("w", 0, time.Hour, ""))
		g, err := downtime.Open(t.Context(), src, &downtime.Options{RetryMax: 1 << 62, Logger: quiet})
		require.NoError(t, err)
		defer func() { require.NoError(t, g.Close()) }()
		i, err := grpcguard.New(g, &grpcguard.Options{MaxWait: 1 << 62})
		require.NoError(t, err)
		ss := &serverStream{ctx: t.Context()}
		err = i.Stream(t, ss, &grpc.StreamServerInfo{FullMethod: ordersWatch}, nil)
		require.Error(t, err)
		ms, err := strconv.Atoi(ss.trailer.Get("grpc-retry-pushback-ms")[0])
		require.NoError(t, err)
		require.GreaterOrEqual(t, ms, 3_600_000)
		require.LessOrEqual(t, ms, 3_630_000)
	})
}
