package replay

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// A requestBody is what the bundle has of the request's body, and an error for the rest.
type requestBody struct {
	io.Reader
	c        *Case
	length   int64
	noLength bool // there was no Content-Length
	hidden   bool // by redaction
	rest     error
}

// newRequestBody returns nil when there was no body.
func (c *Case) newRequestBody() *requestBody {
	e := c.entry()
	text := ""
	if e.Request.PostData != nil {
		text = e.Request.PostData.Text
	}
	body := &requestBody{c: c, hidden: slices.Contains(e.Exchange.Hidden, "body")}
	b := e.Exchange.RequestBody
	switch {
	case b == nil:
	case b.Kind == capture.KindBinary || b.Kind == capture.KindMultipart && text == "":
		text, body.rest = "", fmt.Errorf("replay: the request's body was %s, %d bytes, and is not in the bundle", b.Kind, b.Bytes)
	case b.Truncated:
		body.rest = fmt.Errorf("replay: the bundle has only the beginning of the request's body, which had %d bytes", b.Bytes)
	case b.Unread:
		body.rest = fmt.Errorf("replay: the bundle has of the request's body only the %d bytes that were read then", b.Bytes)
	}
	body.noLength = b != nil && b.NoLength
	if text == "" && body.rest == nil && !body.noLength {
		return nil
	}
	if b != nil {
		text = asSent(b, text)
	}
	body.Reader, body.length = strings.NewReader(text), int64(len(text))
	if b != nil && body.rest != nil {
		body.length = max(body.length, b.Bytes)
	}
	return body
}

// Read notes that the body is read.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.hidden && b.length > 0 {
		b.c.lack("the request's body is hidden")
	}
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.rest != nil {
		b.c.lack("%s", strings.TrimPrefix(b.rest.Error(), "replay: "))
		return n, b.rest
	}
	return n, err
}

func (b *requestBody) Close() error { return nil }

// plumbing are headers that differ for each request or connection, so no failure depends on
// their values.
var plumbing = []string{"Content-Length", "Date", "Traceparent", "Traceresponse", "Tracestate", "X-Request-Id"}

// hiddenFrom lists the parts of the request that redaction hid and Options.Prepare left
// as they were recorded.
func (c *Case) hiddenFrom(recorded, r *http.Request) []string {
	d, hidden := &c.Bundle.Log.Details, []string{}
	if d.Seal != nil && !d.Seal.Notes {
		return []string{"anything: the bundle does not note what redaction hid, because it was redacted by an earlier version, or twice"}
	}
	if b := c.entry().Exchange.RequestBody; b != nil && b.Trailers && len(r.Trailer) == 0 {
		hidden = append(hidden, "trailers")
	}
	for _, part := range c.entry().Exchange.Hidden {
		what, name, _ := strings.Cut(part, " ")
		put := false // back by Options.Prepare
		switch what {
		case "body": // counts when it is read, see requestBody
			b, ours := r.Body.(*requestBody)
			was := c.entry().Exchange.RequestBody
			put = !ours || was == nil || b.length == was.Bytes
			part = "the length of the body"
		case "host":
			put = r.Host != recorded.Host
		case "method":
			put = r.Method != recorded.Method
		case "path":
			put = r.URL.Path != recorded.URL.Path
		case "query":
			put = !slices.Equal(r.URL.Query()[name], recorded.URL.Query()[name])
		case "header":
			name = http.CanonicalHeaderKey(name)
			put = slices.Contains(plumbing, name) || !slices.Equal(r.Header[name], recorded.Header[name])
		}
		if !put {
			hidden = append(hidden, part)
		}
	}
	return hidden
}
