package pkgmgmt

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
)

// A pattern names modules. It is a module path, or one in which "..." stands for any
// text.
type pattern struct {
	text  string
	parts []string // around each "..."; one part is a plain path
}

func parsePattern(text string) (pattern, error) {
	p := pattern{text, strings.Split(text, "...")}
	if text == "" {
		return p, errors.New("must not be empty")
	}
	// A path may have no dot in its first element, as in Go's own documentation and in
	// many a company. Characters are another matter.
	if err := module.CheckImportPath(strings.ReplaceAll(text, "...", "x")); err != nil {
		return p, fmt.Errorf("is no module path, nor a pattern of one: %q", text)
	}
	return p, nil
}

func (p pattern) plain() bool { return len(p.parts) == 1 }

// matches follows the go command: "x/..." is x too.
func (p pattern) matches(path string) bool {
	if p.plain() {
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
