package downtime

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/page"
)

// retryAfter is when to come back after a refusal: the end, plus jitter, at most
// RetryMax. Where the bound cuts, the jitter is taken off instead, for those who are
// turned away at one moment should not come back at one moment either.
func (g *Guard) retryAfter(n *near) time.Duration {
	wait, length := bootRetry, bootRetry
	if until := n.until(); !until.IsZero() {
		length = until.Sub(n.Start)
		if left := time.Until(until); left > 0 { // else it takes longer than planned
			wait = left
		}
	}
	if n.Phase == schedule.PhaseOverrun {
		wait = min(wait, overrunRetry) // it may be over at any moment
	}
	jitter := time.Duration(0)
	if most := min(g.opts.RetryJitter, g.opts.RetryMax/2, length/4); most > 0 {
		jitter = rand.N(most)
	}
	if wait+jitter > g.opts.RetryMax {
		wait = min(wait, g.opts.RetryMax-jitter)
	} else {
		wait += jitter
	}
	return max(time.Second, wait)
}

// unavailable counts a refusal, and tells it to work.
func (g *Guard) unavailable(n *near) *UnavailableError {
	n.progress.refused.Add(1)
	g.refused.Add(1)
	return g.unavailableBy(n)
}

func (g *Guard) unavailableBy(n *near) *UnavailableError {
	return &UnavailableError{
		Window:     n.Window.ID,
		Mode:       n.Window.Mode,
		Reason:     n.reason(),
		Until:      n.knownEnd(),
		RetryAfter: g.retryAfter(n),
	}
}

// turnAway counts a refusal, and answers the request with it, by way of the
// application's CORS middleware where there is one.
func (g *Guard) turnAway(w http.ResponseWriter, r *http.Request, n *near) {
	preflight := g.cors != nil && isPreflight(r)
	if !preflight {
		n.progress.refused.Add(1)
		g.refused.Add(1)
	}
	if g.cors == nil {
		g.refuse(w, r, n)
		return
	}
	g.cors.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), refusalKey{}, refusal{n, preflight})))
}

// A refusal is what is to be answered behind the CORS middleware.
type refusal struct {
	by        *near
	preflight bool
}

type refusalKey struct{}

// answer is the handler behind the CORS middleware.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request) {
	is, _ := r.Context().Value(refusalKey{}).(refusal)
	switch {
	case is.by == nil: // the middleware calls it with a context of its own making
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	case is.preflight: // the middleware has said what it had to say
		w.WriteHeader(http.StatusNoContent)
	default:
		g.refuse(w, r, is.by)
	}
}

// isPreflight says whether a browser asks what it may ask (Fetch §4.8, CORS-preflight fetch).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header["Origin"] != nil && r.Header["Access-Control-Request-Method"] != nil
}

// smallBody is up to what length the rest of a refused HTTP/1 request is worth the
// connection: net/http reads it to be able to go on.
const smallBody = 64 << 10

// refuse answers the request with a refusal.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, n *near) {
	wait := g.retryAfter(n)
	retry := strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
	pages := n.pages()
	code := http.StatusServiceUnavailable
	h := w.Header()
	var contentType string
	var body, rest []byte
	switch preferred(r.Header["Accept"], r.Method == http.MethodGet) {
	case formatHTML:
		contentType = "text/html; charset=utf-8"
		body, rest = pages.html(retry, time.Now())
		h.Set("Content-Security-Policy", page.Policy("'none'"))
	case formatText:
		contentType, body = "text/plain; charset=utf-8", pages.text
	case formatStream:
		// A browser's EventSource takes any other status for a reason never to come back
		// (HTML §9.2.2), and knows no Retry-After.
		code, contentType = http.StatusOK, "text/event-stream"
		body = append(strconv.AppendInt([]byte("retry: "), wait.Milliseconds(), 10), pages.event...)
	default:
		contentType, body = "application/problem+json", pages.json
	}
	if code == http.StatusServiceUnavailable {
		h.Set("Retry-After", retry)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)+len(rest)))
	h.Add("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if g.link != "" {
		h.Add("Link", g.link)
	}
	exposeRetryAfter(h)
	if r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > smallBody) {
		h.Set("Connection", "close") // or the server reads some of the body before it answers
	}
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone needs no answer
		if rest != nil {
			_, _ = w.Write(rest)
		}
	}
}

// exposeRetryAfter lets a page of another origin read when to come back, where it may
// read the answer at all.
func exposeRetryAfter(h http.Header) {
	const expose = "Access-Control-Expose-Headers"
	if h.Get("Access-Control-Allow-Origin") == "" {
		return
	}
	exposed := strings.Join(h[expose], ", ")
	for name := range strings.SplitSeq(exposed, ",") {
		name = strings.TrimSpace(name)
		if strings.EqualFold(name, "Retry-After") ||
			name == "*" && h.Get("Access-Control-Allow-Credentials") != "true" { // with them it is a name (Fetch §3.3.4)
			return
		}
	}
	if exposed != "" {
		exposed += ", "
	}
	h.Set(expose, exposed+"Retry-After")
}

// A format of a refusal's body.
type format uint8

const (
	formatJSON format = iota
	formatHTML
	formatText
	formatStream
)

// maxAccept bounds what is read of an Accept header.
const maxAccept = 1024

// preferred chooses the format that Accept likes best (RFC 9110 §12.5.1): by quality,
// then by how exactly it is named, then JSON. JSON too when none is acceptable, since
// a refusal must say something. An event stream, if it may be one, only when it is named.
func preferred(accept []string, mayStream bool) format {
	type rank struct{ quality, exact int } // quality in thousandths
	var best [4]rank
	for f := range best {
		best[f] = rank{-1, -1}
	}
	consider := func(f format, r rank) {
		if r.exact > best[f].exact || r.exact == best[f].exact && r.quality > best[f].quality {
			best[f] = r
		}
	}
	left := maxAccept
	for _, line := range accept {
		line = line[:min(len(line), left)]
		left -= len(line)
		for item := range strings.SplitSeq(line, ",") {
			media, parameters, _ := strings.Cut(item, ";")
			q := quality(parameters)
			switch media = strings.TrimSpace(media); {
			case media == "*/*":
				consider(formatJSON, rank{q, 0})
				consider(formatHTML, rank{q, 0})
				consider(formatText, rank{q, 0})
			case strings.EqualFold(media, "text/*"):
				consider(formatHTML, rank{q, 1})
				consider(formatText, rank{q, 1})
			case strings.EqualFold(media, "application/*"):
				consider(formatJSON, rank{q, 1})
			case strings.EqualFold(media, "application/problem+json"), strings.EqualFold(media, "application/json"):
				consider(formatJSON, rank{q, 2})
			case strings.EqualFold(media, "text/html"), strings.EqualFold(media, "application/xhtml+xml"):
				consider(formatHTML, rank{q, 2})
			case strings.EqualFold(media, "text/plain"):
				consider(formatText, rank{q, 2})
			case mayStream && strings.EqualFold(media, eventStream):
				consider(formatStream, rank{q, 2})
			}
		}
	}
	chosen := formatJSON
	for f := range format(len(best)) {
		a, b := best[f], best[chosen]
		if a.quality > 0 && (a.quality > b.quality || a.quality == b.quality && a.exact > b.exact) {
			chosen = f
		}
	}
	return chosen
}

// quality reads q of a media range's parameters, in thousandths; 1000 without one, and
// 0 for one that is no number.
func quality(parameters string) int {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return int(q * 1000)
	}
	return 1000
}
