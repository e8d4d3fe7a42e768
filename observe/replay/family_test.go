package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// A family is a kind of failure that depends on data. bug serves with the bug, and without it
// when fixed is set.
type family struct {
	request func() *http.Request
	bug     func(p *production, w http.ResponseWriter, r *http.Request, fixed bool)
	others  http.HandlerFunc // answers outbound calls

	comes    bool               // the failure comes again although the data are hidden
	plain    bool               // nothing that it depends on is hidden
	readable *capture.Redaction // rules that keep what it depends on; nil: there are none
	prepare  func(*http.Request)
	status   int // that the fixed code answers, if it is a 3xx or 4xx
}

func bodyOf(r *http.Request) []byte {
	data, _ := io.ReadAll(r.Body)
	return data
}

func post(typ, body string, header ...string) func() *http.Request {
	return func() *http.Request {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		if typ != "" {
			r.Header.Set("Content-Type", typ)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
}

func get(url string, header ...string) func() *http.Request {
	return func() *http.Request {
		r := httptest.NewRequest("GET", url, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
}

// fails is the bug: a panic of its own, unless it is fixed.
func fails(w http.ResponseWriter, when, fixed bool) {
	if when && !fixed {
		panic("the bug")
	}
	w.WriteHeader(http.StatusOK)
}

func refuse(w http.ResponseWriter, status int, when bool) bool {
	if when {
		w.WriteHeader(status)
	}
	return when
}

type pgError struct{ Code string }

func (e *pgError) Error() string { return "pg: " + e.Code }

func (p *production) call(ctx context.Context, others http.HandlerFunc, method, url, body string, header ...string) (string, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.client(others).Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), resp.Header, err
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func unzip(r io.Reader) (string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(z)
	return string(data), err
}

func families() map[string]family {
	value := func(bug func(ctx context.Context, fixed bool) bool) func(*production, http.ResponseWriter, *http.Request, bool) {
		return func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
			fails(w, bug(r.Context(), fixed), fixed)
		}
	}
	all := &capture.Redaction{JSON: []string{"$"}}
	return map[string]family{
		"an enumeration": {
			request: post("application/json", `{"shipping":"express"}`), readable: all,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				var order struct{ Shipping string }
				_ = json.Unmarshal(bodyOf(r), &order)
				if !refuse(w, 422, !slices.Contains([]string{"express", "standard"}, order.Shipping)) {
					fails(w, order.Shipping == "express", fixed)
				}
			},
		},
		"a limit": {
			request: get("/?limit=100"), readable: &capture.Redaction{Fields: []string{"limit"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				limit := 0
				_, _ = fmt.Sscan(r.FormValue("limit"), &limit)
				if !refuse(w, 400, limit > 100) {
					fails(w, limit == 100, fixed)
				}
			},
		},
		"a coupon": {
			request: get("/?coupon=SPRING"), readable: &capture.Redaction{Fields: []string{"coupon"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.FormValue("coupon") == "SPRING", fixed)
			},
		},
		"a language": {
			request: get("/", "Accept-Language", "tr"), readable: &capture.Redaction{Headers: []string{"Accept-Language"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.Header.Get("Accept-Language") == "tr", fixed)
			},
		},
		"a redirect": {
			request: get("/", "X-Forwarded-Proto", "https"), readable: &capture.Redaction{Headers: []string{"X-Forwarded-Proto"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 301, r.Header.Get("X-Forwarded-Proto") != "https") {
					fails(w, true, fixed)
				}
			},
		},
		"a header without a speakable name": {
			request: get("/", "X-Qzx-4711-0815", "on"), readable: &capture.Redaction{Headers: []string{"X-Qzx-4711-0815"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.Header.Get("X-Qzx-4711-0815") != "", fixed)
			},
		},
		"a host": {
			request: get("http://acme.shop.test/"), readable: &capture.Redaction{URLs: []string{"acme.shop.test/"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, strings.HasPrefix(r.Host, "acme."), fixed)
			},
		},
		"a path": {
			request: get("/items/7"), readable: &capture.Redaction{URLs: []string{"/items/7"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.URL.Path == "/items/7", fixed)
			},
		},
		"a picture": {
			request: post("application/json", `{"name":"😀"}`), readable: all,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, bytes.Contains(bodyOf(r), []byte("😀")), fixed)
			},
		},
		"spaces": {
			request: post("application/json", "{\n  \"list\": [1,  2]\n}"), readable: all,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, bytes.Contains(bodyOf(r), []byte(",  2")), fixed)
			},
		},
		"spaces around what stays": {
			request: post("application/json", "{ \"gift\":  true }"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, bytes.Contains(bodyOf(r), []byte(":  true")), fixed)
			},
		},
		"a form's escapes": {
			request: post("application/x-www-form-urlencoded", "a=%74rue"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, string(bodyOf(r)) == "a=%74rue", fixed)
			},
		},
		"a protocol": {
			request: func() *http.Request {
				r := httptest.NewRequest("GET", "/", nil)
				r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
				return r
			},
			comes: true, plain: true, readable: &capture.Redaction{},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.ProtoMajor == 2, fixed)
			},
		},
		"a method": {
			request: func() *http.Request { return httptest.NewRequest("PURGE", "/", nil) },
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 405, r.Method != "PURGE") {
					fails(w, true, fixed)
				}
			},
		},
		"a credential": {
			request: get("/", "Authorization", "Bearer of-ann"), comes: true,
			prepare: func(r *http.Request) { r.Header.Set("Authorization", "Bearer of-ann") },
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 401, r.Header.Get("Authorization") != "Bearer of-ann") {
					fails(w, true, fixed)
				}
			},
		},
		"a multipart form": {
			request: post("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 400, r.ParseMultipartForm(1<<20) != nil) {
					fails(w, true, fixed)
				}
			},
		},
		"a multipart form that stays": {
			request: post("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW", "------WebKitFormBoundary7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"gift\"\r\n\r\ntrue\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n"),
			comes:   true, plain: true, readable: &capture.Redaction{},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 400, r.ParseMultipartForm(1<<20) != nil) {
					fails(w, r.FormValue("gift") == "true", fixed)
				}
			},
		},
		"a multipart form with a field that stays": {
			request:  post("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"),
			readable: &capture.Redaction{Fields: []string{"a"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 400, r.ParseMultipartForm(1<<20) != nil) {
					fails(w, r.FormValue("a") == "1", fixed)
				}
			},
		},
		"a multipart form with words around it": {
			request: post("multipart/form-data; boundary=b", "ann\r\n--b\r\nContent-Disposition: form-data; name=\"gift\"\r\n\r\ntrue\r\n--b--\r\n"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, bytes.HasPrefix(bodyOf(r), []byte("ann")), fixed)
			},
		},
		"protobuf": {
			request: post("application/protobuf", "\x08\x96\x01"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 400, len(bodyOf(r)) < 2) {
					fails(w, true, fixed)
				}
			},
		},
		"a large body": {
			request: post("application/json", `{"list":["`+strings.Repeat("a ", 105<<10)+`"]}`),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if !refuse(w, 400, !json.Valid(bodyOf(r))) {
					fails(w, true, fixed)
				}
			},
		},
		"a name with an acronym": {
			request: post("application/json", `{"userIDs":[1],"sha256sum":"x","x509":{"PHPSESSID":"y"},"csrfmiddlewaretoken":"z"}`), comes: true, readable: all,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				var in struct {
					UserIDs             []int
					Sha256sum           string
					X509                struct{ PHPSESSID string }
					Csrfmiddlewaretoken string
				}
				dec := json.NewDecoder(r.Body)
				dec.DisallowUnknownFields()
				if !refuse(w, 400, dec.Decode(&in) != nil) {
					fails(w, len(in.UserIDs) == 1 && in.Sha256sum != "" && in.X509.PHPSESSID != "" && in.Csrfmiddlewaretoken != "", fixed)
				}
			},
		},
		"cookies": {
			request: get("/", "Cookie", "__Host-session=abc; PHPSESSID=def"), comes: true, readable: &capture.Redaction{Fields: []string{"__Host-session", "PHPSESSID"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				_, err := r.Cookie("__Host-session")
				_, err2 := r.Cookie("PHPSESSID")
				if !refuse(w, 401, err != nil || err2 != nil) {
					fails(w, true, fixed)
				}
			},
		},
		"GraphQL": {
			request: post("application/json", `{"query":"query Cart($id: ID!) { cart(id: $id, first: 3) { items { sku } } }","variables":{"id":"x"}}`), comes: true, readable: all,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				var in struct{ Query string }
				if !refuse(w, 400, json.Unmarshal(bodyOf(r), &in) != nil || !strings.Contains(in.Query, "{ items { sku } }")) {
					fails(w, strings.HasPrefix(in.Query, "query Cart($id: ID!) { cart("), fixed)
				}
			},
		},
		"a gzip body": {
			request: post("application/json", zipped(`{"name":"ann"}`), "Content-Encoding", "gzip"), comes: true, readable: all,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if r.Header.Get("Content-Encoding") != "gzip" {
					return
				}
				text, err := unzip(r.Body)
				if !refuse(w, 400, err != nil) {
					fails(w, json.Valid([]byte(text)), fixed)
				}
			},
		},
		"a gzip answer": {
			request: get("/"), comes: true, readable: &capture.Redaction{JSON: []string{"$"}, URLs: []string{"prices.example.com/"}},
			others: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(w, zipped(`{"cents":4}`))
			},
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				text, header, err := p.call(r.Context(), families()["a gzip answer"].others, "GET", "http://prices.example.com/", "", "Accept-Encoding", "gzip")
				if err == nil && header.Get("Content-Encoding") == "gzip" {
					text, err = unzip(strings.NewReader(text))
					fails(w, err == nil && json.Valid([]byte(text)), fixed)
				}
			},
		},
		"a hidden answer": {
			request: get("/"), readable: all,
			others: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"state":"gone"}`)
			},
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				text, _, err := p.call(r.Context(), families()["a hidden answer"].others, "GET", "http://example.com/", "")
				fails(w, err == nil && strings.Contains(text, "gone"), fixed)
			},
		},
		"the header of an answer": {
			request: get("/"), readable: &capture.Redaction{Headers: []string{"X-Left"}},
			others: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Left", "3") },
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				_, header, err := p.call(r.Context(), families()["the header of an answer"].others, "GET", "http://example.com/", "")
				fails(w, err == nil && header.Get("X-Left") == "3", fixed)
			},
		},
		"an error's type": {
			request: get("/"),
			bug: value(func(ctx context.Context, _ bool) bool {
				_, err := observe.Value(ctx, "row", func(context.Context) (int, error) { return 0, fmt.Errorf("x: %w", &pgError{"23505"}) })
				var pg *pgError
				return errors.As(err, &pg)
			}),
		},
		"an error's identity": {
			request: get("/"),
			bug: value(func(ctx context.Context, _ bool) bool {
				_, err := observe.Value(ctx, "row", func(context.Context) (int, error) { return 0, errOutOfStock })
				return err == errOutOfStock
			}),
		},
		"any": {
			request: get("/"), comes: true, plain: true, readable: all,
			bug: value(func(ctx context.Context, _ bool) bool {
				v, _ := observe.Value(ctx, "n", func(context.Context) (any, error) { return 7, nil })
				_, isInt := v.(int)
				return isInt
			}),
		},
		"any struct": {
			request: get("/"),
			bug: value(func(ctx context.Context, _ bool) bool {
				v, _ := observe.Value(ctx, "n", func(context.Context) (any, error) { return pgError{"x"}, nil })
				_, isError := v.(pgError)
				return isError
			}),
		},
		"an unexported field": {
			request: get("/"),
			bug: value(func(ctx context.Context, _ bool) bool {
				v, _ := observe.Value(ctx, "n", func(context.Context) (struct{ secret bool }, error) { return struct{ secret bool }{true}, nil })
				return v.secret
			}),
		},
		"types with a range": {
			request: get("/"), comes: true, readable: all,
			bug: value(func(ctx context.Context, _ bool) bool {
				type row struct {
					Small    int8
					Unsigned *uint16 `json:"u"`
					Single   float32
					Least    []int8
					Net      netip.Prefix
					Pair     netip.AddrPort
					Addr     netip.Addr
					Level    slog.Level
					Big      uint64
					Wait     time.Duration
					ByName   map[string]slog.Level
				}
				u := uint16(65535)
				v, err := observe.Value(ctx, "row", func(context.Context) (row, error) {
					return row{
						127, &u, math.MaxFloat32,
						[]int8{-128, -100},
						netip.MustParsePrefix("203.0.113.0/24"), netip.MustParseAddrPort("203.0.113.9:8080"),
						netip.MustParseAddr("2001:db8::1"), slog.LevelWarn, math.MaxUint64, time.Hour,
						map[string]slog.Level{"shop": slog.LevelError},
					}, nil
				})
				return err == nil && v.Small > 0 && v.Net.IsValid() && v.Addr.Is6() && len(v.Least) == 2 && v.Least[0] < 0
			}),
		},
		"a body without a length": {
			request: func() *http.Request {
				r := post("application/json", `{"gift":true}`)()
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
				return r
			},
			comes: true, plain: true, readable: &capture.Redaction{},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.ContentLength < 0 && slices.Equal(r.TransferEncoding, []string{"chunked"}) && json.Valid(bodyOf(r)), fixed)
			},
		},
		"a body without a length that was not read": {
			request: func() *http.Request {
				r := post("application/json", `{"gift":true}`, "X-Mode", "1")()
				r.ContentLength = -1
				return r
			},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if r.Header.Get("X-Mode") == "1" && !fixed {
					panic("the bug")
				}
				refuse(w, 400, len(bodyOf(r)) == 0)
			},
		},
		"a trailer": {
			request: func() *http.Request {
				r := post("application/json", `{"gift":true}`)()
				r.Trailer = http.Header{"Checksum": {"abc"}}
				return r
			},
			prepare: func(r *http.Request) { r.Trailer = http.Header{"Checksum": {"abc"}} }, comes: true,
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				_ = bodyOf(r)
				fails(w, r.Trailer.Get("Checksum") != "", fixed)
			},
		},
		"a trailer that is not put back": {
			request: func() *http.Request {
				r := post("application/json", `{"gift":true}`)()
				r.Trailer = http.Header{"Checksum": {"abc"}}
				return r
			},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				_ = bodyOf(r)
				fails(w, r.Trailer.Get("Checksum") != "", fixed)
			},
		},
		"the last line break of a stream": {
			request: post("application/x-ndjson", "{\"gift\":true}\n{\"gift\":false}\n"), comes: true, plain: true, readable: &capture.Redaction{},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				lines := strings.Split(string(bodyOf(r)), "\n")
				fails(w, !json.Valid([]byte(lines[len(lines)-1])), fixed)
			},
		},
		"a broken query": {
			request: get("/?gift=%zz"), readable: &capture.Redaction{Fields: []string{"gift"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, r.ParseForm() != nil, fixed)
			},
		},
		"the escapes of a query": {
			request: get("/?gift=%74rue"), readable: &capture.Redaction{Fields: []string{"gift"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, strings.Contains(r.URL.RawQuery, "%74"), fixed)
			},
		},
		"the escapes of a path": {
			request: get("/%74rue"), readable: &capture.Redaction{URLs: []string{"/true"}},
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, strings.Contains(r.URL.EscapedPath(), "%74"), fixed)
			},
		},
		"a header that is not UTF-8": {
			request: get("/", "X-Name", "Andr\xe9"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				fails(w, strings.HasSuffix(r.Header.Get("X-Name"), "\xe9"), fixed)
			},
		},
		"the variant of a flag": {
			request: get("/"),
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				details, err := p.flagClient().BooleanValueDetails(r.Context(), "numbered", false, openfeature.EvaluationContext{})
				fails(w, err == nil && details.Variant == "2", fixed)
			},
		},
		"the length of an answer": {
			request: get("/"), comes: true, plain: true, readable: &capture.Redaction{URLs: []string{"example.com/"}},
			others: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"gift":true}`)
			},
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://example.com/", nil)
				resp, err := p.client(families()["the length of an answer"].others).Do(req)
				if err == nil {
					defer resp.Body.Close()
					fails(w, resp.ContentLength < 0, fixed)
				}
			},
		},
		"the trailer of an answer": {
			request: get("/"),
			others: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"gift":true}`)
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", "3")
			},
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://example.com/", nil)
				resp, err := p.client(families()["the trailer of an answer"].others).Do(req)
				if err == nil {
					_, _ = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					fails(w, resp.Trailer.Get("Grpc-Status") == "3", fixed)
				}
			},
		},
		"an answer that breaks off": {
			request: get("/"), comes: true, plain: true, readable: &capture.Redaction{URLs: []string{"example.com/"}},
			others: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Test-Break", "true")
				_, _ = io.WriteString(w, `{"gift":true}`)
			},
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				_, _, err := p.call(r.Context(), families()["an answer that breaks off"].others, "GET", "http://example.com/", "")
				fails(w, errors.Is(err, io.ErrUnexpectedEOF), fixed)
			},
		},
		"an answer that was not read to its end": {
			request: get("/"), comes: true,
			others: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, strings.Repeat("true ", 1000))
			},
			bug: func(p *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://example.com/", nil)
				resp, err := p.client(families()["an answer that was not read to its end"].others).Do(req)
				if err != nil {
					return
				}
				defer resp.Body.Close()
				if fixed {
					data, err := io.ReadAll(resp.Body)
					refuse(w, 200, err != nil || len(data) < 5000)
					return
				}
				data := make([]byte, 10)
				_, _ = io.ReadFull(resp.Body, data)
				fails(w, len(data) == 10, fixed)
			},
		},
		"a deadline": {
			request: get("/"),
			bug: func(_ *production, w http.ResponseWriter, _ *http.Request, fixed bool) {
				err := http.NewResponseController(w).SetWriteDeadline(time.Now())
				fails(w, err != nil, fixed) // here the writers of tests have none
			},
		},
		"a connection taken over": {
			request: get("/", "Connection", "Upgrade", "Upgrade", "websocket"),
			bug: func(_ *production, w http.ResponseWriter, r *http.Request, fixed bool) {
				if r.Header.Get("Upgrade") != "websocket" {
					return
				}
				_, can := w.(http.Hijacker)
				if can {
					conn, rw, err := http.NewResponseController(w).Hijack()
					if err == nil {
						_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
						_ = rw.Flush()
						_ = conn.Close()
					}
					return
				}
				fails(w, true, fixed)
			},
		},
	}
}

// No family of failures passes with its bug in the code, before and after it was reproduced. With the
// bug fixed it passes once it was reproduced, or when nothing was hidden.
func TestFamilies(t *testing.T) {
	t.Parallel()
	for name, f := range families() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := func(rules capture.Redaction) string {
				p := newProduction(t, rules)
				return p.capture(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.bug(p, w, r, false) }), f.request())
			}
			run := func(path string, o replay.Options, fixed bool) *desk {
				o.Prepare = f.prepare
				if fixed {
					o.Status = f.status
				}
				return play(t, o, path, func(c *replay.Case) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.bug(&production{replayed: c}, w, r, fixed) })
				})
			}
			for _, o := range []replay.Options{{}, {Key: key}} {
				path := bundle(capture.Redaction{})
				if f.prepare == nil && !f.plain { // what is hidden proves nothing
					early := run(path, o, true)
					require.NotEmpty(t, early.errors)
					require.Contains(t, early.errors[0], "verdict: inconclusive")
				}
				for range 2 {
					d := run(path, o, false)
					require.NotEmpty(t, d.errors, "passed with the bug")
					if f.comes {
						require.Contains(t, d.errors[0], "verdict: reproduced")
					} else {
						require.Contains(t, d.errors[0], "verdict: inconclusive")
						require.NoFileExists(t, path+".red")
					}
				}
				if f.comes {
					d := run(path, o, true)
					require.Empty(t, d.errors)
					require.Contains(t, d.said(), "verdict: fixed")
				}
			}
			if f.readable != nil {
				path := bundle(*f.readable)
				d := run(path, replay.Options{}, true)
				require.Empty(t, d.errors, "nothing was hidden")
				require.Contains(t, d.said(), "verdict: fixed")
				require.Contains(t, run(path, replay.Options{}, false).said(), "verdict: reproduced")
			}
		})
	}
}

// Of parallel calls each gets the answer that it had.
func TestParallelCallsAreToldApartByTheirBodies(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	both.Add(2)
	others := func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Kind string }
		_ = json.Unmarshal(bodyOf(r), &in)
		both.Done()
		both.Wait() // each begins before the other ends
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"of":%q,"cents":%d}`, in.Kind, len(in.Kind))
	}
	serve := func(p *production, kinds ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			answers := make([]string, len(kinds))
			var wait sync.WaitGroup
			for i, kind := range kinds {
				call := func() {
					answers[i], _, _ = p.call(r.Context(), others, "POST", "http://example.com/quotes", `{"kind":"`+kind+`"}`, "Content-Type", "application/json")
				}
				if p.replayed != nil {
					call() // in the order of this test
					continue
				}
				wait.Go(call)
			}
			wait.Wait()
			for i, kind := range kinds {
				if strings.Contains(answers[i], fmt.Sprintf(`"cents":%d`, len(kind))) {
					continue
				}
				w.WriteHeader(http.StatusOK)
				return
			}
			panic("the bug")
		}
	}
	for name, c := range map[string]struct {
		kinds []string
		rules capture.Redaction
		opts  replay.Options
		want  string
	}{
		"readable":     {[]string{"tax", "fee"}, capture.Redaction{JSON: []string{"$"}}, replay.Options{}, "verdict: reproduced"},
		"by the key":   {[]string{"tax", "shipping"}, capture.Redaction{JSON: []string{"$.cents"}}, replay.Options{Key: key}, "verdict: reproduced"},
		"by the shape": {[]string{"tax", "shipping"}, capture.Redaction{JSON: []string{"$.cents"}}, replay.Options{}, "verdict: reproduced"},
	} {
		for _, kinds := range [][]string{c.kinds, {c.kinds[1], c.kinds[0]}} {
			both = sync.WaitGroup{}
			both.Add(2)
			p := newProduction(t, c.rules)
			path := p.capture(serve(p, c.kinds...), httptest.NewRequest("GET", "/", nil))
			d := play(t, c.opts, path, func(rc *replay.Case) http.Handler { return serve(&production{replayed: rc}, kinds...) })
			require.NotEmpty(t, d.errors, name)
			require.Contains(t, d.errors[0], c.want, name)
		}
	}
	// Bodies of one shape cannot be told apart without the key.
	both = sync.WaitGroup{}
	both.Add(2)
	p := newProduction(t, capture.Redaction{JSON: []string{"$.cents", "$.of"}, URLs: []string{"example.com/quotes"}})
	path := p.capture(serve(p, "tax", "fee"), httptest.NewRequest("GET", "/", nil))
	fixed := func(rc *replay.Case) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, kind := range []string{"fee", "tax"} {
				_, _, _ = (&production{replayed: rc}).call(r.Context(), nil, "POST", "http://example.com/quotes", `{"kind":"`+kind+`"}`, "Content-Type", "application/json")
			}
		})
	}
	d := play(t, replay.Options{}, path, fixed)
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], "which of the answers to parallel calls of POST http://example.com/quotes was for which call")
	require.Empty(t, play(t, replay.Options{Key: key}, path, fixed).errors)
}

// The note is kept beside the bundle, and read from there.
func TestFamiliesLeaveOneNote(t *testing.T) {
	t.Parallel()
	path := incident(t)
	for range 3 {
		require.Len(t, play(t, replay.Options{}, path, broken).errors, 1)
	}
	info, err := os.Stat(path + ".red")
	require.NoError(t, err)
	require.EqualValues(t, 0o644, info.Mode().Perm())
}

// A failure that only the response shows is one in a replay, too.
func TestAFailureThatTheResponseShows(t *testing.T) {
	t.Parallel()
	answer := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		})
	}
	const broken, repaired = `{"errors":[{"message":"x"}],"data":null}`, `{"data":{"cart":7}}`
	for _, rules := range []capture.Redaction{{}, {JSON: []string{"$"}}} {
		rules.Key = key
		dir := t.TempDir()
		obs, err := observe.New(&observe.Options{
			Log: slog.DiscardHandler, Captures: newDir(t, dir, nil), Capture: observe.CaptureOptions{Redact: &rules},
			Outcome: observe.OutcomeGraphQL, OutcomeBody: 1 << 10,
		})
		require.NoError(t, err)
		obs.Handler(answer(broken)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		require.NoError(t, obs.Close())
		files, err := filepath.Glob(filepath.Join(dir, "*.har"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		run := func(o replay.Options, text string) string {
			return play(t, o, files[0], func(*replay.Case) http.Handler { return answer(text) }).said()
		}
		with := replay.Options{Outcome: observe.OutcomeGraphQL}
		require.Contains(t, run(replay.Options{}, repaired), "only Options.Outcome can say whether that is a failure")
		require.Contains(t, run(with, repaired), "verdict: fixed")
		require.Contains(t, run(replay.Options{}, broken), "verdict: reproduced")
		require.Contains(t, run(with, broken), "fails as it did then: status 200, error: the GraphQL response has")
	}
}
