package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// The zero of Redaction lets nothing through that was sent.
func TestRedactionHides(t *testing.T) {
	t.Parallel()
	text := encoded(t, newRedactor(t, capture.Redaction{}), checkout())
	for _, secret := range []string{
		"ann", "4711", "SPRING", "2026-03-14T15:09:26Z\\\"", "c2VjcmV0", "deadbeef", "acme", "tea", "499", "hello", "1234", "2020-02", "0815",
		"prices.test", "shop.test", "no price", "charging", "0xc0000",
	} {
		requireAbsent(t, text, secret)
	}
	for _, kept := range []string{
		`"route": "/carts/{cart}/checkout"`, "/checkout?coupon=", `"requestId": "01JABCDEFGHJKMNPQRSTVWXYZ0"`, "debug=true", `"POST"`, "application/json; charset=utf-8",
		"Bearer ", `\"sku\":`, `\"gift\":true`, `\"note\":\"\"`, "new-checkout", "SPLIT", "sql: no rows in result set", "context deadline exceeded",
		"main.(*shop).pay\\n\\t/src/shop/pay.go:41\\n", "main.pay pay.go:40", "shop v1.4.2", "HttpOnly", "Internal Server Error",
	} {
		require.Contains(t, text, kept)
	}
}

// requireAbsent shows where a text is, not all that it is in.
func requireAbsent(t *testing.T, text, secret string, planted ...int) {
	t.Helper()
	if i := strings.Index(text, secret); i >= 0 {
		require.Failf(t, "there is "+secret, "…%s… planted at %v", text[max(0, i-60):min(len(text), i+len(secret)+60)], planted)
	}
}

func TestRedactionAllows(t *testing.T) {
	t.Parallel()
	b := checkout()
	require.NoError(t, newRedactor(t, capture.Redaction{
		Headers: []string{"x-tenant", "X-4711-0815-1234"},
		Fields:  []string{"coupon", "theme", "cart.size", "cart"},
		JSON:    []string{"$.items[*].sku", "$.points"},
		URLs:    []string{"prices.test/prices/{sku}"},
		Flags:   []string{"notice"},
		Values:  []string{"now"},
		Words:   true,
	}).Redact(b))
	d, in, out := b.Log.Details, b.Log.Entries[0], b.Log.Entries[1]
	require.Contains(t, in.Request.Headers, har.NameValue{Name: "X-Tenant", Value: "acme"})
	require.Contains(t, in.Request.Headers, har.NameValue{Name: "X-4711-0815-1234", Value: "ann"})
	require.Contains(t, in.Request.URL, "/carts/4711/checkout?coupon=SPRING-2026&")
	require.Contains(t, in.Request.Cookies, har.Cookie{Name: "theme", Value: "dark"})
	require.Contains(t, in.Request.PostData.Text, `"sku":"tea"`)
	require.NotContains(t, in.Request.PostData.Text, "ann")
	require.Regexp(t, `^http://prices\.test/prices/[a-z]{3}\?for=[a-z]{3}$`, out.Request.URL)
	require.Equal(t, `"hello ann"`, string(d.Flags[1].Value))
	require.Equal(t, `"2026-03-14T15:09:26Z"`, string(d.Values[1].Result))
	require.Contains(t, string(d.Values[0].Result), `"points":1234`)
	require.Regexp(t, `"cart":\{"size":3\}`, string(d.Logs[0].Attrs))
	require.Regexp(t, `^no price for [b-z][a-z]+$|^no price for a[a-z]+$`, d.Panic.Text)
	require.NotContains(t, d.Panic.Text, "ann")
	require.Regexp(t, `^charging [a-z]{3}$`, d.Logs[0].Message)
}

func TestWordsKeepWhatAProgrammerWrote(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{Words: true})
	for text, want := range map[string]string{
		"no price":                        `^no price$`,
		"No price for \"tea\"":            `^No price for "[a-z]{3}"$`,
		"user=ann, cart:ann: tried 17 ":   `^user=[a-z]{3}, cart:[a-z]{3}: tried \d\d $`,
		"it's 'ann' `ann` isn't":          "^it's '[a-z]{3}' `[a-z]{3}` isn't$",
		"token hunterTWOhunter":           `^token [a-zA-Z]{15}$`,
		"secret4711 x":                    `^[a-z]{6}\d{4} x$`,
		"é ü \x00 \xff":                   `^[a-z] [a-z] _ _$`,
		"lookup ann@shop.test: not found": `^lookup [a-z]+@[a-z]+\.example: not found$`,
		"a \"b":                           `^a "b$`,
	} {
		b := checkout()
		b.Log.Details = capture.Details{Panic: &capture.Panic{Text: text}}
		b.Log.Entries = b.Log.Entries[:0]
		require.NoError(t, r.Redact(b))
		require.Regexp(t, want, b.Log.Details.Panic.Text)
		require.NotRegexp(t, `\b(ann|tea|hunter.*|4711|17)\b`, b.Log.Details.Panic.Text)
	}
}

// What the runtime says when it panics is of more use than it can harm.
func TestRuntimePanicsStay(t *testing.T) {
	t.Parallel()
	b := checkout()
	b.Log.Details.Panic = &capture.Panic{Type: "runtime.boundsError", Runtime: true, Text: "runtime error: index out of range [3] with length 4711471147114711"}
	require.NoError(t, newRedactor(t, capture.Redaction{}).Redact(b))
	require.Regexp(t, `^runtime error: index out of range \[3\] with length \d{16}$`, b.Log.Details.Panic.Text)
	require.NotContains(t, b.Log.Details.Panic.Text, "4711471147114711")
}

func TestStackHasNoArguments(t *testing.T) {
	t.Parallel()
	var stack string
	func() {
		defer func() {
			_ = recover()
			stack = capture.Stack(string(debug.Stack()))
		}()
		explode("a secret", 4711)
	}()
	require.Contains(t, stack, "capture_test.explode[...]\n")
	require.Contains(t, stack, "redactor_test.go:")
	require.NotContains(t, stack, "0x")
	require.NotContains(t, stack, "(...)")
	require.Regexp(t, `created by testing\.\(\*T\)\.Run\n`, stack)
}

//go:noinline
func explode[T any](s string, v T) { panic(fmt.Sprint(s, v)) }

// A pseudonym is of the kind of what it stands for, so that validation passes.
func TestPseudonymsKeepTheKind(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{})
	same := func(s string) string {
		p := r.Pseudonym(s)
		require.Equal(t, p, r.Pseudonym(s))
		require.NotEqual(t, s, p)
		return p
	}
	_, err := mail.ParseAddress(same("Ann.Smith+x@mail.shop.test"))
	require.NoError(t, err)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$`, same("550e8400-e29b-41d4-a716-446655440000"))
	require.Regexp(t, `^[0-9A-F]{8}-`, same("550E8400-E29B-41D4-A716-446655440000"))
	require.Regexp(t, `^1\d{9}$`, same("4294967295"))
	require.Regexp(t, `^1\d{18}$`, same("9223372036854775807"))
	require.Regexp(t, `^0\d{4}$`, same("01234"))
	require.Regexp(t, `^4\d{15}$`, same("4111111111111111"))
	require.Regexp(t, `^-[1-9]\d\.\d\d$`, same("-12.34"))
	require.Regexp(t, `^[0-9a-f]{40}$`, same("da39a3ee5e6b4b0d3255bfef95601890afd80709"))
	require.Regexp(t, `^[A-Z][a-z]{4} [A-Z]{2}\d{2}, \(([a-z])+\)\.$`, same("Hello AB12, (x)."))
	ip, err := netip.ParseAddr(same("192.0.2.7"))
	require.NoError(t, err)
	require.True(t, ip.IsPrivate())
	_, err = netip.ParseAddr(same("2001:db8::7"))
	require.NoError(t, err)
	for layout, text := range map[string]string{time.RFC3339: "2026-03-14T15:09:26+01:00", time.DateOnly: "2026-03-14", time.DateTime: "2026-03-14 15:09:26", time.RFC1123: "Sat, 14 Mar 2026 15:09:26 GMT"} {
		_, err = time.Parse(layout, same(text))
		require.NoError(t, err, text)
	}
	u, err := url.Parse(same("https://ann:pw@shop.test:8443/a%2Fb/c?d=e%26f#g"))
	require.NoError(t, err)
	require.Equal(t, "8443", u.Port())
	require.Nil(t, u.User)
	require.Contains(t, u.Query(), "d")
	for _, s := range []string{"", "0", "000", "true", "FALSE", "null", "127.0.0.1", "::1", "!?", "  "} {
		require.Equal(t, s, r.Pseudonym(s))
	}
}

// The same thing has the same pseudonym wherever it stands.
func TestPseudonymsKeepEquality(t *testing.T) {
	t.Parallel()
	b := checkout()
	r := newRedactor(t, capture.Redaction{})
	require.NoError(t, r.Redact(b))
	ann, mail := r.Pseudonym("ann"), r.Pseudonym("ann@shop.test")
	d, in, out := b.Log.Details, b.Log.Entries[0], b.Log.Entries[1]
	require.Contains(t, in.Request.PostData.Text, `"`+mail+`"`)
	require.Contains(t, string(d.Values[0].Result), `"`+mail+`"`)
	require.Contains(t, string(d.Logs[0].Attrs), `"`+mail+`"`)
	require.Equal(t, mail, d.Flags[0].Targeting)
	require.Contains(t, d.Error.Texts[0], mail)
	require.True(t, strings.HasPrefix(mail, ann+"@"))
	require.Contains(t, out.Request.URL, "?for="+ann)
	require.Contains(t, in.Response.RedirectURL, "?as="+ann)
	require.Contains(t, d.Logs[0].Message, " "+ann)
	require.Contains(t, out.Request.URL, "/"+r.Pseudonym("tea")+"?")
	require.Contains(t, in.Request.URL, "/carts/"+r.Pseudonym("4711")+"/checkout")
	require.Contains(t, out.Response.Content.Text, r.Pseudonym("499"))
	require.Equal(t, strings.ToUpper(ann), r.Pseudonym("ANN"))

	other, err := capture.NewRedactor(nil)
	require.NoError(t, err)
	require.NotEqual(t, mail, other.Pseudonym("ann@shop.test"), "another key")
	require.NotEqual(t, r.KeyID(), other.KeyID())
}

func TestRedactingTwiceIsRedactingOnce(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{JSON: []string{"$..sku"}})
	b := checkout()
	text := encoded(t, r, b)
	require.Equal(t, text, encoded(t, r, b))
	parsed, err := capture.Parse("", []byte(text))
	require.NoError(t, err)
	require.Equal(t, text, encoded(t, r, parsed))

	// The seal of a bundle that was changed counts nothing.
	parsed.Log.Details.Flags[0].Targeting = "bob@shop.test"
	require.NotContains(t, encoded(t, r, parsed), "bob")
	// Nor does that of other rules.
	require.NotContains(t, encoded(t, newRedactor(t, capture.Redaction{}), b), `\"tea\"`)
}

func TestAgainTakesPseudonymsForWhatTheyAre(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{})
	b := checkout()
	require.NoError(t, r.Redact(b))
	again := r.Again(b)
	require.Equal(t, r.Pseudonym("ann"), again.Pseudonym(r.Pseudonym("ann")))
	require.Equal(t, r.Pseudonym("ann@shop.test"), again.Pseudonym(r.Pseudonym("ann@shop.test")))
	require.Equal(t, r.Pseudonym("price")+" "+r.Pseudonym("ann"), again.Pseudonym("price "+r.Pseudonym("ann")))
	require.Equal(t, r.Pseudonym("bob"), again.Pseudonym("bob"))
}

func TestBodies(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(`{"name":"ann"}`))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, c := range map[string]struct {
		typ, encoding, text string
		kind                capture.Kind
		want                string
	}{
		"json":             {"application/json", "", ` {"b": "ann", "a": [1.5e3, -7, null, "x@y.test", {"b": 0}], "b": "<&>"} `, capture.KindJSON, `^\{"b":"[a-z]{3}","a":\[[1-9]\.[1-9]e3,-[1-9],null,"[a-z]@[a-z]\.example",\{"b":0\}\],"b":"<&>"\}$`},
		"problem":          {"application/problem+json", "", `{"title":"no"}`, capture.KindJSON, `^\{"title":"[a-z]{2}"\}$`},
		"lines":            {"application/x-ndjson", "", "{\"a\":\"ann\"}\n{\"a\":\"ann\"}\n", capture.KindJSON, `^\{"a":"([a-z]{3})"\}\n\{"a":"[a-z]{3}"\}$`},
		"map":              {"application/json", "", `{"ann@shop.test":{"name":"bob"},"bob":2}`, capture.KindJSON, `^\{"[a-z]+@[a-z]+\.example":\{"name":"[a-z]{3}"\},"[a-z]{3}":\d\}$`},
		"broken json":      {"application/json", "", `{"name":"ann"`, capture.KindText, `^\{"[a-z]{4}":"[a-z]{3}"$`},
		"deep json":        {"application/json", "", strings.Repeat("[", 300) + strings.Repeat("]", 300), capture.KindText, `^\[{300}\]{300}$`},
		"unnamed json":     {"", "", `{"name":"ann"}`, capture.KindJSON, `^\{"name":"[a-z]{3}"\}$`},
		"unnamed text":     {"", "", "hello, ann", capture.KindText, `^[a-z]{5}, [a-z]{3}$`},
		"form":             {"application/x-www-form-urlencoded", "", "name=ann+b&4711=x&amount=30&empty=&anns", capture.KindForm, `^name=[a-z]{3}%?\+?[a-z]&\d{4}=[a-z]&amount=\d\d&empty=&[a-z]{4}$`},
		"json as text":     {"text/plain; charset=utf-8", "", ` {"name":"ann"}`, capture.KindJSON, `^\{"name":"[a-z]{3}"\}$`},
		"braces":           {"text/plain", "", `{ann}`, capture.KindText, `^\{[a-z]{3}\}$`},
		"text":             {"text/html; charset=utf-8", "", "<p>ann</p>", capture.KindText, `^<[a-z]>[a-z]{3}</[a-z]>$`},
		"binary":           {"image/png", "", "ann", capture.KindBinary, "^$"},
		"binary text":      {"text/plain", "", "ann\x00", capture.KindBinary, "^$"},
		"not UTF-8":        {"text/plain", "", "ann\xff", capture.KindBinary, "^$"},
		"gzip":             {"application/json", "gzip", packed.String(), capture.KindJSON, `^\{"name":"[a-z]{3}"\}$`},
		"no gzip":          {"application/json", "gzip", `{"name":"ann"}`, capture.KindBinary, "^$"},
		"brotli":           {"application/json", "br", `{"name":"ann"}`, capture.KindBinary, "^$"},
		"multipart":        {"multipart/form-data; boundary=b", "", "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"ann.png\"\r\nContent-Type: image/png\r\n\r\nann\r\n--b--\r\n", capture.KindMultipart, "^$"},
		"broken multipart": {"multipart/form-data", "", "ann", capture.KindMultipart, "^$"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := checkout()
			e := &b.Log.Entries[0]
			headers := []har.NameValue{{Name: "Content-Type", Value: c.typ}, {Name: "Content-Encoding", Value: c.encoding}}
			e.Request.Headers, e.Response.Headers = headers, headers
			e.Request.PostData = &har.PostData{MimeType: c.typ, Text: c.text}
			e.Response.Content = har.Content{MimeType: c.typ, Text: c.text}
			b.Log.Entries, b.Log.Details = b.Log.Entries[:1], capture.Details{Schema: 1}
			text := encoded(t, newRedactor(t, capture.Redaction{}), b)
			require.NotContains(t, text, "ann")
			require.Equal(t, c.kind, e.Exchange.RequestBody.Kind)
			require.Equal(t, c.kind, e.Exchange.ResponseBody.Kind)
			require.Equal(t, int64(len(c.text)), e.Exchange.ResponseBody.Bytes)
			require.Regexp(t, c.want, e.Request.PostData.Text)
			require.Regexp(t, c.want, e.Response.Content.Text)
			if c.kind == capture.KindBinary {
				require.Regexp(t, `^[0-9a-f]{32}$`, e.Exchange.RequestBody.Digest)
			}
			if name == "gzip" {
				require.Contains(t, e.Request.Headers, har.NameValue{Name: "Content-Encoding", Value: "gzip"})
				require.True(t, e.Exchange.RequestBody.Inflated)
				parsed, err := capture.Parse("", []byte(text))
				require.NoError(t, err)
				require.Equal(t, text, encoded(t, newRedactor(t, capture.Redaction{}), parsed))
				parsed.Log.Details.Seal = nil
				again := encoded(t, newRedactor(t, capture.Redaction{}), parsed)
				require.Contains(t, again, `"inflated": true`, "a plain text is not inflated again")
				require.NotContains(t, again, `"binary"`)
			}
			if name == "multipart" {
				require.Equal(t, []har.Param{{Name: "photo", ContentType: "image/png"}}, e.Request.PostData.Params)
			}
		})
	}
}

// What has no "=" is a value, unless a rule says that it is a name.
func TestParametersWithoutAValue(t *testing.T) {
	t.Parallel()
	b := checkout()
	b.Log.Entries[0].Request.URL = "http://shop.test/?quuxpass&debug&page=&=hunter"
	b.Log.Entries[1].Request.URL = "http://prices.test/?quuxpass"
	r := newRedactor(t, capture.Redaction{Fields: []string{"debug"}})
	require.NotContains(t, encoded(t, r, b), "quuxpass")
	token := r.Pseudonym("quuxpass")
	require.Contains(t, b.Log.Entries[0].Request.URL, "/?"+token+"&debug&page=&="+r.Pseudonym("hunter"))
	require.Contains(t, b.Log.Entries[0].Request.QueryString, har.NameValue{Name: token})
	require.Contains(t, b.Log.Entries[1].Request.URL, "/?"+token)
	require.Equal(t, token, r.Again(b).Pseudonym(token))
}

func TestATraceKeepsItsFlags(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": `^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$`, // the bundle's own
		"00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00": `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`,
		"00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-53": `^00-[0-9a-f]{32}-[0-9a-f]{16}-\d\d$`,
		"4711": `^\d{4}$`,
	} {
		b := checkout()
		b.Log.Entries[0].Request.Headers = []har.NameValue{{Name: "Traceparent", Value: value}}
		b.Log.Entries[0].Response.Headers = []har.NameValue{{Name: "traceresponse", Value: value}}
		text := encoded(t, newRedactor(t, capture.Redaction{}), b)
		require.Regexp(t, want, b.Log.Entries[0].Request.Headers[0].Value)
		require.Equal(t, b.Log.Entries[0].Request.Headers[0].Value, b.Log.Entries[0].Response.Headers[0].Value)
		for _, secret := range []string{"b7ad6b7169203331", "1af7651916", "-53", "4711"} {
			requireAbsent(t, text, secret)
		}
	}
}

// A problem that says no more than its status stays readable; nothing else in it does.
func TestProblemsOfTheStatusStay(t *testing.T) {
	t.Parallel()
	const own = `{"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"order"}`
	for name, c := range map[string]struct {
		status    int
		typ, text string
		want      string
	}{
		"own":            {500, "application/problem+json", own + "\n", `^\{"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"[a-z]{5}"\}$`},
		"another status": {502, "application/problem+json", own, `^\{"type":"about:blank","title":"[A-Z]\w+ [A-Z]\w+ [A-Z]\w+","status":\d{3},`},
		"another type":   {500, "application/json", own, `^\{"type":"[a-z]{5}:[a-z]{5}",`},
		"twice":          {500, "application/problem+json", `{"title":"Internal Server Error","title":"of ann","detail":"Internal Server Error","in":{"title":"Internal Server Error"}}`, `^\{"title":"Internal Server Error","title":"[a-z]{2} [a-z]{3}","detail":"[A-Z]`},
		"a list":         {500, "application/problem+json", `["about:blank"]`, `^\["[a-z]{5}:[a-z]{5}"\]$`},
		"no status":      {0, "application/problem+json", `{"title":"","status":0,"type":{"type":"about:blank"}}`, `^\{"title":"","status":0,"type":\{"type":"[a-z]{5}:`},
		"page":           {500, "text/html; charset=utf-8", "<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1><p>If you report this, please give this id: <code>order</code></p>\n", `Something went wrong</h1>.*<code>[a-z]{5}</code></p>\n$`},
		"another page":   {500, "text/html; charset=utf-8", "<!doctype html><title>Internal Server Error</title>", `^<![a-z]{7} [a-z]{4}><[a-z]{5}>[A-Z]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := checkout()
			e := &b.Log.Entries[0]
			b.Log.Details.RequestID = "order"
			e.Response = har.Response{Status: c.status, Headers: []har.NameValue{{Name: "Content-Type", Value: c.typ}}, Content: har.Content{Text: c.text, MimeType: c.typ}}
			require.NoError(t, newRedactor(t, capture.Redaction{}).Redact(b))
			require.Regexp(t, c.want, e.Response.Content.Text)
			for _, secret := range []string{"order", "ann"} {
				require.NotContains(t, e.Response.Content.Text, secret)
			}
			require.NotRegexp(t, `"(detail|in)":.*Internal`, e.Response.Content.Text)
		})
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{Fields: []string{"sku", "rest"}})
	for _, c := range []struct{ route, path, want string }{
		{"/users/{id}", "/users/ann", `^/users/[a-z]{3}$`},
		{"/users/{id}", "/users/a%2Fb", `^/users/[a-z]%2F[a-z]$`},
		{"/users/:id", "/users/ann", `^/users/[a-z]{3}$`},
		{"/files/*path", "/files/ann/ann", `^/files/[a-z]{3}/[a-z]{3}$`},
		{"/files/", "/files/ann/ann/", `^/files/[a-z]{3}/[a-z]{3}/$`},
		{"/files/", "/files/", `^/files/$`},
		{"/files/{$}", "/files/", `^/files/$`},
		{"/files/{path...}", "/files/ann/tea", `^/files/[a-z]{3}/[a-z]{3}$`},
		{"/files/{rest...}", "/files/ann/tea", `^/files/ann/tea$`},
		{"/items/{sku}/ann", "/items/tea/ann", `^/items/tea/ann$`},
		{"/other/{id}", "/users/ann", `^/[a-z]{5}/[a-z]{3}$`},
		{"", "/users/ann", `^/[a-z]{5}/[a-z]{3}$`},
		{"/", "/ann", `^/[a-z]{3}$`},
		{"/", "/", `^/$`},
	} {
		b := checkout()
		b.Log.Details = capture.Details{Route: c.route}
		b.Log.Entries = b.Log.Entries[:1]
		b.Log.Entries[0].Request.URL = c.path
		require.NoError(t, r.Redact(b))
		require.Regexp(t, c.want, b.Log.Entries[0].Request.URL, c.route)
		if !strings.Contains(c.want, "ann") {
			require.NotContains(t, b.Log.Entries[0].Request.URL, "ann")
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range strings.Fields("user_id userId lineItems2 X-Request-Id id sku oauth2_token line10 i18n FLAG_NOT_FOUND ETag If-None-Match address[street] @type $ref _id x_y " +
		"userIDs URLs APIsByID isVIPInEU sha256sum x509 x509Certs SHA512Sum base64Image utf8Name md5sum ipv6Address k8sNamespace h264Profile PHPSESSID JSESSIONID " +
		"ASP.NET_SessionId __Host-session __Secure-SID csrfmiddlewaretoken xsrftoken __typename __RequestVerificationToken userSSN iban IBANs skuIDs " +
		"PDFs htmlURL idTCPPort X-Amz-Content-Sha256 toEUVAT oauth2Token rfc3339Time") {
		require.True(t, capture.IsName(s), s)
	}
	for _, s := range []string{
		"", "ann@shop.test", "s3cr3t-s3cr3t", "550e8400", "aGfkLmQpRtXzWq", "Hunter2xy", "a b", "4711", "é", strings.Repeat("ab-", 17), "bcdfghjk",
		"incomprehensibilities", "\x00", "dGhpcyBpcyBh", "s3cr3tsecret", "__Host-", "__Host-4711", "x509x509x509x509", "MTIzNDU2Nzg5", "hunter2IDs7x7",
	} {
		require.False(t, capture.IsName(s), s)
	}
}

func TestRulesMustMakeSense(t *testing.T) {
	t.Parallel()
	_, err := capture.NewRedactor(&capture.Redaction{
		JSON: []string{"items", "$.a", "$.", "$[", "$['a", "$[x]", "$x", "$.a b", "$..a..b..c", "$['a\\'b']", "$" + strings.Repeat("[0]", 33)},
		URLs: []string{"/ok", "prices", "http://x/y", "/{a", "/a b"},
	})
	var rule *capture.Fault
	require.ErrorAs(t, err, &rule)
	require.Equal(t, capture.Fault{Field: "JSON[0]", Rule: "items", Err: rule.Err}, *rule)
	require.Len(t, strings.Split(err.Error(), "\n"), 14)
	require.ErrorContains(t, err, `capture: Redaction.URLs[1]: "prices": a pattern has a path, if only /`)
	_, err = capture.NewRedactor(&capture.Redaction{Key: []byte("short")})
	require.ErrorContains(t, err, "5 bytes are too few")
	require.NotContains(t, err.Error(), "short")
}

func TestJSONPaths(t *testing.T) {
	t.Parallel()
	const doc = `{"a":{"b":["ann",{"c":"ann"}],"d":"ann"},"b":"ann"}`
	for path, want := range map[string]string{
		"$":           doc,
		"$.a":         `{"a":{"b":["ann",{"c":"ann"}],"d":"ann"},"b":"-"}`,
		"$.a.b[0]":    `{"a":{"b":["ann",{"c":"-"}],"d":"-"},"b":"-"}`,
		"$.a.b[*]":    `{"a":{"b":["ann",{"c":"ann"}],"d":"-"},"b":"-"}`,
		"$['a'].*":    `{"a":{"b":["ann",{"c":"ann"}],"d":"ann"},"b":"-"}`,
		`$["a"]["d"]`: `{"a":{"b":["-",{"c":"-"}],"d":"ann"},"b":"-"}`,
		"$..b":        `{"a":{"b":["ann",{"c":"ann"}],"d":"-"},"b":"ann"}`,
		"$..c":        `{"a":{"b":["-",{"c":"ann"}],"d":"-"},"b":"-"}`,
		"$..[1]":      `{"a":{"b":["-",{"c":"ann"}],"d":"-"},"b":"-"}`,
		"$.x":         `{"a":{"b":["-",{"c":"-"}],"d":"-"},"b":"-"}`,
	} {
		r := newRedactor(t, capture.Redaction{JSON: []string{path}})
		b := checkout()
		b.Log.Entries[0].Request.PostData.Text = doc
		require.NoError(t, r.Redact(b))
		require.Equal(t, want, strings.ReplaceAll(b.Log.Entries[0].Request.PostData.Text, `"`+r.Pseudonym("ann")+`"`, `"-"`), path)
	}
}

// Wherever a secret stands, in whatever writing, it does not come through.
func TestPlantedSecretsStayOut(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{
		Words: true, Headers: []string{"X-Tenant"}, Fields: []string{"page", "size"}, JSON: []string{"$.items[*].sku"},
		URLs: []string{"prices.test/prices/{sku}"}, Flags: []string{"open"}, Values: []string{"open"},
	})
	random := rand.New(rand.NewPCG(4, 2))
	for range testsize.Pick(60, 600, 6000) {
		secret := newSecret(random)
		b := checkout()
		places := plant(b, secret, random)
		require.NoError(t, r.Redact(b))
		data, err := b.Encode()
		require.NoError(t, err)
		for _, form := range forms(secret) {
			requireAbsent(t, strings.ToLower(string(data)), strings.ToLower(form), places...)
		}
		_, err = capture.Parse("", data)
		require.NoError(t, err)
	}
}

// newSecret is a password, a number, an address or a token that cannot be there by
// chance.
func newSecret(r *rand.Rand) string {
	letters := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	switch r.IntN(7) {
	case 0:
		return letters("0123456789", 9+r.IntN(10))
	case 1:
		return letters("abcdefghijklmnopqrstuvwxyz", 8) + "@" + letters("abcdefghijklmnopqrstuvwxyz", 6) + ".test"
	case 2:
		return letters("0123456789abcdef", 32)
	case 3:
		return letters("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 24) + "=="
	case 4:
		return letters("ABCDEFabcdef0123456789 !\"§$%&/()=?'<>\\;:,.-_#+*~äöüß漢字", 20) + "7x7"
	case 5:
		return "s3cr3t-" + letters("0123456789abcdefghijklmnop", 10)
	}
	return letters("0123456789abcdef", 8) + "-" + letters("0123456789abcdef", 4) + "-4" + letters("0123456789abcdef", 3) + "-8" + letters("0123456789abcdef", 3) + "-" + letters("0123456789abcdef", 12)
}

// forms are the writings in which a secret would be found.
func forms(s string) []string {
	s = strings.ToValidUTF8(s, "")
	inJSON, _ := json.Marshal(s)
	twice, _ := json.Marshal(string(inJSON))
	return []string{
		s, url.QueryEscape(s), url.PathEscape(s), string(inJSON[1 : len(inJSON)-1]), strings.Trim(string(twice), `"\`),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)),
	}
}

// plant puts a secret, in one of its writings, into a few places.
func plant(b *capture.Bundle, secret string, r *rand.Rand) (planted []int) {
	all := forms(secret)
	quoted := func(s string) string { q, _ := json.Marshal(s); return string(q) }
	d := &b.Log.Details
	in, out := &b.Log.Entries[0], &b.Log.Entries[1]
	header := func(list *[]har.NameValue, name, value string) {
		*list = append(*list, har.NameValue{Name: name, Value: value})
	}
	for range 1 + r.IntN(4) {
		s := all[r.IntN(len(all))]
		clean := regexp.MustCompile(`[\x00-\x1f\x7f]`).ReplaceAllString(s, "")
		place := r.IntN(41)
		planted = append(planted, place)
		e := []*capture.Entry{in, out}[r.IntN(2)]
		switch place {
		case 0:
			e.Request.URL = "http://shop.test/carts/" + url.PathEscape(s) + "/checkout"
		case 1:
			e.Request.URL = "http://shop.test/carts/1/checkout?q=" + url.QueryEscape(s)
		case 2:
			e.Request.URL = "http://shop.test/carts/1/checkout?" + url.QueryEscape(s) + "=1"
		case 3:
			e.Request.URL = "http://" + url.UserPassword("u", s).String() + "@shop.test/"
		case 4:
			e.Request.URL = "/" + url.PathEscape(s) + "#" + url.PathEscape(s)
		case 5:
			e.Request.URL = s
		case 6:
			header(&e.Request.Headers, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("u:"+secret)))
		case 7:
			header(&e.Request.Headers, "Cookie", "a="+clean+"; b=c")
		case 8:
			header(&e.Request.Headers, "Cookie", clean)
		case 9:
			header(&e.Request.Headers, clean, "x")
		case 10:
			header(&e.Request.Headers, []string{"Accept", "Content-Type", "Accept-Encoding", "Cache-Control", "Referer", "Origin", "X-Api-Key", "Traceparent", "Baggage", "User-Agent"}[r.IntN(10)], clean)
		case 11:
			header(&e.Response.Headers, "Set-Cookie", "id="+clean+"; Path=/"+clean+"; Domain="+clean+"; Expires="+clean+"; "+clean)
		case 12:
			header(&e.Response.Headers, []string{"Location", "Etag", "Link", "Content-Disposition", "Www-Authenticate", "Vary"}[r.IntN(6)], clean)
		case 13:
			e.Request.PostData = &har.PostData{MimeType: "application/json", Text: `{"items":[{"sku":"tea","secret":` + quoted(s) + `}]}`}
		case 14:
			e.Request.PostData = &har.PostData{MimeType: "application/json", Text: `{` + quoted(s+"7") + `:{"a":1}}`}
		case 15:
			e.Request.PostData = &har.PostData{MimeType: "application/json", Text: `{"broken":` + quoted(s)}
		case 16:
			e.Request.PostData = &har.PostData{MimeType: "application/x-www-form-urlencoded", Text: "a=b&password=" + url.QueryEscape(s)}
		case 17:
			e.Request.PostData = &har.PostData{MimeType: clean, Text: s, Params: []har.Param{{Name: s, Value: s}}}
		case 18:
			e.Response.Content.Text = quoted(map[bool]string{true: s, false: "x " + s + " y"}[r.IntN(2) == 0])
		case 19:
			e.Response.Content = har.Content{MimeType: "text/plain", Text: "prefix" + s}
		case 20:
			e.Response.Content = har.Content{MimeType: "image/png", Text: s}
		case 21:
			e.Response.StatusText, e.Response.RedirectURL, e.Response.HTTPVersion, e.Request.HTTPVersion = s, s, s, s
		case 22:
			e.Request.Cookies = []har.Cookie{{Name: s, Value: s}}
			e.Response.Cookies = e.Request.Cookies
			e.Request.QueryString = []har.NameValue{{Name: s, Value: s}}
		case 23:
			e.Exchange.Error = []string{"dial " + s + ": i/o timeout", s}
		case 24:
			e.Exchange.RequestBody = &capture.Body{Kind: capture.Kind(s), Digest: s}
		case 25:
			d.Values = append(d.Values, capture.Value{Name: "row", Result: json.RawMessage(`{"id":` + quoted(s) + `}`)})
		case 26:
			d.Values = append(d.Values, capture.Value{Name: "row", Result: json.RawMessage(`[[{"` + "x7y7z" + `":` + quoted(s) + `}]]`), Unrecordable: s})
		case 27:
			d.Values = append(d.Values, capture.Value{Name: "row", Error: []string{s, "a " + s}})
		case 28:
			d.Flags = append(d.Flags, capture.Flag{Key: "notice", Type: "string", Value: json.RawMessage(quoted(s)), Targeting: s})
		case 29:
			d.Flags = append(d.Flags, capture.Flag{Key: "notice", Type: capture.FlagType(s), Variant: s + "7", Reason: s + "7", ErrorCode: s + "7", ErrorText: s, Provider: s + "7"})
		case 30:
			d.Flags = append(d.Flags, capture.Flag{Key: "limits", Type: "object", Value: json.RawMessage(`{"a":[` + quoted(s) + `]}`)})
		case 31:
			d.Logs = append(d.Logs, capture.LogRecord{Level: "INFO", Message: "user " + s + " came"})
		case 32:
			d.Logs = append(d.Logs, capture.LogRecord{Level: s, Message: fmt.Sprintf("got %q", s), Attrs: json.RawMessage(`{"group":{"user":` + quoted(s) + `}}`)})
		case 33:
			d.Panic = &capture.Panic{Type: "string", Text: "cannot handle " + s}
		case 34:
			d.Panic = &capture.Panic{Type: "string", Text: s, Stack: "goroutine 1 [running]:\nmain.f(" + s + ")\n\t/a.go:1 +0x1\n" + s + "\n"}
		case 35:
			d.Error = &capture.Error{Type: "*errors.errorString", Texts: []string{"a: " + s, s}}
		case 36:
			e.Request.Method = "X" + regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(s, "")
		case 37:
			d.Logs = append(d.Logs, capture.LogRecord{Level: "INFO", Message: "x", Attrs: json.RawMessage(`{` + quoted(s+"7") + `:1}`)})
		case 38:
			e.Response.Content = har.Content{MimeType: "text/html", Text: "<a href=\"/x?y=" + url.QueryEscape(s) + "\">"}
		case 40:
			e.Request.URL = "http://shop.test/carts/1/checkout?page=1&" + url.QueryEscape(s)
		case 39:
			header(&e.Request.Headers, "Content-Type", "multipart/form-data; boundary=b")
			e.Request.PostData = &har.PostData{MimeType: "multipart/form-data; boundary=b", Text: "--b\r\nContent-Disposition: form-data; name=\"f7\"; filename=\"" + clean + "\"\r\n\r\n" + s + "\r\n--b--\r\n"}
		}
	}
	return planted
}

// Of a GraphQL document the names stay, and the data in it are hidden.
func TestGraphQL(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{})
	for document, want := range map[string]string{
		`{ cart { items { sku } } }`: `^\{ cart \{ items \{ sku \} \} \}$`,
		`query Cart($id: ID!, $n: [Int!] = [17]) @live { cart(id: $id, of: "ann", first: 17, "` + `x": 1) { ...Sum } } fragment Sum on Cart { cents }`: `^query Cart\(\$id: ID!, \$n: \[Int!\] = \[\d\d\]\) @live \{ cart\(id: \$id, of: "[a-z]{3}", first: \d\d, "[a-z]": \d\) \{ \.\.\.Sum \} \} fragment Sum on Cart \{ cents \}$`,
		"mutation { # of ann\n save(text: \"\"\"ann \\\"\"\" ann\"\"\", key: 4b) }":                                                                    "", // 4b is no number with a space after it, yet two tokens
		`{ann} ann`:              `^\{[a-z]{3}\} [a-z]{3}$`,
		`query ann`:              `^[a-z]{5} [a-z]{3}$`,
		`{ (ann }`:               `^\{ \([a-z]{3} \}$`,
		`ann {x}`:                `^[a-z]{3} \{[a-z]\}$`,
		`{ x(ann: "hunter) }`:    `^\{ [a-z]\([a-z]{3}: "[a-z]{6}\) \}$`,
		`{ s3cr3t_s3cr3t_9x }`:   `^\{ [a-z]\d[a-z]{2}\d[a-z]_[a-z]\d[a-z]{2}\d[a-z]_\d[a-z] \}$`,
		`{ a(b: 1.5e3, c: -7) }`: `^\{ a\(b: \d\.\de3, c: -\d\) \}$`,
	} {
		for _, body := range []string{fmt.Sprintf(`{"query":%q}`, document), fmt.Sprintf(`[{"query":%q}]`, document)} {
			b := bundleOf(body)
			require.NoError(t, r.Redact(b))
			var got []struct{ Query string }
			text := b.Log.Entries[0].Request.PostData.Text
			if text[0] == '{' {
				text = "[" + text + "]"
			}
			require.NoError(t, json.Unmarshal([]byte(text), &got))
			require.Regexp(t, want, got[0].Query, document)
			require.NotRegexp(t, `\b(ann|17|hunter)\b`, got[0].Query)
		}
	}
	b := bundleOf(`{"in":{"in":{"query":"{ ann }"}},"text":"{ ann }"}`)
	require.NoError(t, r.Redact(b))
	require.NotContains(t, b.Log.Entries[0].Request.PostData.Text, "ann")
}
