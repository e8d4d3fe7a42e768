package capture_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

func newDir(t testing.TB, path string, opts *capture.DirOptions) *capture.Dir {
	t.Helper()
	d, err := capture.NewDir(path, opts)
	require.NoError(t, err)
	return d
}

func put(t *testing.T, s capture.Store, at time.Time, data string) string {
	t.Helper()
	name := capture.NewName(at)
	require.NoError(t, s.Put(t.Context(), name, []byte(data)))
	return name
}

func names(t *testing.T, s capture.Store) []string {
	t.Helper()
	entries, err := fs.ReadDir(s, ".")
	require.NoError(t, err)
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestDirKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "captures")
	var s capture.Store = newDir(t, path, nil)
	_, err := fs.ReadDir(s, ".")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, path)

	name := put(t, s, time.Now(), "bundle")
	data, err := fs.ReadFile(s, name)
	require.NoError(t, err)
	require.Equal(t, "bundle", string(data))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
		info, err = os.Stat(filepath.Join(path, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
	other := put(t, s, time.Now().Add(time.Millisecond), "other")
	require.Equal(t, []string{name, other}, names(t, s))
	require.NoError(t, fstest.TestFS(s, name, other))
	files, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, files, 2, "nothing else is left")

	require.NoError(t, s.Remove(t.Context(), name))
	require.ErrorIs(t, s.Remove(t.Context(), name), fs.ErrNotExist)
	_, err = s.Open(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestDirTakesNoOtherNames(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	var s capture.Store = newDir(t, path, nil)
	good := capture.NewName(time.Now())
	for _, name := range []string{
		"", ".", "..", "x.har", "../" + good, "a/" + good, `..\` + good, good + "\x00", good + ".har", "99999999T999999.999Z-aaaaaaaaaaaaaaaa.har",
		"20260314T150926.535Z-AAAAAAAAAAAAAAAA.har", good + "\n",
	} {
		require.ErrorIs(t, s.Put(t.Context(), name, nil), capture.ErrName, name)
		require.ErrorIs(t, s.Remove(t.Context(), name), capture.ErrName, name)
		if name != "." {
			_, err := s.Open(name)
			require.ErrorIs(t, err, fs.ErrNotExist, name)
		}
	}
	// What is there under such a name is not ours to show.
	require.NoError(t, os.WriteFile(filepath.Join(path, "secret"), nil, 0o600))
	_, err := s.Open("secret")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, names(t, s))
}

func TestDirOpensNoLinks(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	var s capture.Store = newDir(t, path, nil)
	name, folder := capture.NewName(time.Now()), capture.NewName(time.Now())
	if err := os.Symlink("/etc/hosts", filepath.Join(path, name)); err != nil {
		t.Skip(err)
	}
	require.NoError(t, os.Mkdir(filepath.Join(path, folder), 0o700))
	for _, name := range []string{name, folder} {
		_, err := s.Open(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	require.Empty(t, names(t, s))
}

func TestDirHoldsItsQuotas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := t.TempDir()
		s := newDir(t, path, &capture.DirOptions{MaxCount: 3, MaxBytes: 10, MaxAge: time.Hour})
		var all []string
		add := func(data string) {
			time.Sleep(time.Second)
			all = append(all, put(t, s, time.Now(), data))
		}
		for range 4 {
			add("a")
		}
		require.Equal(t, all[1:], names(t, s), "three are the most")
		add("12345678")
		require.Equal(t, all[2:], names(t, s), "ten bytes are the most")
		add("123456789")
		require.Equal(t, all[5:], names(t, s))
		require.ErrorIs(t, s.Put(t.Context(), capture.NewName(time.Now()), make([]byte, 11)), capture.ErrTooLarge)
		require.Equal(t, all[5:], names(t, s), "nothing had to go for what is refused")

		require.NoError(t, os.WriteFile(filepath.Join(path, "notes.txt"), make([]byte, 100), 0o600))
		time.Sleep(time.Hour)
		require.Equal(t, all[5:], names(t, s))
		time.Sleep(time.Nanosecond)
		require.Empty(t, names(t, s), "an hour is the longest")
		_, err := s.Open(all[5])
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.FileExists(t, filepath.Join(path, all[5]))
		require.NoError(t, s.Sweep(t.Context()))
		require.NoFileExists(t, filepath.Join(path, all[5]))
		require.FileExists(t, filepath.Join(path, "notes.txt"), "it is not ours")
	})
}

// A process that died while it wrote leaves a file that is not a bundle.
func TestDirTidiesUpAfterTheDead(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	var s capture.Store = newDir(t, path, nil)
	dead, alive := filepath.Join(path, "."+capture.NewName(time.Now())+".dead"), filepath.Join(path, "."+capture.NewName(time.Now())+".alive")
	for _, name := range []string{dead, alive} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	then := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(dead, then, then))
	require.Empty(t, names(t, s))
	put(t, s, time.Now(), "x")
	require.NoFileExists(t, dead)
	require.FileExists(t, alive)
}

func TestDirReportsWhatTheDiskSays(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	name := capture.NewName(time.Now())
	for _, path := range []string{file, filepath.Join(file, "x")} {
		require.Error(t, newDir(t, path, nil).Put(t.Context(), name, nil))
	}
	require.NoError(t, newDir(t, filepath.Join(file+"x"), nil).Sweep(t.Context()), "there is nothing to sweep")

	_, err := capture.NewDir("", nil)
	require.ErrorContains(t, err, "the path is empty")
	_, err = capture.NewDir("x", &capture.DirOptions{MaxCount: -1})
	require.ErrorContains(t, err, "must not be negative")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newDir(t, filepath.Dir(file), nil)
	require.ErrorIs(t, s.Put(ctx, name, nil), context.Canceled)
	require.ErrorIs(t, s.Remove(ctx, name), context.Canceled)
	require.ErrorIs(t, s.Sweep(ctx), context.Canceled)

	if os.Geteuid() != 0 { // root writes anywhere
		readOnly := t.TempDir()
		require.NoError(t, os.Chmod(readOnly, 0o500))
		require.ErrorIs(t, newDir(t, readOnly, nil).Put(t.Context(), name, nil), fs.ErrPermission)
	}
}

// Several stores over one directory, as several processes have them, lose nothing but
// what the quotas take.
func TestDirIsShared(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	var all sync.WaitGroup
	var mu sync.Mutex
	var written []string
	for range 4 {
		s := newDir(t, path, &capture.DirOptions{MaxCount: 20})
		all.Go(func() {
			for range 20 {
				name := capture.NewName(time.Now())
				if err := s.Put(t.Context(), name, []byte(name)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				written = append(written, name)
				mu.Unlock()
				list, err := fs.ReadDir(s, ".")
				if err != nil {
					t.Error(err)
				}
				for _, e := range list {
					data, err := fs.ReadFile(s, e.Name())
					if err == nil && string(data) != e.Name() {
						t.Errorf("%s is not whole", e.Name())
					} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	s := newDir(t, path, &capture.DirOptions{MaxCount: 20})
	require.NoError(t, s.Sweep(t.Context()))
	left := names(t, s)
	slices.Sort(written)
	require.LessOrEqual(t, len(left), 20)
	require.NotEmpty(t, left)
	require.Subset(t, written, left)
	files, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, files, len(left))
}

func TestNamesSortByTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.FixedZone("", 3600))
	name := capture.NewName(at)
	require.Regexp(t, `^20260314T140926\.535Z-[a-z2-7]{16}\.har$`, name)
	got, err := capture.NameTime(name)
	require.NoError(t, err)
	require.True(t, at.Equal(got))
	require.Less(t, name, capture.NewName(at.Add(time.Millisecond)))
	require.NotEqual(t, name, capture.NewName(at))
}

func TestEraseFindsAPersonEverywhere(t *testing.T) {
	t.Parallel()
	r := newRedactor(t, capture.Redaction{})
	s := newDir(t, t.TempDir(), nil)
	n, err := capture.Erase(t.Context(), s, r.Pseudonym("ann@shop.test"))
	require.NoError(t, err)
	require.Zero(t, n)

	at := time.Now()
	for i, change := range []func(b *capture.Bundle){
		func(b *capture.Bundle) { b.Log.Entries[0].Request.URL = "http://shop.test/users/ann@shop.test" },
		func(b *capture.Bundle) { b.Log.Entries[0].Request.URL = "http://shop.test/?user=ann%40shop.test" },
		func(b *capture.Bundle) {
			b.Log.Entries[0].Request.PostData = &har.PostData{MimeType: "application/json", Text: `{"a":"ann@shop.test"}`}
		},
		func(b *capture.Bundle) { b.Log.Details.Flags = []capture.Flag{{Key: "x", Targeting: "ann@shop.test"}} },
		func(b *capture.Bundle) {
			b.Log.Details.Flags = []capture.Flag{{Key: "x", Targeting: "joann@shop.test"}}
		},
		func(b *capture.Bundle) {},
	} {
		b := &capture.Bundle{Log: capture.Log{Entries: []capture.Entry{{Entry: har.Entry{Request: har.Request{Method: "GET", URL: "/"}}}}}}
		change(b)
		put(t, s, at.Add(time.Duration(i)*time.Second), encoded(t, r, b))
	}
	n, err = capture.Erase(t.Context(), s, r.Pseudonym("ann@shop.test"))
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Len(t, names(t, s), 2)
	_, err = capture.Erase(t.Context(), s, " ")
	require.ErrorContains(t, err, "no pseudonym")
}

func TestList(t *testing.T) {
	t.Parallel()
	s := newDir(t, t.TempDir(), nil)
	at := time.Now().Truncate(time.Millisecond).UTC()
	text := encoded(t, newRedactor(t, capture.Redaction{}), checkout())
	first := put(t, s, at, text)
	second := put(t, s, at.Add(time.Second), "no bundle")
	list, err := capture.List(s)
	require.NoError(t, err)
	require.Equal(t, []capture.Summary{
		{Name: second, Time: at.Add(time.Second), Bytes: 9},
		{
			Name: first, Time: at, Bytes: int64(len(text)), RequestID: "01JABCDEFGHJKMNPQRSTVWXYZ0", TraceID: "0af7651916cd43dd8448eb211c80319c",
			Route: "/carts/{cart}/checkout", Reason: "panicked", Status: 500, Build: "shop v1.4.2",
		},
	}, list)
	_, err = capture.List(brokenStore{s})
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

// brokenStore cannot be listed.
type brokenStore struct{ capture.Store }

func (brokenStore) Open(string) (fs.File, error) { return nil, io.ErrClosedPipe }
