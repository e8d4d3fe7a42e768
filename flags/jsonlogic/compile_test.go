package jsonlogic_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

func TestCompileValue(t *testing.T) {
	t.Parallel()
	data := map[string]any{"x": "b", "n": 2.0}
	for name, c := range map[string]struct {
		rule, want any
	}{
		"null":              {nil, nil},
		"a number":          {1.5, 1.5},
		"an int":            {7, 7.0},
		"an operation":      {map[string]any{"in": []any{map[string]any{"var": "x"}, []any{"a", "b"}}}, true},
		"one argument":      {map[string]any{"var": "n"}, 2.0},
		"a list of rules":   {[]any{map[string]any{"var": "x"}, 1.0, []any{"c", 3}}, []any{"b", 1.0, []any{"c", 3.0}}},
		"an object is data": {map[string]any{"var": "x", "other": 1.0}, map[string]any{"var": "x", "other": 1.0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := jsonlogic.CompileValue(c.rule, nil)
			require.NoError(t, err)
			got, err := r.Eval(data)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	_, err := jsonlogic.CompileValue(map[string]any{"if": []any{true, map[string]any{"a/b": nil}}}, nil)
	require.EqualError(t, err, `jsonlogic: /if/1/a~1b: unknown operator "a/b"`)
	require.ErrorIs(t, err, jsonlogic.ErrUnknownOperator)
}

// TestSharedRules checks that a shared rule behaves like the rule that it was compiled from, with its
// own operators, in results and in explanations.
func TestSharedRules(t *testing.T) {
	t.Parallel()
	calls := 0
	twice := func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
		calls++
		return func(s *jsonlogic.Scope) (any, error) { return args[0].Eval(s), nil }, nil
	}
	shared, err := jsonlogic.Compile([]byte(`{"mine": [{"in": [{"var": "x"}, ["a", "b"]]}]}`), &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{"mine": twice}})
	require.NoError(t, err)
	whole, err := jsonlogic.Compile([]byte(`{"if": [{"mine": [{"in": [{"var": "x"}, ["a", "b"]]}]}, "yes", "no"]}`), &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{"mine": twice}})
	require.NoError(t, err)
	calls = 0
	r, err := jsonlogic.CompileValue(map[string]any{"if": []any{shared, "yes", "no"}}, nil)
	require.NoError(t, err)
	require.Zero(t, calls, "it is shared, not compiled anew")
	for x, want := range map[string]string{"a": "yes", "z": "no"} {
		data := map[string]any{"x": x}
		got, err := r.Eval(data)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, trace, err := r.Explain(data)
		require.NoError(t, err)
		_, wholeTrace, err := whole.Explain(data)
		require.NoError(t, err)
		require.Equal(t, wholeTrace, trace)
	}
	alone, err := jsonlogic.CompileValue(shared, nil)
	require.NoError(t, err)
	got, err := alone.Eval(map[string]any{"x": "a"})
	require.NoError(t, err)
	require.Equal(t, true, got)
}

// A shared rule still counts towards the bounds of work and depth.
func TestSharedRulesAreBounded(t *testing.T) {
	t.Parallel()
	rule, err := jsonlogic.CompileValue(map[string]any{"var": "x"}, nil)
	require.NoError(t, err)
	for name, double := range map[string]func(rule *jsonlogic.Rule) any{
		"operations":        func(rule *jsonlogic.Rule) any { return map[string]any{"or": []any{rule, rule}} },
		"lists":             func(rule *jsonlogic.Rule) any { return []any{rule, rule} },
		"elements of lists": func(rule *jsonlogic.Rule) any { return []any{map[string]any{"each": []any{rule, rule}}} },
		"loops":             func(rule *jsonlogic.Rule) any { return map[string]any{"map": []any{[]any{1.0, 2.0}, rule}} },
	} {
		doubled := rule
		for range 100 {
			doubled, err = jsonlogic.CompileValue(double(doubled), &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{"each": each}})
			require.NoError(t, err, name)
		}
		_, err = doubled.Eval(nil)
		require.ErrorIs(t, err, jsonlogic.ErrTooManySteps, name)
		_, trace, err := doubled.Explain(nil)
		require.ErrorIs(t, err, jsonlogic.ErrTooManySteps, name)
		require.NotEmpty(t, trace.String())
	}

	deep := rule
	for levels := 1; ; levels++ {
		next, err := jsonlogic.CompileValue(map[string]any{"!": deep}, nil)
		if levels < jsonlogic.DefaultMaxDepth {
			require.NoError(t, err)
			deep = next
			continue
		}
		require.ErrorIs(t, err, jsonlogic.ErrTooDeep)
		break
	}

	failing := errors.New("not here")
	_, err = jsonlogic.CompileValue(map[string]any{"mine": 1.0}, &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"mine": func([]jsonlogic.Arg) (jsonlogic.Func, error) { return nil, failing },
	}})
	require.ErrorIs(t, err, failing)
}

// each evaluates the elements of its arguments one by one.
func each(args []jsonlogic.Arg) (jsonlogic.Func, error) {
	return func(s *jsonlogic.Scope) (any, error) {
		for _, arg := range args {
			items, ok := arg.Items()
			if !ok {
				arg.Eval(s)
			}
			for _, item := range items {
				item.Eval(s)
			}
		}
		return nil, nil
	}, nil
}

// in over a long constant list is a look-up. It gives the same as comparing each element.
func TestInAgreesWithAScan(t *testing.T) {
	t.Parallel()
	type id string
	values := []any{
		nil, true, false, 0.0, math.Copysign(0, -1), 1.0, -1.0, 1.5, 1e300, math.NaN(), math.Inf(1), "", "0", "1", "true", "null", "a", "A", "é", "e\u0301",
		"\xff", strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("y", 5000),
		[]any{},
		[]any{1.0},
		[]any{"a"},
		map[string]any{},
		map[string]any{"a": 1.0, "b": 2.0},
		7, int64(1), uint8(1), float32(1.5), id("a"), time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC().Format(time.RFC3339), json.Number("1"), &struct{ A int }{1},
	}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range testsize.Pick(300, 3000, 30_000) {
		list := make([]any, random.IntN(30))
		for i := range list {
			list[i] = values[random.IntN(len(values))]
		}
		data := map[string]any{"list": list, "needle": values[random.IntN(len(values))]}
		var results []any
		for _, rule := range []any{
			map[string]any{"in": []any{map[string]any{"var": "needle"}, map[string]any{"var": "list"}}}, // compares each element
			map[string]any{"in": []any{map[string]any{"var": "needle"}, list}},
			map[string]any{"in": []any{map[string]any{"or": []any{false, map[string]any{"var": "needle"}}}, list}},
		} {
			r, err := jsonlogic.CompileValue(rule, nil)
			require.NoError(t, err)
			result, err := r.Eval(data)
			require.NoError(t, err)
			explained, _, err := r.Explain(data)
			require.NoError(t, err)
			require.Equal(t, result, explained)
			results = append(results, result)
		}
		require.Equal(t, []any{results[0], results[0], results[0]}, results, "%v in %v", data["needle"], list)
		if results[0] == true {
			found++
		}
	}
	require.Greater(t, found, 50)
}
