package compat_test

import (
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version/compat"
)

const (
	fits    = "fits"
	unfit   = "does not fit"
	unknown = "unknown"
	invalid = "is no version"
)

// plain is the result of Masterminds for the version as Go writes it.
func plain(t *testing.T, constraint, version string, includePrerelease bool) string {
	t.Helper()
	set, err := semver.NewConstraint(constraint)
	require.NoError(t, err)
	set.IncludePrerelease = includePrerelease
	v, err := semver.NewVersion(version)
	switch {
	case err != nil:
		return invalid
	case set.Check(v):
		return fits
	}
	return unfit
}

// TestRulesAgainstMasterminds has a case for each rule of the package comment,
// and beside ours what Masterminds would have done, as it comes and with
// IncludePrerelease.
func TestRulesAgainstMasterminds(t *testing.T) {
	t.Parallel()
	const (
		after    = "v1.2.4-0.20260102150405-abcdef123456" // a commit after v1.2.3
		afterRC  = "v1.2.3-rc.1.0.20260102150405-abcdef123456"
		before   = "v1.2.3-0.20260102150405-abcdef123456" // a commit after v1.2.2
		tagless  = "v0.0.0-20260102150405-abcdef123456"
		tagless2 = "v2.0.0-20260102150405-abcdef123456" // of a module with the path …/v2
	)
	for _, c := range []struct {
		why                 string
		constraint, version string
		plain, included     string // Masterminds
		ours                string
	}{
		{"a release", ">=1.2.3", "v1.2.3", fits, fits, fits},
		{"a release without v", ">=1.2.3", "1.3.0", fits, fits, fits},
		{"a release too old", ">=1.2.3", "v1.2.2", unfit, unfit, unfit},

		{"a pseudo-version after the minimum", ">=1.2.3", after, unfit, fits, fits},
		{"a pseudo-version before the minimum", ">=1.2.3", before, unfit, unfit, unfit},
		{"a pseudo-version after a prerelease of the minimum", ">=1.2.3", afterRC, unfit, unfit, unfit},
		{"a pseudo-version that leads out of the range", "<1.2.4", after, unfit, fits, unfit},
		{"a pseudo-version after the next major version", "<2.0.0", "v2.0.1-0.20260102150405-abcdef123456", unfit, unfit, unfit},
		{"a pseudo-version without a tag", ">=1.2.3", tagless, unfit, unfit, unknown},
		{"a pseudo-version without a tag, dirty", ">=1.2.3", tagless + "+dirty", unfit, unfit, unknown},
		{"a pseudo-version without a tag and without v", ">=1.2.3", tagless[1:], unfit, unfit, unknown},
		{"a pseudo-version after v0.0.0", ">=1.2.3", "0.0.1-0.20260102150405-abcdef123456", unfit, unfit, unfit},
		{"a pseudo-version of a later major version has that", ">=1.2.3", tagless2, unfit, fits, fits},

		{"a prerelease of the minimum", ">=1.4.0", "v1.4.0-rc.1", unfit, unfit, unfit},
		{"a prerelease above the minimum", ">=1.4.0", "v1.5.0-rc.1", unfit, fits, fits},
		{"a prerelease of what is excluded", "<2.0.0", "v2.0.0-rc.1", unfit, fits, unfit},
		{"a prerelease of what is excluded, by caret", "^1.4", "v2.0.0-rc.1", unfit, unfit, unfit},
		{"a prerelease where the constraint names one", ">=1.4.0-rc.1 <2", "v2.0.0-rc.1", fits, fits, unfit},
		{"a prerelease that the constraint names", ">=1.4.0-rc.1", "v1.4.0-rc.2", fits, fits, fits},
		{"a prerelease of an unwanted release", "!=1.5.0", "v1.5.0-rc.1", unfit, fits, unfit},

		{"a dirty release", ">=1.2.3", "v1.2.3+dirty", fits, fits, unknown},
		{"a dirty release that is wanted exactly", "=1.2.3", "v1.2.3+dirty", fits, fits, unknown},
		{"a dirty release too old", ">=1.2.3", "v1.2.2+dirty", unfit, unfit, unfit},
		{"a dirty pseudo-version", ">=1.2.3", after + "+dirty", unfit, fits, unknown},
		{"dirty and incompatible", ">=1.2.3", "v2.0.0+incompatible.dirty", fits, fits, unknown},
		{"other build metadata", ">=1.2.3", "v2.0.0+incompatible", fits, fits, fits},

		{"a calendar version", ">=1.2.3", "2026.11.20", fits, fits, unknown},
		{"an image tag", ">=1.2.3", "v1", unfit, unfit, unknown},
		{"a build number", ">=1.2.3", "4711", fits, fits, unknown},
		{"git describe after v1.2.3", ">=1.2.3", "v1.2.3-3-gabc1234", unfit, unfit, unknown},
		{"git describe of a changed tree", ">=1.2.3", "v1.2.3-dirty", unfit, unfit, unknown},
		{"a name", ">=1.2.3", "build-4711", invalid, invalid, unknown},
		{"a development build", ">=1.2.3", "devel", invalid, invalid, unknown},
		{"numbers that no integer holds", ">=1.2.3", "v1.99999999999999999999.0", invalid, invalid, unknown},
	} {
		require.Equal(t, c.plain, plain(t, c.constraint, c.version, false), "plain Masterminds: %s: %s %s", c.why, c.version, c.constraint)
		require.Equal(t, c.included, plain(t, c.constraint, c.version, true), "IncludePrerelease: %s: %s %s", c.why, c.version, c.constraint)

		broken, open := judged(t, compat.Rule{Require: c.constraint}, c.version)
		ours := fits
		switch {
		case broken != nil:
			ours = unfit
		case open:
			ours = unknown
		}
		require.Equal(t, c.ours, ours, "%s: %s %s", c.why, c.version, c.constraint)

		// A minimum is the constraint >=. Strict refuses unknown results and changes
		// no other result.
		if minimum, ok := trimPrefix(c.constraint, ">="); ok {
			broken2, open2 := judged(t, compat.Rule{Minimum: minimum}, c.version)
			require.Equal(t, broken, broken2, c.why)
			require.Equal(t, open, open2, c.why)
		}
		strict, open := judged(t, compat.Rule{Require: c.constraint, Strict: true}, c.version)
		require.Equal(t, c.ours != fits, strict != nil, c.why)
		require.False(t, open, c.why)
	}
}

func trimPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix)+len("1.2.3") || s[:len(prefix)] != prefix {
		return "", false
	}
	for _, c := range s[len(prefix):] {
		if c == ' ' {
			return "", false
		}
	}
	return s[len(prefix):], true
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		block, version, want string
	}{
		{"v1.4.3", "v1.4.3", unfit},
		{"v1.4.3", "1.4.3", unfit},
		{"1.4.3", "v1.4.3", unfit},
		{"v1.4.3", "v1.4.4", fits},
		{"v1.4.3", "v1.4.3+dirty", unfit},
		{"v1.4.3", "v1.4.4+dirty", unknown},
		{"v1.4.3", "v1.4.3+incompatible", unfit},
		{"v1.4.3", "v1.4.3-rc.1", unfit}, // Masterminds' 1.4.3 does not hold it
		{"v1.4.3", "v1.4.3-0.20260102150405-abcdef123456", unfit},
		{"v1.4.3", "v1.4.4-0.20260102150405-abcdef123456", fits},
		{"1.4", "v1.4.9", unfit}, // all of 1.4, as Masterminds has it
		{"1.5.0 - 1.5.2", "v1.5.1", unfit},
		{"1.5.0 - 1.5.2", "v1.5.3", fits},
		{"<1.4.3 || >=2", "v2.0.0-rc.1", unfit},
		{"build-4711", "build-4711", unfit},
		{"build-4711", "build-4712", unknown},
		{"build-4711", "v1.4.3", fits},
		{"2026.11.20", "2026.11.20", unfit},
		{"2026.11.20", "2026.11.21", unknown},
		{"v1.4.3-dirty", "v1.4.3-dirty", unfit},
		{"v0.0.0-20260102150405-abcdef123456", "v0.0.0-20260102150405-abcdef123456", unfit},
		{"v0.0.0-20260102150405-abcdef123456", "v0.0.0-20260102150406-abcdef123457", unknown},
	} {
		broken, open := judged(t, compat.Rule{Block: []string{"v0.9.0", c.block}}, c.version)
		got := fits
		switch {
		case broken != nil:
			got = unfit
			require.Contains(t, broken.Why, "is blocked")
		case open:
			got = unknown
		}
		require.Equal(t, c.want, got, "%s, block %s", c.version, c.block)
	}
	require.Equal(t, unfit, plain(t, "1.4.3", "v1.4.3-rc.1", true), "what TestBlock says of Masterminds")
}
