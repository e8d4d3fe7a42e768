// Package pattern matches the paths of requests with the patterns that windows and guards
// list. [Parse] reads a pattern; [Plain] and [Readings] say how a path may be read by
// the routers, proxies and file servers between a client and the work.
//
// Paths are hostile input. One that all read alike is plain, and matched as it stands.
// Any other has several readings, bounded in number, or is in doubt.
package pattern

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// A Pattern is a path with wildcards, as net/http has them, and with "**" for any number of
// segments.
type Pattern struct {
	form     form
	literal  string    // of the plain forms: what the path is, or stands below
	segments []segment // of every form
}

type form uint8

const (
	formSegments form = iota // neither of the following
	formAll                  // every path
	formExact                // literal
	formBelow                // literal, and all below it
)

// A segment of a pattern.
type segment struct {
	literal string
	kind    segmentKind
}

type segmentKind uint8

const (
	segmentLiteral segmentKind = iota
	segmentOne                 // {name}: any one segment
	segmentAny                 // **: any number of segments
)

// Parse reads a pattern. The error says what is wrong with it.
func Parse(text string) (Pattern, error) {
	var p Pattern
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return p, fmt.Errorf(`must begin with "/" (methods and hosts have lists of their own), got %q`, clip(text))
	}
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\?#;`, r) }); i >= 0 {
		return p, fmt.Errorf("must be a clean path, got %q", clip(text))
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		s, err := parseSegment(part, last)
		switch {
		case err != nil:
			return Pattern{}, fmt.Errorf("%w, got %q", err, clip(text))
		case s == nil: // {$}
		default:
			p.segments = append(p.segments, *s)
		}
	}
	p.simplify()
	return p, nil
}

func parseSegment(part string, last bool) (*segment, error) {
	inner, isWild := strings.CutPrefix(part, "{")
	if isWild {
		inner, isWild = strings.CutSuffix(inner, "}")
	}
	switch {
	case part == "" && last, part == "**":
		return &segment{kind: segmentAny}, nil
	case part == "" || part == "." || part == "..":
		return nil, errors.New("must be a clean path, without empty, . and .. segments")
	case strings.Contains(part, "*"):
		return nil, errors.New(`must have "*" only as the segment "**", any number of segments; one segment is {name}`)
	case isWild && inner == "$":
		if !last {
			return nil, errors.New("must have {$} only at its end")
		}
		return nil, nil
	case isWild && strings.HasSuffix(inner, "..."):
		if !last || !isIdentifier(strings.TrimSuffix(inner, "...")) {
			return nil, errors.New("must have {name...} only at its end")
		}
		return &segment{kind: segmentAny}, nil
	case isWild && isIdentifier(inner):
		return &segment{kind: segmentOne}, nil
	case strings.ContainsAny(part, "{}"):
		return nil, errors.New("must have wildcards as whole segments: {name}, {name...}, {$}")
	}
	literal, err := url.PathUnescape(part)
	if err != nil || !utf8.ValidString(literal) {
		return nil, errors.New("must have % only in valid escapes of UTF-8")
	}
	return &segment{literal: literal}, nil
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// simplify finds the forms that plain paths are matched with fast.
func (p *Pattern) simplify() {
	literals := p.segments
	below := len(literals) > 0 && literals[len(literals)-1].kind == segmentAny
	if below {
		literals = literals[:len(literals)-1]
	}
	var b strings.Builder
	for _, s := range literals {
		if s.kind != segmentLiteral || strings.Contains(s.literal, "/") {
			return
		}
		b.WriteByte('/')
		b.WriteString(s.literal)
	}
	p.literal = b.String()
	switch {
	case below && p.literal == "":
		p.form = formAll
	case below:
		p.form = formBelow
	default:
		p.form = formExact
	}
}

// Match matches a path read as it stands. A path that is [Plain] has no other reading.
func (p *Pattern) Match(path string) bool {
	switch p.form {
	case formAll:
		return true
	case formExact:
		return strings.HasPrefix(path, p.literal) &&
			(len(path) == len(p.literal) || len(path) == len(p.literal)+1 && path[len(p.literal)] == '/') ||
			p.literal == "" && path == ""
	case formBelow:
		return strings.HasPrefix(path, p.literal) &&
			(len(path) == len(p.literal) || path[len(p.literal)] == '/')
	}
	var room [32]string
	return matchSegments(p.segments, splitPath(room[:0], path))
}

// MatchExactly is Match, except that a slash at the end of the path matters.
func (p *Pattern) MatchExactly(path string) bool {
	return p.Match(path) && (path == "/" || !strings.HasSuffix(path, "/"))
}

// MatchSegments matches one of a path's [Readings].
func (p *Pattern) MatchSegments(segments []string) bool { return matchSegments(p.segments, segments) }

// Literal returns the only path that the pattern matches, a slash at its end aside. It is
// false for a pattern with wildcards.
func (p *Pattern) Literal() (path string, ok bool) { return p.literal, p.form == formExact }

// splitPath appends the segments of a path. Slashes at its end add none.
func splitPath(to []string, path string) []string {
	path = strings.TrimRight(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return to
	}
	for {
		part, rest, more := strings.Cut(path, "/")
		to = append(to, part)
		if !more {
			return to
		}
		path = rest
	}
}

// matchSegments matches in time bounded by the product of the lengths: after a
// mismatch only the last ** need give way.
func matchSegments(pattern []segment, path []string) bool {
	p, at := 0, 0
	star, from := -1, 0
	for at < len(path) {
		if p < len(pattern) {
			switch s := &pattern[p]; {
			case s.kind == segmentAny:
				star, from = p, at
				p++
				continue
			case s.kind == segmentOne || s.literal == path[at]:
				p++
				at++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, at = star+1, from
	}
	for p < len(pattern) && pattern[p].kind == segmentAny {
		p++
	}
	return p == len(pattern)
}

// Plain reports whether all who read the path read it alike: it begins with a slash,
// has no escapes left, no empty or dotted segments, parameters, backslashes, control
// characters, and nothing beyond ASCII.
func Plain(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	afterSlash := false
	for i := range len(path) {
		c := path[i]
		if c < ' ' || c >= 0x7f || c == '%' || c == ';' || c == '\\' || afterSlash && (c == '/' || c == '.') {
			return false
		}
		afterSlash = c == '/'
	}
	return true
}

// Bounds on the work that an odd path can cause.
const (
	maxOddPath  = 2048 // longer, it is in doubt
	maxDecodes  = 4    // a path that still has escapes after so many decodings is in doubt
	maxSegments = 4096 // of all its readings together; with more it is in doubt
)

// Readings are the ways in which routers, proxies and file servers between the
// client and the work may read a path, each as its segments: at each depth of
// decoding, split before or after it, with backslashes as slashes, without
// parameters, with empty and dotted segments kept, dropped and resolved. It is in
// doubt when no end of readings is in sight, or what stands there is no text.
func Readings(u *url.URL) (all [][]string, doubt bool) {
	raw := u.EscapedPath()
	if u.Opaque != "" || len(raw) > maxOddPath || len(u.RawPath) > maxOddPath || len(u.Path) > maxOddPath {
		return nil, true
	}
	texts := []string{raw, u.Path}
	if u.RawPath != "" && u.RawPath != raw { // no encoding of Path: someone changed one of the two
		texts = append(texts, u.RawPath)
	}
	for _, text := range texts {
		for range maxDecodes {
			next := decode(text)
			if next == text {
				break
			}
			texts, text = append(texts, next), next
		}
		if decode(text) != text {
			return nil, true
		}
	}
	seen := map[string]bool{}
	left := maxSegments
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, true
		}
		for _, text := range [...]string{text, strings.ReplaceAll(text, `\`, "/")} {
			if !seen[text] {
				seen[text] = true
				if all = appendReadings(all, text, &left); left < 0 {
					return nil, true
				}
			}
		}
	}
	return all, false
}

// appendReadings adds the readings of one text, and takes their segments off left. It
// stops soon after that is negative.
func appendReadings(all [][]string, text string, left *int) [][]string {
	segments := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for range maxDecodes {
		before := len(all)
		all = appendResolved(all, segments)
		if stripped, changed := mapSegments(segments, withoutParameters); changed {
			all = appendResolved(all, stripped)
		}
		for _, reading := range all[before:] {
			*left -= len(reading)
		}
		if *left < 0 {
			return all
		}
		next, changed := mapSegments(segments, decode)
		if !changed {
			break
		}
		segments = next
	}
	return all
}

// appendResolved adds segments as they are, without the empty ones, and with dots
// resolved in both of the ways in use.
func appendResolved(all [][]string, segments []string) [][]string {
	trimmed := segments
	for len(trimmed) > 0 && trimmed[len(trimmed)-1] == "" {
		trimmed = trimmed[:len(trimmed)-1]
	}
	all = append(all, trimmed)
	var empty, dots bool
	for _, s := range trimmed {
		empty = empty || s == ""
		dots = dots || s == "." || s == ".."
	}
	if !empty && !dots {
		return all
	}
	full := make([]string, 0, len(trimmed))
	for _, s := range trimmed {
		if s != "" {
			full = append(full, s)
		}
	}
	all = append(all, full)
	if dots {
		all = append(all, resolveDots(full))
		if empty { // RFC 3986 §5.2.4 lets .. take away an empty segment; path.Clean does not
			all = append(all, resolveDots(trimmed))
		}
	}
	return all
}

func resolveDots(segments []string) []string {
	out := make([]string, 0, len(segments))
	for _, s := range segments {
		switch {
		case s == ".":
		case s == ".." && len(out) > 0:
			out = out[:len(out)-1]
		case s == "..":
		default:
			out = append(out, s)
		}
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

func withoutParameters(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return s
}

func mapSegments(segments []string, f func(string) string) (out []string, changed bool) {
	out = make([]string, len(segments))
	for i, s := range segments {
		out[i] = f(s)
		changed = changed || out[i] != s
	}
	return out, changed
}

// decode undoes the valid percent-escapes of s and leaves others as they are.
func decode(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// clip keeps hostile text out of error messages at length.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
