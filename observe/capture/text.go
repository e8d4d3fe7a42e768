package capture

import (
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// eachChunk calls fn for what stands between delimiters, without the full stop and
// the like that end a sentence.
func eachChunk(s string, fn func(string) string) string {
	return eachRun(s, isDelimiter, func(run string) string {
		chunk := strings.TrimRight(run, ".:!-/")
		if chunk == "" {
			return run
		}
		return fn(chunk) + run[len(chunk):]
	})
}

// eachWord calls fn for each run of letters and digits.
func eachWord(s string, fn func(string) string) string { return eachRun(s, isMark, fn) }

// eachRun calls fn for what stands between the characters that end a run. Of signs beyond
// ASCII, and of what is not printed, it tells only that there is one.
func eachRun(s string, ends func(rune) bool, fn func(string) string) string {
	var out strings.Builder
	out.Grow(len(s))
	for s != "" {
		i := strings.IndexFunc(s, ends)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			out.WriteString(fn(s[:i]))
			s = s[i:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		if r >= 0x7f || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			r = '_'
		}
		out.WriteRune(r)
		s = s[n:]
	}
	return out.String()
}

func isMark(r rune) bool {
	if r < utf8.RuneSelf {
		return !isAlnum(byte(r))
	}
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

func isDelimiter(r rune) bool {
	return r <= ' ' || r > unicode.MaxASCII && isMark(r) || strings.ContainsRune("\"'()<>[]{},;=|&?`\\", r)
}

func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

const digits = "0123456789"

func isNumber(s string) bool { return s != "" && strings.Trim(s, digits) == "" }

// isHex is for what nobody takes for a word: six digits or more, of both kinds.
func isHex(s string) bool {
	return len(s) >= 6 && strings.Trim(s, digits+"abcdef") == "" && strings.ContainsAny(s, digits) && strings.ContainsAny(s, "abcdef")
}

// like is a digit for a digit and one of the first letters for another character.
func like(c rune, letters int, r *rand.Rand) byte {
	if unicode.IsDigit(c) {
		return byte('0' + r.IntN(10))
	}
	return byte('a' + r.IntN(letters))
}

// likeCase gives p, which is in lower case, the capitals of s.
func likeCase(s, p string) string {
	if s == strings.ToLower(s) {
		return p
	}
	out, i := []byte(p), 0
	for _, c := range s {
		if i < len(out) && unicode.IsUpper(c) && 'a' <= out[i] && out[i] <= 'z' {
			out[i] -= 'a' - 'A'
		}
		i++
	}
	return string(out)
}

var (
	isUUID = regexp.MustCompile(`^(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`).MatchString
	// emailForm takes what people use, not all of RFC 5321.
	emailForm = regexp.MustCompile("^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]+@[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)+$")
)

func isEmail(s string) bool { return len(s) <= 254 && emailForm.MatchString(s) }

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

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
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
