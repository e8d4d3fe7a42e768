package capture

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const maxDepth = 200 // of objects and arrays in one another

// A jsonText redacts JSON values that follow one another. check goes over all of it and notes
// which objects are maps, then write goes over it again.
type jsonText struct {
	*mask
	text string
	i    int
	out  []byte

	maps    []bool // for each object, in the order of their beginnings: its names are data
	objects int    // how many objects were written
	query   bool   // the next value may be a GraphQL document

	stays  func([]any) bool // nil: nothing does
	names  map[string]bool
	status int
	fit    func(at []any, original string, pseudonym []byte) []byte // changes a scalar; nil changes nothing
	buffer []byte
}

// json redacts JSON values that follow one another, usually a single one, or reports
// that s is something else. stays is asked for each place, and whatever it accepts stays with
// all that is in it; nil accepts nothing. For status see isOfStatus.
func (m *mask) json(s string, status int, stays func([]any) bool, names map[string]bool) (string, bool) {
	j := &jsonText{mask: m, text: s, stays: stays, names: names, status: status}
	if !j.redact() {
		return "", false
	}
	return string(j.out), true
}

func (j *jsonText) redact() bool {
	roots := 0
	for j.space(); j.i < len(j.text); j.space() {
		if !j.check(0) {
			return false
		}
		roots++
	}
	if roots == 0 {
		return false
	}
	j.i, j.out = 0, make([]byte, 0, len(j.text)+len(j.text)/16+16)
	for n := range roots {
		from := j.i
		j.space()
		switch {
		case n > 0 && j.i == from:
			j.out = append(j.out, '\n')
		case n > 0:
			j.out = append(j.out, j.text[from:j.i]...)
		}
		j.write(make([]any, 0, 8), 0, false)
		for isSpace(j.text[j.i-1]) { // take goes over it
			j.i--
		}
	}
	return true
}

func (j *jsonText) space() {
	for j.i < len(j.text) && isSpace(j.text[j.i]) {
		j.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// take goes over c and the space around it, or reports that there is another character.
func (j *jsonText) take(c byte) bool {
	j.space()
	if j.i == len(j.text) || j.text[j.i] != c {
		return false
	}
	j.i++
	j.space()
	return true
}

// check goes over a value, or reports that there is something else.
func (j *jsonText) check(depth int) bool {
	if j.i == len(j.text) || depth > maxDepth {
		return false
	}
	switch c := j.text[j.i]; c {
	case '{', '[':
		end := c + 2 // in ASCII
		object := len(j.maps)
		if c == '{' {
			j.maps = append(j.maps, false)
		}
		if j.take(c); j.take(end) {
			return true
		}
		for {
			if c == '{' {
				raw, ok := j.checkString()
				if !ok || !j.take(':') {
					return false
				}
				if !j.maps[object] {
					j.maps[object] = !isName(j.unquote(raw))
				}
			}
			if !j.check(depth + 1) {
				return false
			}
			if j.take(end) {
				return true
			}
			if !j.take(',') {
				return false
			}
		}
	case '"':
		_, ok := j.checkString()
		return ok
	default:
		n := scalarLen(j.text[j.i:])
		j.i += n
		return n > 0
	}
}

// checkString goes over a string and returns what is between its quotes.
func (j *jsonText) checkString() (string, bool) {
	if j.i == len(j.text) || j.text[j.i] != '"' {
		return "", false
	}
	for i := j.i + 1; i < len(j.text); i++ {
		switch c := j.text[i]; {
		case c == '"':
			raw := j.text[j.i+1 : i]
			j.i = i + 1
			return raw, true
		case c < ' ':
			return "", false
		case c == '\\':
			if i++; i == len(j.text) {
				return "", false
			}
			if j.text[i] == 'u' {
				if _, ok := hex4(j.text[i+1:]); !ok {
					return "", false
				}
				i += 4
			} else if strings.IndexByte(`"\/bfnrt`, j.text[i]) < 0 {
				return "", false
			}
		}
	}
	return "", false
}

// scalarLen is the length of the number, true, false or null that s begins with, or 0.
func scalarLen(s string) int {
	if s[0] > '9' {
		for _, word := range []string{"true", "false", "null"} {
			if strings.HasPrefix(s, word) {
				return len(word)
			}
		}
		return 0
	}
	i := 0
	digits := func() bool {
		start := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		return i > start
	}
	if s[0] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return 0
	}
	if i < len(s) && s[i] == '.' {
		if i++; !digits() {
			return 0
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return 0
		}
	}
	return i
}

func hex4(s string) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for i := range 4 {
		c := s[i]
		switch {
		case isDigit(c):
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote returns the text of a checked string. The next call changes it if there are escapes
// in it.
func (j *jsonText) unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		if !utf8.ValidString(raw) {
			return strings.ToValidUTF8(raw, "\uFFFD")
		}
		return raw
	}
	out := j.buffer[:0]
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		switch c = raw[i]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if strings.HasPrefix(raw[i+1:], `\u`) {
					low, _ = hex4(raw[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	j.buffer = out
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// write appends the redacted form of a checked value. at is its place; it is only filled in
// when stays or fit asks for it.
func (j *jsonText) write(at []any, depth int, kept bool) {
	kept = kept || j.stays != nil && j.stays(at)
	if cap(j.out)-len(j.out) < 128 { // append would make five pieces of what one does
		j.out = slices.Grow(j.out, len(j.out))
	}
	start, query := j.i, j.query
	j.query = false
	if kept && j.status == 0 { // as it was, with its spaces
		objects := len(j.maps)
		j.check(0)
		j.objects += len(j.maps) - objects
		j.maps = j.maps[:objects]
		j.out = append(j.out, j.text[start:j.i]...)
		return
	}
	switch c := j.text[j.i]; c {
	case '{', '[':
		end := c + 2
		isMap := false
		if c == '{' {
			isMap = !kept && j.maps[j.objects]
			j.objects++
		}
		j.out = append(j.out, c)
		j.take(c)
		for n := 0; !j.take(end); n++ {
			if n > 0 {
				j.take(',')
				j.out = append(j.out, ',')
			}
			if c == '[' {
				here := at
				if j.stays != nil || j.fit != nil {
					here = append(at, n)
				}
				j.write(here, depth+1, kept)
			} else {
				j.writeMember(at, depth, isMap, kept)
			}
		}
		j.out = append(j.out, end)
	case '"':
		raw, _ := j.checkString()
		from := len(j.out)
		s, isDocument := j.unquote(raw), false
		if query && !kept {
			j.out, isDocument = j.appendGraphQL(j.out, s)
		}
		switch {
		case kept:
			j.out = append(j.out, s...)
		case !isDocument:
			j.out = j.appendText(j.out, s)
		}
		j.quote(from)
		j.refit(at, start, from, kept)
	default:
		from := len(j.out)
		j.i += scalarLen(j.text[j.i:])
		if s := j.text[start:j.i]; kept || !isDigit(s[0]) && s[0] != '-' {
			j.out = append(j.out, s...)
		} else {
			j.out = j.appendNumber(j.out, s)
			j.refit(at, start, from, kept)
		}
	}
}

func (j *jsonText) writeMember(at []any, depth int, isMap, kept bool) {
	raw, _ := j.checkString()
	j.take(':')
	name := j.unquote(raw)
	here := at
	if j.stays != nil || j.fit != nil {
		here = append(at, name)
	}
	from := len(j.out)
	// Where one name is none, the others are data too, as of a map by e-mail address.
	if isMap && !j.names[name] && (j.stays == nil || !j.stays(here)) {
		j.out = j.appendText(j.out, name)
	} else {
		j.out = append(j.out, name...)
	}
	j.quote(from)
	j.out = append(j.out, ':')
	j.query = name == "query" && depth <= 1 // alone, or in a batch
	j.write(here, depth+1, kept || depth == 0 && j.isOfStatus(name))
}

func (j *jsonText) refit(at []any, start, from int, kept bool) {
	if j.fit != nil && !kept {
		j.out = append(j.out[:from], j.fit(at, j.text[start:j.i], j.out[from:])...)
	}
}

// quote makes a JSON string of what was appended from there on.
func (j *jsonText) quote(from int) {
	if !needsEscape(j.out[from:]) {
		j.out = append(slices.Insert(j.out, from, '"'), '"')
		return
	}
	j.buffer = append(j.buffer[:0], j.out[from:]...)
	j.out = appendQuoted(j.out[:from], j.buffer)
}

func needsEscape(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// appendQuoted appends a JSON string as json.Encoder writes it without escapes for HTML.
func appendQuoted(dst, s []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				dst = append(dst, `\ufffd`...)
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, `\u202`...), byte('0'+r-'\u2020'))
			default:
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		}
		switch i++; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		default:
			if k := strings.IndexByte("\b\f\n\r\t", c); k >= 0 {
				dst = append(dst, '\\', "bfnrt"[k])
			} else {
				dst = append(dst, '\\', 'u', '0', '0', '0'+c>>4, "0123456789abcdef"[c&15])
			}
		}
	}
	return append(dst, '"')
}

func quoted(s string) string { return string(appendQuoted(nil, []byte(s))) }

// isOfStatus accepts the member that comes next when a problem of this status says no more than that:
// the type about:blank, the status's own words and number (RFC 9457 section 4.2.1). The bundle has
// the status, so nothing that was sent comes with it.
func (j *jsonText) isOfStatus(name string) bool {
	title := http.StatusText(j.status)
	if title == "" || name != "type" && name != "title" && name != "status" {
		return false
	}
	end := *j // a copy, which goes over the value
	end.check(0)
	value := j.text[j.i:end.i]
	switch name {
	case "type":
		return value == `"about:blank"`
	case "title":
		return value == quoted(title)
	case "status":
		return value == strconv.Itoa(j.status)
	}
	return false
}
