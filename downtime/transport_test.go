package downtime_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// tripper is a base of a Transport.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// body records whether it was closed, and how much of it was read.
type body struct {
	io.Reader
	read   int
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *body) Close() error { b.closed = true; return nil }

func answer(code int, b io.ReadCloser, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	if b == nil {
		b = http.NoBody
	}
	return &http.Response{StatusCode: code, Header: h, Body: b}
}

// served lets a handler be the base of a Transport.
func served(h http.Handler) tripper {
	return func(r *http.Request) (*http.Response, error) {
		in := r.Clone(r.Context())
		if in.Body == nil {
			in.Body = http.NoBody
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, in)
		return w.Result(), r.Context().Err()
	}
}

func TestTransportReadsRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
		for _, c := range []struct {
			name    string
			headers []string
			want    time.Duration // negative: no error
		}{
			{"none", nil, -1},
			{"seconds", []string{"Retry-After", "120"}, 2 * time.Minute},
			{"zero", []string{"Retry-After", "0"}, 0},
			{"spaces", []string{"Retry-After", " 7\t"}, 7 * time.Second},
			{"too many seconds", []string{"Retry-After", "99999999999999999999999"}, 366 * 24 * time.Hour},
			{"very many seconds", []string{"Retry-After", "9999999999"}, 366 * 24 * time.Hour},
			{"negative", []string{"Retry-After", "-5"}, -1},
			{"signed", []string{"Retry-After", "+5"}, -1},
			{"fraction", []string{"Retry-After", "1.5"}, -1},
			{"empty", []string{"Retry-After", ""}, -1},
			{"word", []string{"Retry-After", "soon"}, -1},
			{"two", []string{"Retry-After", "1", "Retry-After", "2"}, -1},
			{"date", []string{"Retry-After", date(time.Minute)}, time.Minute},
			{"date that has passed", []string{"Retry-After", date(-time.Minute)}, 0},
			{"date far off", []string{"Retry-After", date(20000 * time.Hour)}, 366 * 24 * time.Hour},
			{"date of a clock an hour late", []string{"Retry-After", date(time.Minute - time.Hour), "Date", date(-time.Hour)}, time.Minute},
			{"date of an odd clock", []string{"Retry-After", date(time.Minute), "Date", "yesterday"}, time.Minute},
			{"RFC 850", []string{"Retry-After", now.Add(time.Minute).UTC().Format("Monday, 02-Jan-06 15:04:05 MST")}, time.Minute},
		} {
			b := &body{Reader: strings.NewReader("down")}
			resp, err := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) { return answer(503, b, c.headers...), nil })).
				RoundTrip(httptest.NewRequest("GET", "https://shop.example/orders/1?secret=2", nil))
			if c.want < 0 {
				require.NoError(t, err, c.name)
				require.Equal(t, 503, resp.StatusCode)
				require.False(t, b.closed, "the caller's")
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "down", string(text))
				continue
			}
			require.Nil(t, resp)
			var refused *downtime.UnavailableError
			require.ErrorAs(t, err, &refused, c.name)
			require.ErrorIs(t, err, downtime.ErrWindow)
			require.Equal(t, downtime.UnavailableError{
				Host: "shop.example", Mode: schedule.ModeClosed, Reason: "The service is not available.", Until: now.Add(c.want), RetryAfter: c.want,
			}, *refused, c.name)
			require.True(t, b.closed)
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "orders")
		}
	})
}

func TestTransportLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	for _, code := range []int{200, 301, 404, 429, 500, 502, 504} {
		want := answer(code, nil, "Retry-After", "5")
		got, err := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) { return want, nil })).
			RoundTrip(httptest.NewRequest("GET", "/", nil))
		require.NoError(t, err)
		require.Same(t, want, got)
	}
	_, err := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })).
		RoundTrip(httptest.NewRequest("GET", "/", nil))
	require.Equal(t, io.ErrUnexpectedEOF, err)

	closed := 0
	client := &http.Client{Transport: downtime.Transport(idle{&closed})}
	client.CloseIdleConnections()
	require.Equal(t, 1, closed)
	(&http.Client{Transport: downtime.Transport(tripper(nil))}).CloseIdleConnections()
}

type idle struct{ closed *int }

func (idle) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.ErrUnsupported }
func (i idle) CloseIdleConnections()                         { *i.closed++ }

func TestTransportReadsProblems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plain := downtime.UnavailableError{Host: "x", Mode: schedule.ModeClosed, Reason: "The service is not available.", Until: time.Now().Add(time.Minute), RetryAfter: time.Minute}
		end := time.Date(2000, 1, 1, 3, 0, 0, 0, time.UTC)
		for text, want := range map[string]downtime.UnavailableError{
			`{"mode":"read-only","window":"w","detail":"Soon.","end":"2000-01-01T03:00:00Z"}`: {Host: "x", Mode: schedule.ModeReadOnly, Window: "w", Reason: "Soon.", Until: end, RetryAfter: time.Minute},
			`{"mode":"closed"}`: plain,
			`{"mode":"closed","window":"../../etc","detail":"a\u0000\u001b[31m\nb\u202e"}`: {Host: "x", Mode: schedule.ModeClosed, Reason: "a[31m\nb", Until: plain.Until, RetryAfter: time.Minute},
			`{"mode":"rehearse","window":"w","detail":"x"}`:                                plain,
			`{"window":"w","detail":"somebody else's"}`:                                    plain,
			`{"mode":"closed","window":7}`:                                                 plain,
			`{"mode":"closed","end":"1999-12-31T00:00:00Z"}`:                               plain,
			`{"mode":"closed","end":"later"}`:                                              plain,
			`{"mode":"closed","detail":"` + strings.Repeat("x", 3000) + `"}`:               plain,
			`{"mode":"closed","window":"w"} trailing`:                                      plain,
			`null`:                      plain,
			``:                          plain,
			strings.Repeat("[", 100000): plain,
		} {
			b := &body{Reader: strings.NewReader(text)}
			_, err := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) {
				return answer(503, b, "Retry-After", "60", "Content-Type", "application/problem+json; charset=utf-8"), nil
			})).RoundTrip(httptest.NewRequest("GET", "http://x/", nil))
			var refused *downtime.UnavailableError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, want, *refused, text)
			require.True(t, b.closed)
			require.LessOrEqual(t, b.read, 64<<10)
		}
		endless := &body{Reader: zeros{}}
		_, err := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) {
			return answer(503, endless, "Retry-After", "60", "Content-Type", "application/problem+json"), nil
		})).RoundTrip(httptest.NewRequest("GET", "http://x/", nil))
		require.EqualError(t, err, `downtime: "x" is not available: refused until 2000-01-01T00:01:00Z`)
		require.Equal(t, 64<<10, endless.read)
		require.True(t, endless.closed)
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Guard and Transport understand each other.
func TestTransportAgainstAGuard(t *testing.T) {
	t.Parallel()
	g := open(t, downtime.Bytes("w", []byte(windows(window("orders", -time.Minute, time.Hour, `, mode: read-only, message: "Back <soon>."`)))), nil)
	server := httptest.NewServer(g.Handler(ok))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: downtime.Transport(server.Client().Transport)}
	_, err := client.Post(server.URL+"/orders?card=4711", "text/plain", strings.NewReader("x"))
	var refused *downtime.UnavailableError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, server.Listener.Addr().String(), refused.Host)
	require.Equal(t, "orders", refused.Window)
	require.Equal(t, schedule.ModeReadOnly, refused.Mode)
	require.Equal(t, "Back <soon>.", refused.Reason)
	require.True(t, refused.Until.Equal(g.State().Windows[0].End))
	require.InDelta(t, (59 * time.Minute).Seconds(), refused.RetryAfter.Seconds(), 60)
	require.Contains(t, refused.Error(), `refused by window "orders" (read-only) until `)
	require.NotContains(t, refused.Error(), "4711")
	resp, err := client.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
}

func TestTransportWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, 2*time.Minute, ""))), &downtime.Options{RetryMax: 50 * time.Second, RetryJitter: -1})
		got := make(chan string, 20)
		client := &http.Client{Transport: downtime.Transport(served(g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			got <- r.Method + " " + string(text)
		}))))}
		began := time.Now()
		do := func(ctx context.Context, method string, body io.Reader, headers ...string) (time.Duration, error) {
			r, err := http.NewRequestWithContext(ctx, method, "http://x/", body)
			require.NoError(t, err)
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			at := time.Now()
			resp, err := client.Do(r)
			if err == nil {
				require.Equal(t, 200, resp.StatusCode)
			}
			return time.Since(at), err
		}
		refused := func(took time.Duration, err error) {
			t.Helper()
			require.ErrorIs(t, err, downtime.ErrWindow)
			require.Zero(t, took, "at once")
		}
		ctx := downtime.WithWait(t.Context(), 5*time.Minute)
		refused(do(t.Context(), "GET", nil))
		refused(do(downtime.WithWait(ctx, 0), "GET", nil))
		refused(do(downtime.WithWait(ctx, -1), "GET", nil))
		refused(do(downtime.WithWait(ctx, 49*time.Second), "GET", nil))
		refused(do(ctx, "POST", nil))
		refused(do(ctx, "PATCH", strings.NewReader("x")))
		refused(do(ctx, "PUT", onlyReader{strings.NewReader("x")}))
		refused(do(ctx, "POST", onlyReader{strings.NewReader("x")}, "Idempotency-Key", "1"))
		short, cancel := context.WithTimeout(ctx, 49*time.Second)
		defer cancel()
		refused(do(short, "GET", nil))
		client.Timeout = 45 * time.Second
		refused(do(ctx, "GET", nil))
		client.Timeout = 0
		require.Equal(t, began, time.Now())

		done := make(chan error, 20)
		n := 0
		for method, headers := range map[string][]string{
			"GET": nil, "HEAD": nil, "OPTIONS": nil, "TRACE": nil, "PUT": nil, "DELETE": nil, "QUERY": nil, "PROPFIND": nil, "POST": {"Idempotency-Key", "4711"},
		} {
			n++
			go func() {
				var body io.Reader
				if method == "PUT" || method == "POST" {
					body = bytes.NewReader([]byte("all of it"))
				}
				_, err := do(ctx, method, body, headers...)
				done <- err
			}()
		}
		for range n {
			require.NoError(t, <-done)
		}
		require.GreaterOrEqual(t, time.Since(began), 2*time.Minute, "asked thrice")
		require.LessOrEqual(t, time.Since(began), 2*time.Minute+15*time.Second)
		bodies := 0
		for range n {
			if strings.HasSuffix(<-got, " all of it") {
				bodies++
			}
		}
		require.Equal(t, 2, bodies)
	})
}

// onlyReader hides what http.NewRequest makes GetBody of.
type onlyReader struct{ io.Reader }

func TestTransportGivesUpWaitingInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		transport := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) {
			tries++
			return answer(503, nil, "Retry-After", "0"), nil
		}))
		began := time.Now()
		r := httptest.NewRequest("GET", "http://x/", nil).WithContext(downtime.WithWait(t.Context(), 10*time.Second))
		_, err := transport.RoundTrip(r)
		require.ErrorIs(t, err, downtime.ErrWindow)
		require.LessOrEqual(t, time.Since(began), 10*time.Second)
		require.Contains(t, []int{10, 11}, tries, "a second apart")

		ctx, cancel := context.WithCancelCause(downtime.WithWait(t.Context(), time.Hour))
		time.AfterFunc(2500*time.Millisecond, func() { cancel(io.ErrClosedPipe) })
		began = time.Now()
		_, err = transport.RoundTrip(r.WithContext(ctx))
		require.Equal(t, io.ErrClosedPipe, err)
		require.Equal(t, 2500*time.Millisecond, time.Since(began))

		r = r.WithContext(downtime.WithWait(t.Context(), time.Hour))
		r.Body, r.GetBody = io.NopCloser(strings.NewReader("x")), func() (io.ReadCloser, error) { return nil, io.ErrNoProgress }
		_, err = transport.RoundTrip(r)
		require.Equal(t, io.ErrNoProgress, err)
	})
}

func FuzzTransport(f *testing.F) {
	f.Add("5", "", "application/problem+json", []byte(`{"mode":"closed","window":"w","detail":"x","end":"2000-01-01T03:00:00Z"}`))
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT", "text/html", []byte(`null`))
	f.Add("99999999999999999999", "x", `application/problem+json; charset="`, []byte(`{"mode":"read-only","end":"9999-12-31T23:59:59+23:59"}`))
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", ";", []byte(`{"mode":"closed","end":"-1"}`))
	f.Fuzz(func(t *testing.T, retry, date, media string, text []byte) {
		b := &body{Reader: bytes.NewReader(text)}
		resp, err := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) {
			return answer(503, b, "Retry-After", retry, "Date", date, "Content-Type", media), nil
		})).RoundTrip(httptest.NewRequest("GET", "http://x/", nil))
		if err == nil {
			require.False(t, b.closed)
			require.Equal(t, 503, resp.StatusCode)
			return
		}
		var refused *downtime.UnavailableError
		require.ErrorAs(t, err, &refused)
		require.True(t, b.closed)
		require.True(t, refused.RetryAfter >= 0 && refused.RetryAfter <= 366*24*time.Hour)
		require.LessOrEqual(t, len(refused.Window), 100)
		require.LessOrEqual(t, len(refused.Reason), 2000)
		require.NotContains(t, refused.Reason, "\x00")
		require.NotContains(t, refused.Error(), "\n")
	})
}

// trickle is a body that never ends until it is closed.
type trickle struct{ closed chan struct{} }

func (b trickle) Read([]byte) (int, error) { <-b.closed; return 0, io.ErrUnexpectedEOF }
func (b trickle) Close() error {
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	return nil
}

func TestTransportDoesNotWaitForABodyThatTrickles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		rt := downtime.Transport(tripper(func(*http.Request) (*http.Response, error) {
			calls++
			return answer(503, trickle{make(chan struct{})}, "Retry-After", "1", "Content-Type", "application/problem+json"), nil
		}))
		r, err := http.NewRequestWithContext(downtime.WithWait(t.Context(), 2*time.Second), "GET", "http://shop.example/", nil)
		require.NoError(t, err)
		began := time.Now()
		_, err = rt.RoundTrip(r)
		require.ErrorIs(t, err, downtime.ErrWindow)
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		require.Equal(t, 1, calls)
	})
}
