package cleantext_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		"  v1.4.2 ":              "v1.4.2",
		"a\nb\x1b[m":             "a\uFFFDb\uFFFD[m",
		"\xff":                   "\uFFFD",
		"é":                      "é",
		"12345678901":            "1234567890",
		"123456789é":             "123456789",
		"123456789 0":            "123456789",
		"a\u202eb":               "a\uFFFDb",
		strings.Repeat("\n", 99): "",
	} {
		got := cleantext.Line(text, 10)
		require.Equal(t, want, got, "%q", text)
		require.Equal(t, got, cleantext.Line(got, 10), "once is enough")
		require.True(t, cleantext.Printable(got), "%q", got)
	}
	require.Equal(t, "a b  c", cleantext.Flat("a\nb\r\nc\n", 10))
	require.False(t, cleantext.Printable("a\tb"))
	require.False(t, cleantext.Printable("\xff"))
	require.False(t, cleantext.Printable("\u2028"))
}

func TestCutAndClip(t *testing.T) {
	t.Parallel()
	require.Equal(t, "abc", cleantext.Cut("abc", 3))
	require.Equal(t, "ab", cleantext.Cut("abé", 3))
	require.Equal(t, "a\n", cleantext.Cut("a\nb", 2))
	require.Equal(t, "", cleantext.Cut("é", 1))
	require.Equal(t, "", cleantext.Cut("é", 0))
	require.Equal(t, "abc", cleantext.Clip("abc", 3))
	require.Equal(t, "ab…", cleantext.Clip("abé", 3))
}

func FuzzCut(f *testing.F) {
	f.Add("abé", 3)
	f.Add("\xff\xfe\xfd", 2)
	f.Add("\xe2\x82", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 1000))
		for _, got := range []string{cleantext.Cut(s, limit), cleantext.Line(s, limit), cleantext.Flat(s, limit)} {
			require.LessOrEqual(t, len(got), limit)
			require.True(t, utf8.ValidString(got))
		}
		require.LessOrEqual(t, len(cleantext.Clip(s, limit)), limit+len("…"))
	})
}
