// Package page has the layout, style, script and headers that all our HTML pages share. A
// page loads no other resource, works without script, follows the browser's light or dark
// mode, and fits 320 pixels.
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

// Style and Script are part of each page. The script rewrites each <time> in the browser's
// time zone. It shows each hidden element that has the attribute data-to, an instant: as a
// countdown with the text of data-say before that instant and data-over after it, or, with
// data-from, as a progress bar.
var (
	//go:embed style.css
	Style string
	//go:embed clock.js
	Script string
)

// A Page is one HTML document.
type Page struct {
	Title string

	// Refresh is how often the script reloads the page. Zero means never.
	Refresh time.Duration

	// Reload is the time after which the browser reloads the page once, even without
	// script. Zero means never.
	Reload time.Duration

	// Lone centres a page that has a single card.
	Lone bool

	// Body is the content, made by a template of [Template].
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

// HTML returns the document.
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
		panic("page: " + err.Error()) // cannot fail: it writes texts to memory
	}
	return b.Bytes()
}

// Write writes the page as a response. Its headers forbid caches, frames, and forms that go
// to another origin.
func (p Page) Write(w http.ResponseWriter, r *http.Request, status int) {
	body := p.HTML(time.Now())
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Content-Security-Policy", Policy("'self'"))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
	problem.Guard(h)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // fails only if the client has gone
	}
}

// Policy returns the Content-Security-Policy of a page. It allows only the page's own style
// and script, and no frame. forms is where forms may go: "'self'" or "'none'".
func Policy(forms string) string { return policyHead + forms }

var policyHead = "default-src 'none'; style-src " + inline(Style) + "; script-src " + inline(Script) +
	"; base-uri 'none'; frame-ancestors 'none'; form-action "

// inline returns the hash of an inline element for a Content-Security-Policy.
func inline(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Template parses the body of a page and further definitions. Templates have two functions
// for times: "time" returns the element that the script rewrites, "instant" the text for
// attributes. It panics if a text cannot be parsed.
func Template(name, text string, funcs template.FuncMap) *template.Template {
	own := template.FuncMap{"time": Time, "instant": Instant}
	return template.Must(template.New(name).Funcs(own).Funcs(funcs).Parse(text))
}

// Execute runs a template and returns the body.
func Execute(t *template.Template, data any) (template.HTML, error) {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

// Time returns t as an element with t's zone, which the script changes to the browser's.
func Time(t time.Time) template.HTML {
	return template.HTML(`<time datetime="` + Instant(t) + `">` + template.HTMLEscapeString(Zoned(t)) + "</time>")
}

// Zoned returns t for people, in t's zone and with the offset.
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

// Instant returns t in InstantLayout.
func Instant(t time.Time) string { return t.UTC().Format(InstantLayout) }

// Protect refuses commands from other origins' pages with status 403 and a problem. It uses
// [http.CrossOriginProtection].
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
