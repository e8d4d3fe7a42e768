// Package pattern matches the paths of requests with the patterns of windows and guards. [Parse] parses a
// pattern. [Plain] and [Readings] show how routers, proxies and file servers may interpret a path.
//
// Paths are hostile input. A plain path has one interpretation and is matched directly. Any other path has
// a bounded number of readings, or is in doubt.
package pattern

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Pattern is a path with wildcards, as net/http has them, and with "**" for any number of
// segments.
type Pattern struct {
	segments []segment

	// Set for a pattern with wildcards only at its end, to match plain paths fast:
	simple  bool
	literal string // the path or, with below, its root
	below   bool
}

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
		if !last || !identifier.MatchString(strings.TrimSuffix(inner, "...")) {
			return nil, errors.New("must have {name...} only at its end")
		}
		return &segment{kind: segmentAny}, nil
	case isWild && identifier.MatchString(inner):
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

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (p *Pattern) simplify() {
	literals := p.segments
	if n := len(literals); n > 0 && literals[n-1].kind == segmentAny {
		literals, p.below = literals[:n-1], true
	}
	for _, s := range literals {
		if s.kind != segmentLiteral || strings.Contains(s.literal, "/") {
			return
		}
		p.literal += "/" + s.literal
	}
	p.simple = true
}

// Match matches a path without decoding it. A [Plain] path has only this reading.
func (p *Pattern) Match(path string) bool {
	if p.simple {
		rest, ok := strings.CutPrefix(path, p.literal)
		if p.below {
			return p.literal == "" || ok && (rest == "" || rest[0] == '/')
		}
		return ok && (rest == "" || rest == "/")
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

// Literal returns the only path that the pattern matches, without a slash at its end. It returns false for
// a pattern with wildcards.
func (p *Pattern) Literal() (path string, ok bool) { return p.literal, p.simple && !p.below }

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

// matchSegments takes time bounded by the product of the lengths: after a mismatch only the
// last ** gives way.
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

// Plain reports whether a path has only one interpretation: it begins with a slash, is ASCII, and is
// without escapes, empty or dotted segments, parameters, backslashes and control characters.
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

// Bounds on the work for an unusual path.
const (
	maxOddPath  = 2048 // a longer path is in doubt
	maxDecodes  = 4    // a path that still has escapes after so many decodings is in doubt
	maxSegments = 4096 // of all its readings together; with more it is in doubt
)

// Readings returns the ways in which routers, proxies and file servers may interpret a path, each as its
// segments: at each depth of decoding, split before or after it, with backslashes as slashes, without
// parameters, with empty and dotted segments kept, dropped and resolved. doubt is true if there are too
// many, or if the path is not text.
func Readings(u *url.URL) (all [][]string, doubt bool) {
	raw := u.EscapedPath()
	if u.Opaque != "" || len(raw) > maxOddPath || len(u.RawPath) > maxOddPath || len(u.Path) > maxOddPath {
		return nil, true
	}
	texts := []string{raw, u.Path}
	if u.RawPath != "" && u.RawPath != raw { // it does not encode Path, so one of the two was changed
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

// appendReadings appends the readings of one text and subtracts their segments from left.
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

// appendResolved appends the segments unchanged, without empty ones, and with dots resolved in both of the
// usual ways.
func appendResolved(all [][]string, segments []string) [][]string {
	trimmed := trimEnd(segments)
	all = append(all, trimmed)
	empty := slices.Contains(trimmed, "")
	dots := slices.Contains(trimmed, ".") || slices.Contains(trimmed, "..")
	if !empty && !dots {
		return all
	}
	full := slices.DeleteFunc(slices.Clone(trimmed), func(s string) bool { return s == "" })
	all = append(all, full)
	if dots {
		all = append(all, resolveDots(full))
		if empty { // by RFC 3986 §5.2.4, .. removes an empty segment; by path.Clean it does not
			all = append(all, resolveDots(trimmed))
		}
	}
	return all
}

// trimEnd drops the empty segments at the end.
func trimEnd(segments []string) []string {
	for len(segments) > 0 && segments[len(segments)-1] == "" {
		segments = segments[:len(segments)-1]
	}
	return segments
}

func resolveDots(segments []string) []string {
	out := make([]string, 0, len(segments))
	for _, s := range segments {
		switch {
		case s == "..":
			out = out[:max(0, len(out)-1)]
		case s != ".":
			out = append(out, s)
		}
	}
	return trimEnd(out)
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

// decode decodes the valid percent-escapes of s and keeps others.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c, i = byte(n), i+2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// clip shortens hostile text for error messages.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
