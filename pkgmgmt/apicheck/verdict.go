package apicheck

import (
	"cmp"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Bump is the part of a version that a change must raise. Empty means BumpUnknown.
type Bump string

// The bumps.
const (
	BumpUnknown Bump = "unknown" // the change cannot be judged, so no version is enough
	BumpPatch   Bump = "patch"   // the API is the same
	BumpMinor   Bump = "minor"   // the API has additions; its users still compile
	BumpMajor   Bump = "major"   // users of the old API may no longer compile
)

// UnmarshalText returns an error for a text other than one of the bumps.
func (b *Bump) UnmarshalText(text []byte) error {
	switch bump := cmp.Or(Bump(text), BumpUnknown); bump {
	case BumpUnknown, BumpPatch, BumpMinor, BumpMajor:
		*b = bump
		return nil
	}
	return fmt.Errorf("apicheck: unknown bump %q: must be unknown, patch, minor or major", text)
}

// A Verdict is the bump that an API change needs, with the reasons.
type Verdict struct {
	Bump Bump `json:"bump"`

	// Changes are all differences of the API: first the incompatible ones, then the others,
	// each sorted by text. Empty for BumpUnknown, because a part that did not load would look
	// like a removed one.
	Changes []Change `json:"changes,omitempty"`

	// Problems are the reasons for BumpUnknown, or what could not be judged besides a
	// BumpMajor. At most twenty.
	Problems []string `json:"problems,omitempty"`

	// Excluded are the packages that [Options.Exclude] excluded, and the constants whose
	// changes it excluded.
	Excluded []Exclusion `json:"excluded,omitempty"`
}

// A Change is one difference between two APIs.
type Change struct {
	// Message has the name and the change: "./log.Handler.Close: added". Names of the root
	// package are written without a package. It is cut at 4 KiB.
	Message    string `json:"message"`
	Compatible bool   `json:"compatible"`
	// Platform is where the change was found, such as "windows/amd64". Empty means the first
	// of [Options.Platforms].
	Platform string `json:"platform,omitempty"`
}

// String returns the change in one line.
func (c Change) String() string {
	if c.Platform == "" {
		return c.Message
	}
	return c.Message + " (on " + c.Platform + ")"
}

// Incompatible returns the changes that need a new major version.
func (v Verdict) Incompatible() []Change {
	var all []Change
	for _, c := range v.Changes {
		if !c.Compatible {
			all = append(all, c)
		}
	}
	return all
}

// String returns the verdict as text, with a line for each change and problem.
func (v Verdict) String() string {
	var b strings.Builder
	incompatible := len(v.Incompatible())
	switch v.Bump {
	case BumpPatch, BumpMinor, BumpMajor:
		fmt.Fprintf(&b, "%v: %d incompatible and %d compatible changes", v.Bump, incompatible, len(v.Changes)-incompatible)
	default:
		b.WriteString("unknown: the change of the API cannot be judged")
	}
	for _, p := range v.Problems {
		b.WriteString("\n  " + p)
	}
	for _, c := range v.Changes {
		mark := "- "
		if c.Compatible {
			mark = "+ "
		}
		b.WriteString("\n  " + mark + c.String())
	}
	for _, e := range v.Excluded {
		names := e.Packages
		for i, c := range e.Constants {
			names += []string{": ", ", "}[min(i, 1)] + c
		}
		fmt.Fprintf(&b, "\n  excluded: %s (%s)", names, e.Reason)
	}
	return b.String()
}

// Enough reports whether a module may raise its version from old to version, both canonical, if
// its API change needs the bump b. If not, advice is what to do.
//
//   - No version is enough for BumpUnknown.
//   - From v1 on, BumpMinor needs a new minor version, and BumpMajor a new major version. A new
//     major version has another module path, so on the same path BumpMajor is refused, unless
//     the versions are "+incompatible".
//   - On v0 semver.org requires nothing, but Go users expect stability: BumpMajor needs a new
//     minor version, and a patch version is enough for BumpMinor.
//   - From v0 to v1 everything may change.
//   - A prerelease is judged like its release.
func Enough(path, old, version string, b Bump) (ok bool, advice string) {
	was, is := semver.Canonical(old), semver.Canonical(version)
	if was == "" || is == "" {
		return false, fmt.Sprintf("cannot compare %q and %q: both must be versions", old, version)
	}
	newMajor := semver.Major(is) != semver.Major(was)
	newMinor := newMajor || semver.MajorMinor(is) != semver.MajorMinor(was)
	switch {
	case b == BumpPatch:
		return true, ""
	case b != BumpMinor && b != BumpMajor:
		return false, "make the module load as its users load it, or override with a reason"
	case newMajor, b == BumpMinor && (newMinor || semver.Major(is) == "v0"), semver.Major(is) == "v0" && newMinor:
		return true, ""
	case b == BumpMinor, semver.Major(is) == "v0":
		return false, fmt.Sprintf("publish it as %s.0", raise(semver.MajorMinor(was)))
	}
	next, separator := raise(semver.Major(was)), "/"
	if prefix, _, ok := module.SplitPathVersion(path); ok {
		path = prefix
	}
	if strings.HasPrefix(path, "gopkg.in/") {
		separator = "."
	}
	return false, fmt.Sprintf("keep the old API, or publish %s.0.0 as the new module %s%s%[1]s", next, path, separator)
}

// raise adds one to the last number of a canonical version, which may have any length.
func raise(version string) string {
	rest := strings.TrimRight(version, "0123456789")
	n, _ := new(big.Int).SetString(version[len(rest):], 10)
	return rest + n.Add(n, big.NewInt(1)).String()
}

// An Exclusion excludes packages from a comparison, or only some of their constants.
type Exclusion struct {
	// Packages is an import path. With "/..." at its end it means that path and all paths
	// below it.
	Packages string `json:"packages"`
	// Constants are names of constants whose values and types may change in any version.
	// Removing one is still incompatible. Everything else in the packages is compared. Empty
	// means that the packages are excluded as a whole.
	Constants []string `json:"constants,omitempty"`
	// Reason is shown in each verdict. It must not be empty.
	Reason string `json:"reason"`
}

func (e Exclusion) matches(pkg string) bool {
	if below, ok := strings.CutSuffix(e.Packages, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	return pkg == e.Packages
}

func unknown(problem string) Verdict {
	return Verdict{Bump: BumpUnknown, Problems: []string{shown(problem)}}
}

func shown(text string) string { return cleantext.Flat(text, maxMessage) }

const (
	maxMessage  = 4 << 10
	maxProblems = 20
	maxAnswer   = 64 << 20
)
