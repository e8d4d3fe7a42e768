package version_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

func TestSemver(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]string{
		"v1.4.2":                             "1.4.2",
		"1.4.2":                              "1.4.2",
		"v1.4.2+dirty":                       "1.4.2+dirty",
		"v1.5.0-rc.1":                        "1.5.0-rc.1",
		"v0.0.0-20261120112000-a1b2c3d4e5f6": "0.0.0-20261120112000-a1b2c3d4e5f6",
	} {
		got, err := version.Info{Version: v}.Semver()
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	for v, why := range map[string]string{
		"":                          "version: no semantic version: the version is unknown",
		"(devel)":                   `version: no semantic version: "(devel)" is a development build without a version`,
		"build-4711":                `version: no semantic version: "build-4711" has no order, because it is a build number, a date or another name`,
		"2026.11.20":                `version: no semantic version: "2026.11.20" has no order, because it is a build number, a date or another name`,
		"v1.2.99999999999999999999": `version: no semantic version: "v1.2.99999999999999999999" is refused: `,
	} {
		_, err := version.Info{Version: v}.Semver()
		require.ErrorIs(t, err, version.ErrNoSemver)
		require.ErrorContains(t, err, why)
	}
}
