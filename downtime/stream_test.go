package downtime_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// asStream are headers of a request that lasts.
var (
	asEvents  = []string{"Accept", "text/event-stream"}
	asUpgrade = []string{"Connection", "keep-alive, Upgrade", "Upgrade", "websocket"}
)

// streamer begins the kind of response that the request asks for, and serves until its context
// ends, and sends the cause.
type streamer struct{ ended chan error }

func (s streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = "/changed/by/a/router" // as some do: the guard remembers what it saw
	if r.Header.Get("Upgrade") != "" {
		w.WriteHeader(http.StatusSwitchingProtocols)
	} else {
		w.Header().Set("Content-Type", r.Header.Get("Accept"))
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
	s.ended <- context.Cause(r.Context())
}

func TestStreamsAreEndedByTheirWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("feed", time.Hour, time.Hour, `, scope: {paths: ["/feed/**"]}`))), nil)
		const each = 50
		s := streamer{make(chan error, 3*each)}
		h := g.Handler(s)
		elsewhere, leave := context.WithCancel(t.Context())
		for range each {
			go get(h, "GET", "/feed/1", asEvents...)
			go get(h, "GET", "/feed/2", asUpgrade...)
			go func() {
				r := httptest.NewRequest("GET", "/news", nil).WithContext(elsewhere)
				r.Header.Set("Accept", "text/event-stream")
				h.ServeHTTP(httptest.NewRecorder(), r)
			}()
		}
		later(time.Hour - time.Millisecond)
		require.Empty(t, s.ended)
		rep, err := g.Report("feed")
		require.NoError(t, err)
		require.Equal(t, 2*each, rep.Busy, "they count as others do")

		began := time.Now()
		later(1500 * time.Millisecond)
		require.NotEmpty(t, s.ended)
		require.Less(t, len(s.ended), 2*each, "not all at once")
		rep, err = g.Drain(t.Context(), "feed")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.LessOrEqual(t, time.Since(began), 5*time.Second+200*time.Millisecond)
		require.Len(t, s.ended, 2*each, "those out of scope go on")
		for range 2 * each {
			err := <-s.ended
			require.ErrorIs(t, err, downtime.ErrWindow)
			var refused *downtime.UnavailableError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "feed", refused.Window)
			require.Positive(t, refused.RetryAfter)
		}
		require.InDelta(t, 0, g.Stats()["refused"], 0, "what was admitted is not refused")
		leave()
		later(0)
		require.Len(t, s.ended, each)
		require.Equal(t, context.Canceled, <-s.ended)
	})
}

// What makes a stream is the response, a connection that really switched, or Options.Stream: not
// what the request offers or prefers.
func TestWhatIsAStream(t *testing.T) {
	t.Parallel()
	declare := func(contentType string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(200)
		}
	}
	written := func(contentType string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	hijack := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close() // its handler goes on
		}
	})
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		begin        http.HandlerFunc
		stream       bool
	}{
		"events":                         {"GET", "/shut", asEvents, declare("text/event-stream"), true},
		"events that nobody asked for":   {"GET", "/shut", nil, declare("text/event-stream"), true},
		"events for a POST":              {"POST", "/shut", nil, declare("text/event-stream; charset=utf-8"), true},
		"by the first write":             {"GET", "/shut", nil, written("text/event-stream"), true},
		"frames":                         {"GET", "/shut", nil, declare(`multipart/x-mixed-replace; boundary="f"`), true},
		"a sequence":                     {"GET", "/shut", nil, declare(" Application/JSON-Seq "), true},
		"a switch":                       {"GET", "/shut", asUpgrade, status(101), true},
		"a CONNECT over HTTP/2":          {"CONNECT", "/shut", []string{":protocol", "websocket"}, status(200), true},
		"taken over":                     {"POST", "/shut", nil, hijack, true},
		"that writes, where writes stop": {"POST", "/ro", nil, declare("text/event-stream"), true},
		"named by Options.Stream":        {"GET", "/shut", []string{"X-Stream", "1"}, silent, true},

		"an export":                      {"GET", "/shut", nil, written("text/csv"), false},
		"an export for an EventSource":   {"GET", "/shut", asEvents, written("text/csv"), false},
		"lines of JSON":                  {"GET", "/shut", nil, written("application/x-ndjson"), false},
		"a type that looks like it":      {"GET", "/shut", nil, written("text/event-stream-not"), false},
		"a form":                         {"GET", "/shut", nil, written("multipart/form-data; boundary=text/event-stream"), false},
		"nothing said yet":               {"GET", "/shut", asEvents, silent, false},
		"a switch that was declined":     {"GET", "/shut", asUpgrade, status(200), false},
		"a CONNECT that was declined":    {"CONNECT", "/shut", []string{":protocol", "websocket"}, status(403), false},
		"an early hint":                  {"GET", "/shut", asUpgrade, status(103), false},
		"h2c, which Java's client sends": {"POST", "/shut", []string{"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c"}, written("text/plain"), false},
		"that reads, where writes stop":  {"GET", "/ro", nil, declare("text/event-stream"), false},
		"of a rehearsal":                 {"GET", "/try", nil, declare("text/event-stream"), false},
		"of a window that is only shown": {"GET", "/shown", nil, declare("text/event-stream"), false},
		"declared when the header was sent": {"GET", "/shut", nil, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("Content-Type", "text/event-stream")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := open(t, newSource(windows(
					window("ro", time.Minute, time.Hour, `, mode: read-only, scope: {paths: ["/ro"]}`),
					window("try", time.Minute, time.Hour, `, mode: rehearse, scope: {paths: ["/try"]}`),
					window("shown", time.Minute, time.Hour, `, mode: announce, scope: {paths: ["/shown"]}`),
					window("shut", time.Minute, time.Hour, `, scope: {paths: ["/shut"]}`))), &downtime.Options{
					StreamJitter: -1, Stream: func(r *http.Request) bool { return r.Header.Get("X-Stream") != "" },
				})
				r := httptest.NewRequest("GET", c.path, nil)
				r.Method = c.method
				for i := 0; i < len(c.headers); i += 2 {
					r.Header[c.headers[i]] = []string{c.headers[i+1]}
				}
				ended := make(chan error, 1)
				finish := make(chan struct{})
				go g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c.begin(w, r)
					select {
					case <-r.Context().Done():
					case <-finish:
					}
					ended <- context.Cause(r.Context())
				})).ServeHTTP(&takeable{ResponseRecorder: httptest.NewRecorder()}, r)
				later(time.Minute - time.Second)
				require.Empty(t, ended)
				later(2 * time.Second)
				require.Equal(t, c.stream, len(ended) == 1)
				close(finish)
				if c.stream {
					require.ErrorIs(t, <-ended, downtime.ErrWindow)
				} else {
					require.NoError(t, <-ended)
				}
			})
		})
	}
}

// takeable is a response whose connection can be taken over.
type takeable struct {
	*httptest.ResponseRecorder
	peer net.Conn // the client's end
}

func (w *takeable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, peer := net.Pipe()
	w.peer = peer
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), nil
}

// A window that is put off before a stream is due spares it; one that comes by an edit
// ends what runs already; and a closed guard ends nothing any more.
func TestStreamsFollowTheDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows())
		g := open(t, src, &downtime.Options{StreamJitter: time.Hour})
		s := streamer{make(chan error, 100)}
		ctx, cancel := context.WithCancel(t.Context())
		for range 20 {
			r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
			r.Header.Set("Accept", "text/event-stream")
			go g.Handler(s).ServeHTTP(httptest.NewRecorder(), r)
		}
		later(time.Second)
		w := window("w", 0, 10*time.Hour, "")
		off := fmt.Sprintf(", actual: {begin: %q, until: %q}}", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339), time.Now().Add(34*time.Hour).UTC().Format(time.RFC3339))
		src.set(windows(w), nil)
		later(10 * time.Second)
		early := len(s.ended)
		require.Less(t, early, 20)
		src.set(windows(strings.Replace(w, "}", off, 1)), nil)
		later(2 * time.Hour)
		require.Len(t, s.ended, early, "put off")
		src.set(windows(window("w", 0, 10*time.Hour, "")), nil)
		later(time.Hour + time.Second)
		require.Len(t, s.ended, 20)
		cancel()
	})
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 10*time.Minute, time.Hour, ""))), nil)
		s := streamer{make(chan error, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		r.Header.Set("Accept", "text/event-stream")
		go g.Handler(s).ServeHTTP(httptest.NewRecorder(), r)
		later(0)
		require.NoError(t, g.Close())
		later(time.Hour)
		require.Empty(t, s.ended)
		cancel()
		require.ErrorIs(t, <-s.ended, context.Canceled)
	})
}

// The jitter is at most a quarter of the window.
func TestStreamsOfAShortWindowEndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, 4*time.Second, ""))), &downtime.Options{StreamJitter: time.Hour})
		s := streamer{make(chan error, 20)}
		for range 20 {
			go get(g.Handler(s), "GET", "/", asEvents...)
		}
		later(time.Minute + 1100*time.Millisecond)
		require.Len(t, s.ended, 20)
	})
}

// A stream may be admitted just before its window begins, and be one of the guard's
// streams just after.
func TestAStreamThatIsAdmittedInTheLastMoment(t *testing.T) {
	t.Parallel()
	src := newSource(windows(window("shown", 200*time.Hour, time.Hour, ", announce: 300h")))
	g := open(t, src, &downtime.Options{StreamJitter: -1, StatusURL: "/status"})
	ended := make(chan error, 1)
	admitted, late := make(chan struct{}), make(chan struct{})
	w := lateHeader{ResponseRecorder: httptest.NewRecorder(), once: new(sync.Once), admitted: admitted, late: late}
	go func() {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", "text/event-stream")
		g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(200)
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		})).ServeHTTP(w, r)
	}()
	<-admitted // and on its way: the guard sets the Link
	src.mu.Lock()
	src.text = windows(window("now", -time.Minute, 100*time.Hour, ""))
	src.mu.Unlock()
	src.bell <- struct{}{}
	waitFor(t, func() bool { rep, err := g.Report("now"); return err == nil && rep.Busy == 1 })
	close(late)
	require.ErrorIs(t, <-ended, downtime.ErrWindow)
	rep, err := g.Drain(t.Context(), "now")
	require.NoError(t, err)
	require.True(t, rep.Quiet)
}

// lateHeader holds a request up where the guard sets a header.
type lateHeader struct {
	*httptest.ResponseRecorder
	once           *sync.Once
	admitted, late chan struct{}
}

func (w lateHeader) Header() http.Header {
	w.once.Do(func() { close(w.admitted) })
	<-w.late
	return w.ResponseRecorder.Header()
}

// TestOverRealServers is what handlers can do behind a guard, over HTTP/1.1 and HTTP/2: all
// that they can without.
func TestOverRealServers(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			src := newSource(windows())
			g := open(t, src, &downtime.Options{StreamJitter: -1})
			mux := http.NewServeMux()
			mux.HandleFunc("/what", func(w http.ResponseWriter, r *http.Request) {
				_, flusher := w.(http.Flusher)
				_, hijacker := w.(http.Hijacker)
				_, from := w.(io.ReaderFrom)
				controller := http.NewResponseController(w)
				fmt.Fprint(w, r.Proto, " ", flusher, hijacker, from, " ",
					controller.SetReadDeadline(time.Now().Add(time.Minute)), controller.SetWriteDeadline(time.Now().Add(time.Minute)), controller.Flush(),
					errors.Is(controller.EnableFullDuplex(), http.ErrNotSupported))
			})
			mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: hello\n\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				if errors.Is(context.Cause(r.Context()), downtime.ErrWindow) {
					_, _ = io.WriteString(w, "event: maintenance\ndata: bye\n\n")
				}
			})
			server := httptest.NewUnstartedServer(g.Handler(mux))
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)
			client := server.Client()

			resp, err := client.Get(server.URL + "/what")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			want := map[string]string{"HTTP/1.1": "HTTP/1.1 true true true <nil> <nil> <nil> false", "HTTP/2.0": "HTTP/2.0 true false false <nil> <nil> <nil> false"}
			require.Equal(t, want[protocol], string(body))

			events := func() *http.Response {
				r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/events", nil)
				require.NoError(t, err)
				r.Header.Set("Accept", "text/event-stream")
				resp, err := client.Do(r)
				require.NoError(t, err)
				require.Equal(t, 200, resp.StatusCode)
				t.Cleanup(func() { _ = resp.Body.Close() })
				return resp
			}
			open := events()
			line, err := bufio.NewReader(open.Body).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "data: hello\n", line)
			src.mu.Lock()
			src.text = windows(window("w", -time.Minute, time.Hour, ""))
			src.mu.Unlock()
			src.bell <- struct{}{}
			rest, err := io.ReadAll(open.Body)
			require.NoError(t, err, "a clean end")
			require.Contains(t, string(rest), "event: maintenance")
			rep, err := g.Drain(t.Context(), "w")
			require.NoError(t, err)
			require.True(t, rep.Quiet)

			again, err := io.ReadAll(events().Body)
			require.NoError(t, err)
			require.Regexp(t, "^retry: [0-9]+\nevent: maintenance\ndata: {.*}\n\n$", string(again))
		})
	}
}

// An upgraded connection through a reverse proxy, as one has WebSockets, ends with its
// window; one that asks for it later is refused plainly.
func TestUpgradeOverARealServer(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}))
	t.Cleanup(echo.Close)
	behind, err := url.Parse(echo.URL)
	require.NoError(t, err)
	src := newSource(windows())
	g := open(t, src, &downtime.Options{StreamJitter: -1})
	server := httptest.NewServer(g.Handler(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }}))
	t.Cleanup(server.Close)
	dial := func() (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		return server.Client().Do(r)
	}
	resp, err := dial()
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 101, resp.StatusCode)
	conn, is := resp.Body.(io.ReadWriteCloser)
	require.True(t, is)
	_, err = io.WriteString(conn, "hi\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hi\n", line)

	src.mu.Lock()
	src.text = windows(window("w", -time.Minute, time.Hour, ""))
	src.mu.Unlock()
	src.bell <- struct{}{}
	_, err = io.ReadAll(conn)
	if err != nil {
		require.NotErrorIs(t, err, context.DeadlineExceeded) // cut, which the reading side may see as a reset
	}
	rep, err := g.Drain(t.Context(), "w")
	require.NoError(t, err)
	require.True(t, rep.Quiet)
	refused, err := dial()
	require.NoError(t, err)
	defer refused.Body.Close()
	require.Equal(t, 503, refused.StatusCode)
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
}

// waitFor waits, in real time, for what the guard's goroutine does.
func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	require.Eventually(t, is, time.Minute, time.Millisecond)
}

// An upgrade may write, whatever its method, unless Classify says otherwise; h2c and TLS are
// offered by clients that do not wait for them, and those requests are as any other.
func TestUpgradesWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", 0, time.Hour, ", mode: read-only")))
		send := func(h http.Handler, method string, headers ...string) int {
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.Method = method
			for i := 0; i < len(headers); i += 2 {
				r.Header[headers[i]] = []string{headers[i+1]}
			}
			h.ServeHTTP(w, r)
			return w.Code
		}
		h := open(t, src, nil).Handler(ok)
		upgrade := func(protocol string) []string { return []string{"Connection", "Upgrade", "Upgrade", protocol} }
		for protocol, code := range map[string]int{
			"websocket": 503, "WebSocket": 503, "echo": 503, "h2c, websocket": 503,
			"h2c": 200, "H2C": 200, "TLS/1.2": 200, "TLS/1.0, h2c": 200, "": 200,
		} {
			require.Equal(t, code, send(h, "GET", upgrade(protocol)...), protocol)
		}
		require.Equal(t, 503, send(h, "CONNECT", ":protocol", "websocket"))
		require.Equal(t, 200, send(h, "GET", "Upgrade", "websocket"), "without Connection it is none")

		reads := open(t, src, &downtime.Options{Classify: func(*http.Request) downtime.Effect { return downtime.EffectRead }}).Handler(ok)
		require.Equal(t, 200, send(reads, "GET", upgrade("websocket")...))
		require.Equal(t, 200, send(reads, "CONNECT", ":protocol", "websocket"))
	})
}

// A request that only offers h2c is not ended by a window; one that Options.Stream names is.
func TestOptionsStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), &downtime.Options{
			StreamJitter: -1,
			Stream:       func(r *http.Request) bool { return r.URL.Path == "/mjpeg" },
		})
		causes := map[string]error{}
		h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Minute):
			}
			causes[r.URL.Path] = context.Cause(r.Context())
		}))
		go get(h, "POST", "/order", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
		go get(h, "GET", "/mjpeg")
		later(11 * time.Minute)
		require.NoError(t, causes["/order"])
		require.ErrorIs(t, causes["/mjpeg"], downtime.ErrWindow)
	})
}

// A handler's goroutine may ask its request for the context when the handler has returned, and a
// middleware outside may do so while it runs and serve its request once more. The race detector
// sees it if the guard sets a context in the request that it was given.
func TestTheRequestKeepsItsContext(t *testing.T) {
	t.Parallel()
	g := open(t, newSource(windows(window("w", time.Hour, time.Hour, ""))), nil)
	var late sync.WaitGroup
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.Context().Err(), "also when the request is served once more")
		ready := make(chan struct{})
		late.Go(func() {
			close(ready)
			<-r.Context().Done()
			assert.Equal(t, context.Canceled, context.Cause(r.Context()))
		})
		<-ready
		_, _ = io.WriteString(w, "ok")
	}))
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "outer")
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	for range 3 {
		h.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, ctx, r.Context(), "it is not one of the guard's")
		require.NoError(t, r.Context().Err())
	}
	late.Wait()
}
