package observe

import (
	"context"
	"fmt"
	stdlog "log"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
)

// logHandler adds the ids of a record's context at the top level. Once a group is
// open, nothing can be added at the top of the handler that has it, so records
// with ids then go to the handler without groups, which get wrapped around the
// record's own attributes instead. Records without ids take the direct way.
type logHandler struct {
	root   *logRoot
	top    slog.Handler // with what was given before the first group
	all    slog.Handler // with everything
	groups []logGroup   // open ones, outermost first
	own    idSet        // ids that the application's attributes at the top give
	name   string       // what its attribute "logger" says

	packed  []byte // everything that was given, for records that are kept
	left    int    // attributes that are not in it
	tooLong bool   // there are so many groups that records are not kept
}

// logRoot is what all handlers made from one have in common.
type logRoot struct {
	handler slog.Handler // the one that was wrapped
	level   slog.Leveler // nil: as handler says
	tail    slog.Leveler
	packer  packer
	levels  levels
	raises  atomic.Bool // some observer of it raises the level of single requests
	errors  lossCount   // of the handler
}

type logGroup struct {
	name  string
	attrs []slog.Attr
}

func newLogHandler(opts *Options) (*logHandler, error) {
	h := opts.Log
	if isDefaultHandler(h) {
		return nil, ErrDefaultHandler
	}
	if h == nil {
		h = slog.Default().Handler()
		if isDefaultHandler(h) {
			w := stdlog.Writer()
			if fmt.Sprintf("%T", w) == "*slog.handlerWriter" {
				// Package log writes to slog: the loop would be closed here.
				w = os.Stderr
			}
			h = slog.NewTextHandler(w, nil)
		}
	}
	if ours, ok := h.(*logHandler); ok {
		if opts.Level != nil || opts.TailLevel != nil {
			return nil, fmt.Errorf("observe: Options.Level and Options.TailLevel belong to the observer whose handler Options.Log is")
		}
		return ours, nil // it does all that is to be done, for any observer
	}
	root := &logRoot{handler: h, level: opts.Level, tail: opts.TailLevel}
	if root.tail == nil {
		root.tail = slog.LevelDebug
	}
	_, root.packer.text = h.(*slog.TextHandler)
	return &logHandler{root: root, top: h, all: h}, nil
}

// isDefaultHandler reports whether h is the handler that slog starts with, or one
// made from it: its type is not exported.
func isDefaultHandler(h slog.Handler) bool {
	return fmt.Sprintf("%T", h) == "*slog.defaultHandler"
}

// Enabled reports whether a record of that level is written or kept.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if h.writes(ctx, level) {
		return true
	}
	kept := level >= h.root.tail.Level()
	if !kept && !h.root.raises.Load() {
		return false
	}
	st := stateFrom(ctx)
	if st == nil || st.obs.handler.root != h.root {
		return false
	}
	if kept {
		return true
	}
	g := st.raised(ctx, false)
	return g != nil && level >= g.level
}

// writes reports whether a record of that level is written at once.
func (h *logHandler) writes(ctx context.Context, level slog.Level) bool {
	if h.root.levels.any() {
		if set, ok := h.root.levels.of(h.name); ok {
			return level >= set
		}
	}
	if h.root.level != nil && level < h.root.level.Level() {
		return false
	}
	return h.all.Enabled(ctx, level)
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	st := stateFrom(ctx)
	if st == nil || st.obs.handler.root != h.root || h.writes(ctx, r.Level) {
		return h.write(ctx, st, r)
	}
	if h.root.raises.Load() {
		if g := st.raised(ctx, false); g != nil && r.Level >= g.level {
			return h.write(ctx, st, r, slog.String(logDebug, g.by))
		}
	}
	if r.Level < h.root.tail.Level() {
		return h.write(ctx, st, r) // whoever did not ask whether it is enabled
	}
	if st.keep(ctx, h, &r) {
		return nil
	}
	return h.write(ctx, st, r, slog.Bool(logTail, true), slog.Bool(logLate, true))
}

// write adds the ids, and marks, and lets the wrapped handler write.
func (h *logHandler) write(ctx context.Context, st *state, r slog.Record, marks ...slog.Attr) error {
	if st != nil && st.rec != nil && st.obs.handler.root == h.root {
		st.rec.keepLog(h, &r)
	}
	ids := correlate(ctx, st)
	if ids == nil {
		return h.root.count(h.all.Handle(ctx, r))
	}
	own := h.own
	if h.groups == nil {
		r.Attrs(func(a slog.Attr) bool {
			own |= idOf(a.Key)
			return true
		})
		r = r.Clone()
	} else {
		r = h.grouped(r)
	}
	addIDs(&r, ids, own)
	r.AddAttrs(marks...)
	return h.root.count(h.top.Handle(ctx, r))
}

// count notes the error of a handler: package slog lets nobody see it.
func (r *logRoot) count(err error) error {
	if err != nil {
		r.errors.Add(1)
	}
	return err
}

// addIDs adds those ids to r that it has not got.
func addIDs(r *slog.Record, ids []slog.Attr, own idSet) {
	if own == 0 {
		r.AddAttrs(ids...)
		return
	}
	for _, id := range ids {
		if own&idOf(id.Key) == 0 {
			r.AddAttrs(id)
		}
	}
}

// grouped returns r with its attributes inside the open groups.
func (h *logHandler) grouped(r slog.Record) slog.Record {
	var inner slog.Attr
	for i := len(h.groups) - 1; i >= 0; i-- {
		g := h.groups[i]
		attrs := make([]slog.Attr, len(g.attrs), len(g.attrs)+r.NumAttrs()+1)
		copy(attrs, g.attrs)
		if i == len(h.groups)-1 {
			r.Attrs(func(a slog.Attr) bool {
				attrs = append(attrs, a)
				return true
			})
		} else {
			attrs = append(attrs, inner)
		}
		inner = slog.Attr{Key: g.name, Value: slog.GroupValue(attrs...)}
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	out.AddAttrs(inner)
	return out
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	next := *h
	next.all = h.all.WithAttrs(attrs)
	next.packed = slices.Clip(h.packed)
	for _, a := range attrs {
		if packed := h.root.packer.attr(next.packed, a, 0); len(packed) <= maxTailLogger {
			next.packed = packed
		} else {
			next.left++
		}
	}
	if h.groups == nil {
		next.top = next.all
		for _, a := range attrs {
			next.own |= idOf(a.Key)
			if a.Key == logName && a.Value.Kind() == slog.KindString {
				next.name = a.Value.String()
			}
		}
		return &next
	}
	next.groups = slices.Clone(h.groups)
	last := &next.groups[len(next.groups)-1]
	last.attrs = append(slices.Clip(last.attrs), attrs...)
	return &next
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.all = h.all.WithGroup(name)
	next.packed = appendText(append(slices.Clip(h.packed), packOpen), cut(name, maxText))
	next.tooLong = len(next.packed) > maxTailLogger+maxTailGroups
	next.groups = append(slices.Clip(h.groups), logGroup{name: name})
	return &next
}

// An idSet says which of the three ids a record has.
type idSet uint8

func idOf(key string) idSet {
	switch key {
	case logRequestID:
		return 1
	case logTraceID:
		return 2
	case logSpanID:
		return 4
	}
	return 0
}
