package history_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerFile); path != "" {
		os.Exit(write(path))
	}
	goleak.VerifyTestMain(m)
}

// build returns a build of a release of shop.
func build(release string) version.Info {
	return buildOf("shop", release)
}

func buildOf(name, release string) version.Info {
	return version.FromBuildInfo(&debug.BuildInfo{
		GoVersion: "go1.26.8",
		Path:      "example.com/" + name,
		Main:      debug.Module{Path: "example.com/" + name, Version: release, Sum: "h1:" + release},
		Deps:      []*debug.Module{{Path: "github.com/Masterminds/semver/v3", Version: "v3.4.0", Sum: "h1:semver"}, {Path: "example.com/lib", Version: release, Sum: "h1:" + release}},
		Settings:  []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"}, {Key: "vcs.modified", Value: "false"}},
	}, nil)
}

func production(instance string) history.Deployment {
	return history.Deployment{Environment: "production", Instance: instance}
}

// A memory is a store in memory, with a clock that may be wrong.
type memory struct {
	mu      sync.Mutex
	entries []history.Entry
	ahead   time.Duration
	fault   error
}

func (m *memory) Append(_ context.Context, entries ...history.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return m.fault
	}
	for _, e := range entries {
		if slices.ContainsFunc(m.entries, func(old history.Entry) bool { return old.ID == e.ID }) {
			continue
		}
		e = e.Receive(time.Now().Add(m.ahead))
		e.Seq = int64(len(m.entries) + 1)
		m.entries = append(m.entries, e)
	}
	return nil
}

func (m *memory) Entries(context.Context) ([]history.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries), m.fault
}

// all returns the entries.
func (m *memory) all() []history.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}

// A lines is a log that is safe for concurrent use.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// pass lets time pass in a bubble and waits until all goroutines are blocked.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// moves returns the changes of all services in short form.
func moves(t testing.TB, store history.Store) []string {
	t.Helper()
	changes, err := history.Between(t.Context(), store, time.Time{}, time.Time{})
	require.NoError(t, err)
	list := []string{}
	for _, c := range changes {
		list = append(list, move(c))
	}
	return list
}

func move(c history.Change) string {
	from, how := "", "update"
	if c.From == nil {
		how = "first"
	} else {
		from = c.From.Version + "→"
	}
	if c.Rollback != "" {
		how = "rollback"
	}
	return fmt.Sprintf("%s %s%s", how, from, c.To.Version)
}

// timeline returns the whole timeline.
func timeline(t testing.TB, store history.Store) *history.List {
	t.Helper()
	l, err := history.Timeline(t.Context(), store, time.Time{}, time.Time{})
	require.NoError(t, err)
	return l
}

func newFile(path string, opts *history.FileOptions) *history.FileStore {
	s, err := history.NewFile(path, opts)
	if err != nil {
		panic(err)
	}
	return s
}

func fileIn(t testing.TB, opts *history.FileOptions) (*history.FileStore, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	s := newFile(path, opts)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, path
}
