package observe

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
)

// tell writes what was kept of the request's log, and its own record.
func (st *state) tell(r *http.Request, out *outcome) {
	defer st.obs.shield()
	records, dropped := st.closeTail()
	bundle := st.capture(out, records, dropped)
	st.writeTail(records)

	level, message, rate := slog.LevelInfo, "request served", 0.0
	switch {
	case st.why >= failed:
		level, message = slog.LevelError, "request failed"
	case st.why == slow:
		level, message = slog.LevelWarn, "request slow"
	case out.refused:
		message = "request refused"
	case out.aborted != nil:
		message = "request aborted"
	}
	if st.why == notTold {
		rate = st.obs.wide
		if rate == 0 || rate < 1 && rand.Float64() >= rate {
			return
		}
	}
	if !st.writesOwn(level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("method", st.method.String()))
	if out.route != "" {
		attrs = append(attrs, slog.String("route", out.route))
	}
	attrs = append(attrs, slog.String("path", clip(r.URL.EscapedPath(), maxPath)))
	if out.status != 0 {
		attrs = append(attrs, slog.Int("status", int(out.status)))
	}
	attrs = append(attrs, slog.Duration("duration", out.duration), slog.Int64("bytes", st.w.bytes.Load()))
	if r.Context().Err() != nil {
		// The client left, or the server is stopping: a request that ends well is
		// cancelled only after this.
		attrs = append(attrs, slog.Bool("canceled", true))
	}
	if bundle != "" {
		attrs = append(attrs, slog.String("capture", bundle))
	}
	if rate > 0 {
		attrs = append(attrs, slog.Float64("sample_rate", rate))
	}
	attrs = st.debugAttrs(attrs)
	attrs = append(attrs, st.untold(dropped)...)
	attrs = st.logFailure(attrs, out.err)
	st.obs.logger.LogAttrs(st.ctx, level, message, attrs...)
}

// writesOwn reports whether the record of the request or job itself is written. The
// tail is closed by then: it is written at once or not at all.
func (st *state) writesOwn(level slog.Level) bool {
	g := st.grant.Load()
	return st.obs.handler.writes(st.ctx, level) || g != nil && level >= g.level
}

// untold says what else there was: requests alike that were not told in full, and
// records of this one that did not fit.
func (st *state) untold(dropped int) []slog.Attr {
	var attrs []slog.Attr
	if st.more > 0 {
		attrs = append(attrs, slog.Int64("suppressed", st.more))
	}
	if dropped > 0 && st.told {
		attrs = append(attrs, slog.Int(logDropped, dropped))
	}
	return attrs
}
