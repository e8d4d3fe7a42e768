package ofrep_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

const anonymousDocument = `
flags:
  static: {variants: {"on": true}, defaultVariant: "on"}
  rule: {variants: {a: A, b: B}, defaultVariant: b, targeting: {if: [{==: [{var: plan}, pro]}, a]}}
  split: {variants: {a: A, b: B}, defaultVariant: b, targeting: {fractional: [[a, 1], [b, 1]]}}
  byEmail: {variants: {a: A, b: B}, defaultVariant: b, targeting: {fractional: [{var: email}, [a, 1]]}}
  staffFirst: {variants: {a: A, b: B}, defaultVariant: b, targeting: {if: [{==: [{var: plan}, staff]}, a, {fractional: [[b, 1]]}]}}
`

// TestAnonymous checks that AllowAnonymous serves a request without a targetingKey, except for the
// flags that need the key.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(anonymousDocument)))
	h := newHandler(t, p, &ofrep.Options{Expose: everything, AllowAnonymous: true, MaxStreams: -1})
	const missing = `"errorCode": "TARGETING_KEY_MISSING", "errorDetails": "the context has no targetingKey"}`
	for _, c := range []struct {
		key, context string
		status       int
		want         string
	}{
		{"static", `{}`, 200, `{"key": "static", "value": true, "reason": "STATIC", "variant": "on"}`},
		{"rule", `{"plan": "pro"}`, 200, `{"key": "rule", "value": "A", "reason": "TARGETING_MATCH", "variant": "a"}`},
		{"rule", `{"targetingKey": null}`, 200, `{"key": "rule", "value": "B", "reason": "UNKNOWN", "variant": "b"}`},
		{"split", `{}`, 400, `{"key": "split", ` + missing},
		{"byEmail", `{"email": "ada@example.com"}`, 200, `{"key": "byEmail", "value": "A", "reason": "TARGETING_MATCH", "variant": "a"}`},
		{"byEmail", `{}`, 400, `{"key": "byEmail", ` + missing},
		{"staffFirst", `{"plan": "staff"}`, 200, `{"key": "staffFirst", "value": "A", "reason": "TARGETING_MATCH", "variant": "a"}`},
		{"staffFirst", `{}`, 400, `{"key": "staffFirst", ` + missing},
		{"split", `{"targetingKey": 5}`, 400, `{"key": "split", "errorCode": "INVALID_CONTEXT", "errorDetails": "the targetingKey must be a string, got a number"}`},
		{"none", `{}`, 404, `{"key": "none", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "there is no flag \"none\""}`},
	} {
		w := post(h, bulk+"/"+c.key, `{"context": `+c.context+`}`)
		require.Equal(t, c.status, w.Code, c.key)
		require.JSONEq(t, c.want, w.Body.String())
	}
	w := post(h, bulk, `{"context": {"plan": "pro"}}`)
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"flags": [
		{"key": "byEmail", `+missing+`,
		{"key": "rule", "value": "A", "reason": "TARGETING_MATCH", "variant": "a"},
		{"key": "split", `+missing+`,
		{"key": "staffFirst", `+missing+`,
		{"key": "static", "value": true, "reason": "STATIC", "variant": "on"}
	]}`, w.Body.String())
	tag := w.Header().Get("ETag")
	require.Equal(t, 304, post(h, bulk, `{"context": {"plan": "pro"}}`, "If-None-Match", tag).Code)
	require.Equal(t, 200, post(h, bulk, `{"context": {"plan": "pro", "targetingKey": "u1"}}`, "If-None-Match", tag).Code)

	strict := newHandler(t, p, &ofrep.Options{Expose: everything})
	require.Equal(t, 400, post(strict, bulk, `{"context": {}}`).Code)
	require.Equal(t, 400, post(strict, bulk+"/static", `{"context": {}}`).Code)
	require.Equal(t, "B", p.Evaluate(t.Context(), "split", nil).Value, "in the process nothing requires a key")
	require.EqualValues(t, "TARGETING_KEY_MISSING", p.Evaluate(flags.RequireTargetingKey(t.Context()), "split", nil).ErrorCode)
}
