package history_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/version/history"
)

// byName takes the Authorization header as the client's name.
func byName(r *http.Request) (string, error) {
	name := r.Header.Get("Authorization")
	if name == "" || name == "mallory" {
		return "", errors.New("not known")
	}
	return name, nil
}

func newCollector(t testing.TB, store history.Appender, opts *history.CollectorOptions) *history.Collector {
	t.Helper()
	if opts == nil {
		opts = &history.CollectorOptions{}
	}
	if opts.Authorize == nil {
		opts.Authorize = byName
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := history.NewCollector(store, opts)
	require.NoError(t, err)
	return c
}

// send posts a body with the client's name as its token.
func send(c http.Handler, client, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Authorization", client)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func noted(id, subject string) string {
	return fmt.Sprintf(`{"id":%q,"kind":"noted","time":"2026-11-20T11:20:00Z","event":{"kind":"flag","subject":%q}}`, id, subject)
}

// problem requires a refusal with this status and detail.
func problem(t *testing.T, w *httptest.ResponseRecorder, status int, detail string) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var p struct {
		Status int
		Detail string
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, status, p.Status)
	require.Contains(t, p.Detail, detail)
}

func TestCollector(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	c := newCollector(t, s, nil)
	w := send(c, "shop", noted("1", "a")+"\n{}\n"+noted("2", "b")+"\n")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"accepted":2,"refused":[{"line":2,"reason":"id: not an entry of a history: must be 1 to 64 letters, digits and \"-._\""}]}`, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	// The same id again is stored once, but each client has its own ids.
	require.Equal(t, http.StatusOK, send(c, "shop", noted("1", "a again")).Code)
	require.Equal(t, http.StatusOK, send(c, "till", noted("1", "c")).Code)
	l := timeline(t, s)
	require.Equal(t, "a b c", subjects(l))
	require.Equal(t, "till", l.Items[2].Client)
	entries, err := s.Entries(t.Context())
	require.NoError(t, err)
	require.Equal(t, "shop/1", entries[0].ID)

	// A client cannot set the fields of the store.
	e := strings.Replace(noted("3", "d"), "{", `{"received":"2030-01-01T00:00:00Z","at":"2030-01-01T00:00:00Z","client":"till",`, 1)
	require.Equal(t, http.StatusOK, send(c, "shop", e).Code)
	last := timeline(t, s).Items[3]
	require.Equal(t, "shop", last.Client)
	require.WithinDuration(t, time.Now(), last.Time, time.Minute)
	stats := c.Stats()
	require.Equal(t, []float64{5, 1, 0, 2}, []float64{stats["accepted"], stats["rejected"], stats["active"], stats["clients"]})
}

func TestCollectorRefuses(t *testing.T) {
	t.Parallel()
	m := &memory{}
	c := newCollector(t, m, nil)
	w := send(c, "", noted("1", "a"))
	problem(t, w, http.StatusUnauthorized, "no token")
	require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
	problem(t, send(c, "mallory", noted("1", "a")), http.StatusForbidden, "you may not")
	problem(t, send(c, "shop", ""), http.StatusBadRequest, "there is no entry")
	problem(t, send(c, "shop", "\n\n{]\n"), http.StatusBadRequest, "line 3: ")
	problem(t, send(c, "shop", strings.Repeat("\n", 1000)+"x"), http.StatusRequestEntityTooLarge, "1000 lines")
	problem(t, send(c, "shop", strings.Repeat("x", 3<<20)), http.StatusRequestEntityTooLarge, "2097152 bytes")

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "shop")
	w = httptest.NewRecorder()
	c.ServeHTTP(w, r)
	problem(t, w, http.StatusMethodNotAllowed, "POST")
	require.Equal(t, "POST", w.Header().Get("Allow"))
	for _, headers := range []http.Header{{}, {"Content-Type": {"text/plain"}}, {"Content-Type": {"application/x-ndjson"}, "Content-Encoding": {"gzip"}}} {
		r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(noted("1", "a")))
		r.Header = headers
		r.Header.Set("Authorization", "shop")
		w = httptest.NewRecorder()
		c.ServeHTTP(w, r)
		problem(t, w, http.StatusUnsupportedMediaType, "application/x-ndjson")
	}
	require.Empty(t, m.all())

	nobody, err := history.NewCollector(m, nil)
	require.NoError(t, err)
	problem(t, send(nobody, "shop", noted("1", "a")), http.StatusForbidden, "no client may report here")

	_, err = history.NewCollector(nil, nil)
	require.ErrorContains(t, err, "store is nil")
	_, err = history.NewCollector(m, &history.CollectorOptions{BytesPerDay: -1})
	require.ErrorContains(t, err, "must not be negative")
}

// TestCollectorStoreFails has a store that fails: clients get 503 with Retry-After.
func TestCollectorStoreFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := &memory{fault: errors.New("disk on fire")}
	c := newCollector(t, m, &history.CollectorOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		w := send(c, "shop", noted("1", "a"))
		problem(t, w, http.StatusServiceUnavailable, "cannot be written now")
		require.Equal(t, "5", w.Header().Get("Retry-After"))
		require.NotContains(t, w.Body.String(), "fire", "what it is stays here")
	}
	require.Equal(t, 1, strings.Count(log.String(), "disk on fire"))
	m.fault = nil
	require.Equal(t, http.StatusOK, send(c, "shop", noted("1", "a")).Code)
	require.Contains(t, log.String(), "works again")
	require.Equal(t, 3.0, c.Stats()["failed"])
}

// TestCollectorBudget has one client that uses up its budget. Other clients are not affected.
func TestCollectorBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		c := newCollector(t, m, &history.CollectorOptions{EntriesPerDay: 24, BytesPerDay: 10_000})
		n := 0
		for send(c, "shop", noted(fmt.Sprint(n), "a")).Code == http.StatusOK {
			n++
		}
		require.Equal(t, 24, n)
		w := send(c, "shop", noted("more", "a"))
		problem(t, w, http.StatusTooManyRequests, "more than its budget")
		require.Equal(t, "3600", w.Header().Get("Retry-After"))
		require.Equal(t, http.StatusOK, send(c, "till", noted("1", "a")).Code)

		time.Sleep(time.Hour)
		problem(t, send(c, "shop", noted("a", "a")+"\n"+noted("b", "a")), http.StatusTooManyRequests, "more than its budget")
		require.Equal(t, http.StatusOK, send(c, "shop", noted("more", "a")).Code)
		time.Sleep(48 * time.Hour)

		// The bytes of invalid entries count, too.
		require.Equal(t, http.StatusBadRequest, send(c, "shop", strings.Repeat("x", 9_000)).Code)
		require.Equal(t, http.StatusBadRequest, send(c, "shop", strings.Repeat("x", 9_000)).Code)
		problem(t, send(c, "shop", noted("even-more", "a")), http.StatusTooManyRequests, "more than its budget")
		require.Equal(t, 4.0, c.Stats()["throttled"])
		require.Len(t, m.all(), 26)
	})
}

// TestCollectorClients has more clients than budgets.
func TestCollectorClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t, &memory{fault: errors.New("nothing is kept")}, nil)
		for n := range 10_000 {
			require.Equal(t, http.StatusServiceUnavailable, send(c, fmt.Sprint("client-", n), noted("1", "a")).Code)
		}
		problem(t, send(c, "one-more", noted("1", "a")), http.StatusTooManyRequests, "")
		time.Sleep(24 * time.Hour)
		require.Equal(t, http.StatusServiceUnavailable, send(c, "one-more", noted("1", "a")).Code)
		require.Equal(t, 1.0, c.Stats()["clients"])
	})
}

// A slow store takes a second for each append.
type slow struct {
	memory
	appends []int
}

func (s *slow) Append(ctx context.Context, entries ...history.Entry) error {
	time.Sleep(time.Second)
	s.appends = append(s.appends, len(entries))
	return s.memory.Append(ctx, entries...)
}

// TestCollectorTogether: requests that arrive at the same time are appended together.
func TestCollectorTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		c := newCollector(t, s, nil)
		var clients sync.WaitGroup
		for n := range 40 {
			clients.Go(func() {
				if w := send(c, fmt.Sprint("client-", n%10), noted(fmt.Sprint(n), "a")); w.Code != http.StatusOK {
					t.Error(w.Body)
				}
			})
		}
		clients.Wait()
		require.Len(t, s.all(), 40)
		require.LessOrEqual(t, len(s.appends), 3, "%v", s.appends)
	})
}

// TestCollectorCrowd has too many requests at the same time, of one client and of all.
func TestCollectorCrowd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ clients, kept, status int }{
		{1, 16, http.StatusTooManyRequests},
		{100, 64, http.StatusServiceUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{}
			h := newCollector(t, s, nil)
			var clients sync.WaitGroup
			var mu sync.Mutex
			codes := map[int]int{}
			for n := range 100 {
				clients.Go(func() {
					w := send(h, fmt.Sprint("client-", n%c.clients), noted(fmt.Sprint(n), "a"))
					mu.Lock()
					defer mu.Unlock()
					codes[w.Code]++
				})
			}
			clients.Wait()
			require.Equal(t, map[int]int{http.StatusOK: c.kept, c.status: 100 - c.kept}, codes)
			require.Zero(t, h.Stats()["active"])
		})
	}
}

// TestCollectorPanic has a store that panics. The next request is served.
func TestCollectorPanic(t *testing.T) {
	t.Parallel()
	m := &memory{}
	c := newCollector(t, panics{m}, nil)
	require.Panics(t, func() { send(c, "shop", noted("panic", "a")) })
	require.Equal(t, http.StatusOK, send(c, "shop", noted("1", "a")).Code)
	require.Zero(t, c.Stats()["active"])
}

type panics struct{ *memory }

func (p panics) Append(ctx context.Context, entries ...history.Entry) error {
	if strings.HasSuffix(entries[0].ID, "panic") {
		panic("on purpose")
	}
	return p.memory.Append(ctx, entries...)
}

// TestCollectorSlowBody has a client that sends one byte and then nothing. It gets 408.
func TestCollectorSlowBody(t *testing.T) {
	t.Parallel()
	c := newCollector(t, &memory{}, nil)
	deadlines := make(chan time.Time, 2)
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), brokenBody{}))
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Authorization", "shop")
	w := httptest.NewRecorder()
	c.ServeHTTP(&deadlined{w, deadlines}, r)
	problem(t, w, http.StatusBadRequest, "cannot be read")
	require.WithinDuration(t, time.Now().Add(10*time.Second), <-deadlines, 5*time.Second)
	require.Empty(t, deadlines, "it stays")
}

// pipes is a listener in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serveInMemory serves a collector on connections in memory. Call it in a synctest bubble.
func serveInMemory(t *testing.T, c http.Handler) (dial func() net.Conn) {
	listener := make(pipes, 1)
	server := &http.Server{Handler: c, ReadTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		close(listener)
		require.NoError(t, server.Close())
		<-served
		time.Sleep(time.Minute) // a closed connection lingers
	})
	return func() net.Conn {
		client, conn := net.Pipe()
		listener <- conn
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

func head(method, headers string) string {
	return method + " / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n" + headers + "\r\n"
}

// TestCollectorSlowClient does the same with a real server.
func TestCollectorSlowClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := serveInMemory(t, newCollector(t, &memory{}, nil))()
		_, err := io.WriteString(client, head("POST", "Authorization: shop\r\nContent-Length: 1000\r\n")+"{")
		require.NoError(t, err)
		require.NoError(t, client.SetDeadline(time.Now().Add(15*time.Second)))
		answer, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Contains(t, string(answer), "408 Request Timeout")
	})
}

// TestCollectorRefusesAtOnce has requests whose body never arrives. If the header is enough to
// refuse the request, the response comes at once, and the connection is closed.
func TestCollectorRefusesAtOnce(t *testing.T) {
	t.Parallel()
	for want, request := range map[string]string{
		"401 ":          head("POST", "Content-Length: 1000\r\n"),
		"403 ":          head("POST", "Authorization: mallory\r\nContent-Length: 1000\r\n"),
		"405 ":          head("PUT", "Authorization: shop\r\nContent-Length: 300000\r\n"),
		"HTTP/1.1 405 ": head("HEAD", "Authorization: shop\r\nContent-Length: 1000\r\n"),
		"415 ":          head("POST", "Authorization: shop\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
		"429 ":          head("POST", "Authorization: poor\r\nContent-Length: 1000\r\n") + "{",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCollector(t, &memory{}, &history.CollectorOptions{EntriesPerDay: 1})
			require.Equal(t, http.StatusOK, send(c, "poor", noted("1", "a")).Code)
			client := serveInMemory(t, c)()
			began := time.Now()
			_, err := io.WriteString(client, request[:len(request)-1])
			require.NoError(t, err)
			go func() { _, _ = io.WriteString(client, request[len(request)-1:]) }()
			in := bufio.NewReader(client)
			line, err := in.ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, want)
			require.Zero(t, time.Since(began), "%s", want)
			rest, err := io.ReadAll(in)
			require.NoError(t, err)
			require.Contains(t, string(rest), "Connection: close")
			require.LessOrEqual(t, time.Since(began), time.Second)
		})
	}
}

// TestCollectorTricklers has many authorised clients that send a byte now and then. They do not
// delay other clients.
func TestCollectorTricklers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		clients, each int
		begin         string
	}{
		{300, 1, ""},
		{50, 16, ""},
		{20, 1, strings.Repeat(noted("1", "a")+"\n", 600)}, // more than 64 KiB have arrived
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{}
			c := newCollector(t, m, nil)
			dial := serveInMemory(t, c)
			var tricklers sync.WaitGroup
			for n := range test.clients * test.each {
				client := dial()
				tricklers.Go(func() {
					request := head("POST", fmt.Sprintf("Authorization: trickler-%d\r\nContent-Length: 1000000\r\n", n%test.clients)) + test.begin
					if _, err := io.WriteString(client, request); err != nil {
						return
					}
					for {
						if _, err := io.WriteString(client, "\n"); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
			}
			synctest.Wait()
			began := time.Now()
			for n := range 20 {
				w := send(c, "shop", noted(fmt.Sprint(n), "a"))
				require.Equal(t, http.StatusOK, w.Code, w.Body)
			}
			require.Zero(t, time.Since(began))

			// A large request only waits for its turn.
			large := strings.Repeat(noted("1", "a")+"\n", 900)
			w := send(c, "shop", large)
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.LessOrEqual(t, time.Since(began), 20*time.Second)
			time.Sleep(time.Minute)
			require.Zero(t, c.Stats()["active"], "those that sent too slowly have gone")
			require.NotZero(t, c.Stats()["malformed"])
		})
	}
}

// collect sends the largest allowed requests of many clients to a collector at the same time. It
// prints how much memory the process has got from the system for its heap.
func collect() int {
	c, err := history.NewCollector(nothing{}, &history.CollectorOptions{
		Authorize: func(r *http.Request) (string, error) { return r.Header.Get("Authorization"), nil },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server := httptest.NewServer(c)
	defer server.Close()
	info, err := json.Marshal(big("v1.0.0"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var body []byte
	for line := 0; len(body) < 1_800_000; line++ {
		body = fmt.Appendf(body, `{"id":"e%d","kind":"started","run":"e%d","time":%q,"service":"shop","info":%s}`+"\n",
			line, line, time.Now().Format(time.RFC3339Nano), strings.ReplaceAll(string(info), "v1.0.0", fmt.Sprint("v1.0.", line)))
	}
	var senders sync.WaitGroup
	clients, err := strconv.Atoi(os.Getenv(writerName))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	codes := make([]int, clients)
	for n := range codes {
		senders.Go(func() {
			r, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
			if err != nil {
				return
			}
			r.Header.Set("Content-Type", "application/x-ndjson")
			r.Header.Set("Authorization", fmt.Sprint("client-", n))
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				return
			}
			codes[n] = response.StatusCode
			_ = response.Body.Close()
		})
	}
	senders.Wait()
	kept := 0
	for _, code := range codes {
		if code == http.StatusOK {
			kept++
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println(kept, m.HeapSys>>20)
	return 0
}

// nothing is kept in it.
type nothing struct{}

func (nothing) Append(context.Context, ...history.Entry) error { return nil }

// TestCollectorMemory has many clients that send 1.8 MB each at the same time. It runs in a
// process of its own, because it measures the memory of the process.
func TestCollectorMemory(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerFile+"=none", writerMode+"=collect", writerName+"="+strconv.Itoa(testsize.Pick(10, 20, 60)))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var kept, megabytes int
	_, err = fmt.Sscan(string(out), &kept, &megabytes)
	require.NoError(t, err)
	t.Logf("%d requests were kept, with %d MB", kept, megabytes)
	require.Positive(t, kept)
	require.LessOrEqual(t, megabytes, 200)
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("i/o timeout") }

type deadlined struct {
	*httptest.ResponseRecorder
	deadlines chan time.Time
}

func (d *deadlined) SetReadDeadline(t time.Time) error {
	d.deadlines <- t
	return nil
}
