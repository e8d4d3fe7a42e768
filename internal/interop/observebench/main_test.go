package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// racing is true under the race detector, which makes pools forget.
var racing bool

func TestRunPrintsEveryContender(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(&out, settings{rounds: 1, time: time.Microsecond, load: 20 * time.Millisecond}))
	require.Contains(t, out.String(), "captures on, the disk stalls\n")
	require.Contains(t, out.String(), "at most 5 % more p99 while the disk stalls: ")
	b, err := newBench()
	require.NoError(t, err)
	defer b.close()
	for _, table := range b.tables {
		require.Contains(t, out.String(), table.title+"\n")
		for _, c := range table.contenders {
			require.Contains(t, out.String(), c.name+"\n")
		}
		for _, g := range table.goals {
			require.Contains(t, out.String(), g.text+": ")
		}
	}
}

// Times depend on the machine and its load; allocations do not.
func TestGoalsForAllocationsAreMet(t *testing.T) {
	if racing {
		t.Skip("the race detector makes pools forget")
	}
	b, err := newBench()
	require.NoError(t, err)
	defer b.close()
	require.NoError(t, measureAll(b.tables, settings{rounds: 1, time: 10 * time.Millisecond}))
	goals := 0
	for _, table := range b.tables {
		for _, g := range table.goals {
			goals++
			require.LessOrEqual(t, g.value(table.cost(g.who), table.cost(g.over)).allocs, g.most.allocs, g.text)
		}
	}
	require.NotZero(t, goals)
}
