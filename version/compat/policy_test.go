package compat_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version/compat"
)

func TestAllFaultsAreReturned(t *testing.T) {
	t.Parallel()
	day := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := compat.New(compat.Rules{
		Header: "X Version",
		Default: []compat.Rule{
			{},
			{Stage: "refuse", Strict: true},
			{Minimum: "1.4"},
			{Minimum: "v1.4.0+dirty"},
			{Minimum: ">=1.4.0"},
			{Minimum: "v0.0.0-20260102150405-abcdef123456"},
			{Require: "at least 1.4"},
			{Require: strings.Repeat(">=1.4.0 ", 100)},
			{Block: []string{"v1.4.3", "", ">=1.4,,", "a b", "~1.2.x.y"}},
			{Skew: &compat.Skew{Minor: -1}},
			{Strict: true, Reason: "two\nlines"},
			{Strict: true, Reason: strings.Repeat("x", 513)},
			{Strict: true, Deprecation: day, Sunset: day.Add(-1)},
			{Strict: true, Link: "https://example.com/>; rel=x"},
			{Strict: true, Link: "https://example.com/\r\nX-Evil: 1"},
			{Strict: true, Link: "::"},
		},
		Peers: map[string][]compat.Rule{"my shop": {}, "shop": nil, "a": {{}}},
	}, nil)
	require.EqualError(t, err, strings.Join([]string{
		`header: "X Version" is not a header name`,
		`default[0]: needs one of minimum, require, block, skew and strict`,
		`default[1].stage: must be observe, warn or enforce, got "refuse"`,
		`default[2].minimum: "1.4" is not a version that can be compared: it has no order, because it is a build number, a date or another name; write v1.4.0`,
		`default[3].minimum: "v1.4.0+dirty" must not have build metadata, which is not compared; write v1.4.0`,
		`default[4].minimum: ">=1.4.0" is not a version that can be compared: it has no order, because it is a build number, a date or another name; write v1.4.0`,
		`default[5].minimum: "v0.0.0-20260102150405-abcdef123456" is not a version that can be compared: it comes from a build without tags, so its number means nothing`,
		`default[6].require: improper constraint: "at least 1.4"`,
		`default[7].require: constraint string is too long (max 512 bytes)`,
		`default[8].block[1]: must not be empty`,
		`default[8].block[2]: improper constraint: ">=1.4,,"`,
		`default[8].block[3]: improper constraint: "a b"`,
		`default[8].block[4]: improper constraint: "~1.2.x.y"`,
		`default[9].skew.minor: must not be negative, got -1`,
		`default[10].reason: must be one line of at most 512 bytes`,
		`default[11].reason: must be one line of at most 512 bytes`,
		`default[12].sunset: must not be earlier than deprecation (RFC 9745 section 4)`,
		`default[13].link: "https://example.com/>; rel=x" is not an address`,
		`default[14].link: "https://example.com/\r\nX-Evil: 1" is not an address`,
		`default[15].link: "::" is not an address`,
		`peers.a[0]: needs one of minimum, require, block, skew and strict`,
		`peers: "my shop" is not a name that a peer can send: it must be a token of at most 128 bytes, as Info.UserAgent makes them`,
		`peers.shop: must be a list of rules; with an empty list every version of the peer fits`,
	}, "\n"))
	var faults compat.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 23)
	var fault *compat.Fault
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "header", fault.Field)

	for _, nothing := range []compat.Rules{{}, {Peers: map[string][]compat.Rule{"shop": {}}}} {
		_, err := compat.New(nothing, nil)
		require.EqualError(t, err, "must have at least one rule")
	}
}

const document = `
header: X-Client
default:
  - require: ">=1.2 <3"
peers:
  shop:
    - minimum: v1.4.0
      block: [v1.4.3, build-7]
      stage: enforce
      reason: orders lose their currency
    - minimum: v1.6.0
      stage: warn
      strict: true
      deprecation: 2026-11-01T00:00:00Z
      sunset: 2027-03-31
      link: https://example.com/upgrade
  kubelet:
    - skew: {client: kubelet, server: kube-apiserver, minor: 3}
  ops: []
`

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	p, err := compat.ParsePolicy("compat.yaml", []byte(document), &compat.Options{Self: "v1.35.0"})
	require.NoError(t, err)
	require.EqualError(t, p.CheckClient("shop/v1.4.3"), "compat: shop v1.4.3 is blocked; needed is >=1.4.0, not v1.4.3, not build-7: orders lose their currency")
	require.EqualError(t, p.CheckClient("shop/devel"), "compat: shop devel is a development build without a version; needed is >=1.6.0")
	require.EqualError(t, p.CheckClient("v3.0.0"), "compat: the peer v3.0.0 does not satisfy >=1.2 <3")
	require.EqualError(t, p.CheckClient("kubelet/v1.31.0"), "compat: kubelet v1.31.0 is 4 minor versions older, and may be 3; needed is 1.32 to 1.35")
	require.NoError(t, p.CheckClient("ops/v0.0.1"))

	// The same as JSON, and there and back.
	rules := compat.Rules{
		Header:  "X-Client",
		Default: []compat.Rule{{Require: ">=1.2 <3"}},
		Peers: map[string][]compat.Rule{"shop": {{
			Minimum: "v1.4.0", Block: []string{"v1.4.3"}, Stage: compat.StageEnforce, Strict: true, Reason: "r", Link: "/l",
			Skew:        &compat.Skew{Client: "shop", Server: "catalog", Newer: true, Minor: 1},
			Deprecation: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Sunset: time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC),
		}}},
	}
	data, err := json.Marshal(rules)
	require.NoError(t, err)
	var again compat.Rules
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, rules, again)
	_, err = compat.ParsePolicy("compat.json", data, nil)
	require.NoError(t, err)
	small, err := json.Marshal(compat.Rules{Default: []compat.Rule{{Minimum: "v1.4.0"}}})
	require.NoError(t, err)
	require.Equal(t, `{"default":[{"minimum":"v1.4.0"}]}`, string(small))
}

func TestCheckOfAnyLength(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Strict: true})
	require.EqualError(t, p.CheckClient(strings.Repeat("x", 1<<20)), "compat: the peer sends a longer header than is read; needed is >=1.4.0")
	require.EqualError(t, p.CheckServer("(v1.4.0)"), "compat: the peer sends no readable name or version; needed is >=1.4.0")
}

func TestParsePolicyFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                           "compat.yaml: ",
		"null":                       "compat.yaml:",
		"{}":                         "compat.yaml:1:1: must have at least one rule",
		"default: [":                 "compat.yaml:",
		"default: {minimum: v1.4.0}": "compat.yaml:1:10: default: must be a list, got a map",
		"default: [{minimum: v1.x}]": `compat.yaml:1:21: default[0].minimum: "v1.x" is not a version`,
		"default: [v1.4.0]":          "compat.yaml:1:11: default[0]: must be a map, got a string",
		"peers: {shop: }":            "compat.yaml:1:9: peers.shop: must be a list",
		"peers: [shop]":              "compat.yaml:1:8: peers: must be a map, got a list",
		`peers: {"my shop": []}`:     `compat.yaml:1:8: peers: "my shop" is not a name`,
		"header: 1":                  `compat.yaml:1:9: header: must be a string, got a number: write it in quotes, "1"`,
		// All faults are returned, each with its place.
		"default:\n- minimun: v1.4.0\n  minimum: 1.4\n  strict: yes please\n  sunset: 1 May\n  block: v1\n  skew: {minor: 1.5, newer: 1}\n": `compat.yaml:2:3: default[0]: unknown field "minimun" (did you mean "minimum"?)
compat.yaml:3:12: default[0].minimum: must be a string, got a number: write it in quotes, "1.4"
compat.yaml:4:11: default[0].strict: must be true or false, got a string
compat.yaml:5:11: default[0].sunset: must be a date such as "2027-03-31", or a time such as "2027-03-31T00:00:00Z", got "1 May"
compat.yaml:6:10: default[0].block: must be a list, got a string
compat.yaml:7:17: default[0].skew.minor: must be a whole number from 0 to 9223372036854775807, got 1.5
compat.yaml:7:29: default[0].skew.newer: must be true or false, got a number`,
	} {
		_, err := compat.ParsePolicy("compat.yaml", []byte(text), nil)
		var faults compat.Faults
		require.ErrorAs(t, err, &faults, text)
		require.ErrorContains(t, err, want)
	}
}

// Only the log record shows that the skew has no effect.
func TestSkewOfASelfWithoutOrder(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	rules := compat.Rules{Default: []compat.Rule{{Skew: &compat.Skew{Minor: 1}, Stage: compat.StageEnforce}}}
	p, err := compat.New(rules, &compat.Options{Self: "(devel)", Logger: logger})
	require.NoError(t, err)
	require.NoError(t, p.CheckClient("shop/v9.9.9"))
	require.Contains(t, log.String(), `level=WARN msg="rules with a skew have no effect: the version of this program is a development build without a version" version=(devel)`)
	log.Reset()
	_, err = compat.New(rules, &compat.Options{Self: "v9.9.9", Logger: logger})
	require.NoError(t, err)
	require.Empty(t, log.String())
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"default":[{"minimum":"v1.4.0","block":["<1","build-7"],"skew":{"minor":1}}]}`))
	f.Add([]byte(`{"default":[{"require":">=1.4 || ~2.x, !=3","stage":"warn","link":"<"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := compat.ParsePolicy("fuzz", data, &compat.Options{Self: "v1.6.0", Logger: quiet})
		if err != nil {
			require.NotEmpty(t, err.Error())
			require.Nil(t, p)
			return
		}
		for _, agent := range []string{"shop/v1.4.2", "shop/v1.4.2-rc.1+dirty", "shop/build-7", ""} {
			w := ask(p, agent)
			for name, values := range w.Header() {
				for _, c := range []byte(strings.Join(values, "")) {
					require.True(t, c >= ' ' && c < 0x7f, "%s: %q", name, values)
				}
			}
			_ = p.CheckServer(agent)
		}
	})
}
