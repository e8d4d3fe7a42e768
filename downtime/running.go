package downtime

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// An entry is a request or piece of work that was admitted and has not ended.
type entry struct {
	kind     string // kindHTTP, or the name of work
	effect   Effect
	held     bool          // it was handed on: see Guard.Hold
	bypassed bool          // a window refused it, and a Bypass let it in
	epoch    uint64        // of the view that admitted it, at least 1
	since    time.Duration // from the guard's start to the tick before it was admitted
	task     *task         // nil: nothing can be ended, or not yet

	// What scopes look at. It is a copy, because handlers change their request.
	isRequest          bool // else it is matched by kind
	method, host, path string
	url                *url.URL // of a request whose URL has more than a path that scopes look at
}

// kindHTTP is what reports call requests.
const kindHTTP = "http"

// isIn reports whether the entry is in scope. Doubt means that it is.
func (e *entry) isIn(s *schedule.Scope) bool {
	if !e.isRequest {
		return s.CoversWork(e.kind)
	}
	if s.IsEmpty() {
		return true
	}
	return s.Covers(&schedule.Request{HTTP: e.request()})
}

// request is what scopes look at, as a request. Nil means that the entry is none.
func (e *entry) request() *http.Request {
	if !e.isRequest {
		return nil
	}
	r := &http.Request{Method: e.method, Host: e.host, URL: e.url}
	if r.URL == nil {
		r.URL = &url.URL{Path: e.path}
	}
	return r
}

// endedBy is the window in progress that ends the entry, if it is a stream; nil: none does.
func (e *entry) endedBy(v *view, by *visitor) *occurrence {
	for _, o := range v.deciding {
		if !o.isOn() || !o.isShut() || !refuses(o.Window.Mode, e.effect) || !e.isIn(&o.Window.Scope) {
			continue
		}
		// A stream that has bypassed a window must not hold it shut beyond its end.
		if o.phase == schedule.PhaseOverrun || !by.lets(o) {
			return o
		}
	}
	return nil
}

// closure is that of a window that ends the entry.
func (e *entry) closure(by *occurrence, v *view, now time.Time) closure {
	a := asking{entry: *e, http: e.request(), view: v}
	return a.closure(by, false, now)
}

func (e *entry) setRequest(r *http.Request) {
	u := r.URL
	e.isRequest, e.method, e.host, e.path = true, r.Method, r.Host, u.Path
	if u.RawPath != "" || u.Opaque != "" || u.Host != "" && u.Host != r.Host {
		e.url = &url.URL{Host: u.Host, Path: u.Path, RawPath: u.RawPath, Opaque: u.Opaque}
	}
}

// running is the list of what runs now. It is the guard's counter, and can say what it has
// counted. It is cut into shards, chosen at random, so that processors seldom meet.
type running struct {
	shards [64]shard
	begun  time.Time
	clock  atomic.Int64 // nanoseconds from begun to the last tick

	sealing sync.Mutex // held while a window is sealed, and to see whether one is
}

// A shard has room for as many entries as ever ran in it at once.
type shard struct {
	mu      sync.Mutex
	entries []entry // of the free ones the epoch is 0
	free    []int32
	_       [8]byte
}

type place struct {
	shard *shard
	index int32
}

// enter adds an entry. When it has returned, every look at the list sees the entry.
func (r *running) enter(e *entry) place {
	s := &r.shards[rand.Uint32()%uint32(len(r.shards))]
	since := time.Duration(r.clock.Load())
	s.mu.Lock()
	if len(s.free) == 0 {
		s.free = append(s.free, int32(len(s.entries)))
		s.entries = append(s.entries, entry{})
	}
	last := len(s.free) - 1
	at := s.free[last]
	s.free = s.free[:last]
	to := &s.entries[at]
	*to, to.since = *e, since
	s.mu.Unlock()
	return place{s, at}
}

func (p place) leave() {
	p.shard.mu.Lock()
	p.shard.entries[p.index] = entry{}
	p.shard.free = append(p.shard.free, p.index)
	p.shard.mu.Unlock()
}

// attach is for an entry that has not left.
func (p place) attach(t *task) {
	p.shard.mu.Lock()
	p.shard.entries[p.index].task = t
	p.shard.mu.Unlock()
}

// tick sets the clock that entries get their time from.
func (r *running) tick(mono time.Duration) { r.clock.Store(int64(mono)) }

// each calls visit for each entry, with no lock held: an odd path takes a while to match.
func (r *running) each(visit func(*entry)) {
	var copied []entry
	for i := range r.shards {
		s := &r.shards[i]
		copied = copied[:0]
		s.mu.Lock()
		if len(s.free) < len(s.entries) {
			copied = append(copied, s.entries...)
		}
		s.mu.Unlock()
		for j := range copied {
			if copied[j].epoch > 0 {
				visit(&copied[j])
			}
		}
	}
}

func (r *running) count() (n int) {
	r.each(func(*entry) { n++ })
	return n
}
