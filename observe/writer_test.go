package observe_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// The shapes of the response writers of package http survive.
func TestWriterShapes(t *testing.T) {
	t.Parallel()
	type shape struct{ flush, hijack, readFrom, push, writeString bool }
	of := func(w http.ResponseWriter) (s shape) {
		_, s.flush = w.(http.Flusher)
		_, s.hijack = w.(http.Hijacker)
		_, s.readFrom = w.(io.ReaderFrom)
		_, s.push = w.(http.Pusher)
		_, s.writeString = w.(io.StringWriter)
		return s
	}
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			var bare, wrapped shape
			inner := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				wrapped = of(w)
				rc := http.NewResponseController(w)
				require.NoError(t, rc.SetWriteDeadline(time.Now().Add(time.Minute)))
				require.NoError(t, rc.EnableFullDuplex())
			}))
			srv := k.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				bare = of(w)
				inner.ServeHTTP(w, r)
			}), http2)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			k.stop()
			require.Equal(t, bare, wrapped)
			require.NotEqual(t, shape{}, bare)
		})
	}

	// Wrappers that hide an interface.
	rec := httptest.NewRecorder()
	conn := hijackable{rec}
	for name, w := range map[string]http.ResponseWriter{
		"nothing":       struct{ http.ResponseWriter }{rec},
		"flush":         rec,
		"flush, hijack": struct{ flushHijacker }{conn},
		"flush, read": struct {
			http.ResponseWriter
			http.Flusher
			io.ReaderFrom
		}{rec, rec, rec.Body},
	} {
		k := newRig(t, nil)
		want := of(w)
		want.writeString = true
		k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			require.Equal(t, want, of(w), name)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
}

type flushHijacker interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
}

type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }

func TestWriterHijack(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	for name, hijack := range map[string]func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"assertion": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := hijack(w)
				require.NoError(t, err)
				defer conn.Close()
				_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhi")
				_ = rw.Flush()
				panic("after the hijack")
			})), false)
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			require.NoError(t, err)
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			require.True(t, strings.HasSuffix(string(answer), "\r\n\r\nhi"), "nothing is written to a hijacked connection: %q", answer)
			k.stop()
		})
	}
	require.Empty(t, k.points(serverDuration), "a stream has no latency")
	require.Equal(t, map[string]int64{"http.request.method=GET,http.response.status_code=101,upkeep.stream.end=failed": 2}, k.points(streams))
}

// A middleware outside hides the server's http.Hijacker behind Unwrap.
func TestHijackBehindAWrapper(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		require.NoError(t, err)
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhi")
		_ = rw.Flush()
		panic("after the hijack")
	}))
	for _, wrap := range []func(http.ResponseWriter) http.ResponseWriter{
		func(w http.ResponseWriter) http.ResponseWriter { return plainWrapper{w} },
		func(w http.ResponseWriter) http.ResponseWriter { return flushWrapper{plainWrapper{w}} },
	} {
		srv := k.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(wrap(w), r) }), false)
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		require.NoError(t, err)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.True(t, strings.HasSuffix(string(answer), "\r\n\r\nhi"), "nothing is written to the connection: %q", answer)
		k.stop()
	}
	require.Equal(t, map[string]int64{"http.request.method=GET,http.response.status_code=101,upkeep.stream.end=failed": 2}, k.points(streams))
}

type plainWrapper struct{ http.ResponseWriter }

func (w plainWrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type flushWrapper struct{ plainWrapper }

func (w flushWrapper) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Writes to the response are not sent once its connection was taken over, so they are not an
// answer.
func TestWriterAfterHijack(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	for name, write := range map[string]func(http.ResponseWriter) error{
		"Write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte("x")); return err },
		"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, "x"); return err },
		"ReadFrom":    func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader("x")); return err },
		"Error":       func(w http.ResponseWriter) error { http.Error(w, "cannot", 500); return http.ErrHijacked },
	} {
		t.Run(name, func(t *testing.T) {
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				_ = conn.Close()
				if err := write(w); !errors.Is(err, http.ErrHijacked) {
					t.Error(err)
				}
			})), false)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 204, resp.StatusCode)
			k.stop()
		})
	}
	require.Empty(t, k.points(serverDuration), "a stream has no latency")
	require.Equal(t, map[string]int64{"http.request.method=GET,upkeep.stream.end=done": 4}, k.points(streams))
	require.Empty(t, k.logs.String())
	require.Zero(t, k.obs.Stats()["requests_failed"])

	// A 101 that was sent before is the status.
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
		http.Error(w, "cannot", 500)
	})), false)
	r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "x")
	resp, err := srv.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 101, resp.StatusCode)
	k.stop()
	require.Equal(t, "101", attr(k.spans.Ended()[4], "http.response.status_code"))
}

func TestWriterReadFrom(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	content := bytes.Repeat([]byte("x"), 1<<20)
	srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, err := io.Copy(w, bytes.NewReader(content))
		require.NoError(t, err)
		require.EqualValues(t, len(content), n)
	})), false)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	k.stop()
	require.Equal(t, content, got)
	require.Equal(t, "1048576", attr(k.span(), "http.response.body.size"))
}

func TestWriterInformationalAndTrailers(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", "</style.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Set("Trailer", "Checksum")
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, "body")
				require.NoError(t, http.NewResponseController(w).Flush())
				w.Header().Set("Checksum", "abc")
			})), http2)
			var hints []int
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil },
			})
			req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
			require.NoError(t, err)
			resp, err := srv.Client().Do(req)
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			k.stop()
			require.Equal(t, []int{103}, hints)
			require.Equal(t, "abc", resp.Trailer.Get("Checksum"))
			require.Equal(t, "202", attr(k.span(), "http.response.status_code"))
		})
	}
}

func TestWriterAfterReturn(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			var late http.ResponseWriter
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				late = w
				_, _ = io.WriteString(w, "all")
			})), http2)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			k.stop()
			require.Equal(t, "all", string(body))

			_, err = late.Write([]byte("more"))
			require.ErrorIs(t, err, observe.ErrResponseEnded)
			_, err = io.WriteString(late, "more")
			require.ErrorIs(t, err, observe.ErrResponseEnded)
			require.ErrorIs(t, http.NewResponseController(late).Flush(), observe.ErrResponseEnded)
			late.WriteHeader(500)
			late.(http.Flusher).Flush()
			uses := 5.0
			if !http2 {
				_, err = late.(io.ReaderFrom).ReadFrom(strings.NewReader("more"))
				require.ErrorIs(t, err, observe.ErrResponseEnded)
				_, _, err = late.(http.Hijacker).Hijack()
				require.ErrorIs(t, err, observe.ErrResponseEnded)
				uses = 7
			}
			require.Equal(t, uses, k.obs.Stats()["late_writes"])
		})
	}
}

// answersOutside is what echo's WrapMiddleware does: the framework's writer is the
// inner one, the framework goes on with the middleware's, and answers with that one
// when the middleware has returned.
func answersOutside(middleware func(http.Handler) http.Handler, handle func(http.ResponseWriter) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		middleware(http.HandlerFunc(func(inner http.ResponseWriter, _ *http.Request) {
			w = inner
			err = handle(inner)
		})).ServeHTTP(wrapping{w}, r)
		if err != nil {
			http.Error(w, err.Error(), 500)
		}
	})
}

type wrapping struct{ http.ResponseWriter }

func (w wrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestWriterAnswersFromOutside(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	h := answersOutside(k.obs.Handler, func(http.ResponseWriter) error { return errors.New("no orders left") })
	for range 2 {
		w := k.serve(h, "GET", "/")
		require.Equal(t, 500, w.Code)
		require.Equal(t, "no orders left\n", w.Body.String())
	}
	require.Equal(t, 2.0, k.obs.Stats()["late_answers"])
	require.Zero(t, k.obs.Stats()["late_writes"])
	require.Equal(t, "200", attr(k.spans.Ended()[0], "http.response.status_code"), "what was known at the end")

	// An answer that had begun is whole.
	w := k.serve(answersOutside(k.obs.Handler, func(w http.ResponseWriter) error {
		w.WriteHeader(202)
		return errors.New("too late")
	}), "GET", "/")
	require.Equal(t, 202, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, 2.0, k.obs.Stats()["late_answers"])
	require.Equal(t, 2.0, k.obs.Stats()["late_writes"])
}

// gin asks every writer for it.
func TestWriterCloseNotify(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			srv := k.server(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
				select {
				case <-gone:
					require.Fail(t, "the client is there")
				default:
				}
				_ = http.NewResponseController(w).Flush() // fails if the client goes before it returns
				require.True(t, <-gone)
			})), http2)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close()) // unread: the client goes
			k.stop()
		})
	}
}

// A goroutine left behind keeps writing while the request ends.
func TestWriterRace(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	done := make(chan struct{})
	h := k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := make(chan struct{})
		go func() {
			defer close(done)
			close(started)
			for {
				if _, err := w.Write([]byte("x")); err != nil {
					break
				}
			}
			observe.Fail(r.Context(), errors.New("late"))
			k.obs.Logger().InfoContext(r.Context(), "late")
		}()
		<-started
	}))
	h.ServeHTTP(&sink{header: http.Header{}}, httptest.NewRequest("GET", "/", nil))
	<-done
	// Whether the late Fail was in time for the report is open; the ids are not.
	for _, line := range k.logs.lines(t) {
		require.Equal(t, attr(k.span(), "upkeep.request.id"), line["request_id"])
	}
}

// An answer that cannot be written cuts the connection, instead of the empty 200
// that package http would send.
func TestWriterThatPanics(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	w := &brokenWriter{}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		k.obs.Handler(panics("boom")).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	})
	require.Contains(t, k.logs.line(t)["error"], "boom")
}

type brokenWriter struct{}

func (*brokenWriter) Header() http.Header       { return http.Header{} }
func (*brokenWriter) Write([]byte) (int, error) { panic("write") }
func (*brokenWriter) WriteHeader(int)           { panic("header") }
