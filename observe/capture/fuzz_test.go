package capture_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// FuzzParse: whatever is read can be redacted and written, and is read again as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(encoded(f, newRedactor(f, capture.Redaction{}), checkout())))
	for _, data := range []string{
		"", "{}", "null", `{"log":null}`, `{"log":{"version":"1.2","entries":[{"request":{"method":"GET","url":"%"}}]}}`,
		`{"log":{"version":"1.2","entries":[{"startedDateTime":"0000-01-01T00:00:00Z","request":{"method":"GET","url":"//[::1]:99999/%zz?%"},"response":{"content":{"text":"{","encoding":"base64"}}}]}}`,
		`{"log":{"version":"1.2","_upkeep":{"redaction":{},"flags":[{"value":{"a":[1e99999]}}],"logs":[{"attrs":"x"}]},"entries":[{"request":{"method":"GET","url":"x:y","postData":{"mimeType":"multipart/x; boundary=\"","text":"--"}}}]}}`,
	} {
		f.Add([]byte(data))
	}
	r := newRedactor(f, capture.Redaction{Words: true, JSON: []string{"$..a"}, URLs: []string{"shop.test/x/{y}"}})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := capture.Parse("x.har", data)
		if err != nil {
			var fault *har.Fault
			require.ErrorAs(t, err, &fault)
			return
		}
		text := encoded(t, r, b)
		again, err := capture.Parse("x.har", []byte(text))
		require.NoError(t, err)
		require.Equal(t, text, encoded(t, r, again), "redacting twice is redacting once")
		r.Again(b)
	})
}

// FuzzRedact: no text breaks the redactor, nothing long of it comes through, and what it
// becomes is the same each time.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		"", "ann@shop.test", "{\"a\":[1,2,{\"b\":\"c\"}]}", "a=b&c=d", "http://u:p@[::1%25x]:1/%2f?q#f", "sid=1; a; b=\x00", "\xff\xfe", "'\"`", "İıſK", "2026-03-14T15:09:26+99:99",
		`[{"query":"query A($b: C! = 1) { d(e: \"f\", g: \"\"\"h\"\"\") { ...I } } # j"}]`, "\x1f\x8b\x08\x00", "10.1.2.3/8", "192.0.2.1:80",
		"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"page\"\r\n\r\n1\r\n--x--\r\n", "Basic dTpw", "::ffff:1.2.3.4", "goroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:1 +0x1", "a: b: EOF", "%", "1e-7", "-0.0",
	} {
		f.Add(s, s)
	}
	f.Add("--x\r\nContent-Disposition: form-data; name=\"page\"\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x")
	r := newRedactor(f, capture.Redaction{Words: true, Fields: []string{"page"}, JSON: []string{"$.a.b"}, URLs: []string{"/a/{b}"}})
	f.Fuzz(func(t *testing.T, s, typ string) {
		require.Equal(t, r.Pseudonym(s), r.Pseudonym(s))
		b := func() *capture.Bundle {
			quoted, err := json.Marshal(s)
			require.NoError(t, err)
			e := capture.Entry{Entry: har.Entry{
				Request: har.Request{
					Method: "GET", URL: s,
					Headers:  []har.NameValue{{Name: "Cookie", Value: s}, {Name: "Content-Type", Value: typ}, {Name: typ, Value: s}, {Name: "Referer", Value: s}, {Name: "Content-Encoding", Value: []string{"", "gzip"}[len(typ)%2]}},
					PostData: &har.PostData{MimeType: typ, Text: s},
				},
				Response: har.Response{
					Headers: []har.NameValue{{Name: "Set-Cookie", Value: s}, {Name: "Location", Value: s}, {Name: "Content-Encoding", Value: typ}},
					Content: har.Content{MimeType: typ, Text: s},
				},
			}}
			return &capture.Bundle{Log: capture.Log{
				Details: capture.Details{
					Route: "/" + typ, Panic: &capture.Panic{Text: s, Stack: s, Runtime: len(typ)%2 == 0}, Error: &capture.Error{Texts: []string{s}},
					Flags: []capture.Flag{{Value: quoted, Variant: s}}, Values: []capture.Value{{Result: json.RawMessage(s)}, {Result: quoted, Type: reflect.TypeFor[slog.Level]()}, {Result: json.RawMessage(s), Type: reflect.TypeFor[typed]()}}, Logs: []capture.LogRecord{{Message: s, Attrs: json.RawMessage(s)}},
				},
				Entries: []capture.Entry{e},
			}}
		}
		once := b()
		text := encoded(t, r, once)
		require.Equal(t, text, encoded(t, r, b()))
		require.Equal(t, text, encoded(t, r, once))
		_, err := capture.Parse("", []byte(text))
		require.NoError(t, err)
	})
}

// typed has numbers, addresses and an enumeration.
type typed struct {
	A int8
	B *uint16
	C float32 `json:"c"`
	D map[string]netip.Prefix
	E []slog.Level
	F *typed
}

// FuzzJSON: the same texts are JSON as for encoding/json, and stay valid.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		"", " ", "{}", "[]{}", `{"a":[1,-0.5e+7,true,null,"\\u00e9\\ud83d\\ude00"]}`, `"a`, "[1,]", "01", "1.", "-", `{"a"}`, `{"a":1,}`, "nul", "\"\\x\"", "[[[[]]]]", "1 2\n3", "\x00", `"\\ud800"`,
		`{"ann@shop.test":1,"a":{"b":2}}`,
	} {
		f.Add(s)
	}
	r := newRedactor(f, capture.Redaction{JSON: []string{"$.a"}})
	f.Fuzz(func(t *testing.T, s string) {
		b := bundleOf(s)
		require.NoError(t, r.Redact(b))
		text := b.Log.Entries[0].Request.PostData.Text
		if s == "" {
			return
		}
		kind := b.Log.Entries[0].Exchange.RequestBody.Kind
		n, valid := values(s)
		deep := strings.Count(s, "[")+strings.Count(s, "{") > 150
		if kind == capture.KindJSON {
			require.True(t, valid, "%q", s)
			m, valid := values(text)
			require.True(t, valid, "%q", text)
			require.Equal(t, n, m)
		} else if kind == capture.KindText && !deep {
			require.False(t, valid && n > 0, "%q", s)
		}
	})
}

// values counts JSON values that follow one another.
func values(s string) (n int, valid bool) {
	dec := json.NewDecoder(strings.NewReader(s))
	for {
		var v json.RawMessage
		switch err := dec.Decode(&v); err {
		case nil:
			n++
		case io.EOF:
			return n, true
		default:
			return n, false
		}
	}
}
