package observe

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/observe/tail"
)

// logSink writes the log record of a request or job that failed, was slow, was asked for
// or is in the sample, and before it the records that waited for its end.
type logSink struct {
	logger *slog.Logger
	root   *logRoot
	counts *counts
	wide   float64 // Options.WideEvent
}

func (s *logSink) begin(*state, *http.Request) {}

func (s *logSink) end(st *state, out outcome) outcome {
	defer s.counts.shield()
	if st.job {
		s.endJob(st, &out)
	} else {
		s.endRequest(st, &out)
	}
	return out
}

func (s *logSink) endRequest(st *state, out *outcome) {
	if out.why >= failed && !out.record {
		s.writeKept(st, out.records, out.missing()...) // the next record counts this one
		return
	}
	s.writeKept(st, out.records)
	level, message, rate := slog.LevelInfo, "request served", 0.0
	switch {
	case out.why >= failed:
		level, message = slog.LevelError, "request failed"
	case out.why == slow:
		level, message = slog.LevelWarn, "request slow"
	case out.gone:
		message = "request canceled"
	case out.refused:
		message = "request refused"
	case out.aborted != nil:
		message = "request aborted"
	}
	if out.why == notReported {
		rate = s.wide
		if rate == 0 || rate < 1 && rand.Float64() >= rate {
			return
		}
	}
	if !st.writesOwn(level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("method", st.method.name))
	if out.name != "" {
		attrs = append(attrs, slog.String("route", out.name))
	}
	attrs = append(attrs, slog.String("path", cleantext.Cut(out.request.URL.EscapedPath(), maxPath)))
	if out.status != 0 {
		attrs = append(attrs, slog.Int("status", int(out.status)))
	}
	attrs = append(attrs, slog.Duration("duration", out.duration), slog.Int64("bytes", st.w.bytes.Load()))
	if out.stream {
		attrs = append(attrs, slog.String("stream", out.streamEnd()))
	}
	if out.gone || out.request.Context().Err() != nil {
		// The client left, or the server is stopping: a request that ends well is
		// cancelled only after this.
		attrs = append(attrs, slog.Bool("canceled", true))
	}
	if out.bundle != "" {
		attrs = append(attrs, slog.String("capture", out.bundle))
	}
	if rate > 0 {
		attrs = append(attrs, slog.Float64("sample_rate", rate))
	}
	attrs = st.debugAttrs(attrs)
	attrs = append(attrs, out.missing()...)
	s.logger.LogAttrs(st.ctx, level, message, append(attrs, st.explain(out.logged)...)...)
}

// endJob writes a record only for a job that failed.
func (s *logSink) endJob(st *state, out *outcome) {
	if out.why < failed || !out.record {
		s.writeKept(st, out.records, out.missing()...) // no other record has the counts
		return
	}
	s.writeKept(st, out.records)
	if !st.writesOwn(slog.LevelError) {
		return
	}
	attrs := append([]slog.Attr{slog.String("job", out.name), slog.Duration("duration", out.duration)}, out.missing()...)
	s.logger.LogAttrs(st.ctx, slog.LevelError, "job failed", append(attrs, st.explain(out.logged)...)...)
}

// writeKept writes the records that waited, the first with more.
func (s *logSink) writeKept(st *state, records []tail.Record, more ...slog.Attr) {
	for _, r := range records {
		ctx := context.WithoutCancel(r.Context)
		tail.AddMissing(&r.Record, correlate(ctx, st))
		r.AddAttrs(slog.Bool(tail.KeyTail, true))
		r.AddAttrs(more...)
		more = nil
		s.writeOne(ctx, r.Record)
	}
}

func (s *logSink) writeOne(ctx context.Context, r slog.Record) {
	defer s.counts.shield()
	s.counts.tailWritten.Add(1)
	_ = s.root.count(s.root.handler.Handle(ctx, r))
}

// writesOwn reports whether the record of the request or job itself is written. The
// tail is closed by then: it is written at once or not at all.
func (st *state) writesOwn(level slog.Level) bool {
	g := st.grant.Load()
	return st.writesAnyway(st.ctx, level) || g != nil && level >= g.level
}

// missing are attributes that count what is not in the log: records of failures alike that
// were not written, requests alike that were not reported in full, and records of this one
// that found no room.
func (out *outcome) missing() []slog.Attr {
	var attrs []slog.Attr
	if out.repeated > 0 {
		attrs = append(attrs, slog.Int64("repeated", out.repeated))
	}
	if out.suppressed > 0 {
		attrs = append(attrs, slog.Int64("suppressed", out.suppressed))
	}
	if out.dropped > 0 {
		attrs = append(attrs, slog.Int("tail_dropped", out.dropped))
	}
	return attrs
}

// explain returns attributes that explain a failure: the error, the flags that the
// request or job saw, and the stack of a panic.
func (st *state) explain(err error) []slog.Attr {
	var attrs []slog.Attr
	if err != nil {
		attrs = append(attrs, slog.Any("error", plainError(err)))
	}
	st.mu.Lock()
	if len(st.flags) > 0 {
		flags := make([]slog.Attr, len(st.flags))
		for i, f := range st.flags {
			flags[i] = f.attr()
		}
		attrs = append(attrs, slog.Attr{Key: "flags", Value: slog.GroupValue(flags...)})
	}
	st.mu.Unlock()
	if p, ok := err.(*PanicError); ok {
		// A stack is long: ids after it are hard to find.
		attrs = append(attrs, correlate(st.ctx, st)...)
		attrs = append(attrs, slog.String("stack", cleantext.Cut(string(p.Stack), maxStack)))
	}
	return attrs
}

// tailSink keeps the log records of a request or job below the level, and passes them to the
// sinks after it if the request is reported.
type tailSink struct {
	handler *tail.Handler
	counts  *counts
}

func (s *tailSink) begin(st *state, _ *http.Request) {
	var outer *tail.Tail
	if st.outer != nil {
		outer = &st.outer.tail
	}
	st.tail.Begin(s.handler, outer, st.name())
}

func (s *tailSink) end(st *state, out outcome) outcome {
	out.records, out.dropped = st.tail.Finish(out.reported)
	if !out.reported {
		out.dropped = 0 // a loss only if the request is reported
	} else if out.dropped > 0 {
		s.counts.tailDropped.Add(int64(out.dropped))
	}
	return out
}
