package flags_test

import (
	"fmt"
	"testing"
	"testing/synctest"

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
  switched: {variants: {"on": true, "off": false}, defaultVariant: "off", metadata: {expires: 2000-01-02}}
  ruled: {variants: {a: A, b: B, c: C}, defaultVariant: c, targeting: {if: [{$ref: staff}, a, {fractional: [[b, 1], [c, 99]]}]}}
  computed: {variants: {a: A, b: B}, defaultVariant: a, targeting: {cat: [{var: x}]}}
  answer: {variants: {"true": 1, "false": 0}, defaultVariant: "false", targeting: {"==": [{var: x}, 1]}}
  both: {variants: {"true": 1, "false": 0, a: 2}, defaultVariant: a, targeting: {and: [{in: [{var: x}, [1]]}, {if: [{var: y}, a]}]}}
  split: {variants: {a: A, b: B}, defaultVariant: a, targeting: {fractional: [{var: x}, [a, {var: w}], {var: entry}]}}
$evaluators:
  staff: {$ref: inner}
  inner: {ends_with: [{var: email}, x]}
`, []string{"warning f.yaml:11:11: $evaluators: flagd does not reliably resolve a $ref inside of an evaluator"}},
		"not a document": {"flags: [", []string{"error f.yaml:1: did not find expected node content"}},
		"no flags":       {"a: 1", []string{"error f.yaml:1:1: flags: is required"}},
		"broken": {`
flags:
  a: {variants: {x: 1}, defaultVariant: y}
  b: {variants: {x: 1}, targeting: {if: [{$ref: nobody}, x]}}
  c: {variants: {x: 1}, targeting: {if: [{$ref: staff}, {frobnicate: 1}]}}
$evaluators: {staff: {var: x}}
`, []string{
			`error f.yaml:3:41: flag "a": defaultVariant: "y" is not a variant`,
			`error f.yaml:4:49: flag "b": targeting: $ref: there is no evaluator "nobody"`,
			`error f.yaml:5:58: flag "c": targeting: jsonlogic: /if/1/frobnicate: unknown operator "frobnicate"`,
		}},
		"not a variant": {`
flags:
  a: {variants: {x: 1}, defaultVariant: x, targeting: {if: [{var: v}, z, 5]}}
  b: {variants: {x: 1}, defaultVariant: x, targeting: {starts_with: [{var: v}, s]}}
  c: {variants: {x: 1}, defaultVariant: x, targeting: {if: [{var: v}, [x]]}}
  d: {variants: {x: 1}, defaultVariant: x, targeting: {fractional: [[x, 1], [y, 1]]}}
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
  a: {variants: {x: 1, y: 2, z: 3}, defaultVariant: z, targeting: {if: [true, x, y]}}
  b: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {if: ["", x]}}
  c: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {fractional: [[x, 0], [y, -1]]}}
  d: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {fractional: [[x, 0.5], [y, "1"], z, []]}}
  e: {variants: {x: 1, y: 2}, defaultVariant: y, targeting: {fractional: [[x, 2147483647], [y]]}}
`, []string{
			`warning f.yaml:3:24: flag "a": variants: nothing gives "y"`,
			`warning f.yaml:3:30: flag "a": variants: nothing gives "z"`,
			`warning f.yaml:3:82: flag "a": targeting: is never reached: the condition before is always true`,
			`warning f.yaml:4:18: flag "b": variants: nothing gives "x"`,
			`warning f.yaml:4:71: flag "b": targeting: is never reached: its condition is always false`,
			`warning f.yaml:5:61: flag "c": targeting: fractional without any weight gives null`,
			`warning f.yaml:5:79: flag "c": targeting: nobody falls on a weight of 0`,
			`warning f.yaml:5:87: flag "c": targeting: nobody falls on a weight of -1`,
			`error f.yaml:6:79: flag "d": targeting: a weight of fractional is a whole number; with 0.5 it gives null`,
			`error f.yaml:6:89: flag "d": targeting: a weight of fractional is a whole number; with "1" it gives null`,
			`error f.yaml:6:95: flag "d": targeting: an entry of fractional is [variant] or [variant, weight]; without, it gives null`,
			`error f.yaml:6:98: flag "d": targeting: an entry of fractional is [variant] or [variant, weight]; without, it gives null`,
			`error f.yaml:7:61: flag "e": targeting: the weights of fractional sum to 2147483648, more than 2^31−1: it gives null`,
		}},
		"hardly meant": {`
metdata: {a: 1}
flags:
  a: {variants: {x: 1, y: "2"}, defaultVariant: x, targetting: {if: [true, x]}}
  b: {variants: {x: 1}}
  c: {variants: {x: 1}, targeting: {if: [{var: v}, x]}}
  d: {state: DISABLED, variants: {x: 1}}
  e: {variants: {x: 1}, defaultVariant: x, metadata: {expires: 1999-12-31}}
  f: {variants: {x: 1}, defaultVariant: x, metadata: {expires: tomorrow}}
$evaluators:
  unused: {var: x}
  unused2: {$ref: unused}
`, []string{
			`warning f.yaml:2:1: unknown field "metdata" (did you mean "metadata"?)`,
			`warning f.yaml:4:27: flag "a": variants: are of different types: a string after a number`,
			`warning f.yaml:4:52: flag "a": unknown field "targetting" (did you mean "targeting"?)`,
			`warning f.yaml:5:3: flag "b": defaultVariant: missing: the code's default stands in`,
			`warning f.yaml:6:3: flag "c": defaultVariant: missing: the code's default stands in`,
			`warning f.yaml:8:64: flag "e": metadata.expires: has passed: 1999-12-31`,
			`warning f.yaml:9:64: flag "f": metadata.expires: must be a date of RFC 3339, got "tomorrow"`,
			`warning f.yaml:12:3: $evaluators: no rule refers to "unused2"`,
			`warning f.yaml:12:13: $evaluators: flagd does not reliably resolve a $ref inside of an evaluator`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // it is 2000-01-01
				require.Equal(t, c.want, lint(c.doc))
			})
		})
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
