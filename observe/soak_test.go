package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/observe"
)

// hanging is an exporter and a store of captures that does not return, and ignores its context,
// until end is closed.
type hanging struct {
	end   chan struct{}
	calls atomic.Int64
}

func (h *hanging) hang() error {
	h.calls.Add(1)
	<-h.end
	return nil
}

func (h *hanging) Shutdown(context.Context) error   { return nil }
func (h *hanging) ForceFlush(context.Context) error { return nil }

type hangingSpans struct{ *hanging }

func (h hangingSpans) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return h.hang() }

type hangingLogs struct{ *hanging }

func (h hangingLogs) Export(context.Context, []sdklog.Record) error { return h.hang() }

type hangingMetrics struct{ *hanging }

func (h hangingMetrics) Export(context.Context, *metricdata.ResourceMetrics) error { return h.hang() }

func (hangingMetrics) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (hangingMetrics) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

type hangingStore struct{ *hanging }

func (hangingStore) Open(string) (fs.File, error)                { return nil, fs.ErrNotExist }
func (hangingStore) Remove(context.Context, string) error        { return fs.ErrNotExist }
func (h hangingStore) Put(context.Context, string, []byte) error { return h.hang() }

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestSoak lets two hundred clients do their worst, a fifth of it failures, while nothing that is
// recorded gets anywhere.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	length := testsize.Pick(0, 5*time.Second, 2*time.Minute)
	const (
		clients = 200
		mib     = 1 << 20
		tails   = 16 * mib // as the package says
		bundles = 64 * mib
		// Memory of others: the SDK's queues of 2,048 spans and records, and for each client
		// two ends of a connection, a request and its parts.
		others = 2*2048*8<<10 + clients*256<<10
	)

	hang := &hanging{end: make(chan struct{})}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(hangingSpans{hang}, sdktrace.WithBatchTimeout(10*time.Millisecond)))
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(hangingLogs{hang}, sdklog.WithExportInterval(10*time.Millisecond))))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(hangingMetrics{hang}, sdkmetric.WithInterval(10*time.Millisecond))))
	obs, err := observe.New(&observe.Options{
		Log: slog.NewJSONHandler(io.Discard, nil), TracerProvider: tracers, MeterProvider: meters, LoggerProvider: loggers,
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Captures:   hangingStore{hang}, GuardedFlags: []string{"express"},
	})
	require.NoError(t, err)

	filler := strings.Repeat("x", 300)
	var stray sync.WaitGroup // goroutines that outlive their requests
	mux := http.NewServeMux()
	log := func(r *http.Request, records int) {
		for i := range records {
			obs.Logger().DebugContext(r.Context(), "a step", "i", i, "what", filler, "header", r.Header.Values("X-Request-Id"))
		}
	}
	flag := func(r *http.Request) {
		observe.RecordFlag(r.Context(), "soak", openfeature.InterfaceEvaluationDetails{EvaluationDetails: openfeature.EvaluationDetails{
			FlagKey: "express", ResolutionDetail: openfeature.ResolutionDetail{Variant: r.URL.RawQuery},
		}})
	}
	mux.HandleFunc("GET /fine/{n}", func(w http.ResponseWriter, r *http.Request) {
		flag(r)
		log(r, 100)
		_, _ = io.WriteString(w, "fine")
	})
	mux.HandleFunc("GET /panic/{n}", func(_ http.ResponseWriter, r *http.Request) {
		flag(r)
		log(r, 50)
		panic(fmt.Sprint("panic ", r.PathValue("n")))
	})
	mux.HandleFunc("POST /endless/{n}", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, mib))
		observe.Fail(r.Context(), err)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	mux.HandleFunc("GET /stray/{n}", func(w http.ResponseWriter, r *http.Request) {
		stray.Go(func() {
			for range 20 {
				log(r, 1)
				_, _ = io.WriteString(w, "late")
				runtime.Gosched()
			}
			observe.Fail(r.Context(), errors.New("late"))
		})
	})
	mux.HandleFunc("GET /gone/{n}", func(w http.ResponseWriter, r *http.Request) {
		log(r, 50)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /events/{n}", func(w http.ResponseWriter, r *http.Request) {
		flag(r)
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			log(r, 1)
			if _, err := io.WriteString(w, "data: "+filler+"\n\n"); err != nil {
				observe.Fail(r.Context(), err)
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("GET /leave/{n}", func(w http.ResponseWriter, r *http.Request) {
		log(r, 10)
		<-r.Context().Done()
		observe.Fail(r.Context(), fmt.Errorf("query: %w", r.Context().Err()))
		http.Error(w, "bad gateway", http.StatusBadGateway)
	})
	mux.HandleFunc("GET /socket/{n}", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			observe.Fail(r.Context(), err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: soak\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		log(r, 10)
	})
	srv := httptest.NewUnstartedServer(obs.Handler(observe.Route(mux)))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	srv.Start()
	transport := srv.Client().Transport.(*http.Transport)
	transport.MaxIdleConnsPerHost = clients

	runtime.GC()
	debug.FreeOSMemory()
	before := liveHeap()
	var busy sync.WaitGroup
	var served [len(soakPaths)]atomic.Int64
	end := time.Now().Add(length)
	for client := range clients {
		busy.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(client)))
			for time.Now().Before(end) {
				kind := [20]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 5, 5, 6, 6, 7}[random.IntN(20)]
				status := soak(srv, kind, random)
				served[kind].Add(1)
				if kind == 1 && status != http.StatusInternalServerError {
					t.Errorf("a panic is answered with %d", status)
				}
			}
		})
	}
	var most, mostTails, mostBundles uint64
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for time.Now().Before(end) {
			<-tick.C
			h := obs.Health()
			most = max(most, liveHeap())
			mostTails = max(mostTails, uint64(h.Queued["tail_bytes"]))
			mostBundles = max(mostBundles, uint64(h.Queued["captures_queued_bytes"]))
		}
	}()
	busy.Wait()
	<-watched
	stats := obs.Stats()
	t.Logf("%.0f requests: %d fine, %d panics, %d endless bodies, %d strays, %d clients that went, %d streams, %d that left before the answer, %d upgrades; live heap from %.1f to %.1f MiB, tails %.1f MiB, captures %.1f MiB; %d exports hang; %v",
		stats["requests"], served[0].Load(), served[1].Load(), served[2].Load(), served[3].Load(), served[4].Load(),
		served[5].Load(), served[6].Load(), served[7].Load(),
		float64(before)/mib, float64(most)/mib, float64(mostTails)/mib, float64(mostBundles)/mib, hang.calls.Load(), obs.Health())
	for kind := range served {
		require.NotZero(t, served[kind].Load())
	}
	require.LessOrEqual(t, mostTails, uint64(tails))
	require.LessOrEqual(t, mostBundles, uint64(bundles))
	require.Less(t, most, before+tails+bundles+others)
	require.NotZero(t, hang.calls.Load())
	require.LessOrEqual(t, float64(served[1].Load()), stats["panics"], "a client may have asked again")

	srv.Close()
	transport.CloseIdleConnections()
	stray.Wait()
	stats = obs.Stats()
	require.Zero(t, stats["requests_active"])
	require.Zero(t, stats["streams_active"])
	require.NotZero(t, stats["requests_gone"])
	require.NotZero(t, stats["streams_gone"])
	require.Zero(t, stats["streams_failed"])
	// A client may have asked again, so more was served than the clients have counted. But whoever
	// left has failed nothing.
	require.LessOrEqual(t, stats["requests_failed"], stats["requests"]-stats["requests_gone"]-stats["streams"]-float64(served[0].Load()))
	require.Zero(t, obs.Stats()["tail_bytes"])
	close(hang.end)
	_ = meters.Shutdown(context.Background()) // what they say of the collector does not matter
	_ = tracers.Shutdown(context.Background())
	_ = loggers.Shutdown(context.Background())
	require.NoError(t, obs.Close())
	require.Zero(t, obs.Stats()["captures_queued_bytes"])
}

// soak sends one request of a kind and returns the status of its answer, 0 if there is
// none.
func soak(srv *httptest.Server, kind int, random *rand.Rand) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if kind == 6 {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	}
	method, path, body := http.MethodGet, soakPaths[kind], io.Reader(nil)
	if kind == 2 {
		method, body = http.MethodPost, endless{}
	}
	r, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("%s%s%d?variant-%d", srv.URL, path, random.Uint32(), random.IntN(1000)), body)
	if err != nil {
		return 0
	}
	r.Header.Set("X-Request-Id", strings.Repeat("i", random.IntN(300)))
	r.Header.Set("Traceparent", fmt.Sprintf("00-%032x-%016x-%02x", random.Uint64(), random.Uint64(), random.IntN(300)))
	r.Header.Set("Baggage", strings.Repeat("a=b,", random.IntN(1000))+"c=d")
	if kind == 7 {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "soak")
	}
	resp, err := srv.Client().Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	switch kind {
	case 4:
	case 5:
		_, _ = io.CopyN(io.Discard, resp.Body, int64(random.IntN(10000)))
	default:
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	return resp.StatusCode
}

var soakPaths = [...]string{"/fine/", "/panic/", "/endless/", "/stray/", "/gone/", "/events/", "/leave/", "/socket/"}

// liveHeap is what the last garbage collection has found in use.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
