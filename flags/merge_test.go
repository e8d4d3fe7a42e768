package flags_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

func TestMergeKeepsTheLastGoodPartOverARestart(t *testing.T) {
	t.Parallel()
	kept := filepath.Join(t.TempDir(), "kept")
	a, b := &script{doc: `flags: {a: {variants: {x: A}, defaultVariant: x}}`}, &script{doc: `flags: {b: {variants: {x: B}, defaultVariant: x}}`}
	start := func() *flags.Provider {
		p, err := flags.Open(t.Context(), flags.Merge(a, b), &flags.Options{LastGood: kept, Logger: quiet})
		require.NoError(t, err)
		return p
	}
	require.NoError(t, start().Close())
	a.set("", errors.New("down"))
	for range 2 {
		p := start()
		require.Equal(t, []string{"a", "b"}, p.Keys())
		require.Len(t, p.Problems(), 1)
		require.NoError(t, p.Close())
	}
}

func TestMergeOfMerge(t *testing.T) {
	t.Parallel()
	one := func(key string) flags.Source {
		return flags.Bytes(key, []byte(`flags: {`+key+`: {variants: {x: 1}, defaultVariant: x}}`))
	}
	p, err := flags.Open(t.Context(), flags.Merge(flags.Merge(one("a"), one("b")), one("c")), &flags.Options{Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, []string{"a", "b", "c"}, p.Keys())
}

func TestMergeIsOneDocumentWhileASourceFailsInOtherWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := &script{err: errors.New("port 1")}
		p, err := flags.Open(t.Context(), flags.Merge(bad, &script{doc: bool1("a")}), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		defer p.Close()
		before := p.Revision()
		bad.set("", errors.New("port 2"))
		time.Sleep(time.Minute)
		require.Equal(t, before, p.Revision())
		require.InDelta(t, 1, p.Stats()["updates"], 0)
	})
}

// An unreadable document keeps its last content, and the other documents are updated.
func TestMergeWithABrokenPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc := func(key, value string) string {
			return `flags: {` + key + `: {variants: {x: ` + value + `}, defaultVariant: x}}`
		}
		kept := filepath.Join(t.TempDir(), "kept")
		a, b := &script{doc: doc("a", "1")}, &script{doc: doc("b", "1")}
		p, err := flags.Open(t.Context(), flags.Merge(a, b), &flags.Options{Logger: quiet, LastGood: kept})
		require.NoError(t, err)
		defer p.Close()
		whole, err := os.ReadFile(kept)
		require.NoError(t, err)
		values := func() []int64 {
			return []int64{
				p.IntEvaluation(t.Context(), "a", 0, nil).Value, p.IntEvaluation(t.Context(), "b", 0, nil).Value,
			}
		}
		require.Equal(t, []int64{1, 1}, values())
		for _, broken := range []string{`flags: {`, `[]`, `flags: 1`, ``} {
			b.set(broken, nil)
			time.Sleep(time.Minute)
			a.set(doc("a", "2"), nil)
			time.Sleep(time.Minute)
			require.Equal(t, []int64{2, 1}, values(), broken)
			require.Len(t, p.Problems(), 1)
			require.NotEmpty(t, p.Problems()[0].Error())
			require.Equal(t, 1.0, p.Stats()["partial"])
			now, err := os.ReadFile(kept)
			require.NoError(t, err)
			require.Equal(t, string(whole), string(now), "only what is whole is kept")
			a.set(doc("a", "1"), nil)
			time.Sleep(time.Minute)
			require.Equal(t, []int64{1, 1}, values(), broken)
		}
		b.set("", errors.New("down")) // it was unreadable before
		time.Sleep(time.Minute)
		require.Equal(t, []int64{1, 1}, values())
		b.set(doc("b", "3"), nil)
		time.Sleep(time.Minute)
		require.Equal(t, []int64{1, 3}, values())
		require.Empty(t, p.Problems())
	})
}

// A faulty definition in an overlay keeps its own earlier definition, or else uses the base's. This
// holds at a start too.
func TestMergeFallsBackFlagByFlag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc := func(value, standard string) string {
			return `flags: {x: {variants: {v: ` + value + `}, defaultVariant: ` + standard + `}, y: {variants: {v: ` + value + `}, defaultVariant: v}}`
		}
		base, over := &script{doc: doc("base", "v")}, &script{doc: doc("over", "nothing")}
		p, err := flags.Open(t.Context(), flags.Merge(base, over), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		defer p.Close()
		values := func() string {
			x, _, _, _ := detail(p, "x", nil)
			y, _, _, _ := detail(p, "y", nil)
			return x + " " + y
		}
		require.Equal(t, "base over", values())
		require.Len(t, p.Problems(), 1)
		over.set(doc("new", "v"), nil)
		time.Sleep(20 * time.Second)
		require.Equal(t, "new new", values())
		over.set(doc("newer", "nothing"), nil)
		time.Sleep(20 * time.Second)
		require.Equal(t, "new newer", values())
		base.set(doc("base", "nothing"), nil) // both are faulty now
		time.Sleep(20 * time.Second)
		require.Equal(t, "new newer", values())
		require.Len(t, p.Problems(), 2)
	})
}
