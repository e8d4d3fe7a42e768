package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEnginesAgree checks that the flags mean the same in all engines: sharesOf fails for an engine with
// another share of users, or that ignores a condition.
func TestEnginesAgree(t *testing.T) {
	all, closeAll, err := engines(t.Context())
	require.NoError(t, err)
	t.Cleanup(closeAll)
	shares, err := sharesOf(all)
	require.NoError(t, err)
	require.Len(t, shares, len(all))

	off := engine{"off", func(string, user) func() bool { return func() bool { return false } }}
	_, err = sharesOf([]engine{off})
	require.ErrorContains(t, err, "off: flag")
}

func TestRunPrintsEveryEngineInEveryTable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, settings{rounds: 1, time: time.Microsecond, flags: 50, calls: 1000}))
	for _, r := range rows {
		require.Contains(t, out.String(), r.title+"\n")
	}
	for _, name := range []string{
		"upkeep, provider\n", "upkeep, bound handle\n", "upkeep, OpenFeature client\n", "OpenFeature in-memory provider\n",
		"GrowthBook", "LaunchDarkly", "Unleash", "GO Feature Flag", "flagd core",
	} {
		require.Equal(t, len(rows)+2, bytes.Count(out.Bytes(), []byte(name)), "%q in the shares, each table and the comparison\n%s", name, out.String())
	}
	require.Contains(t, out.String(), "JSON\n")
	require.Contains(t, out.String(), "YAML\n")
	require.Contains(t, out.String(), "while it reloads without pause\n")
}
