package history

import (
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Failure describes what went wrong, for [Suspects]. Only Time is required. Each further field
// makes the ranking better.
type Failure struct {
	// Time is when the first request failed.
	Time time.Time `json:"time"`

	// Service is the service that failed, and Build the version that it ran.
	Service string `json:"service,omitempty"`
	Build   string `json:"build,omitempty"`

	// Route is the route of the failed requests: POST /checkout.
	Route string `json:"route,omitempty"`

	// Stack is a stack trace of the failure, in Go's format.
	Stack string `json:"stack,omitempty"`

	// Variants counts requests by the flag variants that they saw, with keys of the form
	// flag=variant. Builds counts them by the version of Service, Regions by region. Good
	// requests should be of the time since the failure began.
	Variants map[string]Counts `json:"variants,omitempty"`
	Builds   map[string]Counts `json:"builds,omitempty"`
	Regions  map[string]Counts `json:"regions,omitempty"`
}

// Counts are numbers of requests.
type Counts struct {
	Failed int `json:"failed"`
	Good   int `json:"good"`
}

func (c Counts) plus(o Counts) Counts {
	const most = 1 << 40 // so that sums do not overflow
	return Counts{c.Failed + min(max(o.Failed, 0), most), c.Good + min(max(o.Good, 0), most)}
}

// variant is a key of Failure.Variants without the flag.
type variant struct {
	name string
	Counts
}

// variants returns the variants by flag. Besides = the separators : / and a space are accepted, and
// a key may have several of them.
func (f *Failure) variants() map[string][]variant {
	flags := map[string][]variant{}
	for key, c := range f.Variants {
		c = Counts{}.plus(c)
		flags[key] = append(flags[key], variant{"", c})
		for n, r := range key {
			if strings.ContainsRune("=:/ ", r) {
				flags[key[:n]] = append(flags[key[:n]], variant{strings.TrimLeft(key[n:], "=:/ "), c})
			}
		}
	}
	return flags
}

func total(counts map[string]Counts) (all Counts) {
	for _, c := range counts {
		all = all.plus(c)
	}
	return all
}

// mentions reports whether a stack trace has a frame of the module.
func mentions(stack, module string) bool {
	if module == "" {
		return false
	}
	for rest := stack; ; {
		at := strings.Index(rest, module)
		if at < 0 {
			return false
		}
		before, after := rest[:at], rest[at+len(module):]
		if (before == "" || !isPathByte(before[len(before)-1])) && (after == "" || strings.ContainsRune("/.@", rune(after[0]))) {
			return true
		}
		rest = after
	}
}

func isPathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// wordsOf returns the words of a name, a route or a stack trace in lower case, without short
// ones: express-checkout has the words express and checkout.
func wordsOf(text string) map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(cleantext.Cut(text, maxStack)), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c < 0x80
	}) {
		if len(w) >= 4 {
			words[w] = true
		}
	}
	return words
}

const maxStack = 64 << 10
