package tail

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"sync"
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
	dropped int     // records that found no room
	late    int     // what the records after the end count
	ended   bool
	written bool // it ended so
	listed  bool // it is or was in the store's list

	place *list.Element // in the store's list, while it holds records; guarded by store.mu
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
		return VerdictLost
	}
	t.dropped++
	return VerdictKept
}

// add keeps k with copies of its message and attributes. The oldest records make room.
func (t *Tail) add(k *record, message string, attrs []slog.Attr) Verdict {
	t.mu.Lock()
	if t.ended {
		defer t.mu.Unlock()
		if t.written && t.late+int(k.size) <= t.store.maxBytes {
			t.late += int(k.size)
			return VerdictLate
		}
		return VerdictLost
	}
	if t.held == nil {
		t.held = &buffer{}
	}
	grown := int(k.size)
	for t.size+grown > t.store.maxBytes && t.held.n > 0 {
		grown -= int(t.held.pop().size)
		t.dropped++
	}
	t.held.push(k, message, attrs)
	t.size += grown
	t.store.bytes.Add(int64(grown))
	first := t.held.n == 1
	t.mu.Unlock()
	t.store.grew(t, first)
	return VerdictKept
}

// A Record is one that was kept, with everything that its logger was given.
type Record struct {
	slog.Record
	Context context.Context // that it was logged with; it may be canceled
}

// Finish ends the tail. For one that is to be written it returns the records, in the
// order of their times; otherwise it hands them to the tail that this one is a part of,
// or forgets them. dropped is how many records found no room; those count only if the
// tail is written, and go to the outer one with the others. Only the first call returns
// records.
func (t *Tail) Finish(write bool) (records []Record, dropped int) {
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
	for t.held != nil && t.held.n > 0 {
		k := t.held.pop()
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
	t := Tail{store: newStore(nil, 0, 0)}
	t.Keep(context.Background(), h, r)
	k := t.held.pop()
	return k.complete(), int(k.size) + h.size, true
}
