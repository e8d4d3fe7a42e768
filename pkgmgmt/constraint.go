package pkgmgmt

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/mod/module"
)

// A constraint is a set of versions, in the syntax of Masterminds.
type constraint struct {
	text string
	set  *semver.Constraints
}

func parseConstraint(text string) (constraint, error) {
	set, err := semver.NewConstraint(text)
	if err != nil {
		return constraint{}, err
	}
	set.IncludePrerelease = true // allows handles prereleases
	return constraint{text, set}, nil
}

// allows reports whether a module version satisfies the constraint, and if not, why. A
// prerelease or pseudo-version must satisfy it twice: as it is, so it is lower than its
// release, and as that release, so v2.0.0-rc.1 does not satisfy "<2".
func (c constraint) allows(version string) (ok bool, why string) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	if err != nil {
		return false, fmt.Sprintf("version %q cannot be compared", version)
	}
	if !c.set.Check(v) {
		return false, "does not satisfy " + c.text
	}
	if v.Prerelease() == "" {
		return true, ""
	}
	release := semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
	if c.set.Check(release) {
		return true, ""
	}
	kind := "prerelease"
	if module.IsPseudoVersion(version) {
		kind = "pseudo-version"
	}
	return false, fmt.Sprintf("is a %s of v%s, which does not satisfy %s", kind, release, c.text)
}
