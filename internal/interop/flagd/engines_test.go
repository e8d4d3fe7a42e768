package flagd_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-feature/flagd/core/pkg/model"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
)

// TestExpressionsAgreeWithBothEngines draws expressions at random. If flagd's Go core and its JavaScript
// core give the same value, or both an error, then upkeep does the same, except for the differences in
// rows.
func TestExpressionsAgreeWithBothEngines(t *testing.T) {
	js := startJS(t)
	const each = 50 // expressions per document
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

// TestDocumentsAgreeWithBothEngines does the same with whole documents, for all types in turn.
func TestDocumentsAgreeWithBothEngines(t *testing.T) {
	js := startJS(t)
	found := agreement{}
	for seed := range testsize.Pick[uint64](200, 2000, 20_000) {
		found.compare(t, js, seeded(seed+1_000_000).scenario(), []string{"any", "bool", "string", "float", "object"}, fmt.Sprintf("seed %d", seed))
	}
	found.hold(t)
}

// An agreement counts the evaluations on which both engines agree, and those among them on which upkeep
// differs.
type agreement struct {
	agreed  int
	differs map[string]int // explained by rows, by name
	others  int            // not explained
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
			asks = append(asks, asked{key, accessors[len(asks)%len(accessors)], evalCtx})
		}
	}
	theirs, err := js.ask(t, document, slices.Clone(asks))
	if setFlagd(document) != nil || err != nil {
		return // one engine refuses the document, but upkeep only the wrong flag
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
			a.others++
			t.Logf("%s: flag %s as %s\n  flag    %s\n  context %s\n  both    %+v\n  upkeep  %+v",
				from, one.Key, one.Type, encode(definitions[one.Key]), encode(one.Context), want, got)
			continue
		}
		if a.differs == nil {
			a.differs = map[string]int{}
		}
		a.differs[row]++
	}
}

// hold fails if there are too many differences.
func (a *agreement) hold(t *testing.T) {
	t.Helper()
	all := 0
	for _, row := range slices.Sorted(maps.Keys(a.differs)) {
		all += a.differs[row]
		t.Logf("%6d %s", a.differs[row], row)
	}
	t.Logf("of %d evaluations on which both engines agree %d differ, and %d that no row explains", a.agreed, all, a.others)
	require.Greater(t, a.agreed, 100)
	// Some random expressions are unexplained: mostly both engines refuse the rule, for different reasons.
	require.LessOrEqual(t, a.others*1000, a.agreed, "more than 0.1 %% are not in the table")
	require.LessOrEqual(t, all*250, a.agreed, "more than 0.4 %% differ")
}

// sameAnswer compares outcomes, except for the code of an error.
func sameAnswer(a, b outcome) bool {
	if a.Code != "" || b.Code != "" {
		return a.Code != "" && b.Code != ""
	}
	return a.equal(b)
}

// rows are the differences that remain. The documentation of package flags has the same list.
var rows = []struct {
	name string
	is   func(s scenario, one asked, want, got outcome) bool
}{
	{
		"A variant that is a list is an object. The Go core answers TYPE_MISMATCH.",
		func(_ scenario, one asked, want, got outcome) bool {
			return one.Type == "object" && want.Code == model.TypeMismatchErrorCode && isList(got.Value)
		},
	},
	{
		`The name of a variant may contain a character that JSON escapes (" \ < > &). The Go core does not find such a variant.`,
		func(_ scenario, _ asked, want, got outcome) bool {
			return want.Code == model.GeneralErrorCode && strings.ContainsAny(got.Variant, "\"<>&\\")
		},
	},
	{
		"A $ref inside $evaluators is resolved. The engines resolve it or not, depending on the order of a map.",
		func(s scenario, one asked, want, _ outcome) bool {
			rule := encode(s.document["flags"].(map[string]any)[one.Key].(map[string]any)["targeting"])
			return want.Code != "" && strings.Contains(string(rule), `{"$ref":"nested"}`)
		},
	},
	{
		"If the engines agree on the result of a rule, but not on the value of an operation inside it, the rule has the result of JsonLogic.",
		func(s scenario, one asked, _, _ outcome) bool {
			data := map[string]any{"$flagd": map[string]any{"flagKey": one.Key, "timestamp": 0.0}}
			maps.Copy(data, one.Context)
			rule := s.document["flags"].(map[string]any)[one.Key].(map[string]any)["targeting"]
			return differsInside(resolve(rule, s.document["$evaluators"], nil), data)
		},
	},
}

// remaining returns the row that explains a difference. Empty means that it is unexplained.
func remaining(s scenario, one asked, want, got outcome) string {
	for _, row := range rows {
		if row.is(s, one, want, got) {
			return row.name
		}
	}
	return ""
}

// differsInside reports whether the Go core and upkeep give different values for an operation inside the
// rule. The rule itself does not count, and neither does the condition of {"if": [condition, "a", "b"]}.
func differsInside(rule, data any) bool {
	op, args, _, _ := operation(rule)
	if op == "if" && len(args) == 3 && isText(args[1]) && isText(args[2]) {
		_, args, _, _ = operation(args[0])
	}
	return slices.ContainsFunc(args, func(arg any) bool { return differs(arg, data) })
}

func differs(rule, data any) bool {
	if list, ok := rule.([]any); ok {
		return slices.ContainsFunc(list, func(item any) bool { return differs(item, data) })
	}
	_, args, _, ok := operation(rule)
	if !ok {
		return false
	}
	return !evalOurs(rule, data).equal(evalTheirs(rule, data)) ||
		slices.ContainsFunc(args, func(arg any) bool { return differs(arg, data) })
}

// TestTableIsDocumented checks that the package documentation has exactly these rows.
func TestTableIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../flags/doc.go")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "// # Where flags and flagd differ\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "// # ")
	var documented []string
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "//"))
		switch {
		case strings.HasPrefix(line, "- "):
			documented = append(documented, strings.TrimPrefix(line, "- "))
		case len(documented) > 0 && line != "":
			documented[len(documented)-1] += " " + line
		}
	}
	var names []string
	for _, row := range rows {
		names = append(names, row.name)
	}
	require.Equal(t, names, documented)
}
