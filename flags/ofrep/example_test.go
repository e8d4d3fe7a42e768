package ofrep_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

const exampleDocument = `
flags:
  web-banner:
    variants: {sale: "Everything must go", none: ""}
    defaultVariant: none
    targeting: {if: [{==: [{var: country}, ES]}, sale]}
    metadata: {owner: marketing, doc: "https://wiki.example/banner"}
  web-dark-mode: {variants: {"on": true, "off": false}, defaultVariant: "on"}
  pricing-engine: {variants: {v1: v1, v2: v2}, defaultVariant: v2}
`

// newServer serves the flags of the example document that begin with "web-".
func newServer(opts *ofrep.Options) (server *httptest.Server, stop func(), err error) {
	p, err := flags.Open(context.Background(), flags.Bytes("flags.yaml", []byte(exampleDocument)), &flags.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	opts.Expose = func(key string) bool { return strings.HasPrefix(key, "web-") }
	h, err := ofrep.NewHandler(p, opts)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ofrep/", h)
	server = httptest.NewServer(mux)
	return server, func() { server.Close(); p.Close() }, nil
}

// ask posts a context as an OFREP provider does.
func ask(url, body, etag string) (*http.Response, string) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err.Error()
	}
	defer resp.Body.Close()
	var text strings.Builder
	_, _ = bufio.NewReader(resp.Body).WriteTo(&text)
	return resp, strings.TrimSpace(text.String())
}

// A service exposes some flags to browsers. It knows better than the browser who the visitor is.
func Example() {
	server, stop, err := newServer(&ofrep.Options{
		Context: func(r *http.Request) flags.Attributes {
			return flags.Attributes{"country": r.Header.Get("X-Country")} // set by the proxy
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/ofrep/v1/evaluate/flags/web-banner",
		strings.NewReader(`{"context": {"targetingKey": "visitor-1", "country": "PT"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Country", "ES")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	line, _ := bufio.NewReader(resp.Body).ReadString('\n')
	fmt.Print(resp.Status, "\n", line)
	// Output:
	// 200 OK
	// {"key":"web-banner","value":"Everything must go","reason":"TARGETING_MATCH","variant":"sale","metadata":{"doc":"https://wiki.example/banner"}}
}

// A server-side provider fetches one flag at a time.
func ExampleNewHandler_single() {
	server, stop, err := newServer(&ofrep.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	for _, body := range []string{
		`{"context": {"targetingKey": "visitor-1", "country": "ES"}}`,
		`{"context": {"country": "ES"}}`,
		`{"context": `,
	} {
		resp, answer := ask(server.URL+"/ofrep/v1/evaluate/flags/web-banner", body, "")
		fmt.Println(resp.StatusCode, answer)
	}
	// Output:
	// 200 {"key":"web-banner","value":"Everything must go","reason":"TARGETING_MATCH","variant":"sale","metadata":{"doc":"https://wiki.example/banner"}}
	// 400 {"key":"web-banner","errorCode":"TARGETING_KEY_MISSING","errorDetails":"the context has no targetingKey"}
	// 400 {"key":"web-banner","errorCode":"PARSE_ERROR","errorDetails":"body:1:13: unexpected end of JSON input"}
}

// A browser fetches all flags at once, and later checks whether its answer is still valid.
func ExampleNewHandler_bulk() {
	server, stop, err := newServer(&ofrep.Options{MaxStreams: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	const visitor, abroad = `{"context": {"targetingKey": "visitor-1"}}`, `{"context": {"targetingKey": "visitor-1", "country": "ES"}}`
	url := server.URL + "/ofrep/v1/evaluate/flags"
	first, answer := ask(url, visitor, "")
	fmt.Println(first.StatusCode, answer)
	etag := first.Header.Get("ETag")

	again, answer := ask(url, visitor, etag)
	fmt.Println(again.StatusCode, len(answer))
	moved, answer := ask(url, abroad, etag)
	fmt.Println(moved.StatusCode, strings.Contains(answer, "Everything must go"))
	// Output:
	// 200 {"flags":[{"key":"web-banner","value":"","reason":"UNKNOWN","variant":"none","metadata":{"doc":"https://wiki.example/banner"}},{"key":"web-dark-mode","value":true,"reason":"STATIC","variant":"on"}]}
	// 304 0
	// 200 true
}

// A flag that is not exposed is answered like a missing flag.
func ExampleOptions_expose() {
	server, stop, err := newServer(&ofrep.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	for _, key := range []string{"pricing-engine", "no-such-flag"} {
		resp, answer := ask(server.URL+"/ofrep/v1/evaluate/flags/"+key, `{"context": {"targetingKey": "visitor-1"}}`, "")
		fmt.Println(resp.StatusCode, answer)
	}
	// Output:
	// 404 {"key":"pricing-engine","errorCode":"FLAG_NOT_FOUND","errorDetails":"there is no flag \"pricing-engine\""}
	// 404 {"key":"no-such-flag","errorCode":"FLAG_NOT_FOUND","errorDetails":"there is no flag \"no-such-flag\""}
}

// A page fetches flags before anyone has logged in. Flags that bucket by a targetingKey are errors,
// and all others are answered.
func ExampleOptions_allowAnonymous() {
	server, stop, err := newServer(&ofrep.Options{AllowAnonymous: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	resp, answer := ask(server.URL+"/ofrep/v1/evaluate/flags/web-banner", `{"context": {"country": "ES"}}`, "")
	fmt.Println(resp.StatusCode, answer)
	// Output: 200 {"key":"web-banner","value":"Everything must go","reason":"TARGETING_MATCH","variant":"sale","metadata":{"doc":"https://wiki.example/banner"}}
}

// Authorize refuses clients before the body is read.
func ExampleOptions_authorize() {
	server, stop, err := newServer(&ofrep.Options{
		Authorize: func(r *http.Request) (who string, err error) {
			switch r.Header.Get("Authorization") {
			case "":
				return "", errors.New("no token")
			case "Bearer of-the-shop":
				return "shop", nil
			}
			return "", ofrep.ErrForbidden
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	resp, answer := ask(server.URL+"/ofrep/v1/evaluate/flags", `{"context": {"targetingKey": "visitor-1"}}`, "")
	fmt.Println(resp.StatusCode, answer)
	// Output: 401 {"errorDetails":"not authorized"}
}

// The event stream asks the client to fetch again as soon as the file has changed.
func ExampleNewHandler_eventStream() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "flags")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "flags.yaml")
	if err := os.WriteFile(file, []byte(exampleDocument), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	p, err := flags.Open(ctx, flags.File(file), &flags.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	h, err := ofrep.NewHandler(p, &ofrep.Options{Expose: func(string) bool { return true }})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(h)
	defer server.Close()

	// The answer to a bulk request names this address.
	stream, err := http.Get(server.URL + "/ofrep/v1/events?after=" + p.Revision())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Body.Close()
	changed := strings.Replace(exampleDocument, `defaultVariant: "on"`, `defaultVariant: "off"`, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data:") {
			fmt.Println(strings.ReplaceAll(lines.Text(), p.Revision(), "(the new revision)"))
			return
		}
	}
	// Output: data: {"type":"refetchEvaluation","etag":"(the new revision)"}
}
