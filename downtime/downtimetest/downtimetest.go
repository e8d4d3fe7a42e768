// Package downtimetest opens guards for tests and checks documents of windows.
//
// [New] returns a guard with a document. In a bubble of testing/synctest, time starts at midnight
// UTC on 2000-01-01, and sleeping moves it:
//
//	synctest.Test(t, func(t *testing.T) {
//		g := downtimetest.New(t, `windows: [{id: orders, start: 2000-01-01T01:00:00Z, duration: 1h}]`)
//		time.Sleep(time.Hour)
//		synctest.Wait() // now the window is in progress
//	})
//
// [Lint] checks a document of the repository.
package downtimetest

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// New returns a guard with the document doc, YAML or JSON. It closes the guard at the end of the test.
// A faulty document ends the test. The guard does not log, and streams end without jitter.
//
// The guard decides alone: it has no quorum and no bypass. For other options use [downtime.Open]
// with [downtime.Bytes].
func New(t testing.TB, doc string) *downtime.Guard {
	t.Helper()
	g, err := downtime.Open(context.Background(), downtime.Bytes("windows", []byte(doc)), &downtime.Options{
		Strict: true, StreamJitter: -1, RetryJitter: -1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("downtimetest: %v", err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// Lint reports each fault of the document at path as an error of the test, and logs each warning:
// see [schedule.Lint]. Warnings do not fail a test, because some depend on the date.
func Lint(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("downtimetest: %v", err)
		return
	}
	for _, f := range schedule.Lint(path, data, time.Now()) {
		if f.Severity == schedule.SeverityError {
			t.Errorf("%v", f)
		} else {
			t.Logf("%v: %v", f.Severity, f)
		}
	}
}
