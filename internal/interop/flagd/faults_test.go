package flagd_test

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/model"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// These are the known faults of flagd core v0.16.1. Most of them are faults of its JsonLogic
// implementation, github.com/diegoholiveira/jsonlogic v3.9.1. The reference, json-logic-js, defines the
// right result.

// A fault is a difference between flagd and the right result.
type fault struct {
	name string
	ops  []string
	is   func(c culprit) bool

	// An example that proves the fault: flagd's result is not the right one.
	rule  string
	data  string
	means string // the right result in JSON, or "NaN"
}

var (
	arithmetic  = []string{"+", "-", "*", "/", "%", "min", "max"}
	comparisons = []string{"==", "!=", "<", "<=", ">", ">="}
	truths      = []string{"!", "!!", "if", "?:", "and", "or"}
	equalities  = []string{"==", "!=", "===", "!=="}
)

func isList(v any) bool   { _, ok := v.([]any); return ok }
func isMap(v any) bool    { _, ok := v.(map[string]any); return ok }
func isText(v any) bool   { _, ok := v.(string); return ok }
func isNumber(v any) bool { _, ok := v.(float64); return ok }

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

func isMinusZero(v any) bool {
	f, ok := v.(float64)
	return ok && f == 0 && math.Signbit(f)
}

var decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// isOddText is a string that is not a plain decimal number. Implementations differ in how they convert it
// to a number.
func isOddText(v any) bool {
	s, ok := v.(string)
	return ok && !decimal.MatchString(s)
}

// operatorFaults are the faults of JsonLogic's own operators. The first one that fits counts.
var operatorFaults = []fault{
	{
		name: "a single argument outside a list, once evaluated to a list, is taken for the list of arguments",
		ops:  slices.Concat(arithmetic, truths, []string{"cat", "substr", "merge", "in", "==", "var", "missing"}),
		is:   func(c culprit) bool { return !c.list && isList(c.args[0]) },
		rule: `{"!!": {"var": "empty"}}`, data: `{"empty": [""]}`, means: `true`,
	},
	{
		name: "a single argument outside a list panics",
		ops:  slices.Concat(arithmetic, truths, comparisons, []string{"cat", "substr", "merge", "missing", "===", "!==", "in"}),
		is:   func(c culprit) bool { return !c.list && c.theirs.err },
		rule: `{"-": {"var": "n"}}`, data: `{"n": 1}`, means: `-1`,
	},
	{
		name: "an argument that is not needed is evaluated",
		ops:  slices.Concat(comparisons, equalities, truths, []string{"in", "var"}),
		is:   func(c culprit) bool { return c.theirs.err && c.failing },
		rule: `{"<": [2, 1, {"%": [{"var": "n"}, {"var": "n"}]}]}`, data: `{}`, means: `false`,
	},
	{
		name: "arithmetic panics at null, booleans, lists and objects",
		ops:  arithmetic,
		is: func(c culprit) bool {
			return c.theirs.err && slices.ContainsFunc(c.args, func(v any) bool { return !isNumber(v) && !isText(v) })
		},
		rule: `{"-": [true, null]}`, data: `{}`, means: `1`,
	},
	{
		name: "arithmetic takes a string that is not a number for 0, and reads numbers in strings differently from JavaScript",
		ops:  arithmetic,
		is:   func(c culprit) bool { return slices.ContainsFunc(c.args, isOddText) },
		rule: `{"max": ["a", -1]}`, data: `{}`, means: `NaN`,
	},
	{
		name: "min and max pass over NaN",
		ops:  []string{"min", "max"},
		is:   func(c culprit) bool { return slices.ContainsFunc(c.args, isNaN) },
		rule: `{"min": [1, {"/": [0, 0]}]}`, data: `{}`, means: `NaN`,
	},
	{
		name: "NaN is true",
		ops:  truths,
		is:   func(c culprit) bool { return slices.ContainsFunc(c.args, isNaN) },
		rule: `{"!": [{"/": [0, 0]}]}`, data: `{}`, means: `true`,
	},
	{
		name: "if evaluates a result that is an object as a rule",
		ops:  []string{"if", "?:"},
		is:   func(c culprit) bool { return slices.ContainsFunc(c.args, isMap) },
		rule: `{"if": [true, {"var": "user"}]}`, data: `{"user": {"name": "Ada"}}`, means: `{"name": "Ada"}`,
	},
	{
		name: "comparisons do not convert lists and objects",
		ops:  comparisons,
		is: func(c culprit) bool {
			return slices.ContainsFunc(c.args, func(v any) bool { return isList(v) || isMap(v) })
		},
		rule: `{"<": [{"var": "none"}, 1]}`, data: `{"none": []}`, means: `true`,
	},
	{
		name: "comparisons read numbers in strings differently from JavaScript",
		ops:  comparisons,
		is: func(c culprit) bool {
			return slices.ContainsFunc(c.args, isOddText) && slices.ContainsFunc(c.args, func(v any) bool { return !isText(v) })
		},
		rule: `{"==": [" 3 ", 3]}`, data: `{}`, means: `true`,
	},
	{
		name: "<= and >= of null do not convert it",
		ops:  []string{"<=", ">="},
		is:   func(c culprit) bool { return slices.Contains(c.args, nil) },
		rule: `{"<=": [null, 0]}`, data: `{}`, means: `true`,
	},
	{
		name: "a list or an object is not itself",
		ops:  []string{"===", "!=="},
		is:   func(c culprit) bool { return isList(c.args[0]) || isMap(c.args[0]) },
		rule: `{"===": [{"var": "tags"}, {"var": "tags"}]}`, data: `{"tags": ["a"]}`, means: `true`,
	},
	{
		name: "strings compare by bytes, not by UTF-16 code units",
		ops:  []string{"<", "<=", ">", ">="},
		is:   func(c culprit) bool { return isText(c.args[0]) && isText(c.args[1]) },
		rule: `{"<": ["😀", "ｚ"]}`, data: `{}`, means: `true`,
	},
	{
		name: "in panics or converts if the needle or an element is not a string",
		ops:  []string{"in"},
		is: func(c culprit) bool {
			if list, ok := c.args[1].([]any); ok {
				return !isText(c.args[0]) || slices.ContainsFunc(list, func(v any) bool { return !isText(v) })
			}
			return isText(c.args[1]) && !isText(c.args[0])
		},
		rule: `{"in": [1, ["1"]]}`, data: `{}`, means: `false`,
	},
	{
		name: "the empty string is in the empty string",
		ops:  []string{"in"},
		is:   func(c culprit) bool { return c.args[1] == "" },
		rule: `{"in": ["", ""]}`, data: `{}`, means: `false`,
	},
	{
		name: "cat panics at booleans, lists and objects",
		ops:  []string{"cat"},
		is: func(c culprit) bool {
			return c.theirs.err && slices.ContainsFunc(c.args, func(v any) bool { return v != nil && !isNumber(v) && !isText(v) })
		},
		rule: `{"cat": ["is ", true]}`, data: `{}`, means: `"is true"`,
	},
	{
		name: "cat trims",
		ops:  []string{"cat"},
		is: func(c culprit) bool {
			s, _ := c.ours.value.(string)
			return strings.TrimSpace(s) == c.theirs.value
		},
		rule: `{"cat": ["a", " "]}`, data: `{}`, means: `"a "`,
	},
	{
		name: "very large and very small numbers, and −0, are formatted differently",
		ops:  []string{"cat", "substr"},
		is: func(c culprit) bool {
			return slices.ContainsFunc(c.args, func(v any) bool {
				f, ok := v.(float64)
				return ok && (math.Abs(f) >= 1e21 || f != 0 && math.Abs(f) < 1e-6 || isMinusZero(f))
			})
		},
		rule: `{"cat": ["", 1e21]}`, data: `{}`, means: `"1e+21"`,
	},
	{
		name: "substr beyond an end of the string gives the whole text or panics",
		ops:  []string{"substr"},
		is: func(c culprit) bool {
			source, ok := c.args[0].(string)
			if !ok {
				source = result{value: c.args[0]}.text()
			}
			length := float64(len([]rune(source)))
			from, _ := c.args[1].(float64)
			if from > length || from < -length {
				return true
			}
			to, _ := c.args[len(c.args)-1].(float64)
			return len(c.args) == 3 && to < 0
		},
		rule: `{"substr": ["ab", 3]}`, data: `{}`, means: `""`,
	},
	{
		name: "missing and missing_some read names that are not strings differently",
		ops:  []string{"missing", "missing_some"},
		is: func(c culprit) bool {
			return c.op == "missing" && slices.ContainsFunc(c.args, func(v any) bool { return !isText(v) })
		},
		rule: `{"missing": [["a", "b"]]}`, data: `{"b": 1}`, means: `["a"]`,
	},
	{
		name: "the variable null is null, not the data",
		ops:  []string{"var"},
		is:   func(c culprit) bool { return c.args[0] == nil },
		rule: `{"var": null}`, data: `{"a": 1}`, means: `{"a": 1}`,
	},
	{
		name: "a name that is not a number is a list's first element",
		ops:  []string{"var", "missing", "missing_some"},
		is:   throughList,
		rule: `{"var": "tags.name"}`, data: `{"tags": ["a"]}`, means: `null`,
	},
	{
		name: "a variable that is null has the default's value",
		ops:  []string{"var"},
		is:   func(c culprit) bool { return len(c.args) > 1 && c.ours.value == nil },
		rule: `{"var": [{"cat": ["no", "thing"]}, 5]}`, data: `{"nothing": null}`, means: `null`,
	},
	{
		name: "a variable's name that is not a string panics, unless it is the only argument",
		ops:  []string{"var"},
		is:   func(c culprit) bool { return c.theirs.err && c.list && len(c.args) > 0 && !isText(c.args[0]) },
		rule: `{"var": [1]}`, data: `["a", "b"]`, means: `"b"`,
	},
	{
		name: "an operator on a list panics for any other value",
		ops:  scopedOperators,
		is:   func(c culprit) bool { return c.theirs.err && len(c.args) > 0 && !isList(c.args[0]) },
		rule: `{"map": [{"var": "zero"}, true]}`, data: `{"zero": 0}`, means: `[]`,
	},
	{
		name: "a body that is not an operation panics",
		ops:  []string{"all", "some", "none", "reduce"},
		is:   func(c culprit) bool { return c.theirs.err && len(c.args) > 1 && !isMap(c.args[1]) },
		rule: `{"some": [[1], true]}`, data: `{}`, means: `true`,
	},
	{
		name: "reduce accepts only numbers, strings and booleans, skips null, and gives 0 if there is no list",
		ops:  []string{"reduce"},
		is:   func(culprit) bool { return true },
		rule: `{"reduce": [{"var": "missing"}, {"var": "current"}, 5]}`, data: `{}`, means: `5`,
	},
	{
		name: "variables of the data around a body replace those of the element",
		ops:  []string{"all", "some", "none", "filter"},
		is:   func(c culprit) bool { return len(c.args) > 1 && hasVariable(c.args[1]) },
		rule: `{"some": [{"var": "list"}, {"var": "a"}]}`, data: `{"a": 1, "list": [{"a": 0}]}`, means: `false`,
	},
}

// throughList reports whether the path of a variable goes into a list with a name that is not an index.
func throughList(c culprit) bool {
	var paths []any
	switch c.op {
	case "var":
		paths = c.args[:1]
	case "missing":
		paths = c.args
	default:
		paths, _ = c.args[1].([]any)
	}
	return slices.ContainsFunc(paths, func(v any) bool {
		path, ok := v.(string)
		if !ok {
			return false
		}
		at := c.data
		for _, name := range strings.Split(path, ".") {
			if isList(at) && !decimal.MatchString(name) {
				return true
			}
			at = evalOurs(variable(name), at).value
		}
		return false
	})
}

func hasVariable(rule any) bool {
	if list, ok := rule.([]any); ok {
		return slices.ContainsFunc(list, hasVariable)
	}
	op, args, _, ok := operation(rule)
	return ok && (op == "var" || slices.ContainsFunc(args, hasVariable))
}

// customFaults are the faults of flagd's own operators.
var customFaults = []fault{
	{
		name: "sem_ver takes a number as Go prints it",
		ops:  []string{evaluator.SemVerEvaluationName},
		is: func(c culprit) bool {
			return slices.ContainsFunc(c.args, func(v any) bool {
				f, ok := v.(float64)
				return ok && (math.Abs(f) >= 1e6 || f != 0 && math.Abs(f) < 1e-4 || isMinusZero(f))
			})
		},
		rule: `{"sem_ver": [{"var": "version"}, ">", "1.0.0"]}`, data: `{"version": 4294967296}`, means: `true`,
	},
}

const faultWholeDocument = "one faulty flag refuses the whole document"

// A documentFault is a fault outside the rule.
type documentFault struct {
	name string
	is   func(d difference) bool

	// An example that proves the fault.
	document string
	context  string
}

var documentFaults = []documentFault{
	{
		name: "a rule that is null counts as one that gives null",
		is: func(d difference) bool {
			rule, present := d.definition["targeting"]
			return present && rule == nil && d.theirs.Reason == model.DefaultReason && d.ours.Reason == model.StaticReason
		},
		document: `{"flags": {"flag": {"variants": {"on": true}, "defaultVariant": "on", "targeting": null}}}`, context: `{}`,
	},
	{
		name: "a float is truncated where an integer is asked for",
		is: func(d difference) bool {
			return d.accessor == "int" && d.ours.Code == model.TypeMismatchErrorCode && d.theirs.Code == ""
		},
		document: `{"flags": {"flag": {"variants": {"on": 1.5}, "defaultVariant": "on"}}}`, context: `{}`,
	},
	{
		name: "a list is not an object",
		is: func(d difference) bool {
			return d.accessor == "object" && d.theirs.Code == model.TypeMismatchErrorCode && isList(d.ours.Value)
		},
		document: `{"flags": {"flag": {"variants": {"on": [1]}, "defaultVariant": "on"}}}`, context: `{}`,
	},
	{
		name: "a variant is looked up by its name in JSON, without the quotes",
		is: func(d difference) bool {
			name, _ := d.walked.meaning.value.(string)
			return d.refused == nil && d.theirs.Code == model.GeneralErrorCode && strings.ContainsAny(name, "\"<>&\\")
		},
		document: `{"flags": {"flag": {"variants": {"<b>": true}, "targeting": {"if": [true, "<b>"]}}}}`, context: `{}`,
	},
	{
		name: "a result of −0 is not the variant 0",
		is: func(d difference) bool {
			return d.refused == nil && d.theirs.Code == model.GeneralErrorCode && isMinusZero(d.walked.meaning.value)
		},
		document: `{"flags": {"flag": {"variants": {"0": true}, "targeting": {"*": [-1, 0]}}}}`, context: `{}`,
	},
	{
		name: "a result that is not finite is an error of another kind",
		is: func(d difference) bool {
			return d.theirs.Code == model.ParseErrorCode && d.ours.Code == model.GeneralErrorCode
		},
		document: `{"flags": {"flag": {"variants": {"on": true}, "targeting": {"/": [0, 0]}}}}`, context: `{}`,
	},
	{
		name: "references inside evaluators are replaced or not, at random",
		is: func(d difference) bool {
			return d.theirs.Code == model.ParseErrorCode && d.refused == nil &&
				strings.Contains(string(encode(d.definition["targeting"])), `"$ref"`) && strings.Contains(string(encode(d.evaluators)), `"$ref"`)
		},
		document: `{"$evaluators": {"a": {"$ref": "b"}, "b": {"!": [false]}}, "flags": {"flag": {"variants": {"true": true}, "targeting": {"$ref": "a"}}}}`, context: `{}`,
	},
	{
		name:     "an unknown operator is reported only when it is evaluated",
		is:       func(d difference) bool { return errors.Is(d.refused, jsonlogic.ErrUnknownOperator) },
		document: `{"flags": {"flag": {"variants": {"on": true}, "targeting": {"if": [true, "on", {"no-such": [1]}]}}}}`, context: `{}`,
	},
	{
		name: "a reference to a missing evaluator is reported only when it is evaluated",
		is: func(d difference) bool {
			return d.refused != nil && strings.Contains(d.refused.Error(), "$ref")
		},
		document: `{"flags": {"flag": {"variants": {"on": true}, "targeting": {"if": [true, "on", {"$ref": "none"}]}}}}`, context: `{}`,
	},
}
