// Package cleantext makes text from outside safe to show in logs, headers, error texts, terminals and
// pages. Every result is valid UTF-8 with a bounded number of bytes.
package cleantext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s for a single line: trimmed, with each unprintable character replaced by U+FFFD, and
// cut to limit bytes between characters. It returns s itself if nothing changes, and Line(Line(s)) is
// Line(s).
func Line(s string, limit int) string {
	s = strings.TrimSpace(s)
	if len(s) <= limit && Printable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// Flat is Line for text of several lines: line breaks and tabs become spaces.
func Flat(s string, limit int) string {
	return Line(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, s), limit)
}

// Cut returns s as valid UTF-8 of at most limit bytes, cut between characters. It keeps control
// characters.
func Cut(s string, limit int) string {
	s = cut(s, limit)
	if utf8.ValidString(s) {
		return s
	}
	return cut(strings.ToValidUTF8(s, "\uFFFD"), limit) // U+FFFD may be longer than the bytes that it replaces
}

// Clip is Cut with "…" after a text that was cut, which adds three bytes to limit.
func Clip(s string, limit int) string {
	if len(s) <= limit {
		return Cut(s, limit)
	}
	return Cut(s, limit) + "…"
}

// Printable reports whether s is valid UTF-8 of printable characters only.
func Printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
		}
	}
	return true
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	limit = max(0, limit)
	for i := limit; i >= max(0, limit-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:limit] // not UTF-8
}
