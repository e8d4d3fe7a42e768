package history

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxClients = 10_000

	maxActiveOfClient = 16
	// From crowded requests on, each client may have only one. maxRequests is the limit.
	crowded     = 256
	maxRequests = 1024
)

const day = 24 * time.Hour

// budgets limits what each client may send in a day. A budget refills evenly.
type budgets struct {
	entries, bytes int // per day

	mu      sync.Mutex
	active  int // requests of all clients
	clients map[string]*budget
}

type budget struct {
	entries, bytes *rate.Limiter
	active         int
}

func newBudget(perDay int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(perDay)/day.Seconds()), perDay)
}

type refusal int

const (
	admitted   refusal = iota
	overBudget         // the client has used up its budget
	overload           // all clients together send too many requests
)

func (b *budgets) enter(client string, now time.Time) (wait time.Duration, r refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.clients[client]
	if c == nil {
		if len(b.clients) >= maxClients && !b.sweep(now) {
			return time.Minute, overBudget
		}
		c = &budget{entries: newBudget(b.entries), bytes: newBudget(b.bytes)}
		b.clients[client] = c
	}
	// The client's own limits come first, so that a busy client gets 429 and not 503.
	if c.active >= maxActiveOfClient {
		return time.Second, overBudget
	}
	if wait := max(until(c.entries, 1, now), until(c.bytes, 1, now)); wait > 0 {
		return wait, overBudget
	}
	if b.active >= maxRequests || b.active >= crowded && c.active > 0 {
		return time.Second, overload
	}
	c.active++
	b.active++
	return 0, admitted
}

func (b *budgets) leave(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[client].active--
	b.active--
}

// spend takes the bytes that were read, and the entries if enough are left for all of them. A
// request that is larger than the whole budget needs a full budget, or it would never pass.
func (b *budgets) spend(client string, entries, bytes int, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.clients[client]
	c.bytes.ReserveN(now, min(bytes, b.bytes))
	if n := min(entries, b.entries); !c.entries.AllowN(now, n) {
		return until(c.entries, n, now), false
	}
	return 0, true
}

func until(l *rate.Limiter, n int, now time.Time) time.Duration {
	missing := float64(n) - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(min(math.Ceil(missing/float64(l.Limit())), 3600)) * time.Second
}

func (b *budgets) sweep(now time.Time) bool {
	for name, c := range b.clients {
		if c.active == 0 && until(c.entries, b.entries, now) == 0 && until(c.bytes, b.bytes, now) == 0 {
			delete(b.clients, name)
		}
	}
	return len(b.clients) < maxClients
}

func (b *budgets) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.clients)
}
