package document

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// parseJSON checks the syntax with encoding/json and then walks valid text, so that the walk cannot
// fail on syntax.
func parseJSON(name string, data []byte, found flaws) (*Node, error) {
	if !json.Valid(data) {
		var raw json.RawMessage
		err := json.Unmarshal(data, &raw)
		line, column := 0, 0
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			// Offset counts the offending byte too, except at the end of the text.
			offset := int(syntax.Offset)
			if !strings.Contains(syntax.Error(), "end of JSON input") {
				offset--
			}
			line, column = position(data, offset)
		}
		return nil, &SyntaxError{Name: name, Line: line, Column: column, Err: err}
	}
	w := jsonWalk{name: name, data: data, flaws: found, line: 1, column: 1}
	return w.value(0)
}

type jsonWalk struct {
	name  string
	data  []byte
	flaws flaws
	pos   int

	// line and column are the place of the byte at counted. They are advanced step by step, so that
	// the characters of a long line are counted once.
	line, column, counted int

	slab   []Node
	lists  []*Node     // memory for the slices of lists and maps
	keys   []*Node     // stack: keys of the open maps
	items  []*Node     // stack: elements of the open lists and maps
	common [256]string // recent texts by hash
}

// text returns a text of the document. Short texts that occur often share their memory.
func (w *jsonWalk) text(b []byte) string {
	if len(b) > 32 {
		return string(b)
	}
	hash := uint32(len(b))
	for _, c := range b {
		hash = hash*31 + uint32(c)
	}
	at := &w.common[(hash^hash>>8)%256]
	if *at != string(b) {
		*at = string(b)
	}
	return *at
}

// keep removes the nodes from first on from a stack and returns them.
func (w *jsonWalk) keep(stack *[]*Node, first int) []*Node {
	n := copy(w.room(len(*stack)-first), (*stack)[first:])
	list := w.lists[:n:n]
	w.lists, *stack = w.lists[n:], (*stack)[:first]
	return list
}

func (w *jsonWalk) room(n int) []*Node {
	if n > len(w.lists) {
		w.lists = make([]*Node, max(n, min(1024, 16+len(w.data)/32)))
	}
	return w.lists
}

// node makes a node at the present position, which is after white space.
func (w *jsonWalk) node(kind Kind) *Node {
	if len(w.slab) == 0 {
		w.slab = make([]Node, min(512, 16+len(w.data)/16))
	}
	n := &w.slab[0]
	w.slab = w.slab[1:]
	w.column += utf8.RuneCount(w.data[w.counted:w.pos])
	w.counted = w.pos
	n.Kind, n.Line, n.Column = kind, w.line, w.column
	return n
}

// next skips white space and returns the following byte without consuming it.
func (w *jsonWalk) next() byte {
	for {
		switch c := w.data[w.pos]; c {
		case ' ', '\t', '\r':
		case '\n':
			w.line++
			w.column = 1
			w.counted = w.pos + 1
		default:
			return c
		}
		w.pos++
	}
}

func (w *jsonWalk) value(depth int) (*Node, error) {
	switch w.next() {
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case '"':
		return w.string(), nil
	case 't':
		n := w.node(Bool)
		n.Text = "true"
		w.pos += len("true")
		return n, nil
	case 'f':
		n := w.node(Bool)
		n.Text = "false"
		w.pos += len("false")
		return n, nil
	case 'n':
		n := w.node(Null)
		w.pos += len("null")
		return n, nil
	}
	n := w.node(Number)
	start := w.pos
	for w.pos < len(w.data) && strings.IndexByte("+-.eE0123456789", w.data[w.pos]) >= 0 {
		w.pos++
	}
	n.Text = w.text(w.data[start:w.pos])
	return n, nil
}

func (w *jsonWalk) array(depth int) (*Node, error) {
	n := w.node(List)
	if depth >= MaxDepth {
		return nil, tooDeep(w.name, n.Line, n.Column)
	}
	w.pos++
	first := len(w.items)
	for w.next() != ']' {
		if w.data[w.pos] == ',' {
			w.pos++
		}
		item, err := w.value(depth + 1)
		if err != nil {
			return nil, err
		}
		w.items = append(w.items, item)
	}
	w.pos++
	n.Items = w.keep(&w.items, first)
	return n, nil
}

func (w *jsonWalk) object(depth int) (*Node, error) {
	n := w.node(Map)
	if depth >= MaxDepth {
		return nil, tooDeep(w.name, n.Line, n.Column)
	}
	var index map[string]*Node
	w.pos++
	firstKey, first := len(w.keys), len(w.items)
	for w.next() != '}' {
		if w.data[w.pos] == ',' {
			w.pos++
			w.next()
		}
		w.keys = append(w.keys, w.string())
		twice := duplicate(w.name, w.keys[firstKey:], &index)
		if twice != nil {
			if err := w.flaws.add(n, twice); err != nil {
				return nil, err
			}
			w.keys = w.keys[:len(w.keys)-1]
		}
		w.next() // the colon
		w.pos++
		item, err := w.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if twice == nil {
			w.items = append(w.items, item)
		} else {
			twice.Err.(*DuplicateError).Value = item
		}
	}
	w.pos++
	n.Keys, n.Items = w.keep(&w.keys, firstKey), w.keep(&w.items, first)
	return n, nil
}

func (w *jsonWalk) string() *Node {
	n := w.node(String)
	start := w.pos
	escaped := false
	for w.pos++; w.data[w.pos] != '"'; w.pos++ {
		if w.data[w.pos] == '\\' {
			escaped = true
			w.pos++
		}
	}
	w.pos++
	if !escaped {
		n.Text = w.text(w.data[start+1 : w.pos-1])
		return n
	}
	// The text is valid; a lone surrogate becomes U+FFFD.
	_ = json.Unmarshal(w.data[start:w.pos], &n.Text)
	return n
}

func appendString(b []byte, s string) []byte {
	special := func(r rune) bool { return r < 0x20 || r == '"' || r == '\\' || r >= utf8.RuneSelf }
	if strings.IndexFunc(s, special) < 0 {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	quoted, _ := json.Marshal(s) // a string always marshals
	return append(b, quoted...)
}
