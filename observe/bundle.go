package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// An unwritten bundle has all that is needed to write it when the request is over.
type unwritten struct {
	rec      *recording
	name     string
	start    time.Time
	size     int64
	header   http.Header
	duration time.Duration
	hijacked bool
	logs     []slog.Record
	details  capture.Details
}

// bundle is the recording as a bundle that is not redacted.
func (u *unwritten) bundle() *capture.Bundle {
	rec := u.rec
	d := &u.details
	d.Values = rec.values
	d.Flags = rec.flags
	slices.SortStableFunc(u.logs, func(a, b slog.Record) int { return a.Time.Compare(b.Time) })
	for i := range u.logs {
		d.Logs = append(d.Logs, logRecord(&u.logs[i]))
	}
	entries := make([]capture.Entry, 0, 1+len(rec.exchanges))
	entries = append(entries, u.inbound())
	for _, x := range rec.exchanges {
		entries = append(entries, x.entry())
	}
	return &capture.Bundle{Log: capture.Log{
		Version: "1.2", Creator: har.Creator{Name: scopeName, Version: "1"}, Details: *d, Entries: entries,
	}}
}

func newPanic(p *PanicError) *capture.Panic {
	t := reflect.TypeOf(p.Value)
	return &capture.Panic{
		Type: typeName(p.Value), Text: cleantext.Cut(plainText(p.Value), maxPath), Stack: string(p.Stack),
		Runtime: t != nil && t.PkgPath() == "runtime" || t != nil && t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "runtime",
	}
}

func (u *unwritten) inbound() capture.Entry {
	rec := u.rec
	ms := milliseconds(u.duration)
	e := capture.Entry{Entry: har.Entry{
		Started: u.start, Time: ms, Timings: har.Timings{Wait: ms},
		Request: har.Request{
			Method: rec.method, URL: rec.url(), HTTPVersion: rec.proto, Headers: headers(rec.fields),
			HeadersSize: -1, BodySize: rec.request.total,
		},
		Response: har.Response{
			Status: u.details.Status, HTTPVersion: rec.proto, Headers: headers(u.header), HeadersSize: -1, BodySize: rec.response.total,
		},
	}}
	e.Request.PostData, e.Exchange.RequestBody = rec.request.postData(e.Request.Headers, rec.length)
	if !u.hijacked {
		e.Response.Content, e.Exchange.ResponseBody = rec.response.content(e.Response.Headers)
	}
	return e
}

func (rec *recording) url() string {
	scheme := "http://"
	if rec.secure {
		scheme = "https://"
	}
	switch {
	case strings.HasPrefix(rec.uri, "/"):
		return scheme + rec.host + rec.uri
	case rec.uri == "*":
		return scheme + rec.host
	case strings.Contains(rec.uri, "://"):
		return rec.uri
	}
	return scheme + rec.host // of CONNECT
}

func (x *exchange) entry() capture.Entry {
	ended := x.ended
	if ended == 0 {
		ended = max(x.answered, 0)
	}
	e := capture.Entry{Entry: har.Entry{
		Started: x.start, Time: milliseconds(ended),
		Timings: har.Timings{Wait: milliseconds(ended)},
		Request: har.Request{
			Method: x.method, HTTPVersion: x.proto, Headers: x.rec.room.headers(x.header), HeadersSize: -1, BodySize: x.request.total,
		},
		Response: har.Response{
			Status: x.status, HTTPVersion: x.proto, Headers: headers(x.fields), HeadersSize: -1, BodySize: x.response.total,
		},
	}, Exchange: capture.Exchange{Error: x.errors, Incomplete: x.ended == 0}}
	if x.responded {
		e.Timings = har.Timings{Wait: milliseconds(x.answered), Receive: milliseconds(ended - x.answered)}
	}
	if e.Request.Method == "" {
		e.Request.Method = http.MethodGet
	}
	if x.url != nil {
		e.Request.URL = x.url.String()
	}
	e.Request.PostData, e.Exchange.RequestBody = x.request.postData(e.Request.Headers, x.length)
	e.Response.Content, e.Exchange.ResponseBody = x.response.content(e.Response.Headers)
	if x.answer == nil {
		return e
	}
	b := e.Exchange.ResponseBody
	if b == nil {
		b = &capture.Body{}
		e.Exchange.ResponseBody = b
	}
	b.NoLength, b.Trailers = x.announced < 0, x.response.trailers
	b.Unread = !x.response.ended && len(x.errors) == 0 && (b.NoLength || b.Bytes < x.announced)
	return e
}

// postData is nil when nothing was read. length is -1 when the message did not have one.
func (k *kept) postData(h []har.NameValue, length int64) (*har.PostData, *capture.Body) {
	b := &capture.Body{
		Bytes: k.total, Truncated: k.cut, Unread: !k.ended && (length < 0 || k.total < length), NoLength: length < 0, Trailers: k.trailers,
	}
	switch {
	case k.total > 0:
		return &har.PostData{MimeType: valueOf(h, "Content-Type"), Text: string(k.data)}, b
	case length != 0:
		return nil, b
	}
	return nil, nil
}

func (k *kept) content(h []har.NameValue) (har.Content, *capture.Body) {
	c := har.Content{Size: k.total, MimeType: valueOf(h, "Content-Type"), Text: string(k.data)}
	if k.total == 0 {
		return c, nil
	}
	return c, &capture.Body{Bytes: k.total, Truncated: k.cut}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func headers(h http.Header) []har.NameValue {
	out := make([]har.NameValue, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, har.NameValue{Name: name, Value: value})
		}
	}
	return out
}

// headers are those of an outbound request, without the debug token that it may carry.
func (c *recordings) headers(h http.Header) []har.NameValue {
	return slices.DeleteFunc(headers(h), func(h har.NameValue) bool { return h.Name == c.hidden })
}

func valueOf(h []har.NameValue, name string) string {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value
		}
	}
	return ""
}

// logRecord is a record with its attributes as an object, in their order.
func logRecord(r *slog.Record) capture.LogRecord {
	l := capture.LogRecord{Time: r.Time, Level: r.Level.String(), Message: r.Message}
	if r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		l.Source = frame.Function + " " + path.Base(frame.File) + ":" + strconv.Itoa(frame.Line)
	}
	if r.NumAttrs() > 0 {
		attrs := r.Clone()
		attrs.Time, attrs.Level, attrs.Message, attrs.PC = time.Time{}, slog.LevelInfo, "", 0
		var b bytes.Buffer
		_ = slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: legible}).Handle(context.Background(), attrs)
		members := strings.TrimPrefix(strings.TrimSuffix(b.String(), "\n"), `{"level":"INFO","msg":""`)
		l.Attrs = json.RawMessage("{" + strings.TrimPrefix(members, ","))
	}
	return l
}

// legible makes texts of what is not plain in JSON.
func legible(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindFloat64:
		if f := a.Value.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
			a.Value = slog.StringValue(fmt.Sprint(f))
		}
	}
	return a
}
