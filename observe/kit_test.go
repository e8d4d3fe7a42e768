package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an observer whose telemetry can be looked at.
type rig struct {
	t       *testing.T
	obs     *observe.Observer
	spans   *tracetest.SpanRecorder
	tracers *sdktrace.TracerProvider
	reader  *sdkmetric.ManualReader
	events  *eventLog
	logs    *logBuffer

	serving sync.WaitGroup
	stop    func()
}

func newRig(t *testing.T, change func(*observe.Options)) *rig {
	t.Helper()
	k := &rig{
		t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(),
		events: &eventLog{}, logs: &logBuffer{},
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(k.spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(k.reader))
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(k.events))
	opts := &observe.Options{
		Log:            slog.NewJSONHandler(k.logs, nil),
		TracerProvider: tracers,
		MeterProvider:  meters,
		LoggerProvider: loggers,
		Propagator:     propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		ResponseSize:   true,
	}
	if change != nil {
		change(opts)
	}
	k.tracers = tracers
	obs, err := observe.New(opts)
	require.NoError(t, err)
	k.obs = obs
	t.Cleanup(func() {
		require.NoError(t, obs.Close())
		require.NoError(t, tracers.Shutdown(context.Background()))
		require.NoError(t, meters.Shutdown(context.Background()))
		require.NoError(t, loggers.Shutdown(context.Background()))
	})
	return k
}

// server serves h, already wrapped, over a real connection.
func (k *rig) server(h http.Handler, http2 bool) *httptest.Server {
	k.t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.serving.Add(1)
		defer k.serving.Done()
		h.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	srv.EnableHTTP2 = http2
	if http2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	k.stop = sync.OnceFunc(func() {
		srv.Client().CloseIdleConnections()
		srv.Close()
		k.serving.Wait()
	})
	k.t.Cleanup(k.stop)
	return srv
}

// serve runs one request through h without a network.
func (k *rig) serve(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	k.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// span returns the one span that ended.
func (k *rig) span() sdktrace.ReadOnlySpan {
	k.t.Helper()
	require.Len(k.t, k.spans.Ended(), 1)
	return k.spans.Ended()[0]
}

func attr(span sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range span.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// points collects the metrics anew and returns the attribute sets of one, as
// text, with the number of measurements or the sum.
func (k *rig) points(name string) map[string]int64 {
	k.t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(k.t, k.reader.Collect(context.Background(), &rm))
	points := map[string]int64{}
	encode := func(set attribute.Set) string { return set.Encoded(attribute.DefaultEncoder()) }
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[encode(p.Attributes)] = int64(p.Count)
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[encode(p.Attributes)] = p.Value
				}
			}
		}
	}
	return points
}

// eventLog is a log processor that keeps what it is given.
type eventLog struct {
	mu      sync.Mutex
	records []sdklog.Record
	off     bool
}

func (e *eventLog) Enabled(context.Context, sdklog.EnabledParameters) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.off
}

func (e *eventLog) OnEmit(_ context.Context, r *sdklog.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.records = append(e.records, r.Clone())
	return nil
}

func (e *eventLog) Shutdown(context.Context) error   { return nil }
func (e *eventLog) ForceFlush(context.Context) error { return nil }

// named returns the attributes of each event of that name.
func (e *eventLog) named(name string) []map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []map[string]string
	for i := range e.records {
		r := &e.records[i]
		if r.EventName() != name {
			continue
		}
		attrs := map[string]string{"severity": r.Severity().String()}
		if r.TraceID().IsValid() {
			attrs["trace"] = r.TraceID().String()
		}
		r.WalkAttributes(func(kv attribute.KeyValue) bool {
			attrs[string(kv.Key)] = kv.Value.String()
			return true
		})
		found = append(found, attrs)
	}
	return found
}

// logBuffer collects JSON lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines returns the records. Each must be a JSON object.
func (b *logBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range bytes.Lines([]byte(b.String())) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(line, &m))
		lines = append(lines, m)
	}
	return lines
}

func (b *logBuffer) line(t *testing.T) map[string]any {
	t.Helper()
	lines := b.lines(t)
	require.Len(t, lines, 1)
	return lines[0]
}

// kept returns the records without that of a job that failed.
func (b *logBuffer) kept(t *testing.T) []map[string]any {
	t.Helper()
	return slices.DeleteFunc(b.lines(t), func(line map[string]any) bool { return line["msg"] == "job failed" })
}

// withoutJob takes the record of a job that failed out of a log.
func withoutJob(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "job failed") {
			b.WriteString(line)
		}
	}
	return b.String()
}
