package observe_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

func framed(flag byte, content string) string {
	var b bytes.Buffer
	if flag&1 != 0 {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = io.WriteString(w, content)
		_ = w.Close()
		content = packed.String()
	}
	b.WriteByte(flag)
	_ = binary.Write(&b, binary.BigEndian, uint32(len(content)))
	return b.String() + content
}

func zipped(text string) string { return framed(1, text)[5:] }

// A response with status 200 is a failure where its protocol says so.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	type header = map[string]string
	for name, c := range map[string]struct {
		outcome func(*http.Request, *http.Response) error
		header  header
		body    string
		trailer header
		kind    string // "": it is a success
	}{
		"gRPC, a trailer that was announced": {observe.OutcomeGRPC, header{"Content-Type": "application/grpc", "Trailer": "Grpc-Status, Grpc-Message"}, framed(0, "x"), header{"Grpc-Status": "13", "Grpc-Message": "secret"}, "INTERNAL"},
		"gRPC, a trailer that was not":       {observe.OutcomeGRPC, header{"Content-Type": "application/grpc+proto"}, framed(0, "x"), header{http.TrailerPrefix + "Grpc-Status": "2"}, "UNKNOWN"},
		"gRPC, trailers only":                {observe.OutcomeGRPC, header{"Content-Type": "application/grpc", "Grpc-Status": "14"}, "", nil, "UNAVAILABLE"},
		"gRPC, good":                         {observe.OutcomeGRPC, header{"Content-Type": "application/grpc", "Trailer": "Grpc-Status"}, framed(0, "x"), header{"Grpc-Status": "0"}, ""},
		"gRPC, NOT_FOUND":                    {observe.OutcomeGRPC, header{"Content-Type": "application/grpc", "Grpc-Status": "5"}, "", nil, ""},
		"gRPC, nonsense":                     {observe.OutcomeGRPC, header{"Content-Type": "application/grpc", "Grpc-Status": "-13"}, "", nil, ""},
		"no gRPC":                            {observe.OutcomeGRPC, header{"Content-Type": "text/plain", "Grpc-Status": "13"}, "", nil, ""},
		"gRPC-Web":                           {observe.OutcomeGRPC, header{"Content-Type": "application/grpc-web+proto"}, framed(0, "message") + framed(0x80, "grpc-status: 4\r\ngrpc-message: x\r\n"), nil, "DEADLINE_EXCEEDED"},
		"gRPC-Web, good":                     {observe.OutcomeGRPC, header{"Content-Type": "application/grpc-web"}, framed(0x80, "grpc-status:0\r\n"), nil, ""},
		"gRPC-Web as text": {
			observe.OutcomeGRPC,
			header{"Content-Type": "application/grpc-web-text"},
			base64.StdEncoding.EncodeToString([]byte(framed(0, "m"))) + base64.StdEncoding.EncodeToString([]byte(framed(0x80, "grpc-status:15\r\n"))), nil, "DATA_LOSS",
		},
		"gRPC-Web, cut": {observe.OutcomeGRPC, header{"Content-Type": "application/grpc-web"}, framed(0, strings.Repeat("x", 5000)) + framed(0x80, "grpc-status:13\r\n"), nil, ""},

		"Connect":                     {observe.OutcomeConnect, header{"Content-Type": "application/connect+json"}, framed(0, `{"a":1}`) + framed(2, `{"error":{"code":"internal","message":"secret"}}`), nil, "internal"},
		"Connect, packed":             {observe.OutcomeConnect, header{"Content-Type": "application/connect+proto"}, framed(3, `{"error":{"code":"unavailable"}}`), nil, "unavailable"},
		"Connect, good":               {observe.OutcomeConnect, header{"Content-Type": "application/connect+json"}, framed(0, `{"a":1}`) + framed(2, `{}`), nil, ""},
		"Connect, not found":          {observe.OutcomeConnect, header{"Content-Type": "application/connect+json"}, framed(2, `{"error":{"code":"not_found"}}`), nil, ""},
		"Connect, a length that lies": {observe.OutcomeConnect, header{"Content-Type": "application/connect+json"}, "\x02\xff\xff\xff\xff{}", nil, ""},

		"GraphQL":                   {observe.OutcomeGraphQL, header{"Content-Type": "application/json; charset=utf-8"}, `{"errors":[{"message":"secret"}],"data":null}`, nil, "graphql_errors"},
		"GraphQL, its own type":     {observe.OutcomeGraphQL, header{"Content-Type": "application/graphql-response+json"}, `{"data":{"errors":[],"a":[{"b":1}]},"extensions":{"x":[[]]},"errors":[{"message":"no"}]}`, nil, "graphql_errors"},
		"GraphQL, a batch":          {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `[{"data":{}},{"errors":[{}]}]`, nil, "graphql_errors"},
		"GraphQL, packed":           {observe.OutcomeGraphQL, header{"Content-Type": "application/json", "Content-Encoding": "gzip"}, zipped(`{"errors":[{}]}`), nil, "graphql_errors"},
		"GraphQL, cut after it":     {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `{"errors":[{"message":"no"}],"data":"` + strings.Repeat("x", 5000) + `"}`, nil, "graphql_errors"},
		"GraphQL, cut before it":    {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `{"data":"` + strings.Repeat("x", 5000) + `","errors":[{}]}`, nil, ""},
		"GraphQL, no errors":        {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `{"errors":[],"data":{"errors":[{}]}}`, nil, ""},
		"GraphQL, errors of others": {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `{"errors":{"a":[1]},"data":1}`, nil, ""},
		"GraphQL, a number":         {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `{"errors":3}`, nil, ""},
		"GraphQL, no JSON":          {observe.OutcomeGraphQL, header{"Content-Type": "application/json"}, `{"errors":[`, nil, ""},
		"no GraphQL":                {observe.OutcomeGraphQL, header{"Content-Type": "text/html"}, `{"errors":[{}]}`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(o *observe.Options) { o.Outcome, o.OutcomeBody = c.outcome, 1000 })
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader(c.body)})
				for name, value := range c.trailer {
					w.Header().Set(name, value)
				}
			})), true)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			if !resp.Uncompressed {
				require.Equal(t, c.body, string(body))
			}
			k.stop()
			require.Equal(t, []string{c.kind, "200"}, []string{attr(k.span(), "error.type"), attr(k.span(), "http.response.status_code")})
			require.NotContains(t, k.logs.String(), "secret", "bodies are not logged")
			require.Equal(t, c.kind != "", strings.Contains(k.logs.String(), "request failed"))
		})
	}
}

// Options.Outcome sees the response, but no more of its body than it may.
func TestOutcomeSeesTheResponse(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 3, 100} {
		var calls int
		k := newRig(t, func(o *observe.Options) {
			o.OutcomeBody = limit
			o.Outcome = func(r *http.Request, resp *http.Response) error {
				calls++
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "hello"[:min(limit, 5)], string(body))
				require.Equal(t, []any{int64(5), 201, "yes", "/", r}, []any{resp.ContentLength, resp.StatusCode, resp.Header.Get("X-Answer"), r.URL.Path, resp.Request})
				return errors.New("hello is wrong")
			}
		})
		k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Answer", "yes")
			w.WriteHeader(201)
			_, _ = w.Write([]byte("he"))
			_, _ = io.WriteString(w, "llo")
		})), "POST", "/")
		require.Equal(t, 1, calls)
		require.Equal(t, "hello is wrong", k.logs.line(t)["error"])
		require.Equal(t, 1.0, k.obs.Stats()["requests_failed"])
	}
}

// It is not asked about what has failed already, and may panic.
func TestOutcomeOfWhatHasFailed(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) {
		o.Outcome = func(r *http.Request, resp *http.Response) error {
			require.Equal(t, 200, resp.StatusCode)
			require.Equal(t, "/fine", r.URL.Path)
			panic("outcome")
		}
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/fine", func(http.ResponseWriter, *http.Request) {})
	h := k.obs.Handler(observe.Route(mux))
	for _, path := range []string{"/500", "/panic", "/fine"} {
		k.serve(h, "GET", path)
	}
	require.Panics(t, func() { k.serve(h, "GET", "/abort") })
	require.Equal(t, 1.0, k.obs.Stats()["telemetry_panics"])
	require.Equal(t, 2.0, k.obs.Stats()["requests_failed"])
}

func TestOutcomeOptions(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 1<<20 + 1} {
		_, err := observe.New(&observe.Options{OutcomeBody: n})
		require.ErrorContains(t, err, "Options.OutcomeBody")
	}
}

// FuzzOutcomes: no response makes one of them panic or read without end, and what one sees
// depends on nothing that another has read.
func FuzzOutcomes(f *testing.F) {
	f.Add("application/grpc-web", []byte(framed(0x80, "grpc-status:13\r\n")))
	f.Add("application/grpc-web-text", []byte("gAAAAA"))
	f.Add("application/connect+json", []byte(framed(3, `{"error":{"code":"internal"}}`)))
	f.Add("application/json", []byte(`[{"data":{"a":[]},"errors":[{}]}]`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		for _, encoding := range []string{"", "gzip"} {
			resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}, "Content-Encoding": {encoding}}}
			for _, outcome := range []func(*http.Request, *http.Response) error{observe.OutcomeGRPC, observe.OutcomeConnect, observe.OutcomeGraphQL} {
				resp.Body = io.NopCloser(bytes.NewReader(body))
				err := outcome(httptest.NewRequest("POST", "/", nil), resp)
				if err != nil {
					require.Less(t, len(err.Error()), 100)
				}
			}
		}
	})
}
