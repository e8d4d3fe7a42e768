package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/internal/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// source is a script: each load uses the present step.
type source struct {
	load  func(ctx context.Context) ([]byte, error)
	calls atomic.Int32
	busy  atomic.Int32
}

func (s *source) Load(ctx context.Context) ([]byte, error) {
	s.calls.Add(1)
	if s.busy.Add(1) > 1 {
		panic("two loads at once")
	}
	defer s.busy.Add(-1)
	return s.load(ctx)
}

// text parses a document into itself. A document that starts with "bad" is refused; one that contains
// "flawed" has a problem.
func text(name string, data []byte, _ *string) (*string, []error, error) {
	s := strings.TrimSpace(string(data))
	if strings.HasPrefix(s, "bad") {
		return nil, nil, fmt.Errorf("%s:1:1: %s", name, s)
	}
	if strings.HasPrefix(s, "panic") {
		panic(s)
	}
	var problems []error
	if strings.Contains(s, "flawed") {
		problems = append(problems, errors.New("a flaw"))
	}
	return &s, problems, nil
}

func start(t *testing.T, src live.Source, opts live.Options[string]) *live.Keeper[string] {
	t.Helper()
	opts.Parse = text
	opts.Logger = quiet
	k := live.Start(t.Context(), src, opts)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

func value(k *live.Keeper[string]) string {
	if s := k.Snapshot(); s != nil {
		return *s.Value
	}
	return ""
}

func TestPollFindsChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var doc atomic.Value
		doc.Store("one")
		src := &source{load: func(context.Context) ([]byte, error) { return []byte(doc.Load().(string)), nil }}
		var updates []string
		k := start(t, src, live.Options[string]{Name: "doc", OnUpdate: func(s *live.Snapshot[string]) { updates = append(updates, *s.Value) }})
		require.NoError(t, k.Ready(t.Context()))
		require.Equal(t, "one", value(k))
		first := k.Snapshot()
		require.Equal(t, live.FromSource, first.Origin)
		require.Len(t, first.Revision, 16)

		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		require.Same(t, first, k.Snapshot(), "the same content is the same snapshot")
		require.GreaterOrEqual(t, src.calls.Load(), int32(4))

		doc.Store("two flawed")
		time.Sleep(17 * time.Second)
		synctest.Wait()
		require.Equal(t, "two flawed", value(k))
		require.NotEqual(t, first.Revision, k.Snapshot().Revision)
		require.Len(t, k.Snapshot().Problems, 1)
		require.Equal(t, []string{"one", "two flawed"}, updates)
		require.Equal(t, uint64(2), k.Status().Updates)
	})
}

func TestBadDocumentNeverReplacesAGoodOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var doc atomic.Value
		doc.Store("good")
		src := &source{load: func(context.Context) ([]byte, error) {
			if doc.Load() == "gone" {
				return nil, os.ErrNotExist
			}
			if doc.Load() == "source panic" {
				panic("boom")
			}
			return []byte(doc.Load().(string)), nil
		}}
		var statuses []string
		k := start(t, src, live.Options[string]{Name: "doc", OnStatus: func(s live.Status) { statuses = append(statuses, fmt.Sprint(s.Err)) }})
		require.NoError(t, k.Ready(t.Context()))
		for _, c := range []struct{ doc, want string }{
			{"", "doc: the document is empty"},
			{" \n", "doc: the document is empty"},
			{"null\n", "doc: the document is null"},
			{"~", "doc: the document is null"},
			{"bad one", "doc:1:1: bad one"},
			{"panic now", "doc: the parser panicked: panic now"},
			{"gone", "doc: file does not exist"},
			{"source panic", "doc: the source panicked: boom"},
		} {
			doc.Store(c.doc)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			require.Equal(t, "good", value(k))
			require.ErrorContains(t, k.Status().Err, c.want)
			require.NotZero(t, k.Status().InARow)
		}
		doc.Store("better")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, "better", value(k))
		require.NoError(t, k.Status().Err)
		require.Zero(t, k.Status().InARow)
		require.GreaterOrEqual(t, k.Status().Failures, uint64(8))
		require.Equal(t, []string{"doc: the document is empty", "<nil>"}, statuses, "told once when it starts failing, once when it recovers")
	})
}

func TestRefusedDocumentIsParsedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		src := &source{load: func(context.Context) ([]byte, error) {
			if time.Since(began) < time.Minute {
				return []byte("one"), nil
			}
			return []byte("two"), nil
		}}
		k := live.Start(t.Context(), src, live.Options[string]{
			Logger: quiet,
			Parse: func(_ string, data []byte, prev *string) (*string, []error, error) {
				if prev != nil && time.Since(began) < 2*time.Minute {
					return nil, nil, errors.New("held back")
				}
				s := string(data)
				return &s, nil, nil
			},
		})
		defer k.Close()
		time.Sleep(90 * time.Second)
		require.Equal(t, "one", value(k))
		require.ErrorContains(t, k.Status().Err, "held back")
		time.Sleep(60 * time.Second)
		require.Equal(t, "two", value(k))
	})
}

func TestStartOrder(t *testing.T) {
	t.Parallel()
	down := func(context.Context) ([]byte, error) { return nil, errors.New("down") }
	t.Run("last good copy, then fallback, then nothing", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "last-good.yaml")

		k := start(t, &source{load: down}, live.Options[string]{Name: "doc", LastGood: path})
		require.EqualError(t, k.Ready(t.Context()), "doc: down")
		require.Nil(t, k.Snapshot())

		k = start(t, &source{load: down}, live.Options[string]{LastGood: path, Fallback: []byte("fallback")})
		require.NoError(t, k.Ready(t.Context()))
		require.Equal(t, live.FromFallback, k.Snapshot().Origin)
		require.EqualError(t, k.Status().Err, "*live_test.source: down", "the source is failing all the same")

		k = start(t, live.Bytes("doc", []byte("from source")), live.Options[string]{LastGood: path})
		require.NoError(t, k.Ready(t.Context()))
		require.NoError(t, k.Close())
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

		k = start(t, &source{load: down}, live.Options[string]{LastGood: path, Fallback: []byte("fallback")})
		require.NoError(t, k.Ready(t.Context()))
		require.Equal(t, "from source", value(k))
		require.Equal(t, live.FromLastGood, k.Snapshot().Origin)

		require.NoError(t, os.WriteFile(path, []byte("bad copy"), 0o600))
		k = start(t, &source{load: down}, live.Options[string]{LastGood: path, Fallback: []byte("fallback")})
		require.NoError(t, k.Ready(t.Context()))
		require.Equal(t, live.FromFallback, k.Snapshot().Origin)
	})
	t.Run("a copy that cannot be written does not refuse the document", func(t *testing.T) {
		t.Parallel()
		k := start(t, live.Bytes("doc", []byte("x")), live.Options[string]{LastGood: filepath.Join(t.TempDir(), "no", "such", "folder")})
		require.NoError(t, k.Ready(t.Context()))
		require.Equal(t, "x", value(k))
		require.Eventually(t, func() bool { return k.Status().SaveErr != nil }, 5*time.Second, time.Millisecond)
	})
	t.Run("recovery replaces what stood in, even with the same content", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			src := &source{load: func(context.Context) ([]byte, error) {
				if time.Since(began) < 5*time.Second {
					return nil, errors.New("down")
				}
				return []byte("fallback"), nil
			}}
			k := start(t, src, live.Options[string]{Fallback: []byte("fallback")})
			require.NoError(t, k.Ready(t.Context()))
			require.Equal(t, live.FromFallback, k.Snapshot().Origin)
			time.Sleep(20 * time.Second)
			require.Equal(t, live.FromSource, k.Snapshot().Origin)
		})
	})
	t.Run("while there is nothing, it tries again soon", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			src := &source{load: down}
			k := start(t, src, live.Options[string]{})
			require.Error(t, k.Ready(t.Context()))
			time.Sleep(9500 * time.Millisecond) // each second, varied by a tenth
			require.InDelta(t, 10, src.calls.Load(), 1)
		})
	})
}

// A parser that needs an earlier document gets the last good copy at a start.
func TestRefusedDocumentIsParsedAfterTheCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.WriteFile(path, []byte("good"), 0o600))
		parse := func(_ string, data []byte, prev *string) (*string, []error, error) {
			if value := string(data); prev != nil || value == "good" {
				return &value, nil, nil
			}
			return nil, nil, errors.New("refused")
		}
		src := &source{load: func(context.Context) ([]byte, error) { return []byte("partly good"), nil }}
		k := live.Start(t.Context(), src, live.Options[string]{Name: "doc", LastGood: path, Parse: parse, Logger: quiet})
		defer k.Close()
		require.NoError(t, k.Ready(t.Context()))
		require.Equal(t, "partly good", value(k))
		require.Equal(t, live.FromSource, k.Snapshot().Origin)
		require.NoError(t, k.Status().Err)
		require.Equal(t, int32(1), src.calls.Load())
		require.Empty(t, k.Problems())
	})
}

func TestSourceThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hang atomic.Bool
		src := &source{load: func(context.Context) ([]byte, error) {
			if hang.Load() {
				<-release
				return []byte("late"), nil
			}
			return []byte("doc"), nil
		}}
		k := start(t, src, live.Options[string]{Name: "doc"})
		require.NoError(t, k.Ready(t.Context()))
		hang.Store(true)
		time.Sleep(time.Minute)
		require.ErrorIs(t, k.Status().Err, live.ErrBusy)
		require.Equal(t, uint64(1), k.Status().Abandoned)
		require.Equal(t, int32(2), src.calls.Load(), "never called while it has not returned")
		time.Sleep(time.Hour)
		require.Equal(t, int32(2), src.calls.Load())
		require.Equal(t, "doc", value(k))

		hang.Store(false)
		close(release)
		time.Sleep(time.Second) // its return wakes the keeper
		require.NoError(t, k.Status().Err)
		require.Equal(t, int32(3), src.calls.Load())
		require.Equal(t, "doc", value(k), "what came late is not believed")
	})
}

func TestCloseDoesNotWaitForEverAndLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		src := &source{load: func(context.Context) ([]byte, error) { <-release; return nil, errors.New("late") }}
		k := start(t, src, live.Options[string]{})
		began := time.Now()
		require.NoError(t, k.Close())
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, k.Close())
		require.ErrorIs(t, k.Ready(t.Context()), context.Canceled)
		close(release)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		k := live.Start(ctx, &source{load: func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}, live.Options[string]{Parse: text, Logger: quiet})
		why := errors.New("enough")
		cancel(why)
		synctest.Wait() // the bubble ends only if all goroutines have ended
		require.ErrorIs(t, k.Ready(t.Context()), why)
	})
}

func TestReadyHeedsItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := start(t, &source{load: func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}, live.Options[string]{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, k.Ready(ctx), context.DeadlineExceeded)
	})
}

func TestStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		src := &source{load: func(context.Context) ([]byte, error) {
			if age := time.Since(began); age > 30*time.Second && age < 5*time.Minute {
				return nil, errors.New("down")
			}
			return []byte("doc"), nil
		}}
		type seen struct {
			at     time.Duration
			stale  bool
			lost   bool
			failed bool
		}
		var told []seen
		k := start(t, src, live.Options[string]{StaleAfter: 2 * time.Minute, LostAfter: 4 * time.Minute, OnStatus: func(s live.Status) {
			told = append(told, seen{time.Since(began).Truncate(time.Minute), s.Stale, s.Lost, s.Err != nil})
		}})
		time.Sleep(10 * time.Minute)
		require.False(t, k.Status().Stale)
		require.Equal(t, []seen{{0, false, false, true}, {2 * time.Minute, true, false, true}, {4 * time.Minute, true, true, true}, {5 * time.Minute, false, false, false}}, told)
	})
}

// bell is a source with a watch that the test controls.
type bell struct {
	source
	watch func(ctx context.Context, changed func()) error
}

func (b *bell) Watch(ctx context.Context, changed func()) error { return b.watch(ctx, changed) }

func TestWatchIsADoorbell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ring := make(chan struct{})
		b := &bell{
			source: source{load: func(context.Context) ([]byte, error) { return []byte("doc"), nil }},
			watch: func(ctx context.Context, changed func()) error {
				for {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-ring:
						changed()
					}
				}
			},
		}
		k := start(t, b, live.Options[string]{Poll: time.Hour})
		require.NoError(t, k.Ready(t.Context()))
		for range 5 {
			ring <- struct{}{}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, int32(2), b.calls.Load(), "five rings in a row are one load")
		for range 100 { // events that never stop do not block the load: it comes each 510 ms
			ring <- struct{}{}
			time.Sleep(30 * time.Millisecond)
		}
		require.Equal(t, int32(7), b.calls.Load())
	})
}

func TestWatchThatFailsOrPanicsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var watches atomic.Int32
		b := &bell{
			source: source{load: func(context.Context) ([]byte, error) { return []byte("doc"), nil }},
			watch: func(context.Context, func()) error {
				if watches.Add(1)%2 == 0 {
					panic("boom")
				}
				return errors.New("no watch here")
			},
		}
		k := start(t, b, live.Options[string]{})
		time.Sleep(10 * time.Second) // at 0, 1, 3 and 7 seconds
		require.Equal(t, int32(4), watches.Load())
		require.Equal(t, "doc", value(k))
	})
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	k := start(t, live.Bytes("doc", make([]byte, live.MaxBytes+1)), live.Options[string]{})
	require.ErrorIs(t, k.Ready(t.Context()), live.ErrTooLarge)
}
