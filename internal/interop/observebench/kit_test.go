package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// facts has the observed values of one request: of its response, span, metrics and log. Missing
// values are not in the map.
type facts map[string]string

// A rig is a server behind one instrumentation, whose telemetry can be looked at.
type rig struct {
	t        *testing.T
	tracers  *sdktrace.TracerProvider
	meters   *sdkmetric.MeterProvider
	spans    *tracetest.SpanRecorder
	reader   *sdkmetric.ManualReader
	logs     bytes.Buffer
	obs      *observe.Observer
	srv      *httptest.Server
	serving  sync.WaitGroup
	observed facts // by the handler

	mu sync.Mutex // guards observed
}

func newRig(t *testing.T, change func(*observe.Options)) *rig {
	t.Helper()
	k := &rig{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), observed: facts{}}
	k.tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(k.spans))
	k.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(k.reader))
	opts := &observe.Options{
		Log: slog.NewTextHandler(&k.logs, nil), TracerProvider: k.tracers, MeterProvider: k.meters,
		LoggerProvider: sdklog.NewLoggerProvider(), Propagator: propagator, ResponseSize: true,
	}
	if change != nil {
		change(opts)
	}
	var err error
	k.obs, err = observe.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.obs.Close()) })
	return k
}

// note records a fact of a handler.
func (k *rig) note(key, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.observed[key] = value
}

// wrap puts an instrumentation around a mux, with a middleware between that replaces the
// request's context, as most do.
type wrap func(k *rig, mux http.Handler) http.Handler

func behindOurs(k *rig, mux http.Handler) http.Handler {
	return k.obs.Handler(rewrap(observe.Route(mux)))
}

func behindTheirs(k *rig, mux http.Handler) http.Handler { return nearTheirs(k, rewrap(mux)) }

func nearTheirs(k *rig, h http.Handler) http.Handler {
	return otelhttp.NewHandler(h, "server",
		otelhttp.WithTracerProvider(k.tracers), otelhttp.WithMeterProvider(k.meters), otelhttp.WithPropagators(propagator))
}

func rewrap(next http.Handler) http.Handler {
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

// A protocol is a way to serve.
type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2 over TLS"
	h2c   protocol = "HTTP/2 without TLS"
)

func (k *rig) serve(p protocol, h http.Handler) {
	k.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.serving.Add(1)
		defer k.serving.Done()
		h.ServeHTTP(w, r)
	}))
	k.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	switch p {
	case http2:
		k.srv.EnableHTTP2 = true
		k.srv.StartTLS()
	case h2c:
		var both http.Protocols
		both.SetHTTP1(true)
		both.SetUnencryptedHTTP2(true)
		k.srv.Config.Protocols = &both
		k.srv.Start()
		var only http.Protocols
		only.SetUnencryptedHTTP2(true)
		k.srv.Client().Transport.(*http.Transport).Protocols = &only
	default:
		k.srv.Start()
	}
	k.t.Cleanup(k.stop)
}

// stop returns when all requests are over and reported.
func (k *rig) stop() {
	k.srv.Client().CloseIdleConnections()
	k.srv.Close()
	k.serving.Wait()
}

// ask sends a request and records the response.
func (k *rig) ask(seen facts, method, path string, header ...string) {
	ctx := httptrace.WithClientTrace(k.t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			seen["answer.informational"] = strconv.Itoa(code)
			return nil
		},
	})
	r, err := http.NewRequestWithContext(ctx, method, k.srv.URL+path, nil)
	require.NoError(k.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := k.srv.Client().Do(r)
	if err != nil {
		seen["answer"] = "cut"
		return
	}
	defer resp.Body.Close()
	seen["answer.status"] = strconv.Itoa(resp.StatusCode)
	seen["answer.protocol"] = resp.Proto
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		seen["answer"] = "cut"
	}
	if len(body) > 0 && len(body) < 200 {
		seen["answer.body"] = string(body)
	}
	for _, name := range []string{"Content-Type", "X-Request-Id", "Traceresponse"} {
		if v := resp.Header.Get(name); v != "" {
			seen["answer."+name] = v
		}
	}
	if v := resp.Trailer.Get("Checksum"); v != "" {
		seen["answer.trailer"] = v
	}
}

// raw sends text over a new connection and records all that comes back.
func (k *rig) raw(seen facts, text string) {
	conn, err := net.Dial("tcp", k.srv.Listener.Addr().String())
	require.NoError(k.t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, text)
	require.NoError(k.t, err)
	answer, err := io.ReadAll(bufio.NewReader(conn))
	require.NoError(k.t, err)
	seen["answer.raw"] = string(answer)
}

// telemetry adds what was recorded.
func (k *rig) telemetry(seen facts) {
	k.stop()
	for _, span := range k.spans.Ended() {
		name := "span."
		switch span.SpanKind().String() {
		case "server":
		default:
			name = span.SpanKind().String() + "." + name
		}
		if _, again := seen[name+"name"]; again {
			name = "second." + name
		}
		seen[name+"name"] = span.Name()
		seen[name+"status"] = span.Status().Code.String()
		seen[name+"trace"] = span.SpanContext().TraceID().String()
		if span.Parent().IsValid() {
			seen[name+"parent"] = span.Parent().SpanID().String()
		}
		if n := len(span.Links()); n > 0 {
			seen[name+"links"] = strconv.Itoa(n)
		}
		for _, kv := range span.Attributes() {
			switch kv.Key {
			case "http.route", "http.response.status_code", "error.type", "network.protocol.version", "http.response.body.size", "http.request.method", "upkeep.request.id":
				seen[name+string(kv.Key)] = kv.Value.String()
			}
		}
	}
	var rm metricdata.ResourceMetrics
	require.NoError(k.t, k.reader.Collect(context.Background(), &rm))
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			data, ok := m.Data.(metricdata.Histogram[float64])
			short := map[string]string{"http.server.request.duration": "metric", "http.client.request.duration": "client.metric", "upkeep.job.duration": "job.metric"}[m.Name]
			if !ok || short == "" {
				continue
			}
			for _, p := range data.DataPoints {
				seen[short+".count"] = strconv.FormatUint(p.Count, 10)
				for _, key := range []attribute.Key{"http.route", "http.response.status_code", "error.type", "http.request.method"} {
					if v, ok := p.Attributes.Value(key); ok {
						seen[short+"."+string(key)] = v.String()
					}
				}
			}
		}
	}
	if text := k.logs.String(); text != "" {
		seen["log.records"] = strconv.Itoa(strings.Count(text, "\n"))
		seen["log"] = text
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, value := range k.observed {
		seen[key] = value
	}
}
