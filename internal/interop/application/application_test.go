package application_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	form      = "a=1&b=2+3&b=4"
	multipart = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--b\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\nvalue\r\n--b--\r\n"
)

// requests are sent as they are, with Host and "Connection: close" added.
func requests() map[string]string {
	all := map[string]string{}
	for _, path := range []string{
		"/", "/get?x=1&y=%20", "/headers", "/ip", "/user-agent", "/status/204", "/status/304", "/status/404", "/status/418", "/status/500", "/status/503",
		"/redirect/2", "/redirect-to?url=/get", "/relative-redirect/1", "/stream/3", "/bytes/1000?seed=1", "/bytes/5000?seed=1", "/stream-bytes/100?seed=1&chunk_size=7",
		"/drip?duration=1ms&numbytes=10&delay=0", "/range/1000", "/gzip", "/deflate", "/image/png", "/image/svg", "/cookies", "/cookies/set?a=b", "/cookies/delete?a",
		"/etag/x", "/cache", "/cache/60", "/html", "/json", "/xml", "/robots.txt", "/deny", "/base64/aGVsbG8=", "/base64/!", "/links/5/1", "/encoding/utf8",
		"/sse?count=2&duration=1ms&delay=0", "/trailers?checksum=abc", "/basic-auth/u/p", "/bearer", "/response-headers?X-A=1&X-A=2",
		"/delay/0", "/nothing", "/../get", "//get", "/anything/a/b?c=d", "/dump/request", "/forms/post", "/hostname", "/websocket/echo",
	} {
		all["GET "+path] = "GET " + path + " HTTP/1.1\r\n\r\n"
		all["HEAD "+path] = "HEAD " + path + " HTTP/1.1\r\n\r\n"
		all["1.0 "+path] = "GET " + path + " HTTP/1.0\r\n\r\n"
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "BREW"} {
		path := "/anything"
		post := func(name, header, body string) {
			all[method+" "+name] = fmt.Sprintf("%s %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", method, path, header, len(body), body)
		}
		post("form", "Content-Type: application/x-www-form-urlencoded\r\n", form)
		post("JSON", "Content-Type: application/json\r\n", `{"a":[1,2]}`)
		post("multipart", "Content-Type: multipart/form-data; boundary=b\r\n", multipart)
		post("nothing", "", "")
		post("broken multipart", "Content-Type: multipart/form-data; boundary=c\r\n", multipart)
		post("too large", "Content-Type: text/plain\r\n", strings.Repeat("x", 20000))
		post("awaited", "Content-Type: text/plain\r\nExpect: 100-continue\r\n", "awaited")
		all[method+" chunked"] = method + " " + path + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n"
		all[method+" malformed chunks"] = method + " " + path + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"
	}
	all["range"] = "GET /range/1000 HTTP/1.1\r\nRange: bytes=10-19\r\n\r\n"
	all["ranges"] = "GET /range/1000 HTTP/1.1\r\nRange: bytes=10-19,30-\r\n\r\n"
	all["not modified"] = "GET /etag/x HTTP/1.1\r\nIf-None-Match: \"x\"\r\n\r\n"
	all["authorized"] = "GET /basic-auth/u/p HTTP/1.1\r\nAuthorization: Basic dTpw\r\n\r\n"
	all["websocket"] = "GET /websocket/echo HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	all["options"] = "OPTIONS /get HTTP/1.1\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"
	return all
}

// seen has the fields of an outer access log after a request.
type seen struct {
	method, path, query, host, pattern, value string
	form, multipart                           bool
	trailer                                   string
	header                                    string
}

// service is the application on a port, with an access log around it.
type service struct {
	srv *httptest.Server
	mu  sync.Mutex
	all []seen
}

func newService(t *testing.T, http2 bool, wrap func(http.Handler) http.Handler) *service {
	t.Helper()
	s := &service{}
	mux := http.NewServeMux()
	mux.Handle("/", httpbin.New(httpbin.WithMaxBodySize(10000), httpbin.WithHostname("app.example"), httpbin.WithMaxDuration(time.Second)))
	mux.HandleFunc("POST /upload/{name}", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseMultipartForm(16) // most of it is in a file then
		if r.URL.RawQuery == "panic" {
			panic("an upload too many")
		}
		_, _ = io.WriteString(w, r.PathValue("name"))
	})
	h := wrap(mux)
	s.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := fmt.Sprint(r.Header)
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, seen{
				r.Method, r.URL.Path, r.URL.RawQuery, r.Host, r.Pattern, r.PathValue("name"), r.Form != nil, r.MultipartForm != nil, fmt.Sprint(r.Trailer), header,
			})
		}()
		h.ServeHTTP(w, r)
	}))
	s.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.srv.EnableHTTP2 = http2
	if http2 {
		s.srv.StartTLS()
	} else {
		s.srv.Start()
	}
	t.Cleanup(s.srv.Close)
	return s
}

// log returns the records of the access log.
func (s *service) log() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

var (
	added  = regexp.MustCompile(`(?m)^(Traceresponse|X-Request-Id: [0-9A-Z]{26}).*\r\n`)
	varies = regexp.MustCompile(`(?m)^(Date|Last-Modified): .*\r\n|"(timestamp|duration)": ?"?[0-9.a-zµ]+"?|timing;.*|Expires=[^;]*|127\.0\.0\.1(:\d+)?|Server-Timing: .*\r\n|[0-9a-f]{60}`)
)

// send returns the response of the service, without the parts that may differ.
func (s *service) send(t *testing.T, request string) string {
	t.Helper()
	line, rest, _ := strings.Cut(request, "\r\n")
	closing := "Connection: close\r\n"
	if strings.Contains(rest, "Upgrade") {
		closing = ""
	}
	conn, err := net.Dial("tcp", s.srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, _ = io.WriteString(conn, line+"\r\nHost: app.example\r\nAccept: */*\r\n"+closing+rest)
	if closing == "" { // a frame that closes the connection
		_, _ = conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xe8})
	}
	answer, _ := io.ReadAll(conn)
	return varies.ReplaceAllString(string(answer), "")
}

func status(answer string) string {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		return ""
	}
	if resp.StatusCode == http.StatusContinue {
		_, rest, _ := strings.Cut(answer, "\r\n\r\n")
		return status(rest)
	}
	return fmt.Sprint(resp.StatusCode)
}

// The application gives the same responses with package observe around it, and the telemetry has
// the status that was sent.
func TestTheSameByteByByte(t *testing.T) {
	for name, change := range map[string]func(*observe.Options){
		"plain": func(*observe.Options) {},
		"all of it": func(o *observe.Options) {
			o.Captures, o.Slow, o.WideEvent, o.Public, o.ResponseSize = nowhere{}, time.Nanosecond, 1, true, true
			o.Outcome, o.OutcomeBody = observe.OutcomeGraphQL, 1000
			o.Stream = func(*http.Request) bool { return false }
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
			opts := &observe.Options{Log: slog.DiscardHandler, TracerProvider: tracers}
			change(opts)
			obs, err := observe.New(opts)
			require.NoError(t, err)
			defer obs.Close()
			bare := newService(t, false, func(h http.Handler) http.Handler { return h })
			wrapped := newService(t, false, func(h http.Handler) http.Handler { return obs.Handler(observe.Route(h)) })
			all := requests()
			spans := 0
			for _, name := range slices.Sorted(maps.Keys(all)) {
				want, got := bare.send(t, all[name]), wrapped.send(t, all[name])
				if strings.HasSuffix(name, "too large") {
					// http.MaxBytesReader says it by itself only with the server's own writer.
					want, got = strings.Replace(want, "Connection: close\r\n", "", 1), strings.Replace(got, "Connection: close\r\n", "", 1)
				}
				require.Equal(t, want, added.ReplaceAllString(got, ""), name)
				wrapped.srv.Config.SetKeepAlivesEnabled(true)
				require.Eventually(t, func() bool { return len(recorder.Ended()) > spans || status(got) == "400" }, time.Minute, time.Millisecond, name)
				if ended := recorder.Ended(); len(ended) > spans {
					spans = len(ended)
					require.Equal(t, status(got), attribute(ended[spans-1], "http.response.status_code"), name)
				}
			}
			bare.srv.Close()
			wrapped.srv.Close()
			want := bare.log()
			require.Equal(t, want, wrapped.log(), "an access log sees the same")
			require.Greater(t, len(want), 190)
		})
	}
}

func TestTheSameOverHTTP2(t *testing.T) {
	obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler, Captures: nowhere{}})
	require.NoError(t, err)
	defer obs.Close()
	var answers [2][]string
	for i, wrap := range []func(http.Handler) http.Handler{
		func(h http.Handler) http.Handler { return h },
		func(h http.Handler) http.Handler { return obs.Handler(observe.Route(h)) },
	} {
		s := newService(t, true, wrap)
		client := s.srv.Client()
		client.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		all := requests()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			method, path, _ := strings.Cut(name, " ")
			if !strings.HasPrefix(path, "/") || method == "1.0" || strings.Contains(path, "..") {
				continue
			}
			req, err := http.NewRequestWithContext(t.Context(), method, s.srv.URL+path, nil)
			require.NoError(t, err)
			req.Host = "app.example"
			resp, err := client.Do(req)
			require.NoError(t, err, name)
			require.Equal(t, 2, resp.ProtoMajor)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, resp.Body.Close())
			delete(resp.Trailer, "Server-Timing")
			for _, name := range []string{"Date", "Last-Modified", "X-Request-Id", "Traceresponse"} {
				delete(resp.Header, name)
			}
			answers[i] = append(answers[i], varies.ReplaceAllString(fmt.Sprint(name, resp.Status, resp.Header, string(body), err, resp.Trailer), ""))
		}
		client.CloseIdleConnections()
		s.srv.Close()
	}
	require.Len(t, answers[1], len(answers[0]))
	for i, want := range answers[0] {
		require.Equal(t, want, answers[1][i])
	}
}

// No temporary file of a form stays, also when the application panics.
func TestNoTemporaryFilesStay(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, query := range []string{"", "?panic"} {
		obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler})
		require.NoError(t, err)
		s := newService(t, false, func(h http.Handler) http.Handler {
			return obs.Handler(observe.Route(h))
		})
		body := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n" + strings.Repeat("x", 11<<20) + "\r\n--b--\r\n"
		for range 3 {
			s.send(t, fmt.Sprintf("POST /upload/cart%s HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s", query, len(body), body))
		}
		s.srv.Close()
		all := s.log()
		require.Len(t, all, 3)
		require.Equal(t, []any{"POST /upload/{name}", "cart", true}, []any{all[0].pattern, all[0].value, all[0].multipart})
		require.NoError(t, obs.Close())
	}
	var left []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "multipart-") {
			left = append(left, path)
		}
		return err
	}))
	require.Empty(t, left)
}

func attribute(span sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range span.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// nowhere discards bundles.
type nowhere struct{}

func (nowhere) Put(context.Context, string, []byte) error { return nil }
func (nowhere) Open(string) (fs.File, error)              { return nil, fs.ErrNotExist }
func (nowhere) Remove(context.Context, string) error      { return fs.ErrNotExist }
