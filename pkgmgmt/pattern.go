package pkgmgmt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/mod/module"
)

// A pattern is a module path in which "..." matches any text.
type pattern struct {
	text  string
	parts []string // the texts around each "..."; one part means a plain path
}

func parsePattern(text string) (pattern, error) {
	p := pattern{text, strings.Split(text, "...")}
	if text == "" {
		return p, errors.New("must not be empty")
	}
	// The first element of a path need not have a dot: Go's own documentation and many
	// companies have such paths. But all characters must be allowed.
	if err := module.CheckImportPath(strings.ReplaceAll(text, "...", "x")); err != nil {
		return p, fmt.Errorf("is not a module path or a pattern: %q", text)
	}
	return p, nil
}

func anyMatches(patterns []pattern, path string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(path) })
}

func (p pattern) plain() bool { return len(p.parts) == 1 }

// matches follows the go command: "x/..." matches x, too.
func (p pattern) matches(path string) bool {
	if p.plain() {
		return path == p.text
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if last == "" && strings.HasSuffix(first, "/") && len(p.parts) == 2 && path == strings.TrimSuffix(first, "/") {
		return true
	}
	rest, ok := strings.CutPrefix(path, first)
	if !ok {
		return false
	}
	for _, part := range p.parts[1 : len(p.parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, last)
}

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
