package tail_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A request that fails shows what it logged below the level; one that ends well does not.
func Example() {
	h, err := tail.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	logger := slog.New(h)
	pay := func(cart int) error {
		if cart > 1 {
			return errors.New("the card was refused")
		}
		return nil
	}
	for cart := range 3 {
		ctx, t := h.Start(context.Background(), "POST /carts/{cart}")
		logger.DebugContext(ctx, "charging the card", "cart", cart)
		err := pay(cart)
		t.End(err != nil)
		if err != nil {
			logger.ErrorContext(ctx, "request failed", "err", err)
		}
	}
	// Output:
	// level=DEBUG msg="charging the card" cart=2 tail=true
	// level=ERROR msg="request failed" err="the card was refused"
}

func newHandler(t testing.TB, w io.Writer, opts *tail.Options) *tail.Handler {
	t.Helper()
	h, err := tail.New(slog.NewJSONHandler(w, nil), opts)
	require.NoError(t, err)
	return h
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, err := tail.New(nil, nil)
	require.ErrorContains(t, err, "nil")
	_, err = tail.New(slog.DiscardHandler, &tail.Options{MaxBytes: -1})
	require.ErrorContains(t, err, "negative")
}

func TestLevels(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	h := newHandler(t, &out, &tail.Options{KeepLevel: slog.LevelDebug + 1})
	ctx, tl := h.Start(context.Background(), "x")
	require.True(t, h.Enabled(context.Background(), slog.LevelInfo))
	require.False(t, h.Enabled(context.Background(), slog.LevelInfo-1))
	require.True(t, h.Enabled(ctx, slog.LevelInfo-1))
	require.False(t, h.Enabled(ctx, slog.LevelDebug))
	other := newHandler(t, &out, nil)
	require.False(t, other.Enabled(ctx, slog.LevelDebug), "the tail is of another handler")
	dropped, err := tl.End(true)
	require.Zero(t, dropped)
	require.NoError(t, err)
	_, err = tl.End(true)
	require.NoError(t, err, "End twice")
}

// What stays within its bounds is written; of the rest the oldest goes, and is counted.
func TestBounds(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	h := newHandler(t, &out, &tail.Options{MaxBytes: 1 << 10, MaxTotal: 4 << 10})
	logger := slog.New(h)
	var tails []*tail.Tail
	for i := range 10 {
		name := "many"
		if i == 0 {
			name = "one"
		}
		ctx, tl := h.Start(context.Background(), name)
		for n := range 100 {
			logger.DebugContext(ctx, "kept", "n", n)
			require.LessOrEqual(t, h.Bytes(), int64(4<<10))
		}
		tails = append(tails, tl)
	}
	written := func(i int) int {
		before := strings.Count(out.String(), "\n")
		dropped, err := tails[i].End(true)
		require.NoError(t, err)
		n := strings.Count(out.String(), "\n") - before
		require.Equal(t, 100, n+dropped, "each is written or counted")
		return n
	}
	require.NotZero(t, written(0), "the first of its name stays")
	require.NotZero(t, written(1), "the first of its name stays")
	require.Zero(t, written(2), "the oldest give way")
	require.NotZero(t, written(9))
	require.Contains(t, out.String(), `"n":99,"tail":true`)
	for i := 3; i < 9; i++ {
		tails[i].End(false)
	}
	require.Zero(t, h.Bytes())
}

// A tail inside another hands on what it does not write.
func TestNested(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	h := newHandler(t, &out, nil)
	logger := slog.New(h).With("service", "shop").WithGroup("cart")
	ctx, outer := h.Start(context.Background(), "request")
	inner, job := h.Start(ctx, "job")
	logger.DebugContext(inner, "in the job", "n", 1)
	job.End(false)
	require.Empty(t, out.String())
	logger.DebugContext(inner, "after the job")
	outer.End(true)
	require.Contains(t, out.String(), `"msg":"in the job","service":"shop","cart":{"n":1},"tail":true`)
	require.NotContains(t, out.String(), "after the job")
	logger.DebugContext(ctx, "after the request")
	require.Contains(t, out.String(), `"msg":"after the request","service":"shop"`)
	require.Contains(t, out.String(), `"tail":true,"late":true`)
	require.Zero(t, h.Bytes())
}

func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	h := newHandler(t, io.Discard, &tail.Options{MaxBytes: 2 << 10, MaxTotal: 8 << 10})
	logger := slog.New(h)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				ctx, outer := h.Start(context.Background(), fmt.Sprint(i%3))
				var workers sync.WaitGroup
				for range 3 {
					workers.Go(func() {
						inner, job := h.Start(ctx, "job")
						for n := range 20 {
							logger.DebugContext(inner, "kept", "map", map[string]int{"n": n})
						}
						job.End(false)
					})
				}
				if i%2 == 0 {
					workers.Wait()
				}
				outer.End(i%4 == 0)
				workers.Wait()
			}
		})
	}
	all.Wait()
	require.Zero(t, h.Bytes())
}
