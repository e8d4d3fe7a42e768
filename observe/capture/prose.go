package capture

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// sentinels are texts of errors of the standard library: code compares them, and
// there is nothing in them to hide.
var sentinels = map[string]bool{
	"EOF": true, "unexpected EOF": true, "io: read/write on closed pipe": true, "context canceled": true,
	"context deadline exceeded": true, "i/o timeout": true, "sql: no rows in result set": true,
	"sql: connection is already closed": true, "sql: transaction has already been committed or rolled back": true,
	"driver: bad connection": true, "file does not exist": true, "file already exists": true, "permission denied": true,
	"file already closed": true, "invalid argument": true, "use of closed network connection": true,
	"connection refused": true, "connection reset by peer": true, "broken pipe": true, "no such host": true,
	"net/http: abort Handler": true, "http: request body too large": true, "http: Server closed": true,
	"observe: response used after its handler returned": true,
	"handler aborted the connection":                    true, "goroutine ended by runtime.Goexit": true,
}

// prose replaces what is data in a text that a programmer wrote for people. Without
// rules.words that is all of it, but for a sentinel at its end.
func (m *mask) prose(s string, c *rules) string {
	if m.isKnown(s) || sentinels[s] {
		return s
	}
	for i := strings.LastIndex(s, ": "); i >= 0; i = strings.LastIndex(s[:i], ": ") {
		if sentinels[s[i+2:]] {
			return m.prose(s[:i], c) + s[i:]
		}
	}
	s = strings.ToValidUTF8(s, "_")
	m.tries = maxTries
	if !c.words {
		return m.text(s)
	}
	// Data are what stands between quotes, what follows a "=" or an ":", and what is not plain.
	var out strings.Builder
	for before := byte(' '); s != ""; {
		if q := s[0]; q == '"' || q == '`' || q == '\'' && !isAlnum(before) {
			if end := strings.IndexByte(s[1:], q); end >= 0 {
				out.WriteByte(q)
				out.WriteString(m.text(s[1 : 1+end]))
				out.WriteByte(q)
				s, before = s[end+2:], q
				continue
			}
		}
		end := strings.IndexFunc(s, isDelimiter)
		if end == 0 { // a mark, or a quote that does not end
			_, n := utf8.DecodeRuneInString(s)
			out.Write(m.appendChunks(nil, s[:n]))
			before, s = s[0], s[n:]
			continue
		}
		if end < 0 {
			end = len(s)
		}
		word := strings.TrimRight(s[:end], ".:!-/")
		switch name, data, has := strings.Cut(word, ":"); {
		case before != '=' && m.plain(word):
			out.WriteString(word)
		case before != '=' && has && m.plain(name):
			out.WriteString(name + ":")
			out.Write(m.appendChunks(nil, data))
		default:
			out.Write(m.appendChunks(nil, word))
		}
		out.WriteString(s[len(word):end])
		before = s[end-1]
		s = s[end:]
	}
	return out.String()
}

// plain reports whether s is plain and was not hidden elsewhere.
func (m *mask) plain(s string) bool {
	return len(s) <= 24 && plainForm.MatchString(s) &&
		!slices.ContainsFunc(strings.FieldsFunc(s, isMark), func(word string) bool { return m.hid != nil && m.hid.has(hashOf(strings.ToLower(word))) })
}

// plainForm is a word of prose, or several with hyphens. A word has one form: a token changes
// case inside.
var plainForm = regexp.MustCompile(`^(([A-Za-z][a-z]*|[A-Z]{1,8})(['-]+|$))+$`)

var (
	longNumber = regexp.MustCompile(`[0-9]{5,}`)

	stackHead  = regexp.MustCompile(`^goroutine \d+ \[[a-z ,0-9]+\]:$`)
	stackFunc  = regexp.MustCompile(`^((?:created by )?[\pL\pN_./*()\[\]{}·,$%~-]+?)(?:\([^()]*\)|\(\.\.\.\)| in goroutine \d+)$`)
	stackPlace = regexp.MustCompile(`^(\t.+\.(?:go|s):\d+)(?: \+0x[0-9a-f]+)?$`)
)

// stack leaves the functions of a stack, each with its place, and no arguments.
func stack(s string) string {
	var out strings.Builder
	function := ""
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\n")
		if stackHead.MatchString(line) {
			out.WriteString(line + "\n")
		} else if place := stackPlace.FindStringSubmatch(line); place != nil && function != "" {
			out.WriteString(function + "\n" + place[1] + "\n")
			function = ""
		} else if f := stackFunc.FindStringSubmatch(line); f != nil {
			function = f[1]
		} else {
			function = ""
		}
	}
	return strings.ToValidUTF8(out.String(), "_")
}
