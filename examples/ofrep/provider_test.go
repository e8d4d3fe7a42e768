package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	remote "github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

const everyType = `
flags:
  bool: {variants: {"on": true, "off": false}, defaultVariant: "on"}
  rule: {variants: {"on": true, "off": false}, defaultVariant: "off", targeting: {if: [{ends_with: [{var: email}, "@shop.example"]}, "on"]}}
  split: {variants: {a: A, b: B, c: C}, targeting: {fractional: [[a, 1], [b, 1], [c, 2]]}}
  string: {variants: {a: "ä, \"<b>\" & \u2028"}, defaultVariant: a}
  int: {variants: {most: 9007199254740991}, defaultVariant: most}
  float: {variants: {pi: 3.141592653589793, tiny: 5e-324}, defaultVariant: pi, targeting: {if: [{"<": [{var: age}, 1.5]}, tiny]}}
  object: {variants: {limits: {burst: 5, names: [a, null, 1.5], deep: {x: true}}}, defaultVariant: limits}
  disabled: {state: DISABLED, variants: {"on": true}, defaultVariant: "on"}
  code: {variants: {"on": true}}
  faulty: {variants: {"on": true}, defaultVariant: nowhere}
  lost: {variants: {"on": true}, defaultVariant: "on", targeting: {if: [true, elsewhere]}}
  team/new checkout: {variants: {"on": true}, defaultVariant: "on", metadata: {team: shop, weight: 1.5, old: false}}
`

// TestGoProviderWithoutAKey evaluates over OFREP without a targetingKey.
func TestGoProviderWithoutAKey(t *testing.T) {
	p, _ := open(t, everyType)
	h, err := ofrep.NewHandler(p, &ofrep.Options{Expose: func(string) bool { return true }, AllowAnonymous: true})
	require.NoError(t, err)
	over := client(t, overHTTP(t, listen(t, func(<-chan struct{}) http.Handler { return h })))
	nobody := openfeature.NewTargetlessEvaluationContext(map[string]any{"email": "ada@shop.example"})

	on, err := over.BooleanValue(t.Context(), "bool", false, nobody)
	require.NoError(t, err)
	require.True(t, on)
	staff, err := over.BooleanValueDetails(t.Context(), "rule", false, nobody)
	require.NoError(t, err)
	require.Equal(t, openfeature.TargetingMatchReason, staff.Reason)
	split, err := over.StringValueDetails(t.Context(), "split", "code", nobody)
	require.Error(t, err)
	require.Equal(t, openfeature.TargetingKeyMissingCode, split.ErrorCode)
	require.Equal(t, "code", split.Value)
}

// TestGoProvider evaluates each flag twice: with the provider in the process, and with OpenFeature's Go
// provider over OFREP. It uses the OpenFeature client, as a service does.
func TestGoProvider(t *testing.T) {
	p, _ := open(t, everyType)
	h, err := ofrep.NewHandler(p, &ofrep.Options{Expose: func(string) bool { return true }})
	require.NoError(t, err)
	server := listen(t, func(<-chan struct{}) http.Handler { return h })
	direct, over := client(t, p), client(t, overHTTP(t, server))

	ctx := t.Context()
	for _, who := range []openfeature.EvaluationContext{
		openfeature.NewEvaluationContext("ada", map[string]any{"email": "ada@shop.example", "age": 1}),
		openfeature.NewEvaluationContext("bob", map[string]any{"email": "bob@example.com", "age": int64(40), "list": []any{"x", nil}}),
		openfeature.NewEvaluationContext("célia\u2028", map[string]any{"born": time.Unix(0, 0)}),
		openfeature.NewEvaluationContext("dan", nil),
	} {
		for _, key := range []string{"bool", "rule", "split", "string", "int", "float", "object", "disabled", "faulty", "lost", "team/new checkout", "missing"} {
			for name, ask := range map[string]func(*openfeature.Client) (any, openfeature.EvaluationDetails){
				"bool": func(c *openfeature.Client) (any, openfeature.EvaluationDetails) {
					d, _ := c.BooleanValueDetails(ctx, key, false, who)
					return d.Value, d.EvaluationDetails
				},
				"string": func(c *openfeature.Client) (any, openfeature.EvaluationDetails) {
					d, _ := c.StringValueDetails(ctx, key, "code", who)
					return d.Value, d.EvaluationDetails
				},
				"int": func(c *openfeature.Client) (any, openfeature.EvaluationDetails) {
					d, _ := c.IntValueDetails(ctx, key, -1, who)
					return d.Value, d.EvaluationDetails
				},
				"float": func(c *openfeature.Client) (any, openfeature.EvaluationDetails) {
					d, _ := c.FloatValueDetails(ctx, key, -1, who)
					return d.Value, d.EvaluationDetails
				},
			} {
				want, expected := ask(direct)
				got, details := ask(over)
				require.Equal(t, want, got, "%s as %s", key, name)
				require.Equal(t, expected.ErrorCode, details.ErrorCode, "%s as %s", key, name)
				if expected.ErrorCode != "" {
					continue
				}
				require.Equal(t, expected.Variant, details.Variant)
				if len(expected.FlagMetadata) > 0 {
					require.Equal(t, expected.FlagMetadata, details.FlagMetadata)
				}
				if expected.Reason != openfeature.DefaultReason {
					require.Equal(t, expected.Reason, details.Reason)
				} else {
					require.Equal(t, openfeature.UnknownReason, details.Reason, "the protocol has no DEFAULT")
				}
			}
		}
		want, err := direct.ObjectValue(ctx, "object", nil, who)
		require.NoError(t, err)
		got, err := over.ObjectValue(ctx, "object", nil, who)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NotNil(t, got)
	}

	// The Go provider expects a missing value only with DISABLED, so the reason differs. The value is right:
	// the code's default.
	d, err := over.BooleanValueDetails(ctx, "code", true, openfeature.NewEvaluationContext("ada", nil))
	require.Error(t, err)
	require.Equal(t, openfeature.TypeMismatchCode, d.ErrorCode)
	require.True(t, d.Value)

	// The protocol requires a targeting key.
	d, err = over.BooleanValueDetails(ctx, "bool", false, openfeature.NewTargetlessEvaluationContext(nil))
	require.Error(t, err)
	require.Equal(t, openfeature.TargetingKeyMissingCode, d.ErrorCode)
}

func TestGoProviderIsRefused(t *testing.T) {
	p, _ := open(t, everyType)
	var refusal error
	h, err := ofrep.NewHandler(p, &ofrep.Options{
		Expose: func(key string) bool { return key == "bool" },
		Authorize: func(r *http.Request) (string, error) {
			if r.Header.Get("Authorization") == "Bearer of-the-shop" {
				return "shop", nil
			}
			return "", refusal
		},
	})
	require.NoError(t, err)
	server := listen(t, func(<-chan struct{}) http.Handler { return h })
	ctx, ada := t.Context(), openfeature.NewEvaluationContext("ada", nil)

	known := client(t, overHTTP(t, server, remote.WithBearerToken("of-the-shop")))
	require.True(t, known.Boolean(ctx, "bool", false, ada))
	d, err := known.BooleanValueDetails(ctx, "team/new checkout", false, ada)
	require.Error(t, err)
	require.Equal(t, openfeature.FlagNotFoundCode, d.ErrorCode, "not exposed")

	stranger := client(t, overHTTP(t, server))
	for message, err := range map[string]error{
		"authentication/authorization error":                    errors.New("no token"),
		"rate limit exceeded, try again after 7.000000 seconds": &ofrep.RateLimitError{RetryAfter: 7 * time.Second},
	} {
		refusal = err
		d, err := stranger.BooleanValueDetails(ctx, "bool", false, ada)
		require.Error(t, err)
		require.Equal(t, openfeature.GeneralCode, d.ErrorCode)
		require.Contains(t, d.ErrorMessage, message)
		require.False(t, d.Value)
	}
}

func TestGoProviderBeforeTheFirstDocument(t *testing.T) {
	p, err := flags.New(flags.Bytes("flags.yaml", []byte(everyType)), nil)
	require.NoError(t, err)
	h, err := ofrep.NewHandler(p, &ofrep.Options{Expose: func(string) bool { return true }})
	require.NoError(t, err)
	server := listen(t, func(<-chan struct{}) http.Handler { return h })
	d, err := client(t, overHTTP(t, server)).BooleanValueDetails(t.Context(), "bool", false, openfeature.NewEvaluationContext("ada", nil))
	require.Error(t, err)
	require.Contains(t, d.ErrorMessage, "the flags have not been loaded yet")
}

// overHTTP is OpenFeature's own provider.
func overHTTP(t *testing.T, server *httptest.Server, opts ...remote.Option) openfeature.FeatureProvider {
	t.Helper()
	return remote.NewProvider(server.URL, append(opts, remote.WithClient(server.Client()))...)
}

// client is an OpenFeature client of one provider, for this test alone.
func client(t *testing.T, p openfeature.FeatureProvider) *openfeature.Client {
	t.Helper()
	api := isolated.NewAPI()
	require.NoError(t, api.SetProviderAndWait(t.Context(), p))
	t.Cleanup(func() { require.NoError(t, api.Shutdown(context.Background())) })
	return api.NewClient()
}
