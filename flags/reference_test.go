package flags_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// A document of a megabyte must not take a gigabyte, whatever its rules refer to.
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

	// A circle of long names, which each flag's error would quote.
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

	// A chain that is long.
	var chain strings.Builder
	chain.WriteString(`"a":{"$ref":"e0"}`)
	for i := range 20_000 {
		fmt.Fprintf(&chain, `,"e%d":{"$ref":"e%d"}`, i, i+1)
	}
	p, _ = load(chain.String()+`,"e20000":true`, 1)
	require.ErrorContains(t, p.Problems()[0], "references follow one another")

	// A large segment that many flags share.
	segment := `"a":{"in":[{"var":"id"},["u"` + strings.Repeat(`,"user"`, 100_000) + `]]}`
	p, _ = load(segment, 40)
	require.NotEmpty(t, p.Problems())
	require.ErrorContains(t, p.Problems()[0], "too large once their references are resolved")
}
