package observe

import (
	"context"
	"log/slog"
	"net/http"
)

// takeToken reads the request's debug token and returns the request without it.
func (st *state) takeToken(r *http.Request) *http.Request {
	d := st.obs.debug
	if d == nil {
		return r
	}
	values, ok := r.Header[d.header]
	if !ok {
		return r
	}
	clean := *r
	clean.Header = r.Header.Clone()
	delete(clean.Header, d.header)
	claim, refused := d.read(values, st.start)
	if refused == "" {
		st.claim = claim
		return &clean
	}
	st.obs.counts.debugRefused.Add(1)
	if st.span.IsRecording() {
		defer st.obs.counts.shield()
		st.span.SetAttributes(keyDebugRefused.String(refused))
	}
	return &clean
}

// handOnToken sets the header with which a request's token goes to host, where it may.
func (st *state) handOnToken(h http.Header, d *debugTokens, host string) {
	if d == nil {
		return
	}
	delete(h, d.header)
	for ; st != nil; st = st.outer {
		if st.claim != nil {
			if d.hosts.has(host) {
				h[d.header] = []string{st.claim.text}
			}
			return
		}
	}
}

// raised returns the grant that debugs the request, or nil. routed means that [Route] asks:
// authentication has run by then.
func (st *state) raised(ctx context.Context, routed bool) *grant {
	for st.outer != nil { // a job is debugged as what it is a part of
		st = st.outer
	}
	g := st.grant.Load()
	if g != nil || st.claim == nil && st.obs.levelFlag == nil {
		return g
	}
	if c := st.claim; c != nil && c.covers(ctx, st.name()) {
		return st.raise(&grant{level: c.level, by: byToken, holder: c.holder})
	}
	if st.obs.levelFlag == nil {
		return nil
	}
	asked := st.flagAsked.Load()
	if asked == flagAsked || asked == flagAsking {
		return nil
	}
	final := routed || hasTransaction(ctx)
	if asked == flagAskedEarly && !final {
		return nil
	}
	// While this one asks others go on without: an answer may take time, and what it
	// logs itself ends here.
	if !st.flagAsked.CompareAndSwap(asked, flagAsking) {
		return nil
	}
	level, ok := st.obs.levelFlag.ask(ctx)
	if final {
		st.flagAsked.Store(flagAsked)
	} else {
		st.flagAsked.Store(flagAskedEarly)
	}
	if !ok || st.writesAnyway(ctx, level) { // nothing that is not written anyway
		return nil
	}
	return st.raise(&grant{level: level, by: byFlag})
}

// raise stores g unless another was faster, and marks the span.
func (st *state) raise(g *grant) *grant {
	if !st.grant.CompareAndSwap(nil, g) {
		return st.grant.Load()
	}
	st.obs.counts.debugged.Add(1)
	if !st.span.IsRecording() {
		return g
	}
	defer st.obs.counts.shield()
	st.span.SetAttributes(keyDebugBy.String(g.by))
	if g.holder != "" {
		st.span.SetAttributes(keyDebugHolder.String(g.holder))
	}
	return g
}

// debugAttrs is what the record of a debugged request says of it.
func (st *state) debugAttrs(attrs []slog.Attr) []slog.Attr {
	g := st.grant.Load()
	if g == nil {
		return attrs
	}
	attrs = append(attrs, slog.String(logDebug, g.by))
	if g.holder != "" {
		attrs = append(attrs, slog.String("debug_holder", g.holder))
	}
	return attrs
}

// writesAnyway reports whether a record of that level is written at once, of a logger
// without a name.
func (st *state) writesAnyway(ctx context.Context, level slog.Level) bool {
	return st.obs.logs.writes(ctx, st.obs.logs.plain, "", level)
}
