package version_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	const (
		earlier = "v1.2.4-0.20260102150405-abcdef123456"
		later   = "v1.2.4-0.20260202150405-123456abcdef"
		tagless = "v0.0.0-20260102150405-abcdef123456"
	)
	for _, pair := range [][2]string{ // in order
		{"v1.2.3", "v1.2.4"},
		{"1.2.3", "v1.10.0"},
		{"v1.2.3", "v2.0.0-rc.1"},
		{"v1.2.3-hotfix.1", "v1.2.4"},
		{"1.2.3-abc", "1.3.0-0aa"},
		{"v1.2.3-rc9", "v1.2.3-rc10"},
		{"v1.2.3-rc.9", "v1.2.3-rc.10"},
		{"v1.2.3-rc-9", "v1.2.3-rc10"},
		{"v1.2.3-RC9", "v1.2.3-rc10"},
		{"v1.2.3-rc", "v1.2.3-rc1"},
		{"v1.2.3-alpha.2", "v1.2.3-beta.1"},
		{"v1.2.3-b2", "v1.2.3-rc1"},
		{"v1.2.3-rc.1", "v1.2.3"},
		{"1.2.3-SNAPSHOT", "1.2.3"},
		{"1.2.3-dev.3", "1.2.3-dev.20"},
		{"1.2.3-a1", "1.2.3-b1"},
		{"1.2.3-c9", "1.2.3-c10"},
		{earlier, later},
		{later, "v1.2.4"},
		{"v1.2.3", earlier},
		{tagless, "v0.0.0-20260102150406-000000000000"},
	} {
		order, ok := version.Compare(pair[0], pair[1])
		require.True(t, ok, pair)
		require.Negative(t, order, pair)
		order, ok = version.Compare(pair[1], pair[0])
		require.True(t, ok, pair)
		require.Positive(t, order, pair)
	}
	for _, pair := range [][2]string{ // without order
		{"1.2.3-1ubuntu9", "1.2.3-1ubuntu10"},
		{"v1.2.3", "v1.2.3-hotfix.1"},
		{"v1.2.3", "0.0.0-dev"},
		{"v1.2.3", tagless},
		{"1.2.3-4f2a", "1.2.3-9b1c"},
		{"v1.2.3-pre.1", "v1.2.3-rc.1"},
		{"v1.2.3-1", "v1.2.3"},
		{"1.2.3", "1.2.3-a123456"},
		{"1.2.3-b123456", "1.2.3-a7654321"},
		{"1.2.3-c1234567", "1.2.3-rc.1"},
		{"1.2.3-1234567", "1.2.3-7654321"},
		{"build-1", "build-2"},
		{"2026.11.20", "2026.11.21"},
		{"", "v1.2.3"},
		{"(devel)", "v1.2.3"},
		{earlier, "v1.2.4-hotfix"},
		{"v1.2.3-rc1.hotfix", "v1.2.3-rc2"},
		{"v1.2.3-rc99999999999999999999", "v1.2.3-rc1"},
	} {
		for _, p := range [][2]string{pair, {pair[1], pair[0]}} {
			_, ok := version.Compare(p[0], p[1])
			require.False(t, ok, p)
		}
	}
	for _, pair := range [][2]string{{"v1.2.3", "1.2.3"}, {"v1.2.3+dirty", "v1.2.3"}, {"build-1", "build-1"}, {"", ""}, {"1.2.3-1ubuntu9", "v1.2.3-1ubuntu9"}} {
		order, ok := version.Compare(pair[0], pair[1])
		require.True(t, ok, pair)
		require.Zero(t, order, pair)
	}
}

// TestSuffixesAreNoDowngrade deploys commits, whose hashes cannot be ordered.
func TestSuffixesAreNoDowngrade(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	tag := func() string { return fmt.Sprintf("1.2.3-%07x", random.Uint32()>>4) }
	last := tag()
	for range 399 {
		next := tag()
		require.Equal(t, version.ChangeKindChanged, version.Diff(version.Info{Version: last}, version.Info{Version: next}).Version.Kind, "%s → %s", last, next)
		last = next
	}
	for _, c := range []struct {
		old, new version.Info
		want     version.ChangeKind
	}{
		{version.Info{Version: "v1.2.3-rc9"}, version.Info{Version: "v1.2.3-rc10"}, version.ChangeKindUpgraded},
		{version.Info{Version: "v1.2.3"}, version.Info{Version: "v1.2.3-hotfix.1"}, version.ChangeKindChanged},
		{version.Info{Version: "v5.0.0", Module: "example.com/a/v5"}, version.Info{Version: "v1.0.0", Module: "example.com/b"}, version.ChangeKindChanged},
		{version.Info{Version: "v5.0.0", Module: "example.com/a/v5"}, version.Info{Version: "v1.0.0", Module: "example.com/a"}, version.ChangeKindDowngraded},
		{version.Info{Version: "v5.0.0", Module: "example.com/a/v5"}, version.Info{Version: "v1.0.0"}, version.ChangeKindDowngraded},
	} {
		require.Equal(t, c.want, version.Diff(c.old, c.new).Version.Kind, "%s → %s", c.old.Version, c.new.Version)
	}
}
