package downtime

import (
	"fmt"
	"net/http"
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
// Accept: application/problem+json (RFC 9457), a page for browsers, or plain text.
// It carries no CORS headers: wrap the guard in what adds them.
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
	at, refusedBy := h.guard.admit(r, nil)
	if refusedBy != nil {
		h.guard.refuse(w, r, refusedBy)
		return
	}
	defer h.guard.leave(at)
	h.next.ServeHTTP(w, r)
}

// admit counts the request, or says which window refuses it. What each window that
// refuses it lets bypass is admitted all the same; a nil bypass is for none.
func (g *Guard) admit(r *http.Request, bypass func(*near) bool) (*slot, *near) {
	t := target{r: r}
	for {
		s := g.now.Load()
		c := g.requestClass(s, &t)
		if c.refusedBy != nil {
			if by := c.firstNot(bypass); by != nil {
				return nil, by
			}
			c = c.bypassing()
		}
		if c.cutoffBy != nil && g.opts.Long != nil && g.opts.Long(r) && (bypass == nil || !bypass(c.cutoffBy)) {
			return nil, c.cutoffBy
		}
		at := g.running.enter(c)
		if g.now.Load() != s {
			g.leave(at)
			continue
		}
		g.noteRehearsal(c)
		return at, nil
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
