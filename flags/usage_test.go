package flags_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: `flags:
  split: {variants: {a: A, b: B}, defaultVariant: a, targeting: {if: [{var: b}, b]}}
  never: {variants: {a: A}, defaultVariant: a}
  "off": {state: DISABLED, variants: {a: A}}
  wrong: {variants: 5}
`}
		p, err := flags.Open(t.Context(), src, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		defer p.Close()
		began := time.Now()
		time.Sleep(time.Hour)
		for range 10 {
			detail(p, "split", nil)
		}
		detail(p, "split", map[string]any{"b": true})
		detail(p, "off", nil)
		detail(p, "wrong", nil)
		detail(p, "missing", nil)
		u := p.Usage()
		require.Equal(t, began, u.Since)
		require.Equal(t, map[string]uint64{"a": 10, "b": 1}, u.Flags["split"].Variants)
		require.Equal(t, uint64(11), u.Flags["split"].Total())
		require.True(t, u.Flags["split"].Last.Equal(time.Now()))
		require.Equal(t, map[string]uint64{"a": 0}, u.Flags["never"].Variants)
		require.True(t, u.Flags["never"].Last.IsZero())
		require.Equal(t, map[string]uint64{"": 1, "a": 0}, u.Flags["off"].Variants)
		require.Zero(t, u.Flags["wrong"].Total(), "an error is no evaluation")

		// The next definition continues the count, also with other variants.
		src.set(`{allowShrink: true, flags: {split: {variants: {a: A, c: C}, defaultVariant: c}}}`, nil)
		time.Sleep(20 * time.Second)
		require.Equal(t, map[string]uint64{"a": 10, "c": 0}, p.Usage().Flags["split"].Variants)

		text, err := json.Marshal(p.Usage())
		require.NoError(t, err)
		var other flags.Usage
		require.NoError(t, json.Unmarshal(text, &other))
		both := p.Usage().Merge(other).Merge(flags.Usage{Since: began.Add(time.Minute), Flags: map[string]flags.FlagUsage{"more": {Variants: map[string]uint64{"x": 1}}}})
		require.Equal(t, uint64(20), both.Flags["split"].Total())
		require.Equal(t, uint64(1), both.Flags["more"].Total())
		require.Equal(t, began.Add(time.Minute), both.Since, "counted by all only since the last began")
		require.Equal(t, uint64(1), flags.Usage{}.Merge(both).Flags["more"].Total())
	})
}

func TestUsageIsExactAndThenAnEstimate(t *testing.T) {
	t.Parallel()
	p := open(t, `flags: {f: {variants: {a: A}, defaultVariant: a}}`)
	handle := flags.String("f", "").Bind(p)
	for range 1000 {
		handle.Value(t.Context(), nil)
	}
	require.Equal(t, uint64(1000), p.Usage().Flags["f"].Total())
	const more = 1_000_000
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range more / 4 {
				handle.Value(context.Background(), nil)
			}
		})
	}
	all.Wait()
	// One in 64: the standard deviation of the estimate is 0.8 %, so ten of them never happen.
	require.InEpsilon(t, more, p.Usage().Flags["f"].Total()-1000, 0.08)
}

func TestWithoutUsage(t *testing.T) {
	t.Parallel()
	p, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte(`flags: {f: {variants: {a: A}, defaultVariant: a, metadata: {expires: 2026-01-01}}}`)), &flags.Options{WithoutUsage: true, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	detail(p, "f", nil)
	flags.String("f", "").Bind(p).Value(t.Context(), nil)
	require.Zero(t, p.Usage().Flags["f"].Total())
	require.Len(t, p.Cleanup(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))[0].Reasons, 1)
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock starts at 2000-01-01
		p, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte(`flags:
  expired: {variants: {a: A, b: B}, defaultVariant: a, targeting: {if: [{var: b}, b]}, metadata: {expires: 2026-01-01, owner: team-a, kind: release}}
  future:  {variants: {a: A, b: B}, defaultVariant: a, targeting: {if: [{var: b}, b]}, metadata: {expires: "2026-03-01T12:00:00+01:00"}}
  nodate:  {variants: {a: A}, defaultVariant: a, metadata: {expires: soon, kind: ops}}
  never:   {variants: {a: A}, defaultVariant: a}
  one:     {variants: {a: A, b: B}, defaultVariant: a}
  "off":   {state: DISABLED, variants: {a: A}}
  ops:     {variants: {a: A}, defaultVariant: a, metadata: {kind: ops}}
  rights:  {variants: {a: A}, defaultVariant: a, metadata: {kind: permission}}
`)), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		for _, key := range []string{"expired", "future"} {
			detail(p, key, nil)
			detail(p, key, map[string]any{"b": true})
		}
		detail(p, "one", nil)
		detail(p, "off", nil)
		now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
		var texts []string
		for _, c := range p.Cleanup(now) {
			texts = append(texts, c.String())
		}
		require.Equal(t, []string{
			`expired (team-a): expired on 2026-01-01`,
			`never: not evaluated since 2000-01-01`,
			`nodate: metadata.expires must be a date of RFC 3339, got "soon"`,
			`off: gave only the code's default since 2000-01-01, 1 times`,
			`one: gave only "a" since 2000-01-01, 1 times`,
		}, texts)
		require.Len(t, p.Cleanup(now.AddDate(0, 1, 1)), 6, "future has expired by then")
		elsewhere := flags.Usage{Flags: map[string]flags.FlagUsage{"never": {Variants: map[string]uint64{"a": 1, "b": 1}}, "one": {Variants: map[string]uint64{"b": 1}}}}
		require.Len(t, p.Cleanup(now, elsewhere), 3, "others evaluate them")
		require.NoError(t, p.Close())
	})
	unopened, err := flags.New(flags.Bytes("f", nil), nil)
	require.NoError(t, err)
	require.Nil(t, unopened.Cleanup(time.Now()))
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	doc := []byte(`flags:
  f: {variants: {a: A, b: B}, defaultVariant: a}
  "off": {state: DISABLED, variants: {a: A}}
`)
	for _, allow := range []bool{true, false} {
		p, err := flags.Open(t.Context(), flags.Bytes("f.yaml", doc), &flags.Options{AllowOverrides: allow, Logger: quiet})
		require.NoError(t, err)
		ctx := flags.WithOverride(flags.WithOverride(flags.WithOverride(t.Context(), "f", "a"), "f", "b"), "off", "a")
		d := p.StringEvaluation(ctx, "f", "code", nil)
		bound := flags.String("f", "code").Bind(p).Value(ctx, nil)
		if allow {
			require.Equal(t, "B "+string(flags.ReasonOverride), d.Value+" "+string(d.Reason))
			require.Equal(t, "B", bound)
			bad := p.StringEvaluation(flags.WithOverride(ctx, "f", "z"), "f", "code", nil)
			require.Equal(t, openfeature.GeneralCode, bad.ResolutionDetail().ErrorCode)
		} else {
			require.Equal(t, "A STATIC", d.Value+" "+string(d.Reason))
			require.Equal(t, "A", bound)
		}
		require.Equal(t, openfeature.DisabledReason, p.StringEvaluation(ctx, "off", "code", nil).Reason)
		require.Equal(t, "A", p.StringEvaluation(t.Context(), "f", "code", nil).Value)
		require.NoError(t, p.Close())
	}
}

func TestOnEvaluationIsToldOfBoundHandles(t *testing.T) {
	t.Parallel()
	var told []string
	p, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte(`flags: {f: {variants: {a: A}, defaultVariant: a}}`)), &flags.Options{
		Logger: quiet,
		OnEvaluation: func(_ context.Context, provider string, d openfeature.InterfaceEvaluationDetails) {
			told = append(told, fmt.Sprint(provider, " ", d.FlagKey, " ", d.FlagType, " ", d.Value, " ", d.Variant, " ", d.Reason, " ", d.ErrorCode))
		},
	})
	require.NoError(t, err)
	defer p.Close()
	detail(p, "f", nil) // a hook sees this one
	flags.String("f", "code").Bind(p).Value(t.Context(), nil)
	flags.Bool("f", true).Bind(p).Value(t.Context(), nil)
	flags.Int("missing", 7).Bind(p).Value(t.Context(), nil)
	require.Equal(t, []string{
		"upkeep f string A a STATIC ",
		"upkeep f bool true  ERROR TYPE_MISMATCH",
		"upkeep missing int 7  ERROR FLAG_NOT_FOUND",
	}, told)
}

func TestRequire(t *testing.T) {
	t.Parallel()
	good := `{"flags": {"on": {"variants": {"v": true}, "defaultVariant": "v"}, "text": {"variants": {"v": "x"}, "defaultVariant": "v"}, "n": {"variants": {"v": 0.5}}}}`
	declared := []flags.Declared{flags.Bool("on", false), flags.String("text", ""), flags.Int("n", 1), flags.Float("n", 1), flags.Object("missing", map[string]any{})}
	want := []string{
		`doc.json: flag "n": variant "v" is not of type int, which the code declares`,
		`doc.json: flag "missing": missing, and the code declares it as object`,
	}

	p, err := flags.New(flags.Bytes("doc.json", []byte(good)), &flags.Options{Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, p.Require(declared...), "nothing is loaded yet")
	require.NoError(t, p.Init(openfeature.EvaluationContext{}))
	var texts []string
	for _, problem := range p.Problems() {
		texts = append(texts, problem.Error())
	}
	require.Equal(t, want, texts)
	err = p.Require(declared...)
	require.EqualError(t, err, want[0]+"\n"+want[1])
	require.NoError(t, p.Close())

	p, err = flags.New(flags.Bytes("doc.json", []byte(good)), &flags.Options{Strict: true, Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, p.Require(declared...))
	require.EqualError(t, p.Init(openfeature.EvaluationContext{}), want[0]+"\n"+want[1])
	require.NoError(t, p.Close())
}

func TestStrict(t *testing.T) {
	t.Parallel()
	_, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte("flags:\n  a: 5\n  b: {variants: {x: 1}, defaultVariant: y}\n  c: {variants: {x: 1}}\n")), &flags.Options{Strict: true, Logger: quiet})
	require.EqualError(t, err, `f.yaml:2:6: flag "a": must be a map, got a number
f.yaml:3:41: flag "b": defaultVariant: "y" is not a variant`)
}

func TestShrinkGuard(t *testing.T) {
	t.Parallel()
	doc := func(n int, more string) string {
		text := more + "flags:\n"
		for i := range n {
			text += fmt.Sprintf("  f%d: {variants: {a: A}, defaultVariant: a}\n", i)
		}
		return text
	}
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: doc(20, "")}
		p, err := flags.New(src, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, p.Require(flags.String("f19", "")))
		require.NoError(t, p.Init(openfeature.EvaluationContext{}))
		load := func(text string) int {
			src.set(text, nil)
			time.Sleep(20 * time.Second)
			return len(p.Keys())
		}
		require.Equal(t, 20, load(doc(19, "")), "f19 is declared")
		require.InDelta(t, 0, p.Stats()["load_failures"], 0, "the rest of the document is in effect")
		require.Equal(t, 19, load(doc(19, "allowShrink: true\n")))
		require.Equal(t, 14, load(doc(14, "")), "five of nineteen may go")
		require.Equal(t, 14, load(doc(9, "")), "five of fourteen are too many")
		require.Equal(t, 14, load(doc(9, "allowShrink: false\n")))
		require.Equal(t, 9, load(doc(9, "allowShrink: true\n")))
		require.Equal(t, 2, load(doc(2, "")), "of fewer than ten all may go")
		require.Equal(t, 2, load("allowShrink: 1\nflags: {}\n"))
		require.NoError(t, p.Close())
	})
	synctest.Test(t, func(t *testing.T) { // a fallback is not compared with the first document
		src := &script{err: context.DeadlineExceeded}
		p, err := flags.Open(t.Context(), src, &flags.Options{Fallback: []byte(doc(10, "")), Logger: quiet})
		require.NoError(t, err)
		src.set(doc(1, ""), nil)
		time.Sleep(20 * time.Second)
		require.Len(t, p.Keys(), 1)
		require.NoError(t, p.Close())
	})
}
