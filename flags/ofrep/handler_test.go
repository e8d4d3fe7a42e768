package ofrep_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

const document = `
flags:
  banner: {variants: {"on": true, "off": false}, defaultVariant: "on"}
  color: {variants: {red: "#f00", blue: "#00f"}, defaultVariant: red, targeting: {if: [{==: [{var: plan}, pro]}, blue]}}
  ratio: {variants: {half: 0.5}, defaultVariant: half}
  count: {variants: {many: 9007199254740991}, defaultVariant: many}
  limits: {variants: {small: {burst: 5, names: [a, null]}}, defaultVariant: small}
  list: {variants: {two: [1, 2]}, defaultVariant: two}
  "off": {state: DISABLED, variants: {a: A}, defaultVariant: a}
  code: {variants: {a: A}}
  faulty: {variants: {a: A}, defaultVariant: nowhere}
  lost: {variants: {a: A}, defaultVariant: a, targeting: {if: [true, secret-segment]}}
  known:
    variants: {a: A}
    defaultVariant: a
    metadata: {owner: me, kind: release, expires: "2030-01-01", doc: "https://docs.example", weight: 1.5, old: false, list: [1], none: null}
  team/a b: {variants: {a: A}, defaultVariant: a}
`

const anyone = `{"context": {"targetingKey": "u1"}}`

// TestSingle compares answers with the protocol's text.
func TestSingle(t *testing.T) {
	t.Parallel()
	h := serve(t, document)
	for _, c := range []struct {
		key, body string
		status    int
		answer    string
	}{
		{"banner", anyone, 200, `{"key": "banner", "value": true, "reason": "STATIC", "variant": "on"}`},
		{"color", `{"context": {"targetingKey": "", "plan": "pro"}}`, 200, `{"key": "color", "value": "#00f", "reason": "TARGETING_MATCH", "variant": "blue"}`},
		{"color", anyone, 200, `{"key": "color", "value": "#f00", "reason": "UNKNOWN", "variant": "red"}`},
		{"ratio", anyone, 200, `{"key": "ratio", "value": 0.5, "reason": "STATIC", "variant": "half"}`},
		{"count", anyone, 200, `{"key": "count", "value": 9007199254740991, "reason": "STATIC", "variant": "many"}`},
		{"limits", anyone, 200, `{"key": "limits", "value": {"burst": 5, "names": ["a", null]}, "reason": "STATIC", "variant": "small"}`},
		{"list", anyone, 200, `{"key": "list", "value": [1, 2], "reason": "STATIC", "variant": "two"}`},
		{"off", anyone, 200, `{"key": "off", "reason": "DISABLED"}`},
		{"code", anyone, 200, `{"key": "code", "reason": "UNKNOWN"}`},
		{"known", anyone, 200, `{"key": "known", "value": "A", "reason": "STATIC", "variant": "a", "metadata": {"doc": "https://docs.example", "weight": 1.5, "old": false}}`},
		{"team%2Fa%20b", anyone, 200, `{"key": "team/a b", "value": "A", "reason": "STATIC", "variant": "a"}`},
		{"team/a%20b", anyone, 200, `{"key": "team/a b", "value": "A", "reason": "STATIC", "variant": "a"}`},
		{"missing", anyone, 404, `{"key": "missing", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "there is no flag \"missing\""}`},
		{"faulty", anyone, 400, `{"key": "faulty", "errorCode": "PARSE_ERROR", "errorDetails": "the flag is faulty"}`},
		{"lost", anyone, 400, `{"key": "lost", "errorCode": "GENERAL", "errorDetails": "the flag could not be evaluated"}`},
	} {
		w := post(h, bulk+"/"+c.key, c.body)
		require.Equal(t, c.status, w.Code, c.key)
		decode(t, w)
		require.JSONEq(t, c.answer, w.Body.String())
		require.Empty(t, w.Header().Get("ETag"), "the protocol has none for single flags")
	}
}

// TestInfinity checks that a number beyond a float64 makes its flag faulty.
func TestInfinity(t *testing.T) {
	t.Parallel()
	h := serve(t, `{"flags": {"x": {"variants": {"all": {"deep": [1e999]}}, "defaultVariant": "all", "metadata": {"huge": -1e999, "small": 1}}}}`)
	w := post(h, bulk+"/x", anyone)
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"key": "x", "errorCode": "PARSE_ERROR", "errorDetails": "the flag is faulty"}`, w.Body.String())
	require.Equal(t, 200, post(h, bulk, anyone).Code)
}

func TestBulk(t *testing.T) {
	t.Parallel()
	w := post(serve(t, document), bulk, `{"context": {"targetingKey": "u1", "plan": "pro"}, "later": {}}`)
	require.Equal(t, 200, w.Code)
	var keys []string
	for _, flag := range decode(t, w)["flags"].([]any) {
		keys = append(keys, flag.(map[string]any)["key"].(string))
	}
	require.Equal(t, []string{"banner", "code", "color", "count", "faulty", "known", "limits", "list", "lost", "off", "ratio", "team/a b"}, keys)
	require.Contains(t, w.Body.String(), `{"key":"off","reason":"DISABLED"}`)
	require.Contains(t, w.Body.String(), `{"key":"faulty","errorCode":"PARSE_ERROR","errorDetails":"the flag is faulty"}`)
	require.NotContains(t, w.Body.String(), "secret-segment", "nothing of a rule but its result")
	require.NotContains(t, w.Body.String(), "flags.yaml")
}

// TestRequests covers invalid requests.
func TestRequests(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(document)))
	h := newHandler(t, p, &ofrep.Options{Expose: everything, MaxBody: 10_000})
	for _, c := range []struct {
		body    string
		status  int
		code    string
		details string
	}{
		{``, 400, "PARSE_ERROR", "body: the document is empty"},
		{`{`, 400, "PARSE_ERROR", "unexpected end"},
		{"{\n  x}", 400, "PARSE_ERROR", "body:2:3: invalid character 'x'"},
		{`null`, 400, "PARSE_ERROR", "null"},
		{`[]`, 400, "PARSE_ERROR", "the body must be an object, got a list"},
		{`targetingKey: yaml`, 400, "PARSE_ERROR", "invalid character"},
		{anyone + anyone, 400, "PARSE_ERROR", "invalid character '{' after top-level value"},
		{`{"context": {"targetingKey": "a", "targetingKey": "b"}}`, 400, "PARSE_ERROR", "targetingKey"},
		{`{"context": {"targetingKey": "a"}, "context": {"targetingKey": "b"}}`, 400, "PARSE_ERROR", "context"},
		{"{\"context\": {\"targetingKey\": \"\xff\"}}", 400, "PARSE_ERROR", "UTF-8"},
		{`{"context": {"targetingKey": "a", "x": ` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}}`, 400, "PARSE_ERROR", "deep"},
		{`{"context": {"targetingKey": "` + strings.Repeat("a", 10_000) + `"}}`, 413, "PARSE_ERROR", "the body is larger than 10000 bytes"},
		{`{}`, 400, "INVALID_CONTEXT", "the body has no context"},
		{`{"context": null}`, 400, "INVALID_CONTEXT", "the context must be an object, got null"},
		{`{"context": "u1"}`, 400, "INVALID_CONTEXT", "the context must be an object, got a string"},
		{`{"context": {"targetingKey": 7}}`, 400, "INVALID_CONTEXT", "the targetingKey must be a string, got a number"},
		{`{"context": {"targetingKey": true}}`, 400, "INVALID_CONTEXT", "the targetingKey must be a string, got a boolean"},
		{`{"context": {"targetingKey": ["u1"]}}`, 400, "INVALID_CONTEXT", "the targetingKey must be a string, got a list"},
		{`{"context": {"targetingKey": {"x": 1}}}`, 400, "INVALID_CONTEXT", "the targetingKey must be a string, got an object"},
		{`{"context": {"targetingKey": "a", "x": {"y": [-1e999]}}}`, 400, "INVALID_CONTEXT", "a number of the context is out of range"},
		{`{"context": {}}`, 400, "TARGETING_KEY_MISSING", "the context has no targetingKey"},
		{`{"context": {"targetingKey": null}}`, 400, "TARGETING_KEY_MISSING", "the context has no targetingKey"},
	} {
		w := post(h, bulk, c.body)
		require.Equal(t, c.status, w.Code, c.body)
		failure := decode(t, w)
		require.Equal(t, c.code, failure["errorCode"], c.body)
		require.Contains(t, failure["errorDetails"], c.details)
		require.NotContains(t, failure, "key")

		w = post(h, bulk+"/banner", c.body)
		require.Equal(t, c.status, w.Code, c.body)
		single := decode(t, w)
		require.Equal(t, "banner", single["key"], "required of an evaluationFailure")
		delete(single, "key")
		require.Equal(t, failure, single)
	}
}

func TestHeadersOfRequests(t *testing.T) {
	t.Parallel()
	h := serve(t, document)
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		require.Equal(t, 200, post(h, bulk, anyone, "Content-Type", contentType).Code, contentType)
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "application/json;;", "json"} {
		w := post(h, bulk, anyone, "Content-Type", contentType)
		require.Equal(t, http.StatusUnsupportedMediaType, w.Code, contentType)
		require.Equal(t, "PARSE_ERROR", decode(t, w)["errorCode"])
		require.Equal(t, "application/json", w.Header().Get("Accept-Post"))
	}
	w := post(h, bulk, anyone, "Content-Encoding", "gzip")
	require.Equal(t, http.StatusUnsupportedMediaType, w.Code)
	require.Equal(t, "identity", w.Header().Get("Accept-Encoding"))
	require.Equal(t, 200, post(h, bulk, anyone, "Content-Encoding", "identity").Code)

	w = do(h, http.MethodPost, bulk, io.MultiReader(strings.NewReader(`{"context`), broken{}), "Content-Type", "application/json")
	require.Equal(t, 400, w.Code)
	require.Equal(t, "the body could not be read completely", decode(t, w)["errorDetails"])
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	h := serve(t, document)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", bulk, 405, "POST"},
		{"PUT", bulk + "/banner", 405, "POST"},
		{"DELETE", bulk, 405, "POST"},
		{"OPTIONS", bulk, 405, "POST"},
		{"POST", events, 405, "GET, HEAD"},
		{"POST", "/", 404, ""},
		{"POST", "/ofrep/v1", 404, ""},
		{"POST", "/ofrep/v2/evaluate/flags", 404, ""},
		{"GET", "/ofrep/v1/configuration", 404, ""},
	} {
		w := do(h, c.method, c.path, strings.NewReader(anyone), "Content-Type", "application/json")
		require.Equal(t, c.status, w.Code, "%s %s", c.method, c.path)
		require.Equal(t, c.allow, w.Header().Get("Allow"))
	}
	require.Equal(t, "", decode(t, post(h, bulk+"/", anyone))["key"], "the flag without a name")
	require.Equal(t, 404, post(h, bulk+"/", anyone).Code)
	require.Equal(t, 404, post(h, bulk+"/%ff", anyone).Code)
}

func TestExpose(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(document)))
	for _, opts := range []*ofrep.Options{nil, {}} {
		h := newHandler(t, p, opts)
		require.JSONEq(t, `[]`, rawFlags(t, post(h, bulk, anyone)), "nil exposes nothing")
		require.Equal(t, 404, post(h, bulk+"/banner", anyone).Code)
	}

	h := newHandler(t, p, &ofrep.Options{Expose: func(key string) bool { return key == "banner" }})
	require.JSONEq(t, `[{"key": "banner", "value": true, "reason": "STATIC", "variant": "on"}]`, rawFlags(t, post(h, bulk, anyone)))
	require.Equal(t, 200, post(h, bulk+"/banner", anyone).Code)
	// The answers for a hidden and a missing flag differ only in the name.
	for _, body := range []string{anyone, `{`, `{}`, `{"context": {}}`} {
		hidden, none := post(h, bulk+"/color", body), post(h, bulk+"/colour", body)
		require.Equal(t, none.Code, hidden.Code)
		require.Equal(t, none.Header().Get("Content-Type"), hidden.Header().Get("Content-Type"))
		require.Equal(t, none.Body.String(), strings.ReplaceAll(hidden.Body.String(), "color", "colour"))
	}
}

func rawFlags(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	require.Equal(t, 200, w.Code, w.Body.String())
	text, _, ok := strings.Cut(strings.TrimPrefix(w.Body.String(), `{"flags":`), `,"eventStreams"`)
	require.True(t, ok)
	return text
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(document)))
	var refuse error
	h := newHandler(t, p, &ofrep.Options{Expose: everything, Authorize: func(*http.Request) (string, error) { return "ada", refuse }})
	for _, c := range []struct {
		err        error
		status     int
		challenge  string
		retryAfter string
	}{
		{errors.New("token of ada@shop.example has expired"), 401, "Bearer", ""},
		{ofrep.ErrForbidden, 403, "", ""},
		{fmt.Errorf("tenant of ada@shop.example: %w", ofrep.ErrForbidden), 403, "", ""},
		{&ofrep.RateLimitError{RetryAfter: 1500 * time.Millisecond}, 429, "", "2"},
		{fmt.Errorf("bucket of ada@shop.example: %w", &ofrep.RateLimitError{}), 429, "", ""},
	} {
		refuse = c.err
		for _, w := range []*httptest.ResponseRecorder{
			post(h, bulk, anyone), post(h, bulk+"/banner", anyone), post(h, bulk, `{`), do(h, http.MethodGet, events, nil),
		} {
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.challenge, w.Header().Get("WWW-Authenticate"))
			require.Equal(t, c.retryAfter, w.Header().Get("Retry-After"))
			require.NotContains(t, w.Body.String(), "ada", "the reason is not for the client")
			require.NotEmpty(t, decode(t, w)["errorDetails"])
		}
	}
	refuse = nil
	require.Equal(t, 200, post(h, bulk, anyone).Code)
}

func TestContextOverwrites(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(`
flags:
  dark: {variants: {"yes": true, "no": false}, defaultVariant: "no", targeting: {if: [{==: [{var: user.role}, staff]}, "yes"]}}
  who: {variants: {ada: 1, bob: 2, none: 3}, defaultVariant: none, targeting: {var: targetingKey}}
  where: {variants: {eu: 1, us: 2}, targeting: {var: region}}
`)))
	var knows flags.Attributes
	h := newHandler(t, p, &ofrep.Options{Expose: everything, Context: func(*http.Request) flags.Attributes { return knows }})
	value := func(key, claims string) any {
		w := post(h, bulk+"/"+key, `{"context": `+claims+`}`)
		require.Equal(t, 200, w.Code, w.Body.String())
		return decode(t, w)["value"]
	}
	const staff = `{"targetingKey": "bob", "user": {"role": "staff"}, "user.role": "staff"}`
	require.Equal(t, true, value("dark", staff), "a claim is believed where the server knows nothing")
	knows = flags.Attributes{"user": map[string]any{"role": "customer"}}
	require.Equal(t, false, value("dark", staff))
	knows = flags.Attributes{"user": nil}
	require.Equal(t, false, value("dark", staff), "nil takes away")

	knows = flags.Attributes{"targetingKey": "ada"}
	for _, claims := range []string{`{"targetingKey": "bob"}`, `{}`, `{"targetingKey": 7}`, `{"targetingKey": null}`} {
		require.InDelta(t, 1, value("who", claims), 0, claims)
	}
	require.InDelta(t, 1, value("where", `{"region": "us"}`), 0, "the provider's own attributes stand over all")
	for code, key := range map[string]any{"TARGETING_KEY_MISSING": nil, "INVALID_CONTEXT": 7} {
		knows = flags.Attributes{"targetingKey": key}
		w := post(h, bulk, `{"context": {"targetingKey": "bob"}}`)
		require.Equal(t, 400, w.Code)
		require.Equal(t, code, decode(t, w)["errorCode"])
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	src := newChanging(document)
	p := open(t, src)
	hidden := ""
	var knows flags.Attributes
	h := newHandler(t, p, &ofrep.Options{
		Expose:  func(key string) bool { return key != hidden },
		Context: func(*http.Request) flags.Attributes { return knows },
	})
	ask := func(claims string, header ...string) *httptest.ResponseRecorder {
		return post(h, bulk, `{"context": `+claims+`}`, header...)
	}
	const claims = `{"targetingKey": "u1", "plan": "free", "cart": {"a": 1, "b": 2}}`
	first := ask(claims)
	tag := first.Header().Get("ETag")
	require.Regexp(t, `^"[A-Za-z0-9_-]{24}"$`, tag)

	for _, same := range []string{tag, "W/" + tag, `"other", ` + tag, strings.Trim(tag, `"`)} {
		w := ask(claims, "If-None-Match", same)
		require.Equal(t, http.StatusNotModified, w.Code, same)
		require.Empty(t, w.Body.String())
		require.Equal(t, tag, w.Header().Get("ETag"))
	}
	for _, other := range []string{`"other"`, "*", "", tag[:10], strings.ToLower(tag)} {
		w := ask(claims, "If-None-Match", other)
		require.Equal(t, 200, w.Code, other)
		require.Equal(t, first.Body.String(), w.Body.String())
	}
	// The same context in other words.
	require.Equal(t, 304, ask(`{ "plan":"\u0066ree", "cart":{"b":2.0,"a":1}, "targetingKey":"u1" }`, "If-None-Match", tag).Code)

	// Everything that an answer depends on.
	require.Equal(t, 200, ask(`{"targetingKey": "u1", "plan": "pro"}`, "If-None-Match", tag).Code, "the client's context")
	knows = flags.Attributes{"plan": "pro"}
	require.Equal(t, 200, ask(claims, "If-None-Match", tag).Code, "what Context adds")
	knows = nil
	hidden = "banner"
	require.Equal(t, 200, ask(claims, "If-None-Match", tag).Code, "what Expose yields")
	hidden = ""
	require.Equal(t, 304, ask(claims, "If-None-Match", tag).Code)

	changed := p.Changed()
	src.set(strings.Replace(document, `defaultVariant: "on"`, `defaultVariant: "off"`, 1))
	<-changed
	w := ask(claims, "If-None-Match", tag)
	require.Equal(t, 200, w.Code, "the document")
	require.Contains(t, w.Body.String(), `{"key":"banner","value":false,`)

	// An attribute of Context changes the tag only through the answer, so it cannot be guessed.
	tag = w.Header().Get("ETag")
	knows = flags.Attributes{"fraudScore": 87}
	require.Equal(t, 304, ask(claims, "If-None-Match", tag).Code)
}

// TestOneDocumentForAllFlags checks that an answer never mixes old and new flags.
func TestOneDocumentForAllFlags(t *testing.T) {
	t.Parallel()
	version := func(n int) string {
		var doc strings.Builder
		doc.WriteString("flags:\n")
		for i := range 200 {
			fmt.Fprintf(&doc, "  flag-%d: {variants: {v: %d}, defaultVariant: v}\n", i, n)
		}
		return doc.String()
	}
	src := newChanging(version(0))
	p := open(t, src)
	h := newHandler(t, p, &ofrep.Options{Expose: everything})
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				var answer struct{ Flags []struct{ Value int } }
				if json.Unmarshal(post(h, bulk, anyone).Body.Bytes(), &answer) != nil || len(answer.Flags) != 200 {
					t.Error("no answer")
					return
				}
				for _, flag := range answer.Flags {
					if flag != answer.Flags[0] {
						t.Errorf("%v and %v in one answer", flag, answer.Flags[0])
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for n := range 10 {
		changed := p.Changed()
		src.set(version(n + 1))
		<-changed
	}
	close(stop)
	clients.Wait()
}

// TestNoDocument checks that the answer is an error, because an empty answer would empty the clients'
// caches.
func TestNoDocument(t *testing.T) {
	t.Parallel()
	p, err := flags.New(flags.Bytes("flags.yaml", []byte(document)), &flags.Options{Logger: quiet})
	require.NoError(t, err)
	h := newHandler(t, p, &ofrep.Options{Expose: everything})
	for _, path := range []string{bulk, bulk + "/banner"} {
		w := post(h, path, anyone)
		require.Equal(t, 500, w.Code)
		require.Equal(t, map[string]any{"errorDetails": "the flags have not been loaded yet"}, decode(t, w))
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(document)))
	refuse := errors.New("no token")
	authorize := func(r *http.Request) (string, error) {
		if r.Header.Get("Authorization") == "" {
			return "", refuse
		}
		return "shop", nil
	}
	const allowed, exposed = "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"
	preflight := []string{"Origin", "https://shop.example", "Access-Control-Request-Method", "POST"}

	h := newHandler(t, p, &ofrep.Options{})
	w := do(h, http.MethodOptions, bulk, nil, preflight...)
	require.Equal(t, 405, w.Code)
	require.Empty(t, w.Header().Get(allowed), "off by default")

	h = newHandler(t, p, &ofrep.Options{Origins: []string{"https://shop.example", "http://127.0.0.1:8080"}, Authorize: authorize})
	w = do(h, http.MethodOptions, bulk, nil, preflight...)
	require.Equal(t, 204, w.Code, "a preflight carries no token")
	require.Equal(t, "https://shop.example", w.Header().Get(allowed))
	require.Equal(t, "GET, POST", w.Header().Get("Access-Control-Allow-Methods"))
	require.Equal(t, "*, Authorization", w.Header().Get("Access-Control-Allow-Headers"))

	w = post(h, bulk, anyone, "Origin", "http://127.0.0.1:8080", "Authorization", "Bearer t")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "http://127.0.0.1:8080", w.Header().Get(allowed))
	require.Equal(t, "ETag, Retry-After", w.Header().Get(exposed))
	require.Equal(t, "Origin", w.Header().Get("Vary"))
	require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
	w = post(h, bulk, anyone, "Origin", "https://shop.example")
	require.Equal(t, 401, w.Code)
	require.Equal(t, "https://shop.example", w.Header().Get(allowed), "so that the page can see the status")

	for _, origin := range []string{"https://shop.example.evil.example", "http://shop.example", "null", ""} {
		w = post(h, bulk, anyone, "Origin", origin, "Authorization", "Bearer t")
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Header().Get(allowed), origin)
		require.Equal(t, "Origin", w.Header().Get("Vary"))
	}

	h = newHandler(t, p, &ofrep.Options{Origins: []string{"*"}})
	require.Equal(t, "*", post(h, bulk, anyone, "Origin", "https://anywhere.example").Header().Get(allowed))
}

func TestNewHandlerRefuses(t *testing.T) {
	t.Parallel()
	p := open(t, flags.Bytes("flags.yaml", []byte(document)))
	for _, c := range []struct {
		p     *flags.Provider
		opts  *ofrep.Options
		fault string
	}{
		{nil, nil, "ofrep: the provider is nil"},
		{p, &ofrep.Options{MaxBody: -1}, "ofrep: Options.MaxBody must not be negative, got -1"},
		{p, &ofrep.Options{Heartbeat: -time.Second}, "ofrep: Options.Heartbeat must not be negative, got -1s"},
		{p, &ofrep.Options{Origins: []string{"shop.example"}}, `ofrep: Options.Origins: "shop.example" is not an origin such as "https://shop.example"`},
		{p, &ofrep.Options{Origins: []string{"https://shop.example/"}}, "is not an origin"},
		{p, &ofrep.Options{Origins: []string{"https://Shop.example"}}, "is not an origin"},
		{p, &ofrep.Options{Origins: []string{"https://u:p@shop.example"}}, "is not an origin"},
		{p, &ofrep.Options{Origins: []string{"https://*.shop.example:x"}}, "is not an origin"},
	} {
		h, err := ofrep.NewHandler(c.p, c.opts)
		require.ErrorContains(t, err, c.fault)
		require.Nil(t, h)
	}
}

// TestHugeContext checks that the work for a hostile context is bounded by the size of the body.
func TestHugeContext(t *testing.T) {
	t.Parallel()
	h := serve(t, `
flags:
  heavy: {variants: {a: A}, targeting: {if: [{some: [{var: list}, {in: [{var: ""}, [x, y]]}]}, a]}}
`)
	body := `{"context": {"targetingKey": "u", "list": [` + strings.TrimSuffix(strings.Repeat("1,", 30_000), ",") + `]}}`
	require.Equal(t, 200, post(h, bulk, body).Code)
}
