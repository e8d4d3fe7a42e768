package flagd_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
)

// TestAgreesWithBothEngines draws expressions without bias. Where flagd's Go core and its
// JavaScript core give the same value, or both give an error, so does upkeep.
func TestAgreesWithBothEngines(t *testing.T) {
	js := startJS(t)
	flagdInUse.Lock()
	defer flagdInUse.Unlock()
	const each = 50 // expressions of a document
	agreed, differing := 0, 0
	for seed := range testsize.Pick(400, 4000, 40_000) / each {
		g := seeded(uint64(seed))
		definitions := map[string]any{}
		var asks []asked
		evalCtx := g.drawnContext()
		for i := range each {
			key := fmt.Sprintf("flag-%02d", i)
			definitions[key] = g.drawnFlag(1 + g.choose(4))
			asks = append(asks, asked{key, "any", evalCtx})
		}
		document := encode(map[string]any{"flags": definitions})
		theirs, err := js.ask(t, document, asks)
		require.NoError(t, err)
		require.NoError(t, setFlagd(document))
		p := open(t, document)
		for i, a := range asks {
			want, got := askFlagd(a.Key, "any", evalCtx), ask(p, a.Key, "any", evalCtx)
			if !sameAnswer(want, theirs[i]) {
				continue
			}
			if agreed++; sameAnswer(want, got) {
				continue
			}
			if differing++; differing <= 40 {
				t.Errorf("seed %d: %s\n  context %s\n  both    %+v\n  upkeep  %+v", seed, encode(definitions[a.Key].(map[string]any)["targeting"]), encode(evalCtx), want, got)
			}
		}
		require.NoError(t, p.Close())
	}
	t.Logf("of %d evaluations on which both engines agree %d differ", agreed, differing)
}

// sameAnswer compares all but the code of an error.
func sameAnswer(a, b outcome) bool {
	if a.Code != "" || b.Code != "" {
		return a.Code != "" && b.Code != ""
	}
	return a.equal(b)
}

var _ = slices.Sorted(maps.Keys(map[string]int{}))
