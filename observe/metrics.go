package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments are the observer's metrics.
type instruments struct {
	server, client, job metric.Float64Histogram
	streams             metric.Int64Counter

	serverSeries series[serverKey]
	clientSeries series[clientKey]
	jobSeries    series[jobKey]
	streamSeries series[streamKey]

	methods []*method
}

// method finds s among the known methods; HTTP methods are case-sensitive
// (RFC 9110 section 9.1). An empty one is a GET, as in package http.
func (m *instruments) method(s string) *method {
	if s == "" {
		s = http.MethodGet
	}
	for _, known := range m.methods[1:] {
		if known.name == s {
			return known
		}
	}
	return m.methods[0]
}

func (m *instruments) init(meter metric.Meter, registrations *registrations, streams *atomic.Int64) error {
	m.methods = knownMethods(os.Getenv(envMethods))
	var err error
	histogram := func(name, description string, buckets []float64) metric.Float64Histogram {
		h, e := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(buckets...))
		if e != nil && err == nil {
			err = fmt.Errorf("observe: metric %s: %w", name, e)
		}
		return h
	}
	// The descriptions of http.* are those of the semantic conventions: where others register the
	// same metric, exporters want the same text.
	m.server = histogram(metricServerDuration, "Duration of HTTP server requests.", requestBuckets)
	m.client = histogram(metricClientDuration, "Duration of HTTP client requests.", requestBuckets)
	m.job = histogram(metricJobDuration, "Duration of jobs, from the call of Do to the return of their function.", jobBuckets)
	if err != nil {
		return err
	}
	active, err := meter.Int64ObservableUpDownCounter(metricServerActive, metric.WithUnit("{request}"),
		metric.WithDescription("Number of active HTTP server requests."))
	if err != nil {
		return fmt.Errorf("observe: metric %s: %w", metricServerActive, err)
	}
	activeStreams, err1 := meter.Int64ObservableUpDownCounter(metricStreamsActive, metric.WithUnit("{stream}"),
		metric.WithDescription("Number of HTTP responses that are streams and have not ended."))
	m.streams, err = meter.Int64Counter(metricStreams, metric.WithUnit("{stream}"),
		metric.WithDescription("Number of HTTP responses that were streams and have ended, by how they ended."))
	if err := errors.Join(err1, err); err != nil {
		return fmt.Errorf("observe: metrics %s.*: %w", metricStreams, err)
	}
	reg, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, method := range m.methods {
			for secure := range method.active {
				if c := &method.active[secure]; c.seen.Load() {
					o.ObserveInt64(active, c.n.Load(), metric.WithAttributes(
						keyMethod.String(method.name), keyScheme.String(scheme(secure == 1))))
				}
			}
		}
		o.ObserveInt64(activeStreams, streams.Load())
		return nil
	}, active, activeStreams)
	if err != nil {
		return fmt.Errorf("observe: metric %s: %w", metricServerActive, err)
	}
	return registrations.add(reg)
}

// A seriesKey is a comparable set of attributes.
type seriesKey[K any] interface {
	comparable
	attributes() []attribute.KeyValue
	fold() K // without what an application can make endless
}

// series keeps the attribute sets of one metric, so that a measurement allocates
// nothing. It never holds more than maxSeries; folded counts what is beyond them.
type series[K seriesKey[K]] struct {
	mu    sync.RWMutex
	known map[K][]metric.RecordOption
}

func (s *series[K]) options(key K, folded *lossCount) []metric.RecordOption {
	s.mu.RLock()
	opts, ok := s.known[key]
	s.mu.RUnlock()
	if ok {
		return opts
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if opts, ok = s.known[key]; ok {
		return opts
	}
	if len(s.known) >= maxSeries {
		folded.Add(1)
		return recordOptions(key.fold().attributes())
	}
	if s.known == nil {
		s.known = map[K][]metric.RecordOption{}
	}
	opts = recordOptions(key.attributes())
	s.known[key] = opts
	return opts
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// foldError keeps of an error's type that it was one, and a status.
func foldError(errorType string, status int32) string {
	if errorType != "" && errorType != strconv.Itoa(int(status)) {
		return other
	}
	return errorType
}

type serverKey struct {
	route, errorType string
	status           int32
	method           *method
	protocol         string
	secure           bool
}

func (k serverKey) attributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 6),
		keyMethod.String(k.method.name), keyScheme.String(scheme(k.secure)))
	if k.route != "" {
		attrs = append(attrs, keyRoute.String(k.route))
	}
	return append(attrs, ending(k.status, k.protocol, k.errorType)...)
}

func (k serverKey) fold() serverKey {
	k.route, k.errorType = "", foldError(k.errorType, k.status)
	return k
}

type clientKey struct {
	host, errorType string
	port            int
	status          int32
	method          *method
	protocol        string
}

func (k clientKey) attributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 6),
		keyMethod.String(k.method.name), keyServerAddress.String(k.host), keyServerPort.Int(k.port))
	return append(attrs, ending(k.status, k.protocol, k.errorType)...)
}

func (k clientKey) fold() clientKey {
	k.host, k.port, k.errorType = other, 0, foldError(k.errorType, k.status)
	return k
}

type streamKey struct {
	route, end string
	status     int32
	method     *method
}

func (k streamKey) attributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 4), keyMethod.String(k.method.name), keyStreamEnd.String(k.end))
	if k.route != "" {
		attrs = append(attrs, keyRoute.String(k.route))
	}
	return append(attrs, ending(k.status, "", "")...)
}

func (k streamKey) fold() streamKey {
	k.route = ""
	return k
}

type jobKey struct{ name, errorType string }

func (k jobKey) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{keyJobName.String(k.name)}
	return append(attrs, ending(0, "", k.errorType)...)
}

func (k jobKey) fold() jobKey {
	return jobKey{other, foldError(k.errorType, 0)}
}

// ending is what is known of an operation at its end.
func ending(status int32, protocol, errorType string) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if status != 0 {
		attrs = append(attrs, keyStatus.Int(int(status)))
	}
	if protocol != "" {
		attrs = append(attrs, keyProtocolVersion.String(protocol))
	}
	if errorType != "" {
		attrs = append(attrs, keyErrorType.String(errorType))
	}
	return attrs
}
