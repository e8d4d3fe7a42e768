package version

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Compare returns the order of two versions of one program: negative if a is earlier, zero if
// they are equal, positive if a is later. It returns false if they cannot be compared. The
// three numbers decide first. If they are equal:
//
//   - A prerelease is earlier than its release when it has a known name: alpha, beta
//     and rc, in this order, and pre, preview, m, dev, snapshot, nightly or canary,
//     each only with others of the same name. The short names a, b and c count, too, if
//     a number after them has at most four digits. Numbers are compared as numbers: rc9
//     is earlier than rc10. Other suffixes (a commit, a hotfix) cannot be ordered.
//   - A pseudo-version is earlier than the release with its numbers. Two
//     pseudo-versions are ordered by the time of their commits.
//
// A pseudo-version v0.0.0-… comes from a build without tags, so it is compared only with
// others of this form. A version of [KindDevel], [KindOther] or [KindUnknown] is comparable
// only to the same text. Build metadata is ignored.
func Compare(a, b string) (order int, ok bool) {
	if !KindOf(a).comparable() || !KindOf(b).comparable() {
		return 0, a == b
	}
	a, b = withV(a), withV(b)
	if isTagless(a) != isTagless(b) {
		return 0, false
	}
	if order := semver.Compare(number(a), number(b)); order != 0 {
		return order, true
	}
	preA, preB := strings.TrimPrefix(semver.Prerelease(a), "-"), strings.TrimPrefix(semver.Prerelease(b), "-")
	if preA == preB {
		return 0, true
	}
	pseudoA, pseudoB := module.IsPseudoVersion(a), module.IsPseudoVersion(b)
	switch {
	case pseudoA && pseudoB:
		timeA, errA := module.PseudoVersionTime(a)
		timeB, errB := module.PseudoVersionTime(b)
		order := timeA.Compare(timeB)
		return order, errA == nil && errB == nil && order != 0
	case pseudoA:
		return -1, preB == ""
	case pseudoB:
		return +1, preA == ""
	}
	stageA, okA := stageOf(preA)
	stageB, okB := stageOf(preB)
	if !okA || !okB {
		return 0, false
	}
	return stageA.compare(stageB)
}

func number(v string) string { return strings.TrimSuffix(semver.Canonical(v), semver.Prerelease(v)) }

// isTagless reports whether this is a pseudo-version of a build without tags.
func isTagless(v string) bool {
	base, err := module.PseudoVersionBase(v)
	return err == nil && base == "" && semver.Major(v) == "v0"
}

// A stage is the name of a prerelease and its numbers. A release has the empty stage.
type stage struct {
	name    string
	numbers []string
}

var (
	stageRegexp = regexp.MustCompile(`^([A-Za-z]+)[.-]?([0-9]+(?:[.-][0-9]+)*)?$`)

	// stages are the known names of prereleases. Names with a positive number are ordered
	// by it; each of the others only has an order with itself.
	stages = map[string]int{
		"a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3,
		"pre": 0, "preview": 0, "m": 0, "dev": 0, "snapshot": 0, "nightly": 0, "canary": 0,
	}
)

// maxLetterNumber is how many characters a number may have after a, b, c or m.
const maxLetterNumber = 4

func stageOf(prerelease string) (stage, bool) {
	if prerelease == "" {
		return stage{}, true
	}
	m := stageRegexp.FindStringSubmatch(prerelease)
	if m == nil {
		return stage{}, false
	}
	name := strings.ToLower(m[1])
	_, known := stages[name]
	if len(name) == 1 && len(m[2]) > maxLetterNumber {
		known = false // a1234567 may be the hash of a commit
	}
	return stage{name, strings.FieldsFunc(m[2], func(r rune) bool { return r == '.' || r == '-' })}, known
}

func (s stage) compare(o stage) (order int, ok bool) {
	place, otherPlace := stages[s.name], stages[o.name]
	switch {
	case s.name == "":
		return +1, true
	case o.name == "":
		return -1, true
	case place > 0 && otherPlace > 0 && place != otherPlace:
		return place - otherPlace, true
	case s.name != o.name && (place == 0 || otherPlace == 0):
		return 0, false
	}
	for i := range min(len(s.numbers), len(o.numbers)) {
		x, errX := strconv.ParseUint(s.numbers[i], 10, 64)
		y, errY := strconv.ParseUint(o.numbers[i], 10, 64)
		if errX != nil || errY != nil {
			return 0, false
		}
		if order := cmp.Compare(x, y); order != 0 {
			return order, true
		}
	}
	return len(s.numbers) - len(o.numbers), true
}
