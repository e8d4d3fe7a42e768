package capture

import (
	"net/url"
	"strconv"
	"strings"
)

// appendLink appends what mask.url returns, without a route and rules, for a URL that has a host
// and none of the things that need package url: user information, an address in brackets, escapes in
// the path. It returns false for any other text. Bodies may hold thousands of links.
func (m *mask) appendLink(dst []byte, s string) ([]byte, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(scheme) || !isGraphic(s) {
		return dst, false
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	host, port, _ := strings.Cut(host, ":")
	if host == "" || !isPlain(host, "") || strings.Contains(host, "~") || port != "" && !isNumber(port) ||
		!isPlain(path, "/!$&'()*+,;=:@") || !isPlain(fragment, "/!$&'()*+,;=:@?") {
		return dst, false
	}
	from := len(dst)
	for i := range len(scheme) {
		c := scheme[i]
		if isUpper(c) {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	switch string(dst[from:]) {
	case "http", "https", "ws", "wss":
	default:
		dst = append(dst[:from], "other"...)
	}
	dst = m.appendHost(append(dst, "://"...), host)
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		dst = strconv.AppendUint(append(dst, ':'), n, 10)
	}
	for more := path != ""; more; {
		var segment string
		segment, path, more = strings.Cut(path, "/")
		from := len(dst)
		dst = escapeFrom(m.appendText(dst, segment), from, "$&+=:@", url.PathEscape)
		if more {
			dst = append(dst, '/')
		}
	}
	if query != "" {
		dst = m.appendQuery(append(dst, '?'), query, nil)
	}
	if fragment != "" {
		from := len(dst) + 1
		dst = escapeFrom(m.appendText(append(dst, '#'), fragment), from, "", func(s string) string {
			return (&url.URL{Fragment: s}).EscapedFragment()
		})
	}
	return dst, true
}

// isScheme follows RFC 3986, section 3.1.
func isScheme(s string) bool {
	if s == "" || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("+-.", s[i]) < 0 {
			return false
		}
	}
	return true
}

// isGraphic reports whether s has only ASCII characters that print.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
