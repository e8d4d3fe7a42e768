package downtime

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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

	// Work are names that [Guard.Enter] is called with; "*" is all of them.
	Work []string
}

// key is equal for equal scopes, whatever the order of their lists.
func (s Scope) key() string {
	if s.empty() {
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

func (s Scope) empty() bool {
	return len(s.Paths) == 0 && len(s.Methods) == 0 && len(s.Hosts) == 0 && len(s.Work) == 0
}

// A scope is a Scope made ready for matching.
type scope struct {
	key      string
	all      bool // everything
	requests bool // has a list that requests are matched with
	paths    []pattern
	methods  []string
	hosts    []string // normal; "*.x" as ".x"
	work     []string
}

func compileScope(s Scope, key string) *scope {
	c := &scope{
		key:      key,
		all:      s.empty(),
		requests: len(s.Paths)+len(s.Methods)+len(s.Hosts) > 0,
		methods:  s.Methods,
		work:     s.Work,
	}
	for _, p := range s.Paths {
		compiled, err := parsePattern(p)
		if err != nil {
			panic("downtime: scope path was not checked: " + err.Error())
		}
		c.paths = append(c.paths, compiled)
	}
	for _, h := range s.Hosts {
		c.hosts = append(c.hosts, strings.TrimPrefix(h, "*"))
	}
	return c
}

// hasWork says whether work of that name is in scope.
func (c *scope) hasWork(name string) bool {
	if c.all {
		return true
	}
	for _, w := range c.work {
		if w == name || w == "*" {
			return true
		}
	}
	return false
}

// has says whether the request is in scope.
func (c *scope) has(t *target) bool {
	if c.all {
		return true
	}
	return c.requests &&
		(len(c.methods) == 0 || c.hasMethod(t.r.Method)) &&
		(len(c.hosts) == 0 || c.hasHost(t)) &&
		(len(c.paths) == 0 || c.hasPath(t))
}

func (c *scope) hasMethod(method string) bool {
	if len(c.methods) == 0 {
		return true
	}
	if method == "" {
		method = http.MethodGet
	}
	for _, m := range c.methods {
		// Go's routers take methods as they are written; others do not.
		if strings.EqualFold(m, method) || m == http.MethodGet && strings.EqualFold(method, http.MethodHead) {
			return true
		}
	}
	return false
}

func (c *scope) hasHost(t *target) bool {
	if len(c.hosts) == 0 {
		return true
	}
	t.readHosts()
	if t.hostDoubt {
		return true
	}
	for _, name := range t.hosts[:t.hostCount] {
		for _, h := range c.hosts {
			if h == name || h[0] == '.' && strings.HasSuffix(name, h) {
				return true
			}
		}
	}
	return false
}

func (c *scope) hasPath(t *target) bool {
	if len(c.paths) == 0 {
		return true
	}
	path := t.r.URL.Path
	for i := range c.paths {
		if c.paths[i].matchPlain(path) {
			return true
		}
	}
	if t.isPlain() {
		return false
	}
	readings, doubt := t.otherReadings()
	if doubt {
		return true
	}
	for i := range c.paths {
		for _, segments := range readings {
			if matchSegments(c.paths[i].segments, segments) {
				return true
			}
		}
	}
	return false
}

// A target is a request as scopes look at it. What is costly is done once for all
// of them.
type target struct {
	r        *http.Request
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

func (t *target) isPlain() bool {
	if !t.looked {
		t.look()
	}
	return t.plain
}

func (t *target) look() {
	t.looked = true
	t.plain = t.r.URL.RawPath == "" && t.r.URL.Opaque == "" && isPlain(t.r.URL.Path)
}

func (t *target) otherReadings() ([][]string, bool) {
	if !t.read {
		t.read = true
		t.readings, t.doubt = readings(t.r.URL)
	}
	return t.readings, t.doubt
}

// readHosts finds the hosts that the request names. An absolute-form target carries one
// of its own, which the server has put in Host. What stands in the URL all the same was
// put there on the way.
func (t *target) readHosts() {
	if t.hostsRead {
		return
	}
	t.hostsRead = true
	t.addHost(t.r.Host)
	if t.r.URL.Host != "" && t.r.URL.Host != t.r.Host {
		t.addHost(t.r.URL.Host)
	}
}

func (t *target) addHost(host string) {
	name, ok := normalHost(host)
	if !ok {
		t.hostDoubt = true
		return
	}
	t.hosts[t.hostCount] = name
	t.hostCount++
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
			`(names beyond ASCII in their xn-- form), got %q`, clip(text))
	}
	return below + normal, nil
}

func checkMethod(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be empty")
	}
	for i := range len(text) {
		if c := text[i] | 0x20; c < 'a' || c > 'z' {
			if text[i] != '-' {
				return "", fmt.Errorf("must be an HTTP method, got %q", clip(text))
			}
		}
	}
	return strings.ToUpper(text), nil
}

func checkWork(text string) (string, error) {
	if text == "" || text != "*" && strings.Contains(text, "*") {
		return "", fmt.Errorf(`must be a name, or "*" for all work, got %q`, clip(text))
	}
	return text, nil
}

// mayMeet says whether anything could be in both scopes, as far as that is plain to
// see: yes in doubt.
func (s Scope) mayMeet(o Scope) bool {
	if s.empty() || o.empty() {
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
	requests := func(s Scope) bool { return len(s.Paths)+len(s.Methods)+len(s.Hosts) > 0 }
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
			a, b = fixedPart(a), fixedPart(b)
			return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
		})
}

// fixedPart is a pattern up to its first wildcard.
func fixedPart(pattern string) string {
	if i := strings.IndexAny(pattern, "{*%"); i >= 0 {
		pattern = pattern[:i]
	}
	return strings.TrimSuffix(pattern, "/")
}
