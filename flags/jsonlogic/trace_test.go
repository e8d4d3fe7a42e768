package jsonlogic_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

func explain(t *testing.T, rule string, data any, opts *jsonlogic.Options) *jsonlogic.Trace {
	t.Helper()
	r, err := jsonlogic.Compile([]byte(rule), opts)
	require.NoError(t, err)
	_, trace, err := r.Explain(data)
	require.NoError(t, err)
	return trace
}

func TestExplain(t *testing.T) {
	t.Parallel()
	trace := explain(t, hotRule, hotData(), nil)
	require.Equal(t, strings.TrimSpace(`
if → "iberia"
  and → true
    in → true
      var("country") → "ES"
      ["ES","PT","FR","DE"]
    > → true
      var("age") → 42
      17
    === → true
      var("account.plan") → "pro"
      "pro"
  "iberia"
`), trace.String())

	got, err := json.Marshal(explain(t, `{"or": [{"!": {"var": "a/b"}}, [{"var": "x"}, 2], 3]}`, map[string]any{"a/b": true}, nil))
	require.NoError(t, err)
	require.JSONEq(t, `{"path": "", "operator": "or", "result": [null, 2], "inputs": [
		{"path": "/or/0", "operator": "!", "result": false, "inputs": [
			{"path": "/or/0/!", "operator": "var", "result": true, "inputs": [{"path": "/or/0/!/var", "result": "a/b"}]}]},
		{"path": "/or/1", "result": [null, 2], "inputs": [
			{"path": "/or/1/0", "operator": "var", "result": null, "inputs": [{"path": "/or/1/0/var", "result": "x"}]},
			{"path": "/or/1/1", "result": 2}]}]}`, string(got))
}

func TestExplainEachElementOfALoop(t *testing.T) {
	t.Parallel()
	require.Equal(t, strings.TrimSpace(`
some → true
  var("l") → [1,2,3]
  > → false
    var("") → 1
    1
  > → true
    var("") → 2
    1
`), explain(t, `{"some": [{"var": "l"}, {">": [{"var": ""}, 1]}]}`, map[string]any{"l": []int{1, 2, 3}}, nil).String())
}

func TestExplainDataAlone(t *testing.T) {
	t.Parallel()
	trace := explain(t, `{"a": 1, "b": "<&>"}`, nil, nil)
	require.Equal(t, `{"a":1,"b":"<&>"}`, trace.String())
	require.Empty(t, trace.Operator)
	require.Empty(t, trace.Path)
}

func TestExplainNamesWhereAnEvaluationFailed(t *testing.T) {
	t.Parallel()
	opts := &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"fail": func([]jsonlogic.Arg) (jsonlogic.Func, error) {
			return func(*jsonlogic.Scope) (any, error) { return 1, errors.New("boom") }, nil
		},
	}}
	r, err := jsonlogic.Compile([]byte(`{"if": [{"==": [{"fail": []}, 1]}, 2, 3]}`), opts)
	require.NoError(t, err)
	result, trace, err := r.Explain(nil)
	require.EqualError(t, err, "boom")
	require.Nil(t, result)
	require.Equal(t, "if → null\n  == → null\n    fail() → failed: boom", trace.String())
	require.Equal(t, "boom", trace.Inputs[0].Inputs[0].Error)
}

func TestNotes(t *testing.T) {
	t.Parallel()
	weights := []int{25, 75}
	explaining := 0
	opts := &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"split": func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
			return func(s *jsonlogic.Scope) (any, error) {
				key := args[0].Eval(s)
				if s.Explaining() {
					explaining++
					s.Note("bucket", 7)
					s.Note("weights", weights)
				}
				s.Note("key", key)
				return args[1].Eval(s), nil
			}, nil
		},
	}}
	r, err := jsonlogic.Compile([]byte(`{"split": [{"cat": ["a", {"var": "k"}]}, "on", "off"]}`), opts)
	require.NoError(t, err)
	_, err = r.Eval(map[string]any{"k": "b"})
	require.NoError(t, err)
	require.Zero(t, explaining)

	_, trace, err := r.Explain(map[string]any{"k": "b"})
	require.NoError(t, err)
	require.Equal(t, 1, explaining)
	weights[0] = 0
	require.Equal(t, map[string]any{"bucket": 7.0, "weights": []any{25.0, 75.0}, "key": "ab"}, trace.Notes)
	require.Equal(t, strings.TrimSpace(`
split → "on"   # bucket: 7, key: "ab", weights: [25,75]
  cat → "ab"
    "a"
    var("k") → "b"
  "on"
`), trace.String())
}

func TestExplainCompilesAnew(t *testing.T) {
	t.Parallel()
	calls := 0
	opts := &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"once": func([]jsonlogic.Arg) (jsonlogic.Func, error) {
			if calls++; calls > 1 {
				return nil, errors.New("only once")
			}
			return func(*jsonlogic.Scope) (any, error) { return nil, nil }, nil
		},
	}}
	r, err := jsonlogic.Compile([]byte(`{"once": 1}`), opts)
	require.NoError(t, err)
	_, trace, err := r.Explain(nil)
	require.EqualError(t, err, "jsonlogic: /once: only once")
	require.Nil(t, trace)
}

// TestTraceIsBounded checks that a trace is bounded and can be encoded as JSON, whatever the data.
func TestTraceIsBounded(t *testing.T) {
	t.Parallel()
	long := make([]any, 10_000)
	wide := map[string]any{}
	for i := range long {
		long[i] = strings.Repeat("é", 1000)
		wide[strings.Repeat("k", i)] = i
	}
	var deep any = "bottom"
	for range 100_000 {
		deep = []any{deep}
	}
	cyclic := map[string]any{}
	cyclic["cyclic"] = cyclic
	data := map[string]any{
		"long": long, "wide": wide, "deep": deep, "cyclic": cyclic, "nan": math.NaN(), "inf": math.Inf(-1),
		"bad": "\xff", "object": fields{}, "func": func() {}, "struct": person{Name: "Ada"},
	}
	small := explain(t, `[{"var": "long"}, {"var": "wide"}, {"var": "deep"}, {"var": "nan"}, {"var": "inf"}, {"var": "bad"}, {"var": "object"}, {"var": "func"}, {"var": "struct.name"}]`, data, nil)
	_, err := json.Marshal(small)
	require.NoError(t, err)
	results := make([]any, len(small.Inputs))
	for i, in := range small.Inputs {
		results[i] = in.Result
	}
	list, ok := results[0].([]any)
	require.True(t, ok)
	require.Len(t, list, 101)
	require.Equal(t, strings.Repeat("é", 512)+"…", list[0])
	require.Equal(t, "…", list[100])
	require.Equal(t, []any{"…", "NaN", "-Infinity", "\ufffd", "[object Object]", nil, "Ada"}, append(results[1:2:2], results[3:]...))

	for _, rule := range []string{
		`{"var": ""}`,
		`[` + strings.Repeat(`{"var": "long"},`, 1000) + `1]`,
		`{"map": [{"var": "long"}, {"cat": [{"var": ""}, 1]}]}`,
		strings.Repeat(`{"!":`, 480) + `{"var": "cyclic"}` + strings.Repeat(`}`, 480),
		`{"map": [{"var": "long"}, ` + strings.Repeat(`{"!":`, 480) + `1` + strings.Repeat(`}`, 480) + `]}`,
	} {
		r, err := jsonlogic.Compile([]byte(rule), &jsonlogic.Options{MaxSteps: 100_000_000})
		require.NoError(t, err)
		_, trace, err := r.Explain(data)
		require.NoError(t, err)
		text, err := json.Marshal(trace)
		require.NoError(t, err)
		require.Less(t, len(text), 4<<20)
		require.Less(t, len(trace.String()), 4<<20)
	}
	trace := explain(t, `{"some": [{"var": "long"}, {"===": [{"var": ""}, 1]}]}`, data, nil)
	require.Positive(t, trace.Omitted)
	require.Contains(t, trace.String(), "more")
}
