package observe_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("no source") }

// A response begins with the first byte that is sent, and not with the attempt.
func TestAnswerAfterACopyThatFailed(t *testing.T) {
	t.Parallel()
	broken := errors.New("no source")
	for name, src := range map[string]io.Reader{
		"fails": iotest.ErrReader(broken), "is empty": strings.NewReader(""), "is limited": io.LimitReader(iotest.ErrReader(broken), 10),
	} {
		for _, captured := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", captured ", captured), func(t *testing.T) {
				t.Parallel()
				k := newRig(t, func(o *observe.Options) {
					if captured {
						o.Captures = &shelf{}
					}
				})
				srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					n, err := io.Copy(w, struct{ io.Reader }{src})
					if n != 0 || name != "is empty" && !errors.Is(err, broken) {
						t.Errorf("%d, %v", n, err)
					}
					http.Error(w, "bad gateway", http.StatusBadGateway)
				})), false)
				resp, err := srv.Client().Get(srv.URL)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, 502, resp.StatusCode)
				k.stop()
				require.Equal(t, map[string]int64{
					"error.type=502,http.request.method=GET,http.response.status_code=502,network.protocol.version=1.1,url.scheme=http": 1,
				}, k.points(serverDuration))
				require.Equal(t, []any{"request failed", 502.0}, []any{k.logs.line(t)["msg"], k.logs.line(t)["status"]})
			})
		}
	}
}

func TestPanicInACopyIsAnswered(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(http.ResponseWriter){
		"the source panics": func(w http.ResponseWriter) { _, _ = io.Copy(w, struct{ io.Reader }{panicReader{}}) },
		"the source failed": func(w http.ResponseWriter) {
			_, err := io.Copy(w, struct{ io.Reader }{iotest.ErrReader(io.ErrClosedPipe)})
			panic(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w) })), false)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err, "nothing was sent, so the connection need not be cut")
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 500, resp.StatusCode)
			require.Contains(t, string(body), `"request_id"`)
			k.stop()
			require.Equal(t, "500", attr(k.span(), "http.response.status_code"))
		})
	}
}

// A response that began with a copy is cut, and has the status that was sent.
func TestPanicInTheMiddleOfACopy(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), panicReader{}))
	})), false)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()
	require.Equal(t, "200", attr(k.span(), "http.response.status_code"))
	require.Contains(t, k.logs.line(t)["error"], "no source")
}

func TestAFileIsCopiedAsBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<16), 0o600))
	k := newRig(t, nil)
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		_, _ = io.Copy(w, f)
	})), false)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()
	require.Len(t, body, 1<<16)
	require.Equal(t, []string{"200", "65536"}, []string{attr(k.span(), "http.response.status_code"), attr(k.span(), "http.response.body.size")})
}

// The connection is closed after a 413, so that the client does not send the rest of the body.
func TestMaxBytesReader(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		k := newRig(t, nil)
		srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var tooLarge *http.MaxBytesError
			if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10)); !errors.As(err, &tooLarge) {
				t.Error(err)
			}
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		})), http2)
		resp, err := srv.Client().Post(srv.URL, "", strings.NewReader(strings.Repeat("x", 100)))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 413, resp.StatusCode)
		require.Equal(t, !http2, resp.Close)
		k.stop()
	}

	// Outside of Handler it has the server's own writer, for any status.
	k := newRig(t, nil)
	srv := k.server(http.MaxBytesHandler(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.WriteHeader(400)
	})), 10), false)
	resp, err := srv.Client().Post(srv.URL, "", strings.NewReader(strings.Repeat("x", 100)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.True(t, resp.Close)
}

// Trailers arrive in both directions, announced or not.
func TestTrailersOfRequests(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		for _, captured := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", captured ", captured), func(t *testing.T) {
				t.Parallel()
				k := newRig(t, func(o *observe.Options) {
					if captured {
						o.Captures = &shelf{}
					}
				})
				var got, after http.Header
				inner := k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					got = r.Trailer.Clone()
				}))
				srv := k.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inner.ServeHTTP(w, r)
					after = r.Trailer
				}), http2)
				pr, pw := io.Pipe()
				req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, pr)
				require.NoError(t, err)
				req.Trailer = http.Header{"Checksum": nil}
				go func() {
					_, _ = io.WriteString(pw, "body")
					req.Trailer.Set("Checksum", "abc")
					_ = pw.Close()
				}()
				client := &http.Client{Transport: k.obs.Transport(srv.Client().Transport)}
				var resp *http.Response
				if captured { // only the calls of a captured request are
					k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						resp, err = client.Do(req.WithContext(r.Context()))
					})), "GET", "/")
				} else {
					resp, err = client.Do(req)
				}
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				k.stop()
				require.Equal(t, http.Header{"Checksum": {"abc"}}, got)
				require.Equal(t, got, after)
			})
		}
	}
}

func TestTrailerThatWasNotAnnounced(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	var got, after http.Header
	inner := k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got = r.Trailer
	}))
	srv := k.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		after = r.Trailer
	}), false)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nChecksum: abc\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	k.stop()
	require.Equal(t, http.Header{"Checksum": {"abc"}}, got)
	require.Equal(t, got, after)
}

// A gateway made of Handler, ReverseProxy and Transport answers with its own id and span,
// whatever the service behind it says, also after a 1xx.
func TestGatewayAnswersWithOneID(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]http.HandlerFunc{
		"200": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "price") },
		"103": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "price")
		},
		"500":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broke", http.StatusInternalServerError) },
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"a panic": func(http.ResponseWriter, *http.Request) { panic("boom") },
		"flushed": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			back := newRig(t, nil)
			backend := back.server(back.obs.Handler(serve), false)
			target, err := url.Parse(backend.URL)
			require.NoError(t, err)
			k := newRig(t, nil)
			proxy := &httputil.ReverseProxy{Transport: k.obs.Transport(nil), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
			front := k.server(k.obs.Handler(proxy), false)
			req, err := http.NewRequestWithContext(t.Context(), "GET", front.URL, nil)
			require.NoError(t, err)
			req.Header.Set("X-Request-Id", "from-outside")
			resp, err := front.Client().Do(req)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			require.NoError(t, resp.Body.Close())
			k.stop()
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			back.stop()
			require.Equal(t, []string{"from-outside"}, resp.Header["X-Request-Id"])
			var span string
			for _, s := range k.spans.Ended() {
				if s.SpanKind().String() == "server" {
					span = s.SpanContext().SpanID().String()
				}
			}
			require.Len(t, resp.Header["Traceresponse"], 1)
			require.Contains(t, resp.Header["Traceresponse"][0], span)
		})
	}
}

// What the application says itself stays.
func TestTheApplicationsOwnIDStays(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	w := k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "its-own")
		w.Header().Del("Traceresponse")
		w.WriteHeader(200)
	})), "GET", "/")
	require.Equal(t, "its-own", w.Header().Get("X-Request-Id"))
	require.Empty(t, w.Header()["Traceresponse"])
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

// upgrade asks for another protocol and returns the first line of the answer.
func upgrade(t *testing.T, addr string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
	require.NoError(t, err)
	line, err := textproto.NewReader(bufio.NewReader(conn)).ReadLine()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return line
}

// A connection that was taken over has the status that was sent on it.
func TestStatusOfAnUpgrade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(conn net.Conn, rw *bufio.ReadWriter)
		want   string
	}{
		"on the connection, as gorilla does": {func(conn net.Conn, _ *bufio.ReadWriter) { _, _ = io.WriteString(conn, switching) }, "101"},
		"through the buffer":                 {func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.WriteString(switching); _ = rw.Flush() }, "101"},
		"piece by piece": {func(_ net.Conn, rw *bufio.ReadWriter) {
			for _, b := range []byte(switching) {
				_ = rw.WriteByte(b)
				_ = rw.Flush()
			}
		}, "101"},
		"refused": {func(_ net.Conn, rw *bufio.ReadWriter) {
			_, _ = rw.WriteString("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
			_ = rw.Flush()
		}, "403"},
		"no HTTP": {func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.WriteString("hello\r\n, world"); _ = rw.Flush() }, "101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				if _, ok := conn.(*net.TCPConn); !ok {
					t.Errorf("the connection is a %T", conn)
				}
				c.answer(conn, rw)
			})), false)
			upgrade(t, srv.Listener.Addr().String())
			k.stop()
			require.Equal(t, c.want, attr(k.span(), "http.response.status_code"))
			require.Equal(t, map[string]int64{"http.request.method=GET,http.response.status_code=" + c.want + ",upkeep.stream.end=done": 1}, k.points(streams))
			require.Empty(t, k.points(serverDuration))
		})
	}
}

func TestStatusOfAnUpgradeThroughAReverseProxy(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, switching)
		_ = conn.Close()
	}))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	require.NoError(t, err)
	k := newRig(t, nil)
	srv := k.server(k.obs.Handler(&httputil.ReverseProxy{Transport: k.obs.Transport(nil), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}), false)
	require.Equal(t, "HTTP/1.1 101 Switching Protocols", upgrade(t, srv.Listener.Addr().String()))
	k.stop()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, span := range k.spans.Ended() {
		require.Equal(t, "101", attr(span, "http.response.status_code"), span.Name())
	}
}

// A handler that sends less than it announced has failed: its client sees that.
func TestResponseShorterThanAnnounced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method  string
		serve   http.HandlerFunc
		failure bool
	}{
		"5 of 100": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "hello")
		}, true},
		"none of 100": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(200)
		}, true},
		"too much at once": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "hello")
		}, true},
		"copied": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.Copy(w, strings.NewReader("hello"))
		}, true},
		"all": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "hello")
		}, false},
		"HEAD": {"HEAD", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100") }, false},
		"304": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(304)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(c.serve), false)
			req, err := http.NewRequestWithContext(t.Context(), c.method, srv.URL, nil)
			require.NoError(t, err)
			resp, err := srv.Client().Do(req)
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.Equal(t, c.failure, err != nil)
			require.NoError(t, resp.Body.Close())
			k.stop()
			if !c.failure {
				require.Empty(t, k.logs.String())
				return
			}
			require.Contains(t, k.logs.line(t)["error"], "Content-Length")
			require.Equal(t, "incomplete_response", attr(k.span(), "error.type"))
			require.Equal(t, "200", attr(k.span(), "http.response.status_code"))
		})
	}
}
