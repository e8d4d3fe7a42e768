package flags_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	p, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte(`
flags:
  static:   {variants: {a: A}, defaultVariant: a}
  none:     {variants: {a: A}}
  "off":    {state: DISABLED, variants: {a: A}, defaultVariant: a}
  broken:   {variants: 5}
  ruled:    {variants: {a: {deep: [1]}, b: B}, defaultVariant: b, targeting: {if: [{$ref: staff}, a]}}
  falls:    {variants: {a: A}, targeting: {if: [{$ref: staff}, a]}}
  unknown:  {variants: {a: A}, targeting: {var: v}}
  split:    {variants: {a: A, b: B}, targeting: {fractional: [[a, 1], [b, {var: w}]]}}
$evaluators: {staff: {ends_with: [{var: email}, "@example.com"]}}
`)), &flags.Options{AllowOverrides: true, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	attrs := flags.Attributes{"email": "ada@example.com", "targetingKey": "ada", "v": "z", "w": 3}
	for key, want := range map[string]string{
		"static":  `static: A, there is no rule: the default variant "a" is used (STATIC)`,
		"none":    `none: there are no rule and no default variant: the code's default is used (DEFAULT)`,
		"off":     `off: the flag is disabled: the code's default is used (DISABLED)`,
		"missing": `missing: there is no flag "missing": the code's default is used (ERROR)`,
		"broken":  `broken: f.yaml:6:24: flag "broken": variants: must be a map, got a number: the code's default is used (ERROR)`,
		"ruled":   "ruled: map[deep:[1]], the rule gives \"a\" (TARGETING_MATCH)\n  if(\"a\") → \"a\"\n    ends_with → true\n      var(\"email\") → \"ada@example.com\"\n      \"@example.com\"",
		"unknown": "unknown: the rule of flag \"unknown\" gives \"z\", which is not a variant: the code's default is used (ERROR)\n  var(\"v\") → \"z\"",
	} {
		e := p.Explain(t.Context(), key, attrs)
		if key == "ruled" {
			require.Contains(t, e.String(), `ruled: map[deep:[1]], the rule gives "a" (TARGETING_MATCH)`)
			require.Contains(t, e.String(), `var("email") → "ada@example.com"`)
			continue
		}
		require.Equal(t, want, e.String())
		require.Equal(t, p.Revision(), e.Document)
	}
	require.Contains(t, p.Explain(t.Context(), "falls", nil).Why, "gives null, and there is no default variant")
	require.Contains(t, p.Explain(t.Context(), "ruled", nil).Why, `gives null: the default variant "b" is used`)
	require.Equal(t, `the context overrides it with "b"`, p.Explain(flags.WithOverride(t.Context(), "ruled", "b"), "ruled", attrs).Why)

	// An explanation agrees with the evaluation.
	for _, key := range append(p.Keys(), "missing") {
		e, d := p.Explain(t.Context(), key, attrs), p.Evaluate(t.Context(), key, attrs)
		require.Equal(t, d.Value, e.Value, key)
		require.Equal(t, d.Variant, e.Variant)
		require.Equal(t, d.Reason, e.Reason)
		require.Equal(t, d.ErrorCode, e.ErrorCode)
	}

	e := p.Explain(t.Context(), "split", attrs)
	require.Equal(t, []any{1.0, 3.0}, e.Rule.Notes["weights"])
	require.InDelta(t, 4, e.Rule.Notes["of"], 0)
	text, err := json.Marshal(e)
	require.NoError(t, err)
	var back map[string]any
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, "split", back["flag"])
	require.NotNil(t, back["rule"])
	require.Zero(t, p.Usage().Flags["falls"].Total()-1, "an explanation is no evaluation")

	unopened, err := flags.New(flags.Bytes("f", nil), nil)
	require.NoError(t, err)
	require.Equal(t, "PROVIDER_NOT_READY", string(unopened.Explain(t.Context(), "x", nil).ErrorCode))
}
