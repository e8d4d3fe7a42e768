// Package guard reads the metadata of a flag that guards its rollout. The keys are flat, so that other
// engines of flagd's format read the same document:
//
//	metadata:
//	  guard.treatment: "on"   # the variant that is being rolled out
//	  guard.control: "off"    # the variant to compare with, and to fall back to
//	  guard.harm: 0.01        # absolute increase of the failure rate that matters
//	  guard.alpha: 0.001      # probability of a false alarm over the whole rollout
//	  guard.slow: "800ms"     # a slower request counts as a failure of a second test
package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// Prefix begins the metadata keys of a guard.
const Prefix = "guard."

// The metadata keys of a guard.
const (
	Treatment = Prefix + "treatment"
	Control   = Prefix + "control"
	Harm      = Prefix + "harm"
	Alpha     = Prefix + "alpha"
	Slow      = Prefix + "slow"
)

// Defaults, and the bound of slow.
const (
	DefaultHarm  = 0.01
	DefaultAlpha = 0.001
	maxSlow      = time.Hour
)

// A Guard is what the metadata of a flag say.
type Guard struct {
	Treatment string // a variant
	Control   string // another variant
	Harm      float64
	Alpha     float64
	Slow      time.Duration // zero means that slow requests do not count
}

// A Fault is one thing wrong with a guard.
type Fault struct {
	Key string // of the metadata
	Err error
}

// Has reports whether metadata have a guard.
func Has(metadata map[string]any) bool {
	for key := range metadata {
		if strings.HasPrefix(key, Prefix) {
			return true
		}
	}
	return false
}

// Parse reads the guard in metadata. Faults are sorted by key. A guard with faults must not be used.
func Parse(metadata map[string]any) (g Guard, faults []Fault) {
	p := parser{metadata: metadata}
	g = Guard{
		Treatment: p.variant(Treatment),
		Control:   p.variant(Control),
		Harm:      p.probability(Harm, DefaultHarm),
		Alpha:     p.probability(Alpha, DefaultAlpha),
		Slow:      p.duration(Slow),
	}
	if g.Treatment != "" && g.Treatment == g.Control {
		p.faultf(Control, "must differ from guard.treatment, got %s for both", quote(g.Control))
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if strings.HasPrefix(key, Prefix) && !slices.Contains(keys, key) {
			p.faults = append(p.faults, Fault{key, document.Unknown("field", key, keys)})
		}
	}
	slices.SortStableFunc(p.faults, func(a, b Fault) int { return strings.Compare(a.Key, b.Key) })
	return g, p.faults
}

var keys = []string{Treatment, Control, Harm, Alpha, Slow}

type parser struct {
	metadata map[string]any
	faults   []Fault
}

func (p *parser) faultf(key, format string, args ...any) {
	p.faults = append(p.faults, Fault{key, fmt.Errorf(format, args...)})
}

func (p *parser) variant(key string) string {
	value, ok := p.metadata[key]
	if !ok {
		p.faults = append(p.faults, Fault{key, errors.New("is required")})
		return ""
	}
	name, ok := value.(string)
	if !ok || name == "" {
		p.faultf(key, "must be the name of a variant, a string, got %s", quote(value))
	}
	return name
}

func (p *parser) probability(key string, byDefault float64) float64 {
	value, ok := p.metadata[key]
	if !ok {
		return byDefault
	}
	f, ok := value.(float64)
	if !ok || !(f > 0 && f < 1) { // also for NaN
		p.faultf(key, "must be a number above 0 and below 1, got %s", quote(value))
		return byDefault
	}
	return f
}

func (p *parser) duration(key string) time.Duration {
	value, ok := p.metadata[key]
	if !ok {
		return 0
	}
	text, ok := value.(string)
	if !ok {
		p.faultf(key, `must be a duration such as "800ms" or "2s", got %s`, quote(value))
		return 0
	}
	d, err := document.ParseDuration(text, maxSlow)
	if err != nil {
		p.faults = append(p.faults, Fault{key, err})
	}
	return d
}

// quote formats a value for an error text.
func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return document.Clip(fmt.Sprint(v))
	}
	return document.Clip(string(text))
}
