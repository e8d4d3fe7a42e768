package observe_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// failing serves a request that fails at route with status.
func failing(k *rig, route string, status int) {
	mux := http.NewServeMux()
	mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	k.serve(k.obs.Handler(observe.Route(mux)), "GET", route)
}

func detailed(k *rig) (reported, suppressed float64) {
	stats := k.obs.Stats()
	return stats["details"], stats["details_suppressed"]
}

func TestDetailsAreLimitedByFingerprint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		for range 5 {
			failing(k, "/a", 500)
		}
		requireDetails(t, k, 3, 2)
		failing(k, "/b", 500) // another route
		failing(k, "/a", 502) // another status
		failing(k, "/a", 404) // no failure
		requireDetails(t, k, 5, 2)

		time.Sleep(time.Minute - time.Nanosecond)
		failing(k, "/a", 500)
		requireDetails(t, k, 5, 3)
		time.Sleep(time.Nanosecond)
		failing(k, "/a", 500)
		requireDetails(t, k, 6, 3)
		failing(k, "/a", 500)

		var counts [][]any
		for _, line := range k.logs.lines(t) {
			counts = append(counts, []any{line["repeated"], line["suppressed"]})
		}
		require.Equal(t, [][]any{{nil, nil}, {nil, nil}, {nil, nil}, {4.0, nil}}, counts)
		time.Sleep(time.Second)
		failing(k, "/a", 500)
		lines := k.logs.lines(t)
		require.Equal(t, []any{2.0, 3.0}, []any{lines[4]["repeated"], lines[4]["suppressed"]})
	})
}

func requireDetails(t *testing.T, k *rig, reported, suppressed float64) {
	t.Helper()
	gotReported, gotSuppressed := detailed(k)
	require.Equal(t, []float64{reported, suppressed}, []float64{gotReported, gotSuppressed})
}

func TestDetailsAreLimitedInAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		for i := range 15 {
			failing(k, fmt.Sprint("/", i), 500)
		}
		requireDetails(t, k, 10, 5)
		time.Sleep(time.Second)
		failing(k, "/14", 500)
		requireDetails(t, k, 11, 5)
		require.Equal(t, 1.0, k.logs.lines(t)[15]["suppressed"])
	})
}

// At most ten in any second, and three alike in any minute: twice as many cannot pass around
// the edge of an interval.
func TestDetailsAreLimitedAtAnyTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		random := rand.New(rand.NewPCG(1, 2))
		var all []time.Time
		alike := map[string][]time.Time{}
		for range 8000 {
			time.Sleep(time.Duration(random.IntN(int(40 * time.Millisecond))))
			route := fmt.Sprint("/", random.IntN(400))
			before, _ := detailed(k)
			failing(k, route, 500)
			if after, _ := detailed(k); after == before {
				continue
			}
			now := time.Now()
			all = append(all, now)
			alike[route] = append(alike[route], now)
			if n := len(all); n > 10 {
				require.GreaterOrEqual(t, now.Sub(all[n-11]), time.Second)
			}
			if n := len(alike[route]); n > 3 {
				require.GreaterOrEqual(t, now.Sub(alike[route][n-4]), time.Minute)
			}
		}
		require.Greater(t, len(all), 500)
	})
}

// The place counts, so that one noisy failure does not hide another of the route.
func TestDetailsKnowTheSite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		for _, fail := range []func(context.Context){
			func(ctx context.Context) { observe.Fail(ctx, errors.New("one")) },
			func(ctx context.Context) { observe.Fail(ctx, errors.New("another")) },
			func(context.Context) { panic("one") },
			func(context.Context) { panic("another") },
			func(context.Context) { _ = []int(nil)[len(t.Name())] },
			func(context.Context) { _ = *(*int)(nil) },
		} {
			before, _ := detailed(k)
			for range 5 {
				k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fail(r.Context()) })), "GET", "/")
			}
			after, _ := detailed(k)
			require.Equal(t, before+3, after)
			time.Sleep(time.Second)
		}
		for range 5 {
			_ = k.obs.Do(context.Background(), "job", func(context.Context) error { return errors.New("one") })
		}
		requireDetails(t, k, 6*3+3, 6*2+2)
	})
}

func TestDetailsOfSlowRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, func(o *observe.Options) { o.Slow = time.Second })
		for _, d := range []time.Duration{time.Second - 1, time.Second} {
			k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(d) })), "GET", "/")
		}
		_ = k.obs.Do(context.Background(), "job", func(context.Context) error { time.Sleep(time.Hour); return nil })
		requireDetails(t, k, 1, 0)
	})
	_, err := observe.New(&observe.Options{Slow: -1})
	require.ErrorContains(t, err, "Options.Slow")
}

// The number of fingerprints is bounded, and those beyond it count as one.
func TestFingerprintsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		for i := range 3000 {
			_ = k.obs.Do(context.Background(), fmt.Sprint("job", i), func(context.Context) error { return errors.New("broke") })
			if i%10 == 9 {
				time.Sleep(time.Second)
			}
			require.LessOrEqual(t, observe.Fingerprints(k.obs), 1000)
		}
		requireDetails(t, k, 3000, 0) // older ones are forgotten in time

		for i := range 3000 {
			_ = k.obs.Do(context.Background(), fmt.Sprint("again", i), func(context.Context) error { return errors.New("broke") })
			if i%10 == 9 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		require.LessOrEqual(t, observe.Fingerprints(k.obs), 1000)
	})
}

func TestDetailsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { failing(k, fmt.Sprint("/", i%20), 500) })
		}
		all.Wait()
		requireDetails(t, k, 10, 90)
	})
}

// ERROR records of one kind are limited to one a second, which counts the others; metrics are
// not, and neither are records of other kinds.
func TestErrorRecordsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, nil)
		for range 100 {
			failing(k, "/a", 500)
			_ = k.obs.Do(context.Background(), "job", func(context.Context) error { return errors.New("broke") })
		}
		failing(k, "/b", 500)
		failing(k, "/a", 502)
		time.Sleep(time.Second - time.Nanosecond)
		failing(k, "/a", 500)
		time.Sleep(time.Nanosecond)
		failing(k, "/a", 500)
		failing(k, "/a", 500)
		time.Sleep(time.Hour)
		failing(k, "/a", 500)
		var got []string
		for _, line := range k.logs.lines(t) {
			got = append(got, fmt.Sprint(line["level"], " ", line["msg"], " ", line["route"], line["job"], " ", line["status"], " ", line["repeated"]))
		}
		require.Equal(t, []string{
			"ERROR request failed /a<nil> 500 <nil>", "ERROR job failed <nil>job <nil> <nil>", "ERROR request failed /b<nil> 500 <nil>", "ERROR request failed /a<nil> 502 <nil>",
			"ERROR request failed /a<nil> 500 100", "ERROR request failed /a<nil> 500 1",
		}, got)
		require.Equal(t, int64(104), k.points(serverDuration)["error.type=500,http.request.method=GET,http.response.status_code=500,http.route=/a,network.protocol.version=1.1,url.scheme=http"])
		require.Equal(t, 200.0, k.obs.Stats()["records_repeated"])
		require.NoError(t, k.obs.Health().Err(), "that is meant")
	})
}

// A slow request is not an ERROR, and each has its record.
func TestOtherRecordsAreNotLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, func(o *observe.Options) { o.Slow = time.Millisecond })
		for range 5 {
			k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) })), "GET", "/")
		}
		require.Len(t, k.logs.lines(t), 5)
	})
}
