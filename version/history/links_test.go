package history_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

func TestCompareURL(t *testing.T) {
	t.Parallel()
	const a, b = "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2", "d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5"
	for _, c := range []struct{ module, from, to, template, want string }{
		{"github.com/shop/shop", a, b, "", "https://github.com/shop/shop/compare/" + a + "..." + b},
		{"github.com/shop/shop/v2", a, b + "-dirty", "", "https://github.com/shop/shop/compare/" + a + "..." + b},
		{"github.com/shop/shop/cmd/till", "v1.4.0", "v1.5.0-rc.1+dirty", "", "https://github.com/shop/shop/compare/v1.4.0...v1.5.0-rc.1"},
		{"gitlab.com/a/b/c/v3", a, b, "", "https://gitlab.com/a/b/c/-/compare/" + a + "..." + b},
		{"codeberg.org/a/b", a[:7], b[:7], "", "https://codeberg.org/a/b/compare/a1b2c3d...d4e5f6a"},
		{"example.com/shop", a, b, "", ""},
		{"example.com/shop/v2", a, b, "https://git.example.com/{module}/compare/{from}...{to}", "https://git.example.com/shop/compare/" + a + "..." + b},
		{"", a, b, "https://git.example.com/shop/compare/{from}...{to}", "https://git.example.com/shop/compare/" + a + "..." + b},
		{"github.com/shop", a, b, "", ""},
		{"github.com/shop/shop", a, a, "", ""},
		{"github.com/shop/shop", "", b, "", ""},
		{"github.com/shop/shop", "(devel)", b, "", ""},
		{"github.com/shop/shop", "v0.0.0-20260102150405-abcdef123456", b, "", ""},
		{"example.com/shop", a, b, "javascript:{from}{to}", ""},
		{"github.com/shop/../x", a, b, "", ""},
		{"github.com/a b/<script>", a, b, "", ""},
	} {
		change := history.Change{From: &version.Info{Module: c.module}, To: &version.Info{Module: c.module}}
		for text, info := range map[string]*version.Info{c.from: change.From, c.to: change.To} {
			if strings.HasPrefix(text, "v") || strings.HasPrefix(text, "(") {
				info.Version = text
			} else {
				info.Revision = text
			}
		}
		if c.from == c.to {
			change.From.Revision = c.from
		}
		require.Equal(t, c.want, change.CompareURL(c.template), "%+v", c)
	}
	first := history.Change{To: &version.Info{Module: "github.com/shop/shop", Revision: a}}
	require.Empty(t, first.CompareURL(""))
	other := history.Change{From: &version.Info{Module: "github.com/till/till", Revision: a}, To: &version.Info{Module: "github.com/shop/shop", Revision: b}}
	require.Empty(t, other.CompareURL(""))
}

// TestMarkdownLinks: the change of a module on a known host is a link to its comparison.
func TestMarkdownLinks(t *testing.T) {
	t.Parallel()
	m := &memory{}
	for _, r := range []string{"v1.0.0", "v1.1.0"} {
		info := build(r)
		info.Module = "github.com/shop/shop"
		require.NoError(t, history.Record(t.Context(), m, info, production("a")))
	}
	l := timeline(t, m)
	require.Contains(t, l.Markdown(), "| [shop (production)](https://github.com/shop/shop/compare/v1.0.0...v1.1.0) | **v1.0.0 → v1.1.0**")
	require.NotContains(t, strings.Split(l.Markdown(), "\n")[2], "http", "the first version has no comparison")
}
