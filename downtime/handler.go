package downtime

import (
	"net/http"
	"strings"
)

// Handler is middleware: it refuses requests in the scope of a window in progress with 503 Service
// Unavailable, and counts all others until next returns or panics. A connection that next hijacks
// counts until it is closed; close the connection that Hijack returns, not the one that its NetConn
// method returns. Put the guard outside of routers and of middleware that strips prefixes, because
// scopes match the request's URL. A request that passes the same guard twice counts twice.
//
// next gets a request, a body and a ResponseWriter of the guard. The writer is an http.Flusher,
// http.Hijacker, io.ReaderFrom or http.Pusher if the server's writer is one, and
// http.ResponseController works. Pattern, path values and forms that next sets are also set in the
// request that the guard got. This costs one allocation for each request.
//
// # Refusals
//
// A refusal has Retry-After and Cache-Control: no-store. Retry-After is the time to the end of the
// chain of windows that refuse this request: if a second window begins before the first one ends, to
// the end of the second, and so on. The body depends on Accept: application/problem+json (RFC 9457),
// an HTML page or plain text; a response to HEAD has an empty body. The guard does not read the
// request's body, so a client that waits for "100 Continue" does not send it. An HTTP/1 connection
// with more than 64 KiB left to read is closed. For other origins, see [Options].CORS.
//
// # Streams
//
// Streams are requests that last until somebody ends them:
//
//   - responses with the media type text/event-stream, multipart/x-mixed-replace or
//     application/json-seq, from when the header is sent: flush it at once;
//   - connections that have switched protocols: by status 101, by a successful CONNECT, or because
//     next has hijacked them;
//   - requests that [Options].Stream names.
//
// Headers of the request do not make a stream, and flushing does not, because an export as CSV ends
// by itself. When a window begins that refuses a stream, the context of its request ends with an
// [*UnavailableError] ([ErrWindow]) as its cause, at a time that [Options].StreamJitter spreads. A
// handler that ignores its context stays busy. A stream that has bypassed a window (see [Bypass]) is
// ended only at the end of the window. [Guard.Close] does not end streams.
//
// A new request for an event stream gets status 200 and one event "maintenance", with the
// problem+json as its data and the time to come back as retry, because the EventSource of a browser
// gives up on any other status. Other requests for streams are refused like any request.
//
// # Grace
//
// A slow upload or an endless response would keep a window busy for ever, so [Options].Grace cuts
// requests that run longer. If the response has not begun, the guard answers with a refusal after
// next has returned. Otherwise it aborts the response (http.ErrAbortHandler), so that the client does
// not take it as complete. A request that was cut counts until next returns.
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
	var asked asking // filled in place, because copies cost nanoseconds
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
		defer g.leave(at) // only responses are streams
		h.next.ServeHTTP(w, r)
		return
	}
	h.serve(w, r, given, at, &asked)
}

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
