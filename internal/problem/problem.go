// Package problem writes problem details (RFC 9457) as JSON, as a page for browsers or as
// plain text, depending on Accept. Every response has Cache-Control: no-store.
package problem

import (
	"bytes"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/accept"
)

// The media types of problems, in the order of preference.
const (
	MediaType = "application/problem+json"
	HTML      = "text/html"
	Text      = "text/plain"
)

// A Problem is one error response. Its type is about:blank; details are in Members.
type Problem struct {
	Status int    // of the response
	Title  string // Empty means the status text.
	Detail string // Says what is wrong and what to do. Empty means none.

	// Members are further members of the JSON object. encoding/json must be able to
	// encode their values. Nil means none.
	Members map[string]any

	// Page is the HTML document for browsers. Empty means a page with title and detail.
	Page []byte

	// PlainFirst prefers plain text to JSON unless the client names JSON. It is for clients
	// that print the body, such as the go command.
	PlainFirst bool
}

// Write answers r with the problem. Headers that the caller has set, such as Allow,
// Retry-After or WWW-Authenticate, stay.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	contentType, body := MediaType, []byte(nil)
	switch p.Negotiate(r.Header["Accept"]) {
	case HTML:
		contentType, body = "text/html; charset=utf-8", p.HTML()
	case Text:
		contentType, body = "text/plain; charset=utf-8", p.Text()
	default:
		body = p.JSON()
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Add("Vary", "Accept")
	Guard(h)
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // fails only if the client has gone
	}
}

// Guard sets the headers that every refusal has.
func Guard(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// Negotiate returns MediaType, HTML or Text. A client that accepts none of them gets JSON,
// because a refusal must say something.
func (p *Problem) Negotiate(header []string) string {
	if p.PlainFirst {
		switch accept.Choose(header, Text, MediaType, "application/json") {
		case MediaType, "application/json":
			return MediaType
		}
		return Text
	}
	return Negotiate(header)
}

// Negotiate returns MediaType, HTML or Text for an Accept header, JSON first.
func Negotiate(header []string) string {
	switch accept.Choose(header, MediaType, "application/json", HTML, "application/xhtml+xml", Text) {
	case HTML, "application/xhtml+xml":
		return HTML
	case Text:
		return Text
	}
	return MediaType
}

func (p *Problem) title() string {
	if p.Title != "" {
		return p.Title
	}
	return http.StatusText(p.Status)
}

// JSON returns the problem as an object on one line: type, title, status, detail, then
// Members by name.
func (p *Problem) JSON() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	member := func(name string, value any) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(name) // strings always marshal
		b.Write(key)
		b.WriteByte(':')
		if err := enc.Encode(value); err != nil {
			panic("problem: member " + name + ": " + err.Error()) // a programmer's mistake
		}
		b.Truncate(b.Len() - 1) // Encode's line break
	}
	b.WriteByte('{')
	member("type", "about:blank")
	member("title", p.title())
	member("status", p.Status)
	if p.Detail != "" {
		member("detail", p.Detail)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Members)) {
		member(name, p.Members[name])
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// Text returns the detail, or without one the title, as a line.
func (p *Problem) Text() []byte {
	if p.Detail != "" {
		return []byte(p.Detail + "\n")
	}
	return []byte(p.title() + "\n")
}

// HTML returns Page, or a page of title and detail.
func (p *Problem) HTML() []byte {
	if len(p.Page) > 0 {
		return p.Page
	}
	title := html.EscapeString(p.title())
	page := `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>` +
		title + "</title><h1>" + title + "</h1>"
	if p.Detail != "" {
		page += "<p>" + html.EscapeString(p.Detail) + "</p>"
	}
	return []byte(page + "\n")
}
