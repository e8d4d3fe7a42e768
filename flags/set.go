package flags

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// A flagSet is one compiled document, or several merged ones. It never changes once it is in
// effect.
type flagSet struct {
	flags       map[string]*flag
	revision    string // of what is in effect
	live        bool   // from a source or its last good copy, not from Options.Fallback
	allowShrink bool
	unknown     Faults          // fields of the flags without a meaning
	partial     []string        // names of merged documents that are missing or out of date
	kept        map[string]bool // flags with an earlier document's definition, because it is faulty now, or lost
	held        []string        // the lost ones among kept, sorted
	from        map[string]int  // in a merge: the number of each flag's document
}

func (s *flagSet) keep(key string, before *flag) {
	if s.kept == nil {
		s.kept = map[string]bool{}
	}
	s.flags[key], s.kept[key] = before, true
}

// hold keeps flags of prev that the set has lost while they are in use: the declared flags, all
// lost flags if there are many (as when a document is cut short), and the flags that were held
// before. It returns a fault for each, or one for all.
func (s *flagSet) hold(prev *flagSet, declared []Declared) Faults {
	const mostPercent, leastFlags = 30, 10
	if prev == nil || !prev.live || s.allowShrink {
		return nil
	}
	var faults Faults
	const until = "it is kept as it was until the document says allowShrink: true"
	lost := func(key string) bool { return prev.flags[key] != nil && s.flags[key] == nil }
	for _, d := range declared {
		if key := d.Key(); lost(key) {
			faults = append(faults, &Fault{Flag: key, Err: errors.New("the code declares it, but the document no longer has it: " + until)})
			s.held = append(s.held, key)
		}
	}
	gone := 0
	for key := range prev.flags {
		if lost(key) {
			gone++
		}
	}
	many := len(prev.flags) >= leastFlags && gone*100 > len(prev.flags)*mostPercent
	if many {
		faults = append(faults, &Fault{Err: fmt.Errorf("%d of %d flags are missing in the document: they are kept as they were until the document says allowShrink: true", gone, len(prev.flags))})
	}
	for _, key := range slices.Sorted(maps.Keys(prev.flags)) {
		if before := slices.Contains(prev.held, key); lost(key) && (many || before) && !slices.Contains(s.held, key) {
			if !many {
				faults = append(faults, &Fault{Flag: key, Err: errors.New("the document no longer has it: " + until)})
			}
			s.held = append(s.held, key)
		}
	}
	slices.Sort(s.held)
	for _, key := range s.held {
		s.keep(key, prev.flags[key])
		if s.from != nil {
			s.from[key] = prev.from[key]
		}
	}
	return faults
}

// flag returns a flag, or nil if the set does not have it. The set may be nil.
func (s *flagSet) flag(key string) *flag {
	if s == nil {
		return nil
	}
	return s.flags[key]
}

// seal prepares a set to replace prev: its flags take over prev's counters, and it gets a
// revision.
func (s *flagSet) seal(prev *flagSet) {
	var all [sha256.Size]byte
	for key, f := range s.flags {
		if f.withoutVariant == nil {
			f.count(prev.flag(key))
		}
		for i, b := range f.fingerprint {
			all[i] ^= b // in any order
		}
	}
	sum := sha256.Sum256(all[:])
	s.revision = hex.EncodeToString(sum[:8])
}

// A flag is one compiled definition. It never changes.
type flag struct {
	key            string
	keyValue       any // key as an interface, so that a rule that reads it does not allocate
	disabled       bool
	fault          *Fault // if not nil, only key and fingerprint are set
	rule           *jsonlogic.Rule
	split          splitUse
	exposed        bool // its exposures are collected
	variants       map[string]*variant
	few            []*variant // the variants if there are at most fewVariants, else nil
	defaultVariant *variant   // of defaultVariant; nil means none
	metadata       openfeature.FlagMetadata
	fingerprint    [sha256.Size]byte // of everything that an evaluation depends on
	withoutVariant *counter          // of evaluations that gave the caller's default
}

type variant struct {
	name    string
	value   any      // bool, string, float64, []any or map[string]any
	counter *counter // shared with the flag's next definition
}

// fewVariants is the largest number of variants for which a linear search beats a map.
const fewVariants = 4

// changedKeys returns the keys whose result can differ between two sets, sorted.
func changedKeys(old, set *flagSet) []string {
	var keys []string
	for key, f := range set.flags {
		if before := old.flags[key]; before == nil || before.fingerprint != f.fingerprint {
			keys = append(keys, key)
		}
	}
	for key := range old.flags {
		if set.flags[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Declared is a [Flag] of any type.
type Declared interface {
	Key() string
	accepts(value any) bool
	typeName() string
}

// fits checks a flag of the set against its declaration in the code.
func (s *flagSet) fits(d Declared) error {
	f := s.flags[d.Key()]
	if f == nil {
		return fmt.Errorf("missing, and the code declares it as %s", d.typeName())
	}
	if f.fault != nil {
		return nil // reported already
	}
	for _, name := range slices.Sorted(maps.Keys(f.variants)) {
		if !d.accepts(f.variants[name].value) {
			return fmt.Errorf("variant %q is not of type %s, which the code declares", name, d.typeName())
		}
	}
	return nil
}
