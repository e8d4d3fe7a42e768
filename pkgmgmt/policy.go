package pkgmgmt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A Policy says which modules a program may be built from. It is made by
// [ParsePolicy], does not change, and may be used by any number of goroutines.
type Policy struct {
	exact         map[string][]*rule // by the module path of rules whose pattern is one
	patterns      []*rule
	allow         []pattern
	allowExact    map[string]bool
	restricted    bool // allow is given
	forbidReplace bool
}

type rule struct {
	module      pattern
	require     constraint
	required    bool
	deny        string
	denied      bool
	replacement string
	reason      string
}

// ParsePolicy reads a policy, JSON or YAML, whose form the package comment gives.
// name is what errors call it. The error is [Faults], all of them.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	root, err := document.Parse(name, data)
	if err != nil {
		fault := &Fault{File: name, Err: err}
		var syntax *document.SyntaxError
		if errors.As(err, &syntax) {
			fault.Line, fault.Column, fault.Err = syntax.Line, syntax.Column, syntax.Err
		}
		return nil, Faults{fault}
	}
	r := reader{file: name}
	pol := r.policy(root)
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b *Fault) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, r.faults
	}
	return pol, nil
}

// A reader turns a tree into a policy and gathers what is wrong with it.
type reader struct {
	file   string
	module string // pattern of the rule that is being read
	faults Faults
}

func (r *reader) fault(at *document.Node, field, format string, args ...any) {
	r.faults = append(r.faults, &Fault{File: r.file, Line: at.Line, Column: at.Column, Module: r.module, Field: field, Err: fmt.Errorf(format, args...)})
}

func (r *reader) policy(root *document.Node) *Policy {
	pol := &Policy{exact: map[string][]*rule{}, allowExact: map[string]bool{}}
	if root.Kind != document.Map {
		r.fault(root, "", "the policy must be a map, got %v", root.Kind)
		return pol
	}
	for i, key := range root.Keys {
		value := root.Items[i]
		switch key.Text {
		case "rules":
			for _, item := range r.list(value, "rules") {
				if rl := r.rule(item); rl != nil {
					pol.add(rl)
				}
			}
		case "allow":
			pol.restricted = true
			for j, item := range r.list(value, "allow") {
				if p, ok := r.pattern(item, fmt.Sprintf("allow[%d]", j)); ok && p.plain() {
					pol.allowExact[p.text] = true
				} else if ok {
					pol.allow = append(pol.allow, p)
				}
			}
		case "forbidReplace":
			if value.Kind != document.Bool {
				r.fault(value, "forbidReplace", "must be true or false, got %v", value.Kind)
			}
			pol.forbidReplace = value.Text == "true"
		default:
			r.fault(key, key.Text, "is no field of a policy")
		}
	}
	return pol
}

func (pol *Policy) add(rl *rule) {
	if rl.module.plain() {
		pol.exact[rl.module.text] = append(pol.exact[rl.module.text], rl)
		return
	}
	pol.patterns = append(pol.patterns, rl)
}

func (r *reader) list(n *document.Node, field string) []*document.Node {
	if n.Kind != document.List {
		r.fault(n, field, "must be a list, got %v", n.Kind)
		return nil
	}
	return n.Items
}

func (r *reader) pattern(n *document.Node, field string) (p pattern, ok bool) {
	text := r.text(n, field)
	if text == "" {
		return p, false
	}
	p, err := parsePattern(text)
	if err != nil {
		r.fault(n, field, "%w", err)
		return p, false
	}
	return p, true
}

// text reads a text, which must not be empty.
func (r *reader) text(n *document.Node, field string) string {
	switch {
	case n.Kind != document.String:
		r.fault(n, field, "must be a text, got %v", n.Kind)
		return ""
	case n.Text == "":
		r.fault(n, field, "must not be empty")
	}
	return n.Text
}

func (r *reader) rule(n *document.Node) *rule {
	r.module = ""
	if n.Kind != document.Map {
		r.fault(n, "rules", "a rule must be a map, got %v", n.Kind)
		return nil
	}
	before := len(r.faults)
	var rl rule
	if m := n.Get("module"); m == nil {
		r.fault(n, "module", "is missing")
	} else {
		rl.module, _ = r.pattern(m, "module")
		r.module = rl.module.text
	}
	defer func() { r.module = "" }()
	for i, key := range n.Keys {
		value := n.Items[i]
		switch key.Text {
		case "module":
		case "require":
			text := r.text(value, "require")
			if text == "" {
				continue
			}
			var err error
			if rl.require, err = parseConstraint(text); err != nil {
				r.fault(value, "require", "%w", err)
			}
			rl.required = true
		case "deny":
			rl.deny, rl.denied = r.text(value, "deny"), true
		case "replacement":
			rl.replacement = r.text(value, "replacement")
		case "reason":
			rl.reason = r.text(value, "reason")
		default:
			r.fault(key, key.Text, "is no field of a rule")
		}
	}
	switch {
	case len(r.faults) > before:
		return nil
	case rl.required == rl.denied:
		r.fault(n, "", "must have either require or deny")
		return nil
	case rl.replacement != "" && !rl.denied:
		r.fault(n.Get("replacement"), "replacement", "goes with deny")
		return nil
	case rl.reason != "" && !rl.required:
		r.fault(n.Get("reason"), "reason", "goes with require; deny says its reason itself")
		return nil
	}
	return &rl
}
