package compat

import (
	"cmp"
	"math"
	"slices"

	"github.com/upkeep-go/upkeep/internal/document"
)

const (
	maxRules = 10_000 // of a list in a document
	maxText  = 4096   // bytes of a text in a document
)

func parse(name string, data []byte) (*ruleset, error) {
	r := document.NewReader(name)
	root := r.Parse(data)
	rules := readRules(root.Map())
	set, faults := compile(rules, place{file: name, node: root.Node()})
	// Faults that only follow from a value that could not be read are left out.
	unread := map[string]bool{}
	for _, f := range r.Faults() {
		unread[ruleOf(f.Field)] = true
	}
	faults = slices.DeleteFunc(faults, func(f *Fault) bool { return unread[f.Rule] })
	for _, f := range r.Faults() {
		faults = append(faults, &Fault{File: name, Line: f.Line, Column: f.Column, Rule: ruleOf(f.Field), Field: f.Field, Err: f.Err})
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b *Fault) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
		return nil, faults
	}
	return set, nil
}

func readRules(m *document.Fields) (rules Rules) {
	rules.Header = m.Field("header").Text(maxText)
	rules.Default = readList(m.Field("default"))
	if peers := m.Field("peers"); peers.Present() {
		rules.Peers = map[string][]Rule{}
		for key, value := range peers.Entries() {
			var list []Rule
			if !value.Null() { // compile refuses null
				list = readList(value)
			}
			rules.Peers[key.Node().Text] = list
		}
	}
	m.Field("$schema").Text(maxText) // for editors
	m.Done()
	return rules
}

func readList(v document.Value) []Rule {
	if !v.Present() {
		return nil
	}
	list := []Rule{}
	for _, item := range v.List(maxRules) {
		list = append(list, readRule(item.Map()))
	}
	return list
}

func readRule(m *document.Fields) Rule {
	r := Rule{
		Stage:       document.Enum(m.Field("stage"), StageObserve, StageWarn, StageEnforce),
		Minimum:     m.Field("minimum").Text(maxText),
		Require:     m.Field("require").Text(maxText),
		Block:       m.Field("block").Texts(maxRules, maxText),
		Strict:      m.Field("strict").Bool(),
		Reason:      m.Field("reason").Text(maxText),
		Deprecation: m.Field("deprecation").Date(),
		Sunset:      m.Field("sunset").Date(),
		Link:        m.Field("link").Text(maxText),
	}
	if v := m.Field("skew"); v.Present() {
		skew := v.Map()
		r.Skew = &Skew{
			Client: skew.Field("client").Text(maxText),
			Server: skew.Field("server").Text(maxText),
			Newer:  skew.Field("newer").Bool(),
			Minor:  skew.Field("minor").Int(0, math.MaxInt),
		}
		skew.Done()
	}
	m.Done()
	return r
}
