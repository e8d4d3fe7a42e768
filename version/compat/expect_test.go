package compat_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
)

// answer is a base that gives one response.
type answer struct {
	header http.Header
	err    error
	closed int
	idle   bool
}

func (a *answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: a.header, Body: a, Request: r}, nil
}

func (a *answer) Read([]byte) (int, error) { return 0, io.EOF }

func (a *answer) Close() error {
	a.closed++
	return nil
}

func (a *answer) CloseIdleConnections() { a.idle = true }

func get(t *testing.T, client http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.RoundTrip(request)
	if response != nil {
		require.NoError(t, response.Body.Close())
	}
	return response, err
}

func TestExpect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stage  compat.Stage
		strict bool
		header http.Header
		stat   string
		want   string
	}{
		{compat.StageEnforce, false, http.Header{"X-Version": {"v1.4.0"}}, "fit", ""},
		{compat.StageEnforce, false, http.Header{"X-Version": {"catalog/v1.4.0"}}, "fit", ""},
		{compat.StageEnforce, false, http.Header{"X-Version": {"v1.3.0"}}, "refused", "compat: the peer v1.3.0 does not satisfy >=1.4.0"},
		{compat.StageWarn, false, http.Header{"X-Version": {"v1.3.0"}}, "warned", ""},
		{compat.StageObserve, false, http.Header{"X-Version": {"v1.3.0"}}, "observed", ""},
		{compat.StageEnforce, false, http.Header{"X-Version": {"build-7"}}, "unknown", ""},
		{compat.StageEnforce, true, http.Header{"X-Version": {"build-7"}}, "refused", "compat: the peer build-7 has no order, because it is a build number, a date or another name; needed is >=1.4.0"},
		{compat.StageEnforce, false, http.Header{}, "missing", ""},
		{compat.StageEnforce, false, nil, "missing", ""},
		{compat.StageEnforce, true, nil, "refused", "compat: the peer has no version; needed is >=1.4.0"},
	} {
		p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: c.stage, Strict: c.strict})
		base := &answer{header: c.header}
		response, err := get(t, compat.Expect(p)(base), "http://example.com/")
		require.Equal(t, 1.0, p.Stats()[c.stat], "%v", c)
		require.Equal(t, 1, base.closed)
		if c.want == "" {
			require.NoError(t, err)
			require.Equal(t, c.header, response.Header)
			continue
		}
		require.Nil(t, response)
		require.EqualError(t, err, c.want)
	}
}

func TestExpectLeavesErrorsAlone(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Strict: true, Stage: compat.StageEnforce})
	broken := errors.New("connection refused")
	base := &answer{err: broken}
	client := compat.Expect(p)(base)
	_, err := get(t, client, "http://example.com/")
	require.Equal(t, broken, err)
	require.Zero(t, p.Stats()["refused"])
	(&http.Client{Transport: client}).CloseIdleConnections()
	require.True(t, base.idle)
}

// TestExpectGivesErrorsToKeep: who gets an error may change it.
func TestExpectGivesErrorsToKeep(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce})
	client := compat.Expect(p)(&answer{header: http.Header{"X-Version": {"v1.3.0"}}})
	for range 2 {
		_, err := get(t, client, "http://example.com/")
		var unfit *compat.UnfitError
		require.ErrorAs(t, err, &unfit)
		require.Equal(t, &compat.UnfitError{Version: "v1.3.0", Required: ">=1.4.0", Why: "does not satisfy >=1.4.0", Stage: compat.StageEnforce}, unfit)
		unfit.Version = "changed"
	}
}

func TestExpectOverARealConnection(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0", Stage: compat.StageEnforce, Strict: true})
	for v, fits := range map[string]bool{"v1.4.0": true, "v1.3.0": false, "": false} {
		middleware := version.Middleware(version.Info{Name: "catalog", Version: v}, &version.MiddlewareOptions{Header: "X-Version"})
		server := httptest.NewServer(middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		client := server.Client()
		client.Transport = compat.Expect(p)(client.Transport)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		if fits {
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
		} else {
			var unfit *compat.UnfitError
			require.ErrorAs(t, err, &unfit, "through *url.Error")
			require.Equal(t, v, unfit.Version)
		}
		client.CloseIdleConnections()
		server.Close()
	}
}

func TestExpectWithoutBase(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // leave the shared transport as it was
	}))
	defer server.Close()
	p := policy(t, compat.Rule{Minimum: "v1.4.0"})
	_, err := get(t, compat.Expect(p)(nil), server.URL)
	require.NoError(t, err)
	require.Equal(t, 1.0, p.Stats()["missing"])
}
