package version

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Semver gives the version for comparing and for constraints written by
// people. The error of a version that is none wraps [ErrNoSemver] and says
// why. A pseudo-version is a prerelease to SemVer, and "+dirty" build metadata
// that no constraint looks at: mind both before checking a constraint.
func (i Info) Semver() (*semver.Version, error) {
	text := cleantext.Line(i.Version, maxValue)
	why := ""
	switch KindOf(text) {
	case KindUnknown:
		return nil, fmt.Errorf("version: %w: the version is unknown", ErrNoSemver)
	case KindDevel:
		why = "is a development build without a version"
	case KindOther:
		why = "is a build number, a date or another name, which has no order"
	default:
		v, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
		if err == nil {
			return v, nil
		}
		why = "is refused: " + err.Error()
	}
	return nil, fmt.Errorf("version: %w: %q %s", ErrNoSemver, text, why)
}
