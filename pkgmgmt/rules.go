package pkgmgmt

import (
	"errors"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/modpattern"
)

// rules are the content of a policy document. They are immutable.
type rules struct {
	revision      string
	places        []place            // of all rules and entries of allow, in order
	exact         map[string][]*rule // rules whose pattern is a plain path, by that path
	patterns      []*rule
	allow         []modpattern.Pattern
	allowExact    map[string]bool
	restricted    bool // there is a list allow
	forbidReplace bool
	ages          bool // a rule is about the age of versions
}

type rule struct {
	module      modpattern.Pattern
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

func count(is ...bool) (n int) {
	for _, b := range is {
		if b {
			n++
		}
	}
	return n
}

// A place is a pattern and its position in the document.
type place struct {
	module modpattern.Pattern
	fault  Fault // the warning if it matches nothing
}

// toolchainNames are the names for Go itself: stdlib in vulnerability databases, go in
// go.mod.
var toolchainNames = []string{"stdlib", "go"}

type age struct {
	text string
	d    time.Duration
}

const (
	maxAge   = 100 * 365 * 24 * time.Hour // a longer one is probably a mistake
	maxRules = 100_000                    // of a list in a document
	maxText  = 4096                       // bytes of a text in a document
)

func parseRules(name string, data []byte) (*rules, error) {
	r := document.NewReader(name)
	rs := readRules(r, r.Parse(data).Map())
	if len(r.Faults()) == 0 {
		for i := range rs.places {
			rs.places[i].fault.File = name
		}
		return rs, nil
	}
	var faults Faults
	for _, f := range r.Faults() {
		faults = append(faults, &Fault{File: name, Line: f.Line, Column: f.Column, Rule: f.Subject, Field: f.Field, Err: f.Err})
	}
	return nil, faults
}

func readRules(r *document.Reader, m *document.Fields) *rules {
	rs := &rules{exact: map[string][]*rule{}, allowExact: map[string]bool{}}
	for _, item := range m.Field("rules").List(maxRules) {
		rl := readRule(r, item)
		rs.add(rl)
		rs.place(rl.module, item, Fault{Rule: rl.module.String()})
	}
	if allow := m.Field("allow"); allow.Present() {
		rs.restricted = true
		for _, item := range allow.List(maxRules) {
			p := readPattern(item)
			if p.Plain() {
				rs.allowExact[p.String()] = true
			} else {
				rs.allow = append(rs.allow, p)
			}
			rs.place(p, item, Fault{Field: item.Path()})
		}
	}
	rs.forbidReplace = m.Field("forbidReplace").Bool()
	m.Field("$schema").Text(maxText) // for editors
	m.Done()
	return rs
}

func (rs *rules) place(p modpattern.Pattern, v document.Value, f Fault) {
	if n := v.Node(); n != nil {
		f.Line, f.Column = n.Line, n.Column
	}
	f.Severity = SeverityWarning
	rs.places = append(rs.places, place{p, f})
}

func (rs *rules) add(rl *rule) {
	rs.ages = rs.ages || rl.minAge.d > 0 || rl.maxBehind.d > 0
	if rl.module.Plain() {
		rs.exact[rl.module.String()] = append(rs.exact[rl.module.String()], rl)
		return
	}
	rs.patterns = append(rs.patterns, rl)
}

func readRule(r *document.Reader, v document.Value) *rule {
	before := r.Count()
	var rl rule
	m := v.Map()
	if module := m.Need("module"); module.Present() {
		rl.module = readPattern(module)
		v = v.About(rl.module.String())
		m = v.Map()
		m.Field("module")
	}
	fields := map[string]document.Value{}
	for _, name := range []string{"require", "deny", "replacement", "reason", "minAge", "maxBehind", "accept"} {
		fields[name] = m.Field(name)
	}
	m.Done()
	if text := readText(fields["require"]); text != "" {
		var err error
		if rl.require, err = parseConstraint(text); err != nil {
			fields["require"].Fault(err)
		}
	}
	rl.required, rl.denied = fields["require"].Present(), fields["deny"].Present()
	rl.deny, rl.replacement, rl.reason = readText(fields["deny"]), readText(fields["replacement"]), readText(fields["reason"])
	rl.minAge, rl.maxBehind = readAge(fields["minAge"]), readAge(fields["maxBehind"])
	for _, item := range fields["accept"].List(maxRules) {
		rl.accept = append(rl.accept, document.Enum(item, RuleDeprecated, RuleRetracted))
	}
	if accept := fields["accept"]; accept.Is(document.List) && len(rl.accept) == 0 {
		accept.Faultf("must not be empty")
	}

	limits := rl.required || fields["minAge"].Present() || fields["maxBehind"].Present()
	kinds := count(limits, rl.denied, fields["accept"].Present())
	switch {
	case r.Count() > before: // the other faults may only follow from these
	case kinds == 0:
		v.Faultf("must have require, minAge, maxBehind, deny or accept")
	case kinds > 1:
		v.Faultf("must have only one of: require with minAge and maxBehind; deny; accept")
	case fields["replacement"].Present() && !rl.denied:
		fields["replacement"].Faultf("goes with deny")
	case fields["reason"].Present() && rl.denied:
		fields["reason"].Faultf("does not go with deny, which gives its reason itself")
	case !fields["reason"].Present() && fields["accept"].Present():
		fields["accept"].Faultf("needs a reason")
	}
	return &rl
}

func readPattern(v document.Value) modpattern.Pattern {
	text := readText(v)
	if text == "" {
		return modpattern.Pattern{}
	}
	p, err := modpattern.Parse(text)
	if err != nil {
		v.Fault(err)
	}
	return p
}

func readText(v document.Value) string {
	text := v.Text(maxText)
	if text == "" && v.Is(document.String) && v.Node().Text == "" {
		v.Faultf("must not be empty")
	}
	return text
}

func readAge(v document.Value) age {
	if d := v.Duration(maxAge); d != 0 {
		return age{v.Node().Text, d}
	}
	return age{}
}

func (rs *rules) allowed(path string) bool {
	return rs.allowExact[path] || anyMatches(rs.allow, path)
}

// about yields the rules that match a module, those with its exact path first.
func (rs *rules) about(path string) iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		for _, rl := range rs.exact[path] {
			if !yield(rl) {
				return
			}
		}
		for _, rl := range rs.patterns {
			if rl.module.Match(path) && !yield(rl) {
				return
			}
		}
	}
}

var errUnmatched = errors.New("matches no module")

// unmatched returns a warning for each pattern that matches no module of the programs.
func (rs *rules) unmatched(builds []*debug.BuildInfo) (faults Faults) {
	paths := map[string]bool{}
	for _, bi := range builds {
		if bi == nil {
			continue
		}
		if bi.GoVersion != "" {
			for _, name := range toolchainNames {
				paths[name] = true
			}
		}
		for _, dep := range bi.Deps {
			if dep != nil {
				paths[dep.Path], paths[built(dep).Path] = true, true
			}
		}
	}
	for _, p := range rs.places {
		found := paths[p.module.String()]
		if !p.module.Plain() {
			for path := range paths {
				found = found || !slices.Contains(toolchainNames, path) && p.module.Match(path)
			}
		}
		if !found {
			f := p.fault
			f.Err = errUnmatched
			faults = append(faults, &f)
		}
	}
	return faults
}

func anyMatches(patterns []modpattern.Pattern, path string) bool {
	return slices.ContainsFunc(patterns, func(p modpattern.Pattern) bool { return p.Match(path) })
}
