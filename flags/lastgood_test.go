package flags_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// The documents that the copies in testdata/lastgood were made from. The copies were written by
// the first version that had their format and never change: a service that is updated while its
// source is away starts from the copy of an older version.
const (
	goldenBase = `flags:
  a: {variants: {x: base, y: Y}, defaultVariant: x}
  b: {variants: {x: base, y: staff}, defaultVariant: x, targeting: {if: [{$ref: staff}, y]}}
$evaluators: {staff: {ends_with: [{var: email}, "@example.com"]}}
metadata: {from: base}
`
	goldenOver = `{"flags": {
  "a": {"variants": {"x": "over \"quoted\""}, "defaultVariant": "x"},
  "c": {"variants": {"x": "over", "y": "staff"}, "defaultVariant": "x", "targeting": {"if": [{"$ref": "staff"}, "y"]}}
}}
`
)

// golden copies a file of an earlier version to a temporary folder.
func golden(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "lastgood", name))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// away is a source that always fails. It has the name of an earlier source.
type away struct{ name string }

func (a away) Name() string { return a.name }

func TestLastGoodCopiesOfEarlierVersions(t *testing.T) {
	t.Parallel()
	down := func(name string) flags.Source {
		return struct {
			away
			*script
		}{away{name}, &script{err: errors.New("down")}}
	}
	start := func(t *testing.T, src flags.Source, copied string) *flags.Provider {
		p, err := flags.Open(t.Context(), src, &flags.Options{LastGood: golden(t, copied), Logger: quiet})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		return p
	}
	values := func(p *flags.Provider) []string {
		var all []string
		for _, key := range p.Keys() {
			value, variant, _, _ := detail(p, key, map[string]any{"email": "ada@example.com"})
			all = append(all, key+"="+value+"/"+variant)
		}
		return all
	}
	plain, merged := []string{"a=base/x", "b=staff/y"}, []string{`a=over "quoted"/x`, "b=staff/y", "c=staff/y"}

	t.Run("of one document", func(t *testing.T) {
		t.Parallel()
		p := start(t, down("base.yaml"), "plain.yaml")
		require.Equal(t, plain, values(p))
		require.Equal(t, "base", p.Evaluate(t.Context(), "a", nil).FlagMetadata["from"])
	})
	t.Run("of merged documents", func(t *testing.T) {
		t.Parallel()
		p := start(t, flags.Merge(down("base.yaml"), down("over.json")), "merged.json")
		require.Equal(t, merged, values(p))
	})
	t.Run("of merged documents, of which one is there", func(t *testing.T) {
		t.Parallel()
		p := start(t, flags.Merge(flags.Bytes("base.yaml", []byte(goldenBase)), down("over.json")), "merged.json")
		require.Equal(t, merged, values(p))
		require.Equal(t, 1.0, p.Stats()["partial"])
	})
	t.Run("of merged documents, of which one has another name now", func(t *testing.T) {
		t.Parallel()
		p := start(t, flags.Merge(flags.Bytes("base.yaml", []byte(goldenBase)), down("other.json")), "merged.json")
		require.Equal(t, plain, values(p))
	})
	t.Run("of one document whose flags have kept earlier definitions", func(t *testing.T) {
		t.Parallel()
		p := start(t, down("base.yaml"), "kept.json")
		require.Equal(t, []string{"a=base/x", "b=staff/y", "n=new/x"}, values(p))
		require.Equal(t, "base", p.Evaluate(t.Context(), "a", nil).FlagMetadata["from"])
		require.Equal(t, 1.0, p.Stats()["held_back"])
	})
	t.Run("of one document, for several", func(t *testing.T) {
		t.Parallel()
		p := start(t, flags.Merge(down("base.yaml"), down("over.json")), "plain.yaml")
		require.Equal(t, plain, values(p))
	})
}

func TestLastGoodThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, path := range []string{filepath.Join(folder, "no", "such", "folder"), folder} {
		opts := &flags.Options{LastGood: path, Logger: quiet}
		_, err := flags.Open(t.Context(), flags.Bytes("f", []byte("flags: {}")), opts)
		require.ErrorContains(t, err, "flags: Options.LastGood cannot be written: ")
		p, err := flags.New(flags.Bytes("f", []byte("flags: {}")), opts)
		require.NoError(t, err)
		require.Error(t, p.Init(openfeature.EvaluationContext{}))
		require.Error(t, p.Init(openfeature.EvaluationContext{}))
		p.Shutdown()
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, entries, "what was tried leaves nothing behind")
}

// A last good copy may hold anything. Its content is used or refused, and the copy that replaces
// it gives the same answers after a restart.
func FuzzLastGood(f *testing.F) {
	for _, name := range []string{"plain.yaml", "merged.json", "kept.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", "lastgood", name))
		require.NoError(f, err)
		f.Add(string(data))
	}
	f.Add(`[{"name":"base","text":"flags: {a: {variants: {x: 1}, defaultVariant: x}}","kept":true},{"name":"base","text":"flags: {a: 1}"},{"name":"over","text":"[]"}]`)
	f.Add(`[{"text":"flags: {c: {variants: {x: {}}, targeting: {$ref: e}}}\n$evaluators: {e: {var: x}}"},{},{"kept":true}]`)
	f.Add(`[]`)
	f.Add(`[1]`)
	broken := []flags.Source{
		flags.Bytes("base", []byte(`flags: {a: 1, b: {variants: {x: 1}, defaultVariant: y}, d: {variants: {x: D}, defaultVariant: x}}`)),
		flags.Bytes("over", []byte(`flags: {a: {variants: {x: 1}, defaultVarient: x}, c: 5}`)),
	}
	f.Fuzz(func(t *testing.T, copied string) {
		for _, src := range []flags.Source{broken[0], flags.Merge(broken...), flags.Merge(broken[0], &script{err: errors.New("down")}), &script{err: errors.New("down")}} {
			path := filepath.Join(t.TempDir(), "kept")
			require.NoError(t, os.WriteFile(path, []byte(copied), 0o600))
			start := func() (map[string]string, string) {
				p, err := flags.Open(t.Context(), src, &flags.Options{LastGood: path, Logger: quiet})
				if err != nil {
					return nil, ""
				}
				defer p.Close()
				for _, problem := range p.Problems() {
					require.NotEmpty(t, problem.Error())
				}
				return answers(p), p.Revision()
			}
			first, revision := start()
			for range 2 {
				again, same := start()
				require.Equal(t, first, again)
				require.Equal(t, revision, same)
			}
		}
	})
}
