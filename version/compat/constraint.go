package compat

import (
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/upkeep-go/upkeep/version"
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
	set.IncludePrerelease = true // allows and hits decide themselves
	// The text goes into headers, and Masterminds takes any white space.
	return constraint{strings.Join(strings.Fields(text), " "), set}, nil
}

// allows says why the constraint does not allow the version, or "". A
// prerelease or pseudo-version has to satisfy it as it is, and as the release
// that it leads up to.
func (c constraint) allows(v *semver.Version) string {
	if !c.set.Check(v) {
		return "does not satisfy " + c.text
	}
	if r := release(v); !c.set.Check(r) {
		return "leads up to v" + r.String() + ", which does not satisfy " + c.text
	}
	return ""
}

// hits says whether the version, or the release that it leads up to, is in the
// set. To block what a constraint holds is thus to require its opposite.
func (c constraint) hits(v *semver.Version) bool {
	return c.set.Check(v) || c.set.Check(release(v))
}

// release is the version without its prerelease part.
func release(v *semver.Version) *semver.Version {
	if v.Prerelease() == "" {
		return v
	}
	return semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
}

// parseVersion reads a version that has an order. For another it says why it
// has none.
func parseVersion(text string) (v *semver.Version, why string) {
	if len(text) > maxToken {
		return nil, "is too long for a version"
	}
	switch version.KindOf(text) {
	case version.KindUnknown:
		return nil, "tells no version"
	case version.KindDevel:
		return nil, "is a development build without a version"
	case version.KindOther:
		return nil, "tells a build number, a date or another name, which has no order"
	case version.KindPseudo:
		if strings.HasPrefix(strings.TrimPrefix(text, "v"), "0.0.0-") && !hasBase(text) {
			return nil, "was built without a tag in sight, so its number says nothing"
		}
	}
	v, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
	if err != nil {
		return nil, "tells a version that is refused: " + err.Error()
	}
	return v, ""
}

// hasBase tells whether a pseudo-version comes after a tag.
func hasBase(text string) bool {
	if !strings.HasPrefix(text, "v") {
		text = "v" + text
	}
	base, err := module.PseudoVersionBase(text)
	return err == nil && base != ""
}

// isDirty tells whether the version was built from changed files: Go writes
// +dirty, and +incompatible.dirty.
func isDirty(v *semver.Version) bool {
	for part := range strings.SplitSeq(v.Metadata(), ".") {
		if part == "dirty" {
			return true
		}
	}
	return false
}
