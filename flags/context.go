package flags

import (
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// An evalContext is the data of a rule: $flagd, the static attributes, and the evaluation context.
type evalContext struct {
	flag   *flag
	attrs  map[string]any
	static map[string]any
	scope  jsonlogic.Scope

	keyless bool // the rule asked for a targeting key, and it is missing or empty

	// For an exposure: whether it is collected, and what fractional decided.
	collecting bool
	bucketed   []byte
	split      bool
	share      float64
	subject    uint64
}

var contexts = sync.Pool{New: func() any { return new(evalContext) }}

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

// Fields implements jsonlogic.Fielder. Without static attributes, all fields except $flagd are in
// one map.
func (c *evalContext) Fields() map[string]any {
	if len(c.static) > 0 {
		return nil
	}
	return c.attrs
}

// targetingKey returns false if the key is missing, empty or not a string.
func (c *evalContext) targetingKey() (string, bool) {
	v, _ := c.Get(openfeature.TargetingKey)
	key, _ := v.(string)
	c.keyless = c.keyless || key == ""
	return key, key != ""
}

// A flagdContext is the field $flagd.
type flagdContext evalContext

func (c *flagdContext) Get(name string) (any, bool) {
	switch name {
	case "flagKey":
		return c.flag.keyValue, true
	case "timestamp":
		return float64(time.Now().Unix()), true
	}
	return nil, false
}
