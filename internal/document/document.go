// Package document reads JSON and YAML into one tree. Every value in it has its line and column, so that
// a fault that is found later, in a flag, a window or a rule, has a place.
//
// [Parse] is the only way in. JSON is read by a JSON parser, because the YAML parser refuses escapes that
// JSON allows. The tree has only what JSON can express: YAML dates stay strings, and infinities and maps
// as keys are errors.
//
// Documents are hostile input. [MaxDepth] bounds the nesting, YAML aliases cannot multiply a document,
// and no input causes a panic.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting of lists and maps that [Parse] accepts.
const MaxDepth = 1000

// A Kind is the JSON type of a [Node].
type Kind uint8

// The kinds of a [Node].
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

var kinds = [...]string{"null", "a boolean", "a number", "a string", "a list", "a map"}

// String formats the kind for an error text: "a list", "a string".
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// A Node is one value of a document. A tree does not change once [Parse] has returned it, and any number
// of goroutines may read it.
type Node struct {
	Kind   Kind
	Line   int // of the value's first character, from 1
	Column int // of the value's first character, from 1, counted in characters

	// Text is a string's value, a number's JSON literal, or "true" or "false".
	Text string

	Keys  []*Node // of a map: its keys, each a String, in document order
	Items []*Node // of a list: its elements; of a map: the values, parallel to Keys
}

// Get returns the value of key in a map. It returns nil if n is nil or not a map, or lacks the key.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i, k := range n.Keys {
		if k.Text == key {
			return n.Items[i]
		}
	}
	return nil
}

// Value returns the node as a Go value, as encoding/json does: nil, bool, float64, string, []any or
// map[string]any. A number beyond float64 becomes an infinity. A nil node gives nil.
func (n *Node) Value() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Number:
		f, _ := strconv.ParseFloat(n.Text, 64)
		return f
	case String:
		return n.Text
	case List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			list[i] = item.Value()
		}
		return list
	case Map:
		m := make(map[string]any, len(n.Items))
		for i, item := range n.Items {
			m[n.Keys[i].Text] = item.Value()
		}
		return m
	}
	return nil
}

// AppendJSON appends the node as compact JSON. Numbers stay as they were written.
func (n *Node) AppendJSON(b []byte) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	switch n.Kind {
	case Bool, Number:
		return append(b, n.Text...)
	case String:
		return appendString(b, n.Text)
	case List:
		b = append(b, '[')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.AppendJSON(b)
		}
		return append(b, ']')
	case Map:
		b = append(b, '{')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, n.Keys[i].Text)
			b = append(b, ':')
			b = item.AppendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// A SyntaxError is the place and the reason why a text is not a document. [Parse] returns it.
type SyntaxError struct {
	Name   string // the document's name, as given to Parse
	Line   int    // from 1; 0 means not known
	Column int    // from 1; 0 means not known
	Err    error
}

func (e *SyntaxError) Error() string {
	return Place(e.Name, e.Line, e.Column) + ": " + e.Err.Error()
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// [Parse] returns these errors, wrapped in a [SyntaxError], for a document without content.
var (
	ErrEmpty = errors.New("the document is empty")
	ErrNull  = errors.New("the document is null")
)

// Place formats a place as compilers do: "windows.yaml:14:3". Zero parts are left out.
func Place(name string, line, column int) string {
	if line <= 0 {
		return name
	}
	place := name + ":" + strconv.Itoa(line)
	if column > 0 {
		place += ":" + strconv.Itoa(column)
	}
	return place
}

// Parse reads a document. A name that ends in ".json" means JSON. Any other document is read as JSON if
// it is valid JSON, and else as YAML. A byte order mark is skipped. The root may be of any kind except
// null.
//
// The error is a [*SyntaxError]. A document must not be empty, null, more than one YAML document, not
// UTF-8, or nested beyond [MaxDepth], and a map must not have a key twice.
func Parse(name string, data []byte) (*Node, error) { return parseWhole(name, data, nil) }

// flaws are what Parse refuses though the rest of the text can be read: of a map, keys that are
// there twice or are no texts, and merges of what is no map; a scalar that no type can hold. A
// nil map refuses the text.
type flaws map[*Node][]*SyntaxError

// add returns the error if the text is to be refused.
func (f flaws) add(n *Node, err *SyntaxError) error {
	if f == nil {
		return err
	}
	f[n] = append(f[n], err)
	return nil
}

func parseWhole(name string, data []byte, found flaws) (*Node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if i := invalidUTF8(data); i >= 0 {
		line, column := position(data, i)
		return nil, &SyntaxError{Name: name, Line: line, Column: column, Err: errors.New("not UTF-8 text")}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &SyntaxError{Name: name, Err: ErrEmpty}
	}
	root, err := parse(name, data, found)
	if err != nil {
		return nil, err
	}
	if root.Kind == Null {
		return nil, &SyntaxError{Name: name, Line: root.Line, Column: root.Column, Err: ErrNull}
	}
	return root, nil
}

func parse(name string, data []byte, found flaws) (*Node, error) {
	if isJSONName(name) || looksLikeJSON(data) {
		root, err := parseJSON(name, data, found)
		if err == nil || isJSONName(name) || isDuplicate(err) {
			return root, err
		}
		// A YAML flow mapping starts like a JSON object. If the text is neither, the error is that of
		// the format of the name.
		root, yamlErr := parseYAML(name, data, found)
		if yamlErr != nil && !isYAMLName(name) {
			return nil, err
		}
		return root, yamlErr
	}
	return parseYAML(name, data, found)
}

func isJSONName(name string) bool { return strings.EqualFold(path.Ext(name), ".json") }

func isYAMLName(name string) bool {
	ext := path.Ext(name)
	return strings.EqualFold(ext, ".yaml") || strings.EqualFold(ext, ".yml")
}

func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}

// A DuplicateError is about valid syntax with a key twice, so the other parser is not tried.
type DuplicateError struct {
	Key   string
	Line  int   // of the first
	Value *Node // of the second, for [Reader.ParseParts]; Nil means not read
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("key %q is already given on line %d", e.Key, e.Line)
}

func isDuplicate(err error) bool {
	var dup *DuplicateError
	return errors.As(err, &dup)
}

// duplicate returns an error if the last key of a map occurs earlier in it. Small maps are searched;
// large maps use the index.
func duplicate(name string, keys []*Node, index *map[string]*Node) *SyntaxError {
	const small = 16
	last := keys[len(keys)-1]
	var before *Node
	switch {
	case len(keys) <= small:
		for _, k := range keys[:len(keys)-1] {
			if k.Text == last.Text {
				before = k
				break
			}
		}
	default:
		if *index == nil {
			*index = make(map[string]*Node, 4*small)
			for _, k := range keys[:len(keys)-1] {
				(*index)[k.Text] = k
			}
		}
		if before = (*index)[last.Text]; before == nil {
			(*index)[last.Text] = last
		}
	}
	if before == nil {
		return nil
	}
	return &SyntaxError{Name: name, Line: last.Line, Column: last.Column, Err: &DuplicateError{Key: last.Text, Line: before.Line}}
}

func tooDeep(name string, line, column int) error {
	return &SyntaxError{Name: name, Line: line, Column: column, Err: fmt.Errorf("nested more than %d deep", MaxDepth)}
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func position(data []byte, offset int) (line, column int) {
	offset = min(max(offset, 0), len(data))
	before := data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}
