package downtime

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Handler guards next: what is in the scope of a window is refused while the window is
// in progress, with 503 Service Unavailable, and counted otherwise until next
// returns or panics. The ResponseWriter is handed on as it is, so that whatever
// it can do it still can. A connection that is hijacked counts until the handler
// returns.
//
// Scopes are matched with the request's URL as it is here: put the guard outside of
// routers and of what strips prefixes. Wrapping the same request twice by one guard
// counts it twice.
//
// A refusal carries Retry-After and Cache-Control: no-store, and a body by
// Accept alone: application/problem+json (RFC 9457), a page for browsers, or plain text;
// to HEAD the same without the body. What the request carries is not read: a client that
// waits for "100 Continue" is spared sending it, and an HTTP/1 connection with more than
// 64 KiB to come ends. For other origins see [Options].CORS.
//
// # Streams
//
// Requests that last until somebody ends them would keep a window from ever being
// quiet: those that switch protocols (Upgrade, and CONNECT with a protocol, RFC 8441), and
// GET requests that would rather have text/event-stream than anything else. Their
// context, and no other's, is ended when a window in whose scope they lie begins and
// refuses them: with an [*UnavailableError] as its cause, which is [ErrWindow],
// and spread by [Options].StreamJitter. A handler that does not heed its context
// stays busy. A stream that has bypassed a window (see [Bypass]) is ended only when the
// window would have to be held shut for it. After [Guard.Close] none is ended.
//
// A new request for an event stream is answered 200 with one event "maintenance", of
// which the data is the problem+json, and the time to come back as retry: the
// EventSource of a browser gives up for good on any other status. Any other client
// of streams is refused as everybody is.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return &guarded{g, next}
}

type guarded struct {
	guard *Guard
	next  http.Handler
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
	at, c, refusedBy := g.admit(r, v)
	if refusedBy != nil {
		v.refused(refusedBy)
		g.turnAway(w, r, refusedBy)
		return
	}
	defer g.leave(at)
	if c.bypassed {
		r = v.audit(g, r, c)
	}
	if c.announced && g.link != "" {
		w.Header().Add("Link", g.link)
	}
	if isStream(r) {
		g.serveStream(h.next, w, r, c)
		return
	}
	h.next.ServeHTTP(w, r)
}

// admit counts the request, or says which window refuses it. What each window that
// refuses it lets the visitor bypass is admitted all the same.
func (g *Guard) admit(r *http.Request, v *visitor) (*slot, *class, *near) {
	t := schedule.Request{HTTP: r}
	for {
		s := g.now.Load()
		c := g.requestClass(s, &t)
		if c.refusedBy != nil || c.cutoffBy != nil {
			long := c.cutoffBy != nil && (c.refusedBy == nil || v != nil) && g.opts.Long != nil && g.opts.Long(r)
			var by *near
			if c, by = v.decide(c, long); by != nil {
				return nil, nil, by
			}
		}
		at := g.running.enter(c)
		if g.now.Load() != s {
			g.leave(at)
			continue
		}
		g.noteRehearsal(c)
		return at, c, nil
	}
}

// checkStatusURL keeps what would end a header field or a link.
func checkStatusURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	plain := !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"\\^`{|}", r) })
	if err == nil && plain &&
		((u.Scheme == "https" || u.Scheme == "http") && u.Host != "" || u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")) {
		return nil
	}
	return fmt.Errorf(`downtime: Options.StatusURL must be an http or https URL, or a path that begins with "/", got %q`, clip(text))
}

// noteRehearsal counts what rehearsals would have refused.
func (g *Guard) noteRehearsal(c *class) {
	if len(c.rehearsed) > 0 {
		g.noteRehearsed(c)
	}
}

func (g *Guard) noteRehearsed(c *class) {
	for _, n := range c.rehearsed {
		n.progress.refused.Add(1)
	}
	g.wouldRefuse.Add(1)
}

// DefaultPass returns what passes by default: the usual health and readiness
// endpoints, because a 503 there makes the orchestrator take away every replica,
// and the maintenance page with it; and robots.txt, because crawlers take a 503
// there for a site that wants none of them. All for GET and HEAD only. The slice is
// the caller's, to append to.
func DefaultPass() []string {
	return []string{
		"GET /health",
		"GET /health/live",
		"GET /health/ready",
		"GET /healthz",
		"GET /live",
		"GET /livez",
		"GET /ready",
		"GET /readyz",
		"GET /robots.txt",
	}
}

// passes is Options.Pass made ready.
type passes struct {
	lengths  uint64 // bit l%64 is set when a path of length l may pass
	patterns []passPattern
}

type passPattern struct {
	method string // empty: any
	path   pattern.Pattern
}

func newPasses(list []string) (passes, error) {
	var p passes
	for i, text := range list {
		method, path, found := strings.Cut(text, " ")
		if !found {
			method, path = "", text
		} else if strings.ContainsFunc(method, func(r rune) bool { return r != '-' && (r < 'A' || r > 'Z') }) || method == "" {
			return passes{}, fmt.Errorf("downtime: Options.Pass[%d]: %q does not begin with a method", i, text)
		}
		compiled, err := pattern.Parse(strings.TrimLeft(path, " \t"))
		if err != nil {
			return passes{}, fmt.Errorf("downtime: Options.Pass[%d]: %w", i, err)
		}
		if literal, ok := compiled.Literal(); ok {
			p.lengths |= 1 << (max(1, len(literal)) & 63)
		} else {
			p.lengths = ^uint64(0)
		}
		p.patterns = append(p.patterns, passPattern{method, compiled})
	}
	return p, nil
}

// has says whether the request passes. Most are told apart by the length of their
// path alone.
func (p *passes) has(r *http.Request) bool {
	path := r.URL.Path
	if p.lengths&(1<<(len(path)&63)) == 0 {
		return false
	}
	for i := range p.patterns {
		of := &p.patterns[i]
		if (of.method == "" || of.method == r.Method || of.method == http.MethodGet && r.Method == http.MethodHead) &&
			of.path.MatchExactly(path) {
			return r.URL.RawPath == "" && r.URL.Opaque == "" && pattern.Plain(path)
		}
	}
	return false
}
