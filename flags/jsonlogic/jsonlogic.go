// Package jsonlogic compiles JsonLogic rules (https://jsonlogic.com) into Go
// functions.
//
// [Compile] reads a rule once; [Rule.Eval] applies it to data, as often as wanted,
// from any number of goroutines. A rule is a JSON value:
//
//	{"if": [{"in": [{"var": "country"}, ["ES", "PT"]]}, "iberia", "elsewhere"]}
//
// An object with one key is an operation. An array is a list whose elements are
// rules. Everything else, an object with no key or with several too, is data and
// stands for itself. What comes from data is never taken for a rule.
//
// [Rule.Explain] evaluates and tells how the rule came to its result.
//
// # Operators
//
// All of JsonLogic's (https://jsonlogic.com/operations.html):
//
//	data        var missing missing_some
//	logic       if ?: and or ! !!
//	comparison  == != === !== < <= > >=
//	numbers     + - * / % min max
//	lists       map filter reduce all some none merge in
//	texts       cat substr in
//	other       log
//
// and whatever [Options.Operators] adds. An operator that is neither is an error of
// Compile, not of Eval.
//
// Operators mean what json-logic-js, the reference, and with it JavaScript make of
// them:
//
//   - "==" and "<" convert: "1" equals 1, null is below 1, two texts compare by their
//     UTF-16 code units.
//   - false, 0, NaN, "", null and the empty list are false; the text "0" and an
//     object without members are true.
//   - "if", "and" and "or" evaluate what they need, and give the deciding value
//     itself.
//   - "var" walks a path of dots through members and list indexes and never fails:
//     what is not there is null or the second argument. The empty path is the data
//     itself. Properties that only JavaScript knows, such as length, are not there.
//   - "map", "filter", "reduce", "all", "some" and "none" evaluate their second
//     argument with the element as the data, and nothing else of it; "reduce" with
//     current and accumulator. What is no list counts as an empty one. Of an empty
//     list "all" is false.
//   - "missing" lists those of its keys that are absent, null or ""; the keys may be
//     one evaluated list.
//   - "+" and "*" read the number that a text begins with ("3 apples" is 3, null and
//     true are none); the others convert wholly ("" and null are 0).
//   - Numbers that JSON does not have, from 1/0 or "a"-1, are Go's infinities and NaN.
//
// It differs where the reference throws (a defined result stands here, null mostly),
// where it would run data as a rule, and in "substr", which counts characters
// (runes), not UTF-16 code units.
//
// # The dialect of flagd
//
// [Options.Dialect] chooses what operators mean. [DialectFlagd] is JsonLogic as feature flags of
// flagd have it. Where flagd's Go core v0.16.1 and its JavaScript core
// (@openfeature/flagd-core 4.0.1, compiled) agree about an operation, on a value or on an
// error, so does the dialect. It differs from the standard in these rules:
//
//   - "<", "<=", ">", ">=", "==", "!=", "===" and "!==" compare each argument with the next
//     one, and all arguments count.
//   - "-", "/" and "%" take any number of operands, from the left. "/" of one operand is its
//     reciprocal. "+" and "*" read texts as the other operators of arithmetic do: "" is 0, and
//     "3 apples" is NaN.
//   - An argument that is not written as a list, and evaluates to one, is the list of
//     arguments: of arithmetic, min, max, cat, merge, substr, in, missing, missing_some, var and
//     custom operators.
//   - The default of "var" replaces null, too, if the path is a constant and "var" has two
//     arguments.
//   - "missing" and "missing_some" count an empty text as present and the key null as missing.
//   - An object without members is false.
//   - null equals a constant 0 or false.
//   - "reduce" without a third argument begins with the first element.
//   - There is no operator log.
//
// An evaluation in this dialect ends with [ErrInvalidArguments] where both engines answer an
// error: min or max of null, a list, an object or a boolean; an operand of arithmetic that is a
// list or an object; division by null; a remainder by null or of one operand; substr of a list,
// an object or a boolean; loops over a value that is no list and no null; if, and, or, loops
// and comparisons whose arguments are not written as a list; cat of null alone.
//
// # Data
//
// Data may hold any Go value. Maps with string keys, structs (by the names that
// encoding/json would use), slices and arrays are walked in place; what a rule does
// not touch is never looked at. Numbers of every width are float64, named types
// are what they are named for, time.Time is its RFC 3339 text, an
// encoding.TextMarshaler is its text, and what JSON cannot express, channels and
// functions, is null. An [Object] answers for itself.
//
// # Hostile rules and data
//
// No rule and no data panics, or runs long. Compile bounds a rule's size and depth;
// Eval bounds the steps of an evaluation, and the text and lists it builds, whatever
// the rule and the data: see [Options].
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

// Options configure [Compile]. Nil options are the defaults; so is a bound that is
// negative.
type Options struct {
	// Dialect is what the standard operators mean. Zero means DialectStandard.
	Dialect Dialect

	// Operators are custom operators by name. A name of a standard operator is an
	// error of Compile. The map is kept, and must not be changed any more.
	Operators map[string]Operator

	// Predicates are custom operators too, and no name may stand in both maps.
	Predicates map[string]Predicate

	// Log is called by the operator log with its argument, at each evaluation and
	// perhaps by many goroutines at once. Nil: nothing is called. Either way the
	// operator gives its argument.
	Log func(value any)

	// MaxSize is the longest rule, in bytes. 0: DefaultMaxSize.
	MaxSize int

	// MaxDepth is the deepest nesting of a rule, lists and operations counted alike.
	// 0: DefaultMaxDepth.
	MaxDepth int

	// MaxSteps bounds the work of one evaluation that grows with the data or with shared
	// rules. A step is one operation or value of what a loop evaluates for an element, one
	// operation or value of a shared rule, one element that an operator reads, or 64 bytes of
	// text that it reads or builds. A rule without loops and shared rules over small data
	// takes none. Zero means DefaultMaxSteps, with which an evaluation takes at most some tens
	// of milliseconds.
	MaxSteps int

	// MaxText is the longest text, in bytes, that an evaluation may build.
	// 0: DefaultMaxText.
	MaxText int
}

// Compile reads a rule, which must be one JSON value. The error is an [*Error].
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

// CompileValue is [Compile] for a rule that was decoded before, as encoding/json does it:
// an operation is a map[string]any with one key, a list a []any, and everything else is
// data. Where a rule may stand there may be a [*Rule], which stands for the rule that it was compiled
// from and is shared, not copied: its operators and predicates are those that it was
// compiled with. The rule keeps what it is made of, which must not change any more.
//
// [Options.MaxSize] bounds the operations and values of the rule. A list of constants counts as
// one of them, and so does a shared rule. The error is an [*Error].
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

// What [Compile] says, wrapped in an [*Error], of rules that it refuses.
var (
	ErrTooLarge        = errors.New("the rule is too large")
	ErrTooDeep         = errors.New("the rule is nested too deep")
	ErrUnknownOperator = errors.New("unknown operator")
)

// What [Rule.Eval] and [Rule.Explain] say, wrapped in an [*Error], of evaluations
// that they end.
var (
	ErrTooManySteps  = errors.New("the evaluation takes too many steps")
	ErrTextTooLong   = errors.New("the evaluation builds too long a text")
	ErrResultTooDeep = errors.New("the evaluation builds too deep a list")
)

// An Error says why a rule does not compile, or why an evaluation was ended by a
// bound. [Compile], [Rule.Eval] and [Rule.Explain] return it.
type Error struct {
	// Path is where in the rule, as a JSON pointer (RFC 6901): "/if/0/in/1". Empty:
	// the whole rule, as always from Eval, whose bounds are the whole evaluation's.
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
