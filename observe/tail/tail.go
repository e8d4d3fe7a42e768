package tail

import (
	"container/list"
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A record waits for the end of its tail.
type record struct {
	at      time.Time
	message string
	level   slog.Level
	pc      uintptr
	attrs   []slog.Attr
	h       *Handler
	ctx     context.Context
	left    int // attributes that did not fit
	size    int // what it counts
}

// complete returns k with everything that its logger was given.
func (k *record) complete() slog.Record {
	r := slog.NewRecord(k.at, k.level, k.message, k.pc)
	r.AddAttrs(k.h.groups[0].kept...)
	r.AddAttrs(k.h.nest(k.attrs, true)...)
	if k.left > 0 {
		r.AddAttrs(slog.Int(KeyLeft, k.left))
	}
	return r
}

// A Tail holds the records of one request, job or other scope until it is known whether
// anybody wants them. Its methods are safe for concurrent use.
type Tail struct {
	store *store
	outer *Tail // that it is a part of; nil: none

	mu      sync.Mutex
	name    string
	*held       // nil: nothing
	size    int // what the records count
	dropped int // records that found no room
	late    int // what the records after the end count
	ended   bool
	written bool // it ended so

	place *list.Element // in the store's list, while it holds records; guarded by store.mu
}

// held are the records of a tail.
type held struct {
	records []record
	head    int             // the first of them that still waits
	attrs   []slog.Attr     // the block that holds the attributes of the last records
	texts   strings.Builder // the block that holds their texts
}

type contextKey struct{}

// Start begins a tail. name tells what is alike, such as the route of a request: see
// "Bounds". A tail that starts inside another, by its context, hands its records to that
// one when it is not written.
func (h *Handler) Start(ctx context.Context, name string) (context.Context, *Tail) {
	t := &Tail{}
	t.Begin(h, h.tailOf(ctx), name)
	return context.WithValue(ctx, contextKey{}, t), t
}

// tailOf returns the tail that ctx belongs to, if it is one of this handler.
func (h *Handler) tailOf(ctx context.Context) *Tail {
	t, _ := ctx.Value(contextKey{}).(*Tail)
	if t == nil || t.store != h.store {
		return nil
	}
	return t
}

// Begin begins t, a zero Tail, as [Handler.Start] does, for programs that find it by
// their own context and call Keep. outer may be nil.
func (t *Tail) Begin(h *Handler, outer *Tail, name string) {
	t.store, t.outer, t.name = h.store, outer, name
}

// SetName changes the name that [Handler.Start] was given.
func (t *Tail) SetName(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// A Verdict says what became of a record.
type Verdict uint8

// The verdicts of [Tail.Keep].
const (
	VerdictKept Verdict = iota // the record waits, or found no room and counts as dropped
	VerdictLate                // the tail is written: write the record at once
	VerdictLost                // the tail is over and was not written, or had late records enough
)

// String returns the verdict in a word.
func (v Verdict) String() string { return [...]string{"kept", "late", "lost"}[v] }

// Keep keeps r, which h or a handler made from it was given, for the end.
func (t *Tail) Keep(ctx context.Context, h *Handler, r slog.Record) Verdict {
	// Values are rendered before the tail is locked, because that calls the application,
	// which may log. Most records have room on the stack.
	var room [8]slog.Attr
	attrs, size, left := room[:0], recordSize+min(len(r.Message), maxText)+h.size, h.left
	r.Attrs(func(a slog.Attr) bool {
		kept, n := h.attr(a, 0)
		switch {
		case size+n > maxRecord:
			left++
		case n > 0:
			attrs = append(attrs, kept)
			size += n
		}
		return true
	})
	size -= h.size // it is the logger's
	k := record{at: r.Time, message: cut(r.Message, maxText), level: r.Level, pc: r.PC, h: h, ctx: ctx, left: left, size: size}
	return t.add(&k, attrs)
}

// add keeps k with attrs. It copies their texts, so that a part of something large does not
// keep the whole. The oldest records make room.
func (t *Tail) add(k *record, attrs []slog.Attr) Verdict {
	t.mu.Lock()
	if t.ended {
		defer t.mu.Unlock()
		if t.written && !k.h.tooLong && t.late+k.size <= t.store.maxBytes {
			t.late += k.size
			return VerdictLate
		}
		return VerdictLost
	}
	if k.h.tooLong {
		t.dropped++
		t.mu.Unlock()
		return VerdictKept
	}
	if t.held == nil {
		t.held = &held{}
	}
	grown := k.size
	var copied []slog.Attr
	for t.size+grown > t.store.maxBytes && len(t.waiting()) > 0 {
		gone := &t.records[t.head]
		grown -= gone.size
		copied = gone.attrs[:0] // its room is used again
		*gone = record{}
		t.head++
		t.dropped++
	}
	if len(t.records) == cap(t.records) && t.head > len(t.records)/2 {
		t.records, t.head = slices.Delete(t.records, 0, t.head), 0
	}
	if cap(copied) < len(attrs) {
		if cap(t.attrs)-len(t.attrs) < len(attrs) {
			t.attrs = make([]slog.Attr, 0, max(16, len(attrs)))
		}
		start := len(t.attrs)
		t.attrs = t.attrs[:start+len(attrs)]
		copied = t.attrs[start:start:len(t.attrs)]
	}
	kept := *k
	kept.message, kept.attrs = t.text(k.message), append(copied, attrs...)
	t.own(kept.attrs)
	t.records = append(t.records, kept)
	t.size += grown
	t.store.bytes.Add(int64(grown))
	first := len(t.waiting()) == 1
	t.mu.Unlock()
	t.store.grew(t, first)
	return VerdictKept
}

// waiting are the records that wait. t.mu is held.
func (t *Tail) waiting() []record {
	if t.held == nil {
		return nil
	}
	return t.records[t.head:]
}

// own copies the texts in attrs.
func (t *held) own(attrs []slog.Attr) {
	for i := range attrs {
		a := &attrs[i]
		a.Key = t.text(a.Key)
		switch a.Value.Kind() {
		case slog.KindString:
			a.Value = slog.StringValue(t.text(a.Value.String()))
		case slog.KindGroup:
			t.own(a.Value.Group())
		}
	}
}

func (t *held) text(s string) string {
	if t.texts.Cap()-t.texts.Len() < len(s) {
		t.texts = strings.Builder{}
		t.texts.Grow(max(1<<10, len(s)))
	}
	start := t.texts.Len()
	t.texts.WriteString(s)
	return t.texts.String()[start:]
}

// A Record is one that was kept, with everything that its logger was given.
type Record struct {
	slog.Record
	Context context.Context // that it was logged with; it may be canceled
}

// Finish ends the tail. If write is set, it returns the records, in the order of their times;
// else it hands them to the tail that this one is a part of, or drops them. dropped is how many
// found no room, which the outer tail counts, too. Only the first call returns records.
func (t *Tail) Finish(write bool) (records []Record, dropped int) {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return nil, 0
	}
	t.ended, t.written = true, write
	holds := len(t.waiting()) > 0 // without, it is in no list
	t.mu.Unlock()
	if holds {
		t.store.remove(t)
	}
	// Nobody adds to an ended tail, and nobody evicts from one that is not in the list.
	t.store.bytes.Add(-int64(t.size))
	for i := range t.waiting() {
		k := &t.waiting()[i]
		switch {
		case write:
			records = append(records, Record{k.complete(), k.ctx})
		case t.outer != nil:
			t.outer.add(k, k.attrs)
		}
	}
	t.held, t.size = nil, 0
	slices.SortStableFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
	if !write && t.outer != nil {
		t.outer.mu.Lock()
		if !t.outer.ended {
			t.outer.dropped += t.dropped
		}
		t.outer.mu.Unlock()
	}
	return records, t.dropped
}

// End is [Tail.Finish], and writes the records to the wrapped handler with the attribute
// tail=true. It returns how many found no room, and the first error of the handler.
func (t *Tail) End(write bool) (dropped int, err error) {
	records, dropped := t.Finish(write)
	for _, r := range records {
		r.AddAttrs(slog.Bool(KeyTail, true))
		if failed := t.store.base.Handle(context.WithoutCancel(r.Context), r.Record); err == nil {
			err = failed
		}
	}
	return dropped, err
}

// Complete returns r as [Tail.Finish] would, for whoever keeps records in another place,
// and what it counts. ok is false when h has so many groups that records are not kept.
func (h *Handler) Complete(r slog.Record) (complete slog.Record, size int, ok bool) {
	if h.tooLong {
		return r, 0, false
	}
	t := Tail{store: &store{maxBytes: math.MaxInt, maxTotal: math.MaxInt64}}
	t.Keep(context.Background(), h, r)
	k := &t.records[0]
	return k.complete(), k.size + h.size, true
}

// A store is what the tails of a handler share: the bound on all of them.
type store struct {
	base     slog.Handler // that tails are written to
	maxBytes int          // of one tail
	maxTotal int64        // of all
	bytes    atomic.Int64 // what the records of all tails count

	mu    sync.Mutex // taken before that of a tail
	tails list.List  // *Tail: those that hold records, in the order in which they began to
}

// Bytes returns what all records that wait count, as "Bounds" says.
func (h *Handler) Bytes() int64 { return h.store.bytes.Load() }

// grew is called when t has one more record, which is the only one if first.
func (s *store) grew(t *Tail, first bool) {
	if !first && s.bytes.Load() <= s.maxTotal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	if t.place == nil && !t.ended && len(t.waiting()) > 0 {
		t.place = s.tails.PushBack(t)
	}
	t.mu.Unlock()
	for s.bytes.Load() > s.maxTotal && s.tails.Len() > 0 {
		s.evict()
	}
}

// evict takes the records of the tail that has waited longest. The first of each name
// stays while there is a second, because nothing else is known of what still runs.
// s.mu is held.
func (s *store) evict() {
	victim := s.tails.Front()
	seen := map[string]bool{}
	for e := s.tails.Front(); e != nil && len(seen) < 16; e = e.Next() {
		t := e.Value.(*Tail)
		t.mu.Lock()
		name := t.name
		t.mu.Unlock()
		if seen[name] {
			victim = e
			break
		}
		seen[name] = true
	}
	t := s.tails.Remove(victim).(*Tail)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.place = nil
	t.dropped += len(t.waiting())
	s.bytes.Add(-int64(t.size))
	t.held, t.size = nil, 0
}

// remove takes t out of the list.
func (s *store) remove(t *Tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.place != nil {
		s.tails.Remove(t.place)
		t.place = nil
	}
}
