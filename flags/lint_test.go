package flags_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func lint(doc string) []string {
	var all []string
	for _, p := range flags.Lint("f.yaml", []byte(doc)) {
		all = append(all, fmt.Sprint(p.Severity, " ", p))
	}
	return all
}

func TestLint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		doc  string
		want []string
	}{
		"good": {`
$schema: https://flagd.dev/schema/v0/flags.json
flags:
  switched: {variants: {"on": true, "off": false}, defaultVariant: "off", metadata: {expires: 2000-01-02}, state: ENABLED}
  ruled: {variants: {a: A, b: B, c: C}, defaultVariant: c, targeting: {if: [{$ref: staff}, a, {fractional: [[b, 1], [c, 99]]}]}, state: ENABLED}
  computed: {variants: {a: A, b: B}, defaultVariant: a, targeting: {cat: [{var: x}]}, state: ENABLED}
  answer: {variants: {"true": 1, "false": 0}, defaultVariant: "false", targeting: {"==": [{var: x}, 1]}, state: ENABLED}
  both: {variants: {"true": 1, "false": 0, a: 2}, defaultVariant: a, targeting: {and: [{in: [{var: x}, [1]]}, {if: [{var: y}, a]}]}, state: ENABLED}
  split: {variants: {a: A, b: B}, defaultVariant: a, targeting: {fractional: [{var: x}, [a, {var: w}], {var: entry}]}, state: ENABLED}
$evaluators:
  staff: {ends_with: [{var: email}, x]}
`, nil},
		"not a document": {"flags: [", []string{"error f.yaml:1: did not find expected node content"}},
		"no flags":       {"a: 1", []string{"error f.yaml:1:1: flags: is required"}},
		"broken": {`
flags:
  a: {variants: {x: 1}, defaultVariant: y, state: ENABLED}
  b: {variants: {x: 1}, targeting: {if: [{$ref: nobody}, x]}, state: ENABLED}
  c: {variants: {x: 1}, targeting: {if: [{$ref: staff}, {frobnicate: 1}]}, state: ENABLED}
$evaluators: {staff: {var: x}}
`, []string{
			`error f.yaml:3:41: flag "a": defaultVariant: "y" is not a variant`,
			`error f.yaml:4:49: flag "b": targeting: $ref: there is no evaluator "nobody"`,
			`error f.yaml:5:58: flag "c": targeting: jsonlogic: /if/1/frobnicate: unknown operator "frobnicate"`,
		}},
		"not a variant": {`
flags:
  a: {variants: {x: 1}, defaultVariant: x, targeting: {if: [{var: v}, z, 5]}, state: ENABLED}
  b: {variants: {x: 1}, defaultVariant: x, targeting: {starts_with: [{var: v}, s]}, state: ENABLED}
  c: {variants: {x: 1}, defaultVariant: x, targeting: {if: [{var: v}, [x]]}, state: ENABLED}
  d: {variants: {x: 1}, defaultVariant: x, targeting: {fractional: [[x, 1], [y, 1]]}, state: ENABLED}
`, []string{
			`warning f.yaml:3:18: flag "a": variants: nothing gives "x"`,
			`error f.yaml:3:71: flag "a": targeting: gives "z", which is not a variant`,
			`error f.yaml:3:74: flag "a": targeting: gives "5", which is not a variant`,
			`error f.yaml:4:55: flag "b": targeting: gives "true", which is not a variant`,
			`error f.yaml:4:55: flag "b": targeting: gives "false", which is not a variant`,
			`error f.yaml:5:71: flag "c": targeting: gives a list, which names no variant`,
			`error f.yaml:6:78: flag "d": targeting: gives "y", which is not a variant`,
		}},
		"never": {`
flags:
  a: {variants: {x: 1, y: 2, z: 3}, defaultVariant: z, targeting: {if: [true, x, y]}, state: ENABLED}
  b: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {if: ["", x]}, state: ENABLED}
  c: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {fractional: [[x, 0], [y, -1]]}, state: ENABLED}
  d: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {fractional: [[x, 0.5], [y, "1"], z, []]}, state: ENABLED}
  e: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {fractional: [[x, 2147483647], [y]]}, state: ENABLED}
`, []string{
			`warning f.yaml:3:24: flag "a": variants: nothing gives "y"`,
			`warning f.yaml:3:30: flag "a": variants: nothing gives "z"`,
			`warning f.yaml:3:82: flag "a": targeting: is never reached: the condition before is always true`,
			`warning f.yaml:4:18: flag "b": variants: nothing gives "x"`,
			`warning f.yaml:4:71: flag "b": targeting: is never reached: its condition is always false`,
			`warning f.yaml:5:61: flag "c": targeting: fractional without any weight gives null`,
			`warning f.yaml:5:79: flag "c": targeting: no user gets an entry with weight 0`,
			`warning f.yaml:5:87: flag "c": targeting: no user gets an entry with weight -1`,
			`error f.yaml:6:79: flag "d": targeting: a weight of fractional is a whole number; with 0.5 it gives null`,
			`error f.yaml:6:89: flag "d": targeting: a weight of fractional is a whole number; with "1" it gives null`,
			`error f.yaml:6:95: flag "d": targeting: an entry of fractional is [variant] or [variant, weight]; anything else gives null`,
			`error f.yaml:6:98: flag "d": targeting: an entry of fractional is [variant] or [variant, weight]; anything else gives null`,
			`error f.yaml:7:61: flag "e": targeting: the weights of fractional sum to 2147483648, more than 2^31−1: it gives null`,
		}},
		"hardly meant": {`
metdata: {a: 1}
flags:
  a: {variants: {x: 1, y: "2"}, defaultVariant: x, targetting: {if: [true, x]}, state: ENABLED}
  b: {variants: {x: 1}, state: ENABLED}
  c: {variants: {x: 1}, targeting: {if: [{var: v}, x]}, state: ENABLED}
  d: {state: DISABLED, variants: {x: 1}}
  e: {variants: {x: 1}, defaultVariant: x, metadata: {expires: 1999-12-31}, state: ENABLED}
  f: {variants: {x: 1}, defaultVariant: x, metadata: {expires: tomorrow}, state: ENABLED}
$evaluators:
  unused: {var: x}
  unused2: {$ref: unused}
`, []string{
			`error f.yaml:2:1: unknown field "metdata" (did you mean "metadata"?)`,
			`warning f.yaml:4:27: flag "a": variants: are of different types: a string after a number`,
			`error f.yaml:4:52: flag "a": unknown field "targetting" (did you mean "targeting"?)`,
			`warning f.yaml:5:3: flag "b": defaultVariant: missing: the code's default is used`,
			`warning f.yaml:6:3: flag "c": defaultVariant: missing: the code's default is used`,
			`warning f.yaml:8:64: flag "e": metadata.expires: has passed: 1999-12-31`,
			`warning f.yaml:9:64: flag "f": metadata.expires: must be a date of RFC 3339, got "tomorrow"`,
			`warning f.yaml:12:3: $evaluators: no rule refers to "unused2"`,
			`warning f.yaml:12:12: $evaluators.unused2: a reference inside of an evaluator: flagd's engines resolve it differently from run to run`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // the clock starts at 2000-01-01
				require.Equal(t, c.want, lint(c.doc))
			})
		})
	}
}

// lintRule returns what Lint finds in a condition.
func lintRule(cond string) []string {
	doc := `{"flags": {"f": {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "defaultVariant": "b", "targeting":
{"if": [
` + cond + `
, "a", "b"]}}}}`
	all := []string{}
	for _, p := range flags.Lint("f.json", []byte(doc)) {
		all = append(all, fmt.Sprint(p.Severity, " ", p.Err))
	}
	return all
}

// TestLintRules has, for each finding in a rule, similar rules that are right.
func TestLintRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong map[string]string // by condition
		right []string
	}{
		"operators of sem_ver": {
			map[string]string{
				`{"sem_ver": [{"var": "v"}, "=>", "1.2.3"]}`:                  `error sem_ver has the operators != < <= = > >= ^ ~, got "=>": it gives null`,
				`{"sem_ver": [{"var": "v"}, "*", "1.2.3"]}`:                   `error sem_ver has the operators != < <= = > >= ^ ~, got "*": it gives null`,
				`{"sem_ver": [{"var": "v"}, 1, "1.2.3"]}`:                     `error sem_ver has the operators != < <= = > >= ^ ~, got 1: it gives null`,
				`{"sem_ver": [{"var": "v"}, "1.2.3", "1.2.4"]}`:               `error sem_ver has the operators != < <= = > >= ^ ~, got "1.2.3": it gives null`,
				`{"!": {"sem_ver": [{"var": "v"}, "eq", "1.2.3"]}}`:           `error sem_ver has the operators != < <= = > >= ^ ~, got "eq": it gives null`,
				`{"sem_ver": [{"var": "v"}, {"+": [1]}, "1.2.3"]}`:            `error sem_ver has the operators != < <= = > >= ^ ~, got a number: it gives null`,
				`{"and": [true, {"sem_ver": [{"var": "v"}, "==", "1.2.3"]}]}`: `error sem_ver has the operators != < <= = > >= ^ ~, got "==": it gives null`,
			},
			[]string{`{"sem_ver": [{"var": "v"}, "^", "1.2.3"]}`, `{"sem_ver": [{"var": "v"}, "~", "v1.2"]}`, `{"sem_ver": [{"var": "v"}, {"var": "o"}, "1"]}`, `{"sem_ver": ["1.2.3-rc.1+b", "<=", {"var": "v"}]}`},
		},
		"versions": {
			map[string]string{
				`{"sem_ver": [{"var": "v"}, "=", "2.0.0.0"]}`:              `error sem_ver compares versions such as 1.4.0, got "2.0.0.0": it gives null`,
				`{"sem_ver": [{"var": "v"}, "=", ">=1.2.3"]}`:              `error sem_ver compares versions such as 1.4.0, got ">=1.2.3": it gives null`,
				`{"sem_ver": [{"var": "v"}, "=", "latest"]}`:               `error sem_ver compares versions such as 1.4.0, got "latest": it gives null`,
				`{"sem_ver": ["x", "=", {"var": "v"}]}`:                    `error sem_ver compares versions such as 1.4.0, got "x": it gives null`,
				`{"sem_ver": [{"var": "v"}, "=", null]}`:                   `error sem_ver compares versions such as 1.4.0, got null: it gives null`,
				`{"sem_ver": [{"var": "v"}, "=", ["1.2.3"]]}`:              `error sem_ver compares versions such as 1.4.0, got a list: it gives null`,
				`{"sem_ver": [{"var": "v"}, "=", 1.10]}`:                   `warning a version is a string: write it in quotes, because the number 1.10 is read as 1.1`,
				`{"sem_ver": [{"in": ["a", {"var": "v"}]}, "=", "1.2.3"]}`: `error sem_ver compares versions such as 1.4.0, got a boolean: it gives null`,
			},
			nil,
		},
		"numbers of arguments": {
			map[string]string{
				`{"sem_ver": [{"var": "v"}, "1.2.3"]}`:           "error sem_ver needs 3 arguments, got 2",
				`{"sem_ver": [{"var": "v"}, "=", "1.2.3", 1]}`:   "error sem_ver needs 3 arguments, got 4: it gives null",
				`{"starts_with": [{"var": "v"}]}`:                "error starts_with needs 2 arguments, got 1",
				`{"starts_with": {"var": "v"}}`:                  "error starts_with needs 2 arguments, got 1",
				`{"ends_with": ["a", {"var": "v"}, "c"]}`:        "error ends_with needs 2 arguments, got 3: it gives null",
				`{"ends_with": []}`:                              "error ends_with needs 2 arguments, got 0",
				`{"fractional": []}`:                             "error fractional needs at least 1, got 0",
				`{"fractional": [{"var": "v"}]}`:                 "error fractional needs at least two entries, got 0: it gives null",
				`{"fractional": [["a", 1]]}`:                     "warning fractional needs at least two entries, got 1",
				`{"==": [{"var": "v"}]}`:                         "error == needs 2 arguments, got 1",
				`{"===": [{"var": "v"}, 1, 2]}`:                  "warning === needs 2 arguments, got 3: engines differ in what they do with the others",
				`{"!=": []}`:                                     "error != needs 2 arguments, got 0",
				`{"<": [{"var": "v"}]}`:                          "error < needs 2 or 3 arguments, got 1",
				`{"<": [1, 2, {"var": "v"}, 3]}`:                 "warning < needs 2 or 3 arguments, got 4: engines differ in what they do with the others",
				`{"in": [{"var": "v"}]}`:                         "error in needs 2 arguments, got 1",
				`{"in": ["a", "b", {"var": "v"}]}`:               "warning in needs 2 arguments, got 3: engines differ in what they do with the others",
				`{"!": []}`:                                      "error ! needs 1 argument, got 0",
				`{"!": [{"var": "v"}, 1]}`:                       "warning ! needs 1 argument, got 2: engines differ in what they do with the others",
				`{"and": []}`:                                    "error and needs at least 1, got 0",
				`{"/": [{"var": "v"}]}`:                          "error / needs 2 arguments, got 1",
				`{"some": [{"var": "v"}]}`:                       "error some needs 2 arguments, got 1",
				`{"reduce": [{"var": "v"}, {"var": "current"}]}`: "error reduce needs 3 arguments, got 2",
				`{"substr": [{"var": "v"}]}`:                     "error substr needs 2 or 3 arguments, got 1",
				`{"var": ["a", "b", "c"]}`:                       "warning var needs 1 or 2 arguments, got 3: engines differ in what they do with the others",
				`{"missing_some": [1]}`:                          "error missing_some needs 2 arguments, got 1",
				`{">": [65, {"var": "v"}, 18]}`:                  "warning > with three arguments: engines have differed in whether the third counts, so write two comparisons",
				`{">=": [65, {"var": "v"}, 18]}`:                 "warning >= with three arguments: engines have differed in whether the third counts, so write two comparisons",
				`{">": [1, {"var": "v"}, 2, 3]}`:                 "warning > needs 2 or 3 arguments, got 4: engines differ in what they do with the others",
			},
			[]string{
				`{"<": [1, {"var": "v"}, 3]}`, `{"<=": [1, {"var": "v"}, 3]}`, `{"!": {"var": "v"}}`, `{"!!": [{"var": "v"}]}`, `{"var": "v"}`, `{"var": ["v", "free"]}`, `{"max": {"var": "list"}}`,
				`{"+": {"var": "scores"}}`, `{"+": ["3.14"]}`, `{"-": [{"var": "v"}]}`, `{"-": [100, {"var": "v"}, {"var": "w"}]}`, `{"cat": {"var": "v"}}`, `{"missing": ["a", "b.c"]}`, `{"missing": {"merge": ["a", {"var": "v"}]}}`,
				`{"reduce": [{"var": "l"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}, 0]}`, `{"substr": [{"var": "v"}, -2]}`, `{"if": [{"var": "v"}]}`, `{"and": [{"var": "v"}]}`,
			},
		},
		"constants that never match": {
			map[string]string{
				`{"starts_with": [{"var": "v"}, 0]}`:                                          `error starts_with needs two strings: with 0 it gives null`,
				`{"ends_with": [{"var": "v"}, null]}`:                                         `error ends_with needs two strings: with null it gives null`,
				`{"ends_with": [true, {"var": "v"}]}`:                                         `error ends_with needs two strings: with true it gives null`,
				`{"starts_with": [{"var": "v"}, ["a", "b"]]}`:                                 `error starts_with needs two strings: with a list it gives null`,
				`{"starts_with": [{"%": [{"var": "v"}, 2]}, "1"]}`:                            `error starts_with needs two strings: with a number it gives null`,
				`{"===": [{"cat": [{"var": "v"}]}, 1]}`:                                       `error can never be true: a string and 1 are never equal`,
				`{"==": [{"in": ["a", {"var": "v"}]}, "yes"]}`:                                `error can never be true: a boolean and "yes" are never equal`,
				`{"==": ["one", {"+": [{"var": "v"}, 1]}]}`:                                   `error can never be true: "one" and a number are never equal`,
				`{"===": [{"%": [{"var": "v"}, 2]}, "0"]}`:                                    `error can never be true: a number and "0" are never equal`,
				`{"!==": [{"%": [{"var": "v"}, 2]}, "0"]}`:                                    `error is always true: a number and "0" are never equal`,
				`{"===": [{"var": "v"}, ["a"]]}`:                                              `error can never be true: a value and a list are never equal`,
				`{"==": [{"var": "$flagd.flagKey"}, null]}`:                                   `warning compares constants, so it is the same for everybody`,
				`{"==": ["1", 2]}`:                                                            `warning compares constants, so it is the same for everybody`,
				`{"<": [1, 2]}`:                                                               `warning compares constants, so it is the same for everybody`,
				`{"==": [{"var": "v"}, {}]}`:                                                  `error can never be true: `,
				`{"==": [{"!": {"var": "v"}}, 2]}`:                                            `error can never be true: a boolean and 2 are never equal`,
				`{">": [{"*": [{"var": "v"}, 2]}, "high"]}`:                                   `error can never be true: "high" is not a number`,
				`{">": [{"var": "v"}, {}]}`:                                                   `error can never be true: an object has no order`,
				`{"in": [{"var": "v"}, 5]}`:                                                   `error in searches a list or a string, got 5: it can never be true`,
				`{"in": [{"var": "v"}, {"+": [1, {"var": "w"}]}]}`:                            `error in searches a list or a string, got a number: it can never be true`,
				`{"in": [{"var": "v"}, null]}`:                                                `error in searches a list or a string, got null: it can never be true`,
				`{"in": [{"var": "v"}, []]}`:                                                  `error in searches an empty list or string: it can never be true`,
				`{"in": [{"var": "v"}, ""]}`:                                                  `error in searches an empty list or string: it can never be true`,
				`{"in": [["a", "b"], {"var": "v"}]}`:                                          `error in never finds a list: are the arguments swapped?`,
				`{"in": [{"%": [{"var": "v"}, 10]}, ["1", "2"]]}`:                             `error in never finds a number in a list of a string`,
				`{"in": [{"substr": [{"var": "v"}, 0, 1]}, [1, 2]]}`:                          `error in never finds a string in a list of a number`,
				`{"in": ["a", ["b"]]}`:                                                        `warning looks for a constant in a constant, so it is the same for everybody`,
				`{"some": ["a", {"var": ""}]}`:                                                `error some loops over a list, got a string`,
				`{"+": [{"var": "v"}, "one"]}`:                                                `error + needs numbers, got "one"`,
				`{"max": [{"var": "v"}, null]}`:                                               `error max needs numbers, got null`,
				`{"min": [{"var": "v"}, [1, 2]]}`:                                             `warning min needs numbers, got a list`,
				`{"%": [{"var": "v"}, 0]}`:                                                    `error % by 0`,
				`{"==": [{"var": "$flagd.invalidProp"}, {"var": "v"}]}`:                       `error unknown field "$flagd.invalidProp": $flagd has flagKey and timestamp`,
				`{"==": [{"var": "$flagd.flagkey"}, {"var": "v"}]}`:                           `error unknown field "$flagd.flagkey" (did you mean "$flagd.flagKey"?): $flagd has flagKey and timestamp`,
				`{"some": [{"var": "l"}, {">": [{"var": "$flagd.timestamp"}, {"var": ""}]}]}`: `error inside a loop var sees only the element, so it gives null`,
				`{"var": true}`:                                                               `error var needs the name of an attribute, got a boolean`,
				`{"or": [true, {"var": "v"}]}`:                                                `warning is never reached: the argument before is always true`,
				`{"and": [false, {"var": "v"}]}`:                                              `warning is never reached: the argument before is always false`,
				`{"!": {"if": [true, {"var": "v"}, 1]}}`:                                      `warning is never reached: the condition before is always true`,
				`{"a": 1, "b": 2}`:                                                            `warning a map with several keys is data and not an operation: other engines refuse it`,
			},
			[]string{
				`{"starts_with": [{"var": "v"}, "0"]}`, `{"starts_with": [{"var": "v"}, {"var": "w"}]}`, `{"==": [{"var": "v"}, 1]}`, `{"==": [{"var": "v"}, null]}`, `{"===": [{"var": "v"}, true]}`, `{"==": [{"+": [{"var": "v"}]}, "5"]}`,
				`{"==": [{"!": {"var": "v"}}, 1]}`, `{"in": [{"var": "v"}, [1, "a", null]]}`, `{"in": ["@x.com", {"var": "email"}]}`, `{"in": [{"%": [{"var": "v"}, 2]}, [0]]}`, `{"in": [{"var": "v"}, {"var": "list"}]}`,
				`{">": [{"var": "v"}, "b"]}`, `{"==": [{"starts_with": [{"var": "v"}, "a"]}, null]}`, `{"all": [{"var": "l"}, {">": [{"var": ""}, 0]}]}`, `{"none": [["a", "b"], {"==": [{"var": ""}, "c"]}]}`, `{"-": ["5", {"var": "v"}]}`,
				`{"===": [{"if": [{"var": "v"}, 1, "a"]}, "a"]}`, `{"==": [{"var": "a"}, {"var": "b"}]}`, `{"===": [{"var": "a"}, {"map": [{"var": "l"}, 1]}]}`,
			},
		},
		"bucketing values": {
			map[string]string{
				`{"fractional": ["salt", ["a", 1], ["b", 1]]}`:                                     "error the bucketing value is the same for everybody, so all get the same variant",
				`{"fractional": [5, ["a", 1], ["b", 1]]}`:                                          "error the bucketing value is the same for everybody, so all get the same variant",
				`{"fractional": [{"cat": ["a", "b"]}, ["a", 1], ["b", 1]]}`:                        "error the bucketing value is the same for everybody, so all get the same variant",
				`{"fractional": [{"var": "$flagd.flagKey"}, ["a", 1], ["b", 1]]}`:                  "error the bucketing value is the same for everybody, so all get the same variant",
				`{"fractional": [{"cat": [{"var": "$flagd.flagKey"}, "-x"]}, ["a", 1], ["b", 1]]}`: "error the bucketing value is the same for everybody, so all get the same variant",
				`{"fractional": [{"var": "$flagd.timestamp"}, ["a", 1], ["b", 1]]}`:                "warning the bucketing value changes every second, so users do not keep their variant",
				`{"some": [{"var": "l"}, {"fractional": [["a", 1], ["b", 1]]}]}`:                   "error inside a loop fractional needs a bucketing value, because there is no targetingKey: it gives null",
				`{"fractional": [{"var": "v"}, ["a", 1, 2], ["b", 1]]}`:                            "warning an entry of fractional is [variant] or [variant, weight]: it is not read",
				`{"fractional": [{"var": "v"}, ["a", "25"], ["b", 1]]}`:                            `error a weight of fractional is a whole number; with "25" it gives null`,
			},
			[]string{
				`{"fractional": [["a", 1], ["b", 1]]}`, `{"fractional": [null, ["a", 1], ["b", 1]]}`, `{"fractional": [{"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]}, ["a"], ["b"]]}`,
				`{"fractional": [{"var": "email"}, ["a", 25], ["b", 75]]}`, `{"some": [{"var": "l"}, {"fractional": [{"var": "id"}, ["a", 1], ["b", 1]]}]}`,
			},
		},
		"times": {
			map[string]string{
				`{">": [{"var": "$flagd.timestamp"}, "2026-12-24"]}`:                         `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, got a string: write 1798070400`,
				`{">=": ["2026-12-24T00:00:00Z", {"var": "$flagd.timestamp"}]}`:              `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, got a string: write 1798070400`,
				`{"<": [{"var": ["$flagd.timestamp"]}, "2026-12-24 00:00:00"]}`:              `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, got a string: write 1798070400`,
				`{"==": [{"var": "$flagd.timestamp"}, "Christmas"]}`:                         `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, got "Christmas"`,
				`{"<": [1798070400000, {"var": "$flagd.timestamp"}]}`:                        `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, and 1798070400000 is beyond the year 5000: is it in milliseconds?`,
				`{"<": ["1798070400000", {"var": "$flagd.timestamp"}]}`:                      `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, and 1798070400000 is beyond the year 5000: is it in milliseconds?`,
				`{"<=": [1798070400, {"var": "$flagd.timestamp"}, 1798070400000]}`:           `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, and 1798070400000 is beyond the year 5000: is it in milliseconds?`,
				`{">": [{"var": "$flagd.timestamp"}, 1798070400000000]}`:                     `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, and 1798070400000000 is beyond the year 5000: is it in milliseconds?`,
				`{">": [{"-": [{"var": "$flagd.timestamp"}, 1798070400000]}, {"var": "v"}]}`: `error $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, and 1798070400000 is beyond the year 5000: is it in milliseconds?`,
				`{">": [{"var": "$flagd.timestamp"}, 20261224]}`:                             `warning $flagd.timestamp is in seconds since 1970-01-01T00:00:00Z, and 20261224 is before 2002`,
			},
			[]string{`{">": [{"var": "$flagd.timestamp"}, 1798070400]}`, `{"<=": [1798070400, {"var": "$flagd.timestamp"}, 1798070401]}`, `{">": [{"var": "$flagd.timestamp"}, {"var": "time"}]}`, `{">": [{"var": "created"}, "2026-12-24"]}`, `{">": [{"-": [{"var": "$flagd.timestamp"}, {"var": "since"}]}, 3600]}`},
		},
		"numbers": {
			map[string]string{
				`{"==": [{"var": "v"}, 9007199254740993]}`:          `warning 9007199254740993 loses digits: it is read as 9007199254740992`,
				`{"==": [{"var": "v"}, 0.12345678901234567890]}`:    `warning 0.12345678901234567890 loses digits: it is read as 0.12345678901234568`,
				`{"in": [{"var": "v"}, [1, 12345678901234567891]]}`: `warning 12345678901234567891 loses digits: it is read as 12345678901234567000`,
				`{"==": [{"var": "v"}, 1e-400]}`:                    `warning 1e-400 loses digits: it is read as 0`,
			},
			[]string{`{"==": [{"var": "v"}, 9007199254740992]}`, `{"==": [{"var": "v"}, 0.1]}`, `{"==": [{"var": "v"}, 1.5000000000000000000000]}`, `{"==": [{"var": "v"}, 0.30000000000000004]}`, `{"==": [{"var": "v"}, 1e300]}`, `{"==": [{"var": "v"}, 0.0]}`, `{"==": [{"var": "v"}, -0.000000000000000000001]}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for cond, want := range c.wrong {
				found := lintRule(cond)
				require.NotEmpty(t, found, cond)
				require.Contains(t, found[0], want, cond)
				require.LessOrEqual(t, len(found), 1+strings.Count(cond, "{}"), "%s: %s", cond, found)
			}
			for _, cond := range c.right {
				require.Empty(t, lintRule(cond), cond)
			}
		})
	}
}

// TestLintFields covers the fields at each level of a document.
func TestLintFields(t *testing.T) {
	t.Parallel()
	const rest = `variants: {a: 1, b: 2}, defaultVariant: a`
	for doc, want := range map[string][]string{
		`{$schema: s, $id: i, $comment: c, title: t, description: d, x-team: x, flags: {f: {state: ENABLED, ` + rest + `, $schema: s, $comment: c, title: t, description: d, x-owner: [1]}}}`: nil,
		`{flags: {f: {state: ENABLED, variants: {a: {description: d, x-y: 1}}, defaultVariant: a, metadata: {description: d, x-y: z, owner: me}}}, metadata: {flagSetId: s, version: "1"}}`:   nil,
		`{flags: {f: {state: ENABLED, ` + rest + `, targetting: {}}}}`:                                                                                   {`error f.yaml:1:71: flag "f": unknown field "targetting" (did you mean "targeting"?)`},
		`{flags: {f: {state: ENABLED, variants: {a: 1}, defaultVarient: a}}}`:                                                                            {`error f.yaml:1:48: flag "f": unknown field "defaultVarient" (did you mean "defaultVariant"?)`},
		`{flags: {f: {state: ENABLED, variants: {a: 1}, default_varient: a}}}`:                                                                           {`error f.yaml:1:48: flag "f": unknown field "default_varient" (did you mean "defaultVariant"?)`},
		`{flags: {f: {state: ENABLED, ` + rest + `, metdata: {}}}}`:                                                                                      {`error f.yaml:1:71: flag "f": unknown field "metdata" (did you mean "metadata"?)`},
		`{flags: {f: {stat: ENABLED, ` + rest + `}}}`:                                                                                                    {`error f.yaml:1:14: flag "f": unknown field "stat" (did you mean "state"?)`},
		`{flags: {f: {State: disabled, ` + rest + `}}}`:                                                                                                  {`error f.yaml:1:14: flag "f": unknown field "State" (did you mean "state"?)`},
		`{flags: {f: {` + rest + `}}}`:                                                                                                                   {`error f.yaml:1:10: flag "f": state: is required, because flagd's engines differ without it`},
		`{flags: {f: {stage: beta, state: ENABLED, ` + rest + `}}}`:                                                                                      {`warning f.yaml:1:14: flag "f": unknown field "stage" (did you mean "state"?)`},
		`{flags: {f: {colour: red, state: ENABLED, ` + rest + `}}}`:                                                                                      {`warning f.yaml:1:14: flag "f": unknown field "colour"`},
		`{flags: {f: {state: ENABLED, ` + rest + `}}, $evaluator: {x: {var: y}}}`:                                                                        {`error f.yaml:1:73: unknown field "$evaluator" (did you mean "$evaluators"?)`},
		`{flags: {f: {state: ENABLED, ` + rest + `}}, evaluators: {x: {var: y}}}`:                                                                        {`error f.yaml:1:73: unknown field "evaluators" (did you mean "$evaluators"?)`},
		`{flags: {f: {state: ENABLED, ` + rest + `}}, allowshrink: true}`:                                                                                {`error f.yaml:1:73: unknown field "allowshrink" (did you mean "allowShrink"?)`},
		`{flag: {f: {state: ENABLED, ` + rest + `}}}`:                                                                                                    {`error f.yaml:1:1: flags: is required`, `error f.yaml:1:2: unknown field "flag" (did you mean "flags"?)`},
		`{flags: {f: {state: ENABLED, ` + rest + `, metadata: {a: {b: 1}, c: [1], d: null}}}}`:                                                           {`warning f.yaml:1:85: flag "f": metadata.a: must be a string, a number, true or false, got a map: other engines leave it out`, `warning f.yaml:1:96: flag "f": metadata.c: must be a string, a number, true or false, got a list: other engines leave it out`, `warning f.yaml:1:104: flag "f": metadata.d: must be a string, a number, true or false, got null: other engines leave it out`},
		`{flags: {}, metadata: {a: {b: 1}, version: 2}}`:                                                                                                 {`warning f.yaml:1:27: metadata.a: must be a string, a number, true or false, got a map: other engines leave it out`, `warning f.yaml:1:44: metadata.version: must be a string, got a number`},
		`{flags: {f: {state: ENABLED, variants: {"true": 1, b: 2}, defaultVariant: true}}}`:                                                              {`warning f.yaml:1:75: flag "f": defaultVariant: flagd reads only a string: write it in quotes, "true"`},
		`{flags: {f: {state: ENABLED, variants: {a: 1}, defaultVariant: ""}}}`:                                                                           {`warning f.yaml:1:64: flag "f": defaultVariant: is empty: the code's default is used`},
		`{flags: {f: {state: ENABLED, variants: {a: [1], b: [2]}, defaultVariant: a}}}`:                                                                  {`warning f.yaml:1:44: flag "f": variants: flagd does not have flags that are lists: put the list into a map`, `warning f.yaml:1:52: flag "f": variants: flagd does not have flags that are lists: put the list into a map`},
		`{flags: {"": {state: ENABLED, variants: {"": 1}, defaultVariant: null}}}`:                                                                       {`warning f.yaml:1:10: has an empty key`, `warning f.yaml:1:42: variants: has an empty name`},
		`{flags: {f: {state: ENABLED, ` + rest + `, targeting: b}}}`:                                                                                     {`warning f.yaml:1:30: flag "f": variants`, `warning f.yaml:1:82: flag "f": targeting: must be a rule, got a string: other engines refuse it`},
		`{flags: {f: {state: ENABLED, variants: {a: 0.12345678901234567890}, defaultVariant: a}}}`:                                                       {`warning f.yaml:1:44: flag "f": variants.a: 0.12345678901234567890 loses digits: it is read as 0.12345678901234568`},
		`{flags: {f: {state: ENABLED, ` + rest + `, metadata: {build: 123456789012345678901}}}}`:                                                         {`warning f.yaml:1:89: flag "f": metadata.build: 123456789012345678901 loses digits: it is read as 123456789012345680000`},
		`{flags: {f: {state: ENABLED, ` + rest + `, targeting: {if: [{$ref: e}, b, a]}}}, $evaluators: {e: {frobnicate: 1}}}`:                            {`error f.yaml:1:98: flag "f": targeting: jsonlogic: /frobnicate: unknown operator "frobnicate"`, `error f.yaml:1:116: $evaluators.e: unknown operator "frobnicate"`},
		`{flags: {f: {state: ENABLED, ` + rest + `, targeting: {if: [{$ref: e}, b, a]}}}, $evaluators: {e: {starts_with: [{var: x}, 1]}, n: {$ref: e}}}`: {`error f.yaml:1:140: $evaluators.e: starts_with needs two strings: with 1 it gives null`, `warning f.yaml:1:145: $evaluators: no rule refers to "n"`, `warning f.yaml:1:148: $evaluators.n: a reference inside of an evaluator: flagd's engines resolve it differently from run to run`},
	} {
		found := lint(doc)
		require.Len(t, found, len(want), "%s\n%s", doc, found)
		for i := range found {
			_, says, _ := strings.Cut(want[i], ": ")
			require.Contains(t, found[i], says, doc)
			require.Equal(t, strings.HasPrefix(want[i], "error"), strings.HasPrefix(found[i], "error"), doc)
		}
	}
}

// Findings about declared flags are sorted among the others.
func TestLintDeclared(t *testing.T) {
	t.Parallel()
	var all []string
	for _, p := range flags.Lint("f.yaml", []byte(`flags:
  a: {state: ENABLED, variants: {x: 1}, defaultVariant: x}
  b: {state: ENABLD, variants: {x: 1}, defaultVariant: x}
  c: {state: ENABLED, variants: {x: 1}, defaultVariant: y}
`), flags.Bool("a", false), flags.String("b", ""), flags.Int("c", 1), flags.String("d", "")) {
		all = append(all, fmt.Sprint(p.Severity, " ", p))
	}
	require.Equal(t, []string{
		`error f.yaml: flag "d": missing, and the code declares it as string`,
		`error f.yaml:2:37: flag "a": variant "x" is not of type bool, which the code declares`,
		`error f.yaml:3:14: flag "b": state: must be ENABLED or DISABLED, got "ENABLD" (did you mean "ENABLED"?)`,
		`error f.yaml:3:36: flag "b": variant "x" is not of type string, which the code declares`,
		`error f.yaml:4:57: flag "c": defaultVariant: "y" is not a variant`,
	}, all)
}

// A misspelt field of a flag affects that flag, which keeps its last good definition. One of the
// document is a problem and affects no flag. A flag without a state is enabled.
func TestMisspeltFieldWhileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: `{flags: {f: {variants: {on: true, off: false}, defaultVariant: off, targeting: {if: [{var: staff}, on]}}}}`}
		p, err := flags.Open(t.Context(), src, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		defer p.Close()
		staff := map[string]any{"staff": true}
		require.True(t, p.BooleanEvaluation(t.Context(), "f", false, staff).Value)
		src.set(`{flags: {f: {variants: {on: true, off: false}, defaultVariant: off, targetting: {if: [{var: staff}, on]}}, g: {variants: {on: true}, defaultVarient: on}}, allowShrinks: true}`, nil)
		time.Sleep(20 * time.Second)
		require.True(t, p.BooleanEvaluation(t.Context(), "f", false, staff).Value, "as before")
		require.Equal(t, openfeature.ParseErrorCode, p.BooleanEvaluation(t.Context(), "g", false, staff).ResolutionDetail().ErrorCode)
		require.Equal(t, []string{
			`*flags_test.script:1:156: unknown field "allowShrinks" (did you mean "allowShrink"?)`,
			`*flags_test.script:1:69: flag "f": unknown field "targetting" (did you mean "targeting"?)`,
			`*flags_test.script:1:134: flag "g": unknown field "defaultVarient" (did you mean "defaultVariant"?)`,
		}, problems(p))
		src.set(`{flags: {f: {stage: beta, variants: {on: true, off: false}, defaultVariant: on, description: d, colour: red}}}`, nil)
		time.Sleep(20 * time.Second)
		require.True(t, p.BooleanEvaluation(t.Context(), "f", false, nil).Value)
		require.Nil(t, p.Problems())
	})
}

// Lint is fast even if rules refer to each other many times.
func TestLintOfReferencesThatMultiply(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{`{or: [{$ref: r%[1]d}, {$ref: r%[1]d}]}`, `{if: [{$ref: r%[1]d}, {$ref: r%[1]d}, {$ref: r%[1]d}]}`, `{fractional: [[{$ref: r%[1]d}, 1], [{$ref: r%[1]d}, 1]]}`, `{"==": [{$ref: r%[1]d}, {$ref: r%[1]d}]}`, `[{$ref: r%[1]d}, {$ref: r%[1]d}]`} {
		var doc strings.Builder
		doc.WriteString("flags: {bomb: {state: ENABLED, variants: {a: A}, defaultVariant: a, targeting: {if: [{$ref: r0}, {$ref: r0}]}}}\n$evaluators:\n")
		for i := range 90 {
			fmt.Fprintf(&doc, "  r%d: "+rule+"\n", i, i+1)
		}
		doc.WriteString("  r90: {var: x}\n")
		require.Less(t, len(lint(doc.String())), 1000, rule)
	}
}

func FuzzLint(f *testing.F) {
	f.Add(semantics)
	f.Add("flags: {a: {variants: {x: 1}, targeting: {if: [{fractional: [[x, 1e99], [{$ref: a}]]}]}}}\n$evaluators: {a: {$ref: a}}")
	f.Add(`{"flags": {"a": {"variants": {"x": [], "y": null}, "metadata": {"expires": {}}, "targeting": {"and": [[], {"?:": []}]}}}}`)
	f.Fuzz(func(t *testing.T, doc string) {
		for _, p := range flags.Lint("doc", []byte(doc)) {
			require.NotEmpty(t, p.Error())
		}
	})
}

// TestLintGuard checks a guard alone and against the rule of its flag.
func TestLintGuard(t *testing.T) {
	lintGuard := func(metadata, rule string) []string {
		return lint(`flags:
  f:
    state: ENABLED
    variants: {"on": true, "off": false, other: true}
    defaultVariant: "off"
    targeting: {if: [{==: [{var: plan}, free]}, ` + rule + `, {if: [{var: x}, other, "off"]}]}
    metadata: {` + metadata + `}
`)
	}
	const good = `guard.treatment: "on", guard.control: "off"`
	const split = `{fractional: [["on", 10], ["off", 90]]}`
	for _, rule := range []string{
		split,
		`{fractional: [["on", 10], [null, 90]]}`,
		`{fractional: [{var: account}, ["off", 10], ["on", 10], ["off", 80]]}`,
		`{fractional: [["on", 10], ["off", 90], [other, 0]]}`,
		`{fractional: [["on", {var: w}], [other, 90]]}`, // computed weights are not judged
	} {
		for _, finding := range lintGuard(good+`, guard.harm: 0.02, guard.alpha: 0.01, guard.slow: 800ms`, rule) {
			require.NotContains(t, finding, "guard", rule)
		}
	}
	for _, c := range []struct{ metadata, rule, want string }{
		{`guard.treatment: "on"`, split, `error f.yaml:2:3: flag "f": metadata.guard.control: is required`},
		{good + `, guard.harm: 2`, split, `error f.yaml:7:73: flag "f": metadata.guard.harm: must be a number above 0 and below 1, got 2`},
		{good + `, guard.slw: 1s`, split, `error f.yaml:7:72: flag "f": metadata: unknown field "guard.slw" (did you mean "guard.slow"?)`},
		{`guard.treatment: "onn", guard.control: "off"`, split, `error f.yaml:7:33: flag "f": metadata.guard.treatment: "onn" is not a variant`},
		{good, `"on"`, `error f.yaml:7:33: flag "f": metadata.guard.treatment: the guard never acts, because the rule does not use fractional to choose between "on" and "off"`},
		{good, `{if: [{==: [` + split + `, "on"]}, "on", "off"]}`, `error f.yaml:7:33: flag "f": metadata.guard.treatment: the guard never acts, because the rule uses fractional in a condition or an argument`},
		{good, `{fractional: [["on", 10], ["off", 80], [other, 10]]}`, `error f.yaml:7:33: flag "f": metadata.guard.treatment: fractional must choose between exactly "on" and "off", got ["off" "on" "other"]`},
		{good, `{fractional: [["on", 10], [other, 90]]}`, `error f.yaml:7:33: flag "f": metadata.guard.treatment: fractional must choose between exactly "on" and "off", got ["on" "other"]`},
		{good, `{if: [{var: y}, ` + split + `, {fractional: [["on", 1]]}]}`, `error f.yaml:7:33: flag "f": metadata.guard.treatment: fractional must choose between exactly "on" and "off", got ["on"]`},
	} {
		require.Contains(t, lintGuard(c.metadata, c.rule), c.want, "%s %s", c.metadata, c.rule)
	}

	shared := lint(`flags:
  f:
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting: {if: [{var: staff}, "on", {$ref: tenth}]}
metadata: {guard.treatment: "on", guard.control: "on"}
$evaluators:
  tenth: {fractional: [["on", 10], ["off", 90]]}
`)
	require.Equal(t, []string{`error f.yaml:7:50: flag "f": metadata.guard.control: must differ from guard.treatment, got "on" for both`}, shared, "metadata of the document")
}
