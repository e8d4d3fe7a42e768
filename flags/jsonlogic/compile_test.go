package jsonlogic_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
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

// TestSharedRules holds that a rule stands for what it was compiled from, with its own
// operators, in results and in explanations.
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

// TestSharedRulesAreBounded holds that sharing hides neither size nor depth.
func TestSharedRulesAreBounded(t *testing.T) {
	t.Parallel()
	rule, err := jsonlogic.CompileValue(map[string]any{"var": "x"}, nil)
	require.NoError(t, err)
	doubled := rule
	for doublings := 0; err == nil; doublings++ {
		require.Less(t, doublings, 40)
		doubled, err = jsonlogic.CompileValue(map[string]any{"or": []any{doubled, doubled}}, nil)
	}
	require.ErrorIs(t, err, jsonlogic.ErrTooLarge)

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
