package downtime

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pages are the bodies of a window's refusals. They are made once for a snapshot.
type pages struct {
	json     []byte
	text     []byte
	event    []byte // after "retry: " and a number
	htmlHead []byte // up to the seconds until the page reloads itself
	htmlRest []byte // after the seconds that are left
}

// problem is the body of RFC 9457. Its type is about:blank, so title is that of the
// status; what is special stands in the members of our own.
type problem struct {
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Detail    string     `json:"detail"`
	Window    string     `json:"window,omitempty"`
	Name      string     `json:"window_title,omitempty"`
	Mode      Mode       `json:"mode"`
	Start     *time.Time `json:"start,omitempty"`
	End       *time.Time `json:"end,omitempty"`
	StatusURL string     `json:"status_url,omitempty"`
}

// newPages makes the bodies as of now.
func newPages(n *near, statusURL string, now time.Time) *pages {
	w := n.Window
	p := problem{
		Title:     http.StatusText(http.StatusServiceUnavailable),
		Status:    http.StatusServiceUnavailable,
		Detail:    n.reason(),
		Window:    w.ID,
		Name:      w.Title,
		Mode:      w.Mode,
		StatusURL: statusURL,
	}
	heading := "Down for maintenance"
	if w.Title != "" {
		heading = w.Title
	}
	until, untilHTML := "", ""
	if ends := n.end(); !ends.IsZero() {
		start, end := n.Start.UTC(), ends.UTC()
		p.Start, p.End = &start, &end
		if now.Before(end) {
			local := ends.In(w.Timezone).Format("Monday 2 January 2006, 15:04 MST")
			until = "Until " + local + ".\n"
			untilHTML = "<p>Until <time datetime=\"" + end.Format(time.RFC3339) + "\">" + html.EscapeString(local) + "</time>.</p>\n" +
				"<p id=\"left\" role=\"timer\" hidden></p>\n"
		} else {
			until = "It takes longer than planned.\n"
			untilHTML = "<p>It takes longer than planned.</p>\n"
		}
	}
	statusText, statusHTML := "", ""
	if statusURL != "" {
		statusText = "Status: " + statusURL + "\n"
		statusHTML = "<p><a href=\"" + html.EscapeString(statusURL) + "\" rel=\"status\">Status of the service</a></p>\n"
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic("downtime: a problem of strings and times cannot be written: " + err.Error())
	}
	head, rest, _ := strings.Cut(page, "{retry}")
	_, rest, _ = strings.Cut(rest, "{left}")
	rest = strings.NewReplacer(
		"{style}", pageStyle,
		"{script}", pageScript,
		"{heading}", html.EscapeString(heading),
		"{reason}", strings.ReplaceAll(html.EscapeString(n.reason()), "\n", "<br>"),
		"{until}", untilHTML,
		"{status}", statusHTML,
	).Replace(rest)
	return &pages{
		json:     append(body, '\n'),
		text:     []byte(heading + "\n\n" + n.reason() + "\n" + until + statusText),
		event:    []byte("\nevent: maintenance\ndata: " + string(body) + "\n\n"), // the data is one line, for JSON escapes
		htmlHead: []byte(head),
		htmlRest: []byte(rest),
	}
}

// html is the page for one request: it reloads itself after retry seconds.
func (p *pages) html(retry string, end time.Time) []byte {
	left := int64(0)
	if !end.IsZero() {
		left = int64(max(0, time.Until(end)+time.Second-1) / time.Second)
	}
	body := make([]byte, 0, len(p.htmlHead)+len(retry)+len(pageLeft)+20+len(p.htmlRest))
	body = append(append(append(body, p.htmlHead...), retry...), pageLeft...)
	return append(strconv.AppendInt(body, left, 10), p.htmlRest...)
}

// page needs nothing but itself, and follows the reader's light or dark. It reloads
// itself when the client is to come back. Nothing in it moves, so that there is nothing to
// spare those who prefer reduced motion; and the time that is left is no live region,
// which would be read out again and again.
const page = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="{retry}` + pageLeft + `{left}">
<title>{heading}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p>{reason}</p>
{until}{status}</main>
<script>{script}</script>
</body>
</html>
`

// pageLeft stands between the two numbers of a page.
const pageLeft = `">
<meta name="seconds-left" content="`

const pageStyle = `
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.1rem/1.6 system-ui, sans-serif; background: #f6f6f4; color: #1c1c1a; }
main { box-sizing: border-box; width: 100%; max-width: 38rem; padding: 2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #161615; color: #ececea; } }
`

// pageScript tells the end in the reader's own time zone and manner of writing, and how
// long it is until then by the server's clock: the reader's may be wrong. Without it the
// page shows the end in the window's zone.
const pageScript = `
(function () {
  var time = document.querySelector("time"), left = document.getElementById("left");
  if (!time || !left || !window.Intl) return;
  var format = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", hour: "numeric", minute: "2-digit", timeZoneName: "short" });
  time.textContent = format.format(new Date(time.dateTime));
  time.lang = format.resolvedOptions().locale;
  var seconds = Number(document.querySelector("meta[name=seconds-left]").content), began = Date.now();
  function count(n, unit) { return n + " " + unit + (n === 1 ? "" : "s"); }
  function show() {
    var s = Math.max(0, Math.ceil(seconds - (Date.now() - began) / 1000)), m = Math.ceil(s / 60), h = Math.floor(m / 60);
    var text = s === 0 ? "Any moment now." :
      "About " + (s <= 120 ? count(s, "second") : h === 0 ? count(m, "minute") :
      h < 48 ? count(h, "hour") + (m % 60 ? " " + count(m % 60, "minute") : "") : count(Math.round(h / 24), "day")) + " left.";
    if (left.textContent !== text) left.textContent = text;
  }
  show();
  left.hidden = false;
  setInterval(show, 1000);
})();
`

// pageCSP lets the page's own style and script through, and nothing else at all.
var pageCSP = "default-src 'none'; style-src " + cspHash(pageStyle) + "; script-src " + cspHash(pageScript) +
	"; base-uri 'none'; form-action 'none'"

func cspHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
