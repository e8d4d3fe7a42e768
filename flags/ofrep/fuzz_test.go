package ofrep_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

const fuzzed = `
flags:
  static: {variants: {"on": true}, defaultVariant: "on", metadata: {owner: me, team: shop}}
  rule:
    variants: {a: A, b: {deep: [1]}}
    targeting: {if: [{and: [{ends_with: [{var: email}, ".example"]}, {sem_ver: [{var: v}, "^", "1.2"]}]}, a, {fractional: [{var: id}, [a, 1], [b, 2]]}]}
  lists: {variants: {a: A}, targeting: {if: [{some: [{var: l}, {"<": [{var: ""}, {var: n}]}]}, a, {cat: [{var: x.y}, {var: l.0}]}]}}
  faulty: {variants: {a: A}, defaultVariant: b}
  "off": {state: DISABLED, variants: {a: A}}
$evaluators: {}
`

// FuzzEvaluate sends arbitrary requests to both endpoints and checks each answer against the
// protocol.
func FuzzEvaluate(f *testing.F) {
	for _, body := range []string{
		anyone, ``, `null`, `[]`, `{"context":{}}`, `{"context":null}`, `{"context":[]}`, `{"context":{"targetingKey":1}}`,
		`{"context":{"targetingKey":"a","targetingKey":"b"}}`, `{"context":{"targetingKey":"a","n":1e999}}`,
		`{"context":{"targetingKey":"","email":"x.example","v":"1.3","id":"x","l":[1,"2",null,{}],"n":1e308,"x":{"y":{"z":[]}}}}`,
		`{"context":{"targetingKey":"\ud800","$flagd":{"flagKey":1},"":0}}`, "\ufeff" + anyone, "{\"context\":{\"targetingKey\":\"\xff\"}}",
		strings.Repeat(`{"context":`, 1200), `{"context":{"targetingKey":"a","l":` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}}`,
		`{"context":{"targetingKey":"a","l":9007199254740993,"v":"v1.2.3-rc.1+b","id":-0.0}}`,
	} {
		f.Add([]byte(body), "rule", "application/json", "", `"x"`)
	}
	f.Add([]byte(anyone), "a/../b%2f\xff", "application/json; charset=\"x", "gzip", `W/"x", *`)
	h := newHandler(f, open(f, flags.Bytes("flags.yaml", []byte(fuzzed))), &ofrep.Options{Expose: everything, AllowAnonymous: true})
	f.Fuzz(func(t *testing.T, body []byte, key, contentType, encoding, ifNoneMatch string) {
		for _, path := range []string{bulk, bulk + "/" + url.PathEscape(key)} {
			w := post(h, path, string(body), "Content-Type", contentType, "Content-Encoding", encoding, "If-None-Match", ifNoneMatch)
			held(t, w, path == bulk, key)
			if w.Code != http.StatusOK {
				continue
			}
			again := post(h, path, string(body), "Content-Type", contentType, "Content-Encoding", encoding)
			require.Equal(t, w.Body.String(), again.Body.String())
			if tag := w.Header().Get("ETag"); tag != "" {
				require.Equal(t, http.StatusNotModified, post(h, path, string(body), "Content-Type", contentType, "Content-Encoding", encoding, "If-None-Match", tag).Code)
			}
		}
	})
}

// held checks what the protocol promises for every answer to a POST.
func held(t *testing.T, w *httptest.ResponseRecorder, isBulk bool, key string) {
	if isBulk && w.Code == http.StatusNotModified {
		return
	}
	if strings.HasPrefix(w.Header().Get("Location"), "/") {
		return // http.ServeMux cleans paths with dots and double slashes
	}
	require.True(t, utf8.Valid(w.Body.Bytes()))
	answer := decode(t, w)
	switch code := answer["errorCode"]; {
	case w.Code == http.StatusOK && isBulk:
		require.Len(t, answer["flags"], 5)
		require.NotEmpty(t, w.Header().Get("ETag"))
	case w.Code == http.StatusOK:
		require.Contains(t, []any{"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"}, answer["reason"])
		require.Nil(t, code)
	case w.Code == http.StatusNotFound:
		require.False(t, isBulk)
		require.Equal(t, "FLAG_NOT_FOUND", code)
	case w.Code == http.StatusBadRequest:
		require.Contains(t, []any{"PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL"}, code)
	default:
		require.Contains(t, []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}, w.Code)
		require.Equal(t, "PARSE_ERROR", code)
	}
	if !isBulk && utf8.ValidString(key) {
		require.Equal(t, key, answer["key"])
	}
	require.NotContains(t, w.Body.String(), "owner")
}

// FuzzRequest sends any method, path and headers. It checks that the handler does not panic, does not
// answer 5xx, and copies no content of the request into a header.
func FuzzRequest(f *testing.F) {
	f.Add("POST", bulk, "https://shop.example", "POST")
	f.Add("OPTIONS", bulk+"/x", "https://shop.example", "POST")
	f.Add("HEAD", "/ofrep/v1/../v1/evaluate//flags/%2e%2e", "null", "")
	f.Add("post", "*", "\r\nX: y", "\x00")
	h := newHandler(f, open(f, flags.Bytes("flags.yaml", []byte(fuzzed))), &ofrep.Options{Expose: everything, AllowAnonymous: true})
	f.Fuzz(func(t *testing.T, method, path, origin, requested string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || strings.HasSuffix(u.Path, events) {
			return // the stream would not end
		}
		r := &http.Request{
			Method: method, URL: u, RequestURI: path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost",
			Header: http.Header{"Content-Type": {"application/json"}, "Origin": {origin}, "Access-Control-Request-Method": {requested}},
			Body:   io.NopCloser(strings.NewReader(anyone)),
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Less(t, w.Code, 500)
		if w.Code == http.StatusOK {
			require.True(t, json.Valid(w.Body.Bytes()))
		}
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	})
}
