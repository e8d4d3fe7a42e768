package flags

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"sync"

	"github.com/open-feature/go-sdk/openfeature"
)

// An Exposure is one evaluation that gave a subject a variant.
type Exposure struct {
	Flag    string // the flag's key
	Variant string

	// Split is true if fractional decided the variant, so that the variant is random. It is false if
	// a condition decided it, or if the targetingKey is missing. It is also false for every evaluation
	// of a rule that uses fractional in a condition or in an argument. Without a random choice the
	// subjects of two variants differ in other ways too, and must not be compared.
	Split bool

	// Share is the part of the population, from 0 to 1, to which fractional gives this variant. It
	// is zero if Split is false.
	Share float64

	// Subject identifies the bucketing value: a hash of it, keyed by the flag's key. It is the same
	// in every process, and differs between flags. If Split is false it is that of the flag's key
	// and the targetingKey. Zero means that there is no targetingKey.
	Subject uint64
}

// maxExposures bounds the exposures of one collector.
const maxExposures = 100

// Exposures collects the exposures of one request or job, at most 100 of them: further ones are
// dropped. An evaluation that repeats an exposure adds nothing. All methods may be called from any
// goroutine.
type Exposures struct {
	outer *Exposures // of a context that had a collector before

	mu   sync.Mutex
	list []Exposure
	room [1]Exposure // the first element of list, so that it needs no allocation
}

type exposuresKey struct{}

// An exposuresContext is a context and its collector in one allocation.
type exposuresContext struct {
	context.Context
	exposures Exposures
}

func (c *exposuresContext) Value(key any) any {
	if key == (exposuresKey{}) {
		return &c.exposures
	}
	return c.Context.Value(key)
}

// WithExposures returns a context that collects which variants its evaluations give, to compare them
// with the outcome of the request or job. If ctx has a collector already, both collect.
//
// It collects flags whose result fractional decides, and flags with metadata whose key begins with
// "guard.". Other flags cost nothing more. An evaluation that fails, that gives the caller's default, or
// that [WithOverride] decides is not collected.
func WithExposures(ctx context.Context) (context.Context, *Exposures) {
	c := &exposuresContext{Context: ctx}
	c.exposures.outer = exposuresOf(ctx)
	return c, &c.exposures
}

func exposuresOf(ctx context.Context) *Exposures {
	e, _ := ctx.Value(exposuresKey{}).(*Exposures)
	return e
}

// All returns the exposures so far, in the order of the evaluations. Nil means none.
func (e *Exposures) All() []Exposure {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

func (e *Exposures) add(x Exposure) {
	for ; e != nil; e = e.outer {
		e.mu.Lock()
		if e.list == nil {
			e.list = e.room[:0]
		}
		if len(e.list) < maxExposures && !slices.Contains(e.list, x) {
			e.list = append(e.list, x)
		}
		e.mu.Unlock()
	}
}

// expose evaluates a flag as evaluate does, and collects the exposure.
func (f *flag) expose(ctx context.Context, attrs, static map[string]any, e *Exposures) (v *variant, reason openfeature.Reason, failed *openfeature.ResolutionError) {
	c, _ := contexts.Get().(*evalContext)
	defer contexts.Put(c)
	c.flag, c.attrs, c.static, c.collecting = f, attrs, static, true
	if f.rule == nil || f.disabled || f.fault != nil {
		v, reason, failed = f.evaluate(ctx, attrs, static)
	} else {
		result, err := f.rule.EvalIn(&c.scope, c)
		v, reason, failed = f.conclude(ctx, c.keyless, result, err)
	}
	if v != nil {
		e.add(c.exposure(v))
	}
	c.flag, c.attrs, c.static, c.keyless, c.collecting, c.split = nil, nil, nil, false, false, false
	return v, reason, failed
}

// exposure returns the exposure of the evaluation that c has finished.
func (c *evalContext) exposure(v *variant) Exposure {
	x := Exposure{Flag: c.flag.key, Variant: v.name}
	if c.split && c.flag.split == splitDecides {
		x.Split, x.Share, x.Subject = true, c.share, c.subject
		return x
	}
	if key, ok := c.targetingKey(); ok {
		var room [128]byte
		x.Subject = subjectOf(c.flag.key, append(append(room[:0], c.flag.key...), key...))
	}
	return x
}

// subjectOf hashes a bucketing value.
func subjectOf(flag string, value []byte) uint64 {
	var room [256]byte
	text := append(room[:0], "upkeep subject\x00"...)
	text = append(append(append(text, flag...), 0), value...)
	sum := sha256.Sum256(text)
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

// noteSplit records that fractional has chosen entry i, given the running sums of the weights. value
// returns the variant of an entry.
func (c *evalContext) noteSplit(i int, sums []uint64, value func(i int) any) {
	name := c.flag.nameOf(value(i))
	var weight uint64
	for j, sum := range sums {
		if j > 0 {
			sum -= sums[j-1]
		}
		if j == i || c.flag.nameOf(value(j)) == name {
			weight += sum
		}
	}
	c.split = true
	c.share = float64(weight) / float64(sums[len(sums)-1])
	c.subject = subjectOf(c.flag.key, c.bucketed)
}

// nameOf returns the name of the variant that a rule's result gives. It is empty if there is none.
func (f *flag) nameOf(result any) string {
	switch result := result.(type) {
	case string:
		return result
	case bool:
		return strconv.FormatBool(result)
	case float64:
		return numberText(result)
	case int:
		return numberText(float64(result))
	case int64:
		return numberText(float64(result))
	case nil:
		if f.defaultVariant != nil {
			return f.defaultVariant.name
		}
	}
	return ""
}
