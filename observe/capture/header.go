package capture

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// vocabulary are the words that stay in the headers of wellKnown.
var vocabulary = set(strings.Fields(`
	application text image audio video font multipart message model json xml html xhtml plain css csv javascript ecmascript
	markdown yaml form data www urlencoded x mixed alternative related byteranges octet stream event problem ld ndjson graphql
	protobuf grpc cbor msgpack zip gzip pdf wasm png jpeg gif webp avif svg ico icon mp4 mpeg ogg webm woff woff2 rss atom soap
	charset utf 0 1 2 3 4 5 6 7 8 9 16 iso 8859 us ascii boundary q v b3 signed exchange apng
	br deflate compress identity zstd chunked trailers close keep alive upgrade websocket h2c 100 continue
	no store cache max age s maxage must proxy revalidate private public transform immutable only if cached stale while error
	get head post put patch delete options trace connect
	accept encoding language content type length origin authorization cookie user agent nosniff deny sameorigin inline attachment
	bytes none en
`))

// wellKnown are headers of which the words of the vocabulary stay.
var wellKnown = set(strings.Fields(`
	accept accept-charset accept-encoding accept-ranges allow cache-control connection content-disposition content-encoding content-type expect
	pragma te trailer transfer-encoding upgrade vary x-content-type-options x-frame-options access-control-allow-methods
	access-control-request-method upgrade-insecure-requests
`))

// traceContext takes version 00 and the flags of it that W3C Trace Context Level 2 has.
var traceContext = regexp.MustCompile(`^(00-)([0-9a-f]{32}-[0-9a-f]{16})(-0[0-3])$`)

var schemes = []string{"basic", "bearer", "digest", "negotiate", "dpop", "token"}

// headers redacts a list of headers and leaves out those whose names are none. It adds to hidden
// what it changed or left out.
func (m *mask) headers(list []har.NameValue, c *rules, hidden *[]string) []har.NameValue {
	kept := make([]har.NameValue, 0, len(list))
	note := func(part string) {
		if !slices.Contains(*hidden, part) && len(*hidden) < maxHidden {
			*hidden = append(*hidden, part)
		}
	}
	for _, h := range list {
		if c.headers[strings.ToLower(h.Name)] {
			kept = append(kept, har.NameValue{Name: h.Name, Value: strings.ToValidUTF8(h.Value, "_")})
			if !utf8.ValidString(h.Value) {
				note("header " + h.Name)
			}
		} else if isName(h.Name) || isTraceHeader(h.Name) {
			value := m.header(strings.ToLower(h.Name), h.Value, c)
			if value != h.Value && !isBoundary(h, value) {
				note("header " + h.Name)
			}
			kept = append(kept, har.NameValue{Name: h.Name, Value: value})
		} else {
			note("a header with a name that is hidden, too")
		}
	}
	return kept
}

// isBoundary reports whether redaction changed only the boundary of a multipart body.
func isBoundary(h har.NameValue, redacted string) bool {
	if http.CanonicalHeaderKey(h.Name) != "Content-Type" {
		return false
	}
	typ, then, err := mime.ParseMediaType(h.Value)
	other, now, err2 := mime.ParseMediaType(redacted)
	delete(then, "boundary")
	delete(now, "boundary")
	return err == nil && err2 == nil && typ == other && strings.HasPrefix(typ, "multipart/") && maps.Equal(then, now)
}

const maxHidden = 200 // parts of a message

// isTraceHeader is for the names of propagators, which look like no names.
func isTraceHeader(name string) bool {
	return strings.HasPrefix(strings.ToLower(name), "x-b3-") && len(name) < 20 && isName(name[5:])
}

func (m *mask) header(name, value string, c *rules) string {
	m.tries = maxTries
	value = strings.ToValidUTF8(value, "_")
	if wellKnown[name] {
		return m.wellKnown(value)
	}
	switch name {
	case "cookie":
		pairs := strings.Split(value, ";")
		for i, pair := range pairs {
			pairs[i] = m.cookie(strings.TrimSpace(pair), c)
		}
		return strings.Join(pairs, "; ")
	case "set-cookie":
		parts := strings.Split(value, ";")
		parts[0] = m.cookie(parts[0], c)
		kept := parts[:1]
		for _, part := range parts[1:] {
			name, value, has := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "secure", "httponly", "partitioned":
				kept = append(kept, " "+name)
			case "samesite":
				if isName(value) {
					kept = append(kept, " "+name+"="+value)
				}
			case "path":
				kept = append(kept, " "+name+"="+m.path(strings.Split(value, "/"), nil, c))
			case "domain":
				kept = append(kept, " "+name+"="+m.host(strings.TrimPrefix(value, ".")))
			case "expires", "max-age":
				if has {
					kept = append(kept, " "+name+"="+m.text(value))
				}
			}
		}
		return strings.Join(kept, ";")
	case "traceparent", "traceresponse":
		if parts := traceContext.FindStringSubmatch(value); parts != nil {
			return parts[1] + m.text(parts[2]) + parts[3]
		}
	case "location", "content-location", "referer", "origin":
		if u, err := url.Parse(value); err == nil && value != "null" {
			return m.url(u, "", "", c)
		}
	case "authorization", "proxy-authorization":
		if scheme, rest, ok := strings.Cut(value, " "); ok && slices.Contains(schemes, strings.ToLower(scheme)) {
			return scheme + " " + m.text(rest)
		}
	}
	return m.text(value)
}

func (m *mask) cookie(pair string, c *rules) string {
	name, value, has := strings.Cut(pair, "=")
	if !has {
		return m.text(pair)
	}
	if c.field(name) {
		return pair
	}
	return noCookie.ReplaceAllString(m.name(name), "_") + "=" + noCookie.ReplaceAllString(m.text(value), "_")
}

var noCookie = regexp.MustCompile(`[;,\x00-\x1f]`) // what would end a pseudonym's cookie

func (m *mask) wellKnown(value string) string {
	return string(m.appendWords(nil, value, func(dst []byte, word string) []byte {
		if vocabulary[strings.ToLower(word)] {
			return append(dst, word...)
		}
		return m.appendWord(dst, word)
	}))
}

// cookies lists again what stands in the headers, as HAR wants it.
func cookies(headers []har.NameValue, name string) []har.Cookie {
	found := []har.Cookie{}
	for _, h := range headers {
		if http.CanonicalHeaderKey(h.Name) != name {
			continue
		}
		for pair := range strings.SplitSeq(h.Value, ";") {
			if name == "Cookie" {
				pair = strings.TrimSpace(pair)
			}
			if k, v, ok := strings.Cut(pair, "="); ok {
				found = append(found, har.Cookie{Name: k, Value: v})
			}
			if name == "Set-Cookie" {
				break // the rest are attributes
			}
		}
	}
	return found
}

func headerOf(list []har.NameValue, name string) string {
	for _, h := range list {
		if http.CanonicalHeaderKey(h.Name) == name {
			return h.Value
		}
	}
	return ""
}

func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	return t
}
