package version

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxValue bounds, in bytes, each field that names something: name,
	// version, revision, environment.
	maxValue = 256
	// maxText bounds every other text: module paths, settings, sections.
	maxText = 4096
)

// clean gives the text as it may be shown in a log, a header and an answer:
// trimmed, what is not printable replaced by U+FFFD, cut to limit bytes. It
// returns its argument when there is nothing to do, and is idempotent.
func clean(s string, limit int) string {
	s = strings.TrimSpace(s)
	if len(s) <= limit && printable(s) {
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

// printable tells whether the text can be shown as it is.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
		}
	}
	return true
}
