package replay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// details are the failure of an outcome, as it would stand in a bundle before it is
// redacted.
func (c *Case) details(got *outcome) capture.Details {
	d := capture.Details{Schema: 1, RequestID: c.Bundle.Log.Details.RequestID, TraceID: c.Bundle.Log.Details.TraceID, Route: c.Bundle.Log.Details.Route}
	if got.panicked {
		t := reflect.TypeOf(got.value)
		d.Panic = &capture.Panic{Type: "nil", Text: fmt.Sprint(got.value), Stack: got.stack}
		if t != nil {
			d.Panic.Type = t.String()
			d.Panic.Runtime = t.PkgPath() == "runtime" || t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "runtime"
		}
	}
	if got.failure != nil {
		d.Error = &capture.Error{Type: errorType(got.failure), Texts: []string{got.failure.Error()}}
	}
	return d
}

// errorType is as package observe has it: below the wrappers of package fmt, and with
// names for the errors of package context, whose types say nothing.
func errorType(err error) string {
	var named interface{ ErrorType() string }
	if errors.As(err, &named) && named.ErrorType() != "" {
		return named.ErrorType()
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	}
	for reflect.TypeOf(err) == fmtWrapError {
		err = errors.Unwrap(err)
	}
	return reflect.TypeOf(err).String()
}

var fmtWrapError = reflect.TypeOf(fmt.Errorf("%w", errors.New("")))

// normal is an outcome as a bundle, redacted as the recorded one was.
func (c *Case) normal(got *outcome) *capture.Bundle {
	e := capture.Entry{Entry: har.Entry{Request: c.entry().Request, Response: har.Response{Status: got.status}}}
	for name, values := range got.header {
		for _, value := range values {
			e.Response.Headers = append(e.Response.Headers, har.NameValue{Name: name, Value: value})
		}
	}
	e.Response.Content = har.Content{Size: int64(len(got.body)), MimeType: got.header.Get("Content-Type"), Text: got.body}
	b := &capture.Bundle{Log: capture.Log{Details: c.details(got), Entries: []capture.Entry{e}}}
	c.redact(b)
	return b
}

func (c *Case) redact(b *capture.Bundle) {
	if c.redactor == nil {
		return
	}
	if err := c.redactor.Redact(b); err != nil {
		c.problem("replay: redacting the answer: %v", err)
	}
}

// prose is an error's text as it would stand in the bundle.
func (c *Case) prose(text string) string {
	b := &capture.Bundle{Log: capture.Log{Details: capture.Details{Error: &capture.Error{Texts: []string{text}}}}}
	c.redact(b)
	return b.Log.Details.Error.Texts[0]
}

// unstable are headers that differ each time.
var unstable = []string{"Date", "Content-Length", "X-Request-Id", "Traceresponse", "Transfer-Encoding", "Connection"}

// compare lists in what an answer differs from the recorded one.
func (c *Case) compare(got *outcome) []string {
	var list differences
	then, now := &c.entry().Response, &c.normal(got).Log.Entries[0]
	list.ignored = c.opts.Ignore
	if then.Status != got.status {
		list.add("status", "%d", then.Status, got.status)
	}
	c.compareHeaders(&list, headersOf(then.Headers), headersOf(now.Response.Headers), got)
	c.compareBodies(&list, now, got)
	return list.all
}

// hasOtherBody reports whether the body of an answer is of another form than the recorded one. Texts
// are not compared, because they may have times and numbers in them.
func (c *Case) hasOtherBody(got *outcome) bool {
	text, left := recordedBody(c.entry())
	if left != nil {
		return false
	}
	var then, now any
	wasJSON, isJSON := decode(text, &then), decode(c.normal(got).Log.Entries[0].Response.Content.Text, &now)
	if wasJSON != isJSON || (text == "") != (got.body == "") {
		return true
	}
	was, _ := then.(map[string]any)
	is, _ := now.(map[string]any)
	return !maps.EqualFunc(was, is, func(any, any) bool { return true }) && !c.hiddenName(was, is, is)
}

type differences struct {
	all     []string
	ignored []string
}

func (l *differences) add(place, format string, then, now any) {
	if slices.ContainsFunc(l.ignored, func(pattern string) bool { return matches(pattern, place) }) {
		return
	}
	if len(l.all) == 50 {
		l.all = append(l.all, "and more")
	}
	if len(l.all) > 50 {
		return
	}
	l.all = append(l.all, fmt.Sprintf("%s: recorded "+format+", now "+format, place, then, now))
}

// matches reports whether s is like the pattern, in which * stands for any text.
func matches(pattern, s string) bool {
	form := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
	ok, err := regexp.MatchString(form, s)
	return ok && err == nil
}

// same reports whether a recorded text may have been made from what is answered now:
// redacted is that as the bundle would have it.
func (c *Case) same(then, redacted, raw string) bool {
	isHidden := c.redactor != nil && !c.keyed && redacted != raw // and cannot be compared without the key
	return then == redacted || isHidden
}

func (c *Case) compareHeaders(list *differences, then, now http.Header, got *outcome) {
	if got.untyped && len(then["Content-Type"]) == 0 {
		delete(now, "Content-Type") // nobody says it now, nor did then
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(then)), maps.Keys(now))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if slices.Contains(unstable, name) {
			continue
		}
		x, y, raw := then[name], now[name], got.header.Values(name)
		alike := len(x) == len(y)
		for i := 0; alike && i < len(x); i++ {
			alike = c.same(x[i], y[i], raw[i])
		}
		if !alike {
			list.add("header "+name, "%q", x, raw)
		}
	}
}

func (c *Case) compareBodies(list *differences, now *capture.Entry, got *outcome) {
	e := c.entry()
	text, left := recordedBody(e)
	switch a, b := e.Exchange.ResponseBody, now.Exchange.ResponseBody; {
	case c.keyed && a != nil && b != nil && a.Kind == capture.KindBinary && b.Kind == a.Kind:
		if b.Digest != a.Digest {
			list.add("body", "%s", fmt.Sprintf("%d other bytes", a.Bytes), fmt.Sprintf("%d bytes", len(got.body)))
		}
		return
	case left != nil:
		c.remark("the answer's body cannot be compared: %v", left)
		return
	}
	body, err := inflated(got.body, got.header.Get("Content-Encoding"))
	if err != nil {
		body = got.body
	}
	var then, redacted, raw any
	wasJSON, isJSON := decode(text, &then), decode(body, &raw)
	if wasJSON && isJSON {
		if c.redactor == nil {
			redacted = raw
		} else if !decode(now.Response.Content.Text, &redacted) {
			redacted = nil
		}
		c.compareJSON(list, "body $", then, redacted, raw)
		return
	}
	if wasJSON != isJSON || (text == "") != (body == "") || !c.same(text, now.Response.Content.Text, body) {
		list.add("body", "%s", quote(text), quote(body))
	}
}

func quote(s string) string {
	if len(s) > 500 {
		return fmt.Sprintf("%q and %d bytes more", s[:500], len(s)-500)
	}
	return fmt.Sprintf("%q", s)
}

// decode takes one JSON text and nothing else.
func decode(s string, v *any) bool {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	return dec.Decode(v) == nil && !dec.More()
}

func (c *Case) compareJSON(list *differences, place string, then, redacted, raw any) {
	switch a := then.(type) {
	case map[string]any:
		b, ok := redacted.(map[string]any)
		original, _ := raw.(map[string]any)
		if !ok {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if _, ok := b[name]; !ok {
				if !c.hiddenName(a, original, b) {
					list.add(place+"."+name, "%s", jsonText(a[name]), "nothing")
				}
				continue
			}
			c.compareJSON(list, place+"."+name, a[name], b[name], rawMember(original, b, name))
		}
		for _, name := range slices.Sorted(maps.Keys(b)) {
			if _, ok := a[name]; !ok && !c.hiddenName(a, original, b) {
				list.add(place+"."+name, "%s", "nothing", jsonText(rawMember(original, b, name)))
			}
		}
		return
	case []any:
		b, ok := redacted.([]any)
		original, _ := raw.([]any)
		if !ok || len(original) != len(b) {
			break
		}
		for i := range min(len(a), len(b)) {
			c.compareJSON(list, fmt.Sprintf("%s[%d]", place, i), a[i], b[i], original[i])
		}
		if len(a) != len(b) {
			list.add(place, "%s", fmt.Sprintf("%d elements", len(a)), fmt.Sprintf("%d", len(b)))
		}
		return
	default:
		x, y, z := jsonText(then), jsonText(redacted), jsonText(raw)
		if reflect.TypeOf(then) == reflect.TypeOf(redacted) && c.same(x, y, z) {
			return
		}
	}
	list.add(place, "%s", jsonText(then), jsonText(raw))
}

// hiddenName reports whether names of an object are pseudonyms that cannot be compared.
func (c *Case) hiddenName(then, raw, redacted map[string]any) bool {
	return c.redactor != nil && !c.keyed && len(then) == len(raw) && !maps.EqualFunc(raw, redacted, func(any, any) bool { return true })
}

// rawMember is the member of the answer that has this name when redacted.
func rawMember(raw, redacted map[string]any, name string) any {
	if v, ok := raw[name]; ok {
		return v
	}
	return redacted[name]
}

func jsonText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// recordedBody is the text of a recorded response, and why it is not all.
func recordedBody(e *capture.Entry) (string, error) {
	r, b := &e.Response, e.Exchange.ResponseBody
	if r.Content.Encoding == "base64" {
		data, err := base64.StdEncoding.DecodeString(r.Content.Text)
		if err != nil {
			return "", fmt.Errorf("replay: the body in the bundle is not base64")
		}
		return string(data), nil
	}
	switch {
	case b == nil:
	case b.Kind == capture.KindBinary || b.Kind == capture.KindMultipart:
		return "", fmt.Errorf("replay: the body was %s, %d bytes, and is not in the bundle", b.Kind, b.Bytes)
	case b.Truncated:
		return r.Content.Text, fmt.Errorf("replay: the bundle has only the beginning of the body, which had %d bytes", b.Bytes)
	}
	return r.Content.Text, nil
}
