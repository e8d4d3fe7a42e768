package downtime

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"strings"
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
	pageStyle string
	//go:embed page/clock.js
	pageScript string

	// pagePolicy is their Content-Security-Policy: nothing but that style and that script.
	pagePolicy = fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'",
		inlineSource(pageStyle), inlineSource(pageScript))
)

// inlineSource names what stands between the tags of an inline element.
func inlineSource(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// timeElement is t as an element, which the script writes anew.
func timeElement(t time.Time) string {
	return `<time datetime="` + instantText(t) + `">` + html.EscapeString(zonedText(t)) + "</time>"
}

// zonedText is t for people, in the zone that it is of, with the offset.
func zonedText(t time.Time) string {
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

// instantText is t for programs.
func instantText(t time.Time) string { return t.UTC().Format(instantLayout) }

const instantLayout = "2006-01-02T15:04:05.999Z"
