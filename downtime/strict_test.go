package downtime_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A scope with a name that no work has would leave the work running.
func TestUndeclaredWork(t *testing.T) {
	t.Parallel()
	const misspelt = `windows.yaml: window "w": scope.work[1]: unknown work "nightly-raport" (did you mean "nightly-report"?)`
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", time.Hour, time.Hour, ", scope: {work: [import, nightly-raport]}"), window("all", time.Hour, time.Hour, `, scope: {work: ["*"]}`)))
		work := []string{"import", "nightly-report"}
		g := open(t, src, &downtime.Options{Work: work})
		problems := g.Problems()
		require.Len(t, problems, 1)
		require.ErrorContains(t, problems[0], misspelt[len("windows.yaml"):])
		var fault *schedule.Fault
		require.ErrorAs(t, problems[0], &fault)
		require.Equal(t, schedule.SeverityWarning, fault.Severity)
		require.Equal(t, "w", fault.Window)
		src.set(windows(window("w", time.Hour, time.Hour, ", scope: {work: [import, nightly-report]}")), nil)
		later(time.Minute)
		require.Empty(t, g.Problems())

		require.Empty(t, open(t, newSource(windows(window("w", time.Hour, time.Hour, ", scope: {work: [anything]}"))), nil).Problems())
	})
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(window("w", time.Hour, time.Hour, ", scope: {work: [import, nightly-raport]}")))
		opts := &downtime.Options{Work: []string{"import", "nightly-report"}, Strict: true, Logger: quiet}
		_, err := downtime.Open(t.Context(), src, opts)
		require.ErrorContains(t, err, `scope.work[1]: unknown work "nightly-raport"`)

		src.set(windows(), nil)
		g := open(t, src, opts)
		revision := g.Revision()
		src.set(windows(window("w", time.Hour, time.Hour, ", scope: {work: [nightly-raport]}")), nil)
		later(time.Minute)
		require.Equal(t, revision, g.Revision(), "refused")
		require.Len(t, g.Problems(), 1)
	})
}

// A faulty document at the start says that it is faulty, and where; Strict does not start.
func TestFaultyAtTheStart(t *testing.T) {
	t.Parallel()
	faulty := "windows:\n  - {id: w, start: \"2000-01-01T00:00:00Z\", duration: 1h, mode: clsed}\n"
	synctest.Test(t, func(t *testing.T) {
		src := newSource(faulty)
		g := open(t, src, nil)
		h := g.Handler(ok)
		require.Equal(t, 200, get(h, "GET", "/").Code, "BootWait refuses what writes")
		w := get(h, "POST", "/")
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), "The maintenance schedule is faulty, at ")
		require.Contains(t, w.Body.String(), ":2:")
		require.NotContains(t, w.Body.String(), "clsed", "what it says is nobody's business")
		_, err := g.Enter(t.Context(), downtime.Work{Name: "x"})
		require.ErrorContains(t, err, "is faulty, at ")
		require.NotEmpty(t, g.Problems())
		src.set(windows(), nil)
		later(time.Minute)
		require.Equal(t, 200, get(h, "POST", "/").Code)

		_, err = downtime.Open(t.Context(), newSource(faulty), &downtime.Options{Strict: true, Logger: quiet})
		var fault *schedule.Fault
		require.ErrorAs(t, err, &fault)
		require.Equal(t, 2, fault.Line)
		_, err = downtime.Open(t.Context(), newSource(faulty), &downtime.Options{Strict: true, Fallback: []byte("windows: []"), Logger: quiet})
		require.ErrorAs(t, err, &fault)
	})
	synctest.Test(t, func(t *testing.T) { // out of reach first, and then faulty
		src := newSource("")
		src.set("", errors.New("away"))
		g := open(t, src, &downtime.Options{Boot: downtime.BootClosed})
		h := g.Handler(ok)
		require.Contains(t, get(h, "GET", "/").Body.String(), "has not been read yet")
		src.set(faulty, nil)
		later(time.Minute)
		require.Contains(t, get(h, "GET", "/").Body.String(), "is faulty, at ")
	})
}
