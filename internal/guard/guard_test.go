package guard_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/guard"
)

func TestParse(t *testing.T) {
	t.Parallel()
	g, faults := guard.Parse(map[string]any{
		"guard.treatment": "on", "guard.control": "off", "guard.harm": 0.02, "guard.alpha": 0.01, "guard.slow": "800ms", "owner": 5.0,
	})
	require.Empty(t, faults)
	require.Equal(t, guard.Guard{Treatment: "on", Control: "off", Harm: 0.02, Alpha: 0.01, Slow: 800 * time.Millisecond}, g)

	g, faults = guard.Parse(map[string]any{"guard.treatment": "on", "guard.control": "off"})
	require.Empty(t, faults)
	require.Equal(t, guard.Guard{Treatment: "on", Control: "off", Harm: 0.01, Alpha: 0.001}, g, "the defaults")

	require.True(t, guard.Has(map[string]any{"guard.x": 1}))
	require.False(t, guard.Has(map[string]any{"guards": 1, "guard": 1}))
	require.False(t, guard.Has(nil))
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`: "guard.control: is required; guard.treatment: is required",
		`{"guard.treatment": true, "guard.control": ""}`:      `guard.control: must be the name of a variant, a string, got ""; guard.treatment: must be the name of a variant, a string, got true`,
		`{"guard.treatment": "on", "guard.control": "on"}`:    `guard.control: must differ from guard.treatment, got "on" for both`,
		`{"guard.harm": 0, "guard.alpha": 1}`:                 "guard.alpha: must be a number above 0 and below 1, got 1; guard.harm: must be a number above 0 and below 1, got 0",
		`{"guard.harm": -0.1, "guard.alpha": "0.001"}`:        `guard.alpha: must be a number above 0 and below 1, got "0.001"; guard.harm: must be a number above 0 and below 1, got -0.1`,
		`{"guard.slow": 800}`:                                 `guard.slow: must be a duration such as "800ms" or "2s", got 800`,
		`{"guard.slow": "fast"}`:                              `guard.slow: must be a duration such as "90m", "2h" or "3d", got "fast"`,
		`{"guard.slow": "2h"}`:                                `guard.slow: must be at most 1h0m0s, got "2h"`,
		`{"guard.slow": "-1s"}`:                               `guard.slow: must be positive, got "-1s"`,
		`{"guard.treatmnt": "on"}`:                            `guard.treatmnt: unknown field "guard.treatmnt" (did you mean "guard.treatment"?)`,
		`{"guard.": 1, "guard.secret": 1}`:                    `guard.: unknown field "guard."; guard.secret: unknown field "guard.secret"`,
		`{"guard.harm": {"x": [1]}, "guard.alpha": null}`:     `guard.alpha: must be a number above 0 and below 1, got null; guard.harm: must be a number above 0 and below 1, got {"x":[1]}`,
		`{"guard.harm": "` + strings.Repeat("x", 1000) + `"}`: `guard.harm: must be a number above 0 and below 1, got "` + strings.Repeat("x", 79) + "…",
	} {
		metadata := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(text), &metadata))
		for _, key := range []string{guard.Treatment, guard.Control} {
			if _, ok := metadata[key]; !ok && text != "{}" {
				metadata[key] = map[string]any{guard.Treatment: "yes", guard.Control: "no"}[key]
			}
		}
		_, faults := guard.Parse(metadata)
		var got []string
		for _, f := range faults {
			got = append(got, f.Key+": "+f.Err.Error())
		}
		require.Equal(t, want, strings.Join(got, "; "), text)
	}
	_, faults := guard.Parse(map[string]any{"guard.treatment": "a", "guard.control": "b", "guard.harm": math.NaN()})
	require.Len(t, faults, 1)
}

// FuzzParse checks that a guard without faults is in its bounds.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"guard.treatment": "on", "guard.control": "off", "guard.harm": 0.01, "guard.alpha": 0.001, "guard.slow": "800ms"}`))
	f.Add([]byte(`{"guard.treatment": 1, "guard.contrl": "off", "guard.harm": 1e999, "guard.slow": "1d"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		metadata := map[string]any{}
		if json.Unmarshal(data, &metadata) != nil {
			return
		}
		g, faults := guard.Parse(metadata)
		for _, fault := range faults {
			require.True(t, strings.HasPrefix(fault.Key, guard.Prefix))
			require.Less(t, len(fault.Err.Error()), 1000)
		}
		if len(faults) > 0 {
			return
		}
		require.True(t, guard.Has(metadata))
		require.NotEmpty(t, g.Treatment)
		require.NotEmpty(t, g.Control)
		require.NotEqual(t, g.Treatment, g.Control)
		require.True(t, g.Harm > 0 && g.Harm < 1 && g.Alpha > 0 && g.Alpha < 1)
		require.True(t, g.Slow >= 0 && g.Slow <= time.Hour)
	})
}
