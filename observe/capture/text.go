package capture

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// timeOf returns the layout of a text that is a time.
func timeOf(s string) (layout string, ok bool) {
	if len(s) >= len(time.DateOnly) && len(s) <= 40 {
		for _, layout := range timeLayouts {
			if _, err := time.Parse(layout, s); err == nil {
				return layout, true
			}
		}
	}
	return "", false
}

// urlOf reads a text that is a URL with a host.
func urlOf(s string) (*url.URL, bool) {
	if len(s) > 4096 || !strings.Contains(s, "://") || strings.ContainsAny(s, " \t\r\n\"<>") {
		return nil, false
	}
	u, err := url.Parse(s)
	return u, err == nil && u.Host != ""
}

var timeLayouts = []string{time.RFC3339Nano, time.DateOnly, time.DateTime, http.TimeFormat}

// hostLabel leaves of a label what url.Parse takes in any place.
func hostLabel(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isAlnum(byte(r)) || r == '-' || r == '_') {
			return r
		}
		return '-'
	}, s)
}

// eachChunk calls fn for what stands between delimiters, without the full stop and
// the like that end a sentence.
func eachChunk(s string, fn func(string) string) string {
	var out strings.Builder
	out.Grow(len(s))
	for len(s) > 0 {
		i := strings.IndexFunc(s, isDelimiter)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			chunk := strings.TrimRight(s[:i], ".:!-/")
			if chunk != "" {
				out.WriteString(fn(chunk))
			}
			out.WriteString(s[len(chunk):i])
			s = s[i:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		writeMark(&out, r)
		s = s[n:]
	}
	return out.String()
}

// eachWord calls fn for each run of letters and digits.
func eachWord(s string, fn func(string) string) string {
	var out strings.Builder
	out.Grow(len(s))
	for len(s) > 0 {
		i := strings.IndexFunc(s, func(r rune) bool { return !isWord(r) })
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			out.WriteString(fn(s[:i]))
			s = s[i:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		writeMark(&out, r)
		s = s[n:]
	}
	return out.String()
}

// writeMark writes what is neither letter nor digit; of signs beyond ASCII, and of
// what is not printed, it tells only that there is one.
func writeMark(out *strings.Builder, r rune) {
	if r < utf8.RuneSelf && (r >= ' ' && r != 0x7f || r == '\n' || r == '\t' || r == '\r') {
		out.WriteRune(r)
	} else {
		out.WriteByte('_')
	}
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return isAlnum(byte(r))
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func isDelimiter(r rune) bool {
	return r <= ' ' || r > unicode.MaxASCII && !isWord(r) || strings.ContainsRune("\"'()<>[]{},;=|&?`\\", r)
}

func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// isHex is for what nobody takes for a word: six digits or more, of both kinds.
func isHex(s string) bool {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case c < 'a' || c > 'f':
			return false
		}
	}
	return len(s) >= 6 && digits > 0 && digits < len(s)
}

// hexLike is a letter for a letter and a digit for a digit, others stay.
func hexLike(c byte, r *rand.Rand) byte {
	switch {
	case isDigit(c):
		return byte('0' + r.IntN(10))
	case isLetter(c):
		return byte('a' + r.IntN(6))
	}
	return c
}

// likeCase gives p, which is in lower case, the capitals of s.
func likeCase(s, p string) string {
	if s == strings.ToLower(s) {
		return p
	}
	var out strings.Builder
	i := 0
	for _, c := range s {
		if i == len(p) {
			break
		}
		b := p[i]
		if unicode.IsUpper(c) && 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		out.WriteByte(b)
		i++
	}
	out.WriteString(p[i:])
	return out.String()
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

// isEmail takes what people use, not all of RFC 5321.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(s) > 254 || !strings.Contains(domain, ".") {
		return false
	}
	for i := range len(local) {
		if c := local[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", rune(c)) {
			return false
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isAlnum(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// luhn is the remainder of the check sum by ISO/IEC 7812; 0 is right.
func luhn(s string) int {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum % 10
}

func set(names []string, fold func(string) string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		if fold != nil {
			name = fold(name)
		}
		m[name] = true
	}
	return m
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// cookieSafe keeps a pseudonym from ending its cookie.
func cookieSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ';' || r == ',' || r < ' ' {
			return '_'
		}
		return r
	}, s)
}
