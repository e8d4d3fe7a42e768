package history

import (
	"math"
	"sync"
	"time"
)

// maxClients bounds of how many clients it is known what they have sent.
const maxClients = 10_000

// budgets bound what each client may send in a day. What is unused fills up evenly.
type budgets struct {
	entries, bytes float64 // of a day
	atOnce         int

	mu      sync.Mutex
	clients map[string]*budget
}

type budget struct {
	entries, bytes float64 // left
	at             time.Time
	active         int
}

const day = 24 * time.Hour

// enter lets a request of a client begin. Where it may not, wait says when it might.
func (b *budgets) enter(client string, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.client(client, now)
	if c == nil {
		return time.Minute, false
	}
	if c.active >= b.atOnce {
		return time.Second, false
	}
	if c.entries < 1 {
		return b.wait(1-c.entries, b.entries), false
	}
	if c.bytes < 1 {
		return b.wait(1-c.bytes, b.bytes), false
	}
	c.active++
	return 0, true
}

func (b *budgets) leave(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.clients[client]; c != nil {
		c.active--
	}
}

// spend takes bytes that have been read already, and entries when there are enough left
// for all of them, or all that there can be: else a request of more than that would never
// come in, nor would those behind it.
func (b *budgets) spend(client string, entries, bytes int, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.client(client, now)
	if c == nil {
		return time.Minute, false
	}
	c.bytes -= float64(bytes)
	if n := min(float64(entries), b.entries); c.entries < n {
		return b.wait(n-c.entries, b.entries), false
	}
	c.entries -= float64(entries)
	return 0, true
}

// wait is how long it takes until that much is there.
func (b *budgets) wait(missing, perDay float64) time.Duration {
	return min(time.Duration(math.Ceil(missing/perDay*day.Seconds()))*time.Second, time.Hour)
}

// client gives a client's budget as of now, or nil when there are too many clients.
func (b *budgets) client(name string, now time.Time) *budget {
	c := b.clients[name]
	if c == nil {
		if len(b.clients) >= maxClients && !b.sweep(now) {
			return nil
		}
		c = &budget{entries: b.entries, bytes: b.bytes, at: now}
		b.clients[name] = c
	}
	c.fill(b, now)
	return c
}

func (c *budget) fill(b *budgets, now time.Time) {
	if passed := now.Sub(c.at); passed > 0 {
		share := passed.Seconds() / day.Seconds()
		c.entries = min(b.entries, c.entries+share*b.entries)
		c.bytes = min(b.bytes, c.bytes+share*b.bytes)
	}
	c.at = now
}

// sweep forgets those who have everything left.
func (b *budgets) sweep(now time.Time) bool {
	for name, c := range b.clients {
		c.fill(b, now)
		if c.active == 0 && c.entries == b.entries && c.bytes == b.bytes {
			delete(b.clients, name)
		}
	}
	return len(b.clients) < maxClients
}

func (b *budgets) known() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.clients)
}
