package downtime

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
// A GET request that would rather have text/event-stream is answered 200 with one event "maintenance", of
// which the data is the problem+json, and the time to come back as retry:
// the EventSource of a browser gives up for good on any other status.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return &guarded{g, next}
}

type guarded struct {
	guard *Guard
	next  http.Handler
}

func (h *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.guard.pass.has(r) {
		h.next.ServeHTTP(w, r)
		return
	}
	at, c, refusedBy := h.guard.admit(r, nil)
	if refusedBy != nil {
		h.guard.turnAway(w, r, refusedBy)
		return
	}
	defer h.guard.leave(at)
	if c.announced && h.guard.link != "" {
		w.Header().Add("Link", h.guard.link)
	}
	h.next.ServeHTTP(w, r)
}

// admit counts the request, or says which window refuses it. What each window that
// refuses it lets bypass is admitted all the same; a nil bypass is for none.
func (g *Guard) admit(r *http.Request, bypass func(*near) bool) (*slot, *class, *near) {
	t := target{r: r}
	for {
		s := g.now.Load()
		c := g.requestClass(s, &t)
		if c.refusedBy != nil {
			if by := c.firstNot(bypass); by != nil {
				return nil, nil, by
			}
			c = c.bypassing()
		}
		if c.cutoffBy != nil && g.opts.Long != nil && g.opts.Long(r) && (bypass == nil || !bypass(c.cutoffBy)) {
			return nil, nil, c.cutoffBy
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

// firstNot is the first window that refuses class c and does not let it bypass.
func (c *class) firstNot(bypass func(*near) bool) *near {
	for _, n := range c.refusing {
		if bypass == nil || !bypass(n) {
			return n
		}
	}
	return nil
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
	for _, n := range c.rehearsed {
		n.progress.refused.Add(1)
	}
	if len(c.rehearsed) > 0 {
		g.wouldRefuse.Add(1)
	}
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
	path   pattern
}

func newPasses(list []string) (passes, error) {
	var p passes
	for i, text := range list {
		method, path, found := strings.Cut(text, " ")
		if !found {
			method, path = "", text
		} else if checked, err := checkMethod(method); err != nil || checked != method {
			return passes{}, fmt.Errorf("downtime: Options.Pass[%d]: %q does not begin with a method", i, text)
		}
		compiled, err := parsePattern(strings.TrimLeft(path, " \t"))
		if err != nil {
			return passes{}, fmt.Errorf("downtime: Options.Pass[%d]: %w", i, err)
		}
		if compiled.form == formExact {
			p.lengths |= 1 << (max(1, len(compiled.literal)) & 63)
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
			of.path.matchExactly(path) {
			return r.URL.RawPath == "" && r.URL.Opaque == "" && isPlain(path)
		}
	}
	return false
}
