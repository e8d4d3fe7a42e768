package cleantext

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxErrorText = 64 << 10 // bytes read of an error's text
	maxErrors    = 64       // wrapped errors examined
)

// Error returns the text of err without what URLs cuts. It also works if err, or an error that it wraps or
// joins, is a *url.Error whose URL is invalid.
func Error(err error) (text string) {
	text = fmt.Sprint(err) // fmt survives an Error method that panics
	defer func() {
		if recover() != nil { // an Unwrap method panicked
			text = URLs(Cut(text, maxErrorText))
		}
	}()
	text = Cut(text, maxErrorText)
	left := maxErrors
	eachError(err, &left, func(err error) {
		switch e := err.(type) {
		case *url.Error:
			if e == nil {
				return
			}
			text = replace(text, e.URL, cutAny(e.URL))
			if e.Op == "parse" {
				inner := fmt.Sprint(e.Err)
				text = replace(text, inner, withoutQuoted(inner))
			}
		case url.EscapeError, url.InvalidHostError:
			text = replace(text, err.Error(), withoutQuoted(err.Error()))
		}
	})
	return URLs(text)
}

// eachError calls do for err and what it wraps.
func eachError(err error, left *int, do func(error)) {
	for err != nil && *left > 0 {
		*left--
		do(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, inner := range many.Unwrap() {
				eachError(inner, left, do)
			}
			return
		}
		err = errors.Unwrap(err)
	}
}

// replace replaces raw by plain, also where raw is quoted.
func replace(text, raw, plain string) string {
	if raw == plain || raw == "" {
		return text
	}
	for range 3 { // unquoted, quoted, and quoted twice
		text = strings.ReplaceAll(text, raw, plain)
		raw, plain = inQuotes(raw), inQuotes(plain)
	}
	return text
}

func inQuotes(s string) string {
	s = strconv.Quote(s)
	return s[1 : len(s)-1]
}

// withoutQuoted removes what package url quotes of a URL: `invalid port ":x" after host`.
func withoutQuoted(s string) string {
	first, last := strings.IndexByte(s, '"'), strings.LastIndexByte(s, '"')
	if first < 0 || last == first {
		return s
	}
	return strings.TrimRight(s[:first], " ") + s[last+1:]
}

// URLs returns s with its URLs cut to scheme, host and path: without user, query and fragment, and without
// what url.Parse quotes of one. A URL begins with a scheme and "://" or with "user:password@host" and a port or
// path, or contains a "?" and then a "=". It ends at its closing quote, or else at a space. URLs(URLs(s)) is URLs(s).
func URLs(s string) string {
	for _, phrase := range parseFaults {
		s = dropQuoted(s, phrase)
	}
	if !strings.ContainsAny(s, "?#@") {
		return s
	}
	var b strings.Builder
	for at := 0; at < len(s); {
		if !startsToken(s, at) {
			b.WriteByte(s[at])
			at++
			continue
		}
		end := tokenEnd(s, at)
		b.WriteString(cutToken(s[at:end]))
		at = end
	}
	return b.String()
}

// parseFaults are the phrases that url.Parse writes before it quotes a part of a URL.
var parseFaults = [...]string{"invalid port", "invalid URL escape", "invalid character"}

// dropQuoted removes the quoted text after each phrase.
func dropQuoted(s, phrase string) string {
	var b strings.Builder
	for {
		at := strings.Index(s, phrase)
		if at < 0 {
			break
		}
		at += len(phrase)
		b.WriteString(s[:at])
		s = s[at:]
		quoted := strings.TrimLeft(s, " \\")
		if len(quoted) == len(s) || quoted == "" || quoted[0] != '"' {
			continue
		}
		open := len(s) - len(quoted)
		end := closing(s, open+1, backslashes(s, open))
		if end < 0 {
			s = "" // the text was cut
			break
		}
		s = s[end+1+backslashes(s, open):]
	}
	if b.Len() == 0 {
		return s
	}
	return b.String() + s
}

const (
	spaces     = " \t\r\n\v\f"
	quotes     = "\"'`"
	delimiters = spaces + quotes + "<>()[]{}=,;|\\"
)

// startsToken reports whether a URL may begin at this place.
func startsToken(s string, at int) bool {
	return strings.IndexByte(delimiters, s[at]) < 0 && (at == 0 || strings.IndexByte(delimiters, s[at-1]) >= 0)
}

// tokenEnd finds the end of the token that begins at this place. A URL in quotes may contain spaces.
func tokenEnd(s string, at int) int {
	ends := spaces
	if !startsURL(s[at:]) {
		ends += quotes
	} else if at > 0 {
		switch open := s[at-1]; open {
		case '"':
			if end := closing(s, at, backslashes(s, at-1)); end >= 0 {
				return end
			}
		case '\'', '`', '<':
			if open == '<' {
				open = '>'
			}
			if n := strings.IndexByte(s[at:], open); n >= 0 && !strings.ContainsAny(s[at:at+n], "\r\n") {
				return at + n
			}
		}
	}
	if n := strings.IndexAny(s[at:], ends); n >= 0 {
		return at + n
	}
	return len(s)
}

// startsURL reports whether s begins with a scheme and "://", or with a slash.
func startsURL(s string) bool {
	at := strings.IndexByte(s, '/')
	return at == 0 || at > 1 && strings.HasPrefix(s[at-1:], "://") && isScheme(s[:at-1])
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || strings.IndexByte("+-.0123456789", s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// closing finds the quote that closes one with that many backslashes. It returns -1 if the text lacks it.
func closing(s string, at, escapes int) int {
	for i := at; i < len(s); i++ {
		if s[i] == '"' {
			if n := min(backslashes(s, i), i-at); n <= escapes {
				return i - n
			}
		}
	}
	return -1
}

// backslashes counts the backslashes before a place.
func backslashes(s string, at int) (n int) {
	for n < at && s[at-n-1] == '\\' {
		n++
	}
	return n
}

// cutToken cuts the URLs in a token.
func cutToken(token string) string {
	if !strings.ContainsAny(token, "?#@") {
		return token
	}
	if at := strings.Index(token, "://"); at >= 0 {
		return token[:at+3] + withTail(token[at+3:], cutAuthority(token[at+3:]))
	}
	if strings.HasPrefix(token, "//") {
		return "//" + withTail(token[2:], cutAuthority(token[2:]))
	}
	token = withoutUser(token)
	query := strings.IndexByte(token, '?')
	if query < 0 || strings.IndexByte(token[query:], '=') < 0 {
		return token
	}
	return withTail(token, token[:query])
}

// withoutUser removes "user:password@" from an address without a scheme. A host with a port, a path or a
// bracket must follow, so that it is not the name of an image or an e-mail address.
func withoutUser(s string) string {
	end := strings.IndexAny(s, "/?#(")
	if end < 0 {
		end = len(s)
	}
	at, colon := strings.LastIndexByte(s[:end], '@'), strings.IndexByte(s, ':')
	if colon < 0 || at < colon {
		return s
	}
	start := strings.LastIndexAny(s[:colon], delimiters) + 1
	host, port, hasPort := strings.Cut(s[at+1:end], ":")
	hasPort = hasPort && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
	hasPath := end < len(s) && s[end] != '?' && s[end] != '#' && port == ""
	if start == colon || host == "" || !hasPort && !hasPath {
		return s
	}
	return s[:start] + s[at+1:]
}

// withTail appends to cut the punctuation at the end of raw, which belongs to the sentence.
func withTail(raw, cut string) string {
	if strings.HasSuffix(raw, cut) {
		return cut
	}
	// A backslash must not escape the next character.
	return strings.TrimRight(cut, `\`) + raw[len(strings.TrimRight(raw, ":,;.)]}>")):]
}

// cutAuthority cuts the text after the two slashes of a URL: user, query and fragment.
func cutAuthority(s string) string {
	for {
		end := strings.IndexAny(s, "/?#")
		if end < 0 {
			end = len(s)
		}
		if at := strings.LastIndexByte(s[:end], '@'); at >= 0 {
			s = s[at+1:]
			continue
		}
		if port(s[:end]) {
			break
		}
		// A slash in a password looks like an invalid port.
		at := strings.IndexByte(s, '@')
		if strings.Count(s, "@") != 1 || strings.ContainsAny(s[:at], "?#") {
			return "" // the end of the user is unknown
		}
		s = s[at+1:]
	}
	if end := strings.IndexAny(s, "?#"); end >= 0 {
		s = s[:end]
	}
	return s
}

// port reports whether the port of a host is valid or missing.
func port(host string) bool {
	if strings.HasPrefix(host, "[") {
		host = host[strings.LastIndexByte(host, ']')+1:]
	}
	at := strings.IndexByte(host, ':')
	return at < 0 || strings.Trim(host[at+1:], "0123456789:,;.)]}>") == ""
}

// cutAny cuts a text that was used as a URL.
func cutAny(s string) string {
	if at := strings.Index(s, "://"); at >= 0 {
		return s[:at+3] + cutAuthority(s[at+3:])
	}
	if strings.HasPrefix(s, "//") {
		return "//" + cutAuthority(s[2:])
	}
	if at := strings.IndexByte(s, '@'); at >= 0 && strings.IndexByte(s[:at], '/') < 0 {
		s = s[at+1:]
	}
	if end := strings.IndexAny(s, "?#"); end >= 0 {
		s = s[:end]
	}
	return s
}
