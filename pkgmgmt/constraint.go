package pkgmgmt

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/mod/module"
)

// A constraint is a set of versions, as people write it.
type constraint struct {
	text string
	set  *semver.Constraints
}

func parseConstraint(text string) (constraint, error) {
	set, err := semver.NewConstraint(text)
	if err != nil {
		return constraint{}, err
	}
	set.IncludePrerelease = true // allows decides itself
	return constraint{text, set}, nil
}

// allows says whether a module version of Go satisfies the constraint, and otherwise
// why not. A prerelease or pseudo-version has to satisfy it twice: by its own
// precedence, which keeps it below the release that it leads up to, and as that
// release, which keeps v2.0.0-rc.1 out of "<2".
func (c constraint) allows(version string) (ok bool, why string) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	if err != nil {
		return false, fmt.Sprintf("%s is no version that could be compared", version)
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
