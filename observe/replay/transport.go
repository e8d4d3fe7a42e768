package replay

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing/iotest"
	"time"
	"unicode"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// HTTPClient answers outbound calls from the bundle, each recorded one once. A call gets the
// answer of a recorded call with the same method, path and query. Of several, the one with the same
// body comes first, then the one with the same host, then the order. A call that is not in the bundle gets
// an error and makes the test fail, and the message lists the calls that there are. See
// Options.Strict for their order.
//
// Calls that failed then fail with the same text. Of a body that was not kept
// whole, the rest is an error.
func (c *Case) HTTPClient() *http.Client { return &http.Client{Transport: transport{c}} }

type transport struct{ *Case }

func (c transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		sent, err = io.ReadAll(io.LimitReader(r.Body, maxSent))
		if err = cmp.Or(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	e, err := c.take(r, c.newSent(r, sent))
	if err != nil {
		c.problem("%v", err)
		return nil, err
	}
	call := e.Request.Method + " " + e.Request.URL
	if len(e.Exchange.Error) > 0 && e.Response.Status == 0 {
		return nil, c.newRecorded(call, e.Exchange.Error)
	}
	if e.Response.Status == 0 {
		c.lack("the answer to %s: there was none when the request ended, so it gets an error", call)
		return nil, fmt.Errorf("replay: %s %s had no answer when the request ended", e.Request.Method, e.Request.URL)
	}
	return c.response(e, r), nil
}

// take finds the exchange for a call and marks it as made.
func (c *Case) take(r *http.Request, body sent) (*capture.Entry, error) {
	entries := c.Bundle.Log.Entries
	c.mu.Lock()
	defer c.mu.Unlock()
	best, score, left := 0, 0, ""
	var same []int // that are as much alike as the best
	for i := 1; i < len(entries); i++ {
		if c.made[i] {
			continue
		}
		q := &entries[i].Request
		s := c.likeness(q, r)
		if s > 0 {
			s += c.bodyLikeness(&entries[i], body)
		}
		switch {
		case s > score:
			best, score, same = i, s, nil
		case s > 0 && s == score:
			same = append(same, i)
		}
		left += "\n\t" + q.Method + " " + q.URL
		if c.opts.Strict {
			left += " (the next, by Options.Strict)"
			break
		}
	}
	if best > 0 {
		c.made[best] = true
		for _, i := range same {
			if e, other := &entries[best], &entries[i]; overlap(e, other) && !sameAnswer(e, other) {
				what := fmt.Sprintf("which of the answers to parallel calls of %s %s was for which call (Options.Key helps where bodies or addresses differ)", r.Method, r.URL.Redacted())
				if !slices.Contains(c.missing, what) {
					c.missing = append(c.missing, what)
				}
			}
		}
		return &entries[best], nil
	}
	if left == "" {
		return nil, fmt.Errorf("%w: %s %s: all %d of the bundle were made", errUnexpected, r.Method, r.URL.Redacted(), len(entries)-1)
	}
	return nil, fmt.Errorf("%w: %s %s: the bundle has of those not made yet%s", errUnexpected, r.Method, r.URL.Redacted(), left)
}

// likeness is 0 for another call, and more the more alike they are.
func (c *Case) likeness(then *har.Request, r *http.Request) int {
	u, err := url.Parse(then.URL)
	if err != nil || then.Method != cmp.Or(r.Method, http.MethodGet) {
		return 0
	}
	a, b := strings.Split(cmp.Or(u.EscapedPath(), "/"), "/"), strings.Split(cmp.Or(r.URL.EscapedPath(), "/"), "/")
	if len(a) != len(b) {
		return 0
	}
	score := 1
	same := func(then, now string) bool {
		switch {
		case then == now, c.redactor != nil && then == c.redactor.Pseudonym(now):
			score += 2
			return true
		}
		return c.redactor != nil && !c.keyed && sameShape(then, now)
	}
	for i := range a {
		x, errX := url.PathUnescape(a[i])
		y, errY := url.PathUnescape(b[i])
		if errX != nil || errY != nil || !same(x, y) {
			return 0
		}
	}
	p, q := u.Query(), r.URL.Query()
	if len(p) != len(q) {
		return 0
	}
	for name, values := range q {
		then, ok := p[name]
		if !ok && c.redactor != nil {
			then, ok = p[c.redactor.Pseudonym(name)]
		}
		if !ok && c.redactor != nil && !c.keyed {
			for other := range p {
				if _, taken := q[other]; !taken && sameShape(other, name) {
					then = p[other]
				}
			}
		}
		if len(then) != len(values) {
			return 0
		}
		for i := range values {
			if !same(then[i], values[i]) {
				return 0
			}
		}
	}
	if strings.EqualFold(u.Host, r.URL.Host) {
		score++
	}
	return score
}

const maxSent = 64 << 20 // bytes of the body of a call

// A sent is the body of a call as it would stand in the bundle.
type sent struct {
	raw, text, digest string
}

func (c *Case) newSent(r *http.Request, data []byte) sent {
	s := sent{raw: string(data), text: string(data)}
	if c.redactor == nil || len(data) == 0 {
		return s
	}
	e := capture.Entry{Entry: har.Entry{Request: har.Request{Method: http.MethodPost, URL: "/", PostData: &har.PostData{MimeType: r.Header.Get("Content-Type"), Text: s.raw}}}}
	for name, values := range r.Header {
		for _, value := range values {
			e.Request.Headers = append(e.Request.Headers, har.NameValue{Name: name, Value: value})
		}
	}
	b := &capture.Bundle{Log: capture.Log{Entries: []capture.Entry{{}, e}}}
	c.redact(b)
	done := &b.Log.Entries[1]
	s.text = done.Request.PostData.Text
	if done.Exchange.RequestBody != nil {
		s.digest = done.Exchange.RequestBody.Digest
	}
	return s
}

// bodyLikeness is the more, the more alike the bodies of a recorded call and of one of now are. It
// counts more than all that likeness counts.
func (c *Case) bodyLikeness(e *capture.Entry, now sent) int {
	then, digest := "", ""
	if e.Request.PostData != nil {
		then = e.Request.PostData.Text
	}
	if b := e.Exchange.RequestBody; b != nil {
		digest = b.Digest
	}
	switch {
	case digest == now.digest && (then == now.text || then == now.raw):
		return 1 << 21
	case c.redactor != nil && !c.keyed && digest == "" && sameShape(then, now.text):
		return 1 << 20
	}
	return 0
}

// overlap reports whether two calls were made at the same time.
func overlap(a, b *capture.Entry) bool {
	end := func(e *capture.Entry) time.Time {
		return e.Started.Add(time.Duration(e.Time * float64(time.Millisecond)))
	}
	return a.Started.Before(end(b)) && b.Started.Before(end(a))
}

func sameAnswer(a, b *capture.Entry) bool {
	return a.Response.Status == b.Response.Status && a.Response.Content.Text == b.Response.Content.Text && slices.Equal(a.Exchange.Error, b.Exchange.Error)
}

// sameShape reports whether one text may be a pseudonym of the other: both have letters and digits
// in the same places, or are e-mail addresses.
func sameShape(a, b string) bool {
	return strings.Count(a, "@") == 1 && strings.Count(b, "@") == 1 || shape(a) == shape(b)
}

func shape(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '0'
		case unicode.IsUpper(r):
			return 'A'
		case unicode.IsLetter(r), unicode.IsMark(r):
			return 'a'
		case r > unicode.MaxASCII:
			return '_'
		}
		return r
	}, s)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (c *Case) response(e *capture.Entry, r *http.Request) *http.Response {
	text, left := recordedBody(e)
	if b := e.Exchange.ResponseBody; b != nil && left == nil {
		text = asSent(b, text)
	}
	resp := &http.Response{
		StatusCode: e.Response.Status, Status: fmt.Sprintf("%d %s", e.Response.Status, http.StatusText(e.Response.Status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: headersOf(e.Response.Headers), Request: r,
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
	if major, minor, ok := http.ParseHTTPVersion(e.Response.HTTPVersion); ok {
		resp.Proto, resp.ProtoMajor, resp.ProtoMinor = e.Response.HTTPVersion, major, minor
	}
	hadLength := resp.Header.Get("Content-Length") != ""
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Connection"} {
		resp.Header.Del(name)
	}
	call := e.Request.Method + " " + e.Request.URL
	b := e.Exchange.ResponseBody
	switch {
	case left != nil:
		c.lack("the answer to %s: %s", call, strings.TrimPrefix(left.Error(), "replay: "))
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(left)))
		resp.ContentLength = -1
	case len(e.Exchange.Error) > 0: // its body broke off
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(c.newRecorded(call, e.Exchange.Error))))
		resp.ContentLength = -1
	case b != nil && b.Unread:
		rest := fmt.Errorf("the bundle has of the answer to %s only the %d bytes that were read then", call, b.Bytes)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), readerFunc(func([]byte) (int, error) {
			c.lack("%v", rest)
			return 0, fmt.Errorf("replay: %w", rest)
		})))
		resp.ContentLength = -1
	}
	if b != nil && b.NoLength {
		resp.ContentLength = -1
	} else if hadLength && resp.ContentLength >= 0 {
		resp.Header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}
