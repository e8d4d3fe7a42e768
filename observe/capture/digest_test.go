package capture_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// The keyed hash is HMAC-SHA256, for keys and messages of any length.
func TestKeyedHashIsHMAC(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 6)
	for _, keyLen := range []int{0, 1, 16, 32, 63, 64, 65, 100} {
		for n := range 140 {
			key := []byte(text[:keyLen])
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(text[:n]))
			require.Equal(t, [32]byte(mac.Sum(nil)), capture.KeyedHash(key, text[n:], text[:n]), "a key of %d bytes and a message of %d", keyLen, n)
		}
	}
}

// Pseudonyms are made with the numbers that rand.Rand draws.
func TestDrawIsAsRand(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 6, 10, 26, 50, 254, 256, 1e9, 1<<32 + 1, 1<<62 + 1, 1<<63 - 1} {
		seed := [32]byte{byte(n)}
		r := rand.New(rand.NewChaCha8(seed))
		for i, got := range capture.Draw(seed, n, 1000) {
			require.Equal(t, r.IntN(n), got, "number %d below %d", i, n)
		}
	}
}

var linkSeeds = []string{
	"http://a", "HTTPS://Ann.Shop.test:8443/a/b.c/?q=a+b&c=%41&=&d#e", "ws://192.0.2.1:99999", "ftp://x_y.z:/~ann/", "http://a//b", "a://b?query={a}", "http://a/b:c@d;e,f!g(h)*'i'",
	"http://a/2026-11-29/550e8400-e29b-41d4-a716-446655440000", "http://a?", "http://a#", "http://a/?x#1.2.3.4", "http://127.0.0.1/", "http://shop.test./", "http://a/..", "http://a?b=c=d&&e",
	"x://1.2.3.4?a=http://b/c", "http://a-/-.:", "http://[::1]/", "http://u:p@a/", "http://a/%41", "1://a", "http:///", "://a",
}

// FuzzLink: links in bodies are redacted as package url would read them.
func FuzzLink(f *testing.F) {
	for _, s := range linkSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if short, long, ok := capture.Link([]byte("0123456789abcdef"), s); ok {
			require.Equal(t, long, short, "%q", s)
		}
	})
}

// Links of the usual forms do not need package url.
func TestUsualLinks(t *testing.T) {
	t.Parallel()
	for i, s := range linkSeeds {
		_, _, ok := capture.Link([]byte("0123456789abcdef"), s)
		require.Equal(t, i < len(linkSeeds)-6, ok, s)
	}
}

// A body keeps the forms of thousands of usual values, and of a bounded number of those that need a
// parser. The others are replaced word by word.
func TestFormsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{})
	redacted := func(value string, count int) []string {
		b := bundleOf(`["` + strings.Repeat(value+`","`, count-1) + value + `"]`)
		require.NoError(t, r.Redact(b))
		return strings.Split(strings.Trim(b.Log.Entries[0].Request.PostData.Text, `[]"`), `","`)
	}
	for _, value := range []string{"http://a/b?c=d", "192.0.2.1", "2026-11-29T01:02:03Z", "ann@shop.test"} {
		list := redacted(value, 3000)
		require.Len(t, list, 3000)
		require.NotEqual(t, value, list[0])
		for _, v := range list {
			require.Equal(t, list[0], v)
		}
	}
	for value, bound := range map[string]int{"http://a/%41": 255, "2001:db8::1": 2040} {
		list := redacted(value, 3000)
		require.Equal(t, list[0], list[bound-1], value)
		require.NotEqual(t, list[0], list[bound], value)
		require.Equal(t, list[bound], list[2999], value)
		require.NotContains(t, list, value)
	}
	// What cannot be parsed does not take the forms of a few others.
	b := bundleOf(`["` + strings.Repeat(`2026-11-29T99:99:99Z","`, 100) + `2001:db8::1","192.0.2.1"]`)
	require.NoError(t, r.Redact(b))
	require.Contains(t, b.Log.Entries[0].Request.PostData.Text, `"fd`)
}
