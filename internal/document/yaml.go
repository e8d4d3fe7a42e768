package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func parseYAML(name string, data []byte, found flaws) (root *Node, err error) {
	// The YAML parser is not our code, and its input is hostile.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, &SyntaxError{Name: name, Err: fmt.Errorf("not readable as YAML: %v", p)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &SyntaxError{Name: name, Err: ErrEmpty}
	case err != nil:
		return nil, yamlError(name, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &SyntaxError{Name: name, Line: more.Line, Column: more.Column, Err: errors.New("a second YAML document begins here; one is expected")}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(name, err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, &SyntaxError{Name: name, Err: ErrEmpty}
	}
	if n := doc.Content[0]; n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 && n.Anchor == "" {
		return nil, &SyntaxError{Name: name, Err: ErrEmpty} // comments only
	}
	// Aliases are copied, so the budget bounds what they can add.
	c := yamlConvert{name: name, flaws: found, budget: 10_000 + 10*len(data)}
	return c.value(doc.Content[0], 0)
}

var yamlLine = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

func yamlError(name string, err error) error {
	fault := &SyntaxError{Name: name, Err: err}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		fault.Line, _ = strconv.Atoi(m[1])
		fault.Err = errors.New(m[2])
	}
	return fault
}

type yamlConvert struct {
	name   string
	flaws  flaws
	budget int
}

func (c *yamlConvert) fault(y *yaml.Node, format string, args ...any) *SyntaxError {
	return &SyntaxError{Name: c.name, Line: y.Line, Column: y.Column, Err: fmt.Errorf(format, args...)}
}

func (c *yamlConvert) value(y *yaml.Node, depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, tooDeep(c.name, y.Line, y.Column)
	}
	if c.budget--; c.budget < 0 {
		return nil, c.fault(y, "aliases make the document too large")
	}
	n := &Node{Line: y.Line, Column: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		// The place is that of the anchor, because a mistake is corrected there.
		return c.value(y.Alias, depth+1)
	case yaml.ScalarNode:
		if err := c.scalar(y, n); err != nil {
			n.Kind, n.Text = String, y.Value
			return n, c.flaws.add(n, err)
		}
		return n, nil
	case yaml.SequenceNode:
		n.Kind = List
		for _, item := range y.Content {
			v, err := c.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, v)
		}
		return n, nil
	case yaml.MappingNode:
		n.Kind = Map
		return n, c.mapping(y, n, depth)
	}
	return nil, c.fault(y, "not a value")
}

func (c *yamlConvert) mapping(y *yaml.Node, n *Node, depth int) error {
	var index map[string]*Node
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			if err := c.flaws.add(n, c.fault(key, "a key must be a plain text")); err != nil {
				return err
			}
			continue
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		n.Keys = append(n.Keys, &Node{Kind: String, Line: key.Line, Column: key.Column, Text: key.Value})
		twice := duplicate(c.name, n.Keys, &index)
		if twice != nil {
			if err := c.flaws.add(n, twice); err != nil {
				return err
			}
			n.Keys = n.Keys[:len(n.Keys)-1]
		}
		v, err := c.value(value, depth+1)
		if err != nil {
			return err
		}
		if twice != nil {
			twice.Err.(*DuplicateError).Value = v
			continue
		}
		n.Items = append(n.Items, v)
	}
	for _, merge := range merges {
		if err := c.merge(merge, n, depth); err != nil {
			return err
		}
	}
	return nil
}

// merge adds the keys of "<<". Keys of the map itself, and of an earlier merge, win
// (https://yaml.org/type/merge.html).
func (c *yamlConvert) merge(y *yaml.Node, n *Node, depth int) error {
	from, err := c.value(y, depth+1)
	if err != nil {
		return err
	}
	maps := []*Node{from}
	if from.Kind == List {
		maps = from.Items
	}
	have := make(map[string]bool, len(n.Keys))
	for _, k := range n.Keys {
		have[k.Text] = true
	}
	for _, m := range maps {
		if m.Kind != Map {
			if err := c.flaws.add(n, c.fault(y, "<<: must be a map or a list of maps, got %v", m.Kind)); err != nil {
				return err
			}
			continue
		}
		for i, k := range m.Keys {
			if !have[k.Text] {
				have[k.Text] = true
				n.Keys = append(n.Keys, k)
				n.Items = append(n.Items, m.Items[i])
			}
		}
	}
	return nil
}

func (c *yamlConvert) scalar(y *yaml.Node, n *Node) *SyntaxError {
	switch tag := y.ShortTag(); tag {
	case "!!null":
		n.Kind = Null
	case "!!bool":
		var b bool
		if err := y.Decode(&b); err != nil {
			return c.fault(y, "%q is not a boolean", y.Value)
		}
		n.Kind, n.Text = Bool, strconv.FormatBool(b)
	case "!!int", "!!float":
		text, err := number(y)
		if err != nil {
			return c.fault(y, "%v", err)
		}
		n.Kind, n.Text = Number, text
	case "!!str", "!!timestamp":
		n.Kind, n.Text = String, y.Value
	default:
		return c.fault(y, "tag %s is not supported", tag)
	}
	return nil
}

func number(y *yaml.Node) (string, error) {
	if jsonNumber.MatchString(y.Value) {
		return y.Value, nil
	}
	var v any
	if err := y.Decode(&v); err != nil {
		return "", fmt.Errorf("%q is not a number", y.Value)
	}
	switch v := v.(type) {
	case int, int64, uint64:
		return fmt.Sprint(v), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return "", fmt.Errorf("%s is not a number that JSON can hold", y.Value)
		}
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "e+", "e", 1), nil
	}
	return "", fmt.Errorf("%q is not a number", y.Value)
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
