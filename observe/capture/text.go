package capture

import (
	"net/url"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Classes of ASCII characters. Characters that are not in class alnum end a word, and those in
// class delimiter end a chunk.
const (
	classAlnum = 1 << iota
	classDelimiter
)

var classes = func() (table [utf8.RuneSelf]byte) {
	for c := range table {
		switch {
		case isAlnum(byte(c)):
			table[c] = classAlnum
		case c <= ' ' || strings.ContainsRune("\"'()<>[]{},;=|&?`\\", rune(c)):
			table[c] = classDelimiter
		}
	}
	return table
}()

// chunkLen is the number of bytes before the first delimiter in s.
func chunkLen(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if classes[c] == classDelimiter {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if isMark(r) {
			return i
		}
		i += n
	}
	return len(s)
}

// wordLen is the number of bytes before the first character in s that is neither a letter nor
// a digit.
func wordLen(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if classes[c] != classAlnum {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if isMark(r) {
			return i
		}
		i += n
	}
	return len(s)
}

// appendMark appends the first character of s, and returns its length in s. A character beyond
// ASCII, or one that does not print, becomes an underscore.
func (m *mask) appendMark(dst []byte, s string) ([]byte, int) {
	if c := s[0]; c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' {
		return append(dst, c), 1
	}
	if !m.collect {
		m.hides++
	}
	_, n := utf8.DecodeRuneInString(s)
	return append(dst, '_'), n
}

// appendChunks appends s with its chunks replaced. A full stop and the like at a chunk's end
// stay, because they end a sentence.
func (m *mask) appendChunks(dst []byte, s string) []byte {
	for s != "" {
		n := chunkLen(s)
		if n == 0 {
			dst, n = m.appendMark(dst, s)
			s = s[n:]
			continue
		}
		end := n
		for end > 0 && strings.IndexByte(".:!-/", s[end-1]) >= 0 {
			end--
		}
		if end > 0 {
			dst = m.appendChunk(dst, s[:end])
		}
		dst = append(dst, s[end:n]...)
		s = s[n:]
	}
	return dst
}

// appendWords appends s with its runs of letters and digits replaced by what word appends.
func (m *mask) appendWords(dst []byte, s string, word func([]byte, string) []byte) []byte {
	for s != "" {
		n := wordLen(s)
		if n == 0 {
			dst, n = m.appendMark(dst, s)
		} else {
			dst = word(dst, s[:n])
		}
		s = s[n:]
	}
	return dst
}

func isMark(r rune) bool {
	if r < utf8.RuneSelf {
		return !isAlnum(byte(r))
	}
	if r > maxTable {
		return !unicode.In(r, wordTables...)
	}
	return wordBits()[r/64]&(1<<(r%64)) == 0
}

// wordTables are what words are made of.
var wordTables = []*unicode.RangeTable{unicode.Letter, unicode.Digit, unicode.Mark}

const maxTable = 1<<16 - 1

// wordBits has a bit for each character up to maxTable that words are made of. unicode.In takes as
// long as a word's pseudonym.
var wordBits = sync.OnceValue(func() *[(maxTable + 1) / 64]uint64 {
	bits := new([(maxTable + 1) / 64]uint64)
	for _, table := range wordTables {
		for _, r := range table.R16 {
			for c := uint32(r.Lo); c <= uint32(r.Hi); c += uint32(r.Stride) {
				bits[c/64] |= 1 << (c % 64)
			}
		}
	}
	return bits
})

func isDelimiter(r rune) bool {
	return r < utf8.RuneSelf && classes[r] == classDelimiter || r >= utf8.RuneSelf && isMark(r)
}

func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// isHex reports whether s has six hexadecimal digits or more, both letters and figures, so it
// cannot be a word of a language.
func isHex(s []byte) bool {
	figures := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			figures++
		case c < 'a' || c > 'f':
			return false
		}
	}
	return len(s) >= 6 && figures > 0 && figures < len(s)
}

// like is a digit for a digit and one of the first letters for another character.
func like(c rune, letters int, r draw) byte {
	if '0' <= c && c <= '9' || c >= utf8.RuneSelf && unicode.IsDigit(c) {
		return byte('0' + r.IntN(10))
	}
	return byte('a' + r.IntN(letters))
}

// likeCase gives p, which is in lower case, the capitals of s.
func likeCase(s string, p []byte) {
	i := 0
	for _, c := range s {
		if i < len(p) && unicode.IsUpper(c) && 'a' <= p[i] && p[i] <= 'z' {
			p[i] -= 'a' - 'A'
		}
		i++
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if s[i] != '-' {
				return false
			}
		case !isDigit(s[i]) && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}

// isEmail accepts what people use, not all of RFC 5321.
func isEmail(s string) bool {
	at := strings.IndexByte(s, '@')
	if at <= 0 || len(s) > 254 {
		return false
	}
	for i := range at {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+/=?^_`{|}~.-", s[i]) < 0 {
			return false
		}
	}
	dots, before := 0, byte('.')
	for i := at + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if dots++; before == '.' {
				return false
			}
		case !isAlnum(c) && c != '-':
			return false
		}
		before = s[i]
	}
	return dots > 0 && before != '.'
}

// luhn is the remainder of the check sum by ISO/IEC 7812; 0 is right.
func luhn[S string | []byte](s S) int {
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
