package flags

import (
	"math"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/twmb/murmur3"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// operators are flagd's own (https://flagd.dev/reference/custom-operations). What
// they cannot work on gives null, so that the rule falls through to its default.
var operators = map[string]jsonlogic.Operator{
	"starts_with": affix(strings.HasPrefix),
	"ends_with":   affix(strings.HasSuffix),
	"sem_ver":     semVer,
	"fractional":  fractional,
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

// fractional is {"fractional": [bucketing value, [variant, weight], …]}: the same
// value always falls on the same variant, and the values of a population spread over
// the variants by weight.
//
// The bucketing value is the first argument if that is a text, and else the flag's
// key and the targeting key joined. The bucket is
// murmur3_x86_32(value) × sum of the weights >> 32; its variant is the first whose
// running sum of weights is above it.
func fractional(args []jsonlogic.Arg) (jsonlogic.Func, error) {
	if len(args) == 0 {
		return never, nil
	}
	if _, written := args[0].Items(); written {
		split := newSplit(args)
		return func(s *jsonlogic.Scope) (any, error) {
			return split.of(s, nil), nil
		}, nil
	}
	rest, all := newSplit(args[1:]), newSplit(args)
	return func(s *jsonlogic.Scope) (any, error) {
		switch first := args[0].Eval(s).(type) {
		case string:
			return rest.of(s, &first), nil
		case nil:
			return rest.of(s, nil), nil
		}
		return all.of(s, nil), nil
	}, nil
}

// A split is the entries of a fractional operation.
type split struct {
	entries []jsonlogic.Arg

	// Where every entry is written as a list with a constant weight, the usual case,
	// the sums are known beforehand.
	variants []jsonlogic.Arg
	sums     []uint64
}

func newSplit(entries []jsonlogic.Arg) *split {
	sp := &split{entries: entries}
	var variants []jsonlogic.Arg
	var sums []uint64
	var sum uint64
	for _, entry := range entries {
		items, written := entry.Items()
		if !written || len(items) == 0 {
			return sp
		}
		var w any
		if len(items) > 1 {
			var constant bool
			if w, constant = items[1].Const(); !constant {
				return sp
			}
		}
		weight, ok := weightOf(w)
		if !ok {
			return sp
		}
		sum += weight
		variants, sums = append(variants, items[0]), append(sums, sum)
	}
	if sum <= math.MaxInt32 {
		sp.variants, sp.sums = variants, sums
	}
	return sp
}

// of gives the variant of a bucketing value; nil stands for the flag's and the
// targeting key.
func (sp *split) of(s *jsonlogic.Scope, value *string) any {
	var hash uint32
	if value != nil {
		hash = murmur3.StringSum32(*value)
	} else {
		ctx, ok := s.Data().(*evalContext)
		if !ok {
			return nil
		}
		key, ok := ctx.targetingKey()
		if !ok {
			return nil
		}
		var buf [128]byte
		hash = murmur3.Sum32(append(append(buf[:0], ctx.flag.key...), key...))
	}
	if sp.sums != nil {
		if i := bucket(hash, sp.sums); i >= 0 {
			return sp.variants[i].Eval(s)
		}
		return nil
	}
	variants := make([]any, len(sp.entries))
	sums := make([]uint64, len(sp.entries))
	var sum uint64
	for i, entry := range sp.entries {
		items, ok := entry.Eval(s).([]any)
		if !ok || len(items) == 0 {
			return nil
		}
		var w any
		if len(items) > 1 {
			w = items[1]
		}
		weight, ok := weightOf(w)
		if !ok {
			return nil
		}
		sum += weight
		variants[i], sums[i] = items[0], sum
	}
	if sum > math.MaxInt32 {
		return nil
	}
	if i := bucket(hash, sums); i >= 0 {
		return variants[i]
	}
	return nil
}

// bucket returns the index of the entry that a hash falls on, -1 when no entry has
// any weight.
func bucket(hash uint32, sums []uint64) int {
	if len(sums) == 0 {
		return -1
	}
	at := uint64(hash) * sums[len(sums)-1] >> 32
	for i, sum := range sums {
		if at < sum {
			return i
		}
	}
	return -1
}

// weightOf reads a weight: a whole number, of which a negative one counts as 0; null
// is 1. Inside a list from the evaluation context an integer is still one of Go's.
func weightOf(v any) (weight uint64, ok bool) {
	var f float64
	switch v := v.(type) {
	case nil:
		f = 1
	case float64:
		f = v
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	default:
		return 0, false
	}
	if f != math.Trunc(f) || f > math.MaxInt32 {
		return 0, false
	}
	return uint64(max(f, 0)), true
}

// numberText is a number as JSON writes it.
func numberText(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
