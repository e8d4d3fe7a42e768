package pattern_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
)

// isPlain is Plain, said otherwise.
func isPlain(path string) bool {
	odd := func(r rune) bool { return r < ' ' || r >= 0x7f || strings.ContainsRune(`%;\`, r) }
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, odd) && !strings.Contains(path, "//") && !strings.Contains(path, "/.")
}

// A path is plain in whichever way it is looked at.
func TestPlainPaths(t *testing.T) {
	t.Parallel()
	check := func(path string) bool {
		fast, slow := pattern.Plain(path), isPlain(path)
		require.Equal(t, slow, fast, "%q", path)
		return fast
	}
	plain := 0
	for _, base := range []string{"/", "/a", "/orders/1", "/orders/1/", "/orders/1/items/2/x", "/catalogue/some-longer_name.html/and~more"} {
		require.True(t, check(base), base)
		for i := range len(base) {
			for c := range 256 { // each byte in each place
				if check(base[:i] + string([]byte{byte(c)}) + base[i+1:]) {
					plain++
				}
				check(base[:i] + string([]byte{byte(c)}) + base[i:])
			}
		}
		for i := range len(base) - 1 {
			for _, two := range []string{"//", "/.", "./", "..", "\x80\x7f", "\xff/", "%/", "/\xaf"} {
				check(base[:i] + two + base[i+2:])
			}
		}
	}
	require.Positive(t, plain)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := []byte{'/'}
		for range r.IntN(40) {
			b = append(b, "/./abcdefgh%;\\\x00\x1f \x7f\x80\xc3\xff"[r.IntN(21)])
		}
		check(string(b))
	}
}
