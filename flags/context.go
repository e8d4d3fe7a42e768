package flags

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// An evalContext is what a rule sees: $flagd, the static attributes, and the
// evaluation context.
type evalContext struct {
	flag   *flag
	attrs  map[string]any
	static map[string]any
	scope  jsonlogic.Scope
	room   [128]byte // for what is hashed
	random uint32    // of chance; never 0
}

var contexts = sync.Pool{New: func() any { return &evalContext{random: rand.Uint32() | 1} }}

// chance is a random number, never 0, for next to nothing: Marsaglia's xorshift, which is
// good enough to say which evaluations are counted.
func (c *evalContext) chance() uint32 {
	x := c.random
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	c.random = x
	return x
}

// Get implements jsonlogic.Object.
func (c *evalContext) Get(name string) (any, bool) {
	if name == "$flagd" {
		return (*flagdContext)(c), true
	}
	if len(c.static) > 0 {
		if v, ok := c.static[name]; ok {
			return v, true
		}
	}
	v, ok := c.attrs[name]
	return v, ok
}

// Fields implements jsonlogic.Fielder. No member but $flagd stands elsewhere, unless
// static attributes have a say.
func (c *evalContext) Fields() map[string]any {
	if len(c.static) > 0 {
		return nil
	}
	return c.attrs
}

// targetingKey returns the targeting key, false when it is missing, empty or no text.
func (c *evalContext) targetingKey() (string, bool) {
	v, _ := c.Get(openfeature.TargetingKey)
	key, ok := v.(string)
	return key, ok && key != ""
}

// A flagdContext is the member $flagd.
type flagdContext evalContext

// Get implements jsonlogic.Object.
func (c *flagdContext) Get(name string) (any, bool) {
	switch name {
	case "flagKey":
		return c.flag.keyValue, true
	case "timestamp":
		return float64(time.Now().Unix()), true
	}
	return nil, false
}
