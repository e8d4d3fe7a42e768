package history

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName bounds, in bytes, what names something: service, instance, subject, actor.
	maxName = 256
	// maxValue bounds the From and To of an event.
	maxValue = 1024
)

// clean gives the text as it may be shown: trimmed, what is not printable replaced by
// U+FFFD, cut to limit bytes. It is idempotent.
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

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
		}
	}
	return true
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
