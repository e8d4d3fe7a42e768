package schedule

import (
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

	matcher *matcher // nil in a Scope that Parse did not read
}

// IsEmpty reports whether the scope lists nothing, and so covers everything.
func (s *Scope) IsEmpty() bool {
	return len(s.Paths) == 0 && len(s.Methods) == 0 && len(s.Hosts) == 0 && len(s.Work) == 0
}

// Key is the same text for two scopes with the same lists, in whatever order. The empty
// scope's is "".
func (s *Scope) Key() string {
	if s.matcher != nil {
		return s.matcher.key
	}
	return s.key()
}

func (s *Scope) key() string {
	if s.IsEmpty() {
		return ""
	}
	sorted := func(list []string) []string {
		if len(list) < 2 {
			return list
		}
		list = slices.Clone(list)
		slices.Sort(list)
		return slices.Compact(list)
	}
	return fmt.Sprintf("%q %q %q %q", sorted(s.Paths), sorted(s.Methods), sorted(s.Hosts), sorted(s.Work))
}

// CoversWork reports whether work of that name is in scope.
func (s *Scope) CoversWork(name string) bool {
	if s.IsEmpty() {
		return true
	}
	for _, w := range s.Work {
		if w == name || w == "*" {
			return true
		}
	}
	return false
}

// Covers reports whether the request is in scope. It is fast for scopes that [Parse] has
// read. In any other, a path that is no pattern covers every path.
func (s *Scope) Covers(r *Request) bool {
	m := s.matcher
	if m == nil {
		m = s.compiled()
	}
	return m.covers(r)
}

// A matcher is a Scope made ready for matching. It is shared by equal scopes of a document.
type matcher struct {
	key      string
	all      bool // everything
	requests bool // has a list that requests are matched with
	paths    []pattern.Pattern
	methods  []string
	hosts    []string // normal; "*.x" as ".x"
}

func (s *Scope) compiled() *matcher {
	m := &matcher{
		key:      s.key(),
		all:      s.IsEmpty(),
		requests: len(s.Paths)+len(s.Methods)+len(s.Hosts) > 0,
		methods:  s.Methods,
	}
	for _, text := range s.Paths {
		p, err := pattern.Parse(text)
		if err != nil {
			p, _ = pattern.Parse("/**")
		}
		m.paths = append(m.paths, p)
	}
	for _, h := range s.Hosts {
		m.hosts = append(m.hosts, strings.TrimPrefix(h, "*"))
	}
	return m
}

func (m *matcher) covers(r *Request) bool {
	if m.all {
		return true
	}
	return m.requests &&
		(len(m.methods) == 0 || m.hasMethod(r.HTTP.Method)) &&
		(len(m.hosts) == 0 || m.hasHost(r)) &&
		(len(m.paths) == 0 || m.hasPath(r))
}

func (m *matcher) hasMethod(method string) bool {
	if method == "" {
		method = http.MethodGet
	}
	for _, m := range m.methods {
		// Go's routers take methods as they are written; others do not.
		if strings.EqualFold(m, method) || m == http.MethodGet && strings.EqualFold(method, http.MethodHead) {
			return true
		}
	}
	return false
}

func (m *matcher) hasHost(r *Request) bool {
	r.readHosts()
	if r.hostDoubt {
		return true
	}
	for _, name := range r.hosts[:r.hostCount] {
		for _, h := range m.hosts {
			if h == name || h[0] == '.' && strings.HasSuffix(name, h) {
				return true
			}
		}
	}
	return false
}

func (m *matcher) hasPath(r *Request) bool {
	path := r.HTTP.URL.Path
	for i := range m.paths {
		if m.paths[i].Match(path) {
			return true
		}
	}
	if r.isPlain() {
		return false
	}
	readings, doubt := r.otherReadings()
	if doubt {
		return true
	}
	for i := range m.paths {
		for _, segments := range readings {
			if m.paths[i].MatchSegments(segments) {
				return true
			}
		}
	}
	return false
}

// A Request is an HTTP request as scopes look at it: of many scopes, ask each with the
// same Request, because reading an odd path is costly and is done once. It is for one
// goroutine.
type Request struct {
	HTTP *http.Request // required, with its URL

	looked   bool
	plain    bool
	read     bool
	doubt    bool
	readings [][]string

	hostsRead bool
	hostDoubt bool // a host is none
	hostCount int
	hosts     [2]string // normal
}

func (r *Request) isPlain() bool {
	if !r.looked {
		r.looked = true
		u := r.HTTP.URL
		r.plain = u.RawPath == "" && u.Opaque == "" && pattern.Plain(u.Path)
	}
	return r.plain
}

func (r *Request) otherReadings() ([][]string, bool) {
	if !r.read {
		r.read = true
		r.readings, r.doubt = pattern.Readings(r.HTTP.URL)
	}
	return r.readings, r.doubt
}

// readHosts finds the hosts that the request names. An absolute-form target carries one
// of its own, which the server has put in Host. What stands in the URL all the same was
// put there on the way.
func (r *Request) readHosts() {
	if r.hostsRead {
		return
	}
	r.hostsRead = true
	r.addHost(r.HTTP.Host)
	if r.HTTP.URL.Host != "" && r.HTTP.URL.Host != r.HTTP.Host {
		r.addHost(r.HTTP.URL.Host)
	}
}

func (r *Request) addHost(host string) {
	name, ok := normalHost(host)
	if !ok {
		r.hostDoubt = true
		return
	}
	r.hosts[r.hostCount] = name
	r.hostCount++
}

// normalHost is a host as hosts are compared: without port and final dot, in lower
// case, addresses in their one form. It is false for what is no host.
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

func checkPath(text string) (string, error) {
	_, err := pattern.Parse(text)
	return text, err
}

func checkMethod(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be empty")
	}
	for i := range len(text) {
		if c := text[i] | 0x20; c < 'a' || c > 'z' {
			if text[i] != '-' {
				return "", fmt.Errorf("must be an HTTP method, got %q", document.Clip(text))
			}
		}
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
	requests := func(s *Scope) bool { return len(s.Paths)+len(s.Methods)+len(s.Hosts) > 0 }
	either := func(a, b []string, same func(a, b string) bool) bool {
		return len(a) == 0 || len(b) == 0 || meet(a, b, same)
	}
	return requests(s) && requests(o) &&
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
