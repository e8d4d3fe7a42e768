package history

import (
	"maps"
	"sync"
)

type counters struct {
	mu     sync.Mutex
	values map[string]float64
}

func newCounters(names ...string) *counters {
	c := &counters{values: map[string]float64{}}
	for _, name := range names {
		c.values[name] = 0
	}
	return c
}

func (c *counters) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[name] += float64(n)
}

func (c *counters) set(name string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[name] = float64(n)
}

func (c *counters) all() map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.values)
}
