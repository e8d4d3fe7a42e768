package flags_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

const exposureDocument = `
flags:
  checkout:
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting:
      if: [{$ref: staff}, "on", {fractional: [["on", 25], ["off", 75]]}]
  ref:
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting: {if: [{$ref: staff}, "on", {$ref: quarter}]}
  rest:
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting: {fractional: [{var: account}, ["on", 1], [null, 3]]}
  twice:
    state: ENABLED
    variants: {a: A, b: B}
    defaultVariant: b
    targeting: {fractional: [[a, 10], [b, 70], [{if: [{var: x}, b, a]}, 20]]}
  weights:
    state: ENABLED
    variants: {a: A, b: B}
    defaultVariant: b
    targeting: {fractional: [[a, {var: w}], [b, 90]]}
  condition: # the split decides, but what is given depends on it in another way
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting: {if: [{"==": [{$ref: quarter}, "on"]}, {fractional: [["on", 50], ["off", 50]]}, "off"]}
    metadata: {guard.treatment: "on"}
  guarded:
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    metadata: {guard.treatment: "on"}
  static: {state: ENABLED, variants: {"on": true}, defaultVariant: "on"}
  plain: {state: ENABLED, variants: {"on": true}, defaultVariant: "on", targeting: {if: [{$ref: staff}, "on"]}}
$evaluators:
  staff: {ends_with: [{var: email}, "@example.com"]}
  quarter: {fractional: [["on", 25], ["off", 75]]}
`

// exposed evaluates flags and returns their exposures.
func exposed(t *testing.T, p *flags.Provider, attrs flags.Attributes, keys ...string) []flags.Exposure {
	t.Helper()
	ctx, e := flags.WithExposures(t.Context())
	require.Nil(t, e.All())
	for _, key := range keys {
		p.Evaluate(ctx, key, attrs)
	}
	return e.All()
}

func TestExposures(t *testing.T) {
	for _, bucketing := range []flags.Bucketing{flags.BucketingV2, flags.BucketingV3} {
		p, err := flags.Open(t.Context(), flags.Bytes("flags.yaml", []byte(exposureDocument)), &flags.Options{Bucketing: bucketing, Logger: quiet})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })

		for key, shares := range map[string]map[string]float64{
			"checkout": {"on": 0.25, "off": 0.75},
			"ref":      {"on": 0.25, "off": 0.75},
			"rest":     {"on": 0.25, "off": 0.75}, // null is the default variant
			"twice":    {"a": 0.3, "b": 0.7},      // entries of one variant count together
			"weights":  {"a": 0.1, "b": 0.9},
		} {
			subjects := map[uint64]bool{}
			variants := map[string]bool{}
			for i := range 200 {
				user := fmt.Sprint("user", i)
				attrs := flags.Attributes{"targetingKey": user, "account": user, "w": 10}
				got := exposed(t, p, attrs, key)
				d := p.Evaluate(t.Context(), key, attrs)
				require.Equal(t, []flags.Exposure{{Flag: key, Variant: d.Variant, Split: true, Share: shares[d.Variant], Subject: got[0].Subject}}, got)
				require.NotZero(t, got[0].Subject)
				subjects[got[0].Subject], variants[d.Variant] = true, true
			}
			require.Len(t, subjects, 200, "%s: a subject each", key)
			require.Len(t, variants, 2, key)
		}

		user := flags.Attributes{"targetingKey": "u", "email": "u@example.com"}
		targeted := exposed(t, p, user, "checkout")
		require.Equal(t, []flags.Exposure{{Flag: "checkout", Variant: "on", Subject: targeted[0].Subject}}, targeted, "a rule decided, not the split")
		if bucketing == flags.BucketingV2 {
			require.Equal(t, targeted[0].Subject, exposed(t, p, flags.Attributes{"targetingKey": "u"}, "checkout")[0].Subject, "it is the same subject")
		}
		require.Equal(t, []flags.Exposure{{Flag: "checkout", Variant: "off"}}, exposed(t, p, nil, "checkout"), "the split has no targetingKey")
		for i := range 50 {
			for _, x := range exposed(t, p, flags.Attributes{"targetingKey": fmt.Sprint(i)}, "condition") {
				require.False(t, x.Split, "the condition is of the same split")
			}
		}
		guarded := exposed(t, p, user, "guarded")
		require.Equal(t, []flags.Exposure{{Flag: "guarded", Variant: "off", Subject: guarded[0].Subject}}, guarded, "a guard is collected without a split")
		require.Nil(t, exposed(t, p, user, "static", "plain", "missing"), "neither split nor guard")
	}
}

func TestExposuresOfARequest(t *testing.T) {
	p := open(t, exposureDocument)
	on := flags.Bool("checkout", false)
	ctx, e := flags.WithExposures(t.Context())
	for i := range 3 {
		user := flags.Attributes{"targetingKey": fmt.Sprint("user", i%2)}
		on.Bind(p).Value(ctx, user)
		p.BooleanEvaluation(ctx, "checkout", false, map[string]any(user))
		p.Explain(ctx, "ref", user)
	}
	require.Len(t, e.All(), 2, "an exposure that is repeated counts once, and Explain is none")

	all := e.All()
	clear(all)
	require.NotEqual(t, all, e.All(), "the result is the caller's own")

	inner, ofJob := flags.WithExposures(ctx)
	p.Evaluate(inner, "ref", flags.Attributes{"targetingKey": "u"})
	p.Evaluate(ctx, "rest", flags.Attributes{"account": "u"})
	require.Len(t, ofJob.All(), 1)
	require.Len(t, e.All(), 4, "the outer collector has what the inner one has")

	type key struct{}
	require.Equal(t, 1, context.WithValue(inner, key{}, 1).Value(key{}), "other values pass through")
	require.Nil(t, inner.Value(key{}))
}

func TestExposuresAreBounded(t *testing.T) {
	p := open(t, exposureDocument)
	ctx, e := flags.WithExposures(t.Context())
	var running sync.WaitGroup
	for g := range 4 {
		running.Go(func() {
			for i := range 100 {
				p.Evaluate(ctx, "checkout", flags.Attributes{"targetingKey": fmt.Sprint(g, i)})
			}
		})
	}
	running.Wait()
	require.Len(t, e.All(), 100)
}

// Overrides, errors and flags that are off expose nobody to a variant.
func TestEvaluationsThatExposeNothing(t *testing.T) {
	p, err := flags.Open(t.Context(), flags.Bytes("flags.yaml", []byte(`flags:
  off: {state: DISABLED, variants: {a: 1}, defaultVariant: a, metadata: {guard.treatment: a}}
  none: {state: ENABLED, variants: {a: 1}, targeting: {fractional: [[null, 1]]}}
  wrong: {state: ENABLED, variants: {a: 1}, defaultVariant: a, targeting: {fractional: [[z, 1]]}}
  broken: {state: ENABLED, variants: {a: 1}, targeting: {nothing: 1}, metadata: {guard.treatment: a}}
  split: {state: ENABLED, variants: {a: 1, b: 2}, defaultVariant: a, targeting: {fractional: [[a, 1], [b, 1]]}}
`)), &flags.Options{AllowOverrides: true, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	ctx, e := flags.WithExposures(t.Context())
	user := flags.Attributes{"targetingKey": "u"}
	for _, key := range p.Keys() {
		if key != "split" {
			p.Evaluate(ctx, key, user)
		}
	}
	p.Evaluate(flags.WithOverride(ctx, "split", "b"), "split", user)
	require.Nil(t, e.All())
}

// The shares that exposures report are those that users get.
func TestSharesAreMeasured(t *testing.T) {
	p := open(t, exposureDocument)
	counts := map[string]float64{}
	shares := map[string]float64{}
	const users = 4000
	for i := range users {
		for _, x := range exposed(t, p, flags.Attributes{"targetingKey": fmt.Sprint("u", i), "x": i%2 == 0}, "checkout", "twice") {
			counts[x.Flag+" "+x.Variant]++
			shares[x.Flag+" "+x.Variant] += x.Share
		}
	}
	require.Len(t, counts, 4, "%v", slices.Sorted(maps.Keys(counts)))
	for _, name := range []string{"checkout on", "checkout off"} {
		require.InDelta(t, shares[name]/counts[name], counts[name]/users, 0.03, name) // four standard deviations
	}
}

func BenchmarkExposures(b *testing.B) {
	p := open(b, exposureDocument)
	ctx, _ := flags.WithExposures(b.Context())
	user := map[string]any{"targetingKey": "user-42"}
	b.Run("collector", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			flags.WithExposures(b.Context())
		}
	})
	b.Run("evaluation without a collector", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.BooleanEvaluation(b.Context(), "checkout", false, user)
		}
	})
	b.Run("evaluation with a collector", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.BooleanEvaluation(ctx, "checkout", false, user)
		}
	})
}

// TestCollectorAllocatesOnce holds the cost of a request without guarded flags.
func TestCollectorAllocatesOnce(t *testing.T) {
	ctx := context.Background()
	require.InDelta(t, 1, testing.AllocsPerRun(1000, func() {
		ctx, e := flags.WithExposures(ctx)
		_, _ = ctx, e.All()
	}), 0)
}
