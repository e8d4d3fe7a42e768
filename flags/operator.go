package flags

import (
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// alwaysNull returns null. It evaluates the arguments, because one of them may fail.
func alwaysNull(args []jsonlogic.Arg) func(*jsonlogic.Scope) (holds, ok bool) {
	return func(s *jsonlogic.Scope) (holds, ok bool) {
		evaluate(s, args)
		return false, false
	}
}

func evaluate(s *jsonlogic.Scope, args []jsonlogic.Arg) {
	for _, arg := range args {
		arg.Eval(s)
	}
}

// affix is {"starts_with": [text, prefix]} or {"ends_with": [text, suffix]}.
func affix(has func(s, affix string) bool) jsonlogic.Predicate {
	return func(args []jsonlogic.Arg) (func(*jsonlogic.Scope) (holds, ok bool), error) {
		if len(args) != 2 {
			return alwaysNull(args), nil
		}
		name, isField := args[0].Field()
		constant, _ := args[1].Const()
		if part, isText := constant.(string); isField && isText { // the usual arguments
			return func(s *jsonlogic.Scope) (holds, ok bool) {
				whole, ok := s.Text(name)
				return has(whole, part), ok
			}, nil
		}
		return func(s *jsonlogic.Scope) (holds, ok bool) {
			whole, ok := args[0].Eval(s).(string)
			part, also := args[1].Eval(s).(string)
			return ok && also && has(whole, part), ok && also
		}, nil
	}
}

// semVer is {"sem_ver": [version, operator, version]}.
func semVer(args []jsonlogic.Arg) (func(*jsonlogic.Scope) (holds, ok bool), error) {
	if len(args) != 3 {
		return alwaysNull(args), nil
	}
	target := parseVersion
	if constant, ok := args[2].Const(); ok {
		parsed := parseVersion(constant)
		target = func(any) *semver.Version { return parsed }
	}
	return func(s *jsonlogic.Scope) (holds, ok bool) {
		a, b := parseVersion(args[0].Eval(s)), target(args[2].Eval(s))
		operator, _ := args[1].Eval(s).(string)
		compare := versionOperators[operator]
		if a == nil || b == nil || compare == nil {
			return false, false
		}
		return compare(a, b), true
	}, nil
}

// versionOperators compare as flagd does: "^" means the same major version, and "~" the same
// major and minor version, in both directions.
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

// parseVersion reads "1.2.3-rc.1+build", with or without a leading v, "1.2", "1", and the numbers
// 1.2 and 1. It returns nil for anything else.
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
			return nil // 1.2-rc.1 is not a version, because the patch is missing
		}
		text += strings.Repeat(".0", 2-dots)
	}
	parsed, err := semver.StrictNewVersion(text)
	if err != nil {
		return nil
	}
	return parsed
}
