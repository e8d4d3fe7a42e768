package downtime

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
)

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
