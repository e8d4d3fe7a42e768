package capture_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = []byte("a key that only the tests have")

func newRedactor(t testing.TB, rules capture.Redaction) *capture.Redactor {
	t.Helper()
	rules.Key = key
	r, err := capture.NewRedactor(&rules)
	require.NoError(t, err)
	return r
}

// checkout is a bundle as it is recorded, with all that a bundle may have.
func checkout() *capture.Bundle {
	at := time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC)
	return &capture.Bundle{Log: capture.Log{
		Creator: har.Creator{Name: "upkeep"},
		Details: capture.Details{
			Schema: 1, RequestID: "01JABCDEFGHJKMNPQRSTVWXYZ0", TraceID: "0af7651916cd43dd8448eb211c80319c",
			Route: "/carts/{cart}/checkout", Reason: capture.ReasonPanicked, Status: 500, Build: "shop v1.4.2", Go: "go1.26",
			Error: &capture.Error{Type: "*fmt.wrapError", Texts: []string{"charge ann@shop.test: context deadline exceeded", "context deadline exceeded"}},
			Panic: &capture.Panic{Type: "string", Text: "no price for ann", Stack: "goroutine 7 [running]:\nmain.(*shop).pay(0xc000012345, {0xc0000, 0x3})\n\t/src/shop/pay.go:41 +0x1d\nann@shop.test\n"},
			Flags: []capture.Flag{
				{Key: "new-checkout", Type: "bool", Value: json.RawMessage("true"), Variant: "on", Reason: "SPLIT", Targeting: "ann@shop.test"},
				{Key: "notice", Type: "string", Value: json.RawMessage(`"hello ann"`), Variant: "ann4711ann", ErrorText: "ann is broken"},
			},
			Values: []capture.Value{
				{Name: "customer", Result: json.RawMessage(`{"mail":"ann@shop.test","since":"2020-02-03T04:05:06Z","points":1234}`)},
				{Name: "now", Result: json.RawMessage(`"2026-03-14T15:09:26Z"`)},
				{Name: "stock", Error: []string{"query ann: sql: no rows in result set", "sql: no rows in result set"}},
			},
			Logs: []capture.LogRecord{{Time: at, Level: "DEBUG", Message: "charging ann", Attrs: json.RawMessage(`{"mail":"ann@shop.test","cart":{"size":3}}`), Source: "main.pay pay.go:40"}},
		},
		Entries: []capture.Entry{
			{Entry: har.Entry{
				Started: at, Time: 12.5,
				Request: har.Request{
					Method: "POST", URL: "http://shop.test/carts/4711/checkout?coupon=SPRING-2026&debug=true", HTTPVersion: "HTTP/1.1",
					Headers: []har.NameValue{
						{Name: "Authorization", Value: "Bearer c2VjcmV0.c2VjcmV0"},
						{Name: "Content-Type", Value: "application/json; charset=utf-8"},
						{Name: "Cookie", Value: "session=deadbeef01; theme=dark"},
						{Name: "X-Tenant", Value: "acme"},
						{Name: "X-4711-0815-1234", Value: "ann"},
					},
					PostData: &har.PostData{MimeType: "application/json", Text: `{"mail": "ann@shop.test", "items": [{"sku": "tea", "amount": 3}], "gift": true, "note": ""}`},
				},
				Response: har.Response{
					Status: 500, HTTPVersion: "HTTP/1.1",
					Headers: []har.NameValue{{Name: "Set-Cookie", Value: "session=deadbeef02; Path=/carts; HttpOnly"}, {Name: "Location", Value: "/login?as=ann"}},
					Content: har.Content{Size: 20, MimeType: "text/plain", Text: "no price for ann"},
				},
			}},
			{Entry: har.Entry{
				Started: at, Time: 3,
				Request:  har.Request{Method: "GET", URL: "http://prices.test/prices/tea?for=ann"},
				Response: har.Response{Status: 200, Content: har.Content{Size: 14, MimeType: "application/json", Text: `{"cents": 499}`}},
			}},
		},
	}}
}

func encoded(t testing.TB, r *capture.Redactor, b *capture.Bundle) string {
	t.Helper()
	require.NoError(t, r.Redact(b))
	data, err := b.Encode()
	require.NoError(t, err)
	return string(data)
}

func TestOnlyWhatIsRedactedBecomesAFile(t *testing.T) {
	t.Parallel()
	_, err := checkout().Encode()
	require.ErrorIs(t, err, capture.ErrNotRedacted)
}

func TestParseGivesWhatWasEncoded(t *testing.T) {
	t.Parallel()
	b := checkout()
	text := encoded(t, newRedactor(t, capture.Redaction{Words: true}), b)
	parsed, err := capture.Parse("case.har", []byte("\xef\xbb\xbf"+text))
	require.NoError(t, err)
	again, err := parsed.Encode()
	require.NoError(t, err)
	require.Equal(t, text, string(again))
	require.Equal(t, b.Log.Details.RequestID, parsed.Log.Details.RequestID)
	require.Equal(t, b.Log.Entries[1].Request, parsed.Log.Entries[1].Request)
}

// A file of a browser has no members of ours, and others.
func TestParseTakesOtherPrograms(t *testing.T) {
	t.Parallel()
	b, err := capture.Parse("browser.har", []byte(`{"log":{"version":"1.2","creator":{"name":"WebInspector","version":"1"},"pages":[],"entries":[{
		"startedDateTime":"2026-03-14T15:09:26.535+01:00","time":1,"request":{"method":"GET","url":"https://shop.test/","headers":[]},
		"response":{"status":200,"content":{"size":2,"mimeType":"text/plain","text":"aGk=","encoding":"base64"}},"_priority":"High"}]}}`))
	require.NoError(t, err)
	require.Zero(t, b.Log.Details.Schema)
	require.Equal(t, "base64", b.Log.Entries[0].Response.Content.Encoding)
}

func TestParseTellsAllFaults(t *testing.T) {
	t.Parallel()
	for data, faults := range map[string][]string{
		"":                                   {"case.har:1:1: unexpected end of JSON input"},
		"{\"log\": \xff}":                    {"case.har: not UTF-8"},
		"[]":                                 {"is a JSON array"},
		`{"log":{"version":2`:                {"case.har:1:19: unexpected end of JSON input"},
		`{"log":{"version":2,"entries":[]}}`: {"case.har:1:19: log.version: is a JSON number"},
		`{}`:                                 {`log.version: must be 1.2, got ""`, "log.entries: there is none"},
		`{"log":{"version":"1.2","_upkeep":{"schema":7},"entries":[{}]}}`:              {"log._upkeep.schema: 7 is not known here", `log.entries[0].request.method: "" is not one`},
		`{"log":{"version":"1.2","entries":[{"request":{"method":"G T","url":":"}}]}}`: {`request.method: "G T" is not one`, "request.url: not a URL"},
		`{"log":{"version":"1.2","entries":[{"time":1e300,"request":{"method":"GET"},"response":{"status":-1,"content":{"encoding":"rot13"}}}]}}`: {
			"log.entries[0].time: 1e+300 ms is no duration", "response.status: -1 is not one", `response.content.encoding: "rot13" is not known`,
		},
		`{"log":{"version":"1.2","entries":[` + strings.Repeat("{},", 1000) + `{}]}}`: {"log.entries: 1001 are too many"},
	} {
		_, err := capture.Parse("case.har", []byte(data))
		require.Error(t, err)
		var fault *har.Fault
		require.True(t, errors.As(err, &fault))
		require.Equal(t, "case.har", fault.File)
		for _, f := range faults {
			require.ErrorContains(t, err, f)
		}
	}
	_, err := capture.Parse("case.har", make([]byte, 65<<20))
	require.ErrorContains(t, err, "too many")
}
