package compat

import (
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

const (
	// maxToken bounds each of name and version, in bytes, as
	// version.UserAgent does.
	maxToken = 128
	// maxHeader bounds the header value that is read, in bytes.
	maxHeader = 512
)

// parseProduct finds name and version of the peer in a header of any bytes:
// products as in a User-Agent (RFC 9110 section 10.1.5), or, unless it is one,
// a version alone. Both are tokens of at most maxToken bytes or empty. It is
// false when nothing can be read. known tells which names there are rules for.
// Proxies join several header lines by commas: of such a list the first counts,
// as it does of the lines.
func parseProduct(header string, isAgent bool, known func(string) bool) (name, ver string, ok bool) {
	if len(header) > maxHeader {
		return "", "", false
	}
	for field := range fields(header) {
		n, v, slash := strings.Cut(field, "/")
		switch {
		case !isToken(n), slash && !isToken(v):
			if !isAgent && !ok {
				return "", "", false // what follows is not what was meant
			}
			continue
		case !slash && !isAgent && !known(n):
			n, v = "", n
		}
		if n != "" && known(n) {
			return n, v, true
		}
		if !ok {
			name, ver, ok = n, v, true
		}
	}
	return name, ver, ok
}

// fields gives the words of a header up to a comma, without its comments, which
// nest.
func fields(header string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		depth, start := 0, -1
		for i := 0; i < len(header); i++ {
			c := header[i]
			if depth == 0 && start >= 0 && strings.IndexByte(" \t(,", c) >= 0 {
				if !yield(header[start:i]) {
					return
				}
				start = -1
			}
			if depth == 0 && c == ',' {
				return
			}
			switch {
			case c == '(':
				depth++
			case depth > 0 && c == ')':
				depth--
			case depth > 0 && c == '\\':
				i++ // a quoted pair
			case depth == 0 && start < 0 && c != ' ' && c != '\t':
				start = i
			}
		}
		if start >= 0 {
			yield(header[start:])
		}
	}
}

// isToken tells whether this is a token (RFC 9110 section 5.6.2) of a length
// that a name or a version has.
func isToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			continue
		}
		if c == 0 || strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// shown is a version as it may stand in an error text.
func shown(s string) string { return cleantext.Line(s, maxToken) }
