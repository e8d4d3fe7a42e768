package registry

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// maxReason bounds, in bytes, reasons that are kept and texts that answers quote: the go
// command prints some 600 bytes of an answer.
const maxReason = 500

// shown is a text from an upload as an answer may hold it.
func shown(text string) string { return cleantext.Flat(text, maxReason) }

// firstLine is a text up to its first unprintable character, of at most so many bytes.
func firstLine(text string, most int) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(cleantext.Cut(text, most))
}
