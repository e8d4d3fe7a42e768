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

// A flagSet is a document, compiled, or several that are merged. It never changes once it is
// in effect.
type flagSet struct {
	flags       map[string]*flag
	revision    string // of what is in effect
	live        bool   // the document is the source's, not a copy that stands in
	allowShrink bool
	unknown     Faults          // fields of the flags that mean nothing
	partial     []string        // names of merged documents that are missing, or not up to date
	kept        map[string]bool // flags whose definition is an earlier document's: it is faulty now, or lost
	held        []string        // of these, the lost ones, sorted
	from        map[string]int  // of merged documents: the number of the one that a flag is of
}

func (s *flagSet) keep(key string, before *flag) {
	if s.kept == nil {
		s.kept = map[string]bool{}
	}
	s.flags[key], s.kept[key] = before, true
}

// hold keeps the flags of prev that the set has suddenly lost while they are in use: the
// ones that the code has declared; all, where many are lost at once, as by a document that
// is cut short; and those that were held before. The faults say so.
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
			faults = append(faults, &Fault{Flag: key, Err: errors.New("the code has declared it, and it is gone; " + until)})
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
		faults = append(faults, &Fault{Err: fmt.Errorf("%d of %d flags are gone; they are kept as they were until the document says allowShrink: true", gone, len(prev.flags))})
	}
	for _, key := range slices.Sorted(maps.Keys(prev.flags)) {
		if before := slices.Contains(prev.held, key); lost(key) && (many || before) && !slices.Contains(s.held, key) {
			if !many {
				faults = append(faults, &Fault{Flag: key, Err: errors.New("it is gone; " + until)})
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

// flag returns a flag, nil when the set, which may be nil, does not have it.
func (s *flagSet) flag(key string) *flag {
	if s == nil {
		return nil
	}
	return s.flags[key]
}

// seal makes a set fit to take the place of prev: its flags count on, and it has a revision.
func (s *flagSet) seal(prev *flagSet) {
	var all [sha256.Size]byte
	for key, f := range s.flags {
		if f.unnamed == nil {
			f.count(prev.flag(key))
		}
		for i, b := range f.fingerprint {
			all[i] ^= b // in any order
		}
	}
	sum := sha256.Sum256(all[:])
	s.revision = hex.EncodeToString(sum[:8])
}

// A flag is one definition, compiled. It never changes.
type flag struct {
	key         string
	keyValue    any // key, boxed once
	disabled    bool
	fault       *Fault // not nil: nothing below can be used
	rule        *jsonlogic.Rule
	variants    map[string]*variant
	few         []*variant // the variants, where there are at most fewVariants
	standard    *variant   // of defaultVariant; nil when there is none
	metadata    openfeature.FlagMetadata
	fingerprint [sha256.Size]byte // of all that an evaluation depends on
	unnamed     *counter          // of evaluations that gave the caller's default
}

// A variant is a name and the value that it stands for.
type variant struct {
	name    string
	value   any      // bool, string, float64, []any or map[string]any
	counter *counter // outlives the flag: the next definition counts on
}

// fewVariants is up to how many looking at each is faster than a map.
const fewVariants = 4

// changedKeys lists the keys whose result could differ between two sets, sorted.
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

// fits says why a flag of the set is not what the code has declared.
func (s *flagSet) fits(d Declared) error {
	f := s.flags[d.Key()]
	if f == nil {
		return fmt.Errorf("missing, and the code declares it as %s", d.typeName())
	}
	if f.fault != nil {
		return nil // told already
	}
	for _, name := range slices.Sorted(maps.Keys(f.variants)) {
		if !d.accepts(f.variants[name].value) {
			return fmt.Errorf("variant %q is no %s, as which the code declares it", name, d.typeName())
		}
	}
	return nil
}
