package tail

import (
	"context"
	"log/slog"
	"strings"
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
	left    int32 // attributes that did not fit
	size    int32 // what it counts
}

// A buffer is a queue of records. It copies their texts and attributes, so that a part of
// something large does not keep the whole.
type buffer struct {
	all     []record // a ring
	head, n int
	attrs   []slog.Attr     // the block that holds the attributes of the last records
	texts   strings.Builder // the block that holds their texts
}

// push appends k, with copies of message and attrs.
func (b *buffer) push(k *record, message string, attrs []slog.Attr) {
	if b.n == len(b.all) {
		all := make([]record, b.n+8)
		for i := range b.n {
			all[i] = b.all[(b.head+i)%b.n]
		}
		b.all, b.head = all, 0
	}
	at := &b.all[(b.head+b.n)%len(b.all)]
	b.n++
	copied := at.attrs[:0] // of a record that has gone
	if cap(copied) < len(attrs) {
		if cap(b.attrs)-len(b.attrs) < len(attrs) {
			b.attrs = make([]slog.Attr, 0, max(16, len(attrs)))
		}
		start := len(b.attrs)
		b.attrs = b.attrs[:start+len(attrs)]
		copied = b.attrs[start:start:len(b.attrs)]
	}
	copied = append(copied, attrs...)
	for i := range copied {
		a := &copied[i]
		a.Key = b.text(a.Key)
		if a.Value.Kind() == slog.KindString {
			a.Value = slog.StringValue(b.text(a.Value.String()))
		}
	}
	*at = *k
	at.message, at.attrs = b.text(message), copied
}

// pop takes the oldest record. It is valid until the next push.
func (b *buffer) pop() *record {
	k := &b.all[b.head]
	b.head = (b.head + 1) % len(b.all)
	b.n--
	return k
}

func (b *buffer) text(s string) string {
	if b.texts.Cap()-b.texts.Len() < len(s) {
		block := 512 // most requests log little
		if b.n > 8 {
			block = 2 << 10
		}
		b.texts = strings.Builder{}
		b.texts.Grow(max(block, len(s)))
	}
	start := b.texts.Len()
	b.texts.WriteString(s)
	return b.texts.String()[start:]
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
