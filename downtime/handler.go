package downtime

import (
	"net/http"
	"strings"
)

// Handler guards next: a request in the scope of a window in progress is refused with 503
// Service Unavailable, any other is counted until next returns or panics. A connection that next
// takes over (http.Hijacker) counts until it is closed. Close the connection that next gets, not
// the one behind it, which NetConn returns.
//
// The request, its context, its body and the ResponseWriter that next gets are the guard's. They
// do what the server's do: the writer is an http.Flusher, http.Hijacker, io.ReaderFrom or
// http.Pusher where the server's is, and http.ResponseController works. Pattern, path values and
// forms that next sets reach the request that the guard got. This costs one allocation for each
// request.
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
// Some requests last until somebody ends them. These are streams:
//
//   - responses of the media types text/event-stream, multipart/x-mixed-replace and
//     application/json-seq, from when the header is sent: flush it at once;
//   - connections that have switched protocols: by status 101, by a CONNECT that succeeds, or
//     because next has taken them over;
//   - requests that [Options].Stream names.
//
// What a request offers or prefers makes no stream, nor does flushing: an export in CSV may end
// by itself. When a window that refuses a stream begins, its context ends, with an
// [*UnavailableError] as its cause ([ErrWindow]) and spread by [Options].StreamJitter. A handler
// that does not heed its context stays busy. A stream that has bypassed a window (see [Bypass])
// is ended only when the window would have to be held shut for it. After [Guard.Close] none is
// ended.
//
// A new request for an event stream is answered 200 with one event "maintenance", whose
// data is the problem+json, and the time to come back as retry: the EventSource of a
// browser gives up for good on any other status. Other streams are refused as any request.
//
// # Grace
//
// A client that trickles its upload, or a response without end, would hold up a window for
// ever. [Options].Grace bounds that: what runs longer is cut. If there was no response yet, the
// guard answers as if it had refused the request, once next has returned. Otherwise the response
// is aborted (http.ErrAbortHandler), so that the client does not take it for a whole one. A
// request that is cut counts until next returns.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return &guarded{g, next, newRefusals(&g.opts)}
}

type guarded struct {
	guard    *Guard
	next     http.Handler
	refusals *refusals
}

func (h *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g, given := h.guard, r
	var v *visitor
	if g.bypass != nil {
		v, r = g.bypass.visitor(r)
	}
	if g.pass.has(r) {
		h.next.ServeHTTP(w, r)
		return
	}
	var asked asking // filled in place: the copies would show in the figures
	asked.kind = kindHTTP
	if isSafe(r.Method) && !isUpgrade(r) { // a WebSocket may write, whatever its method
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
	if w == nil && !asked.bypassed && g.opts.Grace == 0 && g.opts.Stream == nil {
		defer g.leave(at) // without a response there is no stream
		h.next.ServeHTTP(w, r)
		return
	}
	h.serve(w, r, given, at, &asked)
}

// serve serves what was admitted.
func (h *guarded) serve(w http.ResponseWriter, r, given *http.Request, at place, asked *asking) {
	g := h.guard
	x := &exchange{guard: g, place: at}
	defer x.end(given)
	x.exchange = x
	if asked.bypassed {
		r = asked.visitor.audit(r, asked.past)
	}
	if link := h.refusals.link; link != "" && w != nil && g.view.Load().announces(r) {
		w.Header().Add("Link", link)
	}
	next, request := x.open(w, r)
	if g.opts.Stream != nil && g.opts.Stream(r) {
		x.declare()
	}
	h.next.ServeHTTP(next, request)
	if by := x.cutUnanswered(); by != nil {
		h.refusals.answer(w, r, *by)
	}
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
