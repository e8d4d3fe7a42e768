package capture_test

import (
	"encoding/json"
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
		"multipart/form-data; boundary=x", "Basic dTpw", "::ffff:1.2.3.4", "goroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:1 +0x1", "a: b: EOF", "%", "1e-7", "-0.0",
	} {
		f.Add(s, s)
	}
	r := newRedactor(f, capture.Redaction{Words: true, Fields: []string{"page"}, JSON: []string{"$.a.b"}, URLs: []string{"/a/{b}"}})
	f.Fuzz(func(t *testing.T, s, typ string) {
		require.Equal(t, r.Pseudonym(s), r.Pseudonym(s))
		b := func() *capture.Bundle {
			quoted, err := json.Marshal(s)
			require.NoError(t, err)
			e := capture.Entry{Entry: har.Entry{
				Request: har.Request{
					Method: "GET", URL: s,
					Headers:  []har.NameValue{{Name: "Cookie", Value: s}, {Name: "Content-Type", Value: typ}, {Name: typ, Value: s}, {Name: "Referer", Value: s}},
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
					Flags: []capture.Flag{{Value: quoted, Variant: s}}, Values: []capture.Value{{Result: json.RawMessage(s)}}, Logs: []capture.LogRecord{{Message: s, Attrs: json.RawMessage(s)}},
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
