package downtime

import (
	"encoding/json"
	"html"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter is when to come back after a refusal: the end, plus jitter, at most
// RetryMax. Where the bound cuts, the jitter is taken off instead, for those who are
// turned away at one moment should not come back at one moment either.
func (g *Guard) retryAfter(n *near) time.Duration {
	wait, length := bootRetry, bootRetry
	if until := n.until(); !until.IsZero() {
		wait, length = time.Until(until), until.Sub(n.Start)
	}
	jitter := time.Duration(0)
	if most := min(g.opts.RetryJitter, g.opts.RetryMax/2, length/4); most > 0 {
		jitter = rand.N(most)
	}
	if wait+jitter > g.opts.RetryMax {
		wait = min(wait, g.opts.RetryMax-jitter)
	} else {
		wait += jitter
	}
	return max(time.Second, wait)
}

// unavailable counts a refusal, and tells it to work.
func (g *Guard) unavailable(n *near) *UnavailableError {
	n.progress.refused.Add(1)
	g.refused.Add(1)
	return &UnavailableError{
		Window:     n.Window.ID,
		Mode:       n.Window.Mode,
		Reason:     n.reason(),
		Until:      n.end(),
		RetryAfter: g.retryAfter(n),
	}
}

// refuse counts a refusal, and answers the request with it.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, n *near) {
	n.progress.refused.Add(1)
	g.refused.Add(1)
	retry := strconv.FormatInt(int64((g.retryAfter(n)+time.Second-1)/time.Second), 10)
	pages := n.pages()
	var contentType string
	var body []byte
	switch preferred(r.Header["Accept"]) {
	case formatHTML:
		contentType = "text/html; charset=utf-8"
		body = make([]byte, 0, len(pages.htmlHead)+len(pages.htmlRest)+len(retry))
		body = append(append(append(body, pages.htmlHead...), retry...), pages.htmlRest...)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	case formatText:
		contentType, body = "text/plain; charset=utf-8", pages.text
	default:
		contentType, body = "application/problem+json", pages.json
	}
	h := w.Header()
	h.Set("Retry-After", retry)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Add("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone needs no answer
	}
}

// pages are the bodies of a window's refusals. They are made once for a snapshot.
type pages struct {
	json     []byte
	text     []byte
	htmlHead []byte // up to the seconds until the page reloads itself
	htmlRest []byte // after them
}

// problem is the body of RFC 9457. Its type is about:blank, so title is that of the
// status; what is special stands in the members of our own.
type problem struct {
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail"`
	Window string     `json:"window,omitempty"`
	Name   string     `json:"window_title,omitempty"`
	Mode   Mode       `json:"mode"`
	Start  *time.Time `json:"start,omitempty"`
	End    *time.Time `json:"end,omitempty"`
}

func newPages(n *near) *pages {
	w := n.Window
	p := problem{
		Title:  http.StatusText(http.StatusServiceUnavailable),
		Status: http.StatusServiceUnavailable,
		Detail: n.reason(),
		Window: w.ID,
		Name:   w.Title,
		Mode:   w.Mode,
	}
	heading := "Down for maintenance"
	if w.Title != "" {
		heading = w.Title
	}
	until, untilHTML := "", ""
	if ends := n.end(); !ends.IsZero() {
		start, end := n.Start.UTC(), ends.UTC()
		p.Start, p.End = &start, &end
		local := ends.In(w.Timezone).Format("Monday 2 January 2006, 15:04 MST")
		until = "Until " + local + ".\n"
		untilHTML = "<p>Until <time datetime=\"" + end.Format(time.RFC3339) + "\">" + html.EscapeString(local) + "</time>.</p>\n"
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic("downtime: a problem of strings and times cannot be written: " + err.Error())
	}
	head, rest, _ := strings.Cut(page, "{retry}")
	rest = strings.NewReplacer(
		"{heading}", html.EscapeString(heading),
		"{reason}", strings.ReplaceAll(html.EscapeString(n.reason()), "\n", "<br>"),
		"{until}", untilHTML,
	).Replace(rest)
	return &pages{
		json:     append(body, '\n'),
		text:     []byte(heading + "\n\n" + n.reason() + "\n" + until),
		htmlHead: []byte(head),
		htmlRest: []byte(rest),
	}
}

// page needs nothing but itself, and follows the reader's light or dark. It reloads
// itself when the client is to come back.
const page = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="{retry}">
<title>{heading}</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.1rem/1.6 system-ui, sans-serif; background: #f6f6f4; color: #1c1c1a; }
main { max-width: 34rem; padding: 2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #161615; color: #ececea; } }
</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p>{reason}</p>
{until}</main>
</body>
</html>
`

// A format of a refusal's body.
type format uint8

const (
	formatJSON format = iota
	formatHTML
	formatText
)

// maxAccept bounds what is read of an Accept header.
const maxAccept = 1024

// preferred chooses the format that Accept likes best (RFC 9110 §12.5.1): by quality,
// then by how exactly it is named, then JSON. JSON too when none is acceptable, since
// a refusal must say something.
func preferred(accept []string) format {
	type rank struct{ quality, exact int } // quality in thousandths
	var best [3]rank
	for f := range best {
		best[f] = rank{-1, -1}
	}
	consider := func(f format, r rank) {
		if r.exact > best[f].exact || r.exact == best[f].exact && r.quality > best[f].quality {
			best[f] = r
		}
	}
	left := maxAccept
	for _, line := range accept {
		line = line[:min(len(line), left)]
		left -= len(line)
		for item := range strings.SplitSeq(line, ",") {
			media, parameters, _ := strings.Cut(item, ";")
			q := quality(parameters)
			switch media = strings.TrimSpace(media); {
			case media == "*/*":
				consider(formatJSON, rank{q, 0})
				consider(formatHTML, rank{q, 0})
				consider(formatText, rank{q, 0})
			case strings.EqualFold(media, "text/*"):
				consider(formatHTML, rank{q, 1})
				consider(formatText, rank{q, 1})
			case strings.EqualFold(media, "application/*"):
				consider(formatJSON, rank{q, 1})
			case strings.EqualFold(media, "application/problem+json"), strings.EqualFold(media, "application/json"):
				consider(formatJSON, rank{q, 2})
			case strings.EqualFold(media, "text/html"), strings.EqualFold(media, "application/xhtml+xml"):
				consider(formatHTML, rank{q, 2})
			case strings.EqualFold(media, "text/plain"):
				consider(formatText, rank{q, 2})
			}
		}
	}
	chosen := formatJSON
	for f := range format(len(best)) {
		a, b := best[f], best[chosen]
		if a.quality > 0 && (a.quality > b.quality || a.quality == b.quality && a.exact > b.exact) {
			chosen = f
		}
	}
	return chosen
}

// quality reads q of a media range's parameters, in thousandths; 1000 without one, and
// 0 for one that is no number.
func quality(parameters string) int {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return int(q * 1000)
	}
	return 1000
}
