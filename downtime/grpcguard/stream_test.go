package grpcguard_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/grpcguard"
)

// untilDone is a handler that waits for the end of its context and returns the cause.
func untilDone(why chan<- error) func(grpc.ServerStream) error {
	return func(ss grpc.ServerStream) error {
		if err := ss.SendMsg(text("begun")); err != nil {
			return err
		}
		<-ss.Context().Done()
		why <- context.Cause(ss.Context())
		return ss.Context().Err()
	}
}

func TestWindowEndsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := make(chan error, 1)
		r := newRig(t, windows(window("w", time.Minute, time.Hour, ", message: Back soon.")), nil, &orders{
			watch: untilDone(why),
			chat: func(ss grpc.ServerStream) error { // a handler that only receives
				for {
					in := text("")
					if err := ss.RecvMsg(in); err != nil {
						return err
					}
					if err := ss.SendMsg(in); err != nil {
						return err
					}
				}
			},
		})
		watch, chat := r.stream(t.Context(), t, ordersWatch), r.stream(t.Context(), t, ordersChat)
		out := text("")
		require.NoError(t, watch.RecvMsg(out))
		for _, said := range []string{"one", "two", "three"} {
			require.NoError(t, chat.SendMsg(text(said)))
			require.NoError(t, chat.RecvMsg(out))
			require.Equal(t, said, out.GetValue())
		}

		later(time.Minute + 10*time.Second - time.Millisecond)
		require.Equal(t, map[string]int{ordersWatch: 1, ordersChat: 1}, r.report(t, "w").Work, "10 s to come to an end by themselves")
		rep, err := r.guard.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.LessOrEqual(t, rep.QuietAfter, 16*time.Second, "StreamJitter, StreamGrace, and a tick")
		require.ErrorIs(t, <-why, downtime.ErrWindow)
		for _, cs := range []grpc.ClientStream{watch, chat} {
			err := cs.RecvMsg(out)
			require.Equal(t, codes.Unavailable, status.Code(err))
			require.Equal(t, "Back soon.", status.Convert(err).Message())
			_, info := details(t, status.Convert(err))
			require.Equal(t, "w", info.Metadata["window"])
			require.Len(t, cs.Trailer()["grpc-retry-pushback-ms"], 1)
		}
	})
}

func TestStreamsThatEndWithinTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		r := newRig(t, windows(window("w", time.Minute, time.Hour, "")), &grpcguard.Options{StreamGrace: time.Minute}, &orders{
			watch: func(ss grpc.ServerStream) error {
				<-finish
				return errors.Join(ss.Context().Err(), ss.SendMsg(text("the last")))
			},
		})
		cs := r.stream(t.Context(), t, ordersWatch)
		later(time.Minute + 59*time.Second)
		close(finish)
		out := text("")
		require.NoError(t, cs.RecvMsg(out))
		require.Equal(t, "the last", out.GetValue())
		require.ErrorIs(t, cs.RecvMsg(out), io.EOF)
	})
}

func TestStreamsThatWindowsDoNotEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window string
		grace  time.Duration
	}{
		"outside the scope":  {`, scope: {paths: ["/stock.v1.Stock/**"]}`, 0},
		"reads in read-only": {", mode: read-only", 0},
		"rehearsal":          {", mode: rehearse", 0},
		"not wanted":         {"", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				why := make(chan error, 1)
				r := newRig(t, windows(window("w", time.Minute, time.Hour, c.window)), &grpcguard.Options{
					StreamGrace: c.grace, Classify: func(string) downtime.Effect { return downtime.EffectRead },
				}, &orders{watch: untilDone(why)})
				ctx, cancel := context.WithCancel(t.Context())
				cs := r.stream(ctx, t, ordersWatch)
				require.NoError(t, cs.RecvMsg(text("")))
				later(30 * time.Minute)
				require.Empty(t, why)
				if c.window == "" {
					// It still runs, and the error names it.
					bounded, stop := context.WithTimeout(t.Context(), time.Minute)
					defer stop()
					rep, err := r.guard.Drain(bounded, "w")
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorContains(t, err, ordersWatch+" 1")
					require.Equal(t, map[string]int{ordersWatch: 1}, rep.Work)
				}
				cancel()
				require.NotErrorIs(t, <-why, downtime.ErrWindow)
			})
		})
	}
}

func TestStreamsEndWellWhenTheHandlerSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, windows(window("w", time.Minute, time.Hour, "")), nil, &orders{chat: func(ss grpc.ServerStream) error {
			err := ss.RecvMsg(text(""))
			again := ss.RecvMsg(text(""))
			if status.Code(err) != codes.Unavailable || status.Code(again) != codes.Unavailable {
				return status.Errorf(codes.Internal, "%v, and again %v", err, again)
			}
			return ss.SendMsg(text("good bye"))
		}})
		cs := r.stream(t.Context(), t, ordersChat)
		later(2 * time.Minute)
		out := text("")
		require.NoError(t, cs.RecvMsg(out))
		require.Equal(t, "good bye", out.GetValue())
		require.ErrorIs(t, cs.RecvMsg(out), io.EOF)
		require.Zero(t, r.report(t, "w").Busy)
	})
}

func TestClientsEndStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 1)
		r := newRig(t, windows(window("w", time.Minute, time.Hour, "")), nil, &orders{chat: func(ss grpc.ServerStream) error {
			got <- ss.RecvMsg(text(""))
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		r.stream(ctx, t, ordersChat)
		synctest.Wait()
		cancel()
		require.Equal(t, codes.Canceled, status.Code(<-got))

		cs := r.stream(t.Context(), t, ordersChat)
		require.NoError(t, cs.CloseSend())
		require.ErrorIs(t, <-got, io.EOF)

		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		r.stream(short, t, ordersChat)
		code := status.Code(<-got) // from the client's cancellation or its deadline, whichever is first
		require.Contains(t, []codes.Code{codes.DeadlineExceeded, codes.Canceled}, code)

		// Within the grace, the client ended the stream and not the window.
		ctx, cancel = context.WithCancel(t.Context())
		r.stream(ctx, t, ordersChat)
		later(time.Minute)
		cancel()
		require.Equal(t, codes.Canceled, status.Code(<-got))
	})
}

func TestBypass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		public, private, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		g, err := downtime.Open(t.Context(), windows(window("w", 0, time.Hour, "")), &downtime.Options{
			Logger: quiet, Bypass: &downtime.Bypass{Keys: map[string]ed25519.PublicKey{"k": public}, Audience: "orders"},
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		who := make(chan string, 1)
		note := func(ctx context.Context) error {
			name, _ := downtime.Bypassed(ctx)
			who <- name
			leave, err := g.Enter(ctx, downtime.Work{Name: "import"}) // work that it starts is admitted too
			leave()
			return err
		}
		r := newRigOf(t, g, nil, &orders{
			unary: func(ctx context.Context, text string) (string, error) { return text, note(ctx) },
			watch: func(ss grpc.ServerStream) error { return note(ss.Context()) },
		})
		token := mint(t, private, map[string]any{
			"purpose": downtime.BypassPurpose, "aud": "orders", "sub": "ada", "window": "w",
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		})
		ctx := metadata.AppendToOutgoingContext(t.Context(), "upkeep-bypass", token)
		st, _ := r.call(ctx, ordersCreate)
		require.Equal(t, codes.OK, st.Code(), st.Message())
		require.Equal(t, "ada", <-who)
		require.ErrorIs(t, r.stream(ctx, t, ordersWatch).RecvMsg(text("")), io.EOF)
		require.Equal(t, "ada", <-who)

		st, _ = r.call(t.Context(), ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
		st, _ = r.call(metadata.AppendToOutgoingContext(t.Context(), "upkeep-bypass", token+"x"), ordersCreate)
		require.Equal(t, codes.Unavailable, st.Code())
	})
}

// mint signs a token in the form that any JWT tool makes.
func mint(t *testing.T, key ed25519.PrivateKey, claims map[string]any) string {
	part := func(v any) string {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(map[string]any{"alg": "EdDSA", "kid": "k"}) + "." + part(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

// After the guard's grace, the context of a call ends and the client gets a refusal.
func TestGraceEndsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, err := downtime.Open(t.Context(), windows(window("w", time.Minute, time.Hour, ", message: Back soon.")), &downtime.Options{
			Grace: 10 * time.Second, RetryJitter: -1, Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		r := newRigOf(t, g, nil, &orders{unary: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}})
		got := make(chan *status.Status, 1)
		go func() {
			st, _ := r.call(t.Context(), ordersCreate)
			got <- st
		}()
		later(time.Minute + 10*time.Second - time.Millisecond)
		require.Empty(t, got)
		later(time.Millisecond)
		st := <-got
		require.Equal(t, codes.Unavailable, st.Code())
		require.Equal(t, "Back soon.", st.Message())
		retry, _ := details(t, st)
		require.Equal(t, 59*time.Minute+50*time.Second, retry.RetryDelay.AsDuration())
		rep, err := g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.EqualValues(t, 1, rep.Cut)
	})
}
