// Package modpattern matches module paths with patterns as the go command has them.
package modpattern

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
)

// A Pattern is a module path in which "..." matches any text.
type Pattern struct {
	text  string
	parts []string // the texts around each "..."; one part means a plain path
}

// Parse returns an error if text is empty or has characters that a module path cannot have.
func Parse(text string) (Pattern, error) {
	p := Pattern{text, strings.Split(text, "...")}
	if text == "" {
		return p, errors.New("must not be empty")
	}
	// The first element of a path need not have a dot: Go's own documentation and many
	// companies have such paths. But all characters must be allowed.
	if err := module.CheckImportPath(strings.ReplaceAll(text, "...", "x")); err != nil {
		return p, fmt.Errorf("is not a module path or a pattern: %q", text)
	}
	return p, nil
}

// String returns the text of the pattern.
func (p Pattern) String() string { return p.text }

// Plain reports whether the pattern is a path without "...".
func (p Pattern) Plain() bool { return len(p.parts) == 1 }

// Match follows the go command: "x/..." matches x, too.
func (p Pattern) Match(path string) bool {
	if p.Plain() {
		return path == p.text
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if last == "" && strings.HasSuffix(first, "/") && len(p.parts) == 2 && path == strings.TrimSuffix(first, "/") {
		return true
	}
	rest, ok := strings.CutPrefix(path, first)
	if !ok {
		return false
	}
	for _, part := range p.parts[1 : len(p.parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, last)
}
