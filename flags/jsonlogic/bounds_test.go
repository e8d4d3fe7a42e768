package jsonlogic_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// TestBounds checks that an evaluation fails instead of running long, whether the rule or the data
// is hostile.
func TestBounds(t *testing.T) {
	t.Parallel()
	ones := make([]any, 100_000)
	for i := range ones {
		ones[i] = 1.0
	}
	var deep any = 1.0
	for range 100_000 {
		deep = []any{deep}
	}
	itself := []any{nil, 1.0}
	itself[0] = itself
	data := map[string]any{
		"ones": ones, "text": strings.Repeat("1", 1<<20), "path": strings.Repeat("a.", 1<<19), "deep": deep, "itself": itself,
		"lists": []any{ones, ones, ones},
	}
	twice := func(operation, with string, n int) string {
		return `{"` + operation + `": [` + strings.Repeat(with+",", n-1) + with + `]}`
	}
	for name, c := range map[string]struct {
		rule string
		want error // nil means that the evaluation succeeds
	}{
		"a loop that fits":                {`{"some": [{"var": "ones"}, false]}`, nil},
		"a loop":                          {`{"some": [{"var": "ones"}, {"<": [{"var": ""}, 0]}]}`, jsonlogic.ErrTooManySteps},
		"a loop in a loop":                {`{"map": [{"var": "lists"}, {"map": [{"var": ""}, 1]}]}`, jsonlogic.ErrTooManySteps},
		"a list scanned":                  {`{"in": [2, {"var": "ones"}]}`, nil},
		"a list scanned over and over":    {twice("or", `{"in": [2, {"var": "ones"}]}`, 1000), jsonlogic.ErrTooManySteps},
		"a text scanned over and over":    {twice("or", `{"in": ["2", {"var": "text"}]}`, 10_000), jsonlogic.ErrTooManySteps},
		"a text compared over and over":   {twice("and", `{"<": [{"var": "text"}, "2"]}`, 10_000), jsonlogic.ErrTooManySteps},
		"a number read over and over":     {twice("+", `{"var": "text"}`, 10_000), jsonlogic.ErrTooManySteps},
		"a number converted again":        {twice("max", `{"var": "text"}`, 10_000), jsonlogic.ErrTooManySteps},
		"a path walked over and over":     {twice("or", `{"var": {"var": "path"}}`, 10_000), jsonlogic.ErrTooManySteps},
		"a text cut over and over":        {twice("and", `{"substr": [{"var": "text"}, 1]}`, 10_000), jsonlogic.ErrTooManySteps},
		"keys looked for":                 {twice("and", `{"!": {"!": {"missing": {"var": "ones"}}}}`, 1000), jsonlogic.ErrTooManySteps},
		"lists merged":                    {twice("merge", `{"var": "ones"}`, 1000), jsonlogic.ErrTooManySteps},
		"a list that doubles":             {`{"reduce": [{"var": "ones"}, {"merge": [{"var": "accumulator"}, {"var": "accumulator"}]}, [1]]}`, jsonlogic.ErrTooManySteps},
		"a list in itself, twice":         {`{"reduce": [[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20], [{"var": "accumulator"}, {"var": "accumulator"}], 1]}`, jsonlogic.ErrTooManySteps},
		"the same, as a text":             {`{"cat": {"reduce": [[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20], [{"var": "accumulator"}, {"var": "accumulator"}], 1]}}`, jsonlogic.ErrTooManySteps},
		"the same, given to log":          {`{"!": {"log": {"reduce": [[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20], [{"var": "accumulator"}, {"var": "accumulator"}], 1]}}}`, jsonlogic.ErrTooManySteps},
		"objects in objects":              {`{"reduce": [{"merge": [` + strings.Repeat("1,", 300) + `1]}, {"var": ""}, 1]}`, jsonlogic.ErrResultTooDeep},
		"lists in lists":                  {`{"reduce": [{"merge": [` + strings.Repeat("1,", 300) + `1]}, [{"var": "accumulator"}], 1]}`, jsonlogic.ErrResultTooDeep},
		"a text that doubles":             {`{"reduce": [{"var": "ones"}, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "x"]}`, jsonlogic.ErrTextTooLong},
		"a text that grows":               {`{"reduce": [{"var": "ones"}, {"cat": [{"var": "accumulator"}, {"var": "current"}]}, ""]}`, jsonlogic.ErrTooManySteps},
		"texts joined":                    {`{"cat": [{"var": "text"}, "1"]}`, jsonlogic.ErrTextTooLong},
		"a text that just fits":           {`{"===": [{"cat": [{"var": "text"}]}, ""]}`, nil},
		"a list compared as a text":       {`{"==": [{"var": "lists"}, 1]}`, jsonlogic.ErrTooManySteps},
		"data too deep for a text":        {`{"==": [{"cat": {"var": "deep"}}, ""]}`, nil},
		"data that holds itself":          {`{"cat": {"var": "itself"}}`, nil},
		"data that holds itself, looping": {`{"map": [{"var": "itself"}, {"var": ""}]}`, jsonlogic.ErrResultTooDeep},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := jsonlogic.Compile([]byte(c.rule), &jsonlogic.Options{Log: func(any) {}})
			require.NoError(t, err)
			got, err := r.Eval(data)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Nil(t, got)
			var fault *jsonlogic.Error
			require.ErrorAs(t, err, &fault)
			require.Empty(t, fault.Path)

			_, trace, err := r.Explain(data)
			require.ErrorIs(t, err, c.want)
			require.NotNil(t, trace)
		})
	}
}

func TestBoundsAreOptions(t *testing.T) {
	t.Parallel()
	data := map[string]any{"l": []any{1.0, 2.0, 3.0}}
	const rule = `{"cat": {"map": [{"var": "l"}, {"var": ""}]}}`
	for _, c := range []struct {
		opts jsonlogic.Options
		want string
	}{
		{opts: jsonlogic.Options{MaxSteps: 12, MaxText: 5}}, // 3 × (element, var, its path), and 3 elements joined
		{opts: jsonlogic.Options{MaxSteps: 11, MaxText: 5}, want: "jsonlogic: the evaluation takes too many steps: at most 11"},
		{opts: jsonlogic.Options{MaxSteps: 12, MaxText: 4}, want: "jsonlogic: the evaluation builds too long a text: at most 4 bytes"},
		{opts: jsonlogic.Options{MaxSteps: -1, MaxText: -1}},
	} {
		r, err := jsonlogic.Compile([]byte(rule), &c.opts)
		require.NoError(t, err)
		got, err := r.Eval(data)
		if c.want != "" {
			require.EqualError(t, err, c.want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "1,2,3", got)
	}
}
