package flags_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// numbered is a document with flags f0, f1, … that all have one value, and more.
func numbered(n int, value, more string) string {
	var b strings.Builder
	b.WriteString(`{"metadata": {"of": "` + value + `"}, "flags": {` + more)
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `"f%d": {"variants": {"v": %q}, "defaultVariant": "v"}`, i, value)
	}
	b.WriteString("}}")
	return b.String()
}

// answers returns the values of all flags.
func answers(p *flags.Provider) map[string]string {
	all := map[string]string{}
	for _, key := range p.Keys() {
		value, _, _, _ := detail(p, key, map[string]any{"staff": true})
		all[key] = value + " " + fmt.Sprint(p.Evaluate(context.Background(), key, nil).FlagMetadata["of"])
	}
	return all
}

// A document that loses flags takes effect, except for the loss. So a kill switch in the same
// edit works.
func TestLossIsHeldBackAndTheRestTakesEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{doc: numbered(20, "old", "")}
		p, err := flags.New(src, &flags.Options{Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, p.Require(flags.String("f19", "")))
		require.NoError(t, p.Init(openfeature.EvaluationContext{}))
		defer p.Close()
		load := func(doc string) {
			src.set(doc, nil)
			time.Sleep(20 * time.Second)
		}
		load(numbered(19, "killed", ""))
		require.Equal(t, "killed killed", answers(p)["f0"])
		require.Equal(t, "old old", answers(p)["f19"], "it is declared")
		require.Equal(t, []string{`*flags_test.script: flag "f19": the code declares it, but the document no longer has it: it is kept as it was until the document says allowShrink: true`}, problems(p))
		require.Equal(t, 1.0, p.Stats()["held_back"])
		require.Zero(t, p.Stats()["load_failures"])
		event := <-p.EventChannel()
		for event.EventType == openfeature.ProviderConfigChange {
			event = <-p.EventChannel()
		}
		require.Equal(t, openfeature.ProviderStale, event.EventType)
		require.Equal(t, "lost, and kept as they were: f19", event.Message)

		load(numbered(10, "cut", ""))
		require.Len(t, answers(p), 20)
		require.Equal(t, "cut cut", answers(p)["f9"])
		require.Equal(t, "killed killed", answers(p)["f10"])
		require.Equal(t, "old old", answers(p)["f19"])
		require.Equal(t, `*flags_test.script: 10 of 20 flags are missing in the document: they are kept as they were until the document says allowShrink: true`, problems(p)[1])

		// Held flags stay held, even if only few are still missing.
		load(numbered(16, "back", ""))
		require.Len(t, answers(p), 20)
		require.Equal(t, 4.0, p.Stats()["held_back"])
		require.Contains(t, problems(p), `*flags_test.script: flag "f17": the document no longer has it: it is kept as it was until the document says allowShrink: true`)

		load(numbered(20, "all", ""))
		require.Zero(t, p.Stats()["held_back"])
		require.Nil(t, p.Problems())
		load(strings.Replace(numbered(5, "few", ""), "{", `{"allowShrink": true, `, 1))
		require.Len(t, answers(p), 5)
		load(numbered(1, "one", ""))
		require.Len(t, answers(p), 1, "of fewer than ten all may go")
	})
}

// A restarted instance answers as before: flags that are faulty or lost now come from the last
// good copy.
func TestRestartAnswersTheSame(t *testing.T) {
	t.Parallel()
	rule := `"ruled": {"variants": {"y": "yes", "n": "no"}, "defaultVariant": "n", "targeting": {"if": [{"$ref": "staff"}, "y"]}}, `
	evaluators := func(doc string) string {
		return strings.Replace(doc, "{", `{"$evaluators": {"staff": {"var": "staff"}}, `, 1)
	}
	for name, source := range map[string]func(a, b *script) flags.Source{
		"one":    func(a, _ *script) flags.Source { return a },
		"merged": func(a, b *script) flags.Source { return flags.Merge(a, b) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				kept := filepath.Join(t.TempDir(), "kept.json")
				a, b := &script{doc: evaluators(numbered(20, "old", rule))}, &script{doc: `flags: {x: {variants: {v: X}, defaultVariant: v}, f1: {variants: {v: over}, defaultVariant: v}}`}
				start := func() *flags.Provider {
					p, err := flags.Open(t.Context(), source(a, b), &flags.Options{LastGood: kept, Logger: quiet})
					require.NoError(t, err)
					return p
				}
				p := start()
				a.set(strings.Replace(numbered(10, "new", `"ruled": 5, `), `"f3": {"variants"`, `"f3": {"variant"`, 1), nil)
				b.set(`flags: {x: 1, f1: {variants: {v: over}, defaultVariant: w}}`, nil)
				time.Sleep(20 * time.Second)
				before := answers(p)
				require.Equal(t, "yes old", before["ruled"], "it is faulty, and its evaluator is gone")
				require.Equal(t, "old old", before["f3"])
				require.Equal(t, "old old", before["f15"])
				require.Equal(t, "new new", before["f4"])
				if name == "merged" {
					require.Equal(t, "X <nil>", before["x"])
					require.Equal(t, "over <nil>", before["f1"])
				}
				require.NoError(t, p.Close())
				for range 2 {
					p = start()
					require.Equal(t, before, answers(p))
					a.set(a.doc+" ", nil) // so that the copy is written again
					time.Sleep(20 * time.Second)
					require.Equal(t, before, answers(p))
					require.NoError(t, p.Close())
				}
				// The source is away, and returns unchanged.
				docA, docB := a.doc, b.doc
				a.set("", errors.New("down"))
				b.set("", errors.New("down"))
				p = start()
				require.Equal(t, before, answers(p))
				a.set(docA, nil)
				b.set(docB, nil)
				time.Sleep(20 * time.Second)
				require.Equal(t, before, answers(p))
				require.NoError(t, p.Close())

				a.set(strings.Replace(numbered(2, "small", ""), "{", `{"allowShrink": true, `, 1), nil)
				b.set(`flags: {x: {variants: {v: Y}, defaultVariant: v}}`, nil)
				p = start()
				defer p.Close()
				require.Equal(t, "small small", answers(p)["f1"])
				require.LessOrEqual(t, len(answers(p)), 3)
				copied, err := os.ReadFile(kept)
				require.NoError(t, err)
				require.NotContains(t, string(copied), "old", "what is no longer in effect is not kept")
			})
		})
	}
}

// A failing source makes the provider stale after three failures or a minute. A refused document
// does so at once.
func TestStaleByDefault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		poll time.Duration
		doc  string
		err  error
		want time.Duration
	}{
		"three failures": {time.Second, "", errors.New("down"), 5 * time.Second},
		"a minute":       {10 * time.Minute, "", errors.New("down"), 11*time.Minute + time.Second},
		"refused":        {time.Second, "flags: 5", nil, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &script{doc: bool1("a")}
				p, err := flags.Open(t.Context(), src, &flags.Options{Poll: c.poll, Logger: quiet})
				require.NoError(t, err)
				defer p.Close()
				time.Sleep(200 * time.Millisecond)
				src.set(c.doc, c.err)
				began := time.Now()
				event := <-p.EventChannel()
				require.Equal(t, openfeature.ProviderStale, event.EventType)
				require.LessOrEqual(t, time.Since(began), c.want)
				src.set(bool1("a"), nil)
				event = <-p.EventChannel()
				require.Equal(t, openfeature.ProviderReady, event.EventType)
			})
		})
	}
}
