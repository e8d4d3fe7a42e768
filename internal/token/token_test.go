package token_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/internal/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 12, 6, 1, 0, 0, 0, time.UTC)

// key is a pair that is the same in each run.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+n)), ed25519.SeedSize)))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(k[ed25519.SeedSize:])
}

func good() jwt.MapClaims {
	return jwt.MapClaims{
		"purpose": "p", "aud": "shop", "sub": "ana", "jti": "1", "window": "orders",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

func sign(t testing.TB, claims jwt.Claims, method jwt.SigningMethod, k any, header ...string) string {
	made := jwt.NewWithClaims(method, claims)
	made.Header["kid"] = "k0"
	for i := 0; i < len(header); i += 2 {
		made.Header[header[i]] = header[i+1]
	}
	text, err := made.SignedString(k)
	require.NoError(t, err)
	return text
}

func verifier(t testing.TB) *token.Verifier {
	v, err := token.New(token.Options{
		Keys:    map[string]ed25519.PublicKey{"k0": public(key(0)), "k1": public(key(1))},
		Purpose: "p", Audience: "shop", MaxAge: 2 * time.Hour,
	})
	require.NoError(t, err)
	return v
}

func TestVerify(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	text := sign(t, good(), jwt.SigningMethodEdDSA, key(0))
	for range 2 { // read, and remembered
		c, err := v.Verify(text, now)
		require.NoError(t, err)
		require.Equal(t, []string{"ana", "1", "k0", "orders", ""}, []string{c.Subject, c.ID, c.KeyID, c.Text("window"), c.Text("iat")})
		require.Equal(t, now, c.IssuedAt)
		require.Equal(t, now.Add(time.Hour), c.Expires)
	}
	for at, want := range map[time.Duration]token.Reason{
		-token.Leeway - time.Second: token.NotYet, -token.Leeway: "", time.Hour + token.Leeway - 1: "", time.Hour + token.Leeway: token.Expired,
	} {
		_, err := v.Verify(text, now.Add(at))
		requireReason(t, want, err)
	}
	other := sign(t, good(), jwt.SigningMethodEdDSA, key(1), "kid", "k1")
	c, err := v.Verify(other, now)
	require.NoError(t, err)
	require.Equal(t, "k1", c.KeyID)
}

func requireReason(t *testing.T, want token.Reason, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var refused *token.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Reason)
	require.Equal(t, "token: "+string(want), err.Error())
}

func TestClaims(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	const none = "none" // the claim is taken away
	for i, c := range []struct {
		name  string
		value any
		want  token.Reason
	}{
		{"purpose", "q", token.Purpose},
		{"purpose", none, token.Purpose},
		{"purpose", []string{"p"}, token.Purpose},
		{"aud", "other", token.Audience},
		{"aud", none, token.Audience},
		{"aud", []string{"other", "shop"}, ""},
		{"aud", []string{}, token.Audience},
		{"aud", map[string]string{"shop": "shop"}, token.Audience},
		{"sub", none, token.Subject},
		{"sub", 7, token.Subject},
		{"sub", strings.Repeat("x", 201), token.Subject},
		{"jti", none, ""},
		{"jti", strings.Repeat("x", 201), token.Subject},
		{"iat", none, token.Lifetime},
		{"exp", none, token.Lifetime},
		{"iat", "2026-12-06", token.Lifetime},
		{"exp", "1796518800", token.Lifetime},
		{"exp", 1e300, token.Lifetime},
		{"exp", -5, token.Lifetime},
		{"exp", now.Unix(), token.Lifetime},
		{"exp", now.Add(2 * time.Hour).Unix(), ""},
		{"exp", now.Add(2*time.Hour + time.Second).Unix(), token.Lifetime},
		{"exp", now.AddDate(100, 0, 0).Unix(), token.Lifetime},
		{"iat", now.Add(-time.Minute - time.Hour).Unix(), token.Lifetime},
		{"iat", now.Add(time.Minute).Unix(), token.NotYet},
		{"iat", now.Add(20 * time.Second).Unix(), ""},
		{"iat", float64(now.Unix()) + 0.5, ""},
		{"nbf", now.Add(time.Minute).Unix(), token.NotYet},
		{"nbf", now.Unix(), ""},
		{"nbf", "tomorrow", token.Lifetime},
		{"nbf", nil, token.Lifetime},
		{"window", nil, ""},
	} {
		claims := good()
		claims[c.name] = c.value
		if c.value == none {
			delete(claims, c.name)
		}
		t.Run(fmt.Sprint(i, c.name), func(t *testing.T) {
			_, err := v.Verify(sign(t, claims, jwt.SigningMethodEdDSA, key(0)), now)
			requireReason(t, c.want, err)
		})
	}
	past := good()
	past["iat"], past["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	_, err := v.Verify(sign(t, past, jwt.SigningMethodEdDSA, key(0)), now)
	requireReason(t, token.Expired, err)
}

func TestForgeries(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	genuine := sign(t, good(), jwt.SigningMethodEdDSA, key(0))
	parts := strings.Split(genuine, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	unsigned := jwt.NewWithClaims(jwt.SigningMethodNone, good())
	unsigned.Header["kid"] = "k0"
	none, err := unsigned.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text string
		want token.Reason
	}{
		"empty":                   {"", token.Malformed},
		"no JWT":                  {"letmein", token.Malformed},
		"two parts":               {parts[0] + "." + parts[1], token.Malformed},
		"four parts":              {genuine + "." + parts[2], token.Malformed},
		"a JWE":                   {"a.b.c.d.e", token.Malformed},
		"spaces":                  {" " + genuine, token.Malformed},
		"padding":                 {genuine + "=", token.Malformed},
		"too long":                {genuine + strings.Repeat("A", token.MaxLength), token.Malformed},
		"null header":             {encode("null") + "." + parts[1] + "." + parts[2], token.Algorithm},
		"no header":               {encode("{}") + "." + parts[1] + "." + parts[2], token.Algorithm},
		"null claims":             {parts[0] + "." + encode("null") + "." + parts[2], token.Signature},
		"claims that are no JSON": {parts[0] + "." + encode("{") + "." + parts[2], token.Malformed},
		"alg none":                {none, token.Algorithm},
		"alg NONE":                {encode(`{"alg":"NONE","kid":"k0"}`) + "." + parts[1] + ".", token.Algorithm},
		"alg eddsa":               {encode(`{"alg":"eddsa","kid":"k0"}`) + "." + parts[1] + "." + parts[2], token.Algorithm},
		"alg a list":              {encode(`{"alg":["EdDSA"],"kid":"k0"}`) + "." + parts[1] + "." + parts[2], token.Algorithm},
		"HS256, public key":       {sign(t, good(), jwt.SigningMethodHS256, []byte(public(key(0)))), token.Algorithm},
		"unknown key id":          {sign(t, good(), jwt.SigningMethodEdDSA, key(0), "kid", "k2"), token.Key},
		"empty key id":            {sign(t, good(), jwt.SigningMethodEdDSA, key(0), "kid", ""), token.Key},
		"no key id":               {encode(`{"alg":"EdDSA"}`) + "." + parts[1] + "." + parts[2], token.Key},
		"key id of another key":   {sign(t, good(), jwt.SigningMethodEdDSA, key(1)), token.Signature},
		"a stranger's key":        {sign(t, good(), jwt.SigningMethodEdDSA, key(7)), token.Signature},
		"no signature":            {parts[0] + "." + parts[1] + ".", token.Signature},
		"changed claims":          {parts[0] + "." + encode(strings.Replace(string(claims), "ana", "eve", 1)) + "." + parts[2], token.Signature},
		"critical extension":      {sign(t, good(), jwt.SigningMethodEdDSA, key(0), "crit", "b64"), token.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := v.Verify(c.text, now)
			requireReason(t, c.want, err)
			require.Nil(t, got)
			var refused *token.Error
			require.ErrorAs(t, err, &refused)
			require.False(t, refused.Signed())
		})
	}
	wrong := good()
	wrong["purpose"] = "debug"
	_, err = v.Verify(sign(t, wrong, jwt.SigningMethodEdDSA, key(0)), now)
	var refused *token.Error
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Signed())
}

// A token that was good once is looked at again all the same: its memory ends with it,
// and is bounded.
func TestManyTokens(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	texts := make([]string, 1500)
	for i := range texts {
		claims := maps.Clone(good())
		claims["jti"] = fmt.Sprint(i)
		if i%2 == 0 {
			claims["exp"] = now.Add(time.Minute).Unix()
		}
		texts[i] = sign(t, claims, jwt.SigningMethodEdDSA, key(0))
	}
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for i := part; i < len(texts); i += 4 {
				if _, err := v.Verify(texts[i], now); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, 1000, v.Remembered())
	_, err := v.Verify(sign(t, good(), jwt.SigningMethodEdDSA, key(1), "kid", "k1"), now.Add(10*time.Minute))
	require.NoError(t, err)
	require.Less(t, v.Remembered(), 1000, "those that are over are forgotten")
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	keys := map[string]ed25519.PublicKey{"k": public(key(0))}
	for want, opts := range map[string]token.Options{
		"keys: must have":         {Purpose: "p", Audience: "a", MaxAge: 1},
		"purpose: is":             {Keys: keys, Audience: "a", MaxAge: 1},
		"audience: is":            {Keys: keys, Purpose: "p", MaxAge: 1},
		"maximum age":             {Keys: keys, Purpose: "p", Audience: "a"},
		"maximum age: must":       {Keys: keys, Purpose: "p", Audience: "a", MaxAge: -1},
		"keys: a key id":          {Keys: map[string]ed25519.PublicKey{"": public(key(0))}, Purpose: "p", Audience: "a", MaxAge: 1},
		`key "k" must have 32 by`: {Keys: map[string]ed25519.PublicKey{"k": {1, 2}}, Purpose: "p", Audience: "a", MaxAge: 1},
	} {
		_, err := token.New(opts)
		require.ErrorContains(t, err, want)
	}
}

// FuzzVerify has two ways in: any text, and any claims that are signed all the same. Only
// what says all that it must is good.
func FuzzVerify(f *testing.F) {
	v := verifier(f)
	signed := sign(f, good(), jwt.SigningMethodEdDSA, key(0))
	f.Add(signed, []byte(`{"purpose":"p"}`))
	f.Add("a.b.c", fmt.Appendf(nil, `{"purpose":"p","aud":["shop"],"sub":"x","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+60))
	f.Add("..", []byte(`{"purpose":"p","aud":"shop","sub":"x","iat":1e18,"exp":1e308,"nbf":-1}`))
	f.Add(signed[:len(signed)-1]+"B", []byte("null"))
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		if c, err := v.Verify(text, now); err == nil {
			require.Equal(t, signed, text)
			require.Equal(t, "ana", c.Subject)
		} else {
			require.NotContains(t, err.Error(), ".")
		}
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k0"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
		signature, err := key(0).Sign(rand.Reader, []byte(head), crypto.Hash(0))
		require.NoError(t, err)
		c, err := v.Verify(head+"."+base64.RawURLEncoding.EncodeToString(signature), now)
		if err == nil {
			require.Contains(t, string(payload), "purpose")
			require.NotEmpty(t, c.Subject)
			require.LessOrEqual(t, c.Expires.Sub(c.IssuedAt), 2*time.Hour)
			require.Less(t, now, c.Expires.Add(token.Leeway))
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	text := sign(b, good(), jwt.SigningMethodEdDSA, key(0))
	v := verifier(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}
