package observe_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/observe"
)

const clientDuration = "http.client.request.duration"

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a base that answers with status and body.
func answer(status int, body io.ReadCloser) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Body: body, Request: r, Header: http.Header{}}, nil
	})
}

// One trace and one id run through two services.
func TestTransportTwoServices(t *testing.T) {
	t.Parallel()
	prices, shop := newRig(t, nil), newRig(t, func(o *observe.Options) { o.InternalHosts = []string{"127.0.0.1"} })
	priceSrv := prices.server(prices.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, observe.RequestID(r.Context()))
	})), false)
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: shop.obs.Transport(base)}
	shopSrv := shop.server(shop.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), "GET", priceSrv.URL+"/price?user=secret", nil)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Empty(t, req.Header, "the caller's request is not changed")
		_, _ = io.Copy(w, resp.Body)
	})), false)
	resp, err := shopSrv.Client().Get(shopSrv.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	shop.stop()
	client.CloseIdleConnections()
	prices.stop()

	require.Equal(t, resp.Header.Get("X-Request-Id"), string(body))
	spans := shop.spans.Ended()
	require.Len(t, spans, 2)
	call, request := spans[0], spans[1]
	require.Equal(t, request.SpanContext().SpanID(), call.Parent().SpanID())
	require.Equal(t, call.SpanContext().SpanID(), prices.span().Parent().SpanID())
	require.Equal(t, request.SpanContext().TraceID(), prices.span().SpanContext().TraceID())

	require.Equal(t, "GET", call.Name())
	require.Equal(t, trace.SpanKindClient, call.SpanKind())
	require.Equal(t, priceSrv.URL+"/price", attr(call, "url.full"))
	require.Equal(t, "200", attr(call, "http.response.status_code"))
	require.Equal(t, "127.0.0.1", attr(call, "server.address"))
	points := shop.points(clientDuration)
	require.Len(t, points, 1)
	for point := range points {
		require.Regexp(t, `^http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1,server.address=127.0.0.1,server.port=\d+$`, point)
	}
	require.Equal(t, 0.0, shop.obs.Stats()["outbound_active"])
}

func TestTransportTellsTheIDToInternalHostsOnly(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.InternalHosts = []string{"Prices.internal", ".svc.example"} })
	var sent http.Header
	rt := k.obs.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}))
	require.NoError(t, k.obs.Do(context.Background(), "job", func(ctx context.Context) error {
		for host, internal := range map[string]bool{
			"prices.internal": true, "PRICES.internal:8080": true, "prices.internal.": true, "a.svc.example": true, "a.b.svc.example": true,
			"svc.example": false, "xsvc.example": false, "prices.internal.evil.example": false, "example.com": false, "[::1]": false,
		} {
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+host+"/", nil)
			require.NoError(t, err)
			_, err = rt.RoundTrip(req)
			require.NoError(t, err)
			require.NotEmpty(t, sent.Get("traceparent"))
			require.Equal(t, internal, sent.Get("X-Request-Id") == observe.RequestID(ctx), host)
			require.Equal(t, internal, sent.Get("X-Request-Id") != "", host)

			req.Header.Set("X-Request-Id", "by-hand")
			_, err = rt.RoundTrip(req)
			require.NoError(t, err)
			require.Equal(t, "by-hand", sent.Get("X-Request-Id"))
		}
		return nil
	}))
}

func get(t *testing.T, rt http.RoundTripper, target string) (*http.Response, error) {
	t.Helper()
	return rt.RoundTrip(httptest.NewRequest("GET", target, nil))
}

func TestTransportEndsWithTheBody(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(io.ReadCloser){
		"EOF":       func(b io.ReadCloser) { _, _ = io.ReadAll(b) },
		"close":     func(b io.ReadCloser) { _ = b.Close() },
		"EOF+close": func(b io.ReadCloser) { _, _ = io.ReadAll(b); _ = b.Close() },
	} {
		k := newRig(t, nil)
		resp, err := get(t, k.obs.Transport(answer(200, io.NopCloser(strings.NewReader("x")))), "http://h/")
		require.NoError(t, err)
		require.Empty(t, k.spans.Ended(), name)
		require.Equal(t, 1.0, k.obs.Stats()["outbound_active"])
		finish(resp.Body)
		require.Equal(t, codes.Unset, k.span().Status().Code)
		require.Equal(t, map[string]int64{
			"http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1,server.address=h,server.port=80": 1,
		}, k.points(clientDuration))
		require.Zero(t, k.obs.Stats()["outbound_failed"])
	}
	for _, none := range []io.ReadCloser{nil, http.NoBody} {
		k := newRig(t, nil)
		resp, err := get(t, k.obs.Transport(answer(204, none)), "https://h/")
		require.NoError(t, err)
		require.Equal(t, none, resp.Body)
		require.Equal(t, "443", attr(k.span(), "server.port"))
	}
}

type failingBody struct{ err error }

func (b failingBody) Read([]byte) (int, error) { return 0, b.err }
func (b failingBody) Close() error             { return nil }

func TestTransportErrors(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	cause := &http.MaxBytesError{}
	_, err := get(t, k.obs.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, cause })), "http://h/")
	require.ErrorIs(t, err, cause)
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, map[string]int64{
		"error.type=*http.MaxBytesError,http.request.method=GET,server.address=h,server.port=80": 1,
	}, k.points(clientDuration))

	k = newRig(t, nil)
	resp, err := get(t, k.obs.Transport(answer(404, http.NoBody)), "http://h/")
	require.NoError(t, err)
	require.Equal(t, 404, resp.StatusCode)
	require.Equal(t, codes.Error, k.span().Status().Code)
	require.Equal(t, "404", attr(k.span(), "error.type"))

	k = newRig(t, nil)
	resp, err = get(t, k.obs.Transport(answer(200, failingBody{context.Canceled})), "http://h/")
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "context.Canceled", attr(k.span(), "error.type"))
	require.Equal(t, "200", attr(k.span(), "http.response.status_code"))
	require.Equal(t, 1.0, k.obs.Stats()["outbound_failed"])

	k = newRig(t, nil)
	require.PanicsWithValue(t, "base", func() {
		_, _ = get(t, k.obs.Transport(roundTripper(func(*http.Request) (*http.Response, error) { panic("base") })), "http://h/")
	})
	require.Equal(t, codes.Error, k.span().Status().Code)
}

func TestTransportHidesSecretsOfTheURL(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	_, err := get(t, k.obs.Transport(answer(200, http.NoBody)), "http://ann:pw@h:81/p%2Fq?token=t#f")
	require.NoError(t, err)
	require.Equal(t, "http://h:81/p%2Fq", attr(k.span(), "url.full"))
}

type duplex struct{ strings.Reader }

func (*duplex) Write(p []byte) (int, error) { return len(p), nil }
func (*duplex) Close() error                { return nil }

func TestTransportKeepsAStreamWritable(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	resp, err := get(t, k.obs.Transport(answer(101, &duplex{})), "http://h/")
	require.NoError(t, err)
	_, err = resp.Body.(io.Writer).Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, codes.Unset, k.span().Status().Code)
}

// A gateway that calls whatever its clients name does not make endless labels.
func TestTransportHostsAreBounded(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	rt := k.obs.Transport(answer(200, http.NoBody))
	for i := range 1100 {
		_, err := get(t, rt, "http://h"+strings.Repeat("x", i)+"/")
		require.NoError(t, err)
	}
	points := k.points(clientDuration)
	require.LessOrEqual(t, len(points), 1001)
	for point := range points {
		require.Less(t, len(point), 500)
	}
}

func TestTransportSurvivesBrokenTelemetry(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.Propagator = brokenPropagator{o.Propagator} })
	resp, err := get(t, k.obs.Transport(answer(200, http.NoBody)), "http://h/")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, 1.0, k.obs.Stats()["telemetry_panics"])
	_, err = k.obs.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, errors.New("no URL")
	})).RoundTrip(&http.Request{})
	require.EqualError(t, err, "no URL")
}

func TestTransportClosesIdleConnections(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	srv := k.server(handler(200), false)
	base := &http.Transport{}
	client := &http.Client{Transport: k.obs.Transport(base)}
	resp, err := client.Get(srv.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	client.CloseIdleConnections() // goleak finds the connection that stays
	k.stop()
	(&http.Client{Transport: k.obs.Transport(answer(200, nil))}).CloseIdleConnections()
}
