package live_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/live"
)

// keepFile keeps path. It polls so rarely that only events can report a change.
func keepFile(t *testing.T, path string) (k *live.Keeper[string], until func(want string)) {
	t.Helper()
	k = start(t, live.File(path), live.Options[string]{Poll: time.Hour})
	return k, func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return value(k) == want }, 20*time.Second, time.Millisecond, "want %q", want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(from, to))
}

func symlink(t *testing.T, target, link string) {
	t.Helper()
	require.NoError(t, os.Symlink(target, link))
}

func TestFileEvents(t *testing.T) {
	t.Parallel()
	t.Run("written in place", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "doc.yaml")
		write(t, path, "one")
		_, until := keepFile(t, path)
		until("one")
		write(t, path, "two")
		until("two")
	})
	t.Run("replaced by rename, several times", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		path := filepath.Join(dir, "doc.yaml")
		write(t, path, "one")
		_, until := keepFile(t, path)
		until("one")
		for _, text := range []string{"two", "three", "four"} {
			write(t, filepath.Join(dir, "new"), text)
			rename(t, filepath.Join(dir, "new"), path)
			until(text)
		}
		write(t, path, "five") // the new file is watched, not the old one
		until("five")
	})
	t.Run("removed and made again", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "doc.yaml")
		write(t, path, "one")
		k, until := keepFile(t, path)
		until("one")
		require.NoError(t, os.Remove(path))
		require.Eventually(t, func() bool { return k.Status().Err != nil }, 20*time.Second, time.Millisecond)
		require.ErrorIs(t, k.Status().Err, os.ErrNotExist)
		require.Equal(t, "one", value(k))
		write(t, path, "two")
		until("two")
	})
	t.Run("missing at start, its folder too", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "etc", "app")
		path := filepath.Join(dir, "doc.yaml")
		k := start(t, live.File(path), live.Options[string]{Poll: time.Hour})
		require.EqualError(t, k.Ready(t.Context()), path+": no such file or directory")
		require.NoError(t, os.MkdirAll(dir, 0o700))
		write(t, path, "one")
		require.Eventually(t, func() bool { return value(k) == "one" }, 20*time.Second, time.Millisecond)
	})
	t.Run("folder removed and made again", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "app")
		path := filepath.Join(dir, "doc.yaml")
		require.NoError(t, os.Mkdir(dir, 0o700))
		write(t, path, "one")
		k, until := keepFile(t, path)
		until("one")
		require.NoError(t, os.RemoveAll(dir))
		require.Eventually(t, func() bool { return k.Status().Err != nil }, 20*time.Second, time.Millisecond)
		require.NoError(t, os.Mkdir(dir, 0o700))
		write(t, path, "two")
		until("two")
	})
	t.Run("a ConfigMap's links are switched", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		publish := func(version, text string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			write(t, filepath.Join(dir, version, "doc.yaml"), text)
			symlink(t, version, filepath.Join(dir, "..data_tmp"))
			rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
		}
		publish("..2026_01", "one")
		symlink(t, filepath.Join("..data", "doc.yaml"), filepath.Join(dir, "doc.yaml"))
		_, until := keepFile(t, filepath.Join(dir, "doc.yaml"))
		until("one")
		publish("..2026_02", "two")
		until("two")
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
		publish("..2026_03", "three")
		until("three")
	})
	t.Run("a link to a file elsewhere", func(t *testing.T) {
		t.Parallel()
		dir, elsewhere := t.TempDir(), t.TempDir()
		write(t, filepath.Join(elsewhere, "real"), "one")
		symlink(t, filepath.Join(elsewhere, "real"), filepath.Join(dir, "doc.yaml"))
		_, until := keepFile(t, filepath.Join(dir, "doc.yaml"))
		until("one")
		write(t, filepath.Join(elsewhere, "real"), "two")
		until("two")
	})
	t.Run("an editor truncates, then writes", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "doc.yaml")
		write(t, path, "one")
		k, until := keepFile(t, path)
		until("one")
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0o600)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return k.Status().Err != nil }, 20*time.Second, time.Millisecond)
		require.ErrorIs(t, k.Status().Err, live.ErrEmpty)
		require.Equal(t, "one", value(k))
		_, err = f.WriteString("two")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		until("two")
	})
	t.Run("other files of the folder do not wake it", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		path := filepath.Join(dir, "doc.yaml")
		write(t, path, "one")
		k, until := keepFile(t, path)
		until("one")
		write(t, path, "two") // this write is noticed, so the watch is set up
		until("two")
		before := k.Status().Attempts
		for range 20 {
			write(t, filepath.Join(dir, "app.log"), "x")
		}
		write(t, path, "three")
		until("three")
		require.LessOrEqual(t, k.Status().Attempts, before+2)
	})
}

func TestFileThatIsNoFile(t *testing.T) {
	t.Parallel()
	k := start(t, live.File(t.TempDir()), live.Options[string]{})
	require.ErrorContains(t, k.Ready(t.Context()), "not a regular file")
}

func TestFileTooLarge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(live.MaxBytes+1)) // a sparse file uses no disk space
	require.NoError(t, f.Close())
	k := start(t, live.File(path), live.Options[string]{})
	require.ErrorIs(t, k.Ready(t.Context()), live.ErrTooLarge)
}

func TestFS(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{"conf/doc.yaml": {Data: []byte("embedded")}}
	k := start(t, live.FS(fsys, "conf/doc.yaml"), live.Options[string]{})
	require.NoError(t, k.Ready(t.Context()))
	require.Equal(t, "embedded", value(k))

	_, err := live.FS(fsys, "no").Load(context.Background())
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = live.FS(nil, "no").Load(context.Background())
	require.ErrorContains(t, err, "nil")
}
