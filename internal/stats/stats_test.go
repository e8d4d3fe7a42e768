package stats_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/stats"
)

type pool struct{}

func (pool) Stats() map[string]float64 { return nil }

func TestSourceNamesTheFunction(t *testing.T) {
	t.Parallel()
	require.Equal(t, "internal/stats_test.pool.Stats", stats.Source(pool{}.Stats))
	require.Contains(t, stats.Source(func() map[string]float64 { return nil }), "internal/stats_test.TestSourceNamesTheFunction.func")
}

func TestMeaning(t *testing.T) {
	t.Parallel()
	require.Equal(t, "flags of the document", stats.Meaning("flags.(*Provider).Stats", "flags"))
	require.Empty(t, stats.Meaning("flags.(*Provider).Stats", "none"))
	require.Empty(t, stats.Meaning("main.stats", "flags"))
}
