package flags

import (
	"math"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// operators are flagd's own (https://flagd.dev/reference/custom-operations), for each
// way of bucketing. What they cannot work on gives null, so that the rule falls
// through to its default.
var operators = map[Bucketing]map[string]jsonlogic.Operator{
	V2: operatorsWith(fractionalV2),
	V3: operatorsWith(fractionalV3),
}

func operatorsWith(fractional jsonlogic.Operator) map[string]jsonlogic.Operator {
	return map[string]jsonlogic.Operator{
		"starts_with": affix(strings.HasPrefix),
		"ends_with":   affix(strings.HasSuffix),
		"sem_ver":     semVer,
		"fractional":  fractional,
	}
}

func never(*jsonlogic.Scope) (any, error) { return nil, nil }

func affix(has func(s, affix string) bool) jsonlogic.Operator {
	return func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
		if len(args) != 2 {
			return never, nil
		}
		return func(s *jsonlogic.Scope) (any, error) {
			whole, ok := args[0].Eval(s).(string)
			part, also := args[1].Eval(s).(string)
			if !ok || !also {
				return nil, nil
			}
			return has(whole, part), nil
		}, nil
	}
}

// semVer is {"sem_ver": [version, operator, version]}.
func semVer(args []jsonlogic.Arg) (jsonlogic.Func, error) {
	if len(args) != 3 {
		return never, nil
	}
	target := parseVersion
	if constant, ok := args[2].Const(); ok {
		parsed := parseVersion(constant)
		target = func(any) *semver.Version { return parsed }
	}
	return func(s *jsonlogic.Scope) (any, error) {
		a, b := parseVersion(args[0].Eval(s)), target(args[2].Eval(s))
		operator, _ := args[1].Eval(s).(string)
		holds := versionOperators[operator]
		if a == nil || b == nil || holds == nil {
			return nil, nil
		}
		return holds(a, b), nil
	}, nil
}

// versionOperators compare as flagd does: "^" is the same major version and "~" the
// same major and minor version, whichever is the higher.
var versionOperators = map[string]func(a, b *semver.Version) bool{
	"=":  func(a, b *semver.Version) bool { return a.Compare(b) == 0 },
	"!=": func(a, b *semver.Version) bool { return a.Compare(b) != 0 },
	"<":  func(a, b *semver.Version) bool { return a.Compare(b) < 0 },
	"<=": func(a, b *semver.Version) bool { return a.Compare(b) <= 0 },
	">":  func(a, b *semver.Version) bool { return a.Compare(b) > 0 },
	">=": func(a, b *semver.Version) bool { return a.Compare(b) >= 0 },
	"^":  func(a, b *semver.Version) bool { return a.Major() == b.Major() },
	"~":  func(a, b *semver.Version) bool { return a.Major() == b.Major() && a.Minor() == b.Minor() },
}

// parseVersion reads "1.2.3-rc.1+build", with or without a v before it, and "1.2"
// and "1" as well as the numbers 1.2 and 1. Nil is no version.
func parseVersion(v any) *semver.Version {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case float64:
		text = numberText(v)
	default:
		return nil
	}
	if text != "" && (text[0] == 'v' || text[0] == 'V') {
		text = text[1:]
	}
	core := text
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		core = text[:i]
	}
	if dots := strings.Count(core, "."); dots < 2 {
		if core != text {
			return nil // 1.2-rc.1 is no version, of whatever patch
		}
		text += strings.Repeat(".0", 2-dots)
	}
	parsed, err := semver.StrictNewVersion(text)
	if err != nil {
		return nil
	}
	return parsed
}

// numberText is a number as JSON writes it, −0 as 0.
func numberText(f float64) string {
	if f == 0 {
		return "0"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
