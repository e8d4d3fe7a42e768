package observe

import (
	"context"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

const (
	logTail     = "tail"         // marks a record that waited for the end of its request
	logLate     = "late"         // marks a record logged after the end of its request
	logTailLeft = "attrs_left"   // attributes that did not fit
	logDropped  = "tail_dropped" // records that did not fit
)

// tail holds the log records of one request that are below the level, until it is
// known whether anybody wants them. It is a part of the request's state.
//
// Two locks guard it: mu what it holds, and that of its shard whether it may hold
// more. Who needs both takes the shard's first.
type tail struct {
	mu      sync.Mutex
	shard   *tailShard // nil: none yet
	chunks  [maxTailChunks]*chunk
	dropped int   // records of this request, or of jobs that are a part of it
	n       int32 // of chunks
	late    int32 // bytes of records since it ended
	ended   bool
	told    bool // it ended and was written
	listed  bool

	older, newer *state // in the shard's list, while it holds chunks
}

// A chunk is a piece of a tail, the unit in which memory is given out: each record
// is its length in two bytes and then itself.
type chunk struct {
	used    int
	records int
	data    [tailChunk]byte
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// tails is what an observer's tails share: the budget of the process. It is split in
// shards that are given out in turn, so that requests do not wait for one another.
type tails struct {
	next   atomic.Uint32
	shards [tailShards]tailShard

	written       atomic.Int64
	dropped, late lossCount
}

type tailShard struct {
	mu             sync.Mutex
	chunks         int    // given out
	oldest, newest *state // of those that hold any, by their start
	_              [64]byte
}

// bytes is what tails hold now.
func (ts *tails) bytes() int64 {
	n := 0
	for i := range ts.shards {
		s := &ts.shards[i]
		s.mu.Lock()
		n += s.chunks
		s.mu.Unlock()
	}
	return int64(n) * tailChunk
}

// keep packs r, logged by h, for the end of the request. It reports false when the
// request is over and was told, so that the record is to be written at once.
func (st *state) keep(ctx context.Context, h *logHandler, r *slog.Record) bool {
	if h.tooLong {
		st.tail.mu.Lock()
		defer st.tail.mu.Unlock()
		if st.tail.ended {
			st.obs.tails.late.Add(1)
		} else {
			st.tail.dropped++
		}
		return true
	}
	span, sc := spanOfRequest, trace.SpanContext{}
	if st.outer != nil || ctx != st.ctx {
		sc = trace.SpanContextFromContext(ctx)
		switch {
		case !sc.IsValid():
			span = spanNone
		case st.outer != nil || sc.SpanID() != st.spanID:
			span = spanOther
		}
	}
	// It is packed before the tail is locked: rendering a value may call the
	// application, which may log. Most records have room on the stack.
	var room [512]byte
	return st.addTail(h.root.packer.record(room[:0], h, r, span, sc))
}

// addTail is keep for a packed record.
func (st *state) addTail(packed []byte) bool {
	t := &st.tail
	t.mu.Lock()
	switch {
	case t.ended:
		defer t.mu.Unlock()
		return st.afterEnd(packed)
	case t.n > 0 && t.chunks[t.n-1].add(packed):
		t.mu.Unlock()
	default:
		if t.shard == nil {
			t.shard = &st.obs.tails.shards[st.obs.tails.next.Add(1)%tailShards]
		}
		t.mu.Unlock()
		return t.shard.grow(st, packed)
	}
	return true
}

// afterEnd is addTail for a request that is over; t.mu is held.
func (st *state) afterEnd(packed []byte) bool {
	t := &st.tail
	if t.told && int(t.late)+len(packed) <= maxTail {
		t.late += int32(len(packed))
		return false
	}
	st.obs.tails.late.Add(1)
	return true
}

func (c *chunk) add(packed []byte) bool {
	end := c.used + 2 + len(packed)
	if end > tailChunk {
		return false
	}
	binary.LittleEndian.PutUint16(c.data[c.used:], uint16(len(packed)))
	copy(c.data[c.used+2:], packed)
	c.used = end
	c.records++
	return true
}

// grow is addTail for a record for which there was no room.
func (s *tailShard) grow(st *state, packed []byte) bool {
	t := &st.tail
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended: // meanwhile
		return st.afterEnd(packed)
	case t.n > 0 && t.chunks[t.n-1].add(packed): // another goroutine was faster
		return true
	case t.n == maxTailChunks:
		// The oldest records make room for the newest, which are nearer to the failure.
		c := t.chunks[0]
		t.dropped += c.records
		copy(t.chunks[:], t.chunks[1:])
		c.used, c.records = 0, 0
		t.chunks[t.n-1] = c
		c.add(packed)
		return true
	}
	if s.chunks >= maxShardChunks {
		if !s.evict(st) {
			t.dropped++
			return true
		}
	}
	s.chunks++
	c := chunks.Get().(*chunk)
	t.chunks[t.n] = c
	t.n++
	c.add(packed)
	s.list(st)
	return true
}

// list puts st in its place among the shard's requests.
func (s *tailShard) list(st *state) {
	if st.tail.listed {
		return
	}
	st.tail.listed = true
	older := s.newest
	for older != nil && older.start.After(st.start) {
		older = older.tail.older
	}
	st.tail.older = older
	if older == nil {
		st.tail.newer, s.oldest = s.oldest, st
	} else {
		st.tail.newer, older.tail.newer = older.tail.newer, st
	}
	if st.tail.newer == nil {
		s.newest = st
	} else {
		st.tail.newer.tail.older = st
	}
}

func (s *tailShard) unlist(st *state) {
	t := &st.tail
	if !t.listed {
		return
	}
	if t.older == nil {
		s.oldest = t.newer
	} else {
		t.older.tail.newer = t.newer
	}
	if t.newer == nil {
		s.newest = t.older
	} else {
		t.newer.tail.older = t.older
	}
	t.older, t.newer, t.listed = nil, nil, false
}

// evict takes what the oldest request holds, to make room for asking. Of a request
// that still runs no more is known of its fingerprint than its route, or the name of
// a job: the first of each stays while there is a second. asking's lock is held.
func (s *tailShard) evict(asking *state) bool {
	var seen [16]string
	n := 0
	victim := s.oldest
	for st := s.oldest; st != nil; st = st.tail.newer {
		name := st.name()
		if slices.Contains(seen[:n], name) {
			victim = st
			break
		}
		if n < len(seen) {
			seen[n] = name
			n++
		}
	}
	if victim == nil {
		return false
	}
	if victim != asking {
		victim.tail.mu.Lock()
		defer victim.tail.mu.Unlock()
	}
	for _, c := range victim.tail.chunks[:victim.tail.n] {
		victim.tail.dropped += c.records
		c.free()
	}
	s.chunks -= int(victim.tail.n)
	clear(victim.tail.chunks[:])
	victim.tail.n = 0
	s.unlist(victim)
	return true
}

func (c *chunk) free() {
	c.used, c.records = 0, 0
	chunks.Put(c)
}

// closeTail ends the tail and hands out what it holds, in the order of the records'
// times, when the request is told; a job that is not hands its records to the request
// that it is a part of, for that may yet fail. With them go those that found no
// room: they are a loss only to who is told.
func (st *state) closeTail() (records []tailRecord, dropped int) {
	t := &st.tail
	t.mu.Lock()
	t.ended, t.told = true, st.told
	shard := t.shard
	t.mu.Unlock()
	if shard != nil {
		records = st.emptyTail(shard)
	}
	switch {
	case t.dropped == 0: // nobody changes it any more
	case st.told:
		st.obs.tails.dropped.Add(int64(t.dropped))
	case st.outer != nil:
		outer := &st.outer.tail
		outer.mu.Lock()
		if !outer.ended {
			outer.dropped += t.dropped
		}
		outer.mu.Unlock()
	}
	return records, t.dropped
}

// emptyTail hands out what an ended tail holds, and gives its memory back.
func (st *state) emptyTail(shard *tailShard) (records []tailRecord) {
	t := &st.tail
	shard.mu.Lock()
	shard.unlist(st)
	shard.mu.Unlock()
	// Nobody adds to an ended tail, and nobody evicts from one that is not listed.
	for i, c := range t.chunks[:t.n] {
		for data := c.data[:c.used]; len(data) > 0; {
			size := int(binary.LittleEndian.Uint16(data))
			packed := data[2 : 2+size]
			data = data[2+size:]
			switch {
			case st.told:
				records = append(records, unpackRecord(packed))
			case st.outer != nil && st.outer.open():
				st.outer.addTail(packed)
			}
		}
		c.free()
		t.chunks[i] = nil
	}
	shard.mu.Lock()
	shard.chunks -= int(t.n)
	shard.mu.Unlock()
	slices.SortStableFunc(records, func(a, b tailRecord) int { return a.record.Time.Compare(b.record.Time) })
	return records
}

// open reports whether the request still runs.
func (st *state) open() bool {
	st.tail.mu.Lock()
	defer st.tail.mu.Unlock()
	return !st.tail.ended
}

// writeTail writes what the request has kept, before its own record is written.
func (st *state) writeTail(records []tailRecord, more ...slog.Attr) {
	root := st.obs.handler.root
	for i := range records {
		r := &records[i]
		ctx := st.ctx
		ids := correlate(ctx, st)
		switch r.span {
		case spanNone:
			ids = ids[:1]
		case spanOther:
			ctx = trace.ContextWithSpanContext(ctx, r.other)
			ids = correlate(ctx, st)
		}
		addIDs(&r.record, ids, r.own)
		r.record.AddAttrs(slog.Bool(logTail, true))
		r.record.AddAttrs(more...)
		more = nil
		st.writeRecord(ctx, root.handler, r.record)
	}
}

func (st *state) writeRecord(ctx context.Context, h slog.Handler, r slog.Record) {
	defer st.obs.shield()
	st.obs.tails.written.Add(1)
	_ = st.obs.handler.root.count(h.Handle(ctx, r))
}
