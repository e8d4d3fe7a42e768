package version

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Semver parses the version. Its error wraps [ErrNoSemver] and gives the reason. For SemVer a
// pseudo-version is a prerelease, and "+dirty" is build metadata, which constraints ignore.
func (i Info) Semver() (*semver.Version, error) {
	text := cleantext.Line(i.Version, maxValue)
	why := ""
	switch KindOf(text) {
	case KindUnknown:
		return nil, fmt.Errorf("version: %w: the version is unknown", ErrNoSemver)
	case KindDevel:
		why = "is a development build without a version"
	case KindOther:
		why = "has no order, because it is a build number, a date or another name"
	default:
		v, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
		if err == nil {
			return v, nil
		}
		why = "is refused: " + err.Error()
	}
	return nil, fmt.Errorf("version: %w: %q %s", ErrNoSemver, text, why)
}
