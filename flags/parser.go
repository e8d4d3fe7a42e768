package flags

import (
	"crypto/sha256"
	"slices"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A parser compiles documents for a provider.
type parser struct {
	strict    bool
	bucketing Bucketing
	declared  func() []Declared
	copy      lastGood
}

// parse reads and compiles a document. A faulty flag keeps its definition of prev, and so does a
// flag that is suddenly lost. These faults are returned as problems, or refuse the document if the
// parser is strict.
func (ps *parser) parse(name string, data []byte, prev *flagSet) (*flagSet, []error, error) {
	if name == ps.copy.name() { // the source has not given anything yet
		set, _, faults, err := ps.restore(parseParts(name, data))
		return set, faults.Unwrap(), err
	}
	doc, err := readDefinitions(name, data)
	if err != nil {
		return nil, nil, err
	}
	if prev == nil {
		if saved, ok := ps.copy.load(data); ok {
			prev, _, _, _ = ps.restore(saved)
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

// accept checks a set as a whole. It returns its problems, or an error if the set must not replace
// prev.
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

// restore merges the documents of a last good copy. before has the flags of each source's document,
// by its number. restore fails when no document can be read.
func (ps *parser) restore(saved []savedPart) (set *flagSet, before []*flagSet, faults Faults, err error) {
	var parts []*mergedPart
	number := 0
	for _, s := range saved {
		doc, err := readDefinitions(s.Name, []byte(s.Text))
		if err != nil {
			faults = append(faults, faultsIn(s.Name, err)...)
		} else {
			parts = append(parts, &mergedPart{name: s.Name, number: number, doc: doc, kept: s.Kept})
		}
		if !s.Kept {
			number++
		}
	}
	if len(parts) == 0 {
		return nil, nil, nil, faults
	}
	set, more := ps.merge(parts, nil)
	before = make([]*flagSet, number+1)
	for _, p := range parts {
		if before[p.number] == nil {
			before[p.number] = &flagSet{flags: map[string]*flag{}}
		}
		for key, f := range p.set.flags {
			if f.fault == nil {
				before[p.number].flags[key] = f
			}
		}
	}
	for key := range set.kept {
		if !slices.ContainsFunc(parts, func(p *mergedPart) bool { return !p.kept && p.set.flags[key] != nil }) {
			set.held = append(set.held, key)
		}
	}
	slices.Sort(set.held)
	set.live = true
	set.seal(nil)
	return set, before, append(faults, more...), nil
}

// compile compiles the flags of a document. A rule may refer to the evaluators of all given
// documents; if several have a name, the first counts.
func (ps *parser) compile(doc *definitions, evaluators []*definitions, prev *flagSet) (*flagSet, Faults) {
	rules := newRulebook(ps.bucketing)
	for _, other := range evaluators {
		rules.add(other.name, other.evaluators)
	}
	set := &flagSet{flags: make(map[string]*flag, len(doc.flags.Keys)), allowShrink: doc.allowShrink}
	all := slices.Clone(doc.misspelt)
	for i, key := range doc.flags.Keys {
		d := definition{doc: doc, rules: rules, key: key, node: doc.flags.Items[i]}
		f, faults, unknown := d.compile()
		set.unknown = append(set.unknown, unknown...)
		if len(faults) > 0 {
			all = append(all, faults...)
			if f.disabled && !slices.ContainsFunc(faults, func(fault *Fault) bool { return fault.Field != "targeting" }) {
				set.flags[key.Text] = f // its rule does not count
				continue
			}
			if before := prev.flag(key.Text); before != nil && before.fault == nil {
				set.keep(key.Text, before) // unchanged, because evaluations are reading it
				continue
			}
			f = &flag{key: key.Text, keyValue: key.Text, fault: faults[0], fingerprint: sha256.Sum256([]byte(faults[0].Error()))}
		}
		set.flags[key.Text] = f
	}
	return set, all
}

// A mergedPart is one document of a merge, and its set.
type mergedPart struct {
	name       string
	number     int  // of the source, from 0
	kept       bool // it has the definitions that flags have kept
	keeper     *live.Keeper[definitions]
	doc        *definitions   // nil means none yet
	evaluators []*definitions // the set was compiled with these
	set        *flagSet
	before     *flagSet // what the last good copy has of the document; nil means nothing
	faults     Faults
}

// merge merges documents flag by flag. The last definition counts, unless it is faulty and has
// never been good. A rule may refer to the evaluators of all documents: its own first, then those
// of later and of earlier ones.
func (ps *parser) merge(parts []*mergedPart, prev *flagSet) (*flagSet, Faults) {
	set := &flagSet{flags: map[string]*flag{}, from: map[string]int{}}
	var faults Faults
	for i, p := range parts {
		if p.doc == nil {
			continue
		}
		evaluators := []*definitions{p.doc}
		for j, other := range slices.Backward(parts) {
			if j != i && other.doc != nil && other.doc.evaluators != nil && !other.kept { // kept definitions have all evaluators that they need
				evaluators = append(evaluators, other.doc)
			}
		}
		if p.set == nil || !slices.Equal(p.evaluators, evaluators) {
			p.compile(ps, evaluators, prev)
		}
		set.allowShrink = set.allowShrink || p.doc.allowShrink
		for key, f := range p.set.flags {
			if earlier := set.flags[key]; f.fault != nil && earlier != nil && earlier.fault == nil {
				continue
			}
			set.from[key] = p.number
			if delete(set.kept, key); p.kept || p.set.kept[key] {
				set.keep(key, f)
			} else {
				set.flags[key] = f
			}
		}
		faults = append(faults, p.faults...)
	}
	return set, faults
}

// compile makes the set of a part. Afterwards the document keeps only its text. It is compiled
// again only when the evaluators of another document change.
func (p *mergedPart) compile(ps *parser, evaluators []*definitions, prev *flagSet) {
	if p.set != nil {
		prev = p.set
	} else if p.before != nil {
		prev = p.before
	}
	if p.doc.flags == nil {
		if again, err := readDefinitions(p.doc.name, p.doc.text); err == nil { // it was readable before
			p.doc.flags, p.doc.metadata = again.flags, again.metadata
		}
	}
	p.set, p.faults = ps.compile(p.doc, evaluators, prev)
	p.evaluators = evaluators
	p.doc.flags, p.doc.metadata = nil, nil
}
