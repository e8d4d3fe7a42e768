package tail

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Tail holds the records of one request, job or other scope until it is known whether
// anybody wants them. Its methods are safe for concurrent use.
type Tail struct {
	store *store
	outer *Tail // that it is a part of; nil: none

	mu      sync.Mutex
	name    string
	held    *buffer // nil: nothing
	size    int     // what the records in it count
	dropped int             // records that found no room
	late    int             // what the records after the end count
	ended   bool
	written bool // it ended so
	listed  bool // it is or was in the store's list

	place *list.Element // in the store's list, while it holds records; guarded by store.mu
}

// A buffer is what a tail holds.
type buffer struct {
	records ring
	texts   strings.Builder // the block that holds the texts of the last records
	attrs   []slog.Attr     // the block that holds their attributes
}

// A record waits for the end of its tail.
type record struct {
	at      time.Time
	message string
	level   slog.Level
	pc      uintptr
	attrs   []slog.Attr
	h       *Handler
	ctx     context.Context
	left    int32 // attributes that did not fit
	size    int32 // what it counts
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

func (t *Tail) currentName() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

// SetName changes the name that [Handler.Start] was given.
func (t *Tail) SetName(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// A Verdict is what became of a record.
type Verdict uint8

// The verdicts of [Tail.Keep].
const (
	Kept Verdict = iota // the record waits, or found no room and is counted as dropped
	Late                // the tail is written: write the record at once
	Lost                // the tail is over and was not written, or has had late records enough
)

// Keep keeps r, which h or a handler made from it was given, for the end.
func (t *Tail) Keep(ctx context.Context, h *Handler, r slog.Record) Verdict {
	if h.tooLong {
		return t.miss()
	}
	// Values are rendered before the tail is locked, because that calls the application,
	// which may log. Most records have room on the stack.
	var room [8]slog.Attr
	attrs, size, left := room[:0], recordSize+min(len(r.Message), maxText)+h.size, h.left
	r.Attrs(func(a slog.Attr) bool {
		kept, n, ok := simple(a)
		if ok && size+n <= maxRecord {
			attrs = append(attrs, kept)
		} else if !ok {
			var more []slog.Attr
			if more, n = h.renderer.attr(nil, a, 0); size+n <= maxRecord {
				attrs = append(attrs, more...)
			}
		}
		if size+n > maxRecord {
			left++
		} else {
			size += n
		}
		return true
	})
	size -= h.size // it is the logger's
	k := record{at: r.Time, level: r.Level, pc: r.PC, h: h, ctx: ctx, left: int32(left), size: int32(size)}
	return t.add(&k, cut(r.Message, maxText), attrs)
}

// miss counts a record that cannot be kept.
func (t *Tail) miss() Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return Lost
	}
	t.dropped++
	return Kept
}

// add keeps k with copies of its message and attributes.
func (t *Tail) add(k *record, message string, attrs []slog.Attr) Verdict {
	t.mu.Lock()
	if t.ended {
		defer t.mu.Unlock()
		if t.written && t.late+int(k.size) <= t.store.maxBytes {
			t.late += int(k.size)
			return Late
		}
		return Lost
	}
	if t.held == nil {
		t.held = &buffer{}
	}
	t.held.copy(k, message, attrs)
	first := t.push(k)
	t.mu.Unlock()
	t.store.grew(t, first)
	return Kept
}

// copy gives k a message and attributes in memory of the buffer, so that a part of
// something large does not keep the whole.
func (b *buffer) copy(k *record, message string, attrs []slog.Attr) {
	if room := cap(b.attrs) - len(b.attrs); room < len(attrs) {
		b.attrs = make([]slog.Attr, 0, max(16, len(attrs)))
	}
	start := len(b.attrs)
	b.attrs = append(b.attrs, attrs...)
	k.attrs = b.attrs[start:len(b.attrs):len(b.attrs)]
	k.message = b.text(message)
	for i := range k.attrs {
		a := &k.attrs[i]
		a.Key = b.text(a.Key)
		if a.Value.Kind() == slog.KindString {
			a.Value = slog.StringValue(b.text(a.Value.String()))
		}
	}
}

func (b *buffer) text(s string) string {
	const block = 2 << 10
	if b.texts.Cap()-b.texts.Len() < len(s) {
		b.texts = strings.Builder{}
		b.texts.Grow(max(block, len(s)))
	}
	start := b.texts.Len()
	b.texts.WriteString(s)
	return b.texts.String()[start:]
}

// push adds k, for which the oldest make room, and reports whether it is the only one.
// t.mu is held.
func (t *Tail) push(k *record) (first bool) {
	t.size += int(k.size)
	t.store.bytes.Add(int64(k.size))
	for t.size > t.store.maxBytes && t.held.records.n > 0 {
		old := t.held.records.pop()
		t.size -= int(old.size)
		t.store.bytes.Add(-int64(old.size))
		t.dropped++
	}
	t.held.records.push(k)
	return t.held.records.n == 1
}

// A Record is one that was kept, with everything that its logger was given.
type Record struct {
	slog.Record
	Context context.Context // that it was logged with; it may be canceled
}

// Close ends the tail. For one that is to be written it returns the records, in the
// order of their times; otherwise it hands them to the tail that this one is a part of,
// or forgets them. dropped is how many records found no room; those count only if the
// tail is written, and go to the outer one with the others. Only the first call returns
// records.
func (t *Tail) Close(write bool) (records []Record, dropped int) {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return nil, 0
	}
	t.ended, t.written = true, write
	listed := t.listed
	t.mu.Unlock()
	if listed {
		t.store.remove(t)
	}
	// Nobody adds to an ended tail, and nobody evicts from one that is not in the list.
	for t.held != nil && t.held.records.n > 0 {
		k := t.held.records.pop()
		t.store.bytes.Add(-int64(k.size))
		switch {
		case write:
			records = append(records, Record{k.complete(), k.ctx})
		case t.outer != nil:
			t.outer.add(k, k.message, k.attrs)
		}
	}
	t.held, t.size = nil, 0
	slices.SortStableFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
	if !write && t.outer != nil && t.dropped > 0 {
		t.outer.mu.Lock()
		if !t.outer.ended {
			t.outer.dropped += t.dropped
		}
		t.outer.mu.Unlock()
	}
	return records, t.dropped
}

// End is [Tail.Close], and writes the records to the wrapped handler with the attribute
// tail=true. It returns how many found no room, and the first error of the handler.
func (t *Tail) End(write bool) (dropped int, err error) {
	records, dropped := t.Close(write)
	for _, r := range records {
		r.AddAttrs(slog.Bool(KeyTail, true))
		if failed := t.store.base.Handle(context.WithoutCancel(r.Context), r.Record); err == nil {
			err = failed
		}
	}
	return dropped, err
}

// complete returns k with everything that its logger was given.
func (k *record) complete() slog.Record {
	r := slog.NewRecord(k.at, k.level, k.message, k.pc)
	r.AddAttrs(k.h.groups[0].kept...)
	r.AddAttrs(k.h.nest(k.attrs, asKept)...)
	if k.left > 0 {
		r.AddAttrs(slog.Int(KeyLeft, int(k.left)))
	}
	return r
}

// Complete returns r as [Tail.Close] would, for whoever keeps records in another place,
// and what it counts. ok is false when h has so many groups that records are not kept.
func (h *Handler) Complete(r slog.Record) (complete slog.Record, size int, ok bool) {
	if h.tooLong {
		return r, 0, false
	}
	t := Tail{store: newStore(nil, 0, 0)}
	t.Keep(context.Background(), h, r)
	k := t.held.records.pop()
	return k.complete(), int(k.size) + h.size, true
}

// A ring is a queue of records.
type ring struct {
	all     []record
	head, n int
}

func (q *ring) push(k *record) {
	if q.n == len(q.all) {
		all := make([]record, q.n+8)
		for i := range q.n {
			all[i] = q.all[(q.head+i)%q.n]
		}
		q.all, q.head = all, 0
	}
	q.all[(q.head+q.n)%len(q.all)] = *k
	q.n++
}

func (q *ring) pop() *record {
	k := q.all[q.head]
	q.all[q.head] = record{}
	q.head = (q.head + 1) % len(q.all)
	q.n--
	return &k
}
