package downtimetest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/downtimetest"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const orders = `windows: [{id: orders, start: 2000-01-01T01:00:00Z, duration: 1h, overrun: reopen, scope: {paths: ["/orders/**"]}}]`

func TestSleepingMovesTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := downtimetest.New(t, orders)
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		status := func(path string) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
			return w.Code
		}
		for _, step := range []struct {
			sleep time.Duration
			want  int
		}{{0, 204}, {time.Hour, 503}, {time.Hour, 204}} {
			time.Sleep(step.sleep)
			synctest.Wait()
			require.Equal(t, step.want, status("/orders/1"))
			require.Equal(t, 204, status("/catalogue"))
		}
		_, err := g.Report("orders")
		require.NoError(t, err)
	})
}

// A recorder is a test that is allowed to fail.
type recorder struct {
	testing.TB
	errors, logs []string
	cleanups     []func()
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, a ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, a...))
}

func (r *recorder) Logf(format string, a ...any)   { r.logs = append(r.logs, fmt.Sprintf(format, a...)) }
func (r *recorder) Cleanup(f func())               { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatalf(format string, a ...any) { r.Errorf(format, a...); runtime.Goexit() }

// record runs a test that may end itself.
func record(t *testing.T, test func(testing.TB)) *recorder {
	r, done := &recorder{TB: t}, make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	r := record(t, func(t testing.TB) { downtimetest.New(t, "windows: [{id: w}]") })
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], `window "w": duration: is required`)
	require.Empty(t, r.cleanups)

	var g *downtime.Guard
	r = record(t, func(t testing.TB) { g = downtimetest.New(t, orders) })
	require.Empty(t, r.errors)
	require.Len(t, r.cleanups, 1)
	r.cleanups[0]()
	_, err := g.Begin("orders")
	require.ErrorIs(t, err, downtime.ErrClosed)
}

func TestLint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "windows.yaml")
	lint := func(doc string) *recorder {
		require.NoError(t, os.WriteFile(path, []byte(doc), 0o600))
		return record(t, func(t testing.TB) { downtimetest.Lint(t, path) })
	}
	r := lint("windows: [{id: w, start: 8000-01-01T00:00:00Z, duration: 1h}]")
	require.Empty(t, r.errors)
	require.Empty(t, r.logs)
	r = lint(orders)
	require.Empty(t, r.errors)
	require.Len(t, r.logs, 1)
	require.Contains(t, r.logs[0], "warning: "+path)
	r = lint("windows: [{id: w, start: x, duration: y}]")
	require.Len(t, r.errors, 2)
	require.NoError(t, os.Remove(path))
	r = record(t, func(t testing.TB) { downtimetest.Lint(t, path) })
	require.Len(t, r.errors, 1)
}

// A test of a service in a window:
//
//	func TestOrdersInAWindow(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			g := downtimetest.New(t, `windows: [{id: orders, start: 2000-01-01T01:00:00Z, duration: 1h}]`)
//			…
//		})
//	}
func ExampleNew() {
	test := func(t testing.TB) {
		g := downtimetest.New(t, orders)
		rep, err := g.Report("orders")
		fmt.Println(rep.Window, rep.Phase == schedule.PhaseCompleted, err)
	}
	r := &recorder{}
	test(r)
	for _, f := range r.cleanups {
		f()
	}
	// Output: orders true <nil>
}
