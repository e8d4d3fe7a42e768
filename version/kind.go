package version

import (
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Kind is the form of a version. It decides whether two versions can be compared.
type Kind string

const (
	// KindRelease is a semantic version such as v1.4.2, with or without the v.
	KindRelease Kind = "release"
	// KindPrerelease is a semantic version with a prerelease part: v1.5.0-rc.1.
	KindPrerelease Kind = "prerelease"
	// KindPseudo is a Go pseudo-version, made from a commit:
	// v1.4.3-0.20260102150405-abcdef123456.
	KindPseudo Kind = "pseudo"
	// KindDevel is a development build: "(devel)", "devel", "dev", or the number 0.0.0.
	KindDevel Kind = "devel"
	// KindOther is a build number, a calendar version, an image tag or another name.
	KindOther Kind = "other"
	// KindUnknown is an empty version or "unknown".
	KindUnknown Kind = "unknown"
)

// KindOf returns the kind of a version:
//
//   - "" and "unknown" are [KindUnknown];
//   - "(devel)", "devel" and "dev" are [KindDevel], and so is 0.0.0 with any
//     prerelease part (0.0.0-SNAPSHOT) except that of a pseudo-version;
//   - three numbers as SemVer 2.0.0 writes them, with or without a leading
//     "v", are a [KindRelease], a [KindPrerelease] or a [KindPseudo];
//   - other texts are [KindOther], among them three numbers of which the first is
//     1000 or more, which is a date (2026.11.20), and the output of "git describe"
//     between tags (v1.4.2-3-gabc1234, v1.4.2-dirty), which SemVer would order before
//     the tag that it comes after.
//
// A calendar version with a short year (26.11.20) counts as a semantic version. Build
// metadata ("+dirty") does not change the kind.
func KindOf(version string) Kind {
	switch version {
	case "", "unknown":
		return KindUnknown
	case "(devel)", "devel", "dev":
		return KindDevel
	}
	v := withV(version)
	// x/mod/semver also accepts v1 and v1.2, but those are image tags.
	if !semver.IsValid(v) || semver.Canonical(v)+semver.Build(v) != v {
		return KindOther
	}
	if len(semver.Major(v)) > len("v999") || isDescribed(semver.Prerelease(v)) {
		return KindOther
	}
	switch {
	case module.IsPseudoVersion(v):
		return KindPseudo
	case number(v) == "v0.0.0":
		return KindDevel
	case semver.Prerelease(v) != "":
		return KindPrerelease
	}
	return KindRelease
}

func (k Kind) comparable() bool {
	return k == KindRelease || k == KindPrerelease || k == KindPseudo
}

func withV(version string) string {
	return "v" + strings.TrimPrefix(version, "v")
}

// isDescribed reports whether "git describe" wrote the suffix: -3-gabc1234 or --dirty.
func isDescribed(prerelease string) bool {
	rest, dirty := strings.CutSuffix(prerelease, "-dirty")
	at := strings.LastIndex(rest, "-g")
	if dirty || at < 0 {
		return dirty
	}
	hash := rest[at+len("-g"):]
	count := rest[strings.LastIndexByte(rest[:at], '-')+1 : at]
	return len(hash) >= 4 && strings.Trim(hash, "0123456789abcdef") == "" &&
		count != "" && strings.Trim(count, "0123456789") == ""
}

// isDirty finds the marks of Go (+dirty, +incompatible.dirty) and git describe (-dirty).
func isDirty(version string) bool {
	return strings.HasSuffix(version, "-dirty") || strings.HasSuffix(version, "+dirty") || strings.HasSuffix(version, ".dirty")
}
