package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A node is a JSON value with its members in order.
type node struct {
	kind  byte   // '{', '[', 's'tring, 'n'umber, 'l'iteral
	text  string // of a scalar
	names []string
	list  []*node
	stays bool
}

const maxDepth = 200

var errDepth = errors.New("nested too deeply")

// parseJSON reads values that follow one another, one of which is the rule.
func parseJSON(s string) ([]*node, error) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var roots []*node
	for {
		n, err := parseNode(dec, 0)
		if err == io.EOF && len(roots) > 0 {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, n)
	}
}

func parseNode(dec *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case string:
		return &node{kind: 's', text: t}, nil
	case json.Number:
		return &node{kind: 'n', text: t.String()}, nil
	case bool:
		if t {
			return &node{kind: 'l', text: "true"}, nil
		}
		return &node{kind: 'l', text: "false"}, nil
	case json.Delim:
		n := &node{kind: byte(t)}
		for dec.More() {
			if n.kind == '{' {
				name, err := dec.Token()
				if err != nil {
					return nil, unexpectedEnd(err)
				}
				n.names = append(n.names, name.(string)) // or the decoder had complained
			}
			member, err := parseNode(dec, depth+1)
			if err != nil {
				return nil, unexpectedEnd(err)
			}
			n.list = append(n.list, member)
		}
		_, err := dec.Token()
		return n, unexpectedEnd(err)
	}
	return &node{kind: 'l', text: "null"}, nil
}

func unexpectedEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (n *node) write(out *bytes.Buffer) {
	switch n.kind {
	case 's':
		writeString(out, n.text)
	case '{':
		out.WriteByte('{')
		for i, member := range n.list {
			if i > 0 {
				out.WriteByte(',')
			}
			writeString(out, n.names[i])
			out.WriteByte(':')
			member.write(out)
		}
		out.WriteByte('}')
	case '[':
		out.WriteByte('[')
		for i, element := range n.list {
			if i > 0 {
				out.WriteByte(',')
			}
			element.write(out)
		}
		out.WriteByte(']')
	default:
		out.WriteString(n.text)
	}
}

func writeString(out *bytes.Buffer, s string) {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	out.Truncate(out.Len() - 1) // its newline
}

// json redacts a JSON text, or reports that it is none. stays is asked for each place, and
// whatever it accepts stays with all that is in it. For problem see keepProblem.
func (m *mask) json(s string, problem int, stays func([]place) bool, names map[string]bool) (string, bool) {
	roots, err := parseJSON(s)
	if err != nil {
		return "", false
	}
	var out bytes.Buffer
	for i, root := range roots {
		if i > 0 {
			out.WriteByte('\n')
		}
		root.keepProblem(problem)
		m.node(root, make([]place, 0, 8), stays, names)
		root.write(&out)
	}
	return out.String(), true
}

func (m *mask) node(n *node, at []place, stays func([]place) bool, names map[string]bool) {
	if n.stays || stays(at) {
		return
	}
	switch n.kind {
	case 's':
		n.text = m.text(n.text)
	case 'n':
		n.text = m.number(n.text)
	case '[':
		for i, element := range n.list {
			m.node(element, append(at, place{index: i, isIndex: true}), stays, names)
		}
	case '{':
		// Where one name is none, the others are data too, as of a map by e-mail address.
		isMap := false
		for _, name := range n.names {
			isMap = isMap || !isName(name)
		}
		for i, name := range n.names {
			here := append(at, place{name: name})
			m.node(n.list[i], here, stays, names)
			if isMap && !names[name] && !stays(here) || !isMap && !isName(name) {
				n.names[i] = m.text(name)
			}
		}
	}
}

// nowhere allows nothing.
func nowhere([]place) bool { return false }

// problemStatus is the status of a response that is a problem by RFC 9457, or 0.
func problemStatus(typ string, status int) int {
	if typ == "application/problem+json" && http.StatusText(status) != "" {
		return status
	}
	return 0
}

// keepProblem lets stay what a problem of this status says when it says no more than that:
// the type about:blank, the status's own words and number (RFC 9457 section 4.2.1). All of it
// is told by the status, which the bundle has, so nothing that was sent comes with it.
func (n *node) keepProblem(status int) {
	if status == 0 || n.kind != '{' {
		return
	}
	for i, member := range n.list {
		switch n.names[i] {
		case "type":
			member.stays = member.kind == 's' && member.text == "about:blank"
		case "title":
			member.stays = member.kind == 's' && member.text == http.StatusText(status)
		case "status":
			member.stays = member.kind == 'n' && member.text == strconv.Itoa(status)
		}
	}
}
