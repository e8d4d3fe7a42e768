package flags

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// A parser compiles documents as the options of its provider say.
type parser struct {
	strict    bool
	bucketing Bucketing
	declared  func() []Declared
}

// parse reads a document and compiles it. A flag that is wrong keeps its definition of
// prev; the faults of single flags are returned as problems, or refuse the document where
// the parser is strict.
func (ps *parser) parse(name string, data []byte, prev *flagSet) (*flagSet, []error, error) {
	doc, err := readDefinitions(name, data)
	if err != nil {
		return nil, nil, err
	}
	set, faults := ps.compile(doc, []*definitions{doc}, prev)
	set.seal(prev)
	problems, err := ps.accept(name, set, faults, prev)
	if err != nil {
		return nil, nil, err
	}
	return set, problems, nil
}

// accept says what is wrong with a set all in all, or why it must not replace prev.
func (ps *parser) accept(name string, set *flagSet, faults Faults, prev *flagSet) ([]error, error) {
	declared := ps.declared()
	for _, d := range declared {
		if err := set.fits(d); err != nil {
			faults = append(faults, &Fault{File: name, Flag: d.Key(), Err: err})
		}
	}
	if prev != nil && prev.live && !set.allowShrink {
		if fault := shrunk(prev, set, declared); fault != nil {
			fault.File = name
			return nil, Faults{fault}
		}
	}
	if ps.strict && len(faults) > 0 {
		return nil, faults
	}
	return faults.Unwrap(), nil
}

// shrunk is the fault of a document that has suddenly lost what is in use: a flag that
// the code has declared, or many at once. A document that is cut short looks so.
func shrunk(prev, set *flagSet, declared []Declared) *Fault {
	const mostPercent = 30
	gone := 0
	for key := range prev.flags {
		if set.flags[key] == nil {
			gone++
		}
	}
	if gone > 1 && gone*100 > len(prev.flags)*mostPercent {
		return &Fault{Err: fmt.Errorf("%d of %d flags are gone; the document is held back until it says allowShrink: true", gone, len(prev.flags))}
	}
	for _, d := range declared {
		if prev.flags[d.Key()] != nil && set.flags[d.Key()] == nil {
			return &Fault{Flag: d.Key(), Err: errors.New("the code has declared it, and it is gone; the document is held back until it says allowShrink: true")}
		}
	}
	return nil
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
		f, faults := d.compile()
		if len(faults) > 0 {
			all = append(all, faults...)
			if before := prev.flag(key.Text); before != nil && before.fault == nil {
				f = before // as it is: it is being evaluated
			} else {
				f = &flag{key: key.Text, keyValue: key.Text, fault: faults[0], fingerprint: sha256.Sum256([]byte(faults[0].Error()))}
			}
		}
		set.flags[key.Text] = f
	}
	return set, all
}
