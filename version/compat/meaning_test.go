package compat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
)

// verdict returns the result of a rule for a version.
func verdict(t testing.TB, rule compat.Rule, version string) string {
	t.Helper()
	broken, open := judged(t, rule, version)
	switch {
	case broken != nil:
		return unfit
	case open:
		return unknown
	}
	return fits
}

// TestAPrereleaseThatIsNamed: a text that names a prerelease of a number is literal for that
// number, and for no other.
func TestAPrereleaseThatIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ require, version, want string }{
		{"=1.2.3-rc.1", "v1.2.3-rc.1", fits},
		{"1.2.3-rc.1", "1.2.3-rc.1", fits},
		{"=1.2.3-rc.1", "v1.2.3-rc.2", unfit},
		{"=1.2.3-rc.1", "v1.2.3", unfit},
		{"=1.2.3-rc.1", "v1.2.3-rc.1+dirty", unknown},
		{"=1.2.3-rc.1 || =1.2.4", "v1.2.4-rc.1", unfit},
		{">=1.4.0-rc.1 <1.4.0", "v1.4.0-rc.2", fits},
		{"<2.0.0-rc.2", "v2.0.0-rc.1", fits},
		{"<2.0.0-rc.2", "v2.0.0-rc.2", unfit},
		{"<=2.0.0-rc.2", "v2.0.0", unfit},
		{"!=1.5.0-rc.1", "v1.5.0-rc.2", fits},
		{"!=1.5.0-rc.1", "v1.5.0-rc.1", unfit},
		{"!=1.5.0-rc.1", "v1.5.0", fits},
		{"1.0.0-beta.2 - 1.0.0-rc.9", "v1.0.0-rc.1", fits},
		{"=v1.2.4-0.20260102150405-abcdef123456", "v1.2.4-0.20260102150405-abcdef123456", fits},
		{">=1.4.0-rc.1 <2", "v2.0.0-rc.1", unfit},
	} {
		require.Equal(t, c.want, verdict(t, compat.Rule{Require: c.require}, c.version), "%s requires %s", c.version, c.require)
	}
}

// TestSuffixesWithoutOrder: a commit, a hotfix or the revision of a package may come before
// its number or after.
func TestSuffixesWithoutOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ require, version, want string }{
		{">=1.2.3", "v1.2.3-hotfix.1", unknown},
		{">=1.2.3", "1.2.3-1ubuntu9", unknown},
		{">=1.2.3", "1.2.3-4f2a9c1", unknown},
		{">=1.2.3", "v1.2.3-rc.1", unfit},
		{">=1.2.4", "v1.2.3-hotfix.1", unfit},
		{">=1.2.2", "v1.2.3-hotfix.1", fits},
		{"<1.2.3", "v1.2.3-hotfix.1", unfit},
		{"<1.2.4", "v1.2.3-hotfix.1", fits},
		{"=1.2.3-hotfix.1", "v1.2.3-hotfix.1", fits},
		{"=1.2.3", "v1.2.3-hotfix.1", unfit},
		// Numbers have an order.
		{">=1.4.0-rc10", "v1.4.0-rc9", unfit},
		{">=1.4.0-rc9", "v1.4.0-rc10", fits},
		{">=1.4.0-rc.9", "v1.4.0-RC10", fits},
	} {
		require.Equal(t, c.want, verdict(t, compat.Rule{Require: c.require}, c.version), "%s requires %s", c.version, c.require)
	}
	for block, want := range map[string]string{"v1.2.3": unknown, "1.2": unfit, "v1.2.4": fits, "1.2.0 - 1.2.3": unknown, "1.2.3-hotfix.1": unfit, "1.2.3-hotfix.2": fits} {
		require.Equal(t, want, verdict(t, compat.Rule{Block: []string{block}}, "v1.2.3-hotfix.1"), "block %s", block)
	}
}

// TestABlockNamesWhatItBlocks, and blocks no more than that.
func TestABlockNamesWhatItBlocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ block, version, want string }{
		{"1.6.0-rc1", "v1.6.0", fits},
		{"1.6.0-rc1", "v1.6.0-rc1", unfit},
		{"1.6.0-rc1", "v1.6.0-rc2", fits},
		{"v1.6.0-rc1", "1.6.0-rc1+dirty", unfit},
		{"v1.5.0+dirty", "v1.5.0", fits},
		{"v1.5.0+dirty", "v1.5.0+dirty", unfit},
		{"v1.5.0+dirty", "1.5.0+dirty", unfit},
		{"1.5.0+build.5", "v1.5.0+build.6", fits},
		{"dev", "dev", unfit},
		{"devel", "devel", unfit},
		{"dev", "devel", unknown},
		{"0.0.0-SNAPSHOT", "0.0.0-SNAPSHOT", unfit},
		{"0.0.0", "v0.0.0", unfit},
		{"0.0.0", "0.0.0-dev", unknown},
		{"1.2.3-SNAPSHOT", "1.2.3-SNAPSHOT", unfit},
		{"1.2.3-SNAPSHOT", "1.2.3", fits},
		{"4711", "4711", unfit},
		{"4711", "4712", unknown},
		{" v1.4.3\t", "v1.4.3", unfit},
		{"1.x", "v1.9.9", unfit},
		{"1.x", "v2.0.0", fits},
		{"latest", "latest", unfit},
		{">=1.4.0 <1.5.0 !=1.4.7", "v1.4.7", fits},
		{">=1.4.0 <1.5.0 !=1.4.7", "v1.4.6", unfit},
		{"v1.4.2-3-gabc1234", "v1.4.2-3-gabc1234", unfit},
		{"v1.4.2-3-gabc1234", "v1.4.2", fits},
	} {
		require.Equal(t, c.want, verdict(t, compat.Rule{Block: []string{c.block}}, c.version), "%s, block %s", c.version, c.block)
	}
}

// TestTextsThatMeanSomethingElse are faults, with a proposal where one can be made.
func TestTextsThatMeanSomethingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// In a block list.
		"block: [1.6-rc1]":           `default[0].block[0]: "1.6-rc1" is a prerelease of an incomplete version; write v1.6.0-rc1`,
		"block: [v1-rc.1]":           "write v1.0.0-rc.1",
		"block: [x]":                 `default[0].block[0]: "x" blocks every version`,
		`block: ["*"]`:               "blocks every version",
		`block: [">=0.0.0"]`:         "blocks every version",
		`block: [">=0.0.0-0"]`:       "blocks every version",
		`block: ["<1.0.0 || >=1"]`:   "blocks every version",
		`block: ["!=1.4.3"]`:         `"!=1.4.3" blocks every version except those that it names; write 1.4.3`,
		`block: ["!=1"]`:             "write 1",
		`block: ["~0.0.0"]`:          `"~0.0.0" allows every version; write <0.1.0`,
		`block: ["<=*"]`:             `"<=*" compares with every version; write a number`,
		`block: [">=2.0.0 <1.0.0"]`:  `no version satisfies ">=2.0.0 <1.0.0"`,
		`block: ["1.5.2 - 1.5.0"]`:   "no version satisfies",
		`block: [">=1.5.0+dirty"]`:   `"1.5.0+dirty" has build metadata, which is not compared; write v1.5.0`,
		`block: [V1.4.3]`:            "write v1.4.3",
		`block: [v1.04.3]`:           "write v1.4.3",
		`block: ["(devel)"]`:         "write devel",
		`block: ["1.x.3"]`:           `"1.x.3" has a number after one that is missing`,
		`block: [">=2026.11.20"]`:    `"2026.11.20" is not a version that can be compared`,
		`block: ["<1", ">=1"]`:       "default[0]: no version satisfies it",
		`block: ["v1.4.3", "1.6-b"]`: "compat.yaml:1:30: default[0].block[1]: ",
		// In a constraint.
		`require: ">=2.0.0 <1.0.0"`:            `compat.yaml:1:21: default[0].require: no version satisfies ">=2.0.0 <1.0.0"`,
		`require: "=1.2.3 !=1.2.3"`:            "no version satisfies",
		`require: ">=1.0.0 || >3.0.0 <3.0.0"`:  `no version satisfies ">3.0.0 <3.0.0"`,
		`require: ">1.4 <1.5"`:                 "no version satisfies",
		`require: "=1.5.0+dirty"`:              "write v1.5.0",
		`require: ">=1.6-rc1"`:                 "write v1.6.0-rc1",
		`require: ">=1.2.3-3-gabc1234"`:        "not a version that can be compared",
		`require: "=0.0.0"`:                    "no version satisfies",
		`require: "~v0.0.0"`:                   "write <0.1.0",
		`require: ">x"`:                        `">x" compares with every version`,
		`require: "1 - *"`:                     `"<=*" compares with every version`,
		`require: ">=1.4.3-rc.01"`:             `improper constraint: ">=1.4.3-rc.01"`,
		`{minimum: v2.0.0, require: "<1.0.0"}`: "default[0]: no version satisfies it",
		`{minimum: v2.0.0, block: [">=2"]}`:    "default[0]: no version satisfies it",
		// In a minimum.
		`minimum: "1.4"`:          "write v1.4.0",
		`minimum: v1.4`:           "write v1.4.0",
		`minimum: ">=1.4.0"`:      "write v1.4.0",
		`minimum: "v1.4.0+dirty"`: "write v1.4.0",
		`minimum: "1.4-rc.1"`:     "write v1.4.0-rc.1",
		`minimum: "V1.4.0"`:       "write v1.4.0",
		`minimum: "0.0.0-dev"`:    "is a development build",
		`minimum: " v1.4.0"`:      "write v1.4.0",
	} {
		if !strings.HasPrefix(text, "{") {
			text = "{" + text + "}"
		}
		_, err := compat.ParsePolicy("compat.yaml", []byte("default: ["+text+"]"), &compat.Options{Logger: quiet})
		var fault *compat.Fault
		require.ErrorAs(t, err, &fault, text)
		require.ErrorContains(t, err, want, text)
		require.Equal(t, "default[0]", fault.Rule)
		require.Positive(t, fault.Line)
	}
}

// TestDevelopmentBuilds have the number that build tools use without a version.
func TestDevelopmentBuilds(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"0.0.0", "v0.0.0", "0.0.0-dev", "0.0.0-SNAPSHOT", "v0.0.0-alpha.1", "0.0.0+abc"} {
		require.Equal(t, version.KindDevel, version.KindOf(v), v)
		require.Equal(t, unknown, verdict(t, compat.Rule{Minimum: "v1.4.0"}, v), v)
		require.Equal(t, unfit, verdict(t, compat.Rule{Minimum: "v1.4.0", Strict: true}, v), v)
	}
	require.Equal(t, version.KindPseudo, version.KindOf("v0.0.0-20260102150405-abcdef123456"))
	require.Equal(t, version.KindRelease, version.KindOf("0.0.1"))
}

// TestJoinedHeaders come from proxies that make one line of several: the first counts, as
// it does of the lines.
func TestJoinedHeaders(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"v1.3.0, v1.4.2":     unfit,
		"v1.3.0,v1.4.2":      unfit,
		"v1.3.0 ,v1.4.2":     unfit,
		"v1.4.2, v1.3.0":     fits,
		", v1.4.2":           unknown,
		"v1.3.0; v1.4.2":     unknown,
		"\x00, v1.4.2":       unknown,
		"catalog/v1.3.0, v2": unfit,
		"(a, b) v1.4.2":      fits,
	} {
		p := policy(t, compat.Rule{Minimum: "v1.4.0"})
		strict := policy(t, compat.Rule{Minimum: "v1.4.0", Strict: true})
		got := fits
		switch {
		case p.CheckServer(header) != nil:
			got = unfit
		case strict.CheckServer(header) != nil:
			got = unknown
		}
		require.Equal(t, want, got, "%q", header)
	}
	p := policy(t, compat.Rule{Minimum: "v1.4.0"})
	require.Error(t, p.CheckClient("shop/v1.3.0, shop/v1.4.2"))
	require.NoError(t, p.CheckClient("Mozilla/5.0 (KHTML, like Gecko) Chrome/130.0.0"))
}

// FuzzMeaning holds each text that is accepted to what it names.
func FuzzMeaning(f *testing.F) {
	for _, seed := range []string{
		"1.2.3-rc.1", "v1.5.0+dirty", "1.6-rc1", "x", ">=2.0.0 <1.0.0", "1.5.0 - 1.5.2", "~1.2.x", "dev", "build-4711", "0.0.0-SNAPSHOT",
		"2026.11.20", "<1.4.3 || >=2", "!=1.4.3", "^1.4", "=1.2.3", "4711", "V1.2.3", "1.x.3", "1.2.3 1.2.4", ">1.0.0-a <1.0.0-b", "||", "1||2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
		if err != nil || version.KindOf(text) == version.KindOther {
			names = nil
		}
		neighbours := []string{"v0.0.1", "v1.0.0", "v1.2.3", "v1.2.3-rc.1", "v999.1.0"}
		if names != nil && names.Major() < 999 && names.Patch() < 1<<60 {
			neighbours = append(neighbours, fmt.Sprintf("v%d.%d.%d", names.Major(), names.Minor(), names.Patch()+1), fmt.Sprintf("v%d.0.0", names.Major()+1))
		}
		if p, err := compat.New(compat.Rules{Default: []compat.Rule{{Block: []string{text}}}}, &compat.Options{Self: "v1.6.0", Logger: quiet}); err == nil {
			passes := 0
			for _, n := range neighbours {
				if p.CheckClient("shop/"+n) == nil {
					passes++
				} else if names != nil {
					v := semver.MustParse(n)
					require.Equal(t, [3]uint64{names.Major(), names.Minor(), names.Patch()}, [3]uint64{v.Major(), v.Minor(), v.Patch()}, "%q blocks %s", text, n)
				}
			}
			if names != nil {
				require.Positive(t, passes, "%q blocks everything", text)
				if len(text) <= compat.MaxToken {
					require.Error(t, p.CheckClient("shop/"+text), "%q does not block what it names", text)
				}
				if names.Prerelease() != "" || names.Metadata() != "" {
					release := fmt.Sprintf("shop/v%d.%d.%d", names.Major(), names.Minor(), names.Patch())
					require.NoError(t, p.CheckClient(release), "%q blocks a clean release", text)
				}
			}
		} else {
			require.NotEmpty(t, err.Error())
		}
		if p, err := compat.New(compat.Rules{Default: []compat.Rule{{Require: text}}}, &compat.Options{Self: "v1.6.0", Logger: quiet}); err == nil && names != nil {
			require.NoError(t, p.CheckClient("shop/"+text), "%q does not allow what it names", text)
		}
	})
}
