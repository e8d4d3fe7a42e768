package modpattern_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/modpattern"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"a.example/x", "a.example/x", true},
		{"a.example/x", "a.example/x/y", false},
		{"a.example/...", "a.example", true},
		{"a.example/...", "a.example/x/y", true},
		{"a.example/...", "a.examples/x", false},
		{"a.example/x...", "a.example/xy", true},
		{"...", "a.example/x", true},
		{".../x", "a.example/x", true},
		{"a...c...e", "abcde", true},
		{"a...c...e", "abde", false},
		{"a...a", "a", false},
	} {
		p, err := modpattern.Parse(c.pattern)
		require.NoError(t, err)
		require.Equal(t, c.want, p.Match(c.path), "%s %s", c.pattern, c.path)
		require.Equal(t, c.pattern, p.String())
		require.Equal(t, !strings.Contains(c.pattern, "..."), p.Plain())
	}
	for _, text := range []string{"", "a b", "a//b", "../x", "/a"} {
		_, err := modpattern.Parse(text)
		require.Error(t, err, text)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a.example/...", "a.example/x")
	f.Add("a...c...e", "abcde")
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := modpattern.Parse(text)
		if err != nil {
			return
		}
		if p.Match(path) && p.Plain() {
			require.Equal(t, text, path)
		}
		parts := strings.Split(text, "...")
		require.True(t, p.Match(strings.Join(parts, "x/")), "a pattern must match its parts with any text between them")
	})
}
