package observe

import (
	"log/slog"
	"net/http"
)

// tell writes what was kept of the request's log, and its own record.
func (st *state) tell(r *http.Request, out *outcome) {
	defer st.obs.shield()
	records, dropped := st.closeTail()
	bundle := st.capture(out, records, dropped)
	st.writeTail(records)
	if st.why < failed {
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
	attrs = append(attrs, st.untold(dropped)...)
	attrs = st.logFailure(attrs, out.err)
	st.obs.logger.LogAttrs(st.ctx, slog.LevelError, "request failed", attrs...)
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
