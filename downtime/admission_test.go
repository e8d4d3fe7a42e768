package downtime_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

func TestEnterContextEndsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(
			window("orders", time.Hour, time.Hour, `, message: Back soon., scope: {paths: ["/orders.v1.Orders/**"]}`),
			window("jobs", time.Hour, time.Hour, `, scope: {work: [feed]}`),
			window("reads", 3*time.Hour, time.Hour, `, mode: read-only, scope: {work: [reader]}`))), nil)
		enter := func(w downtime.Work, path string) (context.Context, func()) {
			w.Stream = true
			if path != "" {
				w.Request = httptest.NewRequest(http.MethodPost, path, nil)
			}
			ctx, leave, err := g.EnterContext(t.Context(), w)
			require.NoError(t, err)
			return ctx, leave
		}
		call, leaveCall := enter(downtime.Work{Name: "feed"}, "/orders.v1.Orders/Watch") // its name is for reports
		feed, leaveFeed := enter(downtime.Work{Name: "feed"}, "")
		other, leaveOther := enter(downtime.Work{Name: "other"}, "")
		reader, leaveReader := enter(downtime.Work{Name: "reader", Effect: downtime.EffectRead}, "")
		writer, leaveWriter := enter(downtime.Work{Name: "reader"}, "")

		later(time.Hour - time.Second)
		require.NoError(t, call.Err())
		later(time.Second + 5*time.Second + 100*time.Millisecond) // StreamJitter, and a tick
		var refused *downtime.UnavailableError
		require.ErrorAs(t, context.Cause(call), &refused)
		require.Equal(t, "orders", refused.Window)
		require.Equal(t, "Back soon.", refused.Reason)
		require.ErrorAs(t, context.Cause(feed), &refused)
		require.Equal(t, "jobs", refused.Window)
		rep, err := g.Report("orders")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy, "ended, and counted until it leaves")
		leaveCall()
		leaveFeed()
		rep, err = g.Drain(t.Context(), "orders")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.Zero(t, rep.Refused, "what was admitted was not refused")

		later(2 * time.Hour)
		require.NoError(t, other.Err())
		require.NoError(t, reader.Err())
		require.ErrorIs(t, context.Cause(writer), downtime.ErrWindow)
		leaveWriter()
		leaveOther()
		leaveOther() // safe twice
		leaveReader()
		require.ErrorIs(t, context.Cause(other), context.Canceled, "leave ends it")
		require.Zero(t, g.Stats()["in_flight"])

		plain, leave, err := g.EnterContext(t.Context(), downtime.Work{Name: "other"})
		require.NoError(t, err)
		require.Equal(t, t.Context(), plain, "nothing ends what is no stream")
		leave()
	})
}

func TestEnterContextRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Hour, time.Hour, ", cutoff: 5m"))), nil)
		refusedBy := func(ctx context.Context, w downtime.Work) error {
			entered, leave, err := g.EnterContext(ctx, w)
			require.Equal(t, ctx, entered)
			leave()
			return err
		}
		require.ErrorContains(t, refusedBy(t.Context(), downtime.Work{}), "name")
		require.ErrorContains(t, refusedBy(t.Context(), downtime.Work{Name: "x", Request: &http.Request{}}), "URL")
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(io.ErrUnexpectedEOF)
		require.ErrorIs(t, refusedBy(ended, downtime.Work{Name: "x"}), io.ErrUnexpectedEOF)
		later(55 * time.Minute)
		require.NoError(t, refusedBy(t.Context(), downtime.Work{Name: "x"}))
		require.ErrorIs(t, refusedBy(t.Context(), downtime.Work{Name: "x", Long: true}), downtime.ErrWindow)
		later(5 * time.Minute)
		require.ErrorIs(t, refusedBy(t.Context(), downtime.Work{Name: "x", Stream: true}), downtime.ErrWindow)
		require.InDelta(t, 2, g.Stats()["refused"], 0)
		require.Zero(t, g.Stats()["in_flight"])
	})
}

func TestEnterContextBypasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var uses []downtime.BypassUse
		g, _, _ := bypassing(t, newSource(windows(window("w", 0, time.Hour, ""), window("next", 2*time.Hour, time.Hour, ""))),
			downtime.Bypass{Audit: func(_ *http.Request, u downtime.BypassUse) { uses = append(uses, u) }}, downtime.Options{})
		r := httptest.NewRequest(http.MethodPost, "/orders.v1.Orders/Watch", nil)
		r.Header.Set("Upkeep-Bypass", mint(t, nil))
		work := downtime.Work{Name: "watch", Request: r, Stream: true}
		ctx, leave, err := g.EnterContext(t.Context(), work)
		require.NoError(t, err)
		defer leave()
		who, ok := downtime.Bypassed(ctx)
		require.True(t, ok)
		require.Equal(t, "ana", who)
		require.Len(t, uses, 1)
		require.Equal(t, "w", uses[0].Window)
		require.NotEmpty(t, r.Header.Get("Upkeep-Bypass"), "the caller's request is as it was")

		inner, leaveInner, err := g.EnterContext(ctx, downtime.Work{Name: "import", Stream: true})
		require.NoError(t, err, "what it asks for may bypass the same")
		defer leaveInner()
		require.Len(t, uses, 1)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 2, rep.Busy)

		later(time.Hour - time.Second)
		require.NoError(t, ctx.Err(), "the window that it bypasses does not end it")
		require.NoError(t, inner.Err())
		later(time.Hour + 7*time.Second)
		require.ErrorIs(t, context.Cause(ctx), downtime.ErrWindow, "another does")
		require.ErrorIs(t, context.Cause(inner), downtime.ErrWindow)

		r.Header.Set("Upkeep-Bypass", "forged")
		_, _, err = g.EnterContext(t.Context(), work)
		require.ErrorIs(t, err, downtime.ErrWindow)
	})
}
