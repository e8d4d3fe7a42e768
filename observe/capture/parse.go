package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// What a file may hold.
const (
	maxFile    = 64 << 20 // bytes
	maxEntries = 1000
	maxList    = 100_000 // headers, parameters, cookies, values, flags, log records
)

// Parse reads a bundle. name is for errors, which are each a [*ParseError], joined.
// Files of other programs are taken too, as long as they are HAR 1.2: entry 0 is
// then the request to look at. A file may have 64 MiB, and 1,000 entries.
func Parse(name string, data []byte) (*Bundle, error) {
	fault := func(place string, err error) error { return &ParseError{Name: name, Place: place, Err: err} }
	if len(data) > maxFile {
		return nil, fault("", fmt.Errorf("%d bytes are too many", len(data)))
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the specification allows it
	if !utf8.Valid(data) {
		return nil, fault("", errors.New("not UTF-8"))
	}
	b := &Bundle{}
	if err := json.Unmarshal(data, b); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, fault(typed.Field, fmt.Errorf("is a JSON %s", typed.Value))
		}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fault(fmt.Sprintf("byte %d", syntax.Offset), err)
		}
		return nil, fault("", err)
	}
	var faults []error
	add := func(place, format string, args ...any) {
		faults = append(faults, fault(place, fmt.Errorf(format, args...)))
	}
	l := &b.Log
	if l.Version != "1.2" {
		add("log.version", "must be 1.2, got %q", l.Version)
	}
	if d := &l.Details; d.Schema < 0 || d.Schema > 1 {
		add("log._upkeep.schema", "%d is not known here", d.Schema)
	} else if len(d.Flags) > maxList || len(d.Values) > maxList || len(d.Logs) > maxList {
		add("log._upkeep", "more than %d flags, values or log records", maxList)
	}
	switch {
	case len(l.Entries) == 0:
		add("log.entries", "there is none")
	case len(l.Entries) > maxEntries:
		return nil, fault("log.entries", fmt.Errorf("%d are too many", len(l.Entries)))
	}
	for i := range l.Entries {
		place := fmt.Sprintf("log.entries[%d]", i)
		l.Entries[i].check(func(member, format string, args ...any) { add(place+"."+member, format, args...) })
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	b.complete()
	return b, nil
}

func (e *Entry) check(fault func(member, format string, args ...any)) {
	if y := e.Started.Year(); y < 0 || y > 9999 {
		fault("startedDateTime", "the year is not one")
	}
	for member, ms := range map[string]float64{"time": e.Time, "timings.send": e.Timings.Send, "timings.wait": e.Timings.Wait, "timings.receive": e.Timings.Receive} {
		if math.IsNaN(ms) || ms > float64(math.MaxInt64/time.Millisecond) {
			fault(member, "%v ms is no duration", ms)
		}
	}
	if !isMethod(e.Request.Method) {
		fault("request.method", "%q is not one", clip(e.Request.Method))
	}
	if _, err := url.Parse(e.Request.URL); err != nil {
		fault("request.url", "not a URL") // the error would repeat it
	}
	if s := e.Response.Status; s < 0 || s > 999 {
		fault("response.status", "%d is not one", s)
	}
	if enc := e.Response.Content.Encoding; enc != "" && enc != "base64" {
		fault("response.content.encoding", "%q is not known", clip(enc))
	}
	n := len(e.Request.Headers) + len(e.Request.Cookies) + len(e.Request.QueryString) + len(e.Response.Headers) + len(e.Response.Cookies)
	if p := e.Request.PostData; p != nil {
		n += len(p.Params)
	}
	if n > maxList {
		fault("request", "more than %d headers, cookies and parameters", maxList)
	}
}

// isMethod reports whether s is a token of RFC 9110 section 5.6.2.
func isMethod(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Encode gives the file of a redacted bundle, or [ErrNotRedacted].
func (b *Bundle) Encode() ([]byte, error) {
	if b.Log.Details.Seal == nil {
		return nil, ErrNotRedacted
	}
	return b.encode()
}

func (b *Bundle) encode() ([]byte, error) {
	b.complete()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // the file is for people too
	enc.SetIndent("", " ")
	if err := enc.Encode(b); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return buf.Bytes(), nil
}

// complete puts what HAR demands where there is nothing.
func (b *Bundle) complete() {
	if b.Log.Version == "" {
		b.Log.Version = "1.2"
	}
	for i := range b.Log.Entries {
		e := &b.Log.Entries[i]
		e.Request.Cookies = some(e.Request.Cookies)
		e.Request.Headers = some(e.Request.Headers)
		e.Request.QueryString = some(e.Request.QueryString)
		e.Response.Cookies = some(e.Response.Cookies)
		e.Response.Headers = some(e.Response.Headers)
	}
}

func some[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
