package har_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

const browser = "\xef\xbb\xbf" + `{"log":{"version":"1.2","creator":{"name":"WebInspector","version":"1"},"pages":[],"entries":[{
	"startedDateTime":"2026-03-14T15:09:26.535+01:00","time":1,"request":{"method":"GET","url":"https://shop.test/","headers":[]},
	"response":{"status":200,"content":{"size":2,"mimeType":"text/plain","text":"aGk=","encoding":"base64"}},"_priority":"High"}]}}`

func ExampleParse() {
	f, err := har.Parse("browser.har", []byte(browser))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range f.Log.Entries {
		fmt.Println(e.Request.Method, e.Request.URL, e.Response.Status)
	}
	_, err = har.Parse("broken.har", []byte("{\"log\": {\n  \"version\": 1}}"))
	fmt.Println(err)
	// Output:
	// GET https://shop.test/ 200
	// broken.har:2:14: log.version: is a JSON number
}

func TestParseGivesWhatWasEncoded(t *testing.T) {
	t.Parallel()
	f, err := har.Parse("browser.har", []byte(browser))
	require.NoError(t, err)
	require.NotNil(t, f.Log.Entries[0].Request.Cookies, "HAR demands the lists")
	data, err := har.Encode(f)
	require.NoError(t, err)
	require.Contains(t, string(data), `"cookies": []`)
	again, err := har.Parse("browser.har", data)
	require.NoError(t, err)
	require.Equal(t, f, again)
}

func TestParseReportsAllFaults(t *testing.T) {
	t.Parallel()
	for data, want := range map[string][]string{
		"":                 {"x.har:1:1: unexpected end of JSON input"},
		"{\"log\":\n\xff":  {"x.har: not UTF-8"},
		"{\n  \"log\": 1}": {"x.har:2:10: log: is a JSON number"},
		`{}`:               {`x.har: log.version: must be 1.2, got ""`, "x.har: log.entries: there is none"},
		`{"log":{"version":"1.1","entries":[{"startedDateTime":"0000-01-01T00:00:00Z","timings":{"wait":1e300},"request":{"method":"G T","url":":"},"response":{"status":1000}}]}}`: {
			`log.version: must be 1.2, got "1.1"`, "log.entries[0].timings.wait: 1e+300 ms is no duration", `log.entries[0].request.method: "G T" is not one`,
			"log.entries[0].request.url: not a URL", "log.entries[0].response.status: 1000 is not one",
		},
		`{"log":{"version":"1.2","entries":[` + strings.Repeat("{},", 1000) + `{}]}}`: {"x.har: log.entries: 1001 are too many"},
	} {
		_, err := har.Parse("x.har", []byte(data))
		var faults har.Faults
		require.ErrorAs(t, err, &faults)
		require.Len(t, faults, len(want), "%v", err)
		for i, text := range want {
			require.ErrorContains(t, faults[i], text)
			require.Equal(t, "x.har", faults[i].File)
			require.Equal(t, har.SeverityError, faults[i].Severity)
		}
		var fault *har.Fault
		require.True(t, errors.As(err, &fault))
	}
	_, err := har.Parse("x.har", make([]byte, 65<<20))
	require.ErrorContains(t, err, "too many")
	require.Equal(t, "error warning", fmt.Sprint(har.SeverityError, " ", har.SeverityWarning))
}

// FuzzParse: whatever is read is written, and is read again as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{}", "null", browser, `{"log":{"version":"1.2","entries":[{"request":{"method":"GET","url":"x:y","postData":{"text":"\ud800"}}}]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := har.Parse("x.har", data)
		if err != nil {
			var faults har.Faults
			require.ErrorAs(t, err, &faults)
			return
		}
		text, err := har.Encode(read)
		require.NoError(t, err)
		again, err := har.Parse("x.har", text)
		require.NoError(t, err)
		text2, err := har.Encode(again)
		require.NoError(t, err)
		require.Equal(t, string(text), string(text2))
	})
}

// FuzzEncode: a file is indented as package json does it.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{
		"{}", "[]", `{"a":[],"b":{},"c":[1,{"d":null}]}`, `"\\"`, `["\"","\\\"",":,{}[]"]`, `[[[]]]`, `{"":{"":""}}`, "1", ` [ 1 , 2 ] `, "\"\u2028<&>\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			return
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		for _, v := range []any{json.RawMessage(s), s, map[string]any{"text": s, "list": []json.RawMessage{json.RawMessage(s), json.RawMessage(s)}}} {
			want.Reset()
			require.NoError(t, enc.Encode(v))
			got, err := har.Encode(v)
			require.NoError(t, err)
			require.Equal(t, want.String(), string(got))
		}
	})
}

// An error of the writer is that of EncodeTo.
func TestEncodeToAWriterThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	r, w := io.Pipe()
	require.NoError(t, r.CloseWithError(broken))
	require.ErrorIs(t, har.EncodeTo(w, &har.File{}), broken)
}
