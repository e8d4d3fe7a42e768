package downtime

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
)

// DefaultPass returns the default of [Options].Pass, for GET and HEAD only: the usual paths that
// Kubernetes, Spring, Quarkus and Prometheus probe and scrape, with and without a slash at the end,
// because an orchestrator removes replicas that answer a probe with 503; the challenges of ACME; and
// robots.txt, because crawlers stop at a 503 there. The caller owns the slice.
func DefaultPass() []string {
	list := []string{"GET /robots.txt", "GET /.well-known/acme-challenge/{token}"}
	for _, path := range [...]string{
		"/health", "/healthz", "/healthcheck",
		"/live", "/livez", "/liveness", "/health/live", "/health/liveness", "/healthz/live", "/healthz/liveness",
		"/ready", "/readyz", "/readiness", "/health/ready", "/health/readiness", "/healthz/ready", "/healthz/readiness",
		"/startup", "/startupz", "/started", "/health/startup", "/health/started", "/healthz/startup",
		"/-/healthy", "/-/ready", "/metrics",
		"/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness", "/actuator/health/startup", "/actuator/prometheus",
		"/q/health", "/q/health/live", "/q/health/ready", "/q/health/started", "/q/health/well", "/q/metrics",
	} {
		list = append(list, "GET "+path, "GET "+path+"/{$}")
	}
	return list
}

type passes struct {
	lengths  [256]uint64         // by the byte after the slash: bit l%64 is set if a path of length l may pass
	exact    map[string][]string // methods by path; the empty method means any
	patterns []passPattern
}

type passPattern struct {
	method string // empty means any
	path   pattern.Pattern
}

func newPasses(list []string) (*passes, error) {
	p := &passes{exact: map[string][]string{}}
	for i, text := range list {
		method, path, found := strings.Cut(text, " ")
		if !found {
			method, path = "", text
		} else if strings.ContainsFunc(method, func(r rune) bool { return r != '-' && (r < 'A' || r > 'Z') }) || method == "" {
			return nil, fmt.Errorf("[%d]: %q does not begin with a method", i, text)
		}
		path = strings.TrimLeft(path, " \t")
		compiled, err := pattern.Parse(path)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		if literal, ok := compiled.Literal(); ok {
			if literal == "" || strings.HasSuffix(path, "/{$}") {
				literal += "/"
			}
			p.exact[literal] = append(p.exact[literal], method)
			p.lengths[firstLetter(literal)] |= 1 << (len(literal) & 63)
			continue
		}
		p.patterns = append(p.patterns, passPattern{method, compiled})
		from, to := 0, len(p.lengths)
		if c := firstLetter(path); strings.IndexByte("{*%", c) < 0 {
			from, to = int(c), int(c)+1
		}
		for c := from; c < to; c++ {
			p.lengths[c] = ^uint64(0)
		}
	}
	return p, nil
}

// firstLetter returns the byte after the slash, or 0.
func firstLetter(path string) byte {
	if len(path) < 2 {
		return 0
	}
	return path[1]
}

// has reports whether the request passes. The first letter and the length exclude most paths.
func (p *passes) has(r *http.Request) bool {
	path := r.URL.Path
	return p.lengths[firstLetter(path)]&(1<<(len(path)&63)) != 0 && p.names(r, path)
}

func (p *passes) names(r *http.Request, path string) bool {
	allows := func(method string) bool {
		return method == "" || method == r.Method || method == http.MethodGet && r.Method == http.MethodHead
	}
	if !slices.ContainsFunc(p.exact[path], allows) &&
		!slices.ContainsFunc(p.patterns, func(of passPattern) bool { return allows(of.method) && of.path.MatchExactly(path) }) {
		return false
	}
	rest, _ := strings.CutPrefix(path, "/.well-known") // RFC 8615; other segments that begin with a dot do not pass
	return r.URL.RawPath == "" && r.URL.Opaque == "" && pattern.Plain(rest)
}
