package flags_test

import (
	"fmt"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// TestTheSameMeaningAsFlagd has rules on which both of flagd's engines agree and JsonLogic's
// reference does not. Want is a variant of {"if": [rule, "a", "b"]}; Empty means an error, with the
// caller's default.
func TestTheSameMeaningAsFlagd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule    string
		context flags.Attributes
		want    string
	}{
		{`{">": [65, {"var": "age"}, 18]}`, flags.Attributes{"age": 10}, "b"},
		{`{">": [65, {"var": "age"}, 18]}`, flags.Attributes{"age": 40}, "a"},
		{`{">=": [65, {"var": "age"}, 18]}`, flags.Attributes{"age": 10}, "b"},
		{`{">=": [65, {"var": "age"}, 18]}`, flags.Attributes{"age": 65}, "a"},
		{`{">": [5, 4, 3, 9]}`, nil, "b"},
		{`{">": [{"-": [100, {"var": "used"}, {"var": "reserved"}]}, 10]}`, flags.Attributes{"used": 60, "reserved": 35}, "b"},
		{`{">": [{"/": [100, {"var": "used"}, 5]}, 3]}`, flags.Attributes{"used": 10}, "b"},
		{`{"==": [{"%": [17, 10, 4]}, 3]}`, nil, "a"},
		{`{">": [{"+": {"var": "scores"}}, 10]}`, flags.Attributes{"scores": []any{3.0, 9.0}}, "a"},
		{`{">": [{"+": {"var": "scores"}}, 10]}`, flags.Attributes{"scores": []float64{3, 9}}, "a"},
		{`{"==": [{"*": {"var": "scores"}}, 27]}`, flags.Attributes{"scores": []any{3.0, 9.0}}, "a"},
		{`{"==": [{"-": {"var": "scores"}}, -6]}`, flags.Attributes{"scores": []any{3.0, 9.0}}, "a"},
		{`{"==": [{"max": {"var": "scores"}}, 9]}`, flags.Attributes{"scores": []any{3.0, 9.0}}, "a"},
		{`{"==": [{"cat": {"var": "scores"}}, "39"]}`, flags.Attributes{"scores": []any{3.0, 9.0}}, "a"},
		{`{"in": {"var": "pair"}}`, flags.Attributes{"pair": []any{"a", []any{"a", "b"}}}, "a"},
		{`{"starts_with": {"var": "pair"}}`, flags.Attributes{"pair": []any{"abc", "ab"}}, "a"},
		{`{"sem_ver": {"var": "triple"}}`, flags.Attributes{"triple": []any{"1.2.3", ">", "1.2.2"}}, "a"},
		{`{"==": [{"var": ["plan", "free"]}, "free"]}`, flags.Attributes{"plan": nil}, "a"},
		{`{"==": [{"var": ["plan", "free"]}, "free"]}`, nil, "a"},
		{`{"var": ["plan", "free", 1]}`, flags.Attributes{"plan": nil}, "b"},
		{`{"var": ["plan", "free", 1]}`, nil, "a"},
		{`{"missing": ["email"]}`, flags.Attributes{"email": ""}, "b"},
		{`{"missing_some": [1, ["email", "phone"]]}`, flags.Attributes{"email": ""}, "b"},
		{`{"missing": [null]}`, nil, "a"},
		{`{"var": "profile"}`, flags.Attributes{"profile": map[string]any{}}, "b"},
		{`{"var": "profile"}`, flags.Attributes{"profile": map[string]string{}}, "b"},
		{`{"!": [{"var": "profile"}]}`, flags.Attributes{"profile": map[string]any{}}, "a"},
		{`{"and": [{"var": "profile"}, true]}`, flags.Attributes{"profile": map[string]any{}}, "b"},
		{`{"or": [{"var": "profile"}, false]}`, flags.Attributes{"profile": map[string]any{}}, "b"},
		{`{"!!": {"var": "profile"}}`, flags.Attributes{"profile": map[string]any{"x": nil}}, "a"},
		{`{"==": [{"+": ["", 1]}, 1]}`, nil, "a"},
		{`{"==": [{"*": ["2"]}, 2]}`, nil, "a"},
		{`{"<": [{"or": []}, 1]}`, nil, "a"},

		{`{"min": [1, {"var": "none"}]}`, nil, ""},
		{`{"max": [1, {"var": "list"}]}`, flags.Attributes{"list": []any{2.0}}, ""},
		{`{"==": [{"%": [{"var": "none"}, {"var": "none"}]}, 0]}`, nil, ""},
		{`{"==": [{"/": [2, {"var": "none"}]}, 0]}`, nil, ""},
		{`{"==": [{"%": [2, {"var": "none"}]}, 0]}`, nil, ""},
		{`{"%": [2]}`, nil, ""},
		{`{"substr": [{"var": "x"}, 0, 1]}`, flags.Attributes{"x": []any{"a"}}, ""},
		{`{"substr": [{"var": "x"}, 0, 1]}`, flags.Attributes{"x": map[string]any{"a": 1}}, ""},
		{`{"substr": [{"var": "x"}, 0, 1]}`, flags.Attributes{"x": true}, ""},
		{`{">": 5}`, nil, ""},
		{`{"==": {"var": "age"}}`, flags.Attributes{"age": 3}, ""},
		{`{"+": [{"var": "scores"}]}`, flags.Attributes{"scores": []any{3.0}}, ""},
		{`{"*": {"var": "age"}}`, flags.Attributes{"age": 3}, ""},
		{`{"and": true}`, nil, ""},
		{`{"if": {"var": "x"}}`, nil, ""},
		{`{"map": [{"var": "name"}, {"var": ""}]}`, flags.Attributes{"name": "Ada"}, ""},
		{`{"filter": [{"var": "age"}, true]}`, flags.Attributes{"age": 3}, ""},
		{`{"some": [{"var": "name"}, {"==": [{"var": ""}, "A"]}]}`, flags.Attributes{"name": "Ada"}, ""},
		{`{"reduce": [{"var": "age"}, {"var": "current"}, 0]}`, flags.Attributes{"age": 3}, ""},
		{`{"cat": {"var": "none"}}`, nil, ""},
		{`{"log": 1}`, nil, ""},
	} {
		name := fmt.Sprintf("%s on %v", c.rule, c.context)
		p := open(t, `{"flags": {"f": {"variants": {"a": "A", "b": "B", "c": "C"}, "defaultVariant": "c", "targeting": {"if": [`+c.rule+`, "a", "b"]}}}}`)
		got := p.Evaluate(t.Context(), "f", c.context)
		require.Equal(t, c.want, got.Variant, name)
		require.Equal(t, c.want == "", got.ErrorCode != "", name)
		if c.want == "" {
			require.Equal(t, "code", p.StringEvaluation(t.Context(), "f", "code", openfeature.FlattenedContext(c.context)).Value, name)
		}
		e := p.Explain(t.Context(), "f", c.context)
		require.Equal(t, got.Variant, e.Variant, name)
		require.Equal(t, got.ErrorCode, e.ErrorCode, name)
	}
}

// TestDisabledWithABrokenRule checks that a disabled flag is disabled whatever its rule, also if
// it had a good definition before.
func TestDisabledWithABrokenRule(t *testing.T) {
	t.Parallel()
	p := open(t, `{"flags": {"f": {"state": "DISABLED", "variants": {"a": "A"}, "defaultVariant": "a", "targeting": {"nothing": 1}}}}`)
	d := p.StringEvaluation(t.Context(), "f", "code", nil)
	require.Equal(t, "code", d.Value)
	require.EqualValues(t, "DISABLED", d.Reason)
	require.Len(t, p.Problems(), 1)
}

// TestLintMarksDifferences checks that Lint warns of each place where flags and flagd differ.
func TestLintMarksDifferences(t *testing.T) {
	t.Parallel()
	const doc = `{
	"$evaluators": {
		"inner": {"==": [{"var": "a"}, 1]},
		"outer": {"and": [{"$ref": "inner"}, true]}
	},
	"flags": {
		"f": {"state": "ENABLED", "variants": {"a\"b": true, "c": false}, "defaultVariant": "c", "targeting": {"if": [{"$ref": "outer"}, "a\"b"]}},
		"g": {"state": "ENABLED", "variants": {"l": [1]}, "defaultVariant": "l"}
	}}`
	var found []string
	for _, fault := range flags.Lint("flags.json", []byte(doc)) {
		require.Equal(t, flags.SeverityWarning, fault.Severity)
		found = append(found, fault.Error())
	}
	require.Equal(t, []string{
		`flags.json:4:21: $evaluators.outer: a reference inside of an evaluator: flagd's engines resolve it differently from run to run`,
		`flags.json:7:42: flag "f": variants: flagd's Go core does not find a variant whose name has a character that JSON escapes`,
		`flags.json:8:47: flag "g": variants: flagd does not have flags that are lists: put the list into a map`,
	}, found)
}
