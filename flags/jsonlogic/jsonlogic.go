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
// stands for itself.
//
// The operators are those of JsonLogic that decide and compare:
//
//	if ?: and or ! !!    == != === !== < <= > >=    in cat var
//
// and whatever [Options.Operators] adds. An operator that is neither is an error of
// Compile, not of Eval.
//
// Operators mean what JavaScript makes of them: "==" and "<" convert, an empty list
// is false and the text "0" is true, "<" of two texts compares their UTF-16 code
// units, and "var" walks a path of dots and never fails.
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
// # Hostile rules
//
// Rules are bounded in size and depth, and no rule and no data panics. A rule
// cannot loop.
package jsonlogic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Defaults of [Options].
const (
	DefaultMaxSize  = 1 << 20
	DefaultMaxDepth = 500
)

// Options configure [Compile]. Nil options are the defaults.
type Options struct {
	// Operators are custom operators by name. A name of a standard operator is an
	// error of Compile.
	Operators map[string]Operator

	// MaxSize is the longest rule, in bytes. 0: DefaultMaxSize.
	MaxSize int

	// MaxDepth is the deepest nesting of a rule, lists and operations counted alike.
	// 0: DefaultMaxDepth.
	MaxDepth int
}

// A Rule is a compiled rule. It may be used by any number of goroutines.
type Rule struct {
	root *node
}

// Compile reads a rule, which must be one JSON value. The error is a [*Error].
func Compile(rule []byte, opts *Options) (*Rule, error) {
	if opts == nil {
		opts = &Options{}
	}
	if most := opts.maxSize(); len(rule) > most {
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
	c := compiler{opts: opts, depth: opts.maxDepth()}
	root, err := c.compile(tree, nil)
	if err != nil {
		return nil, err
	}
	return &Rule{root}, nil
}

func (o *Options) maxSize() int {
	if o.MaxSize > 0 {
		return o.MaxSize
	}
	return DefaultMaxSize
}

func (o *Options) maxDepth() int {
	if o.MaxDepth > 0 {
		return o.MaxDepth
	}
	return DefaultMaxDepth
}

// Eval applies the rule to data. The result is nil, a bool, a float64, a string, a
// []any or a map[string]any; lists and maps that come from data or from the rule
// are shared with it and must not be changed. An error can only be one that a
// custom operator returned.
func (r *Rule) Eval(data any) (any, error) {
	if r.root.constant != nil {
		return r.root.constant.result(), nil
	}
	s, _ := scopes.Get().(*Scope)
	s.data = data
	v := r.root.eval(s)
	err := s.err
	*s = Scope{}
	scopes.Put(s)
	if err != nil {
		return nil, err
	}
	return v.result(), nil
}

var scopes = sync.Pool{New: func() any { return new(Scope) }}
