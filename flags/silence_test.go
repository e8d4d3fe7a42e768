package flags_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func TestLogNamesTheFlagsThatChanged(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(*script) flags.Source{
		"one":    func(s *script) flags.Source { return s },
		"merged": func(s *script) flags.Source { return flags.Merge(s, flags.Bytes("x", []byte("flags: {}"))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				src := &script{doc: bool1("a")}
				p, err := flags.Open(t.Context(), source(src), &flags.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				require.NoError(t, err)
				synctest.Wait() // no goroutine writes to the log while it is read
				require.NotContains(t, log.String(), "changed=")
				src.set(bool1("b"), nil)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				require.Contains(t, log.String(), "changed=[f] changes=1")
				var many strings.Builder
				many.WriteString(`{"flags": {`)
				for i := range 30 {
					fmt.Fprintf(&many, `"n%02d": {"variants": {"x": 1}}, `, i)
				}
				src.set(many.String()+bool1("b")[len(`{"flags": {`):], nil)
				time.Sleep(20 * time.Second)
				require.NoError(t, p.Close())
				require.Contains(t, log.String(), `n18 n19]" changes=30`, "the first twenty, and how many there are")
			})
		})
	}
}

// An evaluation that exceeds a bound is not reported as a faulty rule.
func TestExceededBoundHasItsOwnError(t *testing.T) {
	t.Parallel()
	p := open(t, `flags: {f: {variants: {a: A}, targeting: {if: [{some: [{var: list}, {some: [{var: ""}, {==: [{var: ""}, 1]}]}]}, a]}}}`)
	inner := make([]any, 1000)
	list := make([]any, 1000)
	for i := range list {
		list[i] = inner
	}
	d := p.StringEvaluation(t.Context(), "f", "code", openfeature.FlattenedContext{"list": list})
	require.Equal(t, "code", d.Value)
	require.Equal(t, openfeature.GeneralCode, d.ResolutionDetail().ErrorCode)
	require.Equal(t, `the rule of flag "f" was stopped: the evaluation takes too many steps: at most 262144`, d.ResolutionDetail().ErrorMessage)
	require.Equal(t, openfeature.GeneralCode, p.Explain(t.Context(), "f", flags.Attributes{"list": list}).ErrorCode)
}

func TestExplainSaysWhyFractionalGivesNull(t *testing.T) {
	t.Parallel()
	p := open(t, `
flags:
  subject: {variants: {a: A}, targeting: {fractional: [[a, 1]]}}
  none:    {variants: {a: A}, targeting: {fractional: []}}
  weights: {variants: {a: A}, targeting: {fractional: [[a, 0]]}}
  half:    {variants: {a: A}, targeting: {fractional: [[a, {var: w}]]}}
  huge:    {variants: {a: A}, targeting: {fractional: [[a, 2147483647], [a, 1]]}}
  entry:   {variants: {a: A}, targeting: {fractional: [[a, 1], {var: w}]}}
  variant: {variants: {a: A}, targeting: {fractional: [[{var: list}, 1]]}}
  loop:    {variants: {"true": A, "false": B}, targeting: {some: [{var: list}, {fractional: [[a, 1]]}]}}
`)
	for key, want := range map[string]string{
		"subject": "targetingKey is missing, empty or not a string",
		"none":    "it has no arguments",
		"weights": "no entry has any weight",
		"half":    "a weight is not a whole number up to 2^31−1",
		"huge":    "the weights sum to more than 2^31−1",
		"entry":   "an entry is not [variant] or [variant, weight]",
		"variant": "a variant is a list or an object",
		"loop":    "there is no targetingKey inside a loop",
	} {
		attrs := flags.Attributes{"targetingKey": "ada", "w": 0.5, "list": []any{1.0}}
		if key == "subject" {
			attrs["targetingKey"] = 5
		}
		require.Contains(t, p.Explain(t.Context(), key, attrs).String(), `why: "`+want+`"`, key)
	}
	p, err := flags.Open(t.Context(), flags.Bytes("v3.yaml", []byte(`
flags:
  void: {variants: {a: A}, targeting: {fractional: [{var: nothing}, [a, 1]]}}
  list: {variants: {a: A}, targeting: {fractional: [{var: list}, [a, 1]]}}
`)), &flags.Options{Bucketing: flags.BucketingV3, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	for key, want := range map[string]string{"void": "the bucketing value is null", "list": "the bucketing value is a list"} {
		require.Contains(t, p.Explain(t.Context(), key, flags.Attributes{"targetingKey": "ada", "list": []any{1.0}}).String(), `why: "`+want+`"`, key)
	}
}
