package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A collector is a real one, which prints its input.
type collector struct {
	url string
	out *buffer
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	path, err := collectorPath()
	require.NoError(t, err)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("there is no collector; ./setup builds one")
	}
	// Its receiver does not report its port, so the test finds a free one for it. If another process takes
	// the port meanwhile, the test tries again.
	var last string
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := l.Addr().String()
		require.NoError(t, l.Close())
		c := &collector{url: "http://" + address, out: &buffer{}}
		ctx, cancel := context.WithCancel(context.Background())
		cmd, err := collectorCommand(ctx, t.TempDir(), address)
		require.NoError(t, err)
		cmd.Stdout, cmd.Stderr = c.out, c.out
		require.NoError(t, cmd.Start())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
		if c.ready(ended) {
			return c
		}
		last = c.out.String()
	}
	require.FailNow(t, "the collector does not start", last)
	return nil
}

// ready waits until the collector listens, or has ended.
func (c *collector) ready(ended <-chan struct{}) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-tick.C:
			if strings.Contains(c.out.String(), "Everything is ready.") {
				return true
			}
		}
	}
}

// parts returns what the collector printed of one kind, each with its resource: spans, metrics or log records
// of one service.
func (c *collector) parts(kind string) []string {
	all := regexp.MustCompile(`(?m)^(Resource(?:Spans|Metrics|Log)) #\d+$`).FindAllStringIndex(c.out.String(), -1)
	text := c.out.String()
	var parts []string
	for i, at := range all {
		end := len(text)
		if i+1 < len(all) {
			end = all[i+1][0]
		}
		if strings.HasPrefix(text[at[0]:], kind+" #") {
			parts = append(parts, text[at[0]:end])
		}
	}
	return parts
}

// holding returns the items, such as spans, of one service and release that contain all texts.
func (c *collector) holding(kind, item, service string, texts ...string) []string {
	var found []string
	for _, part := range c.parts(kind) {
		if !strings.Contains(part, "-> service.name: Str("+service+")") || !strings.Contains(part, "-> service.version: Str(v1.4.2)") {
			continue
		}
		for _, text := range regexp.MustCompile(`(?m)^`+item+` #\d+$`).Split(part, -1)[1:] {
			holds := true
			for _, want := range texts {
				holds = holds && strings.Contains(text, want)
			}
			if holds {
				found = append(found, text)
			}
		}
	}
	return found
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var traceID = regexp.MustCompile(`(?m)^ *Trace ID *: ([0-9a-f]{32})$`)

// TestTelemetryReachesACollector buys two things and reads what a real collector received.
func TestTelemetryReachesACollector(t *testing.T) {
	c := startCollector(t)
	s, err := openShop(t.Context(), c.url, "v1.4.2")
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	buy := func(query, id string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/checkout/tea?"+query, nil)
		require.NoError(t, err)
		r.Header.Set("X-Request-Id", id)
		resp, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, id, resp.Header.Get("X-Request-Id"))
		return resp.StatusCode
	}
	require.Equal(t, 200, buy("user=bob-3", "ticket-1"))
	require.Equal(t, 500, buy("user=ada&email=ada@shop.example", "ticket-2"))
	require.NoError(t, s.close(t.Context()), "the rest is exported")

	one := func(kind, item, service string, texts ...string) string {
		t.Helper()
		var found []string
		require.Eventually(t, func() bool {
			found = c.holding(kind, item, service, texts...)
			return len(found) > 0
		}, 30*time.Second, 20*time.Millisecond, "%s of %s with %q\n%s", item, service, texts, c.out)
		if item != "Metric" { // metrics are exported again at the end
			require.Len(t, found, 1, "%q", texts)
		}
		return found[0]
	}
	span := func(service string, texts ...string) string {
		t.Helper()
		id := traceID.FindStringSubmatch(one("ResourceSpans", "Span", service, texts...))
		require.NotNil(t, id)
		return id[1]
	}

	// One trace through both services. All records belong to it.
	trace := span("storefront", "Name           : POST /checkout/{item}\n", "Kind           : Server\n",
		"Status code    : Error\n", "-> http.route: Str(/checkout/{item})", "-> error.type: Str(runtime.boundsError)", "-> upkeep.request.id: Str(ticket-2)",
		"-> upkeep.flag.express-checkout: Str(on)")
	inTrace := "ID       : " + trace
	span("prices", "Name           : GET /prices/{item}\n", inTrace, "-> upkeep.request.id: Str(ticket-2)")
	span("storefront", "Kind           : Client\n", inTrace)
	inTrace = "Trace ID: " + trace
	one("ResourceLog", "LogRecord", "storefront", "EventName: feature_flag.evaluation\n", inTrace,
		"-> feature_flag.key: Str(express-checkout)", "-> feature_flag.result.variant: Str(on)", "-> feature_flag.result.reason: Str(targeting_match)")
	one("ResourceLog", "LogRecord", "storefront", "EventName: http.server.request.exception\n", inTrace, "-> exception.stacktrace: Str(")
	one("ResourceLog", "LogRecord", "storefront", "Body: Str(request failed)\n", inTrace, "-> request_id: Str(ticket-2)", "-> stack: Str(")
	one("ResourceLog", "LogRecord", "storefront", "Body: Str(checking out)\n", inTrace, "-> tail: Bool(true)") // kept, because the request failed
	one("ResourceLog", "LogRecord", "prices", "Body: Str(priced)\n", inTrace)

	// Metrics, by release and by variant.
	one("ResourceMetrics", "Metric", "prices", "-> Name: http.server.request.duration\n", "-> http.route: Str(/prices/{item})")
	one("ResourceMetrics", "Metric", "storefront", "-> Name: http.server.request.duration\n", "-> http.response.status_code: Int(500)")
	one("ResourceMetrics", "Metric", "storefront", "-> Name: http.client.request.duration\n")
	guarded := one("ResourceMetrics", "Metric", "storefront", "-> Name: upkeep.flag.request.duration\n")
	for _, variant := range []string{"on", "off"} {
		require.Contains(t, guarded, "-> feature_flag.result.variant: Str("+variant+")")
	}
	one("ResourceMetrics", "Metric", "storefront", "-> Name: upkeep.flags.stale\n")
	one("ResourceMetrics", "Metric", "storefront", "-> Name: upkeep.downtime.in_flight\n")
	one("ResourceMetrics", "Metric", "storefront", "-> Name: upkeep.observe.dropped\n")
}
