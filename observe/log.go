package observe

import (
	"context"
	"fmt"
	stdlog "log"
	"log/slog"
	"os"

	"github.com/upkeep-go/upkeep/observe/tail"
)

// logHandler decides which records are written and which are kept, and adds the ids of
// a record's context. Its tail.Handler does both.
type logHandler struct {
	*tail.Handler
	root *logRoot
	name string // what the logger's attribute "logger" says
}

func newLogHandler(h slog.Handler, level, tailLevel slog.Leveler) (*logHandler, error) {
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
		if level != nil || tailLevel != nil {
			return nil, fmt.Errorf("observe: Options.Level and Options.TailLevel belong to the observer whose handler Options.Log is")
		}
		return ours, nil // it does all that is to be done, for any observer
	}
	plain, err := tail.New(h, &tail.Options{Level: level, KeepLevel: tailLevel, MaxBytes: maxTail, MaxTotal: maxTailTotal})
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	return &logHandler{Handler: plain, root: &logRoot{handler: h, plain: plain}}, nil
}

// isDefaultHandler reports whether h is the handler that slog starts with, or one
// made from it: its type is not exported.
func isDefaultHandler(h slog.Handler) bool {
	return fmt.Sprintf("%T", h) == "*slog.defaultHandler"
}

// stateOf returns the state of ctx if it is that of an observer of this handler.
func (h *logHandler) stateOf(ctx context.Context) *state {
	if st := stateFrom(ctx); st != nil && st.obs.logs == h.root {
		return st
	}
	return nil
}

// Enabled reports whether a record of that level is written or kept.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if h.root.writes(ctx, h.Handler, h.name, level) {
		return true
	}
	kept := h.Keeps(level)
	if !kept && !h.root.raises.Load() {
		return false
	}
	st := h.stateOf(ctx)
	if st == nil || kept {
		return st != nil
	}
	g := st.raised(ctx, false)
	return g != nil && level >= g.level
}

// Handle writes r at once, or keeps it until the end of its request or job.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	st := h.stateOf(ctx)
	if st == nil {
		return h.write(ctx, stateFrom(ctx), r)
	}
	if h.root.writes(ctx, h.Handler, h.name, r.Level) {
		return h.record(ctx, st, r)
	}
	if h.root.raises.Load() {
		if g := st.raised(ctx, false); g != nil && r.Level >= g.level {
			return h.record(ctx, st, r, slog.String(logDebug, g.by))
		}
	}
	if !h.Keeps(r.Level) {
		return h.record(ctx, st, r) // the caller did not ask whether it is enabled
	}
	switch st.tail.Keep(ctx, h.Handler, r) {
	case tail.VerdictLate:
		return h.record(ctx, st, r, slog.Bool(tail.KeyTail, true), slog.Bool(tail.KeyLate, true))
	case tail.VerdictLost:
		st.obs.counts.tailLate.Add(1)
	}
	return nil
}

// record is write, and keeps r for the request's bundle.
func (h *logHandler) record(ctx context.Context, st *state, r slog.Record, marks ...slog.Attr) error {
	if st.rec != nil {
		if complete, size, ok := h.Complete(r); ok {
			st.rec.keepLog(complete, size)
		}
	}
	return h.write(ctx, st, r, marks...)
}

// write adds the ids of ctx, whose state st is, and lets the wrapped handler write r.
func (h *logHandler) write(ctx context.Context, st *state, r slog.Record, marks ...slog.Attr) error {
	return h.root.count(h.Write(ctx, r, correlate(ctx, st), marks...))
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := &logHandler{Handler: h.With(attrs), root: h.root, name: h.name}
	if h.Grouped() {
		return next
	}
	for _, a := range attrs {
		if a.Key == logName && a.Value.Kind() == slog.KindString {
			next.name = a.Value.String()
		}
	}
	return next
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{Handler: h.Group(name), root: h.root, name: h.name}
}
