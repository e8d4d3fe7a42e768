package flags_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/flags"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, doc string) *flags.Provider {
	t.Helper()
	p, err := flags.Open(t.Context(), flags.Bytes("flags.yaml", []byte(doc)), &flags.Options{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// detail evaluates a string flag.
func detail(p *flags.Provider, key string, attrs map[string]any) (value, variant, reason, code string) {
	d := p.StringEvaluation(context.Background(), key, "code", attrs)
	return d.Value, d.Variant, string(d.Reason), string(d.ResolutionDetail().ErrorCode)
}

const semantics = `
flags:
  static:       {state: ENABLED, variants: {a: A, b: B}, defaultVariant: a}
  disabled:     {state: DISABLED, variants: {a: A}, defaultVariant: a, targeting: {if: [true, a]}, metadata: {owner: me}}
  none:         {variants: {a: A}}
  null-rule:    {variants: {a: A}, defaultVariant: a, targeting: null}
  empty-rule:   {variants: {a: A}, defaultVariant: a, targeting: {}}
  falls:        {variants: {a: A}, defaultVariant: a, targeting: {if: [{var: x}, a]}}
  falls-none:   {variants: {a: A}, targeting: {if: [{var: x}, a]}}
  by-bool:      {variants: {"true": yes, "false": no}, defaultVariant: "false", targeting: {==: [{var: x}, 1]}}
  by-number:    {variants: {"0": zero, "1": one, "1.5": half}, targeting: {var: x}}
  unknown:      {variants: {a: A}, defaultVariant: a, targeting: {if: [true, z]}}
  list:         {variants: {a: A}, defaultVariant: a, targeting: {var: x}}
  nameless:     {variants: {"": A}, targeting: {merge: [a]}}
  key:          {variants: {key: K, a: A}, defaultVariant: a, targeting: {var: $flagd.flagKey}}
  time:         {variants: {late: L, early: E}, targeting: {if: [{">": [{var: $flagd.timestamp}, 1700000000]}, late, early]}}
  refs:         {variants: {a: A, b: B}, targeting: {if: [{$ref: nested}, a, b]}}
  number:       {variants: {whole: 5, half: 0.5, big: 9007199254740992, neg: -9007199254740991}, defaultVariant: whole, targeting: {var: v}}
$evaluators:
  staff: {ends_with: [{var: email}, "@example.com"]}
  nested: {and: [{$ref: staff}, true]}
metadata: {team: shop, owner: all}
`

func TestSemantics(t *testing.T) {
	t.Parallel()
	p := open(t, semantics)
	require.Empty(t, p.Problems())
	for _, c := range []struct {
		key                          string
		attrs                        map[string]any
		value, variant, reason, code string
	}{
		{"missing", nil, "code", "", "ERROR", "FLAG_NOT_FOUND"},
		{"static", nil, "A", "a", "STATIC", ""},
		{"disabled", nil, "code", "", "DISABLED", ""},
		{"none", nil, "code", "", "DEFAULT", ""},
		{"null-rule", nil, "A", "a", "STATIC", ""},
		{"empty-rule", nil, "A", "a", "STATIC", ""},
		{"falls", nil, "A", "a", "DEFAULT", ""},
		{"falls", map[string]any{"x": true}, "A", "a", "TARGETING_MATCH", ""},
		{"falls-none", nil, "code", "", "DEFAULT", ""},
		{"by-bool", map[string]any{"x": "1"}, "yes", "true", "TARGETING_MATCH", ""},
		{"by-bool", nil, "no", "false", "TARGETING_MATCH", ""},
		{"by-number", map[string]any{"x": 1}, "one", "1", "TARGETING_MATCH", ""},
		{"by-number", map[string]any{"x": 1.5}, "half", "1.5", "TARGETING_MATCH", ""},
		{"by-number", map[string]any{"x": math.Copysign(0, -1)}, "zero", "0", "TARGETING_MATCH", ""},
		{"by-number", map[string]any{"x": 2}, "code", "", "ERROR", "GENERAL"},
		{"unknown", nil, "code", "", "ERROR", "GENERAL"},
		{"list", map[string]any{"x": []string{"a"}}, "code", "", "ERROR", "GENERAL"},
		{"nameless", nil, "code", "", "ERROR", "GENERAL"},
		{"key", nil, "K", "key", "TARGETING_MATCH", ""},
		{"key", map[string]any{"$flagd": map[string]any{"flagKey": "a"}}, "K", "key", "TARGETING_MATCH", ""},
		{"time", nil, "L", "late", "TARGETING_MATCH", ""},
		{"refs", map[string]any{"email": "ada@example.com"}, "A", "a", "TARGETING_MATCH", ""},
		{"refs", map[string]any{"email": "ada@example.org"}, "B", "b", "TARGETING_MATCH", ""},
		{"number", nil, "code", "", "ERROR", "TYPE_MISMATCH"},
	} {
		value, variant, reason, code := detail(p, c.key, c.attrs)
		require.Equal(t, []string{c.value, c.variant, c.reason, c.code}, []string{value, variant, reason, code}, "%s %v", c.key, c.attrs)
	}

	ctx := t.Context()
	d := p.StringEvaluation(ctx, "disabled", "code", nil)
	require.Equal(t, openfeature.FlagMetadata{"team": "shop", "owner": "me"}, d.FlagMetadata)

	whole := func(variant string) (int64, string) {
		d := p.IntEvaluation(ctx, "number", 7, openfeature.FlattenedContext{"v": variant})
		return d.Value, string(d.ResolutionDetail().ErrorCode)
	}
	for variant, want := range map[string]int64{"whole": 5, "neg": -9007199254740991} {
		n, code := whole(variant)
		require.Equal(t, want, n)
		require.Empty(t, code)
	}
	for _, variant := range []string{"half", "big"} {
		n, code := whole(variant)
		require.Equal(t, int64(7), n, "never truncated")
		require.Equal(t, "TYPE_MISMATCH", code)
	}
	require.InDelta(t, 0.5, p.FloatEvaluation(ctx, "number", 0, openfeature.FlattenedContext{"v": "half"}).Value, 0)
	require.True(t, p.BooleanEvaluation(ctx, "number", true, nil).Value)
}

func TestObjectsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	p := open(t, `flags: {o: {variants: {a: {list: [1, {deep: x}]}}, defaultVariant: a}}`)
	for range 2 {
		got, ok := p.ObjectEvaluation(t.Context(), "o", nil, nil).Value.(map[string]any)
		require.True(t, ok)
		require.Equal(t, map[string]any{"list": []any{1.0, map[string]any{"deep": "x"}}}, got)
		list, _ := got["list"].([]any)
		deep, _ := list[1].(map[string]any)
		deep["deep"], list[0], got["more"] = "changed", 2.0, true
	}
}

func TestFractional(t *testing.T) {
	t.Parallel()
	p := open(t, `
flags:
  split:    {variants: {a: A, b: B}, defaultVariant: a, targeting: {fractional: [[a, 75], [b, 25]]}}
  by-email: {variants: {a: A, b: B}, targeting: {fractional: [{var: email}, [a], [b]]}}
  dynamic:  {variants: {a: A, b: B}, targeting: {fractional: [[a, {var: w}], [b, 1]]}}
  entry:    {variants: {a: A, b: B}, targeting: {fractional: [{var: entry}, [b, 0]]}}
  negative: {variants: {a: A, b: B}, targeting: {fractional: [[a, -5], [b, 1]]}}
  zero:     {variants: {a: A, b: B}, targeting: {fractional: [[a, 0], [b, 0]]}}
  half:     {variants: {a: A, b: B}, targeting: {fractional: [[a, 0.5], [b, 1]]}}
  huge:     {variants: {a: A, b: B}, targeting: {fractional: [[a, 2147483647], [b, 1]]}}
  most:     {variants: {a: A, b: B}, targeting: {fractional: [[a, 2147483647], [b, 0]]}}
  inner:    {variants: {a: A, b: B}, targeting: {fractional: [[{if: [{var: x}, b, a]}]]}}
  nothing:  {variants: {a: A, b: B}, targeting: {fractional: []}}
  empty:    {variants: {a: A, b: B}, targeting: {fractional: [[]]}}
  void:     {variants: {a: A, b: B}, targeting: {fractional: [[null, 1]]}}
  list:     {variants: {a: A, b: B}, targeting: {fractional: [[a, 1], [[], 1]]}}
  object:   {variants: {a: A, b: B}, targeting: {fractional: [[b, 1], [{var: o}, 0]]}}
`)
	require.Empty(t, p.Problems())
	user := map[string]any{"targetingKey": "ada"}
	for _, c := range []struct {
		key   string
		attrs map[string]any
		want  string
	}{
		{"split", nil, "A"}, // no targeting key: null, so the default variant
		{"split", map[string]any{"targetingKey": ""}, "A"},
		{"split", map[string]any{"targetingKey": 5}, "A"},
		{"by-email", nil, "code"},
		{"dynamic", map[string]any{"targetingKey": "ada", "w": -1}, "B"},
		{"dynamic", map[string]any{"targetingKey": "ada", "w": 0.5}, "code"},
		{"dynamic", map[string]any{"targetingKey": "ada", "w": "1"}, "code"},
		{"dynamic", map[string]any{"targetingKey": "ada", "w": math.NaN()}, "code"},
		{"dynamic", map[string]any{"targetingKey": "ada", "w": math.Inf(-1)}, "code"},
		{"entry", map[string]any{"targetingKey": "ada", "entry": []any{"a", 3}}, "A"},
		{"entry", map[string]any{"targetingKey": "ada", "entry": 5}, "code"},
		{"negative", user, "B"},
		{"zero", user, "code"},
		{"half", user, "code"},
		{"huge", user, "code"},
		{"most", user, "A"},
		{"inner", user, "A"},
		{"inner", map[string]any{"targetingKey": "ada", "x": true}, "B"},
		{"nothing", user, "code"},
		{"empty", user, "code"},
		{"void", user, "code"},
		{"list", user, "code"},
		{"object", map[string]any{"targetingKey": "ada", "o": map[string]any{}}, "code"},
		{"object", map[string]any{"targetingKey": "ada", "o": "b"}, "B"},
	} {
		value, _, _, code := detail(p, c.key, c.attrs)
		require.Equal(t, c.want, value, "%s %v", c.key, c.attrs)
		require.Empty(t, code)
	}

	const users = 20_000
	count := map[string]int{}
	for i := range users {
		attrs := map[string]any{"targetingKey": fmt.Sprint("user-", i), "email": fmt.Sprint("user-", i, "@example.com")}
		for _, key := range []string{"split", "by-email"} {
			value, _, _, _ := detail(p, key, attrs)
			again, _, _, _ := detail(p, key, attrs)
			require.Equal(t, value, again)
			count[key+value]++
		}
	}
	require.InDelta(t, 0.75, float64(count["splitA"])/users, 0.01)
	require.InDelta(t, 0.50, float64(count["by-emailA"])/users, 0.01)
}

func TestFaultsSpoilOnlyThemselves(t *testing.T) {
	t.Parallel()
	doc := `flags:
  good: {variants: {a: A}, defaultVariant: a}
  no-map: 5
  state: {state: ON, variants: {a: A}}
  no-variants: {state: ENABLED}
  null-variant: {variants: {a: null}}
  default: {variants: {a: A}, defaultVariant: b}
  operator:
    variants: {a: A}
    targeting: {if: [{frobnicate: 1}, a]}
  unknown-ref: {variants: {a: A}, targeting: {if: [{$ref: nobody}, a]}}
  cycle: {variants: {a: A}, targeting: {if: [{$ref: one}, a]}}
  meta: {variants: {a: A}, metadata: [1]}
$evaluators:
  one: {or: [{$ref: two}]}
  two: {or: [{$ref: one}]}
`
	p := open(t, doc)
	value, _, _, _ := detail(p, "good", nil)
	require.Equal(t, "A", value)
	var texts []string
	for _, problem := range p.Problems() {
		var typed *flags.Fault
		require.ErrorAs(t, problem, &typed)
		require.NotZero(t, typed.Line)
		texts = append(texts, problem.Error())
		_, _, reason, code := detail(p, typed.Flag, nil)
		require.Equal(t, "ERROR", reason)
		require.Equal(t, "PARSE_ERROR", code)
	}
	require.Equal(t, []string{
		`flags.yaml:3:11: flag "no-map": must be a map, got a number`,
		`flags.yaml:4:18: flag "state": state: must be ENABLED or DISABLED, got "ON"`,
		`flags.yaml:5:16: flag "no-variants": variants: is required`,
		`flags.yaml:6:32: flag "null-variant": variants.a: must have a value, got null`,
		`flags.yaml:7:47: flag "default": defaultVariant: "b" is not a variant`,
		`flags.yaml:10:23: flag "operator": targeting: jsonlogic: /if/0/frobnicate: unknown operator "frobnicate"`,
		`flags.yaml:11:59: flag "unknown-ref": targeting: $ref: there is no evaluator "nobody"`,
		`flags.yaml:16:21: flag "cycle": targeting: $ref: one refers to itself: one → two → one`,
		`flags.yaml:13:38: flag "meta": metadata: must be a map, got a list`,
	}, texts)
	require.InDelta(t, 10, p.Stats()["flags"], 0)
	require.InDelta(t, 9, p.Stats()["problems"], 0)
}

func TestDocumentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, want string }{
		{"", "flags.yaml: the document is empty"},
		{"null", "flags.yaml: the document is null"},
		{"[]", "flags.yaml:1:1: must be a map, got a list"},
		{"a: 1", "flags.yaml:1:1: flags: is required"},
		{"flags: [1]", "flags.yaml:1:9: flags[0]: must be a map, got a number"},
		{"flags: [{variants: {a: 1}}]", "flags.yaml:1:9: flags[0].key: is required"},
		{"flags: [{key: 1, variants: {a: 1}}]", "flags.yaml:1:15: flags[0].key: must be the key of the flag, a string, got a number"},
		{"flags: [{key: a, variants: {a: 1}}, {key: a}]", `flags.yaml:1:43: flags[1].key: there is another flag "a" before`},
		{`{"flags": {}, "metadata": {"a": [1e999]}}`, "flags.yaml:1:34: metadata: 1e999 is beyond what a number can hold"},
		{"flags: {}\n$evaluators: 1", "flags.yaml:2:14: $evaluators: must be a map, got a number"},
		{"flags: {}\nmetadata: 1", "flags.yaml:2:11: metadata: must be a map, got a number"},
		{"flags:\n  a: {}\n  a: {}", `flags.yaml:3:3: key "a" is already given on line 2`},
		{`{"flags": {`, "flags.yaml:1: did not find expected node content"},
	} {
		_, err := flags.Open(t.Context(), flags.Bytes("flags.yaml", []byte(c.doc)), &flags.Options{Logger: quiet})
		require.EqualError(t, err, c.want, "%q", c.doc)
	}
}

// TestHostileInput has documents, rules and contexts of an attacker. Each has an error or a result
// within seconds.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	deep := func(n int) string {
		return `{"flags": {"f": {"variants": {"a": "A"}, "targeting": ` + strings.Repeat(`{"!": `, n) + "1" + strings.Repeat("}", n) + `}}}`
	}
	for name, c := range map[string]struct {
		doc string
		is  error
	}{
		"100 MB":        {strings.Repeat(" ", 100<<20), flags.ErrTooLarge},
		"empty":         {" \n", flags.ErrEmpty},
		"null":          {"null", flags.ErrNull},
		"YAML bomb":     {bomb + "flags: {}", nil},
		"10,000 deep":   {deep(10_000), nil},
		"invalid UTF-8": {"flags: {f: {variants: {a: \xff}}}", nil},
	} {
		_, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte(c.doc)), &flags.Options{Logger: quiet})
		require.Error(t, err, name)
		require.Less(t, len(err.Error()), 500, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
			continue
		}
		var problem *flags.Fault
		require.ErrorAs(t, err, &problem, name)
	}
	p := open(t, deep(600))
	require.Len(t, p.Problems(), 1, "a rule that is too deep spoils its flag")
	require.ErrorContains(t, p.Problems()[0], "nested too deep")

	p = open(t, `{"flags": {
		"huge": {"variants": {"a": 1e999, "b": -1e999, "c": 123456789012345678901234567890}, "defaultVariant": "a"},
		"rule": {"variants": {"a": "A"}, "defaultVariant": "a", "targeting": {"if": [{"<": [{"var": "x"}, 1e308]}, {"var": "x"}]}}
	}}`)
	require.Equal(t, openfeature.ParseErrorCode, p.IntEvaluation(t.Context(), "huge", 1, nil).ResolutionDetail().ErrorCode)
	require.Equal(t, 1.0, p.FloatEvaluation(t.Context(), "huge", 1, nil).Value)
	self := map[string]any{}
	self["self"] = self
	for _, x := range []any{math.NaN(), math.Inf(1), make(chan int), func() {}, complex(1, 2), self, []any{self}, struct{ f func() }{}, &self, (*int)(nil), "\xff", json.Number("1e999"), errors.New("x")} {
		value, _, reason, code := detail(p, "rule", map[string]any{"x": x})
		require.Equal(t, reason == "ERROR", code != "", "%T", x)
		require.NotEmpty(t, value)
		require.NotEmpty(t, p.Explain(t.Context(), "rule", flags.Attributes{"x": x}).String())
	}
}

func TestReferencesCannotMultiply(t *testing.T) {
	t.Parallel()
	var doc strings.Builder
	doc.WriteString("flags: {bomb: {variants: {a: A}, targeting: {if: [{$ref: r0}, a]}}}\n$evaluators:\n")
	for i := range 60 {
		fmt.Fprintf(&doc, "  r%d: {or: [{$ref: r%d}, {$ref: r%d}]}\n", i, i+1, i+1)
	}
	doc.WriteString("  r60: {var: x}\n")
	p := open(t, doc.String())
	require.Nil(t, p.Problems())
	d := p.StringEvaluation(t.Context(), "bomb", "code", map[string]any{"x": 1})
	require.Equal(t, "A", d.Value, "the first of the conditions decides")
	d = p.StringEvaluation(t.Context(), "bomb", "code", nil)
	require.Equal(t, openfeature.GeneralCode, d.ResolutionDetail().ErrorCode)
	require.Contains(t, d.ResolutionDetail().ErrorMessage, "too many steps")
	e := p.Explain(t.Context(), "bomb", nil)
	require.Equal(t, openfeature.GeneralCode, e.ErrorCode)
	require.Contains(t, e.Error, "too many steps")
}

func TestEvaluateWhateverTheType(t *testing.T) {
	t.Parallel()
	p := open(t, `
flags:
  bool:   {variants: {v: true}, defaultVariant: v, metadata: {owner: me}}
  string: {variants: {v: text}, defaultVariant: v}
  number: {variants: {v: 7}, defaultVariant: v}
  object: {variants: {v: {max: 3}}, defaultVariant: v}
  off:    {state: DISABLED, variants: {v: 1}}
`)
	require.Equal(t, []string{"bool", "number", "object", "off", "string"}, p.Keys())
	for key, want := range map[string]any{"bool": true, "string": "text", "number": 7.0, "object": map[string]any{"max": 3.0}, "off": nil, "missing": nil} {
		d := p.Evaluate(t.Context(), key, nil)
		require.Equal(t, want, d.Value, key)
		require.Equal(t, key, d.FlagKey)
	}
	require.Equal(t, openfeature.Boolean, p.Evaluate(t.Context(), "bool", nil).FlagType)
	require.Equal(t, openfeature.FlagMetadata{"owner": "me"}, p.Evaluate(t.Context(), "bool", nil).FlagMetadata)
	require.Equal(t, openfeature.FlagNotFoundCode, p.Evaluate(t.Context(), "missing", nil).ErrorCode)
	require.Equal(t, openfeature.DisabledReason, p.Evaluate(t.Context(), "off", nil).Reason)
}

func TestChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: bool1("a")}
		p, err := flags.New(src, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		require.Nil(t, p.Keys())
		first := p.Changed()
		require.NoError(t, p.Init(openfeature.EvaluationContext{}))
		<-first
		second := p.Changed()
		src.set(" "+bool1("a"), nil) // other text, same flags
		time.Sleep(20 * time.Second)
		select {
		case <-second:
			require.Fail(t, "nothing has changed")
		default:
		}
		src.set(bool1("b"), nil)
		<-second
		require.Equal(t, "B", p.Evaluate(t.Context(), "f", nil).Value)
		p.Shutdown()
	})
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	_, err := flags.New(nil, nil)
	require.EqualError(t, err, "flags: the source is nil")
	_, err = flags.New(flags.Bytes("x", nil), &flags.Options{Poll: -1})
	require.EqualError(t, err, "flags: Options.Poll must not be negative, got -1ns")
	_, err = flags.New(flags.Bytes("x", nil), &flags.Options{StaleAfter: -1})
	require.EqualError(t, err, "flags: Options.StaleAfter must not be negative, got -1ns")
	_, err = flags.New(flags.Bytes("x", nil), &flags.Options{LostAfter: -1})
	require.EqualError(t, err, "flags: Options.LostAfter must not be negative, got -1ns")
	_, err = flags.New(flags.Bytes("x", nil), &flags.Options{Bucketing: 7})
	require.EqualError(t, err, "flags: Options.Bucketing must be V2 or V3, got 7")
}

func TestStaticAttributesAreOutOfReach(t *testing.T) {
	t.Parallel()
	static := flags.Attributes{"version": "v1.4.0"}
	p, err := flags.Open(t.Context(), flags.Bytes("flags.yaml", []byte(`
flags: {f: {variants: {"on": new, "off": old}, defaultVariant: "off", targeting: {if: [{sem_ver: [{var: version}, ">=", 1.4.0]}, "on"]}}}`)),
		&flags.Options{Static: static, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	static["version"] = "v0.1.0" // a copy was taken
	value, _, _, _ := detail(p, "f", map[string]any{"version": "v1.0.0"})
	require.Equal(t, "new", value)
}

func TestSourcesAndLastGood(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"flags": {"f": {"variants": {"a": "A"}, "defaultVariant": "a"}}}`)
	path := filepath.Join(t.TempDir(), "flags.json")
	require.NoError(t, os.WriteFile(path, doc, 0o600))
	last := filepath.Join(t.TempDir(), "last.json")
	for _, src := range []flags.Source{
		flags.File(path), flags.FS(fstest.MapFS{"f.json": {Data: doc}}, "f.json"), flags.Bytes("f", doc), koanf{string(doc)}.source(),
	} {
		p, err := flags.Open(t.Context(), src, &flags.Options{LastGood: last, Logger: quiet})
		require.NoError(t, err)
		value, _, _, _ := detail(p, "f", nil)
		require.Equal(t, "A", value)
		require.Len(t, p.Revision(), 16)
		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		value, _, _, _ = detail(p, "f", nil)
		require.Equal(t, "A", value, "requests that are still running keep their flags")
	}
	missing := flags.File(filepath.Join(t.TempDir(), "missing.json"))
	p, err := flags.Open(t.Context(), missing, &flags.Options{LastGood: last, Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	p, err = flags.Open(t.Context(), missing, &flags.Options{Fallback: doc, Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	_, err = flags.Open(t.Context(), missing, &flags.Options{Logger: quiet})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

type koanf struct{ text string }

func (k koanf) ReadBytes() ([]byte, error)    { return []byte(k.text), nil }
func (k koanf) Read() (map[string]any, error) { return nil, errors.New("bytes only") }
func (k koanf) source() flags.Source          { return flags.Koanf(k, "") }

// script is a source whose document a test changes.
type script struct {
	mu   sync.Mutex
	doc  string
	err  error
	hang bool
}

func (s *script) set(doc string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doc, s.err = doc, err
}

func (s *script) Load(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	doc, err, hang := s.doc, s.err, s.hang
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte(doc), err
}

func bool1(on string) string {
	return fmt.Sprintf(`{"flags": {"f": {"variants": {"a": "A", "b": "B"}, "defaultVariant": %q}, "other": {"variants": {"x": "X"}, "defaultVariant": "x"}}}`, on)
}

func TestReloadThroughOpenFeature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: bool1("a")}
		p, err := flags.New(src, &flags.Options{StaleAfter: time.Minute, Logger: quiet})
		require.NoError(t, err)
		api := isolated.NewAPI()
		require.NoError(t, api.SetProviderAndWait(t.Context(), p))
		defer func() { require.NoError(t, api.Shutdown(t.Context())) }()
		client := api.NewClient()

		var told atomic.Value
		told.Store("")
		for _, kind := range []openfeature.EventType{openfeature.ProviderConfigChange, openfeature.ProviderStale, openfeature.ProviderReady, openfeature.ProviderError} {
			handler := func(d openfeature.EventDetails) {
				told.Store(fmt.Sprintf("%s%s %v %s", told.Load(), strings.TrimPrefix(string(kind), "PROVIDER_"), d.FlagChanges, d.Message))
			}
			client.AddHandler(kind, &handler)
		}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, want, told.Swap(""))
		}
		expect("READY [] provider is in ready state") // at once, as the specification wants
		value := flags.String("f", "code")
		require.Equal(t, "A", value.Value(t.Context(), client, openfeature.EvaluationContext{}))

		src.set(bool1("b"), nil)
		time.Sleep(20 * time.Second)
		expect("CONFIGURATION_CHANGED [f] ")
		require.Equal(t, "B", value.Value(t.Context(), client, openfeature.EvaluationContext{}))

		src.set(strings.Replace(bool1("b"), "{", "{ ", 1), nil) // other text, same flags
		time.Sleep(20 * time.Second)
		expect("")

		src.set("", errors.New("down"))
		time.Sleep(2 * time.Minute)
		expect("STALE [] *flags_test.script: down")
		require.Equal(t, openfeature.StaleState, client.State())
		require.Equal(t, "B", value.Value(t.Context(), client, openfeature.EvaluationContext{}))
		require.InDelta(t, 1, p.Stats()["stale"], 0)

		src.set(bool1("b"), nil)
		time.Sleep(20 * time.Second)
		expect("READY [] ")
		require.Equal(t, openfeature.ReadyState, client.State())

		// A flag that becomes faulty keeps its definition.
		src.set(`{"flags": {"f": {"variants": 5}, "new": {"variants": {"n": 1}}}}`, nil)
		time.Sleep(20 * time.Second)
		expect("CONFIGURATION_CHANGED [new other] ")
		require.Equal(t, "B", value.Value(t.Context(), client, openfeature.EvaluationContext{}))
		require.Len(t, p.Problems(), 1)
		require.InDelta(t, 5, p.Stats()["updates"], 0)
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base := &script{doc: `
flags:
  a: {variants: {x: base, y: Y}, defaultVariant: x}
  b: {variants: {x: base, y: staff}, defaultVariant: x, targeting: {if: [{$ref: staff}, y]}}
$evaluators: {staff: {var: staff}}
metadata: {from: base}
`}
		over := &script{doc: `
flags:
  a: {variants: {x: over}, defaultVariant: x}
  c: {variants: {x: over, y: staff}, defaultVariant: x, targeting: {if: [{$ref: staff}, y]}}
  wrong: 5
metadata: {from: over}
`}
		p, err := flags.New(flags.Merge(base, over), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		api := isolated.NewAPI()
		require.NoError(t, api.SetProviderAndWait(t.Context(), p))
		defer func() { require.NoError(t, api.Shutdown(t.Context())) }()
		client := api.NewClient()
		values := func() string {
			var all []string
			for _, key := range []string{"a", "b", "c"} {
				value, _, _, _ := detail(p, key, map[string]any{"staff": true})
				all = append(all, value)
			}
			return strings.Join(all, " ")
		}
		require.Equal(t, "over staff staff", values(), "the later counts, and rules refer to all evaluators")
		require.Equal(t, "over", p.Evaluate(t.Context(), "a", nil).FlagMetadata["from"])
		require.Equal(t, "base", p.Evaluate(t.Context(), "b", nil).FlagMetadata["from"])
		require.Len(t, p.Problems(), 1)
		require.EqualError(t, p.Problems()[0], `*flags_test.script:5:10: flag "wrong": must be a map, got a number`)

		over.set("", errors.New("down"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, openfeature.StaleState, client.State())
		require.Equal(t, "over staff staff", values(), "what it gave last stands")
		base.set(`flags: {a: {variants: {x: base}, defaultVariant: x}, b: {variants: {x: new}, defaultVariant: x}}`, nil)
		time.Sleep(20 * time.Second)
		require.Equal(t, "over new staff", values(), "the others stay up to date; c, whose evaluator is gone, keeps what it had")

		base.set("flags: [", nil)
		time.Sleep(20 * time.Second)
		require.Equal(t, "over new staff", values())
		base.set(`flags: {a: {variants: {x: base}, defaultVariant: x}, b: {variants: {x: again}, defaultVariant: x}}`, nil)
		over.set(`flags: {c: {variants: {x: over}, defaultVariant: x}}`, nil)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, "base again over", values())
		require.Equal(t, openfeature.ReadyState, client.State())
	})
	synctest.Test(t, func(t *testing.T) { // one source fails at the start
		good := &script{doc: bool1("a")}
		p, err := flags.New(flags.Merge(&script{err: errors.New("down")}, good, nil), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		api := isolated.NewAPI()
		require.NoError(t, api.SetProviderAndWait(t.Context(), p))
		defer func() { require.NoError(t, api.Shutdown(t.Context())) }()
		value, _, _, _ := detail(p, "f", nil)
		require.Equal(t, "A", value)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, openfeature.StaleState, api.NewClient().State())
		require.Len(t, p.Problems(), 2)
	})
	synctest.Test(t, func(t *testing.T) { // one source hangs, and the other works
		p, err := flags.New(flags.Merge(&script{hang: true}, &script{doc: bool1("a")}), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, p.Init(openfeature.EvaluationContext{}))
		value, _, _, _ := detail(p, "f", nil)
		require.Equal(t, "A", value)
		p.Shutdown()
	})
	_, err := flags.Open(t.Context(), flags.Merge(flags.Bytes("a", nil), flags.Bytes("b", []byte("null"))), &flags.Options{Logger: quiet})
	require.EqualError(t, err, "a+b: a: the document is empty\nb: the document is null")
	_, err = flags.Open(t.Context(), flags.Merge(flags.Bytes("a", []byte("[]"))), &flags.Options{Logger: quiet})
	require.EqualError(t, err, "a:1:1: must be a map, got a list")
}

func TestMergeWatchesItsSources(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "over.yaml")
	require.NoError(t, os.WriteFile(path, []byte(bool1("a")), 0o600))
	p, err := flags.Open(t.Context(), flags.Merge(flags.Bytes("base", []byte(`flags: {g: {variants: {v: 1}}}`)), flags.File(path)), &flags.Options{Poll: time.Hour, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	changed := p.Changed()
	require.NoError(t, os.WriteFile(path, []byte(bool1("b")), 0o600))
	<-changed
	require.Equal(t, []string{"f", "g", "other"}, p.Keys())
}

func TestLifeCycle(t *testing.T) {
	t.Parallel()
	t.Run("failed Init recovers by itself and says so", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			src := &script{err: errors.New("down")}
			p, err := flags.New(src, &flags.Options{Logger: quiet})
			require.NoError(t, err)
			_, _, reason, code := detail(p, "f", nil)
			require.Equal(t, "ERROR PROVIDER_NOT_READY", reason+" "+code)
			api := isolated.NewAPI()
			require.ErrorContains(t, api.SetProviderAndWait(t.Context(), p), "down")
			client := api.NewClient()
			require.Equal(t, openfeature.ErrorState, client.State())
			src.set(bool1("a"), nil)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			require.Equal(t, openfeature.ReadyState, client.State())
			require.NoError(t, api.Shutdown(t.Context()))
		})
	})
	t.Run("Init again tries at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			src := &script{err: errors.New("down")}
			p, err := flags.New(src, &flags.Options{Logger: quiet})
			require.NoError(t, err)
			require.Error(t, p.Init(openfeature.EvaluationContext{}))
			src.set(bool1("a"), nil)
			began := time.Now()
			require.NoError(t, p.Init(openfeature.EvaluationContext{}))
			require.NoError(t, p.Init(openfeature.EvaluationContext{}))
			require.Zero(t, time.Since(began))
			p.Shutdown()
			p.Shutdown()
			src.set(bool1("b"), nil)
			require.NoError(t, p.Init(openfeature.EvaluationContext{}))
			value, _, _, _ := detail(p, "f", nil)
			require.Equal(t, "B", value)
			require.NoError(t, p.ShutdownWithContext(t.Context()))
		})
	})
	t.Run("shutdown while Init waits", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p, err := flags.New(&script{hang: true}, &flags.Options{Logger: quiet})
			require.NoError(t, err)
			failed := make(chan error)
			go func() { failed <- p.Init(openfeature.EvaluationContext{}) }()
			synctest.Wait()
			p.Shutdown()
			require.ErrorIs(t, <-failed, flags.ErrClosed)
		})
	})
	t.Run("Init heeds its context and goes on", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			src := &script{hang: true}
			p, err := flags.New(src, &flags.Options{Logger: quiet})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, p.InitWithContext(ctx, openfeature.EvaluationContext{}), context.DeadlineExceeded)
			src.mu.Lock()
			src.hang, src.doc = false, bool1("a")
			src.mu.Unlock()
			time.Sleep(time.Minute)
			value, _, _, _ := detail(p, "f", nil)
			require.Equal(t, "A", value)
			p.Shutdown()
		})
	})
	t.Run("everything at once", func(t *testing.T) {
		t.Parallel()
		src := &script{doc: bool1("a")}
		p, err := flags.New(src, &flags.Options{Poll: time.Millisecond, Logger: quiet})
		require.NoError(t, err)
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := range 100 {
					switch (g + i) % 5 {
					case 0:
						_ = p.Init(openfeature.EvaluationContext{})
					case 1:
						p.Shutdown()
					case 2:
						src.set(bool1([]string{"a", "b"}[i%2]), nil)
					case 3:
						_ = p.Stats()
						_ = p.Problems()
					default:
						detail(p, "f", nil)
					}
				}
			})
		}
		all.Wait()
		p.Shutdown()
	})
}

// TestABrokenFlagIsKeptWhileItIsEvaluated is for the race detector: the kept definition is the one
// that evaluations are reading.
func TestABrokenFlagIsKeptWhileItIsEvaluated(t *testing.T) {
	t.Parallel()
	broken := `{"flags": {"f": 5, "other": {"variants": {"x": "X"}}}}`
	src := &script{doc: bool1("a")}
	p, err := flags.Open(t.Context(), src, &flags.Options{Poll: time.Millisecond, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	handle := flags.String("f", "code").Bind(p)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if value := handle.Value(context.Background(), nil); value != "A" {
						t.Errorf("got %q", value)
						return
					}
				}
			}
		})
	}
	for range 20 {
		for problems, doc := range []string{bool1("a"), broken} {
			src.set(doc, nil)
			require.Eventually(t, func() bool { return len(p.Problems()) == problems }, 20*time.Second, time.Millisecond)
		}
	}
	close(done)
	all.Wait()
}

func TestEventsNobodyReadsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: bool1("a")}
		p, err := flags.Open(t.Context(), src, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		for i := range 100 {
			src.set(bool1([]string{"b", "a"}[i%2]), nil)
			time.Sleep(20 * time.Second)
		}
		var got []openfeature.Event
		for done := false; !done; {
			synctest.Wait()
			select {
			case e := <-p.EventChannel():
				got = append(got, e)
			default:
				done = true
			}
		}
		require.Len(t, got, 2, "the one that was being handed out, and all others as one")
		require.Equal(t, []string{"f"}, got[1].FlagChanges)
		require.NoError(t, p.Close())
	})
}

func TestTypedFlags(t *testing.T) {
	t.Parallel()
	p := open(t, `
flags:
  bool:   {variants: {v: true}, defaultVariant: v}
  string: {variants: {v: text}, defaultVariant: v}
  int:    {variants: {v: 7}, defaultVariant: v}
  float:  {variants: {v: 0.5}, defaultVariant: v}
  object: {variants: {v: {max: 3, names: [a]}}, defaultVariant: v}
  wrong:  {variants: {v: {max: many}}, defaultVariant: v}
  vip:    {variants: {"on": true, "off": false}, defaultVariant: "off", targeting: {if: [{==: [{var: plan}, pro]}, "on"]}}
`)
	type limits struct {
		Max   int
		Names []string
	}
	api := isolated.NewAPI()
	require.NoError(t, api.SetProviderAndWait(t.Context(), p))
	defer func() { require.NoError(t, api.Shutdown(t.Context())) }()
	client := api.NewClient()

	both(t, p, client, flags.Bool("bool", false), true)
	both(t, p, client, flags.String("string", "code"), "text")
	both(t, p, client, flags.Int("int", 1), 7)
	both(t, p, client, flags.Float("float", 1), 0.5)
	both(t, p, client, flags.Object("object", limits{}), limits{3, []string{"a"}})
	both(t, p, client, flags.Object("object", map[string]any(nil)), map[string]any{"max": 3.0, "names": []any{"a"}})
	both(t, p, client, flags.Object("wrong", limits{Max: 1}), limits{Max: 1})
	both(t, p, client, flags.Object("bool", limits{Max: 1}), limits{Max: 1})
	both(t, p, client, flags.Bool("missing", true), true)
	both(t, p, client, flags.Bool("string", true), true)
	require.Equal(t, "vip", flags.Bool("vip", false).Key())
	require.True(t, flags.Bool("vip", false).Bind(p).Value(t.Context(), flags.Attributes{"plan": "pro"}))
}

func both[T any](t *testing.T, p *flags.Provider, client openfeature.IClient, f flags.Flag[T], want T) {
	t.Helper()
	require.Equal(t, want, f.Value(t.Context(), client, openfeature.EvaluationContext{}))
	require.Equal(t, want, f.Bind(p).Value(t.Context(), nil))
}

func FuzzDocument(f *testing.F) {
	f.Add(semantics, "ada@example.com")
	f.Add(bool1("a"), "")
	f.Add(`flags: {f: {variants: {a: A}, targeting: {fractional: [{var: x}, [a, {var: x}]]}}}`, "1")
	f.Add(`flags: {f: {variants: {a: A, b: B}, defaultVariant: b, targeting: {if: [{var: y}, a, {fractional: [{var: x}, [a, 1], [null, 3], [{var: z}, 0]]}]}}}`, "1")
	f.Add(`flags: {f: {variants: {a: A, b: B}, defaultVariant: b, targeting: {fractional: [[a, {var: x}], [b, 1]]}, metadata: {guard.treatment: a}}}`, "1")
	f.Add(`flags: {f: {variants: {a: A}, targeting: {sem_ver: [{var: x}, "~", 1.2]}}}`, "v1.2")
	f.Add(`{"flags": {"f": {"variants": {"a": 1e999}, "defaultVariant": "a", "metadata": {"a": [null]}}}}`, "x")
	f.Add(`{"flags":{"f":{"variants":{"a":1},"targeting":{"if":[{"$ref":"f"},"a"]}}},"$evaluators":{"f":{"$ref":"f"}}}`, "x")
	f.Fuzz(func(t *testing.T, doc, x string) {
		p, err := flags.Open(t.Context(), flags.Bytes("doc", []byte(doc)), &flags.Options{Logger: quiet})
		if err != nil {
			return
		}
		defer p.Close()
		for _, problem := range p.Problems() {
			var typed *flags.Fault
			require.ErrorAs(t, problem, &typed)
		}
		attrs := map[string]any{"targetingKey": x, "x": x, "email": x}
		for _, key := range []string{"f", "static", "split", "refs", "falls", "number"} {
			_, variant, reason, code := detail(p, key, attrs)
			require.Equal(t, reason == "ERROR", code != "")
			require.False(t, variant != "" && code != "")
			_ = p.ObjectEvaluation(t.Context(), key, nil, attrs)
			_ = p.IntEvaluation(t.Context(), key, 0, attrs)

			ctx, exposures := flags.WithExposures(t.Context())
			d := p.Evaluate(t.Context(), key, attrs)
			require.Equal(t, d, p.Evaluate(ctx, key, attrs), "a collector changes no evaluation")
			for _, e := range exposures.All() {
				require.Equal(t, key, e.Flag)
				require.Equal(t, d.Variant, e.Variant)
				require.Equal(t, e.Split, e.Share > 0 && e.Share <= 1)
				require.True(t, !e.Split || e.Subject != 0)
			}
		}
	})
}
