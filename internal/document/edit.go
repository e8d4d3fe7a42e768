package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// SetText sets a field of a field to a string: with the fields "actual" and "end", it writes
// actual.end of the map that find returns. A nil value writes null. Missing fields are added,
// except for a nil value. The rest of the text stays as it is, byte by byte, comments included,
// and JSON stays JSON.
//
// The error is a [*SyntaxError] for a text that is not a document. Other errors mean that the
// field has a form that SetText cannot edit, such as an alias. The text is then unchanged: SetText
// reads its result and returns it only if nothing but the field differs.
func SetText(name string, data []byte, find func(root *Node) *Node, outer, inner string, value *string) ([]byte, error) {
	root, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	m := find(root)
	if m == nil || m.Kind != Map {
		return nil, errors.New("must be a map")
	}
	text := quoted(value)
	e := editor{data: data, json: json.Valid(bytes.TrimPrefix(data, bom))}
	e.indexLines()
	at := m.Get(outer)
	var edits [][]byte
	switch {
	case at != nil && at.Kind == Map && at.Get(inner) != nil:
		edits = e.replace(at, inner, text)
	case value == nil:
		return data, nil
	case at != nil && at.Kind == Map:
		edits = e.add(at, inner, text)
	case at != nil:
		return nil, fmt.Errorf("%s: must be a map, got %v", outer, at.Kind)
	default:
		edits = e.add(m, outer, "{"+e.entry(inner, text)+"}")
	}
	set(m, outer, inner, value)
	want := root.Value()
	for _, edited := range edits {
		if after, err := Parse(name, edited); err == nil && reflect.DeepEqual(want, after.Value()) {
			return edited, nil
		}
	}
	return nil, fmt.Errorf("%s.%s: %w", outer, inner, errForm)
}

// set does in the tree what SetText does in the text.
func set(m *Node, outer, inner string, value *string) {
	field := func(m *Node, key string) *Node {
		if v := m.Get(key); v != nil {
			return v
		}
		m.Keys = append(m.Keys, &Node{Kind: String, Text: key})
		m.Items = append(m.Items, &Node{})
		return m.Items[len(m.Items)-1]
	}
	o := field(m, outer)
	if o.Kind != Map {
		*o = Node{Kind: Map}
	}
	i := field(o, inner)
	*i = Node{Kind: Null}
	if value != nil {
		*i = Node{Kind: String, Text: *value}
	}
}

func quoted(value *string) string {
	if value == nil {
		return "null"
	}
	return string(appendString(nil, *value)) // JSON's strings are YAML, too
}

var bom = []byte("\ufeff")

var errForm = errors.New("cannot be edited in this form, write it by hand")

// An editor finds the bytes of nodes in a text.
type editor struct {
	data  []byte
	json  bool
	lines []int // the offset of each line
}

func (e *editor) indexLines() {
	start := 0
	if bytes.HasPrefix(e.data, bom) {
		start = len(bom)
	}
	e.lines = []int{start}
	for i := start; i < len(e.data); {
		n := e.lineBreak(i)
		if n == 0 {
			i++
			continue
		}
		i += n
		e.lines = append(e.lines, i)
	}
}

// lineBreak returns the length of the line break at an offset, or zero.
func (e *editor) lineBreak(i int) int {
	rest := e.data[i:]
	switch {
	case len(rest) == 0:
		return 0
	case rest[0] == '\n':
		return 1
	case e.json:
		return 0
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return 2
	case rest[0] == '\r':
		return 1
	}
	for _, other := range [...]string{"\u0085", "\u2028", "\u2029"} { // YAML's
		if bytes.HasPrefix(rest, []byte(other)) {
			return len(other)
		}
	}
	return 0
}

// offset returns where a node begins.
func (e *editor) offset(n *Node) (int, error) {
	if n.Line < 1 || n.Line > len(e.lines) || n.Column < 1 {
		return 0, errForm
	}
	at := e.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(e.data) {
			return 0, errForm
		}
		_, size := utf8.DecodeRune(e.data[at:])
		at += size
	}
	return at, nil
}

// at returns the byte at an offset. Zero means the end.
func (e *editor) at(i int) byte {
	if i < len(e.data) {
		return e.data[i]
	}
	return 0
}

func (e *editor) spaces(i int) int {
	for e.at(i) == ' ' || e.at(i) == '\t' {
		i++
	}
	return i
}

// isFlow reports whether a map is written in braces.
func (e *editor) isFlow(m *Node) (bool, error) {
	at, err := e.offset(m)
	return e.at(at) == '{', err
}

// scalar returns the end of the scalar that begins at start.
func (e *editor) scalar(start int, flow bool) (end int, err error) {
	switch quote := e.at(start); quote {
	case '"', '\'':
		for i := start + 1; i < len(e.data); i++ {
			switch c := e.data[i]; {
			case c == '\\' && quote == '"':
				i++
			case c == quote && quote == '\'' && e.at(i+1) == '\'':
				i++
			case c == quote:
				return i + 1, nil
			}
		}
		return 0, errForm
	case 0, '|', '>', '&', '*', '!', '{', '[', '?', '%', '@', '`':
		return 0, errForm
	}
	end = start
	for i := start; i < len(e.data) && e.lineBreak(i) == 0; i++ {
		c := e.data[i]
		if c == '#' && i > start && (e.data[i-1] == ' ' || e.data[i-1] == '\t') || flow && bytes.IndexByte([]byte(",{}[]"), c) >= 0 {
			break
		}
		if c != ' ' && c != '\t' && c != '\r' {
			end = i + 1
		}
	}
	if end == start {
		return 0, errForm
	}
	return end, nil
}

// value returns where the scalar value of a key begins and ends. Both are the same for an empty
// value.
func (e *editor) value(m *Node, key string) (start, end int, err error) {
	i := slices.IndexFunc(m.Keys, func(k *Node) bool { return k.Text == key })
	flow, err := e.isFlow(m)
	if err != nil {
		return 0, 0, err
	}
	start, err = e.offset(m.Keys[i])
	if err != nil {
		return 0, 0, err
	}
	if quote := e.at(start); quote == '"' || quote == '\'' {
		if start, err = e.scalar(start, flow); err != nil {
			return 0, 0, err
		}
	} else {
		if !bytes.HasPrefix(e.data[start:], []byte(key)) {
			return 0, 0, errForm
		}
		start += len(key)
	}
	skip := e.spaces
	if e.json {
		skip = func(i int) int {
			for strings.IndexByte(" \t\r\n", e.at(i)) >= 0 && i < len(e.data) {
				i++
			}
			return i
		}
	}
	start = skip(start)
	if e.at(start) != ':' {
		return 0, 0, errForm
	}
	colon := start + 1
	start = skip(colon)
	empty := start >= len(e.data) || e.lineBreak(start) > 0 || e.at(start) == '#' || flow && (e.at(start) == ',' || e.at(start) == '}')
	if empty {
		if m.Items[i].Kind != Null {
			return 0, 0, errForm // the value is on another line
		}
		return colon, colon, nil
	}
	end, err = e.scalar(start, flow)
	return start, end, err
}

// replace returns the text with a new value instead of a scalar.
func (e *editor) replace(m *Node, key, text string) [][]byte {
	start, end, err := e.value(m, key)
	if err != nil {
		return nil
	}
	if start == end {
		text = " " + text
	}
	return [][]byte{e.splice(start, end, text)}
}

func (e *editor) entry(key, text string) string {
	if e.json {
		key = quoted(&key)
	}
	return key + ": " + text
}

// add returns the text with a new field in a map: in each version it follows a different scalar of the
// map, the last one first. Not every version is right, because a plain scalar may continue on the next line.
func (e *editor) add(m *Node, key, text string) (edits [][]byte) {
	const most = 5
	flow, err := e.isFlow(m)
	if err != nil {
		return nil
	}
	entry := e.entry(key, text)
	if at, err := e.offset(m); err == nil && flow && len(m.Keys) == 0 {
		return [][]byte{e.splice(at+1, at+1, entry)}
	}
	for i := len(m.Keys) - 1; i >= 0 && len(edits) < most; i-- {
		if m.Items[i].Kind == Map || m.Items[i].Kind == List {
			continue
		}
		first, err := e.offset(m.Keys[i])
		if err != nil {
			continue
		}
		_, end, err := e.value(m, m.Keys[i].Text)
		if err != nil {
			continue
		}
		if flow {
			before := first
			for before > 0 && strings.IndexByte(" \t\r\n", e.data[before-1]) >= 0 {
				before--
			}
			space := string(e.data[before:first])
			if !e.json && (strings.ContainsAny(space, "\r\n") || space == "") || e.json && space == "" && bytes.ContainsAny(e.data, " \n") {
				space = " "
			}
			edits = append(edits, e.splice(end, end, ","+space+entry))
			continue
		}
		for end < len(e.data) && e.lineBreak(end) == 0 { // the rest of the line is a comment
			end++
		}
		newline := "\n"
		if n := e.lineBreak(end); n > 0 {
			newline = string(e.data[end : end+n])
		}
		edits = append(edits, e.splice(end, end, newline+strings.Repeat(" ", m.Keys[i].Column-1)+entry))
	}
	return edits
}

func (e *editor) splice(start, end int, text string) []byte {
	return slices.Concat(e.data[:start], []byte(text), e.data[end:])
}
