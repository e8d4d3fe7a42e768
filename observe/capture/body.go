package capture

import (
	"cmp"
	"compress/gzip"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

const maxInflated = 1 << 20 // bytes of a compressed body

// A message is what a body stands in.
type message struct {
	text      string // as it was sent
	headers   []har.NameValue
	body      *Body
	params    []har.Param
	mediaType string
	status    int // of a response
}

// body redacts a body by its kind, which it notes, and reports whether it hid anything.
func (m *mask) body(msg *message, c *rules) (hidden bool) {
	before := m.hides
	m.tries = maxTries
	m.redactBody(msg, c)
	return m.hides != before || msg.body != nil && (msg.body.Kind == KindMultipart && msg.text == "" || msg.body.Kind == KindBinary)
}

func (m *mask) redactBody(msg *message, c *rules) {
	b := msg.body
	before, after := "", "" // of a bundle that was redacted before
	if b != nil {
		before, after = spaceBefore(b.SpaceBefore), spaceAfter(b.SpaceAfter)
		b.Kind, b.Digest, b.SpaceBefore, b.SpaceAfter = "", "", "", ""
	}
	if msg.text == "" {
		return
	}
	if b == nil {
		b = &Body{Bytes: int64(len(msg.text))}
		msg.body = b
	}
	contentType := cmp.Or(headerOf(msg.headers, "Content-Type"), msg.mediaType)
	typ, text, readable := mediaType(contentType), msg.text, true
	switch strings.ToLower(headerOf(msg.headers, "Content-Encoding")) {
	case "", "identity":
		b.Inflated = false
	case "gzip", "x-gzip":
		if !b.Inflated { // it is in a bundle that was redacted before
			text, readable = inflate(msg.text)
			b.Inflated = readable && !b.Truncated
			readable = b.Inflated
		}
	default:
		readable, b.Inflated = false, false
	}
	switch {
	case readable && strings.HasPrefix(typ, "multipart/"):
		b.Kind, msg.params = KindMultipart, m.parts(text, contentType)
		msg.text = m.plainForm(text, contentType, c)
		b.Inflated = b.Inflated && msg.text != ""
	case readable && typ == "application/x-www-form-urlencoded":
		b.Kind, msg.text = KindForm, m.query(text, c)
		if msg.text != text {
			m.hides++ // or it was escaped in another way
		}
		msg.params = params(msg.text)
	case !readable, !utf8.ValidString(text) && !b.Truncated, typ != "" && !isJSON(typ) && !isText(typ), strings.IndexByte(text, 0) >= 0:
		b.Kind, b.Digest, msg.text, b.Inflated = KindBinary, m.hexDigest("body", msg.text, 16), "", false
	default:
		// Much JSON is sent as plain text, which is what package http takes it for.
		if typ == "" || isJSON(typ) || typ == "text/plain" && strings.IndexAny(strings.TrimLeft(text, " \t\r\n"), "{[") == 0 {
			status := 0
			if typ == "application/problem+json" {
				status = msg.status
			}
			if redacted, ok := m.json(text, status, c.places(), c.names); ok {
				b.Kind, msg.text = KindJSON, redacted
				b.SpaceBefore, b.SpaceAfter = cmp.Or(spaceBefore(text), before), cmp.Or(spaceAfter(text), after)
				if redacted != strings.TrimSpace(text) {
					m.hides++ // or there were other spaces and escapes
				}
				return
			}
		}
		b.Kind = KindText
		if typ == "application/graphql" {
			if document, ok := m.appendGraphQL(nil, text); ok {
				msg.text = string(document)
				return
			}
		}
		msg.text = m.page(text)
	}
}

func spaceBefore(s string) string { return s[:len(s)-len(strings.TrimLeft(s, " \t\r\n"))] }

func spaceAfter(s string) string { return s[len(strings.TrimRight(s, " \t\r\n")):] }

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

// plainForm returns a multipart form if redaction hides nothing in it but its boundary, and else "".
func (m *mask) plainForm(text, contentType string, c *rules) string {
	redacted, hides := contentType, m.hides
	if !c.headers["content-type"] {
		redacted = m.header("content-type", contentType, c)
	}
	m.hides = hides
	_, then, err := mime.ParseMediaType(contentType)
	_, now, err2 := mime.ParseMediaType(redacted)
	if m.collect || err != nil || err2 != nil {
		return ""
	}
	var same, out strings.Builder // with the boundary of then and of now
	copies := []*multipart.Writer{multipart.NewWriter(&same), multipart.NewWriter(&out)}
	if copies[0].SetBoundary(then["boundary"]) != nil || copies[1].SetBoundary(now["boundary"]) != nil {
		return ""
	}
	r := multipart.NewReader(strings.NewReader(text), then["boundary"])
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		} else if err != nil {
			return ""
		}
		data, err := io.ReadAll(part)
		name, value := part.FormName(), string(data)
		if err != nil || part.FileName() != "" || !c.field(name) && (!isName(name) || m.text(value) != value) || m.hides != hides {
			m.hides = hides
			return ""
		}
		// Anything else in the header makes the first copy another text.
		header := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + name + `"`}}
		for _, w := range copies {
			p, err := w.CreatePart(header)
			if err != nil {
				return ""
			}
			_, _ = p.Write(data)
		}
	}
	for _, w := range copies {
		_ = w.Close()
	}
	if same.String() != text || !utf8.ValidString(text) {
		return ""
	}
	return out.String()
}

// What a browser gets of package observe when a handler panics, around the request's id.
const (
	pageHead = "<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1>" +
		"<p>If you report this, please give this id: <code>"
	pageTail = "</code></p>\n"
)

func (m *mask) page(s string) string {
	if rest, ok := strings.CutPrefix(s, pageHead); ok {
		if id, ok := strings.CutSuffix(rest, pageTail); ok {
			return pageHead + m.text(id) + pageTail
		}
	}
	return m.text(s)
}
