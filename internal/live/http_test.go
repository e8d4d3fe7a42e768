package live_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/live"
)

func serve(t *testing.T, h http.HandlerFunc) (url string, opts *live.HTTPOptions) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, &live.HTTPOptions{Client: server.Client()}
}

func pack(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func TestHTTPIsConditional(t *testing.T) {
	t.Parallel()
	var full, unchanged atomic.Int32
	url, opts := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Header.Get("If-None-Match") == `"v1"` {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full.Add(1)
		w.Header().Set("ETag", `"v1"`)
		_, _ = w.Write([]byte("doc"))
	})
	opts.Header = http.Header{"Authorization": {"Bearer secret"}}
	src := live.HTTP(url, opts)
	for range 3 {
		data, err := src.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, "doc", string(data))
	}
	require.Equal(t, int32(1), full.Load())
	require.Equal(t, int32(2), unchanged.Load())
}

func TestHTTPGzip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		disable bool // the server compresses although the client did not ask
	}{{"asked for", false}, {"unasked", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if !c.disable && !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					http.Error(w, "not asked", http.StatusNotAcceptable)
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(pack("packed"))
			})
			transport := &http.Transport{DisableCompression: c.disable}
			defer transport.CloseIdleConnections()
			data, err := live.HTTP(url, &live.HTTPOptions{Client: &http.Client{Transport: transport}}).Load(t.Context())
			require.NoError(t, err)
			require.Equal(t, "packed", string(data))
		})
	}
}

func TestHTTPHostileServers(t *testing.T) {
	t.Parallel()
	bomb := pack(strings.Repeat("x", live.MaxBytes+1))
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"lies about its length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("short"))
		}, "unexpected EOF"},
		"answers 500": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "a secret of the server", http.StatusInternalServerError)
		}, "the server answered 500 Internal Server Error"},
		"answers an unknown status": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(599)
		}, "the server answered 599"},
		"not modified, though nothing was asked for": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotModified)
		}, "the server answered 304 Not Modified"},
		"a gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, "larger than"},
		"not gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("plain text, plainly"))
		}, "gzip: invalid header"},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, opts := serve(t, c.handler)
			ctx := t.Context()
			if name == "hangs" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
			}
			_, err := live.HTTP(url+"/?token=secret", opts).Load(ctx)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestHTTPNameHoldsNoSecret(t *testing.T) {
	t.Parallel()
	k := start(t, live.HTTP("http://user:secret@127.0.0.1:1/flags.json?token=secret", nil), live.Options[string]{})
	err := k.Ready(t.Context())
	require.ErrorContains(t, err, "http://127.0.0.1:1/flags.json: ")
	require.NotContains(t, err.Error(), "secret")

	_, err = live.HTTP("http://[bad", nil).Load(t.Context())
	require.Error(t, err)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHTTPBacksOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retryAfter string
		within     time.Duration
		want       int32
	}{
		// At 0, 15 s, then each 30 s; each varied by a tenth.
		"further and further":       {"", 10 * time.Minute, 21},
		"as told":                   {"120", 21 * time.Minute, 11},
		"as told, within the bound": {"99999999", 21 * time.Minute, 5},
		"by a date that has passed": {"Sat, 01 Jan 2000 00:00:00 GMT", 10 * time.Minute, 21},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
					calls.Add(1)
					return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {c.retryAfter}}, Body: http.NoBody}, nil
				})}
				k := start(t, live.HTTP("http://flags.example/flags.json", &live.HTTPOptions{Client: client}), live.Options[string]{Fallback: []byte("x")})
				time.Sleep(c.within)
				require.InDelta(t, c.want, calls.Load(), 1)
				require.NoError(t, k.Close())
			})
		})
	}
}

// TestHTTPAsksAgainSoon checks the times between requests while a server fails.
func TestHTTPAsksAgainSoon(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		poll     time.Duration
		fallback string
		want     []time.Duration // of the first requests
	}{
		"from Poll on, doubled up to 30 s":    {time.Second, "x", []time.Duration{0, 1, 3, 7, 15, 31, 61, 91}},
		"a Poll beyond 30 s is kept":          {time.Minute, "x", []time.Duration{0, 60, 120, 180}},
		"each second, while there is nothing": {15 * time.Second, "", []time.Duration{0, 1, 2, 3, 4, 5, 6, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var asked []time.Duration
				client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
					asked = append(asked, time.Since(began))
					return nil, errors.New("connection refused")
				})}
				k := start(t, live.HTTP("http://flags.example/flags.json", &live.HTTPOptions{Client: client}), live.Options[string]{Poll: c.poll, Fallback: []byte(c.fallback)})
				time.Sleep(4 * time.Minute)
				require.NoError(t, k.Close())
				require.GreaterOrEqual(t, len(asked), len(c.want))
				for i, at := range c.want {
					at *= time.Second
					require.InDelta(t, at.Seconds(), asked[i].Seconds(), 0.11*at.Seconds(), "request %d of %v", i, asked)
				}
			})
		})
	}
}

func TestHTTPErrorsAreTheClients(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, refused })}
	_, err := live.HTTP("http://flags.example/", &live.HTTPOptions{Client: client}).Load(t.Context())
	require.ErrorIs(t, err, refused)
	require.EqualError(t, err, "refused")
}
