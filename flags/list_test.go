package flags_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// TestFlagsInAList checks that a list of flags with keys is read like a map of flags.
func TestFlagsInAList(t *testing.T) {
	t.Parallel()
	const inJSON = `{
		"$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
		"metadata": {"team": "shop"},
		"flags": [
			{"key": "a", "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "targeting": {"if": [{"$ref": "staff"}, "on"]}},
			{"key": "b", "state": "ENABLED", "variants": {"x": "X"}, "defaultVariant": "x", "metadata": {"owner": "ops"}}
		]}`
	const inYAML = `
flags:
- key: a
  state: ENABLED
  variants: {"on": true, "off": false}
  defaultVariant: "off"
  targeting: {if: [{ends_with: [{var: email}, "@example.com"]}, "on"]}
- {key: b, state: ENABLED, variants: {x: X}, defaultVariant: x}
`
	for name, doc := range map[string]string{"flags.json": inJSON, "flags.yaml": inYAML} {
		p, err := flags.Open(t.Context(), flags.Bytes(name, []byte(doc)), &flags.Options{Logger: quiet})
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Close()) }()
		require.Empty(t, p.Problems())
		require.Equal(t, true, p.Evaluate(t.Context(), "a", flags.Attributes{"email": "ada@example.com"}).Value)
		require.Equal(t, false, p.Evaluate(t.Context(), "a", nil).Value)
		require.Equal(t, "X", p.Evaluate(t.Context(), "b", nil).Value)
		require.Empty(t, flags.Lint(name, []byte(doc)))
	}
}

// TestFlagsInAListMergeAndLast checks that lists merge with maps, and are kept in the last good
// copy.
func TestFlagsInAListMergeAndLast(t *testing.T) {
	t.Parallel()
	base := flags.Bytes("base.json", []byte(`{"flags": {"a": {"variants": {"v": 1}, "defaultVariant": "v"}, "b": {"variants": {"v": 2}, "defaultVariant": "v"}}}`))
	over := flags.Bytes("over.json", []byte(`{"flags": [{"key": "b", "variants": {"v": 3}, "defaultVariant": "v"}]}`))
	copied := filepath.Join(t.TempDir(), "copy")
	p, err := flags.Open(t.Context(), flags.Merge(base, over), &flags.Options{Logger: quiet, LastGood: copied})
	require.NoError(t, err)
	require.Equal(t, 1.0, p.Evaluate(t.Context(), "a", nil).Value)
	require.Equal(t, 3.0, p.Evaluate(t.Context(), "b", nil).Value)
	require.NoError(t, p.Close())

	p, err = flags.Open(t.Context(), flags.File("missing.json"), &flags.Options{Logger: quiet, LastGood: copied})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	require.Equal(t, 3.0, p.Evaluate(t.Context(), "b", nil).Value)
}

// TestFaultsInAListSpoilOneFlag checks that the faults of a flag in a list have their place and
// do not affect other flags.
func TestFaultsInAListSpoilOneFlag(t *testing.T) {
	t.Parallel()
	p := open(t, `{"flags": [
		{"key": "a", "variants": {}},
		{"key": "b", "variants": {"v": 1}, "defaultVariant": "v"}]}`)
	require.Equal(t, []string{`flags.yaml:2:28: flag "a": variants: must have at least one variant`}, problems(p))
	require.Equal(t, 1.0, p.Evaluate(t.Context(), "b", nil).Value)
}

// TestNumbersThatLoseDigits checks that a number outside a float64's range is a fault everywhere,
// and that an integer that loses digits is a fault in variants and a warning elsewhere.
func TestNumbersThatLoseDigits(t *testing.T) {
	t.Parallel()
	const doc = `{"flags": {
		"variants": {"state": "ENABLED", "variants": {"a": 9007199254740993, "b": {"c": [-9007199254740993]}}, "defaultVariant": "a"},
		"exact": {"state": "ENABLED", "variants": {"a": 9007199254740992, "b": 1e20, "c": 1.5}, "defaultVariant": "a"},
		"rule": {"state": "ENABLED", "variants": {"a": "A"}, "defaultVariant": "a", "targeting": {"if": [{"==": [{"var": "x"}, 123456789012345678901]}, "a"]}},
		"metadata": {"state": "ENABLED", "variants": {"a": "A"}, "defaultVariant": "a", "metadata": {"ticket": 9007199254740993}},
		"huge": {"state": "ENABLED", "variants": {"a": 1e999, "b": -1e999}, "defaultVariant": "a", "metadata": {"x": {"y": 1e999}}},
		"even": {"state": "ENABLED", "variants": {"a": "A"}, "defaultVariant": "a", "targeting": {"if": [{"==": [9007199254740994, {"var": "x"}]}, "a"]}}
	}}`
	const lost = " is an integer beyond 2^53, where numbers lose digits: write it as a string"
	faults := []string{
		`flags.yaml:2:54: flag "variants": variants.a: 9007199254740993` + lost,
		`flags.yaml:2:84: flag "variants": variants.b: -9007199254740993` + lost,
		`flags.yaml:6:50: flag "huge": variants.a: 1e999 is beyond what a number can hold`,
		`flags.yaml:6:62: flag "huge": variants.b: -1e999 is beyond what a number can hold`,
		`flags.yaml:6:118: flag "huge": metadata: 1e999 is beyond what a number can hold`,
	}
	p := open(t, doc)
	require.Equal(t, faults, problems(p))
	require.Equal(t, 9007199254740992.0, p.Evaluate(t.Context(), "exact", nil).Value)

	var warnings, errs []string
	for _, fault := range flags.Lint("flags.yaml", []byte(doc)) {
		if fault.Severity == flags.SeverityWarning {
			warnings = append(warnings, fault.Error())
		} else {
			errs = append(errs, fault.Error())
		}
	}
	require.ElementsMatch(t, faults, errs)
	require.Contains(t, warnings, `flags.yaml:4:122: flag "rule": targeting: 123456789012345678901 loses digits: it is read as 123456789012345680000`)
	require.Contains(t, warnings, `flags.yaml:5:106: flag "metadata": metadata.ticket: 9007199254740993 loses digits: it is read as 9007199254740992`)
	require.Contains(t, warnings, `flags.yaml:7:108: flag "even": targeting: 9007199254740994`+lost)
}
