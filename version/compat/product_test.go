package compat_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
)

func knows(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

func TestParseProduct(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", compat.MaxToken)
	for _, c := range []struct {
		header    string
		agent     bool
		name, ver string
		ok        bool
	}{
		{"shop/v1.4.2", true, "shop", "v1.4.2", true},
		{"shop/v1.4.2+dirty", true, "shop", "v1.4.2+dirty", true},
		{"shop", true, "shop", "", true},
		{" \tshop/v1.4.2 (linux; a\\)b (nested)) lib/2", true, "shop", "v1.4.2", true},
		{"(first a comment)shop/v1", true, "shop", "v1", true},
		{"(never closed shop/v1", true, "", "", false},
		{"(ends in a backslash\\", true, "", "", false},
		{")shop/v1", true, "", "", false},
		{"okhttp/4.12.0 other/v1 known/v2 known/v3", true, "known", "v2", true},
		{"okhttp/4.12.0 known", true, "known", "", true},
		{"Go-http-client/1.1", true, "Go-http-client", "1.1", true},
		{"Mozilla/5.0 (X11; Linux) Gecko/2010 Firefox/140.0", true, "Mozilla", "5.0", true},
		{"a/b/c shop/v1", true, "shop", "v1", true},
		{"a/ /b / shop/v1", true, "shop", "v1", true},
		{"", true, "", "", false},
		{" \t ", true, "", "", false},
		{"\x00", true, "", "", false},
		{"caf\u00e9/v1", true, "", "", false},
		{"shop/v1\r\nX-Evil: 1", true, "1", "", true}, // which net/http never delivers
		{long + "/" + long, true, long, long, true},
		{long + "x/v1", true, "", "", false},
		{"shop/" + long + "x", true, "", "", false},
		{strings.Repeat(" ", compat.MaxHeader), true, "", "", false},
		{strings.Repeat(" ", compat.MaxHeader-4) + "shop", true, "shop", "", true},
		{strings.Repeat(" ", compat.MaxHeader-3) + "shop", true, "", "", false},
		{strings.Repeat("(", compat.MaxHeader), true, "", "", false},

		{"v1.4.2", false, "", "v1.4.2", true},
		{"build-4711", false, "", "build-4711", true},
		{"known", false, "known", "", true},
		{"shop/v1.4.2", false, "shop", "v1.4.2", true},
		{"v1.4.2 (linux)", false, "", "v1.4.2", true},
		{"v1.4.2 known/v2", false, "known", "v2", true},
		{"v1.4.2", true, "v1.4.2", "", true}, // a User-Agent names first
	} {
		name, ver, ok := compat.ParseProduct(c.header, c.agent, knows("known"))
		require.Equal(t, c.name, name, "%q", c.header)
		require.Equal(t, c.ver, ver, "%q", c.header)
		require.Equal(t, c.ok, ok, "%q", c.header)
	}
}

// TestWhatVersionTells reads all that version.UserAgent can make.
func TestWhatVersionTells(t *testing.T) {
	t.Parallel()
	for _, info := range []version.Info{
		{Name: "shop", Version: "v1.4.2+dirty"},
		{Name: "shop", Version: "(devel)"},
		{Name: "my shop", Version: "v1 2\r\n3"},
		{Name: strings.Repeat("n", 1000), Version: strings.Repeat("v", 1000)},
		{Name: "unknown_service:go"},
		{},
	} {
		name, ver, ok := compat.ParseProduct(info.UserAgent(), true, knows())
		require.True(t, ok)
		if ver != "" {
			name += "/" + ver
		}
		require.Equal(t, info.UserAgent(), name)
	}
}

func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"shop/v1.4.2", "shop/v1.4.2+dirty (a (b) \\) c) lib/2", "v1.4.2", "shop/v0.0.0-20260102150405-abcdef123456", "shop/v1.3.9-rc.1",
		"\x00\xff/(", "(((((", "shop/2026.11.20", "shop/v99999999999999999999.1.1", "lib/1 shop/v1.3.0", "shop/build-7", "a\r\nSet-Cookie: x=y",
	} {
		f.Add(seed)
	}
	p, err := compat.New(compat.Rules{
		Default: []compat.Rule{{Minimum: "v1.4.0", Block: []string{"1.5.x", "build-7"}, Stage: compat.StageWarn, Strict: true}},
		Peers:   map[string][]compat.Rule{"shop": {{Minimum: "v1.4.0", Skew: &compat.Skew{Minor: 2}, Stage: compat.StageEnforce}}},
	}, &compat.Options{Self: "v1.6.0", Logger: quiet})
	require.NoError(f, err)
	h := compat.Require(p)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	f.Fuzz(func(t *testing.T, header string) {
		for _, agent := range []bool{true, false} {
			name, ver, ok := compat.ParseProduct(header, agent, knows("shop"))
			for _, s := range []string{name, ver} {
				require.LessOrEqual(t, len(s), compat.MaxToken)
				for _, c := range []byte(s) {
					require.True(t, c > ' ' && c < 0x7f && c != '/' && c != '"' && c != '(', "%q", s)
				}
			}
			require.Equal(t, ok, name != "" || ver != "")
		}
		var first *httptest.ResponseRecorder
		for range 2 { // the second one from the table
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["User-Agent"] = []string{header}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Contains(t, []int{200, 400}, w.Code)
			require.True(t, utf8.Valid(w.Body.Bytes()))
			for _, values := range w.Header() {
				for _, c := range []byte(strings.Join(values, "")) {
					require.True(t, c >= ' ' && c < 0x7f)
				}
			}
			err := p.CheckClient(header)
			require.Equal(t, err != nil, w.Header().Get(compat.RequiredHeader) != "")
			if first != nil {
				require.Equal(t, first.Code, w.Code)
				require.Equal(t, first.Header(), w.Header())
				require.Equal(t, first.Body.String(), w.Body.String())
			}
			first = w
		}
		_ = p.CheckServer(header)
		require.LessOrEqual(t, p.Kept(), compat.Places)
	})
}
