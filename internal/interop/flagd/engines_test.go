package flagd_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
)

// TestExpressionsAgreeWithBothEngines draws expressions without bias. Where flagd's Go core
// and its JavaScript core give the same value, or both an error, so does upkeep, but for the
// differences of the table.
func TestExpressionsAgreeWithBothEngines(t *testing.T) {
	js := startJS(t)
	const each = 50 // expressions of a document
	found := agreement{}
	for seed := range testsize.Pick(400, 4000, 40_000) / each {
		g := seeded(uint64(seed))
		definitions := map[string]any{}
		for i := range each {
			definitions[fmt.Sprintf("flag-%02d", i)] = g.drawnFlag(1 + g.choose(4))
		}
		s := scenario{document: map[string]any{"flags": definitions}, contexts: []map[string]any{g.drawnContext()}}
		found.compare(t, js, s, []string{"any"}, fmt.Sprintf("seed %d", seed))
	}
	found.hold(t)
}

// TestDocumentsAgreeWithBothEngines does the same with whole documents, asked for each type.
func TestDocumentsAgreeWithBothEngines(t *testing.T) {
	js := startJS(t)
	found := agreement{}
	for seed := range testsize.Pick[uint64](200, 2000, 20_000) {
		found.compare(t, js, seeded(seed+1_000_000).scenario(), []string{"any", "bool", "string", "float", "object"}, fmt.Sprintf("seed %d", seed))
	}
	found.hold(t)
}

// An agreement counts the evaluations on which both engines agree, and those of them on which
// upkeep differs by a row of the table.
type agreement struct {
	agreed  int
	differs map[string]int // by the row's name
}

func (a *agreement) compare(t *testing.T, js *jsCore, s scenario, accessors []string, from string) {
	t.Helper()
	flagdInUse.Lock()
	defer flagdInUse.Unlock()
	document := s.json()
	definitions := s.document["flags"].(map[string]any)
	var asks []asked
	for _, key := range slices.Sorted(maps.Keys(definitions)) {
		for _, evalCtx := range s.contexts {
			for _, accessor := range accessors {
				asks = append(asks, asked{key, accessor, evalCtx})
			}
		}
	}
	theirs, err := js.ask(t, document, slices.Clone(asks))
	if setFlagd(document) != nil || err != nil {
		return // one of them refuses the document: upkeep refuses the wrong flag alone
	}
	p := open(t, document)
	defer func() { require.NoError(t, p.Close()) }()
	for i, one := range asks {
		want := askFlagd(one.Key, one.Type, one.Context)
		if !sameAnswer(want, theirs[i]) {
			continue
		}
		a.agreed++
		got := ask(p, one.Key, one.Type, one.Context)
		if sameAnswer(want, got) {
			continue
		}
		row := remaining(s, one, want, got)
		if row == "" {
			t.Errorf("%s: flag %s as %s\n  flag    %s\n  context %s\n  both    %+v\n  upkeep  %+v",
				from, one.Key, one.Type, encode(definitions[one.Key]), encode(one.Context), want, got)
			continue
		}
		if a.differs == nil {
			a.differs = map[string]int{}
		}
		a.differs[row]++
	}
}

// hold fails where the table explains too much.
func (a *agreement) hold(t *testing.T) {
	t.Helper()
	all := 0
	for _, row := range slices.Sorted(maps.Keys(a.differs)) {
		all += a.differs[row]
		t.Logf("%6d %s", a.differs[row], row)
	}
	t.Logf("of %d evaluations on which both engines agree %d differ", a.agreed, all)
	require.Greater(t, a.agreed, 100)
	require.LessOrEqual(t, all*250, a.agreed, "more than 0.4 %% differ")
}

// sameAnswer compares all but the code of an error.
func sameAnswer(a, b outcome) bool {
	if a.Code != "" || b.Code != "" {
		return a.Code != "" && b.Code != ""
	}
	return a.equal(b)
}

func remaining(s scenario, one asked, want, got outcome) string { return "" }
