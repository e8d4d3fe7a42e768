package compat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// parseRules reads a document. places are where its values stand, by their fields.
func parseRules(name string, data []byte) (rules Rules, places map[string]string, err error) {
	root, err := document.Parse(name, data)
	if err != nil {
		fault := &Fault{File: name, Err: err}
		var syntax *document.SyntaxError
		if errors.As(err, &syntax) {
			fault.File, fault.Err = document.Place(name, syntax.Line, syntax.Column), syntax.Err
		}
		return Rules{}, nil, Faults{fault}
	}
	r := reader{name: name, places: map[string]string{}}
	rules = r.rules(root)
	if len(r.faults) > 0 {
		return Rules{}, nil, r.faults
	}
	return rules, r.places, nil
}

// A reader makes rules of the values of a document, and gathers its faults.
type reader struct {
	name   string
	places map[string]string
	faults Faults
}

func (r *reader) faultf(n *document.Node, field, format string, args ...any) {
	r.faults = append(r.faults, &Fault{File: document.Place(r.name, n.Line, n.Column), Field: field, Err: fmt.Errorf(format, args...)})
}

// value reads one field.
type value func(n *document.Node, field string)

// fields reads a map with the known names.
func (r *reader) fields(n *document.Node, field string, known map[string]value) {
	if n.Kind != document.Map {
		r.faultf(n, field, "must be a map, got %s", n.Kind)
		return
	}
	for i, key := range n.Keys {
		name := cut(key.Text)
		if field != "" {
			name = field + "." + name
		}
		read := known[key.Text]
		if read == nil {
			r.faultf(key, name, "unknown field")
			continue
		}
		r.places[name] = document.Place(r.name, n.Items[i].Line, n.Items[i].Column)
		read(n.Items[i], name)
	}
}

func (r *reader) rules(root *document.Node) (rules Rules) {
	r.places[""] = document.Place(r.name, root.Line, root.Column)
	r.fields(root, "", map[string]value{
		"header":  r.text(&rules.Header),
		"default": r.list(&rules.Default),
		"peers": func(n *document.Node, field string) {
			if n.Kind != document.Map {
				r.faultf(n, field, "must be a map, got %s", n.Kind)
				return
			}
			rules.Peers = make(map[string][]Rule, len(n.Keys))
			for i, key := range n.Keys {
				field := field + "." + cut(key.Text)
				r.places[field] = document.Place(r.name, key.Line, key.Column)
				var list []Rule
				if n.Items[i].Kind != document.Null { // which is a fault to whoever gets the rules
					r.list(&list)(n.Items[i], field)
				}
				rules.Peers[key.Text] = list
			}
		},
	})
	return rules
}

func (r *reader) list(to *[]Rule) value {
	return func(n *document.Node, field string) {
		if n.Kind != document.List {
			r.faultf(n, field, "must be a list of rules, got %s", n.Kind)
			return
		}
		*to = make([]Rule, len(n.Items))
		for i, item := range n.Items {
			field := field + "[" + strconv.Itoa(i) + "]"
			r.places[field] = document.Place(r.name, item.Line, item.Column)
			r.rule(&(*to)[i], item, field)
		}
	}
}

func (r *reader) rule(to *Rule, n *document.Node, field string) {
	r.fields(n, field, map[string]value{
		"stage":       r.text((*string)(&to.Stage)),
		"minimum":     r.text(&to.Minimum),
		"require":     r.text(&to.Require),
		"block":       r.texts(&to.Block),
		"strict":      r.boolean(&to.Strict),
		"reason":      r.text(&to.Reason),
		"deprecation": r.date(&to.Deprecation),
		"sunset":      r.date(&to.Sunset),
		"link":        r.text(&to.Link),
		"skew": func(n *document.Node, field string) {
			to.Skew = new(Skew)
			r.fields(n, field, map[string]value{
				"client": r.text(&to.Skew.Client),
				"server": r.text(&to.Skew.Server),
				"newer":  r.boolean(&to.Skew.Newer),
				"minor":  r.integer(&to.Skew.Minor),
			})
		},
	})
}

func (r *reader) text(to *string) value {
	return func(n *document.Node, field string) {
		switch n.Kind {
		case document.String:
			*to = n.Text
		case document.Number:
			r.faultf(n, field, "must be a string, got a number: write it in quotes, %q", n.Text)
		default:
			r.faultf(n, field, "must be a string, got %s", n.Kind)
		}
	}
}

func (r *reader) texts(to *[]string) value {
	return func(n *document.Node, field string) {
		if n.Kind != document.List {
			r.faultf(n, field, "must be a list of strings, got %s", n.Kind)
			return
		}
		*to = make([]string, len(n.Items))
		for i, item := range n.Items {
			field := field + "[" + strconv.Itoa(i) + "]"
			r.places[field] = document.Place(r.name, item.Line, item.Column)
			r.text(&(*to)[i])(item, field)
		}
	}
}

func (r *reader) boolean(to *bool) value {
	return func(n *document.Node, field string) {
		if n.Kind != document.Bool {
			r.faultf(n, field, "must be true or false, got %s", n.Kind)
			return
		}
		*to = n.Text == "true"
	}
}

func (r *reader) integer(to *int) value {
	return func(n *document.Node, field string) {
		number, err := strconv.Atoi(n.Text)
		if n.Kind != document.Number || err != nil {
			r.faultf(n, field, "must be a whole number")
			return
		}
		*to = number
	}
}

// date reads a time of RFC 3339, or its day alone, which begins at midnight in UTC.
func (r *reader) date(to *time.Time) value {
	return func(n *document.Node, field string) {
		var text string
		r.text(&text)(n, field)
		if n.Kind != document.String {
			return
		}
		layout := time.RFC3339
		if !strings.Contains(text, ":") {
			layout = time.DateOnly
		}
		at, err := time.Parse(layout, text)
		if err != nil {
			r.faultf(n, field, "must be a date, 2027-03-31, or a time of RFC 3339, 2027-03-31T00:00:00Z, got %q", text)
			return
		}
		*to = at
	}
}
