package observe_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSetLevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		ctx := context.Background()
		plain := k.obs.Logger()
		sql := plain.With("logger", "sql")
		set := func(name string, level slog.Level, d time.Duration) {
			t.Helper()
			require.NoError(t, k.obs.SetLevel(name, level, d))
		}
		enabled := func(l *slog.Logger) (lowest slog.Level) {
			for lowest = slog.LevelError; l.Enabled(ctx, lowest-4); lowest -= 4 {
			}
			return lowest
		}
		requireLevels := func(wantPlain, wantSQL slog.Level, wantSet float64) {
			t.Helper()
			require.Equal(t, []slog.Level{wantPlain, wantSQL}, []slog.Level{enabled(plain), enabled(sql)})
			require.Equal(t, wantSQL, enabled(sql.With("a", 1).WithGroup("g")), "as the logger it was made from")
			require.Equal(t, wantSet, k.obs.Stats()["levels_set"])
		}
		requireLevels(slog.LevelInfo, slog.LevelInfo, 0)
		set("sql", slog.LevelDebug, time.Minute)
		requireLevels(slog.LevelInfo, slog.LevelDebug, 1)
		sql.Debug("raised")
		require.Equal(t, "sql", k.logs.line(t)["logger"])

		time.Sleep(time.Minute - time.Nanosecond)
		requireLevels(slog.LevelInfo, slog.LevelDebug, 1)
		time.Sleep(time.Nanosecond)
		requireLevels(slog.LevelInfo, slog.LevelInfo, 0)

		set("", slog.LevelDebug, time.Minute) // all but those with a level of their own
		set("sql", slog.LevelError, time.Second)
		requireLevels(slog.LevelDebug, slog.LevelError, 2)
		time.Sleep(time.Second)
		requireLevels(slog.LevelDebug, slog.LevelDebug, 1)
		set("", slog.LevelWarn, 0) // ends it
		requireLevels(slog.LevelInfo, slog.LevelInfo, 0)

		// The name must be a text outside of groups. The innermost name counts.
		set("sql", slog.LevelDebug, time.Minute)
		require.Equal(t, slog.LevelInfo, enabled(plain.WithGroup("g").With("logger", "sql")))
		require.Equal(t, slog.LevelInfo, enabled(plain.With("logger", 7)))
		require.Equal(t, slog.LevelInfo, enabled(sql.With("logger", "cache")))
	})
}

// What SetLevel keeps from being written may still explain a failure.
func TestSetLevelAndTail(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	require.NoError(t, k.obs.SetLevel("noisy", slog.LevelError, time.Hour))
	inJob(t, k.obs, true, func(ctx context.Context) {
		noisy := k.obs.Logger().With("logger", "noisy")
		noisy.InfoContext(context.Background(), "not kept")
		noisy.InfoContext(ctx, "kept")
	})
	require.Len(t, k.logs.kept(t), 1)
	require.Equal(t, "kept", k.logs.kept(t)[0]["msg"])
	require.Equal(t, true, k.logs.kept(t)[0]["tail"])
}

func TestSetLevelIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		require.ErrorContains(t, k.obs.SetLevel(strings.Repeat("x", 257), slog.LevelDebug, time.Hour), "256 bytes")
		for i := range 100 {
			require.NoError(t, k.obs.SetLevel(fmt.Sprint("logger", i), slog.LevelDebug, time.Hour))
		}
		require.ErrorContains(t, k.obs.SetLevel("one more", slog.LevelDebug, time.Hour), "100 levels")
		require.NoError(t, k.obs.SetLevel("logger7", slog.LevelDebug, 2*time.Hour), "it is set already")
		time.Sleep(time.Hour)
		require.Equal(t, 1.0, k.obs.Stats()["levels_set"])
		require.NoError(t, k.obs.SetLevel("one more", slog.LevelDebug, time.Hour))
	})
}
