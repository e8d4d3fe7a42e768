package flags_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

func problems(p *flags.Provider) []string {
	var texts []string
	for _, problem := range p.Problems() {
		texts = append(texts, problem.Error())
	}
	return texts
}

// A fault inside a rule has its own place, at any depth.
func TestFaultsInRulesHaveTheirPlace(t *testing.T) {
	t.Parallel()
	p := open(t, `flags:
  deep:
    variants: {a: A}
    targeting:
      if:
        - and:
            - {var: x}
            - {">=": [{var: y}, {min: [1, {"a/~b": 2}]}]}
        - a
  bare: {variants: {a: A}, targeting: {"!": {"!!": {nothing: 1}}}}
  shared: {variants: {a: A}, targeting: {if: [{$ref: outer}, a]}}
$evaluators:
  outer: {or: [{$ref: inner}, false]}
  inner:
    in: [{vat: country}, [ES, PT]]
`)
	require.Equal(t, []string{
		`flags.yaml:8:44: flag "deep": targeting: jsonlogic: /if/0/and/1/>=/1/min/1/a~1~0b: unknown operator "a/~b"`,
		`flags.yaml:10:53: flag "bare": targeting: jsonlogic: /!/!!/nothing: unknown operator "nothing"`,
		`flags.yaml:15:11: flag "shared": targeting: jsonlogic: /in/0/vat: unknown operator "vat"`,
	}, problems(p))
	for _, problem := range p.Problems() {
		require.ErrorIs(t, problem, jsonlogic.ErrUnknownOperator)
	}
	p = open(t, `{"flags": {"f": {"variants": {"a": "A"}, "targeting": {"if": [{"in": [{"var": "x"}, [1, {"a": 2, "b": 1e999}]]}, "a"]}}}}`)
	require.Equal(t, []string{`flags.yaml:1:103: flag "f": targeting: 1e999 is beyond what a number can hold`}, problems(p))
}

func TestFaultInTheEvaluatorOfAnotherDocument(t *testing.T) {
	t.Parallel()
	base := flags.Bytes("base.yaml", []byte("flags: {}\n$evaluators:\n  staff: {nothing: 1}\n"))
	over := flags.Bytes("over.yaml", []byte("flags: {f: {variants: {a: A}, targeting: {if: [{$ref: staff}, a]}}}"))
	p, err := flags.Open(t.Context(), flags.Merge(base, over), &flags.Options{Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, []string{`base.yaml:3:11: flag "f": targeting: jsonlogic: /nothing: unknown operator "nothing"`}, problems(p))
}

// All faults of a flag and of a document are reported together.
func TestAllFaultsAreReported(t *testing.T) {
	t.Parallel()
	p := open(t, `flags:
  f: {state: ENABLD, variants: {a: null, b: 1}, defaultVariant: c, targeting: {nothing: 1}, metadata: 5}
`)
	require.Equal(t, []string{
		`flags.yaml:2:14: flag "f": state: must be ENABLED or DISABLED, got "ENABLD" (did you mean "ENABLED"?)`,
		`flags.yaml:2:36: flag "f": variants.a: must have a value, got null`,
		`flags.yaml:2:65: flag "f": defaultVariant: "c" is not a variant`,
		`flags.yaml:2:103: flag "f": metadata: must be a map, got a number`,
		`flags.yaml:2:80: flag "f": targeting: jsonlogic: /nothing: unknown operator "nothing"`,
	}, problems(p))

	_, err := flags.Open(t.Context(), flags.Bytes("f.yaml", []byte("flags: 1\nmetadata: []\nallowShrink: 2\n")), &flags.Options{Logger: quiet})
	require.EqualError(t, err, "f.yaml:1:8: flags: must be a map, got a number\nf.yaml:2:11: metadata: must be a map, got a list\nf.yaml:3:14: allowShrink: must be true or false, got a number")
	var faults flags.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 3)
	require.Equal(t, "metadata", faults[1].Field)
	require.Equal(t, flags.SeverityError, faults[1].Severity)
}

// A fault of the source, or of its document as a whole, is a problem at once.
func TestProblemsOfTheSource(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(*script) flags.Source{
		"*flags_test.script": func(s *script) flags.Source { return s },
		"merged":             func(s *script) flags.Source { return flags.Merge(flags.Bytes("base", []byte("flags: {}")), s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &script{doc: bool1("a")}
				p, err := flags.Open(t.Context(), source(src), &flags.Options{Logger: quiet})
				require.NoError(t, err)
				defer p.Close()
				require.Nil(t, p.Problems())
				src.set("", errors.New("down"))
				time.Sleep(20 * time.Second)
				require.Equal(t, []string{"*flags_test.script: down"}, problems(p))
				var fault *flags.Fault
				require.ErrorAs(t, p.Problems()[0], &fault)
				require.Equal(t, "*flags_test.script", fault.File)
				src.set("flags: true", nil)
				time.Sleep(20 * time.Second)
				require.Equal(t, []string{"*flags_test.script:1:8: flags: must be a map, got a boolean"}, problems(p))
				src.set(bool1("a"), nil)
				time.Sleep(20 * time.Second)
				require.Nil(t, p.Problems())
			})
		})
	}
}

// Two providers have the same revision exactly when they have the same flags.
func TestRevisionIsOfWhatIsInEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := func(src flags.Source, opts flags.Options) *flags.Provider {
			opts.Logger = quiet
			p, err := flags.Open(t.Context(), src, &opts)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			return p
		}
		good := `{"flags": {"f": {"variants": {"a": 1}, "defaultVariant": "a"}}}`
		broken := `{"flags": {"f": {"variants": {"a": 1}, "defaultVariant": "b"}}}`
		src := &script{doc: good}
		p := start(src, flags.Options{})
		first := p.Revision()
		require.Len(t, first, 16)
		require.Equal(t, first, start(flags.Bytes("x", []byte(good+"\n")), flags.Options{}).Revision(), "the same flags in other words")
		require.NotEqual(t, first, start(flags.Bytes("x", []byte(good)), flags.Options{Bucketing: flags.BucketingV3}).Revision())
		src.set(broken, nil)
		time.Sleep(20 * time.Second)
		require.Equal(t, first, p.Revision(), "the flag keeps what it had")
		require.NotEqual(t, first, start(src, flags.Options{}).Revision(), "one that has nothing to keep answers differently")
		src.set(`{"flags": {"f": {"variants": {"a": 1}, "defaultVariant": "a", "targeting": {"$ref": "r"}}}, "$evaluators": {"r": {"var": "x"}}}`, nil)
		time.Sleep(20 * time.Second)
		second := p.Revision()
		require.NotEqual(t, first, second)
		src.set(`{"flags": {"f": {"variants": {"a": 1}, "defaultVariant": "a", "targeting": {"$ref": "r"}}}, "$evaluators": {"r": {"var": "y"}}}`, nil)
		time.Sleep(20 * time.Second)
		require.NotEqual(t, second, p.Revision(), "a rule that it refers to has changed")
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "V2 V3 7", flags.BucketingV2.String()+" "+flags.BucketingV3.String()+" "+flags.Bucketing(7).String())
	require.Equal(t, "error", flags.Fault{}.Severity.String(), "zero is an error")
}
