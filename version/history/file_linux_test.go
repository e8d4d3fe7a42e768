package history_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// writeFull appends until the file cannot grow, and prints the number of appends.
func writeFull(path string) int {
	limit := syscall.Rlimit{Cur: 20_000, Max: 20_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := newFile(path, nil)
	for n := 0; ; n++ {
		err := s.Append(context.Background(), beat("full", n))
		if errors.Is(err, syscall.EFBIG) {
			fmt.Print(n)
			return 0
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
}

// TestFileLimit has a file that cannot grow.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerFile+"="+path, writerMode+"=full")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	entries, err := s.Entries(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(out), fmt.Sprint(len(entries)))
	require.Regexp(t, `\n$`, read(t, path), "what did not fit is gone")
	require.NoError(t, s.Append(t.Context(), beat("full", 1000)))
}

// mounted mounts a file system of 64 KiB, or a read-only one.
func mounted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("only root can mount: ", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestFileFullDisk(t *testing.T) {
	t.Parallel()
	dir := mounted(t)
	path := filepath.Join(dir, "history.jsonl")
	s := newFile(path, nil)
	defer s.Close()
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
	n := 0
	for ; ; n++ {
		err := history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "a", To: fmt.Sprint(n)})
		if err == nil {
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorContains(t, err, "history: cannot append: write "+path+": no space left on device")
		break
	}
	require.Len(t, timeline(t, s).Items, n+1, "what was acknowledged is there, and can be read")
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"))
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "b"}))
	require.Len(t, timeline(t, s).Items, n+2)
	require.Zero(t, s.Stats()["rejected_lines"])
}

// TestFileFoldFullDisk: if the file cannot be rewritten, appends go on in the old file.
func TestFileFoldFullDisk(t *testing.T) {
	t.Parallel()
	dir := mounted(t)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=100k"))
	s := newFile(filepath.Join(dir, "history.jsonl"), &history.FileOptions{MaxBytes: 64 << 10})
	defer s.Close()
	n := 0
	for ; s.Stats()["fold_failures"] == 0; n++ {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: fmt.Sprint(n)}))
	}
	require.Len(t, timeline(t, s).Items, n)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"))
	for ; s.Stats()["folded"] == 0; n++ {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: fmt.Sprint(n)}))
	}
	list := timeline(t, s).Items
	require.Equal(t, fmt.Sprint(n-1), list[len(list)-1].Event.Subject)
}

func TestFileReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := mounted(t)
	path := filepath.Join(dir, "history.jsonl")
	s := newFile(path, nil)
	defer s.Close()
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
	require.NoError(t, s.Close())
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	err := history.Record(t.Context(), s, build("v2.0.0"), production("a"))
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, "history: cannot append: open "+path+": read-only file system")
	require.Equal(t, []string{"first v1.0.0"}, moves(t, s), "it can be read")
}

// TestFilePipe has a pipe instead of a file. An append must not wait for its other end.
func TestFilePipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	s := newFile(path, nil)
	defer s.Close()
	require.ErrorContains(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}), "not a regular file")
	_, err := history.Current(t.Context(), s)
	require.ErrorContains(t, err, "not a regular file")
}

// TestFileBusy has other processes that hold all segments: the store waits for a while. It never
// writes to a segment of another process.
func TestFileBusy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	var others []*os.File
	for n := 1; n <= 64; n++ {
		name := path
		if n > 1 {
			name += fmt.Sprint(".segment", n)
		}
		other, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		defer other.Close()
		require.NoError(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX))
		others = append(others, other)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newFile(path, nil)
		defer s.Close()
		began := time.Now()
		require.ErrorIs(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}), history.ErrBusy)
		require.InDelta(t, 5, time.Since(began).Seconds(), 0.1)

		done := make(chan error)
		go func() { done <- history.Note(t.Context(), s, history.Event{Kind: "flag"}) }()
		time.Sleep(time.Second)
		require.NoError(t, syscall.Flock(int(others[2].Fd()), syscall.LOCK_UN))
		require.NoError(t, <-done)
		began = time.Now()
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}))
		require.Zero(t, time.Since(began))
		require.Equal(t, 2, strings.Count(read(t, path+".segment3"), "\n"))
		require.Empty(t, read(t, path))
		require.Len(t, timeline(t, s).Items, 2)
	})
}
