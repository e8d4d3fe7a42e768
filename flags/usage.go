package flags

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Usage says how often flags were evaluated. It can be sent as JSON and merged with
// that of other instances before it is judged.
type Usage struct {
	Since time.Time            `json:"since"` // when the counting began
	Flags map[string]FlagUsage `json:"flags"` // by key; flags of the document that were never evaluated too
}

// FlagUsage is how often one flag was evaluated. The count of each variant is exact
// up to 1,000 and an estimate beyond, of which the error is about 8 divided by its
// square root.
type FlagUsage struct {
	Variants map[string]uint64 `json:"variants"` // by name; "" where the caller's default stood in
	Last     time.Time         `json:"last"`     // of the last evaluation; zero: never. Of a busy flag some evaluations late.
}

// Total is how often the flag was evaluated.
func (u FlagUsage) Total() uint64 {
	var n uint64
	for _, count := range u.Variants {
		n += count
	}
	return n
}

// Merge adds the usage of another instance. The counting began when both had begun.
func (u Usage) Merge(other Usage) Usage {
	merged := Usage{Since: u.Since, Flags: maps.Clone(u.Flags)}
	if other.Since.After(merged.Since) {
		merged.Since = other.Since
	}
	if merged.Flags == nil {
		merged.Flags = map[string]FlagUsage{}
	}
	for key, theirs := range other.Flags {
		ours := merged.Flags[key]
		variants := maps.Clone(ours.Variants)
		if variants == nil {
			variants = map[string]uint64{}
		}
		for name, n := range theirs.Variants {
			variants[name] += n
		}
		last := ours.Last
		if theirs.Last.After(last) {
			last = theirs.Last
		}
		merged.Flags[key] = FlagUsage{Variants: variants, Last: last}
	}
	return merged
}

// Usage says how often the flags of the document that answers were evaluated by this
// process, since the provider was made.
func (p *Provider) Usage() Usage {
	u := Usage{Since: p.made, Flags: map[string]FlagUsage{}}
	if set := p.current.Load(); set != nil {
		for key, f := range set.flags {
			u.Flags[key] = f.counter.read()
		}
	}
	return u
}

// A Candidate is a flag that may be cleaned up, and why.
type Candidate struct {
	Flag    string   `json:"flag"`
	Owner   string   `json:"owner,omitempty"` // metadata.owner
	Kind    string   `json:"kind,omitempty"`  // metadata.kind: release, ops, experiment, permission
	Reasons []string `json:"reasons"`
}

// String is the candidate in one line.
func (c Candidate) String() string {
	text := c.Flag
	if c.Owner != "" {
		text += " (" + c.Owner + ")"
	}
	return text + ": " + strings.Join(c.Reasons, "; ")
}

// Cleanup lists the flags that are past metadata.expires (a date, or a date with time,
// of RFC 3339), were never evaluated, or gave but one variant since the counting
// began; sorted by key. The usage is this process's, merged with that of others: a flag
// that one instance never evaluates another may. Flags whose metadata.kind is ops or
// permission are meant to stay, and only an expiry lists them.
func (p *Provider) Cleanup(now time.Time, others ...Usage) []Candidate {
	set := p.current.Load()
	if set == nil {
		return nil
	}
	u := p.Usage()
	for _, other := range others {
		u = u.Merge(other)
	}
	var all []Candidate
	for key, f := range set.flags {
		c := Candidate{Flag: key}
		c.Owner, _ = f.metadata["owner"].(string)
		c.Kind, _ = f.metadata["kind"].(string)
		if text, given := f.metadata["expires"].(string); given {
			switch expires, err := parseExpiry(text); {
			case err != nil:
				c.Reasons = append(c.Reasons, fmt.Sprintf("metadata.expires is no date: %q", text))
			case !now.Before(expires):
				c.Reasons = append(c.Reasons, "expired on "+text)
			}
		}
		if c.Kind != "ops" && c.Kind != "permission" && !p.opts.WithoutUsage {
			c.Reasons = append(c.Reasons, idle(u.Flags[key], u.Since)...)
		}
		if len(c.Reasons) > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Candidate) int { return cmp.Compare(a.Flag, b.Flag) })
	return all
}

func idle(u FlagUsage, since time.Time) []string {
	var seen []string
	for name, n := range u.Variants {
		if n > 0 {
			seen = append(seen, name)
		}
	}
	switch {
	case len(seen) == 0:
		return []string{"not evaluated since " + since.UTC().Format(time.DateOnly)}
	case len(seen) == 1 && seen[0] == "":
		return []string{fmt.Sprintf("gave nothing but the code's default since %s, %d times", since.UTC().Format(time.DateOnly), u.Total())}
	case len(seen) == 1:
		return []string{fmt.Sprintf("gave nothing but %q since %s, %d times", seen[0], since.UTC().Format(time.DateOnly), u.Total())}
	}
	return nil
}

func (u *counter) read() FlagUsage {
	read := FlagUsage{Variants: map[string]uint64{}}
	for i, name := range u.names {
		if n := u.counts[i].Load(); n > 0 || name != "" {
			read.Variants[name] = n
		}
	}
	if last := u.last.Load(); last != 0 {
		read.Last = time.Unix(0, last)
	}
	return read
}

// A counter counts the evaluations of one flag. Counters that several processors write at
// once cost many times what an evaluation does, so only the first evaluations of a
// variant are counted one by one, and then one in sampling, at random, for all.
type counter struct {
	names  []string // of variants, the caller's default first
	counts []atomic.Uint64
	last   atomic.Int64 // Unix time in nanoseconds; 0: never
}

const (
	exactly  = 1000
	sampling = 64
)

// newCounter makes a counter for the variants of these names, which begins with what an
// earlier one has counted. The caller's default has index 0, the variants follow.
func newCounter(names []string, before *counter) *counter {
	names = slices.Insert(names, 0, "")
	c := &counter{names: names, counts: make([]atomic.Uint64, len(names))}
	switch {
	case before == nil:
	case slices.Equal(before.names, names):
		return before
	default:
		for i, name := range names {
			if at := slices.Index(before.names, name); at >= 0 {
				c.counts[i].Store(before.counts[at].Load())
			}
		}
		c.last.Store(before.last.Load())
	}
	return c
}

// note counts an evaluation that gave the variant of an index.
func (c *counter) note(index int) {
	count := &c.counts[index]
	step := uint64(1)
	if count.Load() >= exactly {
		if rand.Uint32()%sampling != 0 {
			return
		}
		step = sampling
	}
	count.Add(step)
	c.last.Store(time.Now().UnixNano())
}
