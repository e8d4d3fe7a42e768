package flags_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

const benchDocument = `
flags:
  static: {variants: {"on": true, "off": false}, defaultVariant: "on"}
  rule:
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting:
      if:
        - and: [{ends_with: [{var: email}, "@example.com"]}, {in: [{var: country}, [ES, PT, FR, DE]]}]
        - fractional: [["on", 50], ["off", 50]]
        - "off"
`

func benchContext() openfeature.FlattenedContext {
	return openfeature.FlattenedContext{"targetingKey": "user-42", "email": "ada@example.com", "country": "ES", "plan": "pro"}
}

// TestEvaluationAllocatesNothing covers the provider's own part. BenchmarkEvaluation measures
// its time.
func TestEvaluationAllocatesNothing(t *testing.T) {
	p := open(t, benchDocument)
	attrs := benchContext()
	ctx := context.Background()
	handle := flags.Bool("rule", false).Bind(p)
	for name, evaluate := range map[string]func(){
		"static": func() { p.BooleanEvaluation(ctx, "static", false, attrs) },
		"rule":   func() { p.BooleanEvaluation(ctx, "rule", false, attrs) },
		"bound":  func() { handle.Value(ctx, flags.Attributes(attrs)) },
	} {
		require.Zero(t, testing.AllocsPerRun(1000, evaluate), name)
	}
}

func BenchmarkEvaluation(b *testing.B) {
	p := open(b, benchDocument)
	attrs := benchContext()
	ctx := context.Background()
	for _, key := range []string{"static", "rule"} {
		b.Run("provider/"+key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.BooleanEvaluation(ctx, key, false, attrs)
			}
		})
		b.Run("provider parallel/"+key, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p.BooleanEvaluation(ctx, key, false, attrs)
				}
			})
		})
		b.Run("bound/"+key, func(b *testing.B) {
			handle := flags.Bool(key, false).Bind(p)
			b.ReportAllocs()
			for b.Loop() {
				handle.Value(ctx, flags.Attributes(attrs))
			}
		})
		b.Run("client/"+key, func(b *testing.B) {
			api := isolated.NewAPI()
			require.NoError(b, api.SetProviderAndWait(ctx, p))
			defer func() { _ = api.Shutdown(ctx) }()
			client := api.NewClient()
			evalCtx := openfeature.NewEvaluationContext("user-42", map[string]any{"email": "ada@example.com", "country": "ES", "plan": "pro"})
			b.ReportAllocs()
			for b.Loop() {
				client.Boolean(ctx, key, false, evalCtx)
			}
		})
	}
}

// largeDocument has one rule with a split in each flag.
func largeDocument(flags int) (asJSON, asYAML []byte) {
	var j, y bytes.Buffer
	j.WriteString(`{"flags":{`)
	y.WriteString("flags:\n")
	for i := range flags {
		if i > 0 {
			j.WriteByte(',')
		}
		fmt.Fprintf(&j, `"flag-%d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"ends_with":[{"var":"email"},"@example.com"]},{"fractional":[["on",50],["off",50]]},"off"]},"metadata":{"owner":"team-%d"}}`, i, i%50)
		fmt.Fprintf(&y, "  flag-%d:\n    state: ENABLED\n    variants: {\"on\": true, \"off\": false}\n    defaultVariant: \"off\"\n    targeting: {if: [{ends_with: [{var: email}, '@example.com']}, {fractional: [[\"on\", 50], [\"off\", 50]]}, \"off\"]}\n    metadata: {owner: team-%d}\n", i, i%50)
	}
	j.WriteString("}}")
	return j.Bytes(), y.Bytes()
}

func BenchmarkLoad(b *testing.B) {
	asJSON, asYAML := largeDocument(10_000)
	for name, doc := range map[string][]byte{"10000 flags.json": asJSON, "10000 flags.yaml": asYAML} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				p, err := flags.Open(b.Context(), flags.Bytes(name, doc), &flags.Options{Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestLargeDocument bounds the memory of ten thousand flags.
func TestLargeDocument(t *testing.T) {
	asJSON, _ := largeDocument(10_000)
	before := heap()
	p := open(t, string(asJSON))
	kept := heap() - before
	t.Logf("%d KiB", kept>>10)
	require.Less(t, kept, int64(35<<20))
	require.Len(t, p.Keys(), 10_000)
}
