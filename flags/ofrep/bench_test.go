package ofrep_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkSingle(b *testing.B) {
	h := serve(b, fuzzed)
	b.ReportAllocs()
	for b.Loop() {
		post(h, bulk+"/static", anyone)
	}
}

// BenchmarkBulk measures a bulk answer of a hundred flags, in full and not modified.
func BenchmarkBulk(b *testing.B) {
	var doc strings.Builder
	doc.WriteString("flags:\n")
	for i := range 100 {
		fmt.Fprintf(&doc, "  flag-%d: {variants: {a: A, b: B}, defaultVariant: a, targeting: {if: [{ends_with: [{var: email}, \".example\"]}, b]}}\n", i)
	}
	h := serve(b, doc.String())
	for name, tag := range map[string]string{"200": "", "304": post(h, bulk, anyone).Header().Get("ETag")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := post(h, bulk, anyone, "If-None-Match", tag)
				require.Equal(b, name, fmt.Sprint(w.Code))
			}
		})
	}
}
