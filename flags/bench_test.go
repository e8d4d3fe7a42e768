package flags_test

import (
	"context"
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

// TestEvaluationAllocatesNothing holds for the provider's own part, of which the
// benchmark tells the time.
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
