package version_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

func TestUserAgent(t *testing.T) {
	t.Parallel()
	for want, info := range map[string]version.Info{
		"shop/v1.4.2":               shop(),
		"shop/v1.4.2+dirty":         {Name: "shop", Version: "v1.4.2+dirty"},
		"shop/devel":                {Name: "shop", Version: "(devel)"},
		"shop":                      {Name: "shop"},
		"unknown":                   {},
		"unknown/v1":                {Name: "()/", Version: "v1"},
		"my-shop/a-b":               {Name: "my shop", Version: "a/\r\n b"},
		"caf/v1":                    {Name: "café", Version: "v1"},
		"a-X-Evil-1/v1":             {Name: "a\r\nX-Evil: 1", Version: "v1"},
		strings.Repeat("x", 128):    {Name: strings.Repeat("x", 1000)},
		"unknown_service-go/v1.4.2": {Name: "unknown_service:go", Version: "v1.4.2"},
	} {
		require.Equal(t, want, info.UserAgent())
	}
}

// roundTrip is a base that keeps what it was sent.
type roundTrip struct {
	sent   *http.Request
	closed bool
}

func (r *roundTrip) RoundTrip(request *http.Request) (*http.Response, error) {
	r.sent = request
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: request}, nil
}

func (r *roundTrip) CloseIdleConnections() { r.closed = true }

func TestTransport(t *testing.T) {
	t.Parallel()
	base := new(roundTrip)
	client := version.Transport(shop(), base)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/", strings.NewReader("body"))
	require.NoError(t, err)
	request.Header.Set("X-Other", "kept")
	before := request.Header.Clone()
	response, err := client.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "shop/v1.4.2", base.sent.Header.Get("User-Agent"))
	require.Equal(t, "kept", base.sent.Header.Get("X-Other"))
	require.Equal(t, request.Body, base.sent.Body)
	require.Equal(t, before, request.Header, "a round tripper must not change the request")

	for _, own := range []string{"curl/8", ""} {
		request.Header["User-Agent"] = []string{own}
		response, err = client.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, []string{own}, base.sent.Header["User-Agent"])
	}

	bare := (&http.Request{Method: http.MethodGet, URL: request.URL}).WithContext(context.Background())
	response, err = client.RoundTrip(bare)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "shop/v1.4.2", base.sent.Header.Get("User-Agent"))
	require.Nil(t, bare.Header)

	(&http.Client{Transport: client}).CloseIdleConnections()
	require.True(t, base.closed)
}

func TestTransportOverARealConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.UserAgent())
	}))
	defer server.Close()
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: version.Transport(version.Info{Name: "a\r\nb", Version: "v1 \x00"}, base)}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "a-b/v1", response.Header.Get("X-Seen"))
}

func TestTransportWithoutBase(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.UserAgent())
		w.Header().Set("Connection", "close") // leave the shared transport as it was
	}))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	response, err := version.Transport(shop(), nil).RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "shop/v1.4.2", response.Header.Get("X-Seen"))
}
