package observe_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/observe"
)

const jobDuration = "upkeep.job.duration"

func TestDo(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	var id string
	require.NoError(t, k.obs.Do(context.Background(), "consume orders", func(ctx context.Context) error {
		id = observe.RequestID(ctx)
		require.True(t, trace.SpanFromContext(ctx).IsRecording())
		return nil
	}))
	require.Len(t, id, 26)
	require.Equal(t, "consume orders", k.span().Name())
	require.Equal(t, trace.SpanKindInternal, k.span().SpanKind())
	require.Equal(t, id, attr(k.span(), "upkeep.request.id"))
	require.Equal(t, codes.Unset, k.span().Status().Code)
	require.Equal(t, map[string]int64{"upkeep.job.name=consume orders": 1}, k.points(jobDuration))
	require.Empty(t, k.logs.String())
}

func TestDoError(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	err := k.obs.Do(context.Background(), "job", func(context.Context) error { return fmt.Errorf("reading: %w", declined{}) })
	require.ErrorIs(t, err, declined{})
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, "reading: card declined", k.span().Status().Description)
	require.Equal(t, map[string]int64{"error.type=card_declined,upkeep.job.name=job": 1}, k.points(jobDuration))
	line := k.logs.line(t)
	require.Equal(t, []any{"ERROR", "job failed", "job", "reading: card declined"}, []any{line["level"], line["msg"], line["job"], line["error"]})
	require.Equal(t, 1.0, k.obs.Stats()["jobs_failed"])
}

func TestDoPanic(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	cause := errors.New("boom")
	err := k.obs.Do(context.Background(), "job", func(context.Context) error { panic(cause) })
	var panicked *observe.PanicError
	require.ErrorAs(t, err, &panicked)
	require.ErrorIs(t, err, cause)
	require.Equal(t, "panic: boom", err.Error())
	require.Contains(t, string(panicked.Stack), "TestDoPanic")
	require.Equal(t, codes.Error, k.span().Status().Code)
	line := k.logs.line(t)
	require.Equal(t, "job failed", line["msg"])
	require.Equal(t, "job", line["job"])
	require.Contains(t, line["stack"], "TestDoPanic")
	require.Len(t, k.events.named("upkeep.job.exception"), 1)
	require.Equal(t, 1.0, k.obs.Stats()["panics"])
	require.Zero(t, k.obs.Stats()["jobs_active"])

	err = k.obs.Do(context.Background(), "job", func(context.Context) error { panic("no error") })
	require.Nil(t, errors.Unwrap(err))
}

func TestDoFail(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		observe.Fail(ctx, declined{})
		return nil
	}))
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, "card declined", k.logs.line(t)["error"])
}

func TestDoErrorTypes(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"context.Canceled":         fmt.Errorf("x: %w", context.Canceled),
		"context.DeadlineExceeded": context.DeadlineExceeded,
		"*errors.errorString":      fmt.Errorf("a: %w", fmt.Errorf("b: %w", errors.New("c"))),
		"*errors.joinError":        errors.Join(errors.New("a"), errors.New("b")),
	} {
		k := newRig(t, nil)
		require.Equal(t, err, k.obs.Do(context.Background(), "job", func(context.Context) error { return err }))
		require.Equal(t, want, attr(k.span(), "error.type"))
	}
}

func TestDoInsideARequestSharesItsID(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := k.obs.Do(r.Context(), "part", func(ctx context.Context) error {
					require.Equal(t, "req-1", observe.RequestID(ctx))
					panic("in a goroutine")
				})
				require.Error(t, err)
			})
		}
		wg.Wait()
	})), "GET", "/", "X-Request-Id", "req-1")
	spans := k.spans.Ended()
	require.Len(t, spans, 9)
	for _, part := range spans[:8] {
		require.Equal(t, spans[8].SpanContext().SpanID(), part.Parent().SpanID())
	}
	require.Equal(t, codes.Unset, spans[8].Status().Code, "a failed part does not fail the request by itself")
}

func TestDoGoexit(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = k.obs.Do(context.Background(), "job", func(context.Context) error { runtime.Goexit(); return nil })
	})
	wg.Wait()
	require.Equal(t, map[string]int64{"error.type=runtime.Goexit,upkeep.job.name=job": 1}, k.points(jobDuration))
	wg.Go(func() {
		k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() })), "GET", "/")
	})
	wg.Wait()
	require.Equal(t, "runtime.Goexit", attr(k.spans.Ended()[1], "error.type"))
}

// A label that an application makes endless by mistake stays bounded.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	for i := range 1100 {
		require.NoError(t, k.obs.Do(context.Background(), fmt.Sprint("job ", i), func(context.Context) error { return nil }))
	}
	points := k.points(jobDuration)
	require.Len(t, points, 1001)
	require.EqualValues(t, 100, points["upkeep.job.name=_OTHER"])
	require.Equal(t, 100.0, k.obs.Stats()["series_folded"])
}
