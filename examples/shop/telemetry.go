package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/version"
)

// A console writes telemetry for people: traces as trees, events and metrics as lines. A real
// service has an exporter instead. Logs are written through it as well, so that lines do not mix.
type console struct {
	mu     sync.Mutex
	out    io.Writer
	open   map[trace.TraceID][]sdktrace.ReadOnlySpan // whose root span is running
	traces map[trace.TraceID][]sdktrace.ReadOnlySpan // whose root span has ended, the newest
	order  []trace.TraceID                           // of traces, oldest first
	events map[string]int                            // number of OpenTelemetry log events, by name
	meters map[string]*sdkmetric.ManualReader        // by service
}

// keepTraces is the maximum length of open and of traces.
const keepTraces = 500

func newConsole(out io.Writer) *console {
	return &console{
		out:    out,
		open:   map[trace.TraceID][]sdktrace.ReadOnlySpan{},
		traces: map[trace.TraceID][]sdktrace.ReadOnlySpan{},
		events: map[string]int{},
		meters: map[string]*sdkmetric.ManualReader{},
	}
}

func (c *console) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(line)
}

// providers are the OpenTelemetry SDK of one service. The resource comes from package version,
// because the detectors of OpenTelemetry do not find the build.
type providers struct {
	traces  *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
	logs    *sdklog.LoggerProvider
}

func (c *console) providers(info version.Info) providers {
	res := resource.NewSchemaless(info.Attributes()...)
	reader := sdkmetric.NewManualReader()
	c.meters[info.Name] = reader
	return providers{
		traces:  sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithSyncer(spanPrinter{c})),
		metrics: sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader)),
		logs:    sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewSimpleProcessor(eventPrinter{c}))),
	}
}

func (p providers) shutdown(ctx context.Context) {
	_ = p.traces.Shutdown(ctx)
	_ = p.metrics.Shutdown(ctx)
	_ = p.logs.Shutdown(ctx)
}

type spanPrinter struct{ *console }

func (spanPrinter) Shutdown(context.Context) error { return nil }

// ExportSpans collects the spans of a trace and prints them when the root span has ended.
func (c spanPrinter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range spans {
		id := span.SpanContext().TraceID()
		if c.open[id] == nil && len(c.open) == keepTraces {
			clear(c.open) // their root spans never end
		}
		c.open[id] = append(c.open[id], span)
		if span.Parent().IsValid() {
			continue
		}
		all := c.open[id]
		delete(c.open, id)
		c.traces[id] = all
		if c.order = append(c.order, id); len(c.order) > keepTraces {
			delete(c.traces, c.order[0])
			c.order = c.order[1:]
		}
		fmt.Fprintf(c.out, "trace %s\n", id)
		printTree(c.out, all, span.SpanContext().SpanID(), span, 1)
	}
	return nil
}

// shown are the attributes that are printed.
var shown = []attribute.Key{"http.response.status_code", "error.type", "service.version", "upkeep.request.id"}

func printTree(out io.Writer, all []sdktrace.ReadOnlySpan, id trace.SpanID, span sdktrace.ReadOnlySpan, depth int) {
	service, _ := span.Resource().Set().Value("service.name")
	took := span.EndTime().Sub(span.StartTime()).Round(10 * time.Microsecond)
	fmt.Fprintf(out, "%s%-10s %-6s %s %v", strings.Repeat("  ", depth), service.AsString(), span.SpanKind(), span.Name(), took)
	for _, attr := range span.Attributes() {
		if slices.Contains(shown, attr.Key) {
			fmt.Fprintf(out, " %s=%s", lastPart(attr.Key), attr.Value.String())
		}
	}
	if span.Status().Code == codes.Error {
		fmt.Fprintf(out, " ERROR %s", span.Status().Description)
	}
	fmt.Fprintln(out)
	var children []sdktrace.ReadOnlySpan
	for _, child := range all {
		if child.Parent().SpanID() == id {
			children = append(children, child)
		}
	}
	slices.SortFunc(children, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	for _, child := range children {
		printTree(out, all, child.SpanContext().SpanID(), child, depth+1)
	}
}

func lastPart(key attribute.Key) string {
	return string(key[strings.LastIndexByte(string(key), '.')+1:])
}

// services returns the names of the services with a span in a trace. Nil means that the root span
// has not ended.
func (c *console) services(id trace.TraceID) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for _, span := range c.traces[id] {
		name, _ := span.Resource().Set().Value("service.name")
		names[name.AsString()] = true
	}
	return slices.Sorted(maps.Keys(names))
}

type eventPrinter struct{ *console }

func (eventPrinter) Shutdown(context.Context) error   { return nil }
func (eventPrinter) ForceFlush(context.Context) error { return nil }

// Export prints OpenTelemetry log events, such as evaluations of flags.
func (c eventPrinter) Export(_ context.Context, records []sdklog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		c.events[r.EventName()]++
		fmt.Fprintf(c.out, "event %s trace=%s", r.EventName(), r.TraceID())
		r.WalkAttributes(func(kv attribute.KeyValue) bool {
			if value := kv.Value.String(); len(value) < 80 && !strings.Contains(value, "\n") {
				fmt.Fprintf(c.out, " %s=%s", lastPart(kv.Key), value)
			}
			return true
		})
		fmt.Fprintln(c.out)
	}
	return nil
}

func (c *console) eventCount(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[name]
}

// A series is one time series of a metric.
type series struct {
	service, metric, labels string
	count                   uint64
	mean                    time.Duration
}

// durations returns the request and job durations of all services.
func (c *console) durations(ctx context.Context) []series {
	var all []series
	for service, reader := range c.meters {
		var metrics metricdata.ResourceMetrics
		if reader.Collect(ctx, &metrics) != nil {
			continue
		}
		for _, scope := range metrics.ScopeMetrics {
			for _, m := range scope.Metrics {
				data, ok := m.Data.(metricdata.Histogram[float64])
				if !ok {
					continue
				}
				for _, point := range data.DataPoints {
					all = append(all, series{
						service: service, metric: m.Name, labels: labels(point.Attributes), count: point.Count,
						mean: time.Duration(point.Sum / float64(max(1, point.Count)) * float64(time.Second)),
					})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b series) int {
		return cmp.Or(strings.Compare(a.service, b.service), strings.Compare(a.metric, b.metric), strings.Compare(a.labels, b.labels))
	})
	return all
}

// gauge returns the value of a gauge, or -1 if it is missing.
func (c *console) gauge(ctx context.Context, service, name string) float64 {
	var metrics metricdata.ResourceMetrics
	if reader := c.meters[service]; reader == nil || reader.Collect(ctx, &metrics) != nil {
		return -1
	}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Gauge[float64]); ok && m.Name == name && len(data.DataPoints) == 1 {
				return data.DataPoints[0].Value
			}
		}
	}
	return -1
}

func labels(set attribute.Set) string {
	var parts []string
	for _, key := range []attribute.Key{"http.request.method", "http.route", "http.response.status_code", "upkeep.job.name", "error.type"} {
		if value, ok := set.Value(key); ok {
			parts = append(parts, value.String())
		}
	}
	return strings.Join(parts, " ")
}

// printMetrics prints how many requests and jobs there were, and how long they took.
func (c *console) printMetrics(ctx context.Context, out io.Writer) {
	for _, s := range c.durations(ctx) {
		fmt.Fprintf(out, "metric %-10s %-30s %5d × %-10v %s\n", s.service, s.metric, s.count, s.mean.Round(10*time.Microsecond), s.labels)
	}
}
