package downtime_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// What still runs when the grace is over is cut: its context, its reads and its writes.
func TestGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, `, scope: {paths: ["/in/**"]}`))), &downtime.Options{Grace: 30 * time.Second})
		running, failed := make(chan struct{}), make(chan []error, 1)
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/in/export" {
				<-running
				return
			}
			w.Header().Set("Content-Type", "text/csv")
			_, _ = io.WriteString(w, "a,b\n")
			_ = http.NewResponseController(w).Flush() // which does not make it a stream
			<-r.Context().Done()
			cause := context.Cause(r.Context())
			_, wrote := w.Write([]byte("1,2\n"))
			flushed := http.NewResponseController(w).Flush()
			_, copied := io.WriteString(w, "3,4\n")
			_, read := io.ReadAll(r.Body)
			failed <- []error{cause, wrote, read, flushed, copied}
			<-running
		}))
		result := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/in/export", strings.NewReader("the body")))
			result <- w
		}()
		go get(h, "POST", "/out")
		later(time.Minute + 30*time.Second - time.Nanosecond)
		require.InDelta(t, 0, g.Stats()["cut"], 0)
		later(time.Nanosecond)
		for _, err := range <-failed {
			require.ErrorIs(t, err, downtime.ErrWindow)
			var refused *downtime.UnavailableError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "w", refused.Window)
			require.Positive(t, refused.RetryAfter)
		}
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.EqualValues(t, 1, rep.Cut)
		require.Equal(t, 1, rep.Busy, "it counts until it has returned")
		require.False(t, rep.Quiet)
		require.Contains(t, rep.String(), "1 cut")
		require.InDelta(t, 1, g.Stats()["cut"], 0)
		require.InDelta(t, 2, g.Stats()["in_flight"], 0)
		close(running)
		w := <-result
		require.Equal(t, "a,b\n", w.Body.String())
		rep, err = g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.EqualValues(t, 1, rep.Cut)
		require.InDelta(t, 0, g.Stats()["refused"], 0, "what was admitted is not refused")
	})
}

// Zero means never.
func TestWithoutGraceNothingIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, 10*time.Hour, ""))), nil)
		finish := make(chan struct{})
		var cause error
		go get(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-finish
			cause = context.Cause(r.Context())
			_, err := w.Write([]byte("done"))
			require.NoError(t, err)
		})), "POST", "/")
		later(9 * time.Hour)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy)
		require.Zero(t, rep.Cut)
		close(finish)
		later(0)
		require.NoError(t, cause)
	})
	_, err := downtime.Open(t.Context(), downtime.Bytes("w", nil), &downtime.Options{Grace: -1})
	require.ErrorContains(t, err, "Options.Grace must not be negative")
}

// If a request was cut before its response began, the guard answers with a refusal.
func TestWhatIsCutUnansweredIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), &downtime.Options{Grace: time.Second, RetryJitter: -1})
		result := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			result <- get(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				<-r.Context().Done()
				http.Error(w, "the store does not answer", http.StatusBadGateway)
			})), "POST", "/")
		}()
		later(time.Minute + time.Second)
		w := <-result
		require.Equal(t, 503, w.Code)
		require.Equal(t, "3599", w.Header().Get("Retry-After"))
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.Empty(t, w.Header().Get("Content-Encoding"))
		require.Contains(t, w.Body.String(), `"window":"w"`)
		require.NotContains(t, w.Body.String(), "the store")
	})
}

// Grace counts from the window's start, or from the edit that brings what runs into scope. An
// edit does not prolong it for requests that were in scope before.
func TestGraceCountsFromTheEdit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows())
		g := open(t, src, &downtime.Options{Grace: time.Minute})
		began := time.Now()
		var mu sync.Mutex
		cut := map[string]time.Duration{}
		h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(context.Cause(r.Context()), downtime.ErrWindow) {
				cut[r.Method+" "+r.URL.Path] = time.Since(began).Round(time.Second)
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, what := range []string{"POST /a", "POST /b", "GET /b", "GET /c"} {
			method, path, _ := strings.Cut(what, " ")
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil).WithContext(ctx))
		}
		later(10 * time.Second)
		start := time.Now()
		edit := func(more string) {
			src.set(windows(fmt.Sprintf("  - {id: w, start: %q, duration: 10h%s}\n", start.UTC().Format(time.RFC3339Nano), more)), nil)
		}
		edit(`, scope: {paths: ["/a"]}`) // at 10 s, seen at once
		later(29 * time.Second)
		edit(`, mode: read-only, scope: {paths: ["/a", "/b"]}`) // at 40 s
		later(19 * time.Second)
		require.InDelta(t, 0, g.Stats()["cut"], 0)
		edit(`, scope: {paths: ["/a", "/b"]}`) // at 60 s: reads too
		later(5 * time.Minute)
		edit(`, scope: {paths: ["/a", "/b"]}, message: Soon.`) // no other scope
		later(5 * time.Minute)
		mu.Lock()
		require.Equal(t, map[string]time.Duration{"POST /a": 70 * time.Second, "POST /b": 100 * time.Second, "GET /b": 120 * time.Second}, cut)
		mu.Unlock()
		cancel()
	})
}

// A window that was put off and begins again gives another grace.
func TestGraceBeginsAnewWithTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows())
		g := open(t, src, &downtime.Options{Grace: time.Minute})
		ctx, leave, err := g.EnterContext(t.Context(), downtime.Work{Name: "job"})
		require.NoError(t, err)
		defer leave()
		on := windows(window("w", 0, 10*time.Hour, ""))
		src.set(on, nil)
		later(40 * time.Second)
		src.set("allowShrink: true\n"+windows(), nil)
		later(time.Minute)
		src.set(on, nil)
		later(50 * time.Second)
		require.NoError(t, ctx.Err())
		later(10 * time.Second)
		require.ErrorIs(t, context.Cause(ctx), downtime.ErrWindow)
	})
}

func TestGraceAndWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, `, scope: {work: ["*"]}`))), &downtime.Options{Grace: time.Minute})
		ctx, leaveContext, err := g.EnterContext(t.Context(), downtime.Work{Name: "rpc"})
		require.NoError(t, err)
		leave, err := g.Enter(t.Context(), downtime.Work{Name: "import"})
		require.NoError(t, err)
		waited, err := g.EnterWait(t.Context(), downtime.Work{Name: "cron"})
		require.NoError(t, err)
		release, err := g.Hold(downtime.Work{Name: "mail"})
		require.NoError(t, err)
		later(2*time.Minute - time.Second)
		require.NoError(t, ctx.Err())
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Zero(t, rep.Uncut)
		late, err := g.Hold(downtime.Work{Name: "mail"})
		require.NoError(t, err, "the window is not quiet")
		later(time.Second)
		require.ErrorIs(t, context.Cause(ctx), downtime.ErrWindow)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 5, rep.Busy)
		require.EqualValues(t, 1, rep.Cut)
		later(time.Second)
		rep, err = g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 4, rep.Uncut, "they have no context of the guard's")
		require.Contains(t, rep.String(), "4 cannot be cut")
		leaveContext()
		leave()
		waited()
		release()
		late()
		rep, err = g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
		require.Zero(t, rep.Uncut)
	})
}

func TestGraceSparesWhatBypasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := bypassing(t, newSource(windows(window("w", 0, time.Hour, ""))), downtime.Bypass{}, downtime.Options{Grace: time.Minute})
		finish := make(chan struct{})
		var cause, wrote error
		go get(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-finish
			cause = context.Cause(r.Context())
			_, wrote = io.WriteString(w, "ok")
		})), "POST", "/", "Upkeep-Bypass", mint(t, nil))
		later(50 * time.Minute)
		close(finish)
		later(0)
		require.NoError(t, cause)
		require.NoError(t, wrote)
		require.InDelta(t, 0, g.Stats()["cut"], 0)
	})
}

// A connection that was taken over counts until it is closed, also when its handler has
// returned. Drain notices at once.
func TestAHijackedConnectionCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), nil)
		var conn net.Conn
		w := &takeable{ResponseRecorder: httptest.NewRecorder()}
		g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var err error
			conn, _, err = w.(http.Hijacker).Hijack()
			require.NoError(t, err)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/ws", nil))
		later(2 * time.Minute)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.Equal(t, 1, rep.Busy)
		inner, is := conn.(interface{ NetConn() net.Conn })
		require.True(t, is)
		require.NotNil(t, inner.NetConn())
		quiet := make(chan time.Time, 1)
		go func() {
			rep, err := g.Drain(t.Context(), "w")
			require.NoError(t, err)
			require.True(t, rep.Quiet)
			quiet <- time.Now()
		}()
		later(time.Minute)
		require.Empty(t, quiet)
		closed := time.Now()
		require.NoError(t, conn.Close())
		require.NoError(t, conn.Close())
		require.LessOrEqual(t, (<-quiet).Sub(closed), 100*time.Millisecond)
		require.InDelta(t, 0, g.Stats()["in_flight"], 0)
	})
}

// A connection that was closed while its handler goes on counts until that returns.
func TestAHijackedConnectionAndItsHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), nil)
		finish := make(chan struct{})
		go g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			<-finish
		})).ServeHTTP(&takeable{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequest("GET", "/ws", nil))
		later(2 * time.Minute)
		require.InDelta(t, 1, g.Stats()["in_flight"], 0)
		close(finish)
		later(0)
		require.InDelta(t, 0, g.Stats()["in_flight"], 0)
	})
}

// After the grace the guard closes it, whether or not the handler has returned.
func TestAHijackedConnectionIsClosedAfterTheGrace(t *testing.T) {
	t.Parallel()
	for _, returns := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), &downtime.Options{Grace: time.Minute})
			var read, readBuffered error
			ended := make(chan struct{})
			w := &takeable{ResponseRecorder: httptest.NewRecorder()}
			go g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				require.NoError(t, err)
				serve := func() {
					_, read = conn.Read(make([]byte, 1))
					_, readBuffered = rw.ReadByte()
					close(ended)
				}
				if returns {
					go serve()
				} else {
					serve()
				}
			})).ServeHTTP(w, httptest.NewRequest("GET", "/ws", nil))
			later(2*time.Minute - time.Nanosecond)
			require.InDelta(t, 1, g.Stats()["in_flight"], 0)
			later(time.Nanosecond)
			<-ended
			require.Error(t, read)
			require.Error(t, readBuffered)
			later(0)
			require.InDelta(t, 0, g.Stats()["in_flight"], 0)
			rep, err := g.Drain(t.Context(), "w")
			require.NoError(t, err)
			require.True(t, rep.Quiet)
			require.EqualValues(t, 1, rep.Cut)
		})
	}
}

// Slow clients of a real server, over HTTP/1.1 and HTTP/2: one trickles an upload, one takes
// nothing of an endless response, one sleeps.
func TestGraceOverRealServers(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			src := newSource(windows())
			g := open(t, src, &downtime.Options{Grace: 50 * time.Millisecond, StreamJitter: -1})
			errs := map[string]chan error{"/upload": make(chan error, 1), "/endless": make(chan error, 1), "/sleep": make(chan error, 1)}
			server := httptest.NewUnstartedServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var err error
				switch r.URL.Path {
				case "/upload":
					_, err = io.Copy(io.Discard, r.Body)
				case "/endless":
					block := bytes.Repeat([]byte("x"), 64<<10)
					for err == nil {
						_, err = w.Write(block)
					}
				case "/sleep":
					<-r.Context().Done()
					err = context.Cause(r.Context())
				default:
					return
				}
				errs[r.URL.Path] <- err
			})))
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)
			client := server.Client()

			pr, pw := io.Pipe()
			t.Cleanup(func() { _ = pw.Close() })
			uploaded := make(chan *http.Response, 1)
			go func() {
				r, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/upload", pr)
				resp, err := client.Do(r)
				if err != nil {
					resp = nil
				}
				uploaded <- resp
			}()
			_, err := pw.Write([]byte("a"))
			require.NoError(t, err)
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/endless", nil)
			require.NoError(t, err)
			endless, err := client.Do(r)
			require.NoError(t, err)
			t.Cleanup(func() { _ = endless.Body.Close() })
			slept := make(chan int, 1)
			go func() {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/sleep", nil)
				resp, err := client.Do(r)
				if err != nil {
					slept <- 0
					return
				}
				_ = resp.Body.Close()
				slept <- resp.StatusCode
			}()
			waitFor(t, func() bool { return g.Stats()["in_flight"] == 3 })

			src.mu.Lock()
			src.text = windows(window("w", -time.Minute, time.Hour, ""))
			src.mu.Unlock()
			src.bell <- struct{}{}
			for path, err := range errs {
				require.ErrorIs(t, <-err, downtime.ErrWindow, path)
			}
			waitFor(t, func() bool { rep, err := g.Report("w"); return err == nil && rep.Quiet })
			rep, err := g.Drain(t.Context(), "w")
			require.NoError(t, err)
			require.EqualValues(t, 3, rep.Cut)
			require.Equal(t, 503, <-slept, "the guard answers for what had not")
			_, err = io.Copy(io.Discard, endless.Body)
			require.Error(t, err, "half a response is not taken for a whole one")
			if resp := <-uploaded; resp != nil { // else the client saw the connection end while it was sending
				require.Equal(t, 503, resp.StatusCode)
				require.NotEmpty(t, resp.Header.Get("Retry-After"))
				_ = resp.Body.Close()
			}
			// The client can use the connection again, or opens a new one.
			src.mu.Lock()
			src.text = "allowShrink: true\n" + windows()
			src.mu.Unlock()
			src.bell <- struct{}{}
			waitFor(t, func() bool { return len(g.State().Windows) == 0 })
			resp, err := client.Get(server.URL + "/other")
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			_ = resp.Body.Close()
		})
	}
}

// A hijacked connection of a real server, with and without TLS.
func TestHijackedConnectionsOfRealServers(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			t.Parallel()
			src := newSource(windows())
			g := open(t, src, &downtime.Options{Grace: 50 * time.Millisecond, StreamJitter: -1})
			server := httptest.NewUnstartedServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				_, halves := conn.(interface{ CloseWrite() error })
				_, _ = fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", halves, "\n")
				_ = rw.Flush()
				go func() { // as many WebSocket handlers do
					_, _ = io.Copy(conn, rw)
					_ = conn.Close()
				}()
			})))
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			t.Cleanup(server.Close)
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
			require.NoError(t, err)
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "echo")
			resp, err := server.Client().Do(r)
			require.NoError(t, err)
			require.Equal(t, 101, resp.StatusCode)
			conn := resp.Body.(io.ReadWriteCloser)
			t.Cleanup(func() { _ = conn.Close() })
			read := bufio.NewReader(conn)
			line, err := read.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "true\n", line)
			_, err = io.WriteString(conn, "hi\n")
			require.NoError(t, err)
			line, err = read.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "hi\n", line)
			require.InDelta(t, 1, g.Stats()["in_flight"], 0)

			src.mu.Lock()
			src.text = windows(window("w", -time.Minute, time.Hour, ""))
			src.mu.Unlock()
			src.bell <- struct{}{}
			_, _ = io.Copy(io.Discard, read) // to the end that the guard makes
			waitFor(t, func() bool { rep, err := g.Report("w"); return err == nil && rep.Quiet && rep.Cut == 1 })
		})
	}
}
