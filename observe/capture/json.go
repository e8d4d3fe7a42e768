package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A compound is a JSON object or array. Other values are the decoder's tokens.
type compound struct {
	open  json.Delim
	names []string // of an object, in order, also twice
	list  []any
}

const maxDepth = 200

var errDepth = errors.New("nested too deeply")

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	t, err := dec.Token()
	open, ok := t.(json.Delim)
	if err != nil || !ok {
		return t, err
	}
	v := &compound{open: open}
	for dec.More() {
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v.names = append(v.names, name.(string)) // or the decoder had complained
		}
		member, err := parseValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		v.list = append(v.list, member)
	}
	_, err = dec.Token()
	return v, err
}

func quoted(s string) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return strings.TrimSuffix(out.String(), "\n")
}

// json redacts JSON values that follow one another, one of which is the rule, or reports
// that s is something else. stays is asked for each place, and whatever it accepts stays with
// all that is in it. For status see tellsStatus.
func (m *mask) json(s string, status int, stays func([]any) bool, names map[string]bool) (string, bool) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var roots []any
	for dec.More() {
		root, err := parseValue(dec, 0)
		if err != nil {
			return "", false
		}
		roots = append(roots, root)
	}
	if _, err := dec.Token(); err != io.EOF || len(roots) == 0 {
		return "", false
	}
	var out bytes.Buffer
	var write func(v any, at []any, kept bool)
	write = func(v any, at []any, kept bool) {
		kept = kept || stays(at)
		switch v := v.(type) {
		case string:
			if !kept {
				v = m.text(v)
			}
			out.WriteString(quoted(v))
		case json.Number:
			if !kept {
				v = json.Number(m.number(v.String()))
			}
			out.WriteString(v.String())
		case bool:
			out.WriteString(strconv.FormatBool(v))
		case nil:
			out.WriteString("null")
		case *compound:
			out.WriteByte(byte(v.open))
			// Where one name is none, the others are data too, as of a map by e-mail address.
			isMap := !kept && slices.ContainsFunc(v.names, func(name string) bool { return !isName(name) })
			for i, member := range v.list {
				if i > 0 {
					out.WriteByte(',')
				}
				if v.open == '[' {
					write(member, append(at, i), kept)
					continue
				}
				name := v.names[i]
				here := append(at, name)
				if isMap && !names[name] && !stays(here) {
					name = m.text(name)
				}
				out.WriteString(quoted(name) + ":")
				write(member, here, kept || len(at) == 0 && tellsStatus(status, v.names[i], member))
			}
			out.WriteByte(byte(v.open) + 2) // the bracket that closes, in ASCII
		}
	}
	for i, root := range roots {
		if i > 0 {
			out.WriteByte('\n')
		}
		write(root, make([]any, 0, 8), false)
	}
	return out.String(), true
}

func nowhere([]any) bool { return false }

// tellsStatus accepts what a problem of this status says when it says no more than that:
// the type about:blank, the status's own words and number (RFC 9457 section 4.2.1). All of it
// is told by the status, which the bundle has, so nothing that was sent comes with it.
func tellsStatus(status int, name string, value any) bool {
	switch {
	case http.StatusText(status) == "":
	case name == "type":
		return value == "about:blank"
	case name == "title":
		return value == http.StatusText(status)
	case name == "status":
		return value == json.Number(strconv.Itoa(status))
	}
	return false
}
