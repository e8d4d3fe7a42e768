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

// A Scope says which requests and which work a window affects. The empty scope covers
// everything: all requests and all work.
//
// A request is in scope if its path, its method and its host each match the list of that
// name; an empty list matches all. A scope that lists only Work covers no requests, and a
// scope that lists only requests covers no work.
//
// Doubt means in scope: a path that any router could read as a path in scope is in scope,
// however it is written, and so is a request with an invalid host.
type Scope struct {
	// Paths are patterns of net/http, without method and host: "/orders",
	// "/orders/{id}", "/orders/{rest...}", "/orders/{$}"; and "**" matches zero or more
	// segments: "/orders/**", "/**/export". A final slash means "**", as in net/http.
	// A slash at the end of a request's path is ignored.
	Paths []string

	// Methods are HTTP methods. GET includes HEAD.
	Methods []string

	// Hosts are names or addresses without a port: "shop.example", "*.shop.example"
	// (any name below, not shop.example itself), "::1". They are compared with the host that
	// the request itself names, not with X-Forwarded-Host.
	Hosts []string

	// Work are names of work that is not a request: jobs, consumers. "*" means all of them.
	Work []string

	patterns []pattern.Pattern // of Paths; set by Parse
}

// IsEmpty reports whether all lists are empty, so that the scope covers everything.
func (s *Scope) IsEmpty() bool { return !s.listsRequests() && len(s.Work) == 0 }

func (s *Scope) listsRequests() bool { return len(s.Paths)+len(s.Methods)+len(s.Hosts) > 0 }

// Key returns the same text for scopes with the same lists, in any order. The key of the empty
// scope is "".
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
// read. In other scopes, an invalid pattern in Paths matches every path.
func (s *Scope) Covers(r *Request) bool {
	return s.IsEmpty() || s.listsRequests() &&
		(len(s.Methods) == 0 || s.hasMethod(r.HTTP.Method)) &&
		(len(s.Hosts) == 0 || s.hasHost(r)) &&
		(len(s.Paths) == 0 || s.hasPath(r))
}

// compile parses Paths. An invalid pattern matches every path.
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
		// Some routers ignore the case of methods; Go's do not.
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

// A Request is an HTTP request in the form that [Scope.Covers] takes. Use one Request for many
// scopes, because it decodes an unusual path only once. It is for one goroutine.
type Request struct {
	HTTP *http.Request // required, with its URL

	pathRead bool
	doubt    bool
	readings [][]string // the ways to read a path that is not plain

	hostsRead bool
	hostDoubt bool // a host is invalid
	hostCount int
	hosts     [2]string // in normal form
}

func (r *Request) readPath() {
	u := r.HTTP.URL
	if !r.pathRead && (u.RawPath != "" || u.Opaque != "" || !pattern.Plain(u.Path)) {
		r.readings, r.doubt = pattern.Readings(u)
	}
	r.pathRead = true
}

// readHosts reads the hosts that the request names. The server puts the host of an
// absolute-form target in Host; middleware may have set another host in the URL.
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

// normalHost returns a host without port and final dot, in lower case, and an address in its
// canonical form. It returns false for an invalid host.
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
			return "", false // a request must write an IPv6 address in brackets
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

// Meets reports whether a request or work could be in both scopes. It compares hosts, methods,
// work and the first parts of paths, so it may report true for paths that cannot both match.
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

// fixedPart returns the segments of a pattern before its first wildcard or escape.
func fixedPart(pattern string) string {
	if i := strings.IndexAny(pattern, "{*%"); i >= 0 {
		pattern = pattern[:strings.LastIndexByte(pattern[:i], '/')+1]
	}
	return strings.TrimSuffix(pattern, "/")
}
