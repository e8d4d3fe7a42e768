package capture

import (
	"regexp"
	"strings"
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

// cutSentinel takes a sentinel off the end of an error's text.
func cutSentinel(s string) (prefix, rest string, ok bool) {
	if sentinels[s] {
		return "", s, true
	}
	for i := strings.LastIndex(s, ": "); i >= 0; i = strings.LastIndex(s[:i], ": ") {
		if sentinels[s[i+2:]] {
			return s[:i], s[i:], true
		}
	}
	return s, "", false
}

// prose replaces what is data in a text that a programmer wrote for people. Without
// rules.words that is all of it, but for a sentinel at its end.
func (m *mask) prose(s string, c *rules) string {
	if m.known[s] {
		return s
	}
	if prefix, rest, ok := cutSentinel(s); ok {
		if prefix == "" {
			return rest
		}
		return m.prose(prefix, c) + rest
	}
	s = strings.ToValidUTF8(s, "_")
	if !c.words {
		return m.text(s)
	}
	return eachProse(s, m.plain, m.text, m.chunk)
}

// eachProse calls quoted for what stands between quotes, and chunk for what else may be
// data: what follows a "=" or an ":", and what is not plain.
func eachProse(s string, plain func(string) bool, quoted, chunk func(string) string) string {
	var out strings.Builder
	for before := byte(' '); s != ""; {
		if q := s[0]; q == '"' || q == '`' || q == '\'' && !isAlnum(before) {
			if end := strings.IndexByte(s[1:], q); end >= 0 {
				out.WriteByte(q)
				out.WriteString(quoted(s[1 : 1+end]))
				out.WriteByte(q)
				s, before = s[end+2:], q
				continue
			}
		}
		end := strings.IndexFunc(s, isDelimiter)
		if end == 0 { // a mark, or a quote that does not end
			out.WriteString(eachChunk(s[:runeLen(s)], chunk))
			before = s[0]
			s = s[runeLen(s):]
			continue
		}
		if end < 0 {
			end = len(s)
		}
		word := strings.TrimRight(s[:end], ".:!-/")
		switch name, data, has := strings.Cut(word, ":"); {
		case before != '=' && plain(word):
			out.WriteString(word)
		case before != '=' && has && plain(name):
			out.WriteString(name + ":" + eachChunk(data, chunk))
		default:
			out.WriteString(eachChunk(word, chunk))
		}
		out.WriteString(s[len(word):end])
		before = s[end-1]
		s = s[end:]
	}
	return out.String()
}

func runeLen(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

// plain reports whether s is plain and was not hidden elsewhere.
func (m *mask) plain(s string) bool {
	ok := isPlain(s)
	eachWord(s, func(word string) string {
		ok = ok && !m.hid[strings.ToLower(word)]
		return ""
	})
	return ok
}

// isPlain reports whether s is a word of prose, or two with a hyphen.
func isPlain(s string) bool {
	if s == "" || len(s) > 24 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c != '-' && c != '\'' || i == 0) {
			return false
		}
	}
	ok := true
	eachWord(s, func(word string) string {
		lower := strings.ToLower(word)
		// A word has one form: a token changes case inside.
		ok = ok && (word == lower || word[1:] == lower[1:] || word == strings.ToUpper(word) && len(word) <= 8)
		return ""
	})
	return ok
}

var longNumber = regexp.MustCompile(`[0-9]{5,}`)

// runtimeText is what the Go runtime says when it panics: types and numbers, of which
// small ones stay.
func (m *mask) runtimeText(s string) string {
	return longNumber.ReplaceAllStringFunc(s, m.digits)
}

var (
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
