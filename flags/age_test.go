package flags_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func TestAgeGrowsWithoutTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := flags.Open(t.Context(), &script{err: errors.New("down")}, &flags.Options{Fallback: []byte("flags: {}"), Logger: quiet})
		require.NoError(t, err)
		defer p.Close()
		time.Sleep(time.Hour)
		require.InDelta(t, 3600, p.Stats()["age_seconds"], 1)
	})
}

func TestSmallNumberNamesItsVariant(t *testing.T) {
	t.Parallel()
	p, err := flags.Open(t.Context(), flags.Bytes("x.json", []byte(`{"flags":{"f":{"variants":{"1e-7":true},"targeting":{"+":[1e-7]}}}}`)), &flags.Options{Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, "1e-7", p.Evaluate(t.Context(), "f", nil).Variant)
}
