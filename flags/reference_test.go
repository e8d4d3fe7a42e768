package flags_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// A document of a megabyte must not need a gigabyte of memory, whatever its rules refer to.
func TestReferencesDoNotMultiplyADocument(t *testing.T) {
	load := func(evaluators string, count int) (*flags.Provider, uint64) {
		var b strings.Builder
		b.WriteString(`{"$evaluators":{` + evaluators + `},"flags":{`)
		for i := range count {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"f%d":{"variants":{"true":true,"false":false},"targeting":{"$ref":"a"}}`, i)
		}
		b.WriteString("}}")
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p, err := flags.Open(t.Context(), flags.Bytes("x.json", []byte(b.String())), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		t.Cleanup(func() { _ = p.Close() })
		runtime.GC()
		runtime.ReadMemStats(&after)
		return p, (max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc) >> 20
	}

	// A circle of long names, which the error of each flag would quote.
	name := func(i int) string { return strings.Repeat("x", 1000) + fmt.Sprint(i) }
	circle := `"a":{"$ref":"` + name(0) + `"}`
	for i := range 90 {
		next := name(i + 1)
		if i == 89 {
			next = "a"
		}
		circle += fmt.Sprintf(`,"%s":{"$ref":"%s"}`, name(i), next)
	}
	p, megabytes := load(circle, 3000)
	require.Len(t, p.Problems(), 3000)
	require.Less(t, megabytes, uint64(100))

	// A long chain.
	var chain strings.Builder
	chain.WriteString(`"a":{"$ref":"e0"}`)
	for i := range 20_000 {
		fmt.Fprintf(&chain, `,"e%d":{"$ref":"e%d"}`, i, i+1)
	}
	p, _ = load(chain.String()+`,"e20000":true`, 1)
	require.ErrorContains(t, p.Problems()[0], "references follow one another")

	// A large rule that many flags use.
	p, megabytes = load(`"a":{"or":[false`+strings.Repeat(`,{"var":"x"}`, 50_000)+`]}`, 1000)
	require.Nil(t, p.Problems())
	require.Less(t, megabytes, uint64(100))
}

// segments is a document with flags that all use one list of ids.
func segments(flags, ids int, shared bool) string {
	var list, b strings.Builder
	for i := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `"5f0c6c2e-8d7e-4c39-9f43-%012d"`, i)
	}
	b.WriteString(`{"$evaluators":{"beta":{"in":[{"var":"id"},{"$ref":"ids"}]},"ids":[` + list.String() + `]},"flags":{`)
	for i := range flags {
		if i > 0 {
			b.WriteByte(',')
		}
		condition := `{"in":[{"var":"id"},[` + list.String() + `]]}`
		if shared {
			condition = []string{`{"$ref":"beta"}`, `{"in":[{"var":"id"},{"$ref":"ids"}]}`}[i%2]
		}
		fmt.Fprintf(&b, `"f%d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[%s,"on"]}}`, i, condition)
	}
	b.WriteString("}}")
	return b.String()
}

func TestLargeSegments(t *testing.T) {
	for name, c := range map[string]struct {
		doc  string
		keys int
		most int64 // bytes in use afterwards
	}{
		"in one rule":      {segments(1, 100_000, false), 1, 40 << 20},
		"in an evaluator":  {segments(20, 100_000, true), 20, 40 << 20},
		"in several rules": {segments(3, 100_000, false), 3, 100 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			p := open(t, c.doc)
			require.Less(t, heap()-before, c.most)
			require.Nil(t, p.Problems())
			for i := range c.keys {
				key := fmt.Sprintf("f%d", i)
				for id, want := range map[string]bool{"5f0c6c2e-8d7e-4c39-9f43-000000000000": true, "5f0c6c2e-8d7e-4c39-9f43-000000099999": true, "5f0c6c2e-8d7e-4c39-9f43-000000100000": false} {
					attrs := map[string]any{"id": id}
					require.Equal(t, want, p.BooleanEvaluation(t.Context(), key, !want, attrs).Value)
					require.Equal(t, want, p.Explain(t.Context(), key, attrs).Value)
				}
				attrs := map[string]any{"id": "5f0c6c2e-8d7e-4c39-9f43-000000099999"}
				require.Zero(t, testing.AllocsPerRun(100, func() { p.BooleanEvaluation(t.Context(), key, false, attrs) }))
			}
		})
	}
}

func BenchmarkSegment(b *testing.B) {
	doc := segments(20, 100_000, true)
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, open(b, doc).Close())
		}
	})
	b.Run("evaluate", func(b *testing.B) {
		p := open(b, doc)
		attrs := map[string]any{"id": "5f0c6c2e-8d7e-4c39-9f43-000000099999"}
		for b.Loop() {
			p.BooleanEvaluation(b.Context(), "f1", false, attrs)
		}
	})
}

// heap returns the memory in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
