package downtime

import (
	"net/http"
	"strings"
)

// Handler guards next: a request in the scope of a window in progress is refused with 503
// Service Unavailable, any other is counted until next returns or panics. The ResponseWriter
// is handed on as it is. A hijacked connection counts until the handler returns.
//
// Scopes are matched with the request's URL as it is here: put the guard outside of
// routers and of what strips prefixes. Wrapping the same request twice by one guard
// counts it twice.
//
// A refusal carries Retry-After and Cache-Control: no-store. Retry-After is the time to the end
// of the chain of windows that keep this request out: if another window that refuses it begins
// before the first one ends, then to the end of that one, and so on. The body is by Accept
// alone: application/problem+json (RFC 9457), a page for browsers, or plain text; HEAD gets no
// body.
// The request's body is not read: a client that waits for "100 Continue" need not send it,
// and an HTTP/1 connection with more than 64 KiB to come ends. For other origins see
// [Options].CORS.
//
// # Streams
//
// Some requests last until somebody ends them: those that offer to switch protocols (Upgrade,
// and CONNECT with a protocol, RFC 8441; not h2c and TLS), GET requests that prefer
// text/event-stream to anything else, and those that [Options].Stream names. When a window
// that refuses them begins, their context ends, with an [*UnavailableError] as its cause
// ([ErrWindow]) and spread by [Options].StreamJitter. A handler that does not heed its context
// stays busy. A stream that has bypassed a window (see [Bypass]) is ended only when the
// window would have to be held shut for it. After [Guard.Close] none is ended.
//
// A new request for an event stream is answered 200 with one event "maintenance", whose
// data is the problem+json, and the time to come back as retry: the EventSource of a
// browser gives up for good on any other status. Other streams are refused as any request.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return &guarded{g, next, newRefusals(&g.opts)}
}

type guarded struct {
	guard    *Guard
	next     http.Handler
	refusals *refusals
}

func (h *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.guard
	var v *visitor
	if g.bypass != nil {
		v, r = g.bypass.visitor(r)
	}
	if g.pass.has(r) {
		h.next.ServeHTTP(w, r)
		return
	}
	upgrade := isUpgrade(r)
	var asked asking // filled in place: the copies would show in the figures
	asked.kind = kindHTTP
	if isSafe(r.Method) && !upgrade { // a WebSocket may write, whatever its method
		asked.effect = EffectRead
	}
	asked.setRequest(r)
	asked.http, asked.handler, asked.visitor = r, true, v
	at, refusedBy := g.admit(&asked)
	if refusedBy != nil {
		v.refused(refusedBy)
		if h.refusals.cors == nil || !isPreflight(r) {
			g.refuse(refusedBy)
		}
		h.refusals.answer(w, r, g.closure(&asked, refusedBy))
		return
	}
	defer g.leave(at)
	if asked.bypassed {
		r = v.audit(r, asked.past)
	}
	if link := h.refusals.link; link != "" && g.view.Load().announces(r) {
		w.Header().Add("Link", link)
	}
	if g.isStream(r, upgrade) {
		ctx, end := g.openStream(r.Context(), asked.entry)
		defer end()
		r = r.WithContext(ctx)
	}
	h.next.ServeHTTP(w, r)
}

// isUpgrade reports whether the request offers to switch to another protocol (RFC 9110
// §7.8, RFC 8441 §4). Offers of HTTP/2 and TLS do not count: such a request is answered anyway.
func isUpgrade(r *http.Request) bool { return len(r.Header) > 0 && offersProtocol(r) }

func offersProtocol(r *http.Request) bool {
	if r.Method == http.MethodConnect && r.Header[":protocol"] != nil {
		return true
	}
	return r.Header["Upgrade"] != nil &&
		hasElement(r.Header["Connection"], func(option string) bool { return strings.EqualFold(option, "upgrade") }) &&
		hasElement(r.Header["Upgrade"], func(protocol string) bool {
			return protocol != "" && !strings.EqualFold(protocol, "h2c") && !strings.HasPrefix(strings.ToUpper(protocol), "TLS/")
		})
}

// hasElement reports whether a header lists such an element.
func hasElement(header []string, such func(string) bool) bool {
	for _, line := range header {
		for element := range strings.SplitSeq(line, ",") {
			if such(strings.Trim(element, " \t")) {
				return true
			}
		}
	}
	return false
}

func (g *Guard) isStream(r *http.Request, upgrade bool) bool {
	return upgrade || r.Method == http.MethodGet && prefersEvents(r.Header["Accept"]) ||
		g.opts.Stream != nil && g.opts.Stream(r)
}
