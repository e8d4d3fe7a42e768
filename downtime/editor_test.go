package downtime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

func TestFileEditor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "windows.yaml")
	e := downtime.FileEditor(path)
	become := func(text string) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return []byte(text), nil }
	}
	require.ErrorIs(t, e.Edit(t.Context(), become("x")), fs.ErrNotExist)
	require.NoFileExists(t, path)
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o640))

	boom := errors.New("boom")
	require.ErrorIs(t, e.Edit(t.Context(), func(old []byte) ([]byte, error) {
		require.Equal(t, "old", string(old))
		return []byte("new"), boom
	}), boom)
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, e.Edit(t.Context(), become("old")))
	same, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, same), "an edit without a change does not write")

	require.NoError(t, e.Edit(t.Context(), become("new")))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, before.Mode(), after.Mode())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)

	ended, cancel := context.WithCancelCause(t.Context())
	cancel(boom)
	require.ErrorIs(t, e.Edit(ended, become("x")), boom)
	require.ErrorContains(t, downtime.FileEditor(dir).Edit(t.Context(), become("x")), "must be a regular file")
	if runtime.GOOS != "windows" {
		link := filepath.Join(dir, "link.yaml")
		require.NoError(t, os.Symlink("windows.yaml", link))
		require.NoError(t, downtime.FileEditor(link).Edit(t.Context(), become("by link")))
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "by link", string(data))
		info, err := os.Lstat(link)
		require.NoError(t, err)
		require.NotZero(t, info.Mode()&fs.ModeSymlink)
	}
}

func increment(old []byte) ([]byte, error) {
	n, err := strconv.Atoi(strings.TrimSpace(string(old)))
	return fmt.Appendf(nil, "%d\n", n+1), err
}

// Edits of several editors, as of several processes, do not lose each other.
func TestFileEditorsWait(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("without flock, editors of one file do not wait for each other")
	}
	path := filepath.Join(t.TempDir(), "n")
	require.NoError(t, os.WriteFile(path, []byte("0"), 0o600))
	const editors, edits = 4, 10
	var all sync.WaitGroup
	errs := make(chan error, editors*edits)
	for range editors {
		all.Go(func() {
			e := downtime.FileEditor(path)
			for range edits {
				errs <- e.Edit(t.Context(), increment)
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(editors*edits), strings.TrimSpace(string(data)))
}

// editsFile is the environment variable that makes the test binary edit a file until it is killed.
const editsFile = "UPKEEP_TEST_EDITS_FILE"

func init() {
	path := os.Getenv(editsFile)
	if path == "" {
		return
	}
	e := downtime.FileEditor(path)
	for small := false; ; small = !small {
		err := e.Edit(context.Background(), func([]byte) ([]byte, error) { return document(small), nil })
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("edited")
	}
}

// document returns one of two documents of different sizes.
func document(small bool) []byte {
	n := 5000
	if small {
		n = 1
	}
	return append([]byte("windows: []\n"), bytes.Repeat([]byte("# a long comment\n"), n)...)
}

// kill -9 of the process that edits leaves the old document or the new one.
func TestKilledEditorLeavesAWholeDocument(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a killed process may leave the file locked for a while")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "windows.yaml")
	require.NoError(t, os.WriteFile(path, document(true), 0o600))
	self, err := os.Executable()
	require.NoError(t, err)
	for i := range testsize.Pick(2, 5, 100) {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^$")
		cmd.Env = append(os.Environ(), editsFile+"="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = out.Read(make([]byte, 1)) // it edits
		require.NoError(t, err)
		timer := time.NewTimer(time.Duration(i%10) * time.Millisecond)
		<-timer.C
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, document(true)) || bytes.Equal(data, document(false)), "%d bytes", len(data))
		_, err = schedule.Parse("windows.yaml", data)
		require.NoError(t, err)
		require.NoError(t, downtime.FileEditor(path).Edit(t.Context(), func([]byte) ([]byte, error) { return document(i%2 == 0), nil }),
			"a killed process releases its lock")
	}
}

// An operator ends a window for all replicas: the document changes, and each guard reads it.
func ExampleFileEditor() {
	dir, err := os.MkdirTemp("", "windows")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "windows.yaml")
	if err := os.WriteFile(path, []byte(`windows:
  - id: orders-db   # see the runbook
    start: 2026-12-06T02:00:00Z
    duration: 2h
`), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 12, 6, 2, 40, 0, 0, time.UTC) // usually time.Now()
	err = downtime.FileEditor(path).Edit(context.Background(), func(old []byte) ([]byte, error) {
		return schedule.Complete("windows.yaml", old, "orders-db", now)
	})
	data, _ := os.ReadFile(path)
	fmt.Printf("%v\n%s", err, data)
	// Output:
	// <nil>
	// windows:
	//   - id: orders-db   # see the runbook
	//     start: 2026-12-06T02:00:00Z
	//     duration: 2h
	//     actual: {end: "2026-12-06T02:40:00Z"}
}
