package compat

import (
	"regexp"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

const (
	maxToken  = 128
	maxHeader = 512
)

var tokenRegexp = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// parseProduct returns name and version of the peer, each a token or empty. The header may
// contain any bytes. It has products, as a User-Agent (RFC 9110 section 10.1.5), or a version
// alone, which a User-Agent must not have. known reports whether there are rules for a name.
// If a proxy has joined several header lines with commas, the first one counts. ok is false if
// neither can be read.
func parseProduct(header string, isAgent bool, known func(string) bool) (name, ver string, ok bool) {
	if len(header) > maxHeader {
		return "", "", false
	}
	for _, field := range fields(header) {
		n, v, slash := strings.Cut(field, "/")
		switch {
		case !isToken(n), slash && !isToken(v):
			if !isAgent && !ok {
				return "", "", false // the rest would be misread
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

// fields returns the words of a header up to a comma, without comments. Comments may nest.
func fields(header string) []string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(header) && (depth > 0 || header[i] != ','); i++ {
		switch c := header[i]; {
		case c == '(':
			depth++
			b.WriteByte(' ')
		case depth == 0:
			b.WriteByte(c)
		case c == ')':
			depth--
		case c == '\\':
			i++ // a quoted pair
		}
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return r == ' ' || r == '\t' })
}

func isToken(s string) bool { return len(s) <= maxToken && tokenRegexp.MatchString(s) }

func shown(s string) string { return cleantext.Line(s, maxToken) }
