package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// The keys of the attributes that this package adds.
const (
	KeyTail = "tail"       // true: the record waited for the end
	KeyLate = "late"       // true: the record came after the end
	KeyLeft = "attrs_left" // how many attributes did not fit
)

// Options configure a [Handler].
type Options struct {
	// Level is the lowest level of records that are written at once. Nil means what the
	// wrapped handler's Enabled says.
	Level slog.Leveler

	// KeepLevel is the lowest level of records that are kept. Nil means slog.LevelDebug.
	KeepLevel slog.Leveler

	// MaxBytes bounds one tail. Zero means 20 KiB.
	MaxBytes int

	// MaxTotal bounds all tails. Zero means 16 MiB.
	MaxTotal int
}

// A Handler is a slog.Handler that writes some records at once and keeps others.
// The wrapped handler must accept records of every level in its Handle.
type Handler struct {
	store *store
	all   slog.Handler // the wrapped one with all that With and WithGroup gave
	top   slog.Handler // the wrapped one with what was given before the first group

	level, keepLevel slog.Leveler
	text             bool // the wrapped handler is a slog.TextHandler

	groups  []group // groups[0] is the top level
	size    int     // of what the groups keep
	left    int     // attributes that they do not
	tooLong bool    // there are so many groups that records are not kept
}

// A group is what one WithGroup opened, with the attributes that With gave to it.
type group struct {
	name  string
	attrs []slog.Attr // as they were given
	kept  []slog.Attr // as kept records show them
}

// New wraps a handler. Nil opts are the defaults. The error is for a nil handler or
// negative options.
func New(h slog.Handler, opts *Options) (*Handler, error) {
	if h == nil {
		return nil, errors.New("tail: the handler is nil")
	}
	if opts == nil {
		opts = &Options{}
	}
	if opts.MaxBytes < 0 || opts.MaxTotal < 0 {
		return nil, fmt.Errorf("tail: Options.MaxBytes and MaxTotal must not be negative, got %d and %d", opts.MaxBytes, opts.MaxTotal)
	}
	t := &Handler{
		all: h, top: h,
		store: &store{base: h, maxBytes: cmp.Or(opts.MaxBytes, 20<<10), maxTotal: int64(cmp.Or(opts.MaxTotal, 16<<20))},
		level: opts.Level, keepLevel: opts.KeepLevel, groups: []group{{}},
	}
	if t.keepLevel == nil {
		t.keepLevel = slog.LevelDebug
	}
	_, t.text = h.(*slog.TextHandler)
	return t, nil
}

// Enabled reports whether a record of that level is written or kept.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Writes(ctx, level) || h.Keeps(level) && h.tailOf(ctx) != nil
}

// Writes reports whether a record of that level is written at once.
func (h *Handler) Writes(ctx context.Context, level slog.Level) bool {
	if h.level != nil && level < h.level.Level() {
		return false
	}
	return h.all.Enabled(ctx, level)
}

// Keeps reports whether a record of that level is kept where it is not written.
func (h *Handler) Keeps(level slog.Level) bool { return level >= h.keepLevel.Level() }

// Handle writes or keeps r. A record that comes after the end of its tail is written at
// once if the tail was, up to the tail's bound, and else forgotten.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	t := h.tailOf(ctx)
	if t == nil || !h.Keeps(r.Level) || h.Writes(ctx, r.Level) {
		return h.Write(ctx, r, nil)
	}
	if t.Keep(ctx, h, r) == VerdictLate {
		return h.Write(ctx, r, nil, slog.Bool(KeyTail, true), slog.Bool(KeyLate, true))
	}
	return nil
}

// Write writes r at once, whatever its level. ids are added at the top level, also when
// groups are open, unless r has an attribute of that key there. marks are always added.
func (h *Handler) Write(ctx context.Context, r slog.Record, ids []slog.Attr, marks ...slog.Attr) error {
	if len(ids)+len(marks) == 0 {
		return h.all.Handle(ctx, r)
	}
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	r = slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.AddAttrs(h.nest(attrs, false)...)
	AddMissing(&r, ids, h.groups[0].attrs...)
	r.AddAttrs(marks...)
	return h.top.Handle(ctx, r)
}

// AddMissing adds to r those of attrs whose keys are neither in r nor in given.
func AddMissing(r *slog.Record, attrs []slog.Attr, given ...slog.Attr) {
	missing := slices.Clone(attrs)
	drop := func(a slog.Attr) bool {
		missing = slices.DeleteFunc(missing, func(m slog.Attr) bool { return m.Key == a.Key })
		return true
	}
	for _, a := range given {
		drop(a)
	}
	r.Attrs(drop)
	r.AddAttrs(missing...)
}

// nest returns attrs inside the open groups, with those that With gave to each: as they were
// given, or as kept records show them.
func (h *Handler) nest(attrs []slog.Attr, kept bool) []slog.Attr {
	for _, g := range slices.Backward(h.groups[1:]) {
		given := g.attrs
		if kept {
			given = g.kept
		}
		attrs = []slog.Attr{{Key: g.name, Value: slog.GroupValue(slices.Concat(given, attrs)...)}}
	}
	return attrs
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.With(attrs) }

// With is [Handler.WithAttrs] with its own type.
func (h *Handler) With(attrs []slog.Attr) *Handler {
	if len(attrs) == 0 {
		return h
	}
	next := *h
	next.all = h.all.WithAttrs(attrs)
	next.groups = slices.Clone(h.groups)
	g := &next.groups[len(next.groups)-1]
	g.attrs = append(slices.Clip(g.attrs), attrs...)
	g.kept = slices.Clip(g.kept)
	for _, a := range attrs {
		kept, size := h.attr(a, 0)
		switch {
		case next.size+size > maxLogger:
			next.left++
		case size > 0:
			g.kept = append(g.kept, kept)
			next.size += size
		}
	}
	if len(next.groups) == 1 {
		next.top = next.all
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler { return h.Group(name) }

// Group is [Handler.WithGroup] with its own type.
func (h *Handler) Group(name string) *Handler {
	if name == "" {
		return h
	}
	next := *h
	next.all = h.all.WithGroup(name)
	next.groups = append(slices.Clip(h.groups), group{name: name})
	next.size += attrSize + len(name)
	next.tooLong = next.size > maxLogger+maxGroups
	return &next
}

// Grouped reports whether WithGroup was called.
func (h *Handler) Grouped() bool { return len(h.groups) > 1 }
