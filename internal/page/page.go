// Package page is the one look of all pages that people see: the shell, the style, the script
// and the headers. A page is complete without anything else: it loads nothing, works without
// script, follows the reader's light or dark, and fits 320 pixels.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/problem"
)

// Style and Script stand in each page. The script is for comfort only: it writes each <time>
// in the reader's own zone, and fills and shows the hidden elements that have data-to, an
// instant: a countdown, which says data-say before and data-over after it; with data-from,
// the bar of what has passed.
var (
	//go:embed style.css
	Style string
	//go:embed clock.js
	Script string
)

// A Page is one document.
type Page struct {
	Title string

	// Refresh is how often the script loads the page anew. Zero means never.
	Refresh time.Duration

	// Reload is after how long the page loads itself anew, once and also without script.
	// Zero means never.
	Reload time.Duration

	// Lone centres a page that has a single card.
	Lone bool

	// Body is what stands inside the page: made by a template of [Template].
	Body template.HTML
}

var shell = template.Must(template.New("shell").Parse(`<!DOCTYPE html>
<html lang="en" data-now="{{.Now}}"{{with .Refresh}} data-refresh="{{.}}"{{end}}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
{{with .Reload}}<meta http-equiv="refresh" content="{{.}}">
{{end}}<title>{{.Title}}</title>
<style>{{.Style}}</style>
</head>
<body>
<div class="page{{if .Lone}} lone{{end}}">
{{.Body}}</div>
<script>{{.Script}}</script>
</body>
</html>
`))

// HTML returns the document as of now.
func (p Page) HTML(now time.Time) []byte {
	var b bytes.Buffer
	err := shell.Execute(&b, map[string]any{
		"Now":     Instant(now),
		"Refresh": int(p.Refresh / time.Second),
		"Reload":  int(p.Reload / time.Second),
		"Title":   p.Title,
		"Style":   template.CSS(Style),
		"Script":  template.JS(Script),
		"Lone":    p.Lone,
		"Body":    p.Body,
	})
	if err != nil {
		panic("page: " + err.Error()) // texts alone, into memory
	}
	return b.Bytes()
}

// Write answers with the page. Nothing may store it or frame it, and its forms go to its own
// origin only.
func (p Page) Write(w http.ResponseWriter, r *http.Request, status int) {
	body := p.HTML(time.Now())
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Content-Security-Policy", Policy("'self'"))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	problem.Guard(h)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone needs no answer
	}
}

// Policy returns the Content-Security-Policy of a page: nothing but its own style and
// script, in no frame. forms says where forms may go: "'self'" or "'none'".
func Policy(forms string) string { return policyHead + forms }

var policyHead = "default-src 'none'; style-src " + inline(Style) + "; script-src " + inline(Script) +
	"; base-uri 'none'; frame-ancestors 'none'; form-action "

// inline names the content of an inline element for a Content-Security-Policy.
func inline(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Template parses the body of a page, and further definitions, with two functions for times:
// "time" gives the element that the script rewrites, and "instant" the text for attributes.
// A text that cannot be parsed is a programmer's mistake and panics.
func Template(name, text string, funcs template.FuncMap) *template.Template {
	own := template.FuncMap{"time": Time, "instant": Instant}
	return template.Must(template.New(name).Funcs(own).Funcs(funcs).Parse(text))
}

// Execute returns the body that a template makes of data.
func Execute(t *template.Template, data any) (template.HTML, error) {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

// Time returns t as an element, in its own zone until the script rewrites it in the reader's.
func Time(t time.Time) template.HTML {
	return template.HTML(`<time datetime="` + Instant(t) + `">` + template.HTMLEscapeString(Zoned(t)) + "</time>")
}

// Zoned returns t for people, in its own zone, with the offset.
func Zoned(t time.Time) string {
	layout := "Monday 2 January 2006, 15:04"
	if t.Second() != 0 {
		layout += ":05"
	}
	text := t.Format(layout)
	if zone := t.Location().String(); zone != "UTC" {
		return text + " " + strings.ReplaceAll(zone, "_", " ") + " (UTC" + t.Format("-07:00") + ")"
	}
	return text + " UTC"
}

// InstantLayout is the layout of instants in attributes.
const InstantLayout = "2006-01-02T15:04:05.999Z"

// Instant returns t for programs.
func Instant(t time.Time) string { return t.UTC().Format(InstantLayout) }

// Protect refuses commands that pages of other origins send, as [http.CrossOriginProtection]
// does: with 403, as a problem.
func Protect(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := origins.Check(r); err != nil {
			problem.Write(w, r, problem.Problem{Status: http.StatusForbidden, Detail: "a command must come from a page of this origin"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
