package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
	"github.com/upkeep-go/upkeep/internal/document"
)

// A Scope is what a window is about. The empty scope is everything: all requests
// and all work.
//
// A request is in scope when its path, its method and its host are each in the list
// of that name; an empty list holds all. A scope that lists only Work has no
// requests in it, and one that does not list Work has no work in it, unless it is
// empty altogether.
//
// Doubt means in scope: a path that could be read as one in scope is, however it is
// written, and so is a host that is no host.
type Scope struct {
	// Paths are patterns as net/http's, without method and host: "/orders",
	// "/orders/{id}", "/orders/{rest...}", "/orders/{$}"; and "**" for any number of
	// segments, none too: "/orders/**", "/**/export". A final slash is "**", as in net/http.
	// One more or less at the end of a request's path makes no difference.
	Paths []string

	// Methods are HTTP methods. GET brings HEAD.
	Methods []string

	// Hosts are names or addresses without a port: "shop.example", "*.shop.example"
	// (any name below, not shop.example itself), "::1". They are matched with the host that
	// the request names itself, not with X-Forwarded-Host.
	Hosts []string

	// Work are names of work that is not a request: jobs, consumers. "*" is all of them.
	Work []string

	patterns []pattern.Pattern // of Paths, in a Scope that Parse read
}

// IsEmpty reports whether the scope lists nothing, and so covers everything.
func (s *Scope) IsEmpty() bool { return !s.listsRequests() && len(s.Work) == 0 }

// listsRequests reports whether the scope has a list that requests are matched with.
func (s *Scope) listsRequests() bool { return len(s.Paths)+len(s.Methods)+len(s.Hosts) > 0 }

// Key is the same text for two scopes with the same lists, in whatever order. The empty
// scope's is "".
func (s *Scope) Key() string {
	if s.IsEmpty() {
		return ""
	}
	sorted := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return fmt.Sprintf("%q %q %q %q", sorted(s.Paths), sorted(s.Methods), sorted(s.Hosts), sorted(s.Work))
}

// CoversWork reports whether work of that name is in scope.
func (s *Scope) CoversWork(name string) bool {
	return s.IsEmpty() || slices.Contains(s.Work, name) || slices.Contains(s.Work, "*")
}

// Covers reports whether the request is in scope. It is fast for scopes that [Parse] has
// read. In any other, a path that is no pattern covers every path.
func (s *Scope) Covers(r *Request) bool {
	return s.IsEmpty() || s.listsRequests() &&
		(len(s.Methods) == 0 || s.hasMethod(r.HTTP.Method)) &&
		(len(s.Hosts) == 0 || s.hasHost(r)) &&
		(len(s.Paths) == 0 || s.hasPath(r))
}

// compile reads the paths. One that is no pattern counts as every path.
func (s *Scope) compile() []pattern.Pattern {
	patterns := make([]pattern.Pattern, len(s.Paths))
	for i, text := range s.Paths {
		var err error
		if patterns[i], err = pattern.Parse(text); err != nil {
			patterns[i], _ = pattern.Parse("/**")
		}
	}
	return patterns
}

func (s *Scope) hasMethod(method string) bool {
	method = cmp.Or(method, http.MethodGet)
	return slices.ContainsFunc(s.Methods, func(m string) bool {
		// Go's routers take methods as they are written; others do not.
		return strings.EqualFold(m, method) || m == http.MethodGet && strings.EqualFold(method, http.MethodHead)
	})
}

func (s *Scope) hasHost(r *Request) bool {
	r.readHosts()
	if r.hostDoubt {
		return true
	}
	for _, name := range r.hosts[:r.hostCount] {
		for _, h := range s.Hosts {
			if h == name || strings.HasPrefix(h, "*.") && strings.HasSuffix(name, h[1:]) {
				return true
			}
		}
	}
	return false
}

func (s *Scope) hasPath(r *Request) bool {
	patterns := s.patterns
	if patterns == nil {
		patterns = s.compile()
	}
	path := r.HTTP.URL.Path
	for i := range patterns {
		if patterns[i].Match(path) {
			return true
		}
	}
	r.readPath()
	if r.doubt {
		return true
	}
	for i := range patterns {
		if slices.ContainsFunc(r.readings, patterns[i].MatchSegments) {
			return true
		}
	}
	return false
}

// A Request is an HTTP request as scopes look at it. Ask many scopes with the same Request,
// because reading an odd path is costly and is done once. It is for one goroutine.
type Request struct {
	HTTP *http.Request // required, with its URL

	pathRead bool
	doubt    bool
	readings [][]string // of a path that is not plain

	hostsRead bool
	hostDoubt bool // a host is none
	hostCount int
	hosts     [2]string // normal
}

func (r *Request) readPath() {
	u := r.HTTP.URL
	if !r.pathRead && (u.RawPath != "" || u.Opaque != "" || !pattern.Plain(u.Path)) {
		r.readings, r.doubt = pattern.Readings(u)
	}
	r.pathRead = true
}

// readHosts finds the hosts that the request names. The server has put the host of an
// absolute-form target in Host; a host that is still in the URL was put there on the way.
func (r *Request) readHosts() {
	if r.hostsRead {
		return
	}
	r.hostsRead = true
	for i, host := range [...]string{r.HTTP.Host, r.HTTP.URL.Host} {
		if i == 1 && (host == "" || host == r.HTTP.Host) {
			continue
		}
		name, ok := normalHost(host)
		if !ok {
			r.hostDoubt = true
			return
		}
		r.hosts[r.hostCount] = name
		r.hostCount++
	}
}

// normalHost is a host without port and final dot, in lower case, and an address in its one
// form. It is false for what is no host.
func normalHost(host string) (string, bool) {
	name := host
	bracketed := strings.HasPrefix(name, "[")
	if bracketed {
		end := strings.IndexByte(name, ']')
		if end < 0 || end+1 < len(name) && name[end+1] != ':' {
			return "", false
		}
		name = name[1:end]
	} else if colon := strings.IndexByte(name, ':'); colon >= 0 {
		if strings.IndexByte(name[colon+1:], ':') >= 0 {
			return "", false // an IPv6 address without brackets is no host of a request
		}
		name = name[:colon]
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > 253 {
		return "", false
	}
	if bracketed || name[len(name)-1] >= '0' && name[len(name)-1] <= '9' {
		addr, err := netip.ParseAddr(name)
		if err == nil {
			return addr.Unmap().WithZone("").String(), true
		}
		if bracketed {
			return "", false
		}
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && i > 0 && i < len(name)-1 && name[i-1] != '.':
		default:
			return "", false
		}
	}
	return name, true
}

func checkHost(text string) (string, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone("").String(), nil
	}
	below, name := "", text
	if rest, ok := strings.CutPrefix(text, "*."); ok {
		below, name = "*.", rest
	}
	normal, ok := normalHost(name)
	if !ok || strings.ContainsAny(name, ":[]") {
		return "", fmt.Errorf(`must be a host without scheme and port, such as "shop.example" or "*.shop.example" `+
			`(names beyond ASCII in their xn-- form), got %q`, document.Clip(text))
	}
	return below + normal, nil
}

func checkMethod(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be empty")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != '-' && (r|0x20 < 'a' || r|0x20 > 'z') }) {
		return "", fmt.Errorf("must be an HTTP method, got %q", document.Clip(text))
	}
	return strings.ToUpper(text), nil
}

func checkWork(text string) (string, error) {
	if text == "" || text != "*" && strings.Contains(text, "*") {
		return "", fmt.Errorf(`must be a name, or "*" for all work, got %q`, document.Clip(text))
	}
	return text, nil
}

// Meets reports whether anything could be in both scopes, as far as their hosts, methods,
// work and first parts of paths show it.
func (s *Scope) Meets(o *Scope) bool {
	if s.IsEmpty() || o.IsEmpty() {
		return true
	}
	meet := func(a, b []string, same func(a, b string) bool) bool {
		return slices.ContainsFunc(a, func(x string) bool {
			return slices.ContainsFunc(b, func(y string) bool { return same(x, y) })
		})
	}
	if meet(s.Work, o.Work, func(a, b string) bool { return a == b || a == "*" || b == "*" }) {
		return true
	}
	either := func(a, b []string, same func(a, b string) bool) bool {
		return len(a) == 0 || len(b) == 0 || meet(a, b, same)
	}
	return s.listsRequests() && o.listsRequests() &&
		either(s.Methods, o.Methods, func(a, b string) bool {
			return a == b || a == http.MethodGet && b == http.MethodHead || a == http.MethodHead && b == http.MethodGet
		}) &&
		either(s.Hosts, o.Hosts, func(a, b string) bool {
			return a == b || strings.HasPrefix(a, "*") && strings.HasSuffix(b, a[1:]) ||
				strings.HasPrefix(b, "*") && strings.HasSuffix(a, b[1:])
		}) &&
		either(s.Paths, o.Paths, func(a, b string) bool {
			a, b = fixedPart(a)+"/", fixedPart(b)+"/"
			return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
		})
}

// fixedPart is the segments of a pattern before its first wildcard or escape.
func fixedPart(pattern string) string {
	if i := strings.IndexAny(pattern, "{*%"); i >= 0 {
		pattern = pattern[:strings.LastIndexByte(pattern[:i], '/')+1]
	}
	return strings.TrimSuffix(pattern, "/")
}
