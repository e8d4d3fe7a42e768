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

// A Bump is the part of a version that a change needs to raise. The empty Bump means
// BumpUnknown.
type Bump string

// The bumps.
const (
	BumpUnknown Bump = "unknown" // it cannot be judged, so no version is enough
	BumpPatch   Bump = "patch"   // the API is the same
	BumpMinor   Bump = "minor"   // what uses the old API still compiles, and there is more of it
	BumpMajor   Bump = "major"   // what uses the old API may no longer compile
)

// UnmarshalText reads one of the bumps, and fails for any other text.
func (b *Bump) UnmarshalText(text []byte) error {
	switch bump := cmp.Or(Bump(text), BumpUnknown); bump {
	case BumpUnknown, BumpPatch, BumpMinor, BumpMajor:
		*b = bump
		return nil
	}
	return fmt.Errorf("apicheck: %q is no bump", text)
}

// A Verdict says which bump an API change needs, and why.
type Verdict struct {
	Bump Bump `json:"bump"`

	// Changes are all differences of the API, the incompatible ones first, each part
	// sorted by text. It is empty for BumpUnknown, because what did not load is not told
	// from what is gone.
	Changes []Change `json:"changes,omitempty"`

	// Problems say why the verdict is BumpUnknown, or what else could not be judged when it
	// is BumpMajor; at most twenty.
	Problems []string `json:"problems,omitempty"`

	// Excluded are packages that [Options.Exclude] has left out, and constants whose change
	// it has left out.
	Excluded []Exclusion `json:"excluded,omitempty"`
}

// A Change is one difference between two APIs.
type Change struct {
	// Message names what has changed and how: "./log.Handler.Close: added". Names in the
	// module's root package stand without a package. It is cut at 4 KiB.
	Message    string `json:"message"`
	Compatible bool   `json:"compatible"`
	// Platform is where the change was found, as "windows/amd64". It is empty for one
	// that is on the first of [Options.Platforms].
	Platform string `json:"platform,omitempty"`
}

// String gives the change in one line.
func (c Change) String() string {
	if c.Platform == "" {
		return c.Message
	}
	return c.Message + " (on " + c.Platform + ")"
}

// Incompatible are the changes that need a new major version.
func (v Verdict) Incompatible() []Change {
	var all []Change
	for _, c := range v.Changes {
		if !c.Compatible {
			all = append(all, c)
		}
	}
	return all
}

// String is the verdict for people, a line for each change or problem.
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

// Enough tells whether a release of a module may raise its version from old to
// version, both canonical, when its API change needs a bump, and if not, what to do.
//
//   - Nothing is enough for BumpUnknown.
//   - From v1 on, BumpMinor needs a new minor version. BumpMajor needs a new major version,
//     which is another module path, so that on one path it is always refused; only a
//     "+incompatible" version can rise on the same path.
//   - On v0 nothing is promised by semver.org, and Go's users have come to expect half
//     of it: BumpMajor needs a new minor version, BumpMinor is content with a patch.
//   - From v0 to v1 all may change.
//   - A prerelease is judged as the release that it leads up to.
func Enough(path, old, version string, b Bump) (ok bool, advice string) {
	was, is := semver.Canonical(old), semver.Canonical(version)
	if was == "" || is == "" {
		return false, fmt.Sprintf("%q and %q are to be compared, and one is no version", old, version)
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
	return false, fmt.Sprintf("keep what is there, or publish it as %s.0.0 of a new module %s%s%[1]s", next, path, separator)
}

// raise adds one to the last number of a canonical version, which may have any length.
func raise(version string) string {
	rest := strings.TrimRight(version, "0123456789")
	n, _ := new(big.Int).SetString(version[len(rest):], 10)
	return rest + n.Add(n, big.NewInt(1)).String()
}

// An Exclusion leaves packages out of a comparison, or only some of their constants.
type Exclusion struct {
	// Packages is an import path, or one that ends in "/..." for all below it and itself.
	Packages string `json:"packages"`
	// Constants are names of constants. Their values and types may change in any version,
	// but to remove them is an incompatible change. Everything else in the packages is
	// compared. Empty means that the packages are left out.
	Constants []string `json:"constants,omitempty"`
	// Reason is part of each verdict. It must not be empty.
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
