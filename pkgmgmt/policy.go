package pkgmgmt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	ages          bool // a rule is about the age of versions
}

type rule struct {
	module      pattern
	require     constraint
	required    bool
	deny        string
	denied      bool
	replacement string
	reason      string
	minAge      age
	maxBehind   age
	accept      []Rule
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
	pol.ages = pol.ages || rl.minAge.d > 0 || rl.maxBehind.d > 0
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
		case "minAge":
			rl.minAge = r.age(value, "minAge")
		case "maxBehind":
			rl.maxBehind = r.age(value, "maxBehind")
		case "accept":
			rl.accept = r.accept(value)
		default:
			r.fault(key, key.Text, "is no field of a rule")
		}
	}
	limits := rl.required || rl.minAge.d > 0 || rl.maxBehind.d > 0
	kinds := 0
	for _, is := range []bool{limits, rl.denied, len(rl.accept) > 0} {
		if is {
			kinds++
		}
	}
	switch {
	case len(r.faults) > before:
		return nil
	case kinds == 0:
		r.fault(n, "", "must have require, minAge, maxBehind, deny or accept")
		return nil
	case kinds > 1:
		r.fault(n, "", "must have only one of: require with minAge and maxBehind; deny; accept")
		return nil
	case rl.replacement != "" && !rl.denied:
		r.fault(n.Get("replacement"), "replacement", "goes with deny")
		return nil
	case rl.reason != "" && rl.denied:
		r.fault(n.Get("reason"), "reason", "does not go with deny, which says its reason itself")
		return nil
	case rl.reason == "" && len(rl.accept) > 0:
		r.fault(n.Get("accept"), "accept", "needs a reason")
		return nil
	}
	return &rl
}

// accept reads what a rule puts up with.
func (r *reader) accept(n *document.Node) []Rule {
	var all []Rule
	for i, item := range r.list(n, "accept") {
		field := fmt.Sprintf("accept[%d]", i)
		switch text := r.text(item, field); Rule(text) {
		case RuleDeprecated, RuleRetracted:
			all = append(all, Rule(text))
		case "":
		default:
			r.fault(item, field, "must be deprecated or retracted, got %q", text)
		}
	}
	if n.Kind == document.List && len(n.Items) == 0 {
		r.fault(n, "accept", "must not be empty")
	}
	return all
}

// An age is a span of time, as people write it.
type age struct {
	text string
	d    time.Duration
}

// maxAge bounds ages. What is longer is a slip of the pen.
const maxAge = 100 * 365 * 24 * time.Hour

// age reads "36h" as [time.ParseDuration] does, and "14d".
func (r *reader) age(n *document.Node, field string) age {
	text := r.text(n, field)
	if text == "" {
		return age{}
	}
	var d time.Duration
	days, isDays := strings.CutSuffix(text, "d")
	if number, err := strconv.ParseUint(days, 10, 32); isDays && err == nil {
		d = time.Duration(min(number, uint64(maxAge/(24*time.Hour))+1)) * 24 * time.Hour
	} else if d, err = time.ParseDuration(text); err != nil {
		r.fault(n, field, `must be as "36h" or "14d", got %q`, text)
		return age{}
	}
	if d <= 0 || d > maxAge {
		r.fault(n, field, "must be positive and at most a hundred years, got %q", text)
		return age{}
	}
	return age{text, d}
}
