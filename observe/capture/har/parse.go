package har

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// What a file may hold.
const (
	maxFile    = 64 << 20 // bytes
	maxEntries = 1000
	maxList    = 100_000 // headers, parameters and cookies of an entry
)

// Version is the version of HAR that this package reads and writes.
const Version = "1.2"

// Parse reads a file. name is for errors, which are [Faults]. It ignores members that
// this package does not know.
func Parse(name string, data []byte) (*File, error) {
	f := &File{}
	if err := Decode(name, data, f); err != nil {
		return nil, err
	}
	faults := Check(name, f.Log.Version, func(yield func(*Entry) bool) {
		for i := range f.Log.Entries {
			if !yield(&f.Log.Entries[i]) {
				return
			}
		}
	})
	if len(faults) > 0 {
		return nil, faults
	}
	for i := range f.Log.Entries {
		f.Log.Entries[i].Complete()
	}
	return f, nil
}

// Encode returns v, a [File] or a type that embeds the types of this package, as the
// bytes of a file, indented for people.
func Encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	if err := EncodeTo(&buf, v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// EncodeTo writes what [Encode] returns.
func EncodeTo(w io.Writer, v any) error {
	enc := json.NewEncoder(indenter{w})
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("har: %w", err)
	}
	return nil
}

// Decode reads data into v, which embeds the types of this package. It checks only size
// and syntax; use [Check] for the rest. The error is [Faults].
func Decode(name string, data []byte, v any) error {
	if len(data) > maxFile {
		return Faults{{File: name, Err: fmt.Errorf("%d bytes are too many", len(data))}}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the specification allows it
	if !utf8.Valid(data) {
		return Faults{{File: name, Err: errors.New("not UTF-8")}}
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	fault := Fault{File: name, Err: err}
	var typed *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typed):
		fault.Line, fault.Column = position(data, typed.Offset)
		fault.Field, fault.Err = typed.Field, fmt.Errorf("is a JSON %s", typed.Value)
	case errors.As(err, &syntax):
		fault.Line, fault.Column = position(data, syntax.Offset)
	}
	return Faults{&fault}
}

// position returns the line and column, from 1, of the last of the first offset bytes.
func position(data []byte, offset int64) (line, column int) {
	before := data[:max(0, min(offset, int64(len(data))))]
	return 1 + bytes.Count(before, []byte("\n")), max(1, len(before)-1-bytes.LastIndexByte(before, '\n'))
}

// Check returns what is wrong with the version and the entries of a file, and nil when
// nothing is.
func Check(name, version string, entries iter.Seq[*Entry]) (faults Faults) {
	add := func(field, format string, args ...any) {
		faults = append(faults, &Fault{File: name, Field: field, Err: fmt.Errorf(format, args...)})
	}
	if version != Version {
		add("log.version", "must be %s, got %q", Version, version)
	}
	n := 0
	for e := range entries {
		if n < maxEntries {
			place := fmt.Sprintf("log.entries[%d].", n)
			e.check(func(field, format string, args ...any) { add(place+field, format, args...) })
		}
		n++
	}
	switch {
	case n == 0:
		add("log.entries", "there is none")
	case n > maxEntries:
		return Faults{{File: name, Field: "log.entries", Err: fmt.Errorf("%d are too many", n)}}
	}
	return faults
}

func (e *Entry) check(fault func(field, format string, args ...any)) {
	if y := e.Started.Year(); y < 0 || y > 9999 {
		fault("startedDateTime", "the year must be 0 to 9999, got %d", y)
	}
	for _, d := range []struct {
		field string
		ms    float64
	}{{"time", e.Time}, {"timings.send", e.Timings.Send}, {"timings.wait", e.Timings.Wait}, {"timings.receive", e.Timings.Receive}} {
		if math.IsNaN(d.ms) || d.ms > float64(math.MaxInt64/time.Millisecond) {
			fault(d.field, "%v ms is no duration", d.ms)
		}
	}
	if !IsMethod(e.Request.Method) {
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

// IsMethod reports whether s can be a method: a token of RFC 9110, section 5.6.2, of at
// most 64 bytes.
func IsMethod(s string) bool { return methodForm.MatchString(s) }

var methodForm = regexp.MustCompile("^[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,64}$")

func clip(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
