package registry

import (
	"context"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Op is what a request wants to do.
type Op string

// The operations. All but Read are refused where Options.Authorize is nil.
const (
	Read     Op = "read"     // use a module: what the go command does
	Inspect  Op = "inspect"  // see the record of a version, and who moved a channel when
	Publish  Op = "publish"  // add a version
	Override Op = "override" // add it even if the gate refuses; Publish is asked for as well
	Move     Op = "move"     // move a channel, or remove it
	Yank     Op = "yank"     // yank a version, or take that back
	Block    Op = "block"    // block a version, or take that back
)

// An Action is what Options.Authorize decides about.
type Action struct {
	Op      Op
	Module  string // path of a private module: "corp.example/lib/v2"
	Version string // empty for list, @latest, the channels, and the removal of one
	Channel string // when the request is about one
}

type identityKey struct{}

// Identify says in whose name a request is made. It is for Options.Authorize to call,
// with the request that it was given; [Basic] and [Bearer] do. The name goes to the
// access log, and to the record of what the request does. Of a name that is not one line
// of text, only the part that is one is kept.
func Identify(r *http.Request, name string) {
	if who, ok := r.Context().Value(identityKey{}).(*string); ok {
		*who = oneLine(name, 200)
	}
}

// authorize asks the hook. It gives back the name that the hook has given, or what to
// answer.
func (g *Registry) authorize(r *http.Request, a Action) (who string, refused *problem) {
	if g.opts.Authorize == nil {
		if a.Op == Read {
			return "", nil
		}
		return "", &problem{Status: http.StatusForbidden, Rule: ruleAuthorize, Detail: "this registry is read only: it has no Options.Authorize"}
	}
	err := g.opts.Authorize(r.WithContext(context.WithValue(r.Context(), identityKey{}, &who)), a)
	if err == nil {
		return who, nil
	}
	return who, denied(err)
}

// oneLine cuts a text at what is no printable character, and at a number of bytes.
func oneLine(text string, most int) string {
	text = strings.TrimSpace(text)
	for i, r := range text {
		size := utf8.RuneLen(r)
		if r == utf8.RuneError || !unicode.IsPrint(r) || i+size > most {
			return strings.TrimSpace(text[:i])
		}
	}
	return text
}
