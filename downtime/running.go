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

// An entry is an admitted request or piece of work that has not ended.
type entry struct {
	kind     string // kindHTTP, or the name of work
	effect   Effect
	held     bool          // by Guard.Hold
	bypassed bool          // a window refused it and a Bypass admitted it
	epoch    uint64        // of the view that admitted it, at least 1
	since    time.Duration // from the guard's start to the tick before it was admitted
	task     *task         // may be nil

	// The input of scopes. It is a copy, because handlers change their request.
	isRequest          bool // otherwise scopes match kind
	method, host, path string
	url                *url.URL // set if scopes need more of the URL than path
}

// kindHTTP is the kind of requests in reports.
const kindHTTP = "http"

// isIn reports whether the entry is in scope. In doubt it is.
func (e *entry) isIn(s *schedule.Scope) bool {
	if !e.isRequest {
		return s.CoversWork(e.kind)
	}
	if s.IsEmpty() {
		return true
	}
	return s.Covers(&schedule.Request{HTTP: e.request()})
}

// request returns the input of scopes as a request, or nil for work.
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

// endedBy returns the window in progress that ends the entry if it is a stream, or nil.
func (e *entry) endedBy(v *view, by *visitor) *occurrence {
	for _, o := range v.deciding {
		if !o.isOn() || !o.isShut() || !refuses(o.Window.Mode, e.effect) || !e.isIn(&o.Window.Scope) {
			continue
		}
		// A stream that has bypassed a window must not keep it closed beyond its end.
		if o.phase == schedule.PhaseOverrun || !by.lets(o) {
			return o
		}
	}
	return nil
}

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

// running is the list of entries, which is the guard's counter. It has shards, chosen at random, so that
// processors rarely contend.
type running struct {
	shards [64]shard
	begun  time.Time
	clock  atomic.Int64 // nanoseconds from begun to the last tick

	sealing sync.Mutex // held to seal a window and to check whether one is sealed
}

// A shard keeps the memory of as many entries as have run in it at once.
type shard struct {
	mu      sync.Mutex
	entries []entry // free ones have the epoch 0
	free    []int32
	_       [8]byte
}

type place struct {
	shard *shard
	index int32
}

// enter adds an entry. After it has returned, every count includes the entry.
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

// attach sets the task of an entry, which must not have left.
func (p place) attach(t *task) {
	p.shard.mu.Lock()
	p.shard.entries[p.index].task = t
	p.shard.mu.Unlock()
}

// tick sets the clock for the times of entries.
func (r *running) tick(mono time.Duration) { r.clock.Store(int64(mono)) }

// each calls visit for each entry without a lock, because matching an unusual path takes time.
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
