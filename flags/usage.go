package flags

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Usage is how often flags were evaluated. It can be sent as JSON and merged with the usage of
// other instances.
type Usage struct {
	Since time.Time            `json:"since"` // when the counting began
	Flags map[string]FlagUsage `json:"flags"` // by key; includes flags that were never evaluated
}

// FlagUsage is how often one flag was evaluated. The count of each variant is exact up to 1,000.
// Beyond, it is an estimate whose relative error is about 8 divided by the count's square root.
type FlagUsage struct {
	Variants map[string]uint64 `json:"variants"` // by name; "" is the caller's default
	Last     time.Time         `json:"last"`     // of the last evaluation; zero means never. It may lag for frequently evaluated flags.
}

// Total returns how often the flag was evaluated.
func (u FlagUsage) Total() uint64 {
	var n uint64
	for _, count := range u.Variants {
		n += count
	}
	return n
}

// Merge adds the usage of another instance. Since is the later of the two.
func (u Usage) Merge(other Usage) Usage {
	merged := Usage{Since: later(u.Since, other.Since), Flags: map[string]FlagUsage{}}
	maps.Copy(merged.Flags, u.Flags)
	for key, theirs := range other.Flags {
		ours := merged.Flags[key]
		variants := map[string]uint64{}
		maps.Copy(variants, ours.Variants)
		for name, n := range theirs.Variants {
			variants[name] += n
		}
		merged.Flags[key] = FlagUsage{Variants: variants, Last: later(ours.Last, theirs.Last)}
	}
	return merged
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Usage returns how often this process evaluated the flags of the document in effect, since the
// provider was made.
func (p *Provider) Usage() Usage {
	u := Usage{Since: p.created, Flags: map[string]FlagUsage{}}
	if set := p.current.Load(); set != nil {
		for key, f := range set.flags {
			u.Flags[key] = f.usage()
		}
	}
	return u
}

// A Candidate is a flag that can probably be removed, with the reasons.
type Candidate struct {
	Flag    string   `json:"flag"`
	Owner   string   `json:"owner,omitempty"` // metadata.owner
	Kind    string   `json:"kind,omitempty"`  // metadata.kind: release, ops, experiment, permission
	Reasons []string `json:"reasons"`
}

// String formats the candidate in one line.
func (c Candidate) String() string {
	text := c.Flag
	if c.Owner != "" {
		text += " (" + c.Owner + ")"
	}
	return text + ": " + strings.Join(c.Reasons, "; ")
}

// Cleanup returns the flags that can probably be removed, sorted by key: flags that are past
// metadata.expires (an RFC 3339 date, or a date with time), were never evaluated, or gave only one
// variant since the counting began. The usage of this process is merged with others, because other
// instances may evaluate other flags. Flags whose metadata.kind is ops or permission are meant to
// stay, so only their expiry counts.
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
				c.Reasons = append(c.Reasons, fmt.Sprintf("metadata.expires must be a date of RFC 3339, got %q", text))
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
	day := since.UTC().Format(time.DateOnly)
	switch {
	case len(seen) == 0:
		return []string{"not evaluated since " + day}
	case len(seen) > 1:
		return nil
	}
	only := "the code's default"
	if seen[0] != "" {
		only = strconv.Quote(seen[0])
	}
	return []string{fmt.Sprintf("gave only %s since %s, %d times", only, day, u.Total())}
}

func (f *flag) usage() FlagUsage {
	u := FlagUsage{Variants: map[string]uint64{}}
	if n := f.withoutVariant.n.Load(); n > 0 {
		u.Variants[""] = n
	}
	for name, v := range f.variants {
		u.Variants[name] = v.counter.n.Load()
	}
	if last := f.last(); last != 0 {
		u.Last = time.Unix(0, last)
	}
	return u
}
