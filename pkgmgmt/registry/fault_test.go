package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A faulty store fails from its n-th write on, before or after the write is done.
type faulty struct {
	registry.Store
	left  atomic.Int64
	after bool
	err   error
}

func (f *faulty) do(write func() error) error {
	if f.left.Add(-1) >= 0 {
		return write()
	}
	if f.after {
		if err := write(); err != nil {
			return err
		}
	}
	return f.err
}

func (f *faulty) Create(ctx context.Context, name string, content io.Reader) error {
	return f.do(func() error { return f.Store.Create(ctx, name, content) })
}

func (f *faulty) Update(ctx context.Context, name string, edit func([]byte) ([]byte, error)) error {
	return f.do(func() error { return f.Store.Update(ctx, name, edit) })
}

// TestFailingStore: the store fails at each step of a publish. The publish returns an error,
// every listed version is complete, and the next try succeeds.
func TestFailingStore(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, failure := range []error{errors.New("disk on fire at 10.0.0.1"), &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}} {
			steps := 0
			for ; ; steps++ {
				store := &faulty{Store: registry.Dir(t.TempDir()), after: after, err: failure}
				reg := open(t, store, quiet())
				store.left.Store(1000)
				put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "first"))
				store.left.Store(int64(steps))
				w := ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.1.0.zip", bytes.NewReader(numbered("v1.1.0")))
				if w.Code == http.StatusCreated {
					break
				}
				p := problemOf(t, w)
				want := http.StatusInternalServerError
				if errors.Is(failure, syscall.ENOSPC) {
					want = http.StatusInsufficientStorage
				}
				require.Equal(t, want, p.Status)
				require.Equal(t, "store", p.Rule)
				require.NotContains(t, p.Detail, "fire")

				if strings.Contains(get(reg, "/corp.example/lib/@v/list").Body.String(), "v1.1.0") {
					checkWhole(t, reg, "v1.1.0")
				}
				store.left.Store(1000)
				w = ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.1.0.zip", bytes.NewReader(numbered("v1.1.0")))
				require.Contains(t, []int{200, 201}, w.Code, w.Body)
				require.Equal(t, "v1.0.0\nv1.1.0\n", get(reg, "/corp.example/lib/@v/list").Body.String())
				checkWhole(t, reg, "v1.1.0")
			}
			require.Equal(t, 6, steps, "the intent, the zip, go.mod, .info, the record, the list")
		}
	}
}

// TestFailingMarks fails at each step of a block.
func TestFailingMarks(t *testing.T) {
	t.Parallel()
	for steps := range 3 { // the record, the list
		store := &faulty{Store: registry.Dir(t.TempDir()), err: errors.New("x")}
		reg := open(t, store, quiet())
		store.left.Store(1000)
		put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "first"))
		store.left.Store(int64(steps))
		block := func() int { return ask(reg, http.MethodPut, "/corp.example/lib/@block/v1.0.0?reason=x", nil).Code }
		if steps == 2 {
			require.Equal(t, http.StatusOK, block())
		} else {
			require.Equal(t, http.StatusInternalServerError, block())
		}
		store.left.Store(1000)
		require.Equal(t, http.StatusOK, block(), "the next try succeeds")
		require.Equal(t, http.StatusForbidden, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code)
		require.Empty(t, get(reg, "/corp.example/lib/@v/list").Body.String())
	}
}

// TestUnreadable: if the store fails, the answer is never 404, because the go command would
// then ask the next proxy.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	paths := []string{"/corp.example/lib/@v/list", "/corp.example/lib/@latest", "/corp.example/lib/@v/v1.0.0.info", "/corp.example/lib/@v/v1.0.0.mod", "/corp.example/lib/@v/v1.0.0.zip", "/corp.example/lib/@v/stable.info", "/corp.example/lib/@channels", "/corp.example/lib/@record/v1.0.0"}
	var log strings.Builder
	opts := quiet()
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	gone := filepath.Join(t.TempDir(), "not mounted")
	unmounted := open(t, registry.Dir(gone), opts)
	put(t, unmounted, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	require.NoError(t, os.Rename(gone, gone+".away"))
	for _, reg := range []http.Handler{
		unmounted,
		open(t, registry.Dir(filepath.Join(gone, "below what is not mounted")), opts),
		open(t, unreadable{registry.Dir(t.TempDir())}, opts),
	} {
		for _, path := range paths {
			w := get(reg, path)
			require.Equal(t, http.StatusInternalServerError, w.Code, path)
			require.Equal(t, "the registry's store failed\n", w.Body.String())
		}
	}
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "not mounted")

	// A folder that never existed is an empty registry. The first publish creates it.
	reg := open(t, registry.Dir(gone), opts)
	for _, path := range paths {
		require.Equal(t, http.StatusNotFound, get(reg, path).Code, path)
	}
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/other/@v/list").Code)
	// Its parent must exist.
	reg = open(t, registry.Dir(filepath.Join(t.TempDir(), "a", "b")), opts)
	require.Equal(t, http.StatusInternalServerError, ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(numbered("v1.0.0"))).Code)
}

type unreadable struct{ registry.Store }

func (unreadable) Open(_ context.Context, name string) (registry.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EIO}
}

// TestDamagedFiles: the registry's own files may be unreadable, which is an error.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reg := open(t, registry.Dir(dir), quiet())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	folder := filepath.Join(dir, "corp.example", "lib", "@v")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "channels"), []byte("{"), 0o600))
	require.Equal(t, http.StatusInternalServerError, get(reg, "/corp.example/lib/@v/stable.info").Code)
	require.Equal(t, http.StatusInternalServerError, get(reg, "/corp.example/lib/@channels").Code)
	require.Equal(t, http.StatusInternalServerError, ask(reg, http.MethodPut, "/corp.example/lib/@channel/stable?version=v1.0.0&reason=x", nil).Code)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "v1.0.0.record"), []byte("null "), 0o600))
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "v1.0.0.record"), []byte("["), 0o600))
	require.Equal(t, http.StatusInternalServerError, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code)
	require.Equal(t, http.StatusInternalServerError, ask(reg, http.MethodPut, "/corp.example/lib/@yank/v1.0.0?reason=x", nil).Code)
	require.NoError(t, os.Mkdir(filepath.Join(folder, "v1.0.0.blocked"), 0o700))
	require.Equal(t, http.StatusInternalServerError, get(reg, "/corp.example/lib/@v/v1.0.0.info").Code, "it might be blocked")
}

// TestOtherStores publishes to a store other than Dir, with uploads in another folder.
func TestOtherStores(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	opts := quiet()
	opts.TempDir = temp
	reg := open(t, struct{ registry.Store }{registry.Dir(t.TempDir())}, opts)
	for i := range 3 {
		at := fmt.Sprintf("corp.example/lib@v1.0.%d", i)
		body := lib(t, at, "x")
		put(t, reg, http.StatusCreated, at, body)
		require.Equal(t, body, get(reg, fmt.Sprintf("/corp.example/lib/@v/v1.0.%d.zip", i)).Body.Bytes())
	}
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
	opts.TempDir = filepath.Join(temp, "missing")
	reg = open(t, registry.Dir(t.TempDir()), opts)
	require.Equal(t, http.StatusInternalServerError, ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(numbered("v1.0.0"))).Code)
}

// TestStaleFiles: temporary files of dead processes are removed, those of live ones are not.
func TestStaleFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reg := open(t, registry.Dir(dir), quiet())
	r, w := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		answered <- ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", r).Code
	}()
	body := numbered("v1.0.0")
	_, err := w.Write(body[:10])
	require.NoError(t, err)
	temporary := func() (names []string) {
		entries, err := os.ReadDir(filepath.Join(dir, ".tmp"))
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, filepath.Join(dir, ".tmp", e.Name()))
		}
		return names
	}
	uploads := temporary()
	require.Len(t, uploads, 1)
	dead, young := filepath.Join(dir, ".tmp", "upkeep-dead"), filepath.Join(dir, ".tmp", "upkeep-young")
	for _, name := range []string{dead, young} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	old := time.Now().Add(-2 * time.Hour)
	if !canLimitFiles { // such a system lacks locks as well
		old = old.Add(-24 * time.Hour)
	}
	require.NoError(t, os.Chtimes(dead, old, old))
	if canLimitFiles {
		require.NoError(t, os.Chtimes(uploads[0], old, old)) // as of a slow upload
	}
	put(t, open(t, registry.Dir(dir), quiet()), http.StatusCreated, "corp.example/lib@v1.0.1", numbered("v1.0.1"))
	require.ElementsMatch(t, append(uploads, young), temporary())
	_, err = w.Write(body[10:])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, http.StatusCreated, <-answered)
	checkWhole(t, reg, "v1.0.0")
}

// TestDirNames: Dir refuses names that would be outside its folder.
func TestDirNames(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	store := registry.Dir(filepath.Join(outside, "inside"))
	for _, name := range []string{"", ".", "..", "../x", "a/../../x", "/x", "a//b", "a/", `a\b`} {
		_, err := store.Open(t.Context(), name)
		require.ErrorIs(t, err, fs.ErrInvalid, name)
		require.ErrorIs(t, store.Create(t.Context(), name, strings.NewReader("x")), fs.ErrInvalid, name)
		require.ErrorIs(t, store.Update(t.Context(), name, func([]byte) ([]byte, error) { return []byte("x"), nil }), fs.ErrInvalid, name)
	}
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries)
}
