package jsonlogic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

func eval(t testing.TB, rule string, data any) any {
	t.Helper()
	r, err := jsonlogic.Compile([]byte(rule), nil)
	require.NoError(t, err, rule)
	v, err := r.Eval(data)
	require.NoError(t, err, rule)
	return v
}

// TestOfficialCases runs the official cases, which are outside the repository, next to it.
func TestOfficialCases(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "..", "shared", "conformance", "jsonlogic", "compatible.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the official JsonLogic cases are not beside this checkout: ../shared/conformance/jsonlogic/compatible.json")
	}
	require.NoError(t, err)
	var cases []json.RawMessage
	require.NoError(t, json.Unmarshal(text, &cases))
	ran := 0
	for _, raw := range cases {
		var c struct {
			Description string
			Rule        json.RawMessage
			Data        any
			Result      any
			Error       any
		}
		if raw[0] == '"' {
			continue // a heading
		}
		require.NoError(t, json.Unmarshal(raw, &c))
		r, err := jsonlogic.Compile(c.Rule, nil)
		require.NoError(t, err, "%s", c.Rule)
		require.Nil(t, c.Error, "%s", c.Rule)
		got, err := r.Eval(c.Data)
		require.NoError(t, err)
		require.Equal(t, c.Result, got, "%s: %s on %v", c.Description, c.Rule, c.Data)
		explained, _, err := r.Explain(c.Data)
		require.NoError(t, err)
		require.Equal(t, c.Result, explained, "explaining %s on %v", c.Rule, c.Data)
		ran++
	}
	require.Equal(t, 278, ran)
}

// A row is a rule on data, both as JSON, and the result of the reference, json-logic-js 2.0.5. "NaN",
// "Infinity" and "-Infinity" mean the numbers.
type row struct{ rule, data, want string }

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, c := range rows {
		var data, want any
		require.NoError(t, json.Unmarshal([]byte(c.data), &data), c.data)
		require.NoError(t, json.Unmarshal([]byte(c.want), &want), c.want)
		r, err := jsonlogic.Compile([]byte(c.rule), nil)
		require.NoError(t, err, c.rule)
		got, err := r.Eval(data)
		require.NoError(t, err, c.rule)
		require.Equal(t, want, jsonOf(got), "%s on %s", c.rule, c.data)
		explained, _, err := r.Explain(data)
		require.NoError(t, err, c.rule)
		require.Equal(t, want, jsonOf(explained), "explaining %s on %s", c.rule, c.data)
	}
}

// jsonOf writes NaN and the infinities as a row does.
func jsonOf(v any) any {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		}
		return v + 0 // no negative zero
	case []any:
		list := []any{}
		for _, item := range v {
			list = append(list, jsonOf(item))
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for name, member := range v {
			object[name] = jsonOf(member)
		}
		return object
	}
	return v
}

func TestLooseEqualityConverts(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"==": [null, 0]}`, `null`, `false`},
		{`{"==": [null, false]}`, `null`, `false`},
		{`{"==": ["", 0]}`, `null`, `true`},
		{`{"==": [" 1 ", 1]}`, `null`, `true`},
		{`{"==": ["0x10", 16]}`, `null`, `true`},
		{`{"==": ["0b11", 3]}`, `null`, `true`},
		{`{"==": ["0o17", 15]}`, `null`, `true`},
		{`{"==": ["-0x10", -16]}`, `null`, `false`},
		{`{"==": ["0xfffffffffffffffff", 295147905179352830000]}`, `null`, `true`},
		{`{"==": ["1_0", 10]}`, `null`, `false`},
		{`{"==": ["1e1", 10]}`, `null`, `true`},
		{`{"==": ["5.", 5]}`, `null`, `true`},
		{`{"==": ["5x", 5]}`, `null`, `false`},
		{`{"==": ["inf", {"var": "big"}]}`, `{"big": 1e300}`, `false`},
		{`{"==": [true, "1"]}`, `null`, `true`},
		{`{"==": [[1], 1]}`, `null`, `true`},
		{`{"==": [[1], true]}`, `null`, `true`},
		{`{"==": [[1, 2], "1,2"]}`, `null`, `true`},
		{`{"==": [{"var": "o"}, "[object Object]"]}`, `{"o": {}}`, `true`},
		{`{"==": [{"var": "o"}, [{"var": "o"}]]}`, `{"o": {}}`, `false`},
		{`{"==": [[1], [1]]}`, `null`, `false`},
		{`{"==": [{"var": "l"}, {"var": "l"}]}`, `{"l": [1]}`, `true`},
		{`{"===": [{"var": "l"}, [1]]}`, `{"l": [1]}`, `false`},
		{`{"!=": [1, "1"]}`, `null`, `false`},
		{`{"!==": [1, "1"]}`, `null`, `true`},
		{`{"==": [1]}`, `null`, `false`},
		{`{"==": []}`, `null`, `true`},
		{`{"==": [null]}`, `null`, `true`},
		{`{"===": [null]}`, `null`, `false`}, // a missing argument is undefined
	})
}

func TestOrderConverts(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"<": ["10", "9"]}`, `null`, `true`},
		{`{"<": ["10", 9]}`, `null`, `false`},
		{`{"<": ["a", 9]}`, `null`, `false`},
		{`{">=": ["a", 9]}`, `null`, `false`},
		{`{"<=": [null, 0]}`, `null`, `true`},
		{`{"<": [[5], 10]}`, `null`, `true`},
		{`{"<": [[2], [10]]}`, `null`, `false`},               // as texts
		{`{"<": ["\ud83d\ude00", "\ufb01"]}`, `null`, `true`}, // surrogates come before U+FB01
		{`{"<": ["a", "ab"]}`, `null`, `true`},
		{`{"<": [1, 2, "x"]}`, `null`, `false`},
		{`{"<": [1, 2, null]}`, `null`, `false`},
		{`{"<": [1, 2, {"and": []}]}`, `null`, `true`},
		{`{"<=": [1, 1, 1]}`, `null`, `true`},
		{`{">": [3, 2, 5]}`, `null`, `true`}, // takes two arguments
		{`{">": [1]}`, `null`, `false`},
		{`{">": [{"var": "o"}, 1]}`, `{"o": {}}`, `false`},
	})
}

func TestTruth(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"!": []}`, `null`, `true`},
		{`{"!!": [[]]}`, `null`, `false`},
		{`{"!!": [[0]]}`, `null`, `true`},
		{`{"!!": "0"}`, `null`, `true`},
		{`{"!!": ""}`, `null`, `false`},
		{`{"!!": 0}`, `null`, `false`},
		{`{"!!": {"-": "x"}}`, `null`, `false`},
		{`{"!!": [{"var": "o"}]}`, `{"o": {}}`, `true`},
		{`{"if": [{"var": "l"}, 1, 2]}`, `{"l": []}`, `2`},
		{`{"and": []}`, `null`, `null`},
		{`{"or": []}`, `null`, `null`},
		{`{"and": [1, [], 3]}`, `null`, `[]`},
		{`{"or": [0, "", []]}`, `null`, `[]`},
		{`{"!": {"and": []}}`, `null`, `true`},
		{`{"if": []}`, `null`, `null`},
		{`{"if": [7]}`, `null`, `7`},
		{`{"if": [{"if": [0, 1, "x"]}, "yes", "no"]}`, `null`, `"yes"`},
		{`{"if": [{"and": [1, "x"]}, {"or": [0, 2]}]}`, `null`, `2`},
	})
}

func TestObjectWithSeveralKeysIsData(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{}`, `null`, `{}`},
		{`{"a": 1, "b": {"var": "x"}}`, `{"x": 1}`, `{"a": 1, "b": {"var": "x"}}`},
		{`[{"var": "x"}, [{"var": "y"}]]`, `{"x": 1, "y": 2}`, `[1, [2]]`},
		{`{"var": "rule"}`, `{"rule": {"var": "x"}, "x": 1}`, `{"var": "x"}`}, // data is never evaluated
		{`{"map": [{"var": "rules"}, {"var": ""}]}`, `{"rules": [{"+": [1, 2]}]}`, `[{"+": [1, 2]}]`},
	})
}

func TestVar(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"var": ""}`, `{"a": 1}`, `{"a": 1}`},
		{`{"var": []}`, `7`, `7`},
		{`{"var": null}`, `7`, `7`},
		{`{"var": [[]]}`, `{"": 1}`, `1`},
		{`{"var": 1}`, `["a", "b"]`, `"b"`},
		{`{"var": 1.1}`, `["a", ["b", "c"]]`, `"c"`},
		{`{"var": true}`, `{"true": 1}`, `1`},
		{`{"var": "a.b.1"}`, `{"a": {"b": [1, 2]}}`, `2`},
		{`{"var": "a.b.01"}`, `{"a": {"b": [1, 2]}}`, `null`},
		{`{"var": "a.b.-1"}`, `{"a": {"b": [1, 2]}}`, `null`},
		{`{"var": ["a.x", "d"]}`, `{"a": {}}`, `"d"`},
		{`{"var": ["a", "d"]}`, `{"a": null}`, `null`},
		{`{"var": ["a.b", "d"]}`, `{"a": null}`, `"d"`},
		{`{"var": ["a.b.c", "d"]}`, `{"a": "text"}`, `"d"`},
		{`{"var": ["", "d"]}`, `null`, `null`},
		{`{"var": {"var": "which"}}`, `{"which": "a", "a": 1}`, `1`},
		{`{"var": {"var": "which"}}`, `{"which": "a.1", "a": [1, 2]}`, `2`},
		{`{"var": {"var": "none"}}`, `{"a": 1}`, `{"a": 1}`},
		{`{"var": ["a", {"var": "b"}]}`, `{"b": 2}`, `2`},
		{`{"var": ["a", {"and": []}]}`, `null`, `null`},
		{`{"var": "a.b"}`, `{"a.b": 1}`, `null`},
	})
}

func TestMissingOnEvaluatedLists(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"missing": ["a", "b"]}`, `{"a": 1}`, `["b"]`},
		{`{"missing": [["a", "b"]]}`, `{"a": 1}`, `["b"]`},
		{`{"missing": [["a", "b"], "c"]}`, `{"a": 1}`, `["b"]`},
		{`{"missing": {"var": "keys"}}`, `{"keys": ["a", "keys.0", "x"]}`, `["a", "x"]`},
		{`{"missing": {"merge": ["a", {"if": [true, ["b"], []]}]}}`, `{"a": 1}`, `["b"]`},
		{`{"missing": ["a", "b", "c", "d"]}`, `{"a": null, "b": "", "c": 0, "d": false}`, `["a", "b"]`},
		{`{"missing": [0, 5]}`, `["x"]`, `[5]`},
		{`{"missing": []}`, `{}`, `[]`},
		{`{"missing": ["x", ["a", "otherwise"]]}`, `{}`, `["x"]`},
		{`{"map": [{"var": "l"}, {"missing": ["a", "b"]}]}`, `{"l": [{"a": 1}, {"b": 1}], "a": 1}`, `[["b"], ["a"]]`},
		{`{"missing_some": [1, ["a", "b"]]}`, `{"b": 1}`, `[]`},
		{`{"missing_some": [2, {"var": "keys"}]}`, `{"keys": ["a", "b"], "b": 1}`, `["a"]`},
		{`{"missing_some": ["1", ["a"]]}`, `{"a": 1}`, `[]`},
		{`{"missing_some": [0, []]}`, `{}`, `[]`},
		{`{"missing_some": [1, "a"]}`, `{}`, `["a"]`},
		{`{"missing_some": [1, 5]}`, `{}`, `[5]`},
	})
}

func TestLoopsSeeTheElementAlone(t *testing.T) {
	t.Parallel()
	const data = `{"l": [1, 2, 3], "o": [{"n": 1, "t": [1]}, {"n": 2, "t": []}], "x": 9}`
	check(t, []row{
		{`{"map": [{"var": "l"}, {"var": ""}]}`, data, `[1, 2, 3]`},
		{`{"map": [{"var": "l"}, {"var": "x"}]}`, data, `[null, null, null]`},
		{`{"map": [{"var": "o"}, {"map": [{"var": "t"}, {"+": [{"var": ""}, 1]}]}]}`, data, `[[2], []]`},
		{`{"map": [{"var": "none"}, 1]}`, data, `[]`},
		{`{"map": ["text", 1]}`, data, `[]`},
		{`{"map": [[1, 2]]}`, data, `[null, null]`},
		{`{"map": [[{"var": "x"}], {"var": ""}]}`, data, `[9]`},
		{`{"filter": [{"var": "o"}, {">": [{"var": "n"}, 1]}]}`, data, `[{"n": 2, "t": []}]`},
		{`{"filter": [{"var": "o"}, {"var": "t"}]}`, data, `[{"n": 1, "t": [1]}]`},
		{`{"filter": [{"var": "x"}, true]}`, data, `[]`},
		{`{"reduce": [{"var": "l"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}, {"var": "x"}]}`, data, `15`},
		{`{"reduce": [{"var": "l"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}]}`, data, `"NaN"`}, // from null
		{`{"reduce": [{"var": "l"}, {"var": "x"}, 0]}`, data, `null`},
		{`{"reduce": [{"var": "none"}, {"var": "current"}, 7]}`, data, `7`},
		{`{"reduce": [[], {"var": "current"}]}`, data, `null`},
		{`{"reduce": [{"var": "o"}, {"cat": [{"var": "accumulator"}, {"var": "current.n"}]}, ""]}`, data, `"12"`},
		{`{"reduce": [[1, 2], {"var": ""}, 0]}`, data, `{"current": 2, "accumulator": {"current": 1, "accumulator": 0}}`},
		{`{"all": [[], true]}`, data, `false`},
		{`{"all": [{"var": "none"}, true]}`, data, `false`},
		{`{"all": [{"var": "l"}, {">": [{"var": ""}, 0]}]}`, data, `true`},
		{`{"some": [[], true]}`, data, `false`},
		{`{"some": [{"var": "l"}, {">": [{"var": ""}, 2]}]}`, data, `true`},
		{`{"none": [[], true]}`, data, `true`},
		{`{"none": [{"var": "l"}, {">": [{"var": ""}, 2]}]}`, data, `false`},
		{`[{"some": [{"var": "l"}, {"var": ""}]}, {"var": "x"}]`, data, `[true, 9]`}, // and the scope ends with the loop
	})
}

func TestArithmetic(t *testing.T) {
	t.Parallel()
	check(t, []row{
		// Unary signs.
		{`{"+": "3.14"}`, `null`, `3.14`},
		{`{"+": [" -5 apples"]}`, `null`, `-5`},
		{`{"+": []}`, `null`, `0`},
		{`{"+": [true]}`, `null`, `"NaN"`},
		{`{"+": [null]}`, `null`, `"NaN"`},
		{`{"+": [""]}`, `null`, `"NaN"`},
		{`{"+": ["0x10"]}`, `null`, `0`},
		{`{"+": ["1e2x"]}`, `null`, `100`},
		{`{"+": ["1e"]}`, `null`, `1`},
		{`{"+": [".5"]}`, `null`, `0.5`},
		{`{"+": ["."]}`, `null`, `"NaN"`},
		{`{"+": ["-Infinityx"]}`, `null`, `"-Infinity"`},
		{`{"+": [[1, 2], 1]}`, `null`, `2`},
		{`{"-": "3"}`, `null`, `-3`},
		{`{"-": [null]}`, `null`, `0`},
		{`{"-": []}`, `null`, `"NaN"`},
		{`{"-": ["3x"]}`, `null`, `"NaN"`},
		{`{"-": [1, null]}`, `null`, `1`},
		{`{"-": [5, 3, 1]}`, `null`, `2`},
		// The others.
		{`{"*": ["2", "3 apples"]}`, `null`, `6`},
		{`{"*": ["2"]}`, `null`, `"2"`}, // unchanged
		{`{"/": [1, 0]}`, `null`, `"Infinity"`},
		{`{"/": [-1, 0]}`, `null`, `"-Infinity"`},
		{`{"/": [1]}`, `null`, `"NaN"`},
		{`{"/": ["", 2]}`, `null`, `0`},
		{`{"%": [-5, 3]}`, `null`, `-2`},
		{`{"%": [5.5, 2]}`, `null`, `1.5`},
		{`{"%": [1, 0]}`, `null`, `"NaN"`},
		{`{"max": []}`, `null`, `"-Infinity"`},
		{`{"min": []}`, `null`, `"Infinity"`},
		{`{"max": ["3", null, true]}`, `null`, `3`},
		{`{"min": ["3", null, true]}`, `null`, `0`},
		{`{"max": [{"/": [1, 0]}, "x"]}`, `null`, `"NaN"`},
		{`{"max": [[7], 3]}`, `null`, `7`},
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"merge": [1, [2, [3]], null]}`, `null`, `[1, 2, [3], null]`},
		{`{"merge": [{"var": "l"}, {"var": "o"}]}`, `{"l": [1], "o": {"a": 1}}`, `[1, {"a": 1}]`},
	})
}

func TestIn(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"in": [1, "a1b"]}`, `null`, `true`},
		{`{"in": [null, "is null"]}`, `null`, `true`},
		{`{"in": ["", "a"]}`, `null`, `true`},
		{`{"in": ["", ""]}`, `null`, `false`},
		{`{"in": ["1", [1, 2]]}`, `null`, `false`},
		{`{"in": [1, ["a", "b", "c", "d"]]}`, `null`, `false`},
		{`{"in": ["d", ["a", "b", "c", "d"]]}`, `null`, `true`},
		{`{"in": ["i", ["a", "b", "c", "d", "e", "f", "g", "h", "i"]]}`, `null`, `true`},
		{`{"in": ["z", ["a", "b", "c", "d", "e", "f", "g", "h", "i"]]}`, `null`, `false`},
		{`{"in": ["a", null]}`, `null`, `false`},
		{`{"in": ["a"]}`, `null`, `false`},
		{`{"in": ["a", {"var": "o"}]}`, `{"o": {"a": 1}}`, `false`},
		{`{"in": [{"var": "x"}, {"var": "l"}]}`, `{"x": 2, "l": [1, 2]}`, `true`},
		{`{"in": [{"-": ["x"]}, [{"-": ["x"]}]]}`, `null`, `false`}, // NaN is not NaN
	})
}

func TestCat(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"cat": [1.5, true, null, [1, [2, null]], 1e21, 1e-7, -0.0]}`, `null`, `"1.5true1,2,1e+211e-70"`},
		{`{"cat": []}`, `null`, `""`},
		{`{"cat": [{"var": "o"}, {"and": []}]}`, `{"o": {}}`, `"[object Object]"`},
		{`{"cat": [{"-": ["x"]}, {"/": [-1, 0]}]}`, `null`, `"NaN-Infinity"`},
	})
}

func TestSubstr(t *testing.T) {
	t.Parallel()
	check(t, []row{
		{`{"substr": ["abcdef", 2]}`, `null`, `"cdef"`},
		{`{"substr": ["abcdef", -2]}`, `null`, `"ef"`},
		{`{"substr": ["abcdef", -9]}`, `null`, `"abcdef"`},
		{`{"substr": ["abcdef", 9]}`, `null`, `""`},
		{`{"substr": ["abcdef", 1, -2]}`, `null`, `"bcd"`},
		{`{"substr": ["abcdef", 1, -9]}`, `null`, `""`},
		{`{"substr": ["abcdef", 1, 99]}`, `null`, `"bcdef"`},
		{`{"substr": ["abcdef", "1", "2"]}`, `null`, `"bc"`},
		{`{"substr": ["abcdef", 1.9, 2.9]}`, `null`, `"bc"`},
		{`{"substr": ["abcdef", 1, null]}`, `null`, `""`},
		{`{"substr": ["abcdef", "x"]}`, `null`, `"abcdef"`},
		{`{"substr": ["abcdef"]}`, `null`, `"abcdef"`},
		{`{"substr": ["abcdef", {"/": [-1, 0]}, {"/": [1, 0]}]}`, `null`, `"abcdef"`},
		{`{"substr": [12345, 1, 2]}`, `null`, `"23"`},
		{`{"substr": [null, 0, 2]}`, `null`, `"nu"`},
		{`{"substr": ["größe", -3, 2]}`, `null`, `"öß"`},
	})
}

// TestOtherThanTheReference has results that differ from the reference on purpose.
func TestOtherThanTheReference(t *testing.T) {
	t.Parallel()
	check(t, []row{
		// Characters, not UTF-16 code units: no Go string can hold half of one.
		{`{"substr": ["\ud83d\ude00bc", 1]}`, `null`, `"bc"`},
		{`{"substr": ["a\ud83d\ude00\ud83d\ude01", -1]}`, `null`, `"\ud83d\ude01"`},
		// A negative length is a number, even if it is written as a string.
		{`{"substr": ["abc", 0, "-1"]}`, `null`, `"ab"`},
		// The reference throws.
		{`{"*": []}`, `null`, `1`},
		{`{"in": ["a", 5]}`, `null`, `false`},
		{`{"missing_some": [1]}`, `{"x": 1}`, `[]`},
		// Strings and lists have no properties except a list's elements.
		{`{"var": "l.length"}`, `{"l": [1]}`, `null`},
		{`{"var": "t.0"}`, `{"t": "x"}`, `null`},
		{`{"var": "constructor"}`, `{}`, `null`},
		// A key that is an object is not evaluated as a rule.
		{`{"missing": [{"var": "k"}]}`, `{"k": {"var": "x"}, "x": "k"}`, `[{"var": "x"}]`},
	})
}

type named string

type embedded struct{ Inner int }

type person struct {
	embedded
	Name   named  `json:"name"`
	Hidden string `json:"-"`
	secret string
	Next   *person `json:"next,omitempty"`
	Tags   []named
}

type fields map[string]any

func (f fields) Get(name string) (any, bool) { v, ok := f["the "+name]; return v, ok }

type panics struct{}

func (panics) MarshalText() ([]byte, error) { panic("boom") }

func TestGoData(t *testing.T) {
	t.Parallel()
	five := 5
	var none *person
	type loop *loop
	var self loop
	self = &self
	list := []any{1}
	list[0] = list
	cyclic := &person{Name: "c"}
	cyclic.Next = cyclic
	data := map[string]any{
		"int8": int8(5), "uint": uint(5), "float32": float32(0.5), "number": json.Number("5"), "pointer": &five, "named": named("x"),
		"time": time.Date(2026, 12, 6, 2, 0, 0, 0, time.UTC), "addr": netip.MustParseAddr("127.0.0.1"),
		"strings": []string{"a", "b"}, "array": [2]int{1, 2}, "map": map[named]int{"k": 1}, "intmap": map[int]int{1: 1},
		"person": &person{embedded: embedded{7}, Name: "Ada", Hidden: "h", secret: "s", Next: &person{Name: "Bo"}, Tags: []named{"t"}},
		"none":   none, "chan": make(chan int), "func": func() {}, "object": fields{"the a": 1}, "raw": json.RawMessage(`{"a": [1]}`), "badraw": json.RawMessage(`{`),
		"self": &self, "list": list, "cyclic": cyclic, "panics": panics{}, "nan": math.NaN(), "complex": complex(1, 2), "badnumber": json.Number("x"),
	}
	for rule, want := range map[string]any{
		`{"var": "int8"}`: 5.0, `{"var": "uint"}`: 5.0, `{"var": "float32"}`: 0.5, `{"var": "number"}`: 5.0, `{"var": "pointer"}`: 5.0,
		`{"var": "named"}`: "x", `{"==": [{"var": "named"}, "x"]}`: true, `{"var": "time"}`: "2026-12-06T02:00:00Z", `{"var": "addr"}`: "127.0.0.1",
		`{"in": ["b", {"var": "strings"}]}`: true, `{"var": "strings"}`: []any{"a", "b"}, `{"var": "strings.1"}`: "b", `{"var": "strings.2"}`: nil,
		`{"var": "array"}`: []any{1.0, 2.0}, `{"var": "array.0"}`: 1.0, `{"var": "map.k"}`: 1.0, `{"var": "map"}`: map[string]any{"k": 1.0}, `{"var": "intmap"}`: nil, `{"var": "intmap.1"}`: nil,
		`{"var": "person.name"}`: "Ada", `{"var": "person.Name"}`: nil, `{"var": "person.Hidden"}`: nil, `{"var": "person.secret"}`: nil, `{"var": "person.Inner"}`: 7.0,
		`{"var": "person.next.name"}`: "Bo", `{"var": "person.next.next.name"}`: nil, `{"var": "person.Tags.0"}`: "t",
		`{"var": "none"}`: nil, `{"var": "none.name"}`: nil, `{"var": "chan"}`: nil, `{"var": "func"}`: nil, `{"!": {"var": "func"}}`: true, `{"var": "complex"}`: nil, `{"var": "badnumber"}`: nil,
		`{"var": "object.a"}`: 1.0, `{"var": "object.b"}`: nil, `{"!!": {"var": "object"}}`: true, `{"var": "raw.a"}`: nil, `{"var": "raw"}`: map[string]any{"a": []any{1.0}}, `{"var": "badraw"}`: nil,
		`{"var": "self"}`: nil, `{"var": "self.x"}`: nil, `{"cat": {"var": "list"}}`: "", `{"==": [{"var": "list"}, ""]}`: true, `{"var": "panics"}`: nil,
		`{"==": [{"var": "nan"}, {"var": "nan"}]}`: false, `{"!": {"var": "nan"}}`: true, `{"var": "cyclic.next.next.name"}`: "c",
	} {
		require.Equal(t, want, eval(t, rule, data), rule)
	}
	got, ok := eval(t, `{"var": "person"}`, data).(map[string]any)
	require.True(t, ok)
	require.Equal(t, map[string]any{"Inner": 7.0, "name": "Ada", "Tags": []any{"t"}, "next": map[string]any{"Inner": 0.0, "name": "Bo", "Tags": []any{}, "next": nil}}, got)
	require.NotNil(t, eval(t, `{"var": "cyclic"}`, data), "a walk over data that contains itself ends")
}

func TestFaults(t *testing.T) {
	t.Parallel()
	refuse := map[string]jsonlogic.Operator{
		"custom": func([]jsonlogic.Arg) (jsonlogic.Func, error) { return nil, errors.New("takes no such arguments") },
	}
	for _, c := range []struct {
		rule string
		opts jsonlogic.Options
		want string
		is   error
	}{
		{rule: ``, want: "jsonlogic: unexpected EOF"},
		{rule: `{"if": [`, want: "jsonlogic: unexpected EOF"},
		{rule: `1 2`, want: "jsonlogic: text after the rule"},
		{rule: `{"frobnicate": 1}`, want: `jsonlogic: /frobnicate: unknown operator "frobnicate"`, is: jsonlogic.ErrUnknownOperator},
		{rule: `{"if": [true, {"a/b~c": 1}]}`, want: `jsonlogic: /if/1/a~1b~0c: unknown operator "a/b~c"`, is: jsonlogic.ErrUnknownOperator},
		{rule: `{"!": {"frob": 1}}`, want: `jsonlogic: /!/frob: unknown operator "frob"`, is: jsonlogic.ErrUnknownOperator},
		{rule: `{"!": [{"frob": 1}]}`, want: `jsonlogic: /!/0/frob: unknown operator "frob"`, is: jsonlogic.ErrUnknownOperator},
		{rule: `{"method": ["x", "y"]}`, want: `jsonlogic: /method: unknown operator "method"`, is: jsonlogic.ErrUnknownOperator},
		{rule: `[{"custom": 1}]`, opts: jsonlogic.Options{Operators: refuse}, want: "jsonlogic: /0/custom: takes no such arguments"},
		{rule: `{"if": 1}`, opts: jsonlogic.Options{Predicates: map[string]jsonlogic.Predicate{"if": isText}}, want: `jsonlogic: /if: "if" is a standard operator and cannot be replaced`},
		{rule: `{"custom": 1}`, opts: jsonlogic.Options{Operators: refuse, Predicates: map[string]jsonlogic.Predicate{"custom": isText}}, want: `jsonlogic: /custom: "custom" is among both Operators and Predicates`},
		{rule: `{"isText": []}`, opts: jsonlogic.Options{Predicates: map[string]jsonlogic.Predicate{"isText": isText}}, want: "jsonlogic: /isText: wants an argument"},
		{rule: `{"if": 1}`, opts: jsonlogic.Options{Operators: map[string]jsonlogic.Operator{"if": refuse["custom"]}}, want: `jsonlogic: /if: "if" is a standard operator and cannot be replaced`},
		{rule: `[[[1]]]`, opts: jsonlogic.Options{MaxDepth: 2}, want: "jsonlogic: the rule is nested too deep: at most 2", is: jsonlogic.ErrTooDeep},
		{rule: `[1, 2]`, opts: jsonlogic.Options{MaxSize: 5}, want: "jsonlogic: the rule is too large: 6 bytes, at most 5", is: jsonlogic.ErrTooLarge},
		{rule: strings.Repeat(`{"!":`, 600) + "1" + strings.Repeat("}", 600), want: "jsonlogic: the rule is nested too deep: at most 500", is: jsonlogic.ErrTooDeep},
		{rule: strings.Repeat(`[`, 20_000) + strings.Repeat("]", 20_000), want: "jsonlogic: invalid character '[' exceeded max depth"},
	} {
		_, err := jsonlogic.Compile([]byte(c.rule), &c.opts)
		require.EqualError(t, err, c.want)
		var fault *jsonlogic.Error
		require.ErrorAs(t, err, &fault)
		if c.is != nil {
			require.ErrorIs(t, err, c.is)
		}
	}
}

func TestCustomOperators(t *testing.T) {
	t.Parallel()
	compiled, evaluated := 0, 0
	opts := &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"first": func(args []jsonlogic.Arg) (jsonlogic.Func, error) { // evaluates one element of a written list
			compiled++
			items, ok := args[0].Items()
			if !ok {
				return nil, errors.New("wants a list")
			}
			return func(s *jsonlogic.Scope) (any, error) { return items[0].Eval(s), nil }, nil
		},
		"count": func([]jsonlogic.Arg) (jsonlogic.Func, error) {
			return func(s *jsonlogic.Scope) (any, error) {
				evaluated++
				return fmt.Sprint(s.Var("who"), s.Var("nobody"), s.Data()), nil
			}, nil
		},
		"constant": func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
			v, ok := args[0].Const()
			return func(*jsonlogic.Scope) (any, error) { return []any{v, ok}, nil }, nil
		},
		"fail": func([]jsonlogic.Arg) (jsonlogic.Func, error) {
			return func(*jsonlogic.Scope) (any, error) { return nil, errors.New("failed") }, nil
		},
	}}
	run := func(rule string, data any) (any, error) {
		r, err := jsonlogic.Compile([]byte(rule), opts)
		require.NoError(t, err)
		return r.Eval(data)
	}
	v, err := run(`{"first": [[{"var": "a"}, {"fail": 1}]]}`, map[string]any{"a": 1})
	require.NoError(t, err)
	require.InDelta(t, 1, v, 0)
	require.Equal(t, 1, compiled)

	v, err = run(`{"count": []}`, map[string]any{"who": "Ada"})
	require.NoError(t, err)
	require.Equal(t, "Ada<nil> map[who:Ada]", v)

	for rule, want := range map[string][]any{
		`{"constant": 5}`:                {5.0, true},
		`{"constant": [[1, "a"]]}`:       {[]any{1.0, "a"}, true},
		`{"constant": {"var": "x"}}`:     {nil, false},
		`{"constant": [[{"var": "x"}]]}`: {nil, false},
	} {
		v, err = run(rule, nil)
		require.NoError(t, err)
		require.Equal(t, want, v, rule)
	}

	evaluated = 0
	_, err = run(`{"cat": [{"fail": 1}, {"count": 1}]}`, nil)
	require.EqualError(t, err, "failed")
	require.Zero(t, evaluated, "nothing more is called once an operator has failed")

	// Arguments that are not needed are not evaluated.
	v, err = run(`{"if": [true, 1, {"fail": 1}]}`, nil)
	require.NoError(t, err)
	require.InDelta(t, 1, v, 0)
	v, err = run(`{"or": [1, {"fail": 1}]}`, nil)
	require.NoError(t, err)
	require.InDelta(t, 1, v, 0)

	// Custom operators of one Compile are unknown to another.
	_, err = jsonlogic.Compile([]byte(`{"count": []}`), nil)
	require.ErrorIs(t, err, jsonlogic.ErrUnknownOperator)
}

func TestLazy(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string][]any{
		`{"if": [{"log": 1}, {"log": 2}, {"log": 3}]}`:                                                 {1.0, 2.0},
		`{"if": [{"log": 0}, {"log": 2}, {"log": ""}, {"log": 4}, {"log": 5}]}`:                        {0.0, "", 5.0},
		`{"and": [{"log": 1}, {"log": 0}, {"log": 3}]}`:                                                {1.0, 0.0},
		`{"or": [{"log": 0}, {"log": 1}, {"log": 3}]}`:                                                 {0.0, 1.0},
		`{"!!": {"and": [{"log": 1}, {"log": 0}, {"log": 3}]}}`:                                        {1.0, 0.0},
		`{"!!": {"or": [{"log": 0}, {"log": 1}, {"log": 3}]}}`:                                         {0.0, 1.0},
		`{"all": [[1, 2, 3], {"<": [{"log": {"var": ""}}, 2]}]}`:                                       {1.0, 2.0},
		`{"some": [[1, 2, 3], {">": [{"log": {"var": ""}}, 1]}]}`:                                      {1.0, 2.0},
		`{"none": [[1, 2, 3], {">": [{"log": {"var": ""}}, 1]}]}`:                                      {1.0, 2.0},
		`{"reduce": [{"log": [[1]]}, {"log": [{"var": "current"}]}, {"log": 2}]}`:                      {[]any{1.0}, 2.0, 1.0},
		`{"<": [{"log": 1}, {"log": 2}, {"log": 3}]}`:                                                  {1.0, 2.0, 3.0},
		`{"var": ["a", {"log": 1}]}`:                                                                   nil,
		`{"log": {"log": {"reduce": [[1], {"merge": [{"var": "accumulator"}, [[]]]}, {"var": "a"}]}}}`: {[]any{1.0, []any{}}, []any{1.0, []any{}}},
	} {
		for _, explain := range []bool{false, true} {
			var logged []any
			r, err := jsonlogic.Compile([]byte(rule), &jsonlogic.Options{Log: func(v any) { logged = append(logged, v) }})
			require.NoError(t, err)
			if explain {
				_, _, err = r.Explain(map[string]any{"a": 1})
			} else {
				_, err = r.Eval(map[string]any{"a": 1})
			}
			require.NoError(t, err)
			require.Equal(t, want, logged, rule)
		}
	}
	require.Equal(t, "x", eval(t, `{"log": "x"}`, nil), "without a hook")
}

func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	r, err := jsonlogic.Compile([]byte(`{"reduce": [{"var": "l"}, {"+": [{"var": "accumulator"}, {"var": "current"}]}, 0]}`), nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			data := map[string]any{"l": []int{g, 1, 2}}
			for range 100 {
				got, err := r.Eval(data)
				explained, trace, again := r.Explain(data)
				if got != float64(g+3) || explained != got || trace.Result != got || err != nil || again != nil {
					t.Errorf("%v, %v, %v, %v, %v", got, explained, trace.Result, err, again)
				}
			}
		})
	}
	wg.Wait()
}

func TestNothingIsAllocated(t *testing.T) {
	var data any = map[string]any{
		"country": "ES", "age": 42, "account": map[string]any{"plan": "pro"}, "named": 1.5,
		"list": []any{1.0, "two", map[string]any{"n": 3.0}},
	}
	for _, rule := range []string{
		hotRule,
		`{"var": "account.plan"}`,
		`{"var": ["nobody", "default"]}`,
		`{"if": [{"==": [{"var": "age"}, "42"]}, {"var": "country"}, 1]}`,
		`{"<": [{"-": [{"var": "age"}, 2]}, {"*": [{"max": [1, {"var": "named"}]}, 20]}, {"%": [7, 4]}]}`,
		`{"!": [{"in": ["S", {"var": "country"}]}]}`,
		`{"in": ["two", {"var": "list"}]}`,
		`{"missing": ["country", "account.plan"]}`,
		`{"missing_some": [1, ["country", "account.plan"]]}`,
		`{"===": [{"substr": [{"var": "country"}, -1]}, "S"]}`,
		`{"some": [{"var": "list"}, {"==": [{"var": "n"}, 3]}]}`,
		`{"all": [{"var": "list"}, {"!!": {"var": ""}}]}`,
		`{"none": [{"var": "list"}, {"!": {"var": ""}}]}`,
	} {
		r, err := jsonlogic.Compile([]byte(rule), nil)
		require.NoError(t, err)
		want, err := r.Eval(data)
		require.NoError(t, err)
		require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = r.Eval(data) }), "%s gives %v", rule, want)
	}
}

const hotRule = `{"if": [{"and": [{"in": [{"var": "country"}, ["ES", "PT", "FR", "DE"]]}, {">": [{"var": "age"}, 17]}, {"===": [{"var": "account.plan"}, "pro"]}]}, "iberia", "elsewhere"]}`

func hotData() map[string]any {
	return map[string]any{"country": "ES", "age": 42, "account": map[string]any{"plan": "pro"}}
}

func BenchmarkEval(b *testing.B) {
	r, err := jsonlogic.Compile([]byte(hotRule), nil)
	require.NoError(b, err)
	var data any = hotData()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Eval(data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEvalInAScopeOfOnesOwn(t *testing.T) {
	t.Parallel()
	failing := map[string]jsonlogic.Operator{"fail": func([]jsonlogic.Arg) (jsonlogic.Func, error) {
		return func(*jsonlogic.Scope) (any, error) { return nil, errors.New("failed") }, nil
	}}
	var scope jsonlogic.Scope
	for _, c := range []struct {
		rule string
		want any
	}{{`{"var": "x"}`, "X"}, {`{"fail": 1}`, nil}, {`{"cat": [{"var": "x"}, "!"]}`, "X!"}, {`5`, 5.0}} {
		r, err := jsonlogic.Compile([]byte(c.rule), &jsonlogic.Options{Operators: failing})
		require.NoError(t, err)
		got, err := r.EvalIn(&scope, map[string]any{"x": "X"})
		require.Equal(t, c.want, got)
		require.Equal(t, c.want == nil, err != nil, "an error of the evaluation before is over")
		require.Nil(t, scope.Data(), "nothing is kept")
	}
}

// isText reports whether its argument is a string; for null it is null.
func isText(args []jsonlogic.Arg) (func(s *jsonlogic.Scope) (holds, ok bool), error) {
	if len(args) == 0 {
		return nil, errors.New("wants an argument")
	}
	name, isField := args[0].Field()
	return func(s *jsonlogic.Scope) (holds, ok bool) {
		if isField {
			if _, is := s.Text(name); is {
				return true, true
			}
		}
		v := args[0].Eval(s)
		_, holds = v.(string)
		return holds, v != nil
	}, nil
}

func TestPredicates(t *testing.T) {
	t.Parallel()
	opts := &jsonlogic.Options{Predicates: map[string]jsonlogic.Predicate{"isText": isText}}
	for rule, want := range map[string]any{
		`{"isText": {"var": "t"}}`:                                true,
		`{"isText": {"var": "named"}}`:                            true,
		`{"isText": {"var": "n"}}`:                                false,
		`{"isText": {"var": "none"}}`:                             nil,
		`{"isText": {"var": ["none", "x"]}}`:                      true,
		`{"if": [{"isText": {"var": "t"}}, "yes", "no"]}`:         "yes",
		`{"if": [{"isText": {"var": "none"}}, "yes", "no"]}`:      "no",
		`{"cat": [{"isText": {"var": "n"}}]}`:                     "false",
		`{"!": {"isText": {"var": "n"}}}`:                         true,
		`{"map": [["a", 1], {"isText": {"var": ""}}]}`:            []any{true, false},
		`{"map": [{"var": "list"}, {"isText": {"var": "t"}}]}`:    []any{true, false, nil},
		`{"===": [{"isText": {"var": "none"}}, {"var": "none"}]}`: true,
	} {
		r, err := jsonlogic.Compile([]byte(rule), opts)
		require.NoError(t, err)
		data := map[string]any{"t": "x", "named": named("x"), "n": 1, "list": []any{map[string]any{"t": "y"}, map[string]any{"t": 2}, 3}}
		got, err := r.Eval(data)
		require.NoError(t, err)
		require.Equal(t, want, got, rule)
		got, _, err = r.Explain(data)
		require.NoError(t, err)
		require.Equal(t, want, got, "%s explained", rule)
	}
}

// fielder has fields in a map, and one field of its own.
type fielder map[string]any

func (f fielder) Get(name string) (any, bool) {
	if name == "$own" {
		return "own", true
	}
	v, ok := f[name]
	return v, ok
}

func (f fielder) Fields() map[string]any { return f }

// TestFieldsAreReadAsAnyOther checks that the fast form for {"var": name} gives the same as a path
// with a default, which uses the general form.
func TestFieldsAreReadAsAnyOther(t *testing.T) {
	t.Parallel()
	values := []any{
		nil, true, false, 0.0, -1.0, 17.5, 18.0, 19, int64(18), uint8(18), float32(18), math.NaN(), math.Inf(1), "", "18", "a", "b", "x18",
		named("a"), named("18"),
		[]any{},
		[]any{"a"},
		[]any{18.0},
		map[string]any{},
		time.Unix(0, 0).UTC(), json.Number("18"), make(chan int), strings.Repeat("a", 100),
	}
	constants := []string{"18", "0", "-0.5", `"a"`, `"18"`, `""`, "null", "true", `["a", "b", "18"]`, `["1","2","3","4","5","6","7","8","a"]`, "[18]", `"` + strings.Repeat("a", 100) + `"`}
	for _, op := range []string{"==", "!=", "===", "!==", "<", "<=", ">", ">=", "in", "missing", "!"} {
		for _, constant := range constants {
			compile := func(variable string) *jsonlogic.Rule {
				r, err := jsonlogic.Compile(fmt.Appendf(nil, `{%q: [%s, %s]}`, op, variable, constant), nil)
				require.NoError(t, err)
				return r
			}
			short, long := compile(`{"var": "x"}`), compile(`{"var": ["x", null]}`)
			for _, v := range values {
				want, err := long.Eval(map[string]any{"x": v})
				require.NoError(t, err)
				for _, data := range []any{map[string]any{"x": v}, fielder{"x": v}, struct {
					X any `json:"x"`
				}{v}} {
					got, err := short.Eval(data)
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("%#v", want), fmt.Sprintf("%#v", got), "%s of %#v and %s in %T", op, v, constant, data) // NaN is not equal to itself
				}
			}
			want, err := long.Eval(map[string]any{})
			require.NoError(t, err)
			got, err := short.Eval(fielder{})
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	own, err := jsonlogic.Compile([]byte(`[{"var": "$own"}, {"var": "x"}, {"var": "x.y"}]`), nil)
	require.NoError(t, err)
	got, err := own.Eval(fielder{"x": map[string]any{"y": 1.0}})
	require.NoError(t, err)
	require.Equal(t, []any{"own", map[string]any{"y": 1.0}, 1.0}, got)
}
