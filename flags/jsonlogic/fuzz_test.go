package jsonlogic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// FuzzCompileEval checks for any rule on any data: it never panics, errors have this package's type,
// and Eval, a second Eval and Explain agree.
func FuzzCompileEval(f *testing.F) { fuzzDialect(f, jsonlogic.DialectStandard) }

// FuzzFlagd is FuzzCompileEval in the dialect of flagd.
func FuzzFlagd(f *testing.F) { fuzzDialect(f, jsonlogic.DialectFlagd) }

func fuzzDialect(f *testing.F, dialect jsonlogic.Dialect) {
	for _, rule := range []string{
		hotRule, `{"var": ["a.b.0", 1]}`, `{"var": [{"var": "p"}]}`, `{"missing": ["a.b", "x", ["l"]]}`, `{"missing_some": [1, {"var": "l"}]}`,
		`{"cat": [{"var": ""}, 1e400]}`, `{"cat": [{"var": "l"}, [1, null]]}`, `{"substr": [{"var": "t"}, -2, {"var": "n"}]}`,
		`{"<": ["1", 2, [3]]}`, `{"<=": [1, "x"]}`, `{">": [{"var": "t"}, "\ud83d\ude00"]}`, `{">=": [null]}`,
		`{"==": [[[]], 0]}`, `{"===": [{"var": "l"}, {"var": "l"}]}`, `{"!=": ["0x1", 1]}`, `{"!==": [null]}`,
		`{"!": []}`, `{"!!": {"and": []}}`, `{"or": [0, {"var": "t"}]}`, `{"?:": [0, 1]}`,
		`{"+": ["1e5x", {"var": "n"}]}`, `{"-": [{"var": "t"}]}`, `{"*": ["2", "Infinity"]}`, `{"/": [1, {"var": "n"}]}`, `{"%": [7, -3]}`, `{"min": [1, "x"]}`, `{"max": []}`,
		`{"map": [{"var": "l"}, {"map": [[1], {"var": ""}]}]}`, `{"filter": [{"var": "l"}, {"var": "0"}]}`, `{"all": [{"var": "l"}, true]}`, `{"some": [{"var": "l"}, {"==": [{"var": ""}, 1]}]}`, `{"none": [[1], 0]}`,
		`{"reduce": [{"var": "l"}, [{"var": ""}, {"var": "accumulator"}], []]}`, `{"reduce": [{"var": "l"}, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "x"]}`,
		`{"merge": [{"var": "l"}, 1]}`, `{"in": [1, {"var": "l"}]}`, `{"in": ["x", ["x", "y"]]}`, `{"log": {"var": "a"}}`,
		`{"custom": [[{"var": "a"}, 1], {"var": "l"}]}`, `{"and": [{">=": [{"var": "n"}, 0]}, {"!=": [{"var": "t"}, "a"]}, {"in": [{"var": "t"}, ["a"]]}, {"isText": {"var": "t"}}]}`,
		`[[[]]]`, `"\ud800"`, `{"":1}`, `{"a/~":1}`,
	} {
		f.Add(rule, `{"a": {"b": [1, null, "x"]}, "l": [1, [2], "", {"a": 1}], "n": -0.0, "p": "a.b", "t": "a\u00e9\ud83d\ude00\ufb01"}`)
	}
	for _, rule := range []string{
		`{">": [65, {"var": "n"}, 18, 1]}`, `{"+": {"var": "l"}}`, `{"-": {"merge": [1, [2]]}}`, `{"*": {"var": "x"}}`, `{"/": [2, null]}`, `{"%": {"var": "l"}}`, `{"max": {"var": "l"}}`,
		`{"in": {"var": "l"}}`, `{"substr": {"var": "l"}}`, `{"cat": {"var": "l"}}`, `{"custom": {"var": "l"}}`, `{"isText": {"var": "l"}}`, `{"missing_some": {"var": "l"}}`,
		`{"==": [{"var": "l"}, {"==": [null, {"var": "t"}]}]}`, `{"reduce": [{"var": "l"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}]}`, `{"some": ["abc", {"%": []}]}`,
		`{"if": [{"a": 1, "b": 2}, {"var": ["t", {"max": []}]}]}`, `{"!": [1, {"/": [1, 0]}]}`, `{"missing": [["a"], null, [1, 2]]}`,
	} {
		f.Add(rule, `{"l": [1, [2], "", {"a": 1}], "n": -0.0, "t": ""}`)
	}
	opts := &jsonlogic.Options{
		Dialect:  dialect,
		MaxSteps: 10_000,
		MaxText:  10_000,
		MaxDepth: 100,
		Log:      func(v any) { _ = fmt.Sprint(v) },
		Operators: map[string]jsonlogic.Operator{"custom": func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
			return func(s *jsonlogic.Scope) (any, error) {
				var results []any
				for _, arg := range args {
					s.Note("argument", arg.Eval(s))
					items, _ := arg.Items()
					for _, item := range items {
						results = append(results, item.Eval(s))
					}
				}
				return results, nil
			}, nil
		}},
	}
	opts.Predicates = map[string]jsonlogic.Predicate{"isText": isText}
	f.Fuzz(func(t *testing.T, rule, text string) {
		var data any
		_ = json.Unmarshal([]byte(text), &data)
		r, err := jsonlogic.Compile([]byte(rule), opts)
		if err != nil {
			var fault *jsonlogic.Error
			require.ErrorAs(t, err, &fault)
			return
		}
		first, err := r.Eval(data)
		if err != nil {
			var fault *jsonlogic.Error
			require.ErrorAs(t, err, &fault)
			require.True(t, errors.Is(err, jsonlogic.ErrTooManySteps) || errors.Is(err, jsonlogic.ErrTextTooLong) || errors.Is(err, jsonlogic.ErrResultTooDeep) || dialect == jsonlogic.DialectFlagd && errors.Is(err, jsonlogic.ErrInvalidArguments), err)
		}
		second, again := r.Eval(data)
		require.Equal(t, err, again)
		require.Equal(t, fmt.Sprint(first), fmt.Sprint(second))
		explained, trace, again := r.Explain(data)
		require.Equal(t, err, again)
		require.Equal(t, fmt.Sprint(first), fmt.Sprint(explained))
		asJSON, err := json.Marshal(trace)
		require.NoError(t, err)
		require.Less(t, len(asJSON), 16<<20)
		require.NotEmpty(t, trace.String())
	})
}
