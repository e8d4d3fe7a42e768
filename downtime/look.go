package downtime

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"time"
)

// What the pages for people share: the one that refused browsers get, and the status.
// Both are whole without anything else, in light and dark, down to 320 pixels.
//
// The script is for comfort only. It writes each <time> in the reader's own zone, and
// fills and shows what is hidden and has data-to, an instant: a countdown, which says
// data-say before and data-over after it; with data-from, the bar of what has passed.
var (
	//go:embed page/style.css
	lookStyle string
	//go:embed page/clock.js
	lookScript string

	// lookPolicy is their Content-Security-Policy: nothing but that style and that script.
	lookPolicy = fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		inlineSource(lookStyle), inlineSource(lookScript))
)

// inlineSource names what stands between the tags of an inline element.
func inlineSource(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// timeElement is t for readers without script: in the zone that it is of, with the
// offset.
func timeElement(t time.Time) string {
	layout := "Monday 2 January 2006, 15:04"
	if t.Second() != 0 {
		layout += ":05"
	}
	text := t.Format(layout) + " UTC"
	if zone := t.Location().String(); zone != "UTC" {
		text = t.Format(layout) + " " + zone + " (UTC" + t.Format("-07:00") + ")"
	}
	return `<time datetime="` + instantText(t) + `">` + html.EscapeString(text) + "</time>"
}

// instantText is t for programs.
func instantText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z") }
