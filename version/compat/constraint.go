package compat

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/upkeep-go/upkeep/version"
	"golang.org/x/mod/module"
)

type constraint struct {
	text         string
	set          *semver.Constraints
	alternatives [][]comparator
}

// A comparator is an operator and its version. Missing numbers are 0.
type comparator struct {
	operator string
	operand  *semver.Version
}

// The parts of a constraint, as Masterminds reads them.
const operandPattern = `v?[0-9xX*|]+(?:\.[0-9xX*|]+)?(?:\.[0-9xX*|]+)?(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?`

var (
	rangeRegexp      = regexp.MustCompile(`\s*(` + operandPattern + `)\s+-\s+(` + operandPattern + `)\s*`)
	comparatorRegexp = regexp.MustCompile(`(!=|>=|=>|<=|=<|~>|=|>|<|~|\^|)\s*(` + operandPattern + `)`)
	numberRegexp     = regexp.MustCompile(`^v?[0-9]{4}`) // of a build, or a year
	operandRegexp    = regexp.MustCompile(`^[vV]?([0-9]+|[xX*])(?:\.([0-9]+|[xX*]))?(?:\.([0-9]+|[xX*]))?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

func parseConstraint(text string) (constraint, error) {
	text = strings.Join(strings.Fields(text), " ") // headers contain it
	c := constraint{text: text}
	var err error
	if c.set, err = newSet(text); err != nil {
		return constraint{}, err
	}
	for alternative := range strings.SplitSeq(rangeRegexp.ReplaceAllString(text, " >=$1 <=$2 "), "||") {
		one := constraint{text: strings.TrimSpace(alternative)}
		if one.set, err = newSet(alternative); err != nil {
			return constraint{}, err
		}
		var all []comparator
		for _, m := range comparatorRegexp.FindAllStringSubmatch(alternative, -1) {
			operand, err := parseOperand(m[2])
			if err != nil {
				return constraint{}, err
			}
			if err := checkOperator(m[1], m[2]); err != nil {
				return constraint{}, err
			}
			all = append(all, comparator{m[1], operand})
		}
		one.alternatives = [][]comparator{all}
		if !slices.ContainsFunc(one.samples(), func(v *semver.Version) bool { return one.allows(v) == "" }) {
			return constraint{}, fmt.Errorf("no version satisfies %q", one.text)
		}
		c.alternatives = append(c.alternatives, all)
	}
	return c, nil
}

func newSet(text string) (*semver.Constraints, error) {
	if len(text) > semver.MaxConstraintLen {
		return nil, semver.ErrConstraintTooLong
	}
	set, err := semver.NewConstraint(dotted(text))
	if err != nil {
		return nil, fmt.Errorf("improper constraint: %q", strings.TrimSpace(text))
	}
	set.IncludePrerelease = true // allows and hits decide themselves
	return set, nil
}

// checkOperator refuses what would mean something else than it says: the library takes ~0.0.0
// for every version, <=* for 0.x, and >* for every version.
func checkOperator(operator, operand string) error {
	switch bare := strings.TrimPrefix(operand, "v"); {
	case strings.HasPrefix(operator, "~") && bare == "0.0.0":
		return fmt.Errorf("%q allows every version; write <0.1.0", operator+operand)
	case operator != "" && operator != "=" && operator != ">=" && strings.Trim(bare, "xX*.") == "":
		return fmt.Errorf("%q compares with every version; write a number", operator+operand)
	}
	return nil
}

func parseOperand(text string) (*semver.Version, error) {
	m := operandRegexp.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("improper constraint: %q", text)
	}
	numbers, left := [3]string{"0", "0", "0"}, false
	for i, part := range m[1:4] {
		switch isOpen := part == "" || strings.Contains("xX*", part); {
		case isOpen:
			left = true
		case left:
			return nil, fmt.Errorf("%q has a number after one that is missing", text)
		default:
			numbers[i] = part
		}
	}
	switch {
	case m[5] != "":
		return nil, fmt.Errorf("%q has build metadata, which is not compared%s", text, proposal(text))
	case left && m[4] != "":
		return nil, fmt.Errorf("%q is a prerelease of an incomplete version%s", text, proposal(text))
	case !left:
		// A date, or the output of git describe, is never compared.
		if v, why := parseVersion(text); v == nil && why != isDevel {
			return nil, fmt.Errorf("%q is not a version that can be compared: it %s%s", text, why, proposal(text))
		}
	}
	return semver.NewVersion(dotted(strings.Join(numbers[:], ".") + m[4]))
}

func propose(text string) string {
	m := operandRegexp.FindStringSubmatch(strings.TrimLeft(strings.TrimSpace(text), "=<>!~^ "))
	if m == nil {
		return ""
	}
	for i, part := range m[1:4] {
		if part == "" || strings.Contains("xX*", part) {
			part = "0"
		}
		m[i+1] = cmp.Or(strings.TrimLeft(part, "0"), "0")
	}
	meant := "v" + strings.Join(m[1:4], ".") + m[4]
	if v, _ := parseVersion(meant); v == nil || meant == text {
		return ""
	}
	return meant
}

func proposal(text string) string {
	if p := propose(text); p != "" {
		return "; write " + p
	}
	return ""
}

// literal reports whether the text names a prerelease of the version's number: for that
// number it is taken literally.
func (c constraint) literal(v *semver.Version) bool {
	return c.contains(func(one comparator) bool {
		return one.operand.Prerelease() != "" && release(one.operand).Equal(release(v))
	})
}

func (c constraint) allows(v *semver.Version) string {
	if !c.set.Check(v) {
		return "does not satisfy " + c.text
	}
	if r := release(v); !c.literal(v) && !c.set.Check(r) {
		return "leads up to v" + r.String() + ", which does not satisfy " + c.text
	}
	return ""
}

// hits reports whether the set has the version or the release with its numbers.
func (c constraint) hits(v *semver.Version) bool {
	return c.set.Check(v) || !c.literal(v) && c.set.Check(release(v))
}

// leavesOpen reports whether the result is unknown because the version's suffix cannot be ordered:
// v1.2.3-hotfix.1 may be earlier or later than v1.2.3.
func (c constraint) leavesOpen(v *semver.Version, before bool) bool {
	named := c.contains(func(one comparator) bool { return one.operand.Equal(v) })
	if _, ok := version.Compare(v.String(), release(v).String()); ok || named {
		return false
	}
	after := semver.New(v.Major(), v.Minor(), v.Patch()+1, "0", "") // the lowest of those
	return before != c.set.Check(after)
}

func (c constraint) contains(match func(comparator) bool) bool {
	return slices.ContainsFunc(slices.Concat(c.alternatives...), match)
}

// samples are versions on both sides of every boundary. A constraint that allows none of them
// allows no version, and one that allows all of them allows every version.
func (c constraint) samples() []*semver.Version {
	const many = 1 << 30
	list := []*semver.Version{semver.New(0, 0, 1, "", ""), semver.New(999, many, many, "", "")}
	for _, one := range slices.Concat(c.alternatives...) {
		o := one.operand
		major, minor, patch := o.Major(), o.Minor(), o.Patch()
		for _, n := range [][3]uint64{
			{major, minor, patch},
			{major, minor, patch + 1},
			{major, minor + 1, 0},
			{major + 1, 0, 0},
			{major, minor, patch - min(patch, 1)},
			{major, minor - min(minor, 1), many},
			{major - min(major, 1), many, many},
		} {
			for _, pre := range []string{"", "-0", "-" + o.Prerelease(), "-" + o.Prerelease() + ".0"} {
				if v, _ := parseVersion(fmt.Sprintf("%d.%d.%d%s", n[0], n[1], n[2], pre)); v != nil {
					list = append(list, v)
				}
			}
		}
	}
	return list
}

// parseBlock reads a version, a constraint, or the text of a version without an order:
// literal, which blocks that text only.
func parseBlock(text string) (set *constraint, literal string, err error) {
	literal = strings.TrimPrefix(text, "v")
	v, _ := parseVersion(text)
	switch {
	case text == "":
		return nil, "", errors.New("must not be empty")
	case text == "(devel)":
		return nil, "", errors.New("write devel, as peers send it")
	case v != nil && v.Metadata() != "":
		return nil, literal, nil // v1.5.0+dirty does not block the clean build
	case v == nil && isToken(text) && strings.Trim(text[:1], "!~^*|=") != "" && propose(text) == "":
		// dev, a build number, an image tag, a date, the output of git describe.
		if _, err := newSet(text); err != nil || isWhole(text) || numberRegexp.MatchString(text) {
			return nil, literal, nil
		}
	}
	c, err := parseConstraint(text)
	if err != nil {
		if p := proposal(text); isToken(text) && !strings.HasSuffix(err.Error(), p) {
			err = fmt.Errorf("%w%s", err, p)
		}
		return nil, "", err
	}
	for _, all := range c.alternatives {
		if !slices.ContainsFunc(all, func(one comparator) bool { return one.operator != "!=" }) {
			instead := ""
			if len(all) == 1 && len(c.alternatives) == 1 {
				instead = "; write " + strings.TrimSpace(strings.TrimPrefix(text, "!="))
			}
			return nil, "", fmt.Errorf("%q blocks every version except those that it names%s", text, instead)
		}
	}
	if !slices.ContainsFunc(c.samples(), func(v *semver.Version) bool { return !c.hits(v) }) {
		return nil, "", fmt.Errorf("%q blocks every version", text)
	}
	return &c, literal, nil
}

func isWhole(text string) bool {
	m := operandRegexp.FindStringSubmatch(text)
	return m != nil && strings.Trim(m[1]+m[2]+m[3], "0123456789") == "" && m[2] != "" && m[3] != ""
}

func release(v *semver.Version) *semver.Version {
	if v.Prerelease() == "" {
		return v
	}
	return semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
}

const isDevel = "is a development build without a version"

// parseVersion reads a version that has an order, or says why it cannot be ordered.
func parseVersion(text string) (v *semver.Version, why string) {
	if len(text) > maxToken {
		return nil, "is too long for a version"
	}
	switch version.KindOf(text) {
	case version.KindUnknown:
		return nil, "has no version"
	case version.KindDevel:
		return nil, isDevel
	case version.KindOther:
		return nil, "has no order, because it is a build number, a date or another name"
	case version.KindPseudo:
		if strings.HasPrefix(strings.TrimPrefix(text, "v"), "0.0.0-") && !hasBase(text) {
			return nil, "comes from a build without tags, so its number means nothing"
		}
	}
	v, err := semver.StrictNewVersion(dotted(strings.TrimPrefix(text, "v")))
	if err != nil {
		return nil, "is not a semantic version: " + err.Error()
	}
	return v, ""
}

var stageRegexp = regexp.MustCompile(`(?i)-(alpha|beta|rc|a|b|c|pre|preview|m|dev|snapshot|nightly|canary)-?([0-9]+)($|[^0-9A-Za-z.-])`)

// dotted writes the number of a prerelease as Masterminds orders it, rc.9 for rc9, so that
// the order is that of version.Compare.
func dotted(text string) string {
	return stageRegexp.ReplaceAllStringFunc(text, func(stage string) string {
		m := stageRegexp.FindStringSubmatch(stage)
		return "-" + strings.ToLower(m[1]) + "." + cmp.Or(strings.TrimLeft(m[2], "0"), "0") + m[3]
	})
}

func hasBase(text string) bool {
	base, err := module.PseudoVersionBase("v" + strings.TrimPrefix(text, "v"))
	return err == nil && base != ""
}

func isDirty(v *semver.Version) bool {
	return slices.Contains(strings.Split(v.Metadata(), "."), "dirty")
}
