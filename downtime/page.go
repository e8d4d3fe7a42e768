package downtime

import (
	"encoding/json"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/page"
)

// pages are the bodies of a window's refusals. They are made once for a snapshot.
type pages struct {
	json     []byte
	text     []byte
	event    []byte // after "retry: " and a number
	htmlHead []byte // up to the time
	htmlMid  []byte // up to the seconds until the page reloads itself
	htmlRest []byte
}

// problem is the body of RFC 9457. Its type is about:blank, so title is that of the
// status; what is special stands in the members of our own.
type problem struct {
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail"`
	Window    string        `json:"window,omitempty"`
	Name      string        `json:"window_title,omitempty"`
	Mode      schedule.Mode `json:"mode"`
	Start     *time.Time    `json:"start,omitempty"`
	End       *time.Time    `json:"end,omitempty"`
	StatusURL string        `json:"status_url,omitempty"`
}

// newPages makes the bodies as of now.
func newPages(n *near, opts *Options, now time.Time) *pages {
	w := n.Window
	p := problem{
		Title:     http.StatusText(http.StatusServiceUnavailable),
		Status:    http.StatusServiceUnavailable,
		Detail:    n.reason(),
		Window:    w.ID,
		Name:      w.Title,
		Mode:      w.Mode,
		StatusURL: opts.StatusURL,
	}
	heading, state := "Down for maintenance", "Maintenance"
	if w.Title != "" {
		heading = w.Title
	}
	if w.Mode == schedule.ModeReadOnly {
		state = "Maintenance, read-only"
	}
	until, untilHTML := "", ""
	if ends := n.end(); !ends.IsZero() {
		start, end := n.Start.UTC(), ends.UTC()
		p.Start = &start
		if now.Before(end) {
			p.End = &end // else nobody knows
			ends = ends.In(w.Timezone)
			until = "Until " + page.Zoned(ends) + ".\n"
			from, to := page.Instant(start), page.Instant(end)
			untilHTML = `<p class="countdown" role="timer" data-to="` + to + `" data-say="Ends in" data-over="Ends any moment now" hidden></p>
<div class="bar" aria-hidden="true" data-from="` + from + `" data-to="` + to + `" hidden><div></div></div>
<dl>
<dt>Until</dt><dd>` + string(page.Time(ends)) + `</dd>
</dl>
`
		} else {
			until = "It takes longer than planned.\n"
			untilHTML = "<p class=\"countdown\">It takes longer than planned.</p>\n"
		}
	}
	statusText, statusHTML, serviceHTML := "", "", ""
	if url := opts.StatusURL; url != "" {
		statusText = "Status: " + url + "\n"
		statusHTML = `<p><a href="` + html.EscapeString(url) + "\" rel=\"status\">Status of the service</a></p>\n"
	}
	if opts.Service != "" {
		serviceHTML = `<p class="kicker">` + html.EscapeString(opts.Service) + "</p>\n"
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic("downtime: a problem of strings and times cannot be written: " + err.Error())
	}
	head, rest, _ := strings.Cut(refusalPage, "{now}")
	mid, rest, _ := strings.Cut(rest, "{retry}")
	rest = strings.NewReplacer(
		"{style}", page.Style,
		"{script}", page.Script,
		"{service}", serviceHTML,
		"{state}", state,
		"{heading}", html.EscapeString(heading),
		"{reason}", html.EscapeString(n.reason()),
		"{until}", untilHTML,
		"{status}", statusHTML,
	).Replace(rest)
	return &pages{
		json:     append(body, '\n'),
		text:     []byte(heading + "\n\n" + n.reason() + "\n" + until + statusText),
		event:    []byte("\nevent: maintenance\ndata: " + string(body) + "\n\n"), // the data is one line, for JSON escapes
		htmlHead: []byte(head),
		htmlMid:  []byte(mid),
		htmlRest: []byte(rest),
	}
}

// html is the page for one request, in two parts: it tells the time, and reloads itself
// after retry seconds.
func (p *pages) html(retry string, now time.Time) (head, rest []byte) {
	head = make([]byte, 0, len(p.htmlHead)+len(page.InstantLayout)+len(p.htmlMid)+len(retry))
	head = now.UTC().AppendFormat(append(head, p.htmlHead...), page.InstantLayout)
	return append(append(head, p.htmlMid...), retry...), p.htmlRest
}

// refusalPage needs nothing but itself, and follows the reader's light or dark. It reloads
// itself when the client is to come back. The time that is left is no live region, which
// would be read out again and again.
const refusalPage = `<!DOCTYPE html>
<html lang="en" data-now="{now}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{retry}">
<title>{heading}</title>
<style>{style}</style>
</head>
<body>
<div class="page lone">
<main class="card">
{service}<p class="tag busy">{state}</p>
<h1>{heading}</h1>
<p class="message">{reason}</p>
{until}<footer>
<p>This page reloads itself when it is time to try again.</p>
<p data-zone hidden></p>
{status}</footer>
</main>
</div>
<script>{script}</script>
</body>
</html>
`
