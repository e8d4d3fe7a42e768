// Package jsonlogic compiles JsonLogic rules (https://jsonlogic.com) into Go functions.
//
// [Compile] compiles a rule once. [Rule.Eval] evaluates it on data, any number of times and from
// any number of goroutines. A rule is a JSON value:
//
//	{"if": [{"in": [{"var": "country"}, ["ES", "PT"]]}, "iberia", "elsewhere"]}
//
// An object with one key is an operation. An array is a list whose elements are rules. Everything
// else is data, including an object with zero or several keys. A value from the data is never
// evaluated as a rule.
//
// [Rule.Explain] evaluates a rule and returns a trace of all operations.
//
// # Operators
//
// All of JsonLogic's operators (https://jsonlogic.com/operations.html):
//
//	data        var missing missing_some
//	logic       if ?: and or ! !!
//	comparison  == != === !== < <= > >=
//	numbers     + - * / % min max
//	lists       map filter reduce all some none merge in
//	strings     cat substr in
//	other       log
//
// and those in [Options.Operators] and [Options.Predicates]. Compile returns an error for any
// other operator.
//
// The operators behave as in the reference implementation, json-logic-js, and so as in JavaScript:
//
//   - "==" and "<" convert their arguments: "1" equals 1, null is below 1. Two strings compare by
//     their UTF-16 code units.
//   - false, 0, NaN, "", null and the empty list are false. The string "0" and an empty object
//     are true.
//   - "if", "and" and "or" evaluate only the arguments that they need, and return the deciding
//     value itself.
//   - "var" follows a path of fields and list indexes, separated by dots, and never fails: a
//     missing value is null, or the second argument. The empty path is the data itself.
//     Properties of JavaScript, such as length, are missing.
//   - "map", "filter", "reduce", "all", "some" and "none" evaluate their second argument with only
//     the element as data; "reduce" with current and accumulator. Anything that is not a list
//     counts as an empty list. "all" of an empty list is false.
//   - "missing" returns those of its keys that are absent, null or "". The keys may be one
//     evaluated list.
//   - "+" and "*" read the number at the start of a string: "3 apples" is 3, and null and true are
//     NaN. The other operators convert the whole string: "" and null are 0.
//   - Numbers that JSON cannot express, from 1/0 or "a"-1, are Go's infinities and NaN.
//
// There are three differences. Where the reference throws, the result is defined here, mostly as
// null. Where the reference would run data as a rule, this package does not. And "substr" counts
// characters (runes), not UTF-16 code units.
//
// # The dialect of flagd
//
// [Options.Dialect] chooses the behaviour of the operators. [DialectFlagd] is JsonLogic as in
// flagd. Where flagd's Go core v0.16.1 and its JavaScript core (@openfeature/flagd-core 4.0.1,
// compiled) agree on the value or the error of an operation, the dialect does the same. It differs
// from the standard in these rules:
//
//   - "<", "<=", ">", ">=", "==", "!=", "===" and "!==" compare each argument with the next one,
//     and all arguments count.
//   - "-", "/" and "%" take any number of operands, from the left. "/" of one operand is its
//     reciprocal. "+" and "*" convert strings as the other arithmetic operators do: "" is 0, and
//     "3 apples" is NaN.
//   - A single argument that is not written as a list, but evaluates to one, is the list of
//     arguments. This applies to arithmetic, min, max, cat, merge, substr, in, missing,
//     missing_some, var and custom operators.
//   - The default of "var" also replaces null if the path is a constant and "var" has two
//     arguments.
//   - "missing" and "missing_some" count an empty string as present and the key null as missing.
//   - An empty object is false.
//   - null equals a constant 0 or false.
//   - "reduce" without a third argument starts with the first element.
//   - The operator log does not exist.
//
// An evaluation in this dialect fails with [ErrInvalidArguments] where both engines answer an
// error:
//
//   - min or max of null, a list, an object or a boolean
//   - a list or an object as operand of arithmetic
//   - division by null, and a remainder by null or of one operand
//   - substr of a list, an object or a boolean
//   - a loop over a value other than a list or null
//   - if, and, or, loops and comparisons whose arguments are not written as a list
//   - cat of null alone
//
// # Data
//
// Data may hold any Go value. Maps with string keys, structs (by the names that encoding/json
// would use), slices and arrays are read in place; values that a rule does not use are not read.
// All numbers become float64. A named type counts as its underlying type, time.Time as its RFC
// 3339 text, and an encoding.TextMarshaler as its text. Anything that JSON cannot express, such as
// channels and functions, is null. An [Object] returns its own fields.
//
// # Hostile rules and data
//
// No rule and no data causes a panic or a long evaluation. Compile bounds the size and depth of a
// rule. Eval bounds the steps of an evaluation, and the text and lists that it builds: see
// [Options].
package jsonlogic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Defaults of [Options].
const (
	DefaultMaxSize  = 1 << 20
	DefaultMaxDepth = 500
	DefaultMaxSteps = 1 << 18
	DefaultMaxText  = 1 << 20
)

// Options configure [Compile]. Nil options are the defaults. A negative bound means its default.
type Options struct {
	// Dialect chooses the behaviour of the standard operators. Zero means DialectStandard.
	Dialect Dialect

	// Operators are custom operators by name. Compile returns an error for the name of a
	// standard operator. Nil means none. The map is kept and must not be changed.
	Operators map[string]Operator

	// Predicates are custom operators that are true, false or null. A name must not be in both
	// maps. Nil means none. The map is kept and must not be changed.
	Predicates map[string]Predicate

	// Log is called by the operator log with its argument, at each evaluation, possibly by many
	// goroutines at once. The operator always returns its argument. Nil means no call.
	Log func(value any)

	// MaxSize bounds the size of a rule in bytes. Zero means DefaultMaxSize.
	MaxSize int

	// MaxDepth bounds the nesting of a rule; lists and operations both count. Zero means
	// DefaultMaxDepth.
	MaxDepth int

	// MaxSteps bounds the work of one evaluation that grows with the data or with shared rules.
	// One step is: one operation or value in the body of a loop, for each element; one operation
	// or value of a shared rule; one element that an operator reads; or 64 bytes of text that an
	// operator reads or builds. Anything else costs no steps. Zero means DefaultMaxSteps, with
	// which an evaluation takes at most some tens of milliseconds.
	MaxSteps int

	// MaxText bounds the text that an evaluation may build, in bytes. Zero means
	// DefaultMaxText.
	MaxText int
}

// Compile compiles a rule, which must be one JSON value. The error is an [*Error]. Nil options
// are the defaults.
func Compile(rule []byte, opts *Options) (*Rule, error) {
	if opts == nil {
		opts = &Options{}
	}
	if most := cmp.Or(max(opts.MaxSize, 0), DefaultMaxSize); len(rule) > most {
		return nil, &Error{Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(rule), most)}
	}
	dec := json.NewDecoder(bytes.NewReader(rule))
	var tree any
	if err := dec.Decode(&tree); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, &Error{Err: err}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Err: errors.New("text after the rule")}
	}
	return CompileValue(tree, opts)
}

// CompileValue is [Compile] for a rule that is decoded already, in the form of encoding/json: an
// operation is a map[string]any with one key, a list is a []any, and everything else is data. The
// rule keeps these values, so they must not be changed.
//
// A [*Rule] inside the value is a shared rule: it behaves like the rule that it was compiled from,
// with the operators and predicates that it was compiled with, and is not copied.
//
// [Options.MaxSize] bounds the number of operations and values. A list of constants counts as one,
// and so does a shared rule. The error is an [*Error].
func CompileValue(rule any, opts *Options) (*Rule, error) {
	if opts == nil {
		opts = &Options{}
	}
	c := compiler{
		dialect: opts.Dialect, operators: opts.Operators, predicates: opts.Predicates,
		maxDepth: cmp.Or(max(opts.MaxDepth, 0), DefaultMaxDepth), maxSize: cmp.Or(max(opts.MaxSize, 0), DefaultMaxSize),
	}
	root, err := c.compile(rule, nil)
	if err != nil {
		return nil, err
	}
	c.trial = Scope{trial: true, bounds: &bounds{dialect: DialectFlagd, steps: DefaultMaxSteps, text: DefaultMaxText}, left: DefaultMaxSteps}
	c.fold(root)
	return &Rule{root: root, depth: c.deepest, refused: c.refused, bounds: &bounds{
		opts.Dialect, cmp.Or(max(opts.MaxSteps, 0), DefaultMaxSteps), cmp.Or(max(opts.MaxText, 0), DefaultMaxText), opts.Log,
	}}, nil
}

// [Compile] returns these errors, wrapped in an [*Error].
var (
	ErrTooLarge        = errors.New("the rule is too large")
	ErrTooDeep         = errors.New("the rule is nested too deep")
	ErrUnknownOperator = errors.New("unknown operator")
)

// [Rule.Eval] and [Rule.Explain] return these errors, wrapped in an [*Error], when an evaluation
// exceeds a bound.
var (
	ErrTooManySteps  = errors.New("the evaluation takes too many steps")
	ErrTextTooLong   = errors.New("the evaluation builds too long a text")
	ErrResultTooDeep = errors.New("the evaluation builds too deep a list")
)

// An Error is the reason why a rule does not compile or why a bound stopped an evaluation.
// [Compile], [Rule.Eval] and [Rule.Explain] return it.
type Error struct {
	// Path is the place in the rule, as a JSON pointer (RFC 6901): "/if/0/in/1". Empty means
	// the whole rule. Errors of Eval are always about the whole rule.
	Path string
	Err  error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return "jsonlogic: " + e.Err.Error()
	}
	return "jsonlogic: " + e.Path + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
