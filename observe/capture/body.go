package capture

import (
	"cmp"
	"compress/gzip"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// maxInflated bounds what a compressed body may become.
const maxInflated = 1 << 20

// A message is what a body stands in.
type message struct {
	text      string // as it was sent
	headers   []har.NameValue
	body      *Body
	params    []har.Param
	inflated  bool
	mediaType string
	status    int // of a response
}

// body redacts a body by its kind, which it notes.
func (m *mask) body(msg *message, c *rules) {
	if msg.body != nil {
		msg.body.Kind, msg.body.Digest = "", ""
	}
	if msg.text == "" {
		return
	}
	if msg.body == nil {
		msg.body = &Body{Bytes: int64(len(msg.text))}
	}
	contentType := cmp.Or(headerOf(msg.headers, "Content-Type"), msg.mediaType)
	typ := mediaType(contentType)
	raw := msg.text
	switch encoding := strings.ToLower(headerOf(msg.headers, "Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		plain, ok := inflate(raw)
		if !ok || msg.body.Truncated {
			m.binary(msg, raw)
			return
		}
		msg.text, msg.inflated = plain, true
	default:
		m.binary(msg, raw)
		return
	}
	switch {
	case strings.HasPrefix(typ, "multipart/"):
		msg.params = m.parts(msg.text, contentType)
		msg.body.Kind, msg.text = KindMultipart, ""
		return
	case typ == "application/x-www-form-urlencoded":
		msg.body.Kind, msg.text = KindForm, m.query(msg.text, c)
		msg.params = params(msg.text)
		return
	case !utf8.ValidString(msg.text) && !msg.body.Truncated, typ != "" && !isJSON(typ) && !isText(typ), strings.IndexByte(msg.text, 0) >= 0:
		m.binary(msg, raw)
		return
	}
	// Much JSON is sent as plain text, which is what package http takes it for.
	if typ == "" || isJSON(typ) || typ == "text/plain" && strings.ContainsAny(firstByte(msg.text), "{[") {
		if text, ok := m.json(msg.text, problemStatus(typ, msg.status), c.stays, c.names); ok {
			msg.body.Kind, msg.text = KindJSON, text
			return
		}
	}
	msg.body.Kind, msg.text = KindText, m.page(msg.text)
}

// firstByte is that of a text behind white space.
func firstByte(s string) string {
	s = strings.TrimLeft(s, " \t\r\n")
	return s[:min(1, len(s))]
}

// binary leaves nothing of a body but its digest.
func (m *mask) binary(msg *message, raw string) {
	msg.body.Kind, msg.body.Digest, msg.text, msg.inflated = KindBinary, m.hexDigest("body", raw, 16), "", false
}

func isJSON(typ string) bool {
	return strings.HasSuffix(typ, "/json") || strings.HasSuffix(typ, "+json") || typ == "application/x-ndjson" || typ == "application/jsonl"
}

func isText(typ string) bool {
	return strings.HasPrefix(typ, "text/") || strings.HasSuffix(typ, "/xml") || strings.HasSuffix(typ, "+xml") ||
		typ == "application/javascript" || typ == "application/graphql" || typ == "application/yaml" || typ == "application/sql"
}

func inflate(s string) (string, bool) {
	r, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		return "", false
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	return string(plain), err == nil && len(plain) <= maxInflated
}

func params(query string) []har.Param {
	var list []har.Param
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			list = append(list, har.Param{Name: unescape(name), Value: unescape(value)})
		}
	}
	return list
}

func queryPairs(query string) []har.NameValue {
	list := []har.NameValue{}
	for _, p := range params(query) {
		list = append(list, har.NameValue{Name: p.Name, Value: p.Value})
	}
	return list
}

// parts are the names and types of a multipart body.
func (m *mask) parts(text, contentType string) []har.Param {
	_, attrs, err := mime.ParseMediaType(contentType)
	if err != nil || attrs["boundary"] == "" {
		return nil
	}
	var list []har.Param
	r := multipart.NewReader(strings.NewReader(text), attrs["boundary"])
	for len(list) < 1000 {
		p, err := r.NextRawPart()
		if err != nil {
			break
		}
		list = append(list, har.Param{Name: m.name(p.FormName()), ContentType: m.wellKnown(p.Header.Get("Content-Type"))})
	}
	return list
}

// redirect is the place that a Location header names, as HAR wants it.
func redirect(headers []har.NameValue) string {
	location := headerOf(headers, "Location")
	if _, err := url.Parse(location); err != nil {
		return ""
	}
	return location
}

// What a browser gets of package observe when a handler panics, around the request's id.
const (
	pageHead = "<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1>" +
		"<p>If you report this, please give this id: <code>"
	pageTail = "</code></p>\n"
)

// page redacts that page or another text.
func (m *mask) page(s string) string {
	if rest, ok := strings.CutPrefix(s, pageHead); ok {
		if id, ok := strings.CutSuffix(rest, pageTail); ok {
			return pageHead + m.text(id) + pageTail
		}
	}
	return m.text(s)
}

// plainHeaders are the headers of a body that is no longer compressed.
func (msg *message) plainHeaders() []har.NameValue {
	if !msg.inflated {
		return msg.headers
	}
	return slices.DeleteFunc(slices.Clone(msg.headers), func(h har.NameValue) bool { return strings.EqualFold(h.Name, "Content-Encoding") })
}
