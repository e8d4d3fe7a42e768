package observe

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// forwarded is what trusted proxies say of a request.
type forwarded struct {
	client     string // an address, or the name that a proxy has for it; "": not known
	clientPort int
	secure     bool
	host       string // "": that of the request
	port       int
}

// proxies are those of Options.TrustedProxies.
type proxies []netip.Prefix

// forwarded reads the headers of a request that came through trusted proxies.
//
// Each proxy adds the address of its caller at the end. So the addresses are read from the end
// while they are trusted: those before the first untrusted one may be invented. The scheme and
// host are those of the request to the outermost trusted proxy.
func (p proxies) forwarded(r *http.Request) *forwarded {
	f := &forwarded{secure: r.TLS != nil}
	peer := parseNode(r.RemoteAddr)
	f.client, f.clientPort = peer.name, peer.port
	if !p.trusts(peer.addr) {
		return f
	}
	hops := p.hops(peer, r.Header["Forwarded"], lastForwarded)
	byX := p.hops(peer, r.Header["X-Forwarded-For"], lastFor)
	switch {
	case len(r.Header["Forwarded"]) == 0:
		f.takeX(r.Header, byX)
	case len(r.Header["X-Forwarded-For"]) > 0 && !sameClient(hops, byX):
		// A proxy adds to one of them, and passes the other on as it came.
	default:
		f.takeForwarded(hops)
	}
	return f
}

func (p proxies) trusts(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(p, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// A hop is an element of a header: who called a proxy, and what was asked for.
type hop struct {
	node
	scheme, host string
}

// hops are the elements of the trusted proxies, the outermost last. last takes the last element
// from a header's value.
func (p proxies) hops(peer node, lines []string, last func(string) (rest string, h hop, ok bool)) []hop {
	var hops []hop
	at := peer.addr
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := trimList(lines[i]); rest != ""; rest = trimList(rest) {
			if len(hops) == maxHops || !p.trusts(at) {
				return hops
			}
			var h hop
			var ok bool
			if rest, h, ok = last(rest); !ok {
				return hops
			}
			hops = append(hops, h)
			at = h.addr
		}
	}
	return hops
}

// trimList takes empty elements from the end of a list.
func trimList(s string) string { return strings.TrimRight(s, ", \t") }

func sameClient(a, b []hop) bool {
	return len(a) == len(b) && (len(a) == 0 || a[len(a)-1].name == b[len(b)-1].name)
}

func (f *forwarded) takeClient(hops []hop) {
	if len(hops) > 0 {
		outermost := hops[len(hops)-1].node
		f.client, f.clientPort = outermost.name, outermost.port
	}
}

func (f *forwarded) takeForwarded(hops []hop) {
	f.takeClient(hops)
	for i := len(hops) - 1; i >= 0; i-- {
		if f.takeScheme(hops[i].scheme) {
			break
		}
	}
	for i := len(hops) - 1; i >= 0; i-- {
		if f.takeHost(hops[i].host) {
			break
		}
	}
}

// takeX takes what X-Forwarded-* say. Where a proxy in front of another adds to a list, that
// has as many elements as X-Forwarded-For; where it does not, the last is the one that a
// trusted proxy has set.
func (f *forwarded) takeX(h http.Header, hops []hop) {
	f.takeClient(hops)
	total := 0
	for _, line := range h["X-Forwarded-For"] {
		total += 1 + strings.Count(line, ",")
	}
	value := func(name string) string {
		lines := h[name]
		if len(lines) == 0 {
			return ""
		}
		count := 0
		for _, line := range lines {
			count += 1 + strings.Count(line, ",")
		}
		back := 1
		if count == total && len(hops) > 0 {
			back = len(hops)
		}
		for i := len(lines) - 1; i >= 0; i-- {
			for rest, more := lines[i], true; more; back-- {
				at := strings.LastIndexByte(rest, ',')
				if back == 1 {
					return strings.Trim(rest[at+1:], " \t")
				}
				if more = at >= 0; more {
					rest = rest[:at]
				}
			}
		}
		return ""
	}
	f.takeScheme(value("X-Forwarded-Proto"))
	f.takeHost(value("X-Forwarded-Host"))
	if n, err := strconv.ParseUint(value("X-Forwarded-Port"), 10, 16); err == nil && n != 0 && f.port == 0 {
		f.port = int(n)
	}
}

func (f *forwarded) takeScheme(s string) bool {
	switch strings.ToLower(s) {
	case "https", "wss":
		f.secure = true
	case "http", "ws":
		f.secure = false
	default:
		return false
	}
	return true
}

func (f *forwarded) takeHost(s string) bool {
	host, port, ok := parseHost(s)
	if ok {
		f.host, f.port = host, port
	}
	return ok
}

// A node identifies a caller (RFC 7239 section 6).
type node struct {
	addr netip.Addr // not valid for an obfuscated name
	name string
	port int
}

// parseNode reads an address, with a port or without. IPv6 addresses with a port are in
// brackets.
func parseNode(s string) node {
	if addr, err := netip.ParseAddr(s); err == nil {
		return newNode(addr, 0)
	}
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		if addr, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil && addr.Is6() {
			return newNode(addr, 0)
		}
	}
	if both, err := netip.ParseAddrPort(s); err == nil {
		return newNode(both.Addr(), int(both.Port()))
	}
	return node{}
}

func newNode(addr netip.Addr, port int) node {
	addr = addr.Unmap().WithZone("")
	return node{addr: addr, name: addr.String(), port: port}
}

// parseFor reads the node of a Forwarded: an address, "unknown", or a name that begins with
// "_", each with a port or without, which may be such a name too.
func parseFor(s string) (n node, ok bool) {
	if n = parseNode(s); n.name != "" {
		return n, true
	}
	name, port, _ := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		if name, port, ok = strings.Cut(s, "]:"); !ok {
			return node{}, false
		}
		name += "]"
	}
	switch {
	case isObfuscated(port):
		if n = parseNode(name); n.name != "" {
			return n, true
		}
	case port != "":
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return node{}, false
		}
	}
	switch {
	case strings.EqualFold(name, "unknown"):
		return node{}, true
	case isObfuscated(name):
		return node{name: name}, true
	}
	return node{}, false
}

// isObfuscated reports whether s is a name that hides an address or port.
func isObfuscated(s string) bool {
	return len(s) > 1 && len(s) <= maxHost && s[0] == '_' && strings.Trim(s, letters+digits+"._-") == ""
}

// lastFor takes the last element from an X-Forwarded-For.
func lastFor(s string) (rest string, h hop, ok bool) {
	at := strings.LastIndexByte(s, ',')
	rest, s = s[:max(at, 0)], strings.Trim(s[at+1:], " \t")
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	h.node, ok = parseFor(s)
	return rest, h, ok
}

// lastForwarded takes the last element from a Forwarded (RFC 7239 section 4). It reads from the
// end, so that quotes which the client has left open hide nothing that a proxy has added.
func lastForwarded(s string) (rest string, h hop, ok bool) {
	open := false
	for i := len(s) - 1; i >= 0 && len(s)-i <= maxElement; i-- {
		switch {
		case s[i] == '"' && backslashesBefore(s, i)%2 == 0:
			open = !open
		case s[i] == ',' && !open:
			h, ok = parseForwarded(s[i+1:])
			return s[:i], h, ok
		}
	}
	if open || len(s) > maxElement {
		return "", hop{}, false
	}
	h, ok = parseForwarded(s)
	return "", h, ok
}

func backslashesBefore(s string, at int) (n int) {
	for n < at && s[at-n-1] == '\\' {
		n++
	}
	return n
}

// parseForwarded reads one element: pairs of a name and a token or quoted text. Like many
// senders it takes spaces around semicolons, and addresses with a port without quotes.
func parseForwarded(s string) (h hop, ok bool) {
	seen := map[string]bool{}
	for s = strings.Trim(s, " \t"); s != ""; {
		name, value, found := strings.Cut(s, "=")
		name = strings.ToLower(name)
		if !found || !isToken(name) || seen[name] {
			return hop{}, false
		}
		seen[name] = true
		if value, s, found = forwardedValue(value); !found {
			return hop{}, false
		}
		switch name {
		case "for":
			if h.node, found = parseFor(value); !found {
				return hop{}, false
			}
		case "proto":
			h.scheme = value
		case "host":
			h.host = value
		}
	}
	return h, len(seen) > 0
}

// forwardedValue takes a value, and the semicolon behind it, from the beginning of s.
func forwardedValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		value = strings.TrimRight(value, " \t")
		return value, strings.Trim(rest, " \t"), value != "" && strings.Trim(value, letters+digits+"!#$%&'*+-.^_`|~:[]") == ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			rest = strings.Trim(s[i+1:], " \t")
			if rest != "" && rest[0] != ';' {
				return "", "", false
			}
			return b.String(), strings.Trim(strings.TrimPrefix(rest, ";"), " \t"), true
		case c < ' ' && c != '\t', c == 0x7f:
			return "", "", false
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

func isToken(s string) bool {
	return s != "" && strings.Trim(s, letters+digits+"!#$%&'*+-.^_`|~") == ""
}

// parseHost reads a host with a port or without.
func parseHost(s string) (host string, port int, ok bool) {
	if s == "" || len(s) > maxHost {
		return "", 0, false
	}
	if strings.HasPrefix(s, "[") {
		n := parseNode(s)
		return n.name, n.port, n.name != ""
	}
	host, text, found := strings.Cut(s, ":")
	if found {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		port = int(n)
	}
	if host == "" || strings.Trim(host, letters+digits+"-._") != "" {
		return "", 0, false
	}
	return strings.ToLower(host), port, true
}
