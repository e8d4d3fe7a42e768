package flags

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A flagState is whether a flag is switched on at all.
type flagState string

const (
	stateEnabled  flagState = "ENABLED"
	stateDisabled flagState = "DISABLED"
)

// A definition is one flag as a document has it.
type definition struct {
	doc       *definitions
	rules     *rulebook
	key, node *document.Node
}

// compile makes the flag, or says all that is wrong with it, and which fields mean nothing.
func (d *definition) compile() (f *flag, faults, unknown Faults) {
	r := document.NewReader(d.doc.name)
	m := r.Value(d.node).About(d.key.Text).Map()
	f = &flag{key: d.key.Text, keyValue: d.key.Text}
	f.disabled = document.Enum(m.Field("state"), stateEnabled, stateDisabled) == stateDisabled
	f.variants, f.few = readVariants(m.Need("variants"))
	f.standard = readDefault(m.Field("defaultVariant"), f)
	f.metadata = overlay(d.doc.metadata, mapNode(m.Field("metadata")))
	m.Field("$schema")

	targeting := m.Field("targeting").Node()
	m.Done()
	print := append(append(d.rules.print[:0], f.key...), byte(d.rules.bucketing))
	print = d.doc.metadata.AppendJSON(print)
	for _, field := range []string{"state", "variants", "defaultVariant", "metadata"} {
		print = d.node.Get(field).AppendJSON(append(print, ','))
	}
	rule, print, broken := d.rules.targeting(d.doc.name, targeting, append(print, ','))
	f.rule, f.fingerprint = rule, sha256.Sum256(print)
	d.rules.print = print

	faults, unknown = faultsOf(d.doc.name, r.Faults())
	if broken != nil {
		faults = append(faults, &Fault{File: broken.file, Line: broken.at.Line, Column: broken.at.Column, Flag: f.key, Field: "targeting", Err: broken.err})
	}
	return f, faults, unknown
}

func readVariants(v document.Value) (variants map[string]*variant, few []*variant) {
	if v.Is(document.Map) && len(v.Node().Keys) == 0 {
		v.Faultf("must have at least one variant")
	}
	variants = map[string]*variant{}
	for name, value := range v.Entries() {
		if value.Null() {
			value.Faultf("must have a value, got null")
		}
		one := &variant{name: name.Node().Text, value: value.Node().Value()}
		variants[one.name] = one
		few = append(few, one)
	}
	if len(few) > fewVariants {
		few = nil
	}
	return variants, few
}

// readDefault reads the name of the default variant; nil where there is none. YAML reads on
// and off as texts, true and 1 as what they look like.
func readDefault(v document.Value, f *flag) *variant {
	name := v.Node()
	if name == nil || name.Kind == document.Null {
		return nil
	}
	if name.Kind == document.List || name.Kind == document.Map {
		v.Faultf("must be the name of a variant, got %v", name.Kind)
		return nil
	}
	standard := f.variants[name.Text]
	if standard == nil && name.Text != "" && len(f.variants) > 0 {
		v.Faultf("%q is not a variant", document.Clip(name.Text))
	}
	return standard
}

// overlay merges the set's metadata with the flag's, which wins. Nil when both are
// empty.
func overlay(set, own *document.Node) openfeature.FlagMetadata {
	all, _ := set.Value().(map[string]any)
	ours, _ := own.Value().(map[string]any)
	if len(all)+len(ours) == 0 {
		return nil
	}
	m := openfeature.FlagMetadata{}
	maps.Copy(m, all)
	maps.Copy(m, ours)
	return m
}

// definitions are a document, read but not compiled.
type definitions struct {
	name        string
	text        []byte
	flags       *document.Node // a map
	evaluators  *document.Node // a map or nil
	metadata    *document.Node // a map or nil
	allowShrink bool
	unknown     Faults // fields that mean nothing
}

// readDefinitions reads a document. The error is [Faults] and refuses it.
func readDefinitions(name string, data []byte) (*definitions, error) {
	r := document.NewReader(name)
	m := r.Parse(data).Map()
	doc := &definitions{
		name:        name,
		text:        data,
		flags:       mapNode(m.Need("flags")),
		evaluators:  mapNode(m.Field("$evaluators")),
		metadata:    mapNode(m.Field("metadata")),
		allowShrink: m.Field("allowShrink").Bool(),
	}
	m.Field("$schema")
	m.Done()
	faults, unknown := faultsOf(name, r.Faults())
	if len(faults) > 0 {
		return nil, faults
	}
	doc.unknown = unknown
	return doc, nil
}

// mapNode is the node of a map; anything else that is there is a fault.
func mapNode(v document.Value) *document.Node {
	if v.Map().Present() {
		return v.Node()
	}
	return nil
}

// A parser compiles documents as the options of its provider say.
type parser struct {
	strict    bool
	bucketing Bucketing
	declared  func() []Declared
	copy      lastGood
}

// parse reads a document and compiles it. A flag that is wrong keeps its definition of
// prev, and so does one that is suddenly lost; such faults are returned as problems, or
// refuse the document where the parser is strict.
func (ps *parser) parse(name string, data []byte, prev *flagSet) (*flagSet, []error, error) {
	if name == ps.copy.name() { // the source has not given anything yet
		set, faults, err := ps.restore(parseParts(name, data))
		return set, faults.Unwrap(), err
	}
	doc, err := readDefinitions(name, data)
	if err != nil {
		return nil, nil, err
	}
	if prev == nil {
		if saved, ok := ps.copy.load(data); ok {
			prev, _, _ = ps.restore(saved)
		}
	}
	set, faults := ps.compile(doc, []*definitions{doc}, prev)
	problems, err := ps.accept(name, set, faults, prev)
	if err != nil {
		return nil, nil, err
	}
	set.seal(prev)
	return set, problems, nil
}

// accept says what is wrong with a set all in all, or why it must not replace prev.
func (ps *parser) accept(name string, set *flagSet, faults Faults, prev *flagSet) ([]error, error) {
	declared := ps.declared()
	lost := set.hold(prev, declared)
	for _, d := range declared {
		if err := set.fits(d); err != nil {
			lost = append(lost, &Fault{Flag: d.Key(), Err: err})
		}
	}
	for _, fault := range lost {
		fault.File = name
	}
	if faults = append(faults, lost...); ps.strict && len(faults) > 0 {
		return nil, faults
	}
	return faults.Unwrap(), nil
}

// restore makes the set of the documents in a last good copy. It fails when none of them can be
// read.
func (ps *parser) restore(saved []savedPart) (*flagSet, Faults, error) {
	var parts []*mergedPart
	var faults Faults
	for _, s := range saved {
		doc, err := readDefinitions(s.Name, []byte(s.Text))
		if err != nil {
			faults = append(faults, faultsIn(s.Name, err)...)
			continue
		}
		parts = append(parts, &mergedPart{name: s.Name, doc: doc, kept: s.Kept})
	}
	if len(parts) == 0 {
		return nil, nil, faults
	}
	set, more := ps.merge(parts, nil)
	for key := range set.kept {
		if !slices.ContainsFunc(parts, func(p *mergedPart) bool { return !p.kept && p.set.flags[key] != nil }) {
			set.held = append(set.held, key)
		}
	}
	slices.Sort(set.held)
	set.live = true
	set.seal(nil)
	return set, append(faults, more...), nil
}

// compile compiles the flags of a document. A rule may refer to the evaluators of all the
// documents that are given; of one name the first counts.
func (ps *parser) compile(doc *definitions, evaluators []*definitions, prev *flagSet) (*flagSet, Faults) {
	rules := newRulebook(ps.bucketing)
	for _, other := range evaluators {
		rules.add(other.name, other.evaluators)
	}
	set := &flagSet{flags: make(map[string]*flag, len(doc.flags.Keys)), allowShrink: doc.allowShrink}
	var all Faults
	for i, key := range doc.flags.Keys {
		d := definition{doc: doc, rules: rules, key: key, node: doc.flags.Items[i]}
		f, faults, unknown := d.compile()
		set.unknown = append(set.unknown, unknown...)
		if len(faults) > 0 {
			all = append(all, faults...)
			if before := prev.flag(key.Text); before != nil && before.fault == nil {
				set.keep(key.Text, before) // as it is: it is being evaluated
				continue
			}
			f = &flag{key: key.Text, keyValue: key.Text, fault: faults[0], fingerprint: sha256.Sum256([]byte(faults[0].Error()))}
		}
		set.flags[key.Text] = f
	}
	return set, all
}
